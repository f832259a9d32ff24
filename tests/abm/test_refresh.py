"""Refreshing: from facts to the standing of an account, for one, for many, and for those that changed."""

import re
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from abm import nightly, policy, refresh, states
from abm.models import AccountFit, AccountStanding, EngagementScore
from crm import activities, dmu, events
from crm.models import Account, Activity, ActivityChange, FollowUp
from crm.new_activities import NewActivity
from crm.policy import day_of
from tests.factories.abm import EngagementScoreFactory, ProfileFactory
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, MembershipFactory, UserFactory

TODAY = date(2026, 3, 10)


def record(contact, kind, at, days_ago=0, **facts):
    moment = at - timedelta(days=days_ago)
    return activities.record(account=contact.account, contact=contact, kind=kind, occurred_at=moment, source="test", at=at, **facts)


@pytest.mark.django_db
def test_a_refresh_brings_fit_score_momentum_and_coverage_to_the_day(at):
    profile = ProfileFactory(industries=["software"])
    contact = ContactFactory(account__industry="software")
    MembershipFactory(contact=contact, role="decider")
    record(contact, "meeting", at)
    record(contact, "email_reply", at, days_ago=10)

    assert refresh.account(contact.account_id, at=at) == 1

    row = AccountStanding.objects.get()
    kept = EngagementScore.objects.get()
    assert (row.account_id, row.as_of, row.fit, row.refreshed_at) == (contact.account_id, TODAY, 100, at)
    # (25 + 12 x 2^(-10/60)) x 1.5 x 2/3 against 12 x 2^(-3/60) x 1.5 x 2/3 a week ago
    assert (row.score, row.momentum) == (Decimal("41.7"), Decimal("22.9"))
    assert (kept.day, kept.score, kept.active_roles) == (TODAY, Decimal("41.7"), ["decider"])
    assert row.coverage_states == {"decider": "engaged", "buyer": "missing", "user": "missing"}
    assert (row.coverage_percent, row.is_single_threaded) == (33, True)
    assert AccountFit.objects.get().profile == profile


@pytest.mark.django_db
def test_a_refresh_may_run_twice(at):
    contact = ContactFactory()
    record(contact, "meeting", at)

    refresh.account(contact.account_id, at=at)
    first = AccountStanding.objects.values().get()
    refresh.account(contact.account_id, at=at)

    assert AccountStanding.objects.values().get() == first
    assert (EngagementScore.objects.count(), AccountFit.objects.count()) == (1, 1)


@pytest.mark.django_db
def test_an_account_whose_last_activity_went_falls_to_zero(at):
    contact = ContactFactory()
    only = record(contact, "meeting", at, days_ago=8)
    refresh.account(contact.account_id, at=at)

    activities.delete(only, at=at)
    refresh.changed(at=at)

    row = AccountStanding.objects.get()
    assert (row.score, row.momentum) == (Decimal("0.0"), Decimal("0.0"))
    assert EngagementScore.objects.count() == 0


@pytest.mark.django_db
def test_an_account_that_does_not_exist_is_no_matter(at):
    account = AccountFactory()

    assert refresh.accounts([account.pk, account.pk + 1], at=at) == 1
    assert refresh.account(account.pk + 1, at=at) == 0
    assert list(AccountStanding.objects.values_list("account", flat=True)) == [account.pk]


@pytest.mark.django_db
def test_an_account_that_warms_up_opens_a_follow_up_once(at):
    owner = UserFactory()
    contact = ContactFactory(account__owner=owner)
    MembershipFactory(contact=contact, role="decider")
    record(contact, "meeting", at)

    for hours in (0, 1, 25):
        refresh.account(contact.account_id, at=at + timedelta(hours=hours))

    opened = FollowUp.objects.get()
    assert (opened.owner, opened.reason, opened.facts) == (owner, "warming_up", {"score": "33.3", "before": "0.0"})


@pytest.mark.django_db
def test_a_day_that_has_passed_gets_its_scores_and_leaves_the_standing_alone(at):
    contact = ContactFactory(account__owner=UserFactory())
    MembershipFactory(contact=contact, role="decider")
    record(contact, "meeting", at, days_ago=20)

    refresh.accounts([contact.account_id], at=at, day=date(2026, 2, 18))

    kept = EngagementScore.objects.get()
    assert (kept.day, kept.score) == (date(2026, 2, 18), Decimal("33.3"))
    assert (AccountStanding.objects.count(), FollowUp.objects.count(), AccountFit.objects.count()) == (0, 0, 0)


