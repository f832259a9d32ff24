"""The nightly run: planned once, each chunk done once, whatever fails, is killed, or is started twice."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DatabaseError

from abm import experiments, nightly, policy, refresh
from abm.models import AccountStanding, EngagementScore, NightlyChunk, NightlyRun
from crm import pilots
from crm.errors import Invalid
from crm.models import Account
from tests.factories.abm import EngagementScoreFactory
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, MembershipFactory

DAY = date(2026, 3, 10)


class Clock:
    """A clock that goes on by a second each time it is read."""

    def __init__(self, at):
        self.at = at

    def __call__(self):
        self.at += timedelta(seconds=1)
        return self.at


@pytest.fixture
def clock(at):
    return Clock(at)


@pytest.fixture
def five_per_chunk(monkeypatch):
    monkeypatch.setattr(policy, "NIGHTLY", policy.Nightly(accounts_per_chunk=5))


def active_account(number, on):
    """An account with a decider who did something lately, more than the last account's did."""
    contact = ContactFactory(account__employees=[5, 100, 400][number % 3])
    MembershipFactory(contact=contact, role="decider", is_assumed=bool(number % 2))
    for kind, days_ago in (("meeting", number % 40), ("page_view", number % 7), ("email_click", 8)):
        ActivityFactory(account=contact.account, contact=contact, kind=kind, day=on - timedelta(days=days_ago))
    return contact.account


@pytest.mark.django_db
def test_a_run_refreshes_every_account_in_chunks_and_then_does_the_other_steps(clock, five_per_chunk):
    ids = sorted(account.pk for account in AccountFactory.create_batch(12))

    run = nightly.run(DAY, clock=clock)

    chunks = list(run.chunks.values_list("number", "step", "first_account", "last_account", "items", "times_done", "error"))
    assert chunks == [
        (0, "accounts", 1, ids[5] - 1, 5, 1, ""),
        (1, "accounts", ids[5], ids[10] - 1, 5, 1, ""),
        (2, "accounts", ids[10], None, 2, 1, ""),
        (3, "bounces", None, None, 0, 1, ""),
        (4, "pilots", None, None, 0, 1, ""),
        (5, "experiments", None, None, 0, 1, ""),
        (6, "retention", None, None, 0, 1, ""),
        (7, "history", None, None, 0, 1, ""),
        (8, "reports", None, None, 0, 1, ""),
    ]
    assert AccountStanding.objects.filter(as_of=DAY).count() == 12
    assert (run.day, run.finished_at) == (DAY, clock.at)
    assert run.chunks.get(number=0).seconds == 1.0


@pytest.mark.django_db
def test_a_run_without_accounts_has_one_open_chunk_for_those_still_to_come(clock):
    run = nightly.run(DAY, clock=clock)

    assert list(run.chunks.filter(step="accounts").values_list("first_account", "last_account", "items")) == [(1, None, 0)]


@pytest.mark.django_db
def test_an_account_made_after_the_planning_belongs_to_the_last_chunk(clock, five_per_chunk, monkeypatch):
    AccountFactory.create_batch(6)
    real, refreshed = refresh.night, []

    def meanwhile(first, last, **facts):
        if not refreshed:
            AccountFactory(name="late")
        refreshed.append(real(first, last, **facts))
        return refreshed[-1]

    monkeypatch.setattr(refresh, "night", meanwhile)

    nightly.run(DAY, clock=clock)

    assert refreshed == [5, 2]
    assert AccountStanding.objects.filter(account__name="late").exists()


@pytest.mark.django_db
def test_a_second_run_of_the_day_does_nothing(clock, five_per_chunk):
    active_account(1, DAY)
    first = nightly.run(DAY, clock=clock)
    before = list(NightlyChunk.objects.values())

    second = nightly.run(DAY, clock=clock)

    assert (second.pk, second.finished_at) == (first.pk, first.finished_at)
    assert list(NightlyChunk.objects.values()) == before


@pytest.mark.django_db
def test_each_day_has_a_run_of_its_own(clock):
    nightly.run(DAY, clock=clock)
    nightly.run(date(2026, 3, 9), clock=clock)

    assert list(NightlyRun.objects.values_list("day", flat=True)) == [DAY, date(2026, 3, 9)]


@pytest.mark.django_db
def test_a_day_that_has_not_come_is_refused(clock):
    with pytest.raises(Invalid):
        nightly.run(date(2026, 3, 11), clock=clock)

    assert NightlyRun.objects.count() == 0


