"""The nightly run over thousands of accounts: the database is asked as often for a chunk of 50 as for one of 500."""

from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from abm import nightly, policy, refresh
from abm.models import AccountFit, AccountStanding, EngagementScore
from crm.models import Account, Activity, Contact, DmuMembership, Person
from crm.policy import day_of
from tests.factories.abm import ProfileFactory

ACCOUNTS = 6_000
pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def make_accounts(number, at):
    """Make accounts with one buyer each, who looked at a page on two days and was met at a stand long ago."""
    ProfileFactory(industries=["software"])
    accounts = Account.objects.bulk_create(
        Account(name=f"Bedrijf {n}", domain=f"bedrijf{n}.example", employees=n % 400) for n in range(number)
    )
    people = Person.objects.bulk_create(Person(given_name="Jo", family_name=f"Jansen {n}") for n in range(number))
    contacts = Contact.objects.bulk_create(
        Contact(person=person, account=account, email=f"jo{account.pk}@bedrijf.example")
        for person, account in zip(people, accounts, strict=True)
    )
    since = day_of(at) - timedelta(days=60)
    DmuMembership.objects.bulk_create(
        DmuMembership(contact=contact, account_id=contact.account_id, role="buyer", since=since, is_assumed=False) for contact in contacts
    )
    Activity.objects.bulk_create(
        Activity(
            account_id=contact.account_id, contact=contact, kind=kind, source="test", recorded_at=at,
            occurred_at=at - timedelta(days=days), day=day_of(at) - timedelta(days=days),
        )
        for contact in contacts
        for kind, days in (("page_view", 0), ("page_view", 3), ("event_visit", 150))
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as a server does by itself soon after; without it PostgreSQL plans for empty tables
    return [account.pk for account in accounts]


@contextmanager
def statements():
    """Count statements by what they do; SQLite takes at most 999 values at a time, so one bulk insert counts as one there."""
    counts = Counter()

    def count(execute, sql, params, many, context):
        is_batch = connection.vendor == "sqlite" and sql.startswith("INSERT")
        counts[sql.split("VALUES")[0] if is_batch else len(counts)] += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        yield counts


def test_a_chunk_asks_the_database_as_often_for_50_accounts_as_for_500(at):
    accounts = make_accounts(550, at)
    counted = []
    for chunk in (accounts[:50], accounts[50:550]):
        refresh.accounts(chunk, at=at)
        with statements() as counts:
            refresh.accounts(chunk, at=at)
        counted.append(len(counts))

    # SQLite makes and empties its temporary tables one by one.
    assert counted[0] == counted[1] <= (60 if connection.vendor == "postgresql" else 72)


def test_a_night_over_thousands_of_accounts_asks_the_same_of_every_chunk(at, monkeypatch):
    monkeypatch.setattr(policy, "NIGHTLY", policy.Nightly(accounts_per_chunk=ACCOUNTS // 3))
    make_accounts(ACCOUNTS, at)
    per_chunk = []
    with statements() as counts:

        def told(chunk):
            per_chunk.append((chunk.step, chunk.items, len(counts)))
            counts.clear()

        run = nightly.run(day_of(at), clock=lambda: at, told=told)

    chunks = [(items, asked) for step, items, asked in per_chunk if step == "accounts"]
    assert [items for items, _ in chunks] == [policy.NIGHTLY.accounts_per_chunk] * 3
    # The first one carries the planning.
    assert len({asked for _, asked in chunks[1:]}) == 1
    # Sums and scores of 2,000 at once; fit and coverage of 500 at once, here of all of them, for they are new.
    assert chunks[1][1] <= 150
    assert run.finished_at == at
    assert AccountStanding.objects.count() == EngagementScore.objects.count() == AccountFit.objects.count() == ACCOUNTS
    # (1 + 2^(-3/14) + 10 x 2^(-150/30)) x 1.3, with none of one, one of three, and one of five roles active
    assert set(AccountStanding.objects.values_list("score", flat=True)) == {Decimal("2.7"), Decimal("3.3"), Decimal("3.6")}