@pytest.mark.django_db
def test_the_number_of_queries_does_not_depend_on_the_number_of_accounts(at, django_assert_max_num_queries):
    contacts = ContactFactory.create_batch(12)
    for contact in contacts:
        MembershipFactory(contact=contact)
        ActivityFactory(account=contact.account, contact=contact)
    ids = [contact.account_id for contact in contacts]
    counts = []
    for some in (ids[:1], ids):
        refresh.accounts(some, at=at)
        with django_assert_max_num_queries(72) as queries:
            refresh.accounts(some, at=at)
        counts.append(len(queries))

    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_changed_accounts_are_refreshed_and_their_changes_taken(at):
    contacts = ContactFactory.create_batch(3)
    for contact in contacts[:2]:
        record(contact, "meeting", at)
        record(contact, "download", at)

    assert refresh.changed(at=at) == 2

    assert ActivityChange.objects.count() == 0
    assert set(AccountStanding.objects.values_list("account", flat=True)) == {contact.account_id for contact in contacts[:2]}
    assert refresh.changed(at=at) == 0


@pytest.mark.django_db
def test_more_changed_accounts_than_fit_one_transaction_are_all_refreshed(at):
    for contact in ContactFactory.create_batch(5):
        record(contact, "meeting", at)

    assert refresh.changed(at=at, limit=2) == 5
    assert (ActivityChange.objects.count(), AccountStanding.objects.filter(score__gt=0).count()) == (0, 5)


@pytest.mark.django_db
def test_changes_of_an_account_that_is_gone_are_taken_away(at):
    contact = ContactFactory()
    record(contact, "meeting", at)
    Activity.objects.all().delete()
    Account.objects.filter(pk=contact.account_id).delete()

    assert refresh.changed(at=at) == 0
    assert ActivityChange.objects.count() == 0


@pytest.mark.django_db
def test_a_refresh_that_fails_leaves_the_changes_for_the_next_call(at, monkeypatch):
    contact = ContactFactory()
    record(contact, "meeting", at)

    def fail(*_accounts, **_facts):
        raise DatabaseError("gone")

    with monkeypatch.context() as broken:
        broken.setattr(dmu, "coverage", fail)
        with pytest.raises(DatabaseError):
            refresh.changed(at=at)

    assert (ActivityChange.objects.count(), AccountStanding.objects.count(), EngagementScore.objects.count()) == (1, 0, 0)
    assert refresh.changed(at=at) == 1


@pytest.mark.django_db
def test_increments_end_where_a_full_rebuild_ends(at):
    contacts = ContactFactory.create_batch(3)
    rows = []
    for number, contact in enumerate(contacts):
        MembershipFactory(contact=contact, role=["decider", "buyer", "user"][number])
        for kind, days_ago in (("meeting", 40), ("page_view", 3), ("email_click", number)):
            rows.append(record(contact, kind, at, days_ago=days_ago))
            refresh.changed(at=at)
    activities.delete(rows[1], at=at)
    activities.correct(rows[4], at=at, occurred_at=at - timedelta(days=9))
    activities.judge(rows[8], machine_reason="link_scanner", at=at)
    refresh.changed(at=at)
    columns = ("account", "weighted_points", "breadth", "x", "score", "active_roles")
    by_increments = list(EngagementScore.objects.order_by("account").values_list(*columns))

    EngagementScore.objects.all().delete()
    AccountStanding.objects.all().delete()
    refresh.accounts([contact.account_id for contact in contacts], at=at)

    assert list(EngagementScore.objects.order_by("account").values_list(*columns)) == by_increments


@pytest.mark.django_db
def test_the_day_is_the_organisations_own(at):
    contact = ContactFactory()
    just_after_local_midnight = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)

    refresh.account(contact.account_id, at=just_after_local_midnight)

    assert AccountStanding.objects.get().as_of == date(2026, 3, 11)


@pytest.mark.django_db
def test_yesterdays_row_stays_when_today_is_written(at):
    contact = ContactFactory()
    yesterday = EngagementScoreFactory(account=contact.account, day=date(2026, 3, 9), score=Decimal("12.3"))
    record(contact, "meeting", at)

    refresh.account(contact.account_id, at=at)

    assert EngagementScore.objects.on(yesterday.day).get().score == Decimal("12.3")
    assert EngagementScore.objects.on(TODAY).get().score == Decimal("16.7")


