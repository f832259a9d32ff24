"""The states of the score: whatever happens in whatever order, they equal a rebuild bit for bit, and the formula to a decimal."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils.timezone import now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abm import engagement, nightly, policy, states
from abm.models import AccountStanding, AccountState, ContactState, DayCount, EngagementScore, StateMark
from crm import activities, merges
from crm.models import Account, Activity, ActivityChange, Contact, DmuMembership, DmuRole
from crm.policy import day_of
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory

pytestmark = pytest.mark.django_db
# Long ago: what is written now stands out, and gets the date of its day.
START = date(2024, 1, 20)
KINDS = ["page_view", "email_open", "pricing_view", "email_reply", "meeting", "email_sent"]


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=UTC)


def held() -> tuple[list[tuple[object, ...]], ...]:
    """Everything that the states hold, in one order."""
    counts = DayCount.objects.order_by("pk").values_list("account_id", "contact_id", "day", "kind", "count")
    people = ContactState.objects.order_by("pk").values_list("account_id", "contact_id", "short", "middle", "long", "weight", "roles")
    accounts = AccountState.objects.order_by("pk").values_list("account_id", "role", "short", "middle", "long")
    return list(counts), list(people), list(accounts)


def rebuilt(day: date) -> None:
    """Forget all that was kept, and make it anew from the activities."""
    StateMark.objects.update(version="")
    states.bring_up(list(Account.objects.values_list("pk", flat=True)), day=day, at=noon(day))


def assert_scores_are_those_of_the_formula(day: date) -> None:
    expected = engagement.of_accounts(list(Account.objects.values_list("pk", flat=True)), as_of=day)
    kept = {row.account_id: row for row in EngagementScore.objects.on(day)}
    assert kept.keys() == {pk for pk, scored in expected.items() if scored.score_1 >= Decimal("0.1")}
    for pk, row in kept.items():
        scored = expected[pk]
        assert row.score == scored.score_1
        assert row.weighted_points == pytest.approx(scored.weighted_points, abs=1e-6)
        assert row.x == pytest.approx(scored.x, abs=1e-6)
        assert row.breadth == pytest.approx(scored.breadth)
        assert row.active_roles == list(scored.active_roles)


def assert_standings_are_those_of_the_formula(day: date) -> None:
    """Score and momentum, however late what happened a week ago came in."""
    standings = {row.account_id: (row.as_of, row.score, row.momentum) for row in AccountStanding.objects.all()}
    now, then = (engagement.of_accounts(list(standings), as_of=on) for on in (day, day - timedelta(days=7)))
    assert standings == {pk: (day, now[pk].score_1, now[pk].score_1 - then[pk].score_1) for pk in standings}


@pytest.fixture
def people(db: None) -> list[Contact]:
    """Two people at each of two accounts, one of them small."""
    accounts = [AccountFactory(employees=5), AccountFactory(employees=400)]
    facts = {"as_of": START, "fit": 0, "score": 0, "momentum": 0, "coverage_percent": 0, "refreshed_at": noon(START)}
    AccountStanding.objects.bulk_create(AccountStanding(account=account, **facts) for account in accounts)
    return [ContactFactory(account=account) for account in accounts for _ in range(2)]


class World:
    """What may happen to a few people, one thing after the other, as of a day that only moves on."""

    def __init__(self, people: list[Contact]) -> None:
        self.people, self.day = people, START - timedelta(days=60)
        self.remember()
        self.day = START

    def remember(self) -> None:
        """Give the history of what was just done the date of its day."""
        for model in (Account, Contact, DmuMembership):
            model.history.filter(history_date__year__gte=2026).update(history_date=noon(self.day))

    def record(self, who: int, kind: int, ago: int, times: int) -> None:
        """Something happened, today or long ago; who=4 is an anonymous visitor."""
        contact = self.people[who] if who < len(self.people) else None
        name = KINDS[kind] if contact else "page_view"
        account = contact.account if contact else self.people[0].account
        for _ in range(times):
            activities.record(
                account=account, contact=contact, kind=name, occurred_at=noon(self.day - timedelta(days=ago)), source="t", at=noon(self.day)
            )

    def correct(self, pick: int, kind: int, ago: int) -> None:
        if chosen := self._some(pick):
            moment = noon(self.day - timedelta(days=ago))
            kind_now = KINDS[kind] if chosen.contact_id else "pricing_view"
            activities.correct(chosen, kind=kind_now, occurred_at=moment, at=noon(self.day))

    def judge(self, pick: int, is_machine: bool) -> None:
        if chosen := self._some(pick):
            activities.judge(chosen, machine_reason="scanner" if is_machine else "", at=noon(self.day))

    def delete(self, pick: int) -> None:
        if chosen := self._some(pick):
            activities.delete(chosen, at=noon(self.day))

    def rolled_back(self, who: int) -> None:
        """A writer thinks better of it."""
        with pytest.raises(RuntimeError), transaction.atomic():
            self.record(who, 0, 0, 1)
            raise RuntimeError

    def role(self, who: int, role: int) -> None:
        contact = self.people[who % len(self.people)]
        wanted = DmuRole.values[role]
        ended = DmuMembership.objects.filter(contact=contact, role=wanted, until=None).update(until=self.day, end_reason="moved")
        if not ended:
            MembershipFactory(contact=contact, role=wanted, since=self.day)

    def leave(self, who: int, in_days: int) -> None:
        contact = self.people[who % len(self.people)]
        left_on = None if contact.left_on else self.day + timedelta(days=in_days)
        contact.left_on = left_on
        contact.save()

    def grow(self, employees: int) -> None:
        account = Account.objects.get(pk=self.people[0].account_id)
        account.employees = employees
        account.save()

    def work(self) -> None:
        """A refresh in the middle of the day."""
        states.bring_up([person.account_id for person in self.people], day=self.day, at=noon(self.day))

    def last(self) -> None:
        """The last thing that happens is a refresh, or a night."""
        (self.work if self.day.day % 2 else lambda: self.sleep(1))()

    def sleep(self, nights: int) -> None:
        """So many nights pass, and only the last one is worked."""
        self.day += timedelta(days=nights)
        states.bring_up_range(1, None, day=self.day, at=noon(self.day))

    def _some(self, pick: int) -> Activity | None:
        found = list(Activity.objects.order_by("pk"))
        return found[pick % len(found)] if found else None


DEEDS: st.SearchStrategy[tuple[str, tuple[object, ...]]] = st.one_of(
    st.tuples(st.just("record"), st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 190), st.integers(1, 4))),
    st.tuples(st.just("record"), st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 3), st.integers(1, 2))),
    st.tuples(st.just("correct"), st.tuples(st.integers(0, 50), st.integers(0, 5), st.integers(0, 190))),
    st.tuples(st.just("judge"), st.tuples(st.integers(0, 50), st.booleans())),
    st.tuples(st.just("delete"), st.tuples(st.integers(0, 50))),
    st.tuples(st.just("rolled_back"), st.tuples(st.integers(0, 4))),
    st.tuples(st.just("role"), st.tuples(st.integers(0, 3), st.integers(0, 4))),
    st.tuples(st.just("leave"), st.tuples(st.integers(0, 3), st.integers(0, 5))),
    st.tuples(st.just("grow"), st.tuples(st.sampled_from([5, 50, 5000]))),
    st.tuples(st.just("work"), st.tuples()),
    st.tuples(st.just("sleep"), st.tuples(st.sampled_from([1, 1, 2, 9, 40]))),
)


@pytest.mark.usefixtures("people")
# Five hundred by EXAMPLES=500; fewer where every test of ours runs on two databases.
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(deeds=st.lists(DEEDS, min_size=1, max_size=14))
def test_increments_equal_a_rebuild_bit_for_bit_and_the_formula(people: list[Contact], deeds: list[tuple[str, tuple[object, ...]]]) -> None:
    with transaction.atomic():
        world = World([Contact.objects.get(pk=person.pk) for person in people])
        for name, values in deeds:
            getattr(world, name)(*values)
            world.remember()
        world.last()

        kept = held()
        assert not ActivityChange.objects.exists()
        assert_scores_are_those_of_the_formula(world.day)
        assert_standings_are_those_of_the_formula(world.day)
        rebuilt(world.day)
        assert held() == kept
        transaction.set_rollback(True)


@pytest.fixture
def visitor(account: Account, at: datetime) -> Contact:
    """Somebody who looked at prices today, counted."""
    contact = ContactFactory(account=account)
    activities.record(account=account, contact=contact, kind="pricing_view", occurred_at=at, source="t", at=at)
    states.bring_up([account.pk], day=day_of(at), at=at)
    return contact


def counts() -> dict[int, int]:
    return dict(DayCount.objects.values_list("contact_id", "count"))


def test_activities_of_a_deleted_contact_become_those_of_nobody(visitor: Contact, at: datetime) -> None:
    who, account_id = visitor.pk, visitor.account_id
    assert counts() == {who: 1}
    visitor.delete()

    states.bring_up([account_id], day=day_of(at), at=at)
    assert counts() == {0: 1}
    assert EngagementScore.objects.get().weighted_points == pytest.approx(2.5)


def test_two_merged_accounts_are_counted_as_one_and_apart_again_after_an_unmerge(visitor: Contact, at: datetime) -> None:
    other = ContactFactory()
    activities.record(account=other.account, contact=other, kind="pricing_view", occurred_at=at, source="t", at=at)
    both = [visitor.account_id, other.account_id]
    states.bring_up(both, day=day_of(at), at=at)
    apart = held()

    done = merges.merge(visitor.account, other.account, choices={}, by=None, at=at)
    states.bring_up(both, day=day_of(at), at=at)
    assert set(DayCount.objects.filter(account_id=visitor.account_id).values_list("contact_id", flat=True)) == {visitor.pk, other.pk}

    merges.unmerge(done, by=None, at=at)
    states.bring_up(both, day=day_of(at), at=at)
    assert held() == apart


def test_states_follow_a_clock_that_is_past_midnight_already_and_leave_one_that_was_wrong(visitor: Contact, at: datetime) -> None:
    today, account_ids = day_of(at), [visitor.account_id]
    states.bring_up(account_ids, day=today + timedelta(days=1), at=at)
    states.bring_up(account_ids, day=today, at=at)
    assert StateMark.objects.get().last_day == today + timedelta(days=1)

    states.bring_up(account_ids, day=today + timedelta(days=400), at=at)
    states.bring_up(account_ids, day=today, at=at)
    assert StateMark.objects.get().last_day == today
    assert counts() == {visitor.pk: 1}
    assert_scores_are_those_of_the_formula(today)


def test_what_happens_tomorrow_waits_for_tomorrow(visitor: Contact, at: datetime) -> None:
    late = datetime.combine(day_of(at), time(22, 55), tzinfo=UTC)
    ahead = late + timedelta(minutes=8)
    activities.record(account=visitor.account, contact=visitor, kind="pricing_view", occurred_at=ahead, source="t", at=late)
    states.bring_up([visitor.account_id], day=day_of(late), at=late)
    assert counts() == {visitor.pk: 1}
    assert ActivityChange.objects.count() == 1

    states.bring_up([visitor.account_id], day=day_of(ahead), at=ahead)
    assert sorted(DayCount.objects.values_list("day", "count")) == [(day_of(at), 1), (day_of(ahead), 1)]
    assert not ActivityChange.objects.exists()


def test_counts_below_zero_are_an_error_of_ours_that_heals_and_is_logged(
    visitor: Contact, caplog: pytest.LogCaptureFixture, at: datetime
) -> None:
    ActivityChange.objects.create(account_id=visitor.account_id, contact_id=visitor.pk, kind="meeting", day=day_of(at), delta=-1)

    states.bring_up([visitor.account_id], day=day_of(at), at=at)

    assert "below zero" in caplog.text
    assert counts() == {visitor.pk: 1}


def test_changed_numbers_make_the_sums_anew_from_the_counts(visitor: Contact, at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {**(policy.SCORING.kinds or {}), "pricing_view": policy.KindWeight(7, 14, 30)}
    monkeypatch.setattr(policy, "SCORING", policy.Scoring(kinds=kinds))

    states.bring_up([visitor.account_id], day=day_of(at), at=at)

    assert_scores_are_those_of_the_formula(day_of(at))
    row = EngagementScore.objects.get()
    assert (row.weighted_points, row.parameters_id) == (pytest.approx(7 * 0.8), policy.SCORING.version)


def test_numbers_with_a_fourth_half_life_or_a_third_decimal_are_refused() -> None:
    kinds = {**(policy.SCORING.kinds or {}), "meeting": policy.KindWeight(25, 25, 90)}
    with pytest.raises(ValueError, match="at most 3 different half_life_days"):
        policy.Scoring(kinds=kinds)
    with pytest.raises(ValueError, match="at most two decimals"):
        policy.Scoring(role_weight={"user": 1.005})


def test_verification_finds_what_differs_and_writes_nothing(visitor: Contact, at: datetime) -> None:
    assert states.differing(1, None, day=day_of(at), at=at) == 0
    ContactState.objects.update(short=12345)
    spoiled = held()

    # The wrong row, and the right one that a count anew gives.
    assert states.differing(1, None, day=day_of(at), at=at) == 2
    assert held() == spoiled


def test_states_of_an_account_that_is_gone_are_swept_up(visitor: Contact, at: datetime) -> None:
    gone = visitor.account_id
    Activity.objects.all().delete()
    visitor.delete()
    Account.objects.filter(pk=gone).delete()
    assert StateMark.objects.exists()

    assert states.sweep(at=at) == 1
    assert held() == ([], [], [])
    assert not StateMark.objects.exists()


@pytest.mark.parametrize(("weekday", "chunks"), [(1, 0), (2, 1)])
def test_once_a_week_the_night_compares_all_sums_with_a_count_anew(
    visitor: Contact, at: datetime, weekday: int, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "NIGHTLY", replace(policy.NIGHTLY, verify_on_weekday=weekday))
    assert day_of(at).isoweekday() == 2
    AccountState.objects.update(long=1)

    run = nightly.run(day_of(at), clock=lambda: at)

    found = run.chunks.filter(step="verify")
    assert found.count() == chunks
    assert all("differ from a count anew" in chunk.error and chunk.failures == 1 for chunk in found)
    if chunks:
        states.forget()
        assert nightly.run(day_of(at), clock=lambda: at).finished_at


def test_full_scoring_counts_anew_from_the_activities(visitor: Contact) -> None:
    today = day_of(now())
    states.bring_up([visitor.account_id], day=today, at=now())
    DayCount.objects.update(count=50)
    call_command("score_accounts", "--full", stdout=StringIO())
    assert counts() == {visitor.pk: 1}
    assert_scores_are_those_of_the_formula(today)

    with pytest.raises(CommandError, match="Only today's scores are kept"):
        call_command("score_accounts", "--full", "--as-of", "2026-03-10")
