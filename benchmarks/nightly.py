"""Measure a full night against the floor: one bare GROUP BY over the same activities, in the same run.

./dev bench nightly [ACCOUNTS] [--activities PER_ACCOUNT]    DATABASE_URL chooses the server; a database of its own is made and dropped.
"""

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from abm import nightly, policy  # noqa: E402
from abm.models import NightlyRun  # noqa: E402
from crm.models import Account, Activity, Contact, DmuMembership, DmuRole, Person  # noqa: E402
from crm.policy import day_of  # noqa: E402

PEOPLE_PER_ACCOUNT = 5
BATCH = 5_000
FLOOR = "SELECT account_id, count(*) FROM crm_activity GROUP BY account_id"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a full night as a ratio to one bare GROUP BY.")
    parser.add_argument("accounts", nargs="?", type=int, default=5_000)
    parser.add_argument("--activities", type=int, default=100, help="per account (default: 100)")
    wanted = parser.parse_args()
    connection.creation.create_test_db(verbosity=0)
    try:
        report(wanted.accounts, wanted.activities)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


def report(accounts: int, activities: int) -> None:
    at = timezone.now()
    made = seconds(lambda: make(accounts, activities, at=at))
    rows = Activity.objects.count()
    print(f"{connection.vendor}: {accounts} accounts, {rows} activities, made in {made:.1f} s")
    floor = statistics.median(seconds(run_floor) for _ in range(5))
    print(f"floor ({FLOOR}): {floor:.4f} s")
    for name in ("first night", "second night, same day again"):
        NightlyRun.objects.all().delete()
        took = seconds(lambda: night(at))
        print(
            f"{name}: {took:.2f} s = {took / floor:.1f} x floor; {accounts / took:.0f} accounts and {rows / took:.0f} activities a second"
        )


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def run_floor() -> None:
    with connection.cursor() as cursor:
        cursor.execute(FLOOR)
        cursor.fetchall()


def night(at: datetime) -> None:
    run = nightly.run(day_of(at), clock=timezone.now)
    assert run.finished_at, list(run.chunks.exclude(error="").values_list("number", "error"))


def make(accounts: int, activities: int, *, at: datetime) -> None:
    """Make accounts with five people, a role each, and activities spread over a year."""
    for start in range(0, accounts, BATCH):
        batch = Account.objects.bulk_create(
            Account(name=f"Account {n}", domain=f"account{n}.example", employees=n % 500)
            for n in range(start, min(start + BATCH, accounts))
        )
        people = Person.objects.bulk_create(
            Person(given_name="Jo", family_name=f"Smit {n}") for n in range(len(batch) * PEOPLE_PER_ACCOUNT)
        )
        places = [account for account in batch for _ in range(PEOPLE_PER_ACCOUNT)]
        contacts = Contact.objects.bulk_create(
            Contact(person=person, account=account, phone="+31201234567") for person, account in zip(people, places, strict=True)
        )
        since = day_of(at) - timedelta(days=365)
        DmuMembership.objects.bulk_create(
            DmuMembership(contact=contact, account_id=contact.account_id, role=role, since=since, is_assumed=False)
            for contact, role in zip(contacts, DmuRole.values * len(batch), strict=True)
        )
        Activity.objects.bulk_create(happened(contacts, activities, at=at), batch_size=BATCH)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def happened(contacts: list[Contact], activities: int, *, at: datetime) -> Iterator[Activity]:
    """Give activities of these people from a seeded generator: bursts, so that the daily cap bites."""
    chance, kinds = random.Random(2026), sorted(policy.SCORING.kinds or {})
    for contact in contacts:
        left = activities // PEOPLE_PER_ACCOUNT
        while left > 0:
            moment = at - timedelta(days=chance.randrange(365), minutes=1)
            burst, kind = min(left, chance.randint(1, 4)), chance.choice(kinds)
            left -= burst
            for _ in range(burst):
                yield Activity(
                    account_id=contact.account_id, contact=contact, kind=kind, occurred_at=moment, day=day_of(moment), source="bench", recorded_at=at
                )  # fmt: skip


if __name__ == "__main__":
    main()