def in_thread(work):
    """Run work beside us in a database connection of its own; give the thread and what it returned."""
    answers = []

    def body():
        try:
            answers.append(work())
        finally:
            connection.close()

    thread = threading.Thread(target=body)
    thread.start()
    return thread, answers


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_changes_that_another_call_works_on_are_left_to_it(at):
    first, second = ContactFactory(), ContactFactory()
    refresh.accounts([first.account_id, second.account_id], at=at)
    record(first, "meeting", at)
    with transaction.atomic():
        states.hold([first.account_id])
        record(second, "meeting", at)
        thread, answers = in_thread(lambda: refresh.changed(at=at))
        thread.join(20)

    # Neither waited for the account that is held nor saw the one that was not committed.
    assert answers == [0]
    assert refresh.changed(at=at) == 2


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_calls_at_once_do_the_work_once(at):
    for contact in ContactFactory.create_batch(12):
        record(contact, "meeting", at)

    started = [in_thread(lambda: refresh.changed(at=at, limit=2)) for _ in range(2)]
    for thread, _ in started:
        thread.join(30)

    assert sum(answers[0] for _, answers in started) == 12
    assert (ActivityChange.objects.count(), AccountStanding.objects.filter(score__gt=0).count()) == (0, 12)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_slower_refresh_cannot_put_an_older_score_back(at):
    contact = ContactFactory()
    refresh.account(contact.account_id, at=at)
    with transaction.atomic():
        refresh.account(contact.account_id, at=at)
        # Begins before we commit, so it must wait, and then count what was recorded meanwhile.
        record(contact, "meeting", at)
        thread, answers = in_thread(lambda: refresh.account(contact.account_id, at=at))
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(20)

    assert answers == [1]
    assert AccountStanding.objects.get().score == Decimal("16.7")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_refresh_locks_states_and_no_accounts(at):
    ids = [account.pk for account in AccountFactory.create_batch(3)]

    with CaptureQueriesContext(connection) as asked:
        refresh.accounts(ids, at=at)

    locking = [query["sql"] for query in asked if re.search("FOR (NO KEY )?UPDATE", query["sql"])]
    assert any('FROM "abm_statemark"' in sql for sql in locking)
    # Of accounts only those on which a signal or a search for a successor waits, and here there are none.
    assert not [sql for sql in locking if 'FROM "crm_account"' in sql and "EXISTS" not in sql]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_who_records_an_activity_does_not_wait_for_a_refresh(at):
    contact = ContactFactory()
    refresh.account(contact.account_id, at=at)
    with transaction.atomic():
        refresh.account(contact.account_id, at=at)
        thread, answers = in_thread(lambda: record(contact, "meeting", at))
        thread.join(10)
        assert not thread.is_alive()

    assert [row.kind for row in answers] == ["meeting"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_recording_in_bulk_beside_refreshes_never_deadlocks(at, monkeypatch):
    monkeypatch.setattr(events, "tell", lambda *_event, **_ids: None)
    # Names run against the ids, so that locks taken by name would meet those taken by id.
    ids = [AccountFactory(name=f"Z{200 - number:03}").pk for number in range(200)]
    refresh.accounts(ids, at=at)

    def record_thrice():
        rows = [NewActivity(account_id=pk, kind="page_view", occurred_at=at) for pk in ids]
        return sum(len(activities.record_many(rows, source="test", at=at)) for _ in range(3))

    def refresh_thrice():
        return sum(refresh.accounts(ids, at=at) for _ in range(3))

    started = [in_thread(work) for work in (record_thrice, refresh_thrice, record_thrice)]
    for thread, _ in started:
        thread.join(60)

    assert [answers for _, answers in started] == [[600], [600], [600]]


def test_a_rise_is_measured_over_a_week():
    assert policy.ALERTS.compared_with_days_ago == 7


@pytest.mark.django_db
def test_history_that_comes_in_late_is_no_rise_of_this_week(at):
    contact = ContactFactory()
    week_ago = at - timedelta(days=7)
    nightly.run(day_of(week_ago), clock=lambda: week_ago)
    record(contact, "meeting", at - timedelta(days=30))

    refresh.account(contact.account_id, at=at)

    standing = AccountStanding.objects.get()
    assert standing.score > 0
    assert standing.momentum <= 0


@pytest.mark.django_db
def test_fit_and_coverage_of_everybody_are_looked_at_after_a_night_that_was_skipped(at):
    ids = {account.pk for account in AccountFactory.create_batch(8)}
    refresh.accounts(ids, at=at)
    for model in (Account, ProfileFactory._meta.model):
        model.history.update(history_date=at - timedelta(days=30))
    ends = (min(ids), max(ids))

    assert refresh.due(ends, day=TODAY + timedelta(days=1)) < ids
    assert refresh.due(ends, day=TODAY + timedelta(days=5)) == ids