@pytest.mark.django_db
def test_a_day_that_has_passed_gets_its_scores_and_leaves_standings_alone(clock):
    account = active_account(1, date(2026, 3, 2))
    refresh.account(account.pk, at=clock())
    standing = AccountStanding.objects.values().get()

    nightly.run(date(2026, 3, 2), clock=clock)

    assert AccountStanding.objects.values().get() == standing
    assert list(EngagementScore.objects.values_list("day", flat=True)) == [DAY, date(2026, 3, 2)]


@pytest.mark.django_db
def test_a_failing_chunk_is_recorded_and_the_others_go_on(clock, five_per_chunk, monkeypatch):
    accounts = [active_account(number, DAY) for number in range(12)]
    real = refresh.night

    def fail_halfway(first, last, **facts):
        done = real(first, last, **facts)
        if first <= accounts[7].pk <= last:
            raise DatabaseError("disk is full " + 600 * "x")
        return done

    with monkeypatch.context() as broken:
        broken.setattr(refresh, "night", fail_halfway)
        run = nightly.run(DAY, clock=clock)

    failed = run.chunks.get(done_at=None)
    assert (failed.number, failed.failures, failed.times_done, run.finished_at) == (1, 1, 0, None)
    assert failed.error.startswith("DatabaseError: disk is full xxx")
    assert len(failed.error) == 500
    assert set(AccountStanding.objects.values_list("account", flat=True)) == {row.pk for row in accounts[:5] + accounts[10:]}
    assert run.chunks.filter(times_done=1).count() == 8

    run = nightly.run(DAY, clock=clock)

    again = run.chunks.get(number=1)
    assert (again.failures, again.times_done, again.items, again.error) == (1, 1, 5, "")
    assert (run.finished_at, AccountStanding.objects.count()) == (clock.at, 12)


@pytest.mark.django_db
def test_a_failing_step_leaves_nothing_of_its_own_behind(clock, monkeypatch):
    def fail_after_writing(*, at):
        AccountFactory(name="half")
        raise ValueError("no")

    monkeypatch.setattr(pilots, "chase_overdue", fail_after_writing)

    run = nightly.run(DAY, clock=clock)

    assert list(run.chunks.filter(done_at=None).values_list("step", "error")) == [("pilots", "ValueError: no")]
    assert Account.objects.count() == 0


@pytest.mark.django_db
def test_whoever_listens_hears_of_each_chunk_that_was_tried(clock, monkeypatch):
    monkeypatch.setattr(pilots, "chase_overdue", lambda at: 1 / 0)
    heard = []

    nightly.run(DAY, clock=clock, told=lambda chunk: heard.append((chunk.step, chunk.error)))

    others = [("experiments", ""), ("retention", ""), ("history", ""), ("reports", "")]
    assert heard == [("accounts", ""), ("bounces", ""), ("pilots", "ZeroDivisionError: division by zero"), *others]


@pytest.mark.django_db
def test_a_night_closes_the_experiments_that_are_over(clock, monkeypatch):
    monkeypatch.setattr(experiments, "close_due", lambda at, limit: 3 if limit == policy.NIGHTLY.experiments_per_night else 0)

    assert nightly.run(DAY, clock=clock).chunks.get(step="experiments").items == 3


@pytest.mark.django_db
def test_old_history_is_thinned_to_mondays(clock):
    account = AccountFactory()
    for day in (date(2025, 12, 8), date(2025, 12, 9), date(2025, 12, 10)):
        EngagementScoreFactory(account=account, day=day)

    run = nightly.run(DAY, clock=clock)

    # The ninth of December is 91 days ago.
    assert set(EngagementScore.objects.values_list("day", flat=True)) == {date(2025, 12, 8), date(2025, 12, 10)}
    assert run.chunks.get(step="history").items == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("moment", "due"),
    [
        (datetime(2026, 3, 10, 1, 29, tzinfo=UTC), False),
        (datetime(2026, 3, 10, 1, 30, tzinfo=UTC), True),
        (datetime(2026, 3, 10, 22, 59, tzinfo=UTC), True),
        (datetime(2026, 3, 10, 23, 30, tzinfo=UTC), False),
    ],
)
def test_a_run_is_due_from_half_past_two_local_time(moment, due):
    assert nightly.is_due(at=moment) is due


@pytest.mark.django_db
def test_a_run_is_due_until_it_has_finished(clock, monkeypatch, at):
    with monkeypatch.context() as broken:
        broken.setattr(pilots, "chase_overdue", lambda at: 1 / 0)
        nightly.run(DAY, clock=clock)
    assert nightly.is_due(at=at) is True

    nightly.run(DAY, clock=clock)

    assert nightly.is_due(at=at) is False
    assert nightly.is_due(at=at + timedelta(days=1)) is True
