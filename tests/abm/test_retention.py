"""Retention of activities: what is too old leaves in batches, its days stay counted, and no figure moves."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from abm import engagement, job_changes, nightly, refresh, retention, score_numbers, states, target_progress
from abm import policy as abm_policy
from abm.models import AccountStanding, DayCount, EngagementScore, StateMark, TargetAccount, TargetList
from abm.target_progress import Since
from crm import activities, activity_changes, coverage, deliverability, policy, privacy
from crm.errors import Invalid
from crm.models import Account, Activity, ActivityChange, Contact, Team
from crm.policy import day_of
from tests.factories.crm import ContactFactory, MembershipFactory

pytestmark = pytest.mark.django_db
KEPT_DAYS = 200


@pytest.fixture(autouse=True)
def kept_for_200_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RETENTION", replace(policy.RETENTION, activity_days=KEPT_DAYS))


@pytest.fixture
def person() -> Contact:
    found: Contact = MembershipFactory(role="decider").contact
    return found


def did(contact: Contact, kind: str, *, days_ago: int, at: datetime, times: int = 1, **facts: str) -> list[Activity]:
    """Record what somebody did so many days before, as it was recorded then."""
    moment = at - timedelta(days=days_ago)
    common = {"account": contact.account, "contact": contact, "kind": kind, "source": "test", "at": moment}
    return [activities.record(occurred_at=moment - timedelta(minutes=number), **common, **facts) for number in range(times)]  # type: ignore[arg-type]


def counts(account: Account) -> list[tuple[object, ...]]:
    rows = DayCount.objects.filter(account_id=account.pk).order_by("day", "kind")
    return list(rows.values_list("contact_id", "day", "kind", "count"))


def lines(account: Account, as_of: date) -> tuple[engagement.Line, ...]:
    return engagement.explain(account, as_of=as_of).scored.lines


@pytest.fixture
def old_and_new(person: Contact, at: datetime) -> Contact:
    """Somebody with activities before and in the retention period, all counted."""
    for kind, days_ago, times in (
        ("page_view", 400, 3),
        ("pricing_view", 300, 2),
        ("page_view", 201, 1),
        ("page_view", 200, 1),
        ("meeting", 5, 1),
    ):
        did(person, kind, days_ago=days_ago, at=at, times=times)
    refresh.account(person.account_id, at=at)
    return person


def test_old_activities_leave_and_their_days_stay_counted(old_and_new: Contact, at: datetime) -> None:
    before = counts(old_and_new.account)

    assert retention.let_go(at=at) == 6

    assert sorted((day_of(at) - day).days for day in Activity.objects.values_list("day", flat=True)) == [5, 200]
    assert counts(old_and_new.account) == before
    assert sum(int(str(count)) for *_group, count in before) == 8
    assert not ActivityChange.objects.exists()
    assert StateMark.objects.get().kept_from == day_of(at) - timedelta(days=KEPT_DAYS)


def test_no_score_moves(old_and_new: Contact, at: datetime) -> None:
    account = old_and_new.account
    states_before = states._rows([account.pk])
    standing = AccountStanding.objects.values().get()
    scores = list(EngagementScore.objects.values())

    retention.let_go(at=at)
    refresh.account(account.pk, at=at)

    assert states._rows([account.pk]) == states_before
    assert AccountStanding.objects.values().get() == standing
    assert [row | {"id": 0} for row in EngagementScore.objects.values()] == [row | {"id": 0} for row in scores]


def test_account_counted_anew_keeps_the_days_whose_activities_are_gone(old_and_new: Contact, at: datetime) -> None:
    before = counts(old_and_new.account)
    retention.let_go(at=at)

    states.forget([old_and_new.account_id])
    states.bring_up([old_and_new.account_id], day=day_of(at), at=at)

    assert counts(old_and_new.account) == before
    assert states.differing(1, None, day=day_of(at), at=at) == 0


def test_days_that_are_kept_are_still_counted_anew(old_and_new: Contact, at: datetime) -> None:
    before = counts(old_and_new.account)
    retention.let_go(at=at)
    DayCount.objects.filter(kind="meeting").update(count=9)
    DayCount.objects.filter(day=day_of(at) - timedelta(days=200)).delete()

    states.forget([old_and_new.account_id])
    states.bring_up([old_and_new.account_id], day=day_of(at), at=at)

    assert counts(old_and_new.account) == before


def test_late_change_of_a_day_that_is_gone_is_added_to_its_count_also_when_counted_anew(old_and_new: Contact, at: datetime) -> None:
    retention.let_go(at=at)
    gone = day_of(at) - timedelta(days=300)
    facts = {"account_id": old_and_new.account_id, "contact_id": old_and_new.pk}
    ActivityChange.objects.create(kind="pricing_view", day=gone, delta=1, **facts)
    activity_changes.count_anew([old_and_new.account_id])

    states.bring_up([old_and_new.account_id], day=day_of(at), at=at)

    assert DayCount.objects.get(day=gone).count == 3
    assert not ActivityChange.objects.exists()


def test_explanation_as_of_an_old_day_is_the_same_before_and_after(old_and_new: Contact, at: datetime) -> None:
    days = [day_of(at) - timedelta(days=ago) for ago in (299, 250, 100, 0)]
    account = old_and_new.account
    before = [lines(account, day) for day in days]
    kept_until = [len(Activity.objects.filter(day__lte=day, day__gte=day - timedelta(days=180))) for day in days]

    retention.let_go(at=at)

    assert [lines(account, day) for day in days] == before
    assert kept_until == [5, 5, 2, 1]
    assert len(before[0]) == 2


def test_explanation_still_takes_one_reading(old_and_new: Contact, at: datetime, django_assert_num_queries: Callable) -> None:
    retention.let_go(at=at)

    with django_assert_num_queries(4):
        engagement.explain(old_and_new.account, as_of=day_of(at) - timedelta(days=250))


def test_zero_keeps_activities_for_ever(old_and_new: Contact, at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RETENTION", replace(policy.RETENTION, activity_days=0))

    assert retention.let_go(at=at) == 0
    assert Activity.objects.count() == 8
    assert did(old_and_new, "meeting", days_ago=4000, at=at)


def test_period_shorter_than_what_the_score_needs_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RETENTION", policy.Retention(activity_days=186))
    with pytest.raises(ValueError, match=r"^RETENTION.activity_days must be 0, which keeps them for ever, or at least 187, not 186"):
        abm_policy.refuse_short_retention()

    monkeypatch.setattr(policy, "RETENTION", policy.Retention(activity_days=187))
    abm_policy.refuse_short_retention()


def test_numbers_in_force_with_a_longer_window_keep_activities_for_longer(old_and_new: Contact, at: datetime) -> None:
    score_numbers.put_in_force(abm_policy.Scoring(window_days=390), note="Langer", seen=0, at=at, by=None)

    assert retention.oldest_kept(at=at) == day_of(at) - timedelta(days=397)


def test_activity_that_is_not_counted_yet_stays_until_it_is(person: Contact, at: datetime) -> None:
    did(person, "page_view", days_ago=400, at=at)
    assert retention.let_go(at=at) == 0

    refresh.account(person.account_id, at=at)
    activity_changes.count_anew([person.account_id])
    assert retention.let_go(at=at) == 0

    refresh.account(person.account_id, at=at)
    assert retention.let_go(at=at) == 1
    assert DayCount.objects.get().count == 1


def test_batches_are_bounded_and_all_of_them_are_done(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RECORDING", replace(policy.RECORDING, rows_per_statement=2))
    people = ContactFactory.create_batch(3)
    for one in people:
        did(one, "page_view", days_ago=400, at=at, times=3)
        refresh.account(one.account_id, at=at)
    held: list[int] = []
    hold = states.hold
    monkeypatch.setattr(states, "hold", lambda ids: held.append(len(ids)) or hold(ids))

    assert retention.let_go(at=at) == 9

    assert len(held) == 5
    assert max(held) <= 2
    assert DayCount.objects.count() == 3
    assert retention.let_go(at=at) == 0


def test_last_proof_of_an_address_stays_so_that_a_bounce_can_still_mean_a_job_change(person: Contact, at: datetime) -> None:
    did(person, "email_open", days_ago=500, at=at)
    (last,) = did(person, "email_click", days_ago=400, at=at)
    did(person, "email_open", days_ago=300, at=at, machine_reason="scanner")
    refresh.account(person.account_id, at=at)

    assert retention.let_go(at=at) == 2

    assert list(Activity.objects.values_list("pk", flat=True)) == [last.pk]
    assert deliverability.worked_before(person, before=at)
    assert sum(DayCount.objects.values_list("count", flat=True)) == 2


def test_older_proof_goes_when_there_is_a_newer_one(person: Contact, at: datetime) -> None:
    did(person, "email_reply", days_ago=500, at=at)
    did(person, "meeting", days_ago=10, at=at)
    refresh.account(person.account_id, at=at)

    assert retention.let_go(at=at) == 1
    assert deliverability.worked_before(person, before=at)


def test_nothing_stays_of_somebody_who_was_erased(person: Contact, at: datetime) -> None:
    did(person, "email_reply", days_ago=500, at=at)
    refresh.account(person.account_id, at=at)
    privacy.erase(person.person, at=at)
    refresh.account(person.account_id, at=at)

    assert retention.let_go(at=at) == 1
    assert not Activity.objects.exists()


def test_coverage_counts_who_was_engaged_within_its_days(person: Contact, at: datetime) -> None:
    did(person, "meeting", days_ago=89, at=at)
    refresh.account(person.account_id, at=at)
    before = coverage.coverage([person.account], at=at)[person.account_id].states

    retention.let_go(at=at)

    assert coverage.coverage([person.account], at=at)[person.account_id].states == before
    assert before["decider"] == "engaged"


def test_list_that_began_before_counts_on(old_and_new: Contact, team: Team, at: datetime) -> None:
    began = at - timedelta(days=350)
    facts = {"team": team, "starts_on": day_of(began), "ends_on": day_of(at), "status": "active", "activated_at": began}
    target_list = TargetList.objects.create(name="Lang", **facts)
    TargetAccount.objects.create(target_list=target_list, slot=1, account=old_and_new.account, added_at=began)
    did(old_and_new, "email_reply", days_ago=290, at=at)
    refresh.account(old_and_new.account_id, at=at)
    before = target_progress.since_start(target_list, accounts=[old_and_new.account_id], at=at)

    retention.let_go(at=at)

    assert target_progress.since_start(target_list, accounts=[old_and_new.account_id], at=at) == before
    assert before == {old_and_new.account_id: Since(activities=6, meetings=1)}


def test_activity_older_than_the_period_is_not_recorded_so_that_none_counts_twice(person: Contact, at: datetime) -> None:
    facts = {"account": person.account, "contact": person, "kind": "page_view", "source": "test", "at": at}

    with pytest.raises(Invalid, match="Activities older than 200 days are not kept"):
        activities.record(occurred_at=at - timedelta(days=201), **facts)

    assert activities.record(occurred_at=at - timedelta(days=200), **facts)


def test_old_activity_that_stayed_can_still_be_judged_and_deleted(person: Contact, at: datetime) -> None:
    (proof,) = did(person, "email_reply", days_ago=400, at=at)
    refresh.account(person.account_id, at=at)
    retention.let_go(at=at)

    activities.judge(proof, machine_reason="scanner", at=at)
    refresh.account(person.account_id, at=at)

    assert not DayCount.objects.exists()


def test_the_night_does_it(old_and_new: Contact, at: datetime) -> None:
    run = nightly.run(day_of(at), clock=lambda: at)

    assert run.finished_at == at
    assert Activity.objects.count() == 2
    assert run.chunks.get(step="retention").items == 6


def test_signals_are_settled_without_the_old_rows(old_and_new: Contact, at: datetime) -> None:
    retention.let_go(at=at)

    assert job_changes.settle([old_and_new.account_id], at=at) == 0
