"""Measure the pages of the admin on one very busy account: queries and CPU time of each, as a sales rep sees them.

./dev bench pages [--contacts N] [--activities N]    DATABASE_URL chooses the server; a database of its own is made and dropped.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.apps import apps  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import reverse  # noqa: E402
from django.utils import timezone  # noqa: E402

from abm import refresh  # noqa: E402
from abm.models import EngagementScore  # noqa: E402
from benchmarks.nightly import happened  # noqa: E402
from crm import access, opportunities  # noqa: E402
from crm.models import Account, Activity, Contact, DmuMembership, DmuRole, FollowUp, Person, Team, User  # noqa: E402
from crm.policy import day_of  # noqa: E402

ROUNDS, MOST_QUERIES, MOST_SECONDS = 7, 20, 0.300
WITH_ROLES = 25

# Name and address of each page, given the account; a page more is a line more.
PAGES: list[tuple[str, Callable[[Account], str]]] = [
    ("account", lambda account: reverse("admin:crm_account_change", args=[account.pk])),
    ("account: timeline", lambda account: reverse("admin:crm_account_timeline", args=[account.pk])),
    ("account: timeline, text", lambda account: reverse("admin:crm_account_timeline", args=[account.pk]) + "?text=nowhere&made=all"),
    ("account: history", lambda account: reverse("admin:crm_account_history", args=[account.pk])),
    ("contact", lambda account: reverse("admin:crm_contact_change", args=[account.contacts.order_by("pk")[0].pk])),
    ("account list", lambda _account: reverse("admin:crm_account_changelist")),
]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure queries and CPU time of the admin's pages.")
    parser.add_argument("--contacts", type=int, default=200)
    parser.add_argument("--activities", type=int, default=10_000)
    wanted = parser.parse_args()
    connection.creation.create_test_db(verbosity=0)
    try:
        is_good = report(wanted.contacts, wanted.activities)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)
    sys.exit(0 if is_good else 1)


def report(contacts: int, activities: int) -> bool:
    """Print a line for each page; say whether all keep within the bounds."""
    rep = make_rep()
    account = make_account(rep, contacts, activities, at=timezone.now())
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(rep)
    print(f"{connection.vendor}: {account.contacts.count()} contacts, {account.activities.count()} activities at the account")
    good = [measure(client, name, address(account)) for name, address in PAGES]
    return all(good)


def measure(client: Client, name: str, address: str) -> bool:
    client.get(address)  # what a process reads once is read
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    asked = len(queries)
    cpu = [seconds(client, address) for _ in range(ROUNDS)]
    middle = statistics.median(cpu)
    is_good = asked <= MOST_QUERIES and middle <= MOST_SECONDS
    print(
        f"{name:<26}{asked:>4} queries{middle * 1000:>8.0f} ms CPU (median of {ROUNDS}){len(answer.content) // 1024:>6} KB{'' if is_good else '   TOO MUCH'}"
    )
    return is_good


def seconds(client: Client, address: str) -> float:
    begun = time.process_time()
    client.get(address)
    return time.process_time() - begun


def make_rep() -> User:
    for app in ("crm", "abm"):
        access.grant_roles(apps, app)
    rep = User.objects.create(username="rep", first_name="Noor", last_name="de Vries", is_staff=True, team=Team.objects.create(name="Team"))
    rep.groups.add(Group.objects.get(name=access.SALES_REP))
    return rep


def make_account(rep: User, contacts: int, activities: int, *, at: datetime) -> Account:
    """Make one account with many people, a DMU, deals, tasks, a score of 90 days, and much that happened."""
    account = Account.objects.create(name="Druk BV", domain="druk.example", employees=800, owner=rep, team=rep.team)
    people = Person.objects.bulk_create(Person(given_name="Jo", family_name=f"Smit {number}") for number in range(contacts))
    rows = Contact.objects.bulk_create(
        Contact(person=person, account=account, email=f"jo{number}@druk.example", phone="+31201234567", job_title="Hoofd inkoop")
        for number, person in enumerate(people)
    )
    since = day_of(at) - timedelta(days=100)
    DmuMembership.objects.bulk_create(
        DmuMembership(contact=row, account=account, role=DmuRole.values[number % 5], since=since, is_assumed=False)
        for number, row in enumerate(rows[:WITH_ROLES])
    )
    Activity.objects.bulk_create(happened(rows, activities * 5 // max(contacts, 1), at=at), batch_size=5_000)
    for number in range(6):
        opportunities.begin(account=account, name=f"Kans {number}", owner=rep, at=at, by=rep)
        FollowUp.objects.create(account=account, owner=rep, text=f"Bel {number}", due_on=day_of(at), opened_at=at)
    make_scores(account, at=at)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return account


def make_scores(account: Account, *, at: datetime) -> None:
    """Give the account its standing, and a score of every day before."""
    refresh.account(account.pk, at=at)
    today = EngagementScore.objects.get(account=account)
    EngagementScore.objects.bulk_create(
        EngagementScore(
            account=account, day=today.day - timedelta(days=back), weighted_points=1, breadth=1, x=1, score=50, parameters=today.parameters
        )
        for back in range(1, 90)
    )


if __name__ == "__main__":
    main()
