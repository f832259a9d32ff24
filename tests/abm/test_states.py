"""The states of the score: whatever happens in whatever order, they equal a rebuild bit for bit, and the formula to a decimal."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abm import engagement, states
from abm.models import AccountState, ContactState, DayCount, EngagementScore, StateMark
from crm import activities
from crm.models import Account, Activity, ActivityChange, Contact, DmuMembership, DmuRole
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory

pytestmark = pytest.mark.django_db
START = date(2026, 1, 20)
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


@pytest.fixture
def people(db: None) -> list[Contact]:
    """Two people at each of two accounts, one of them small."""
    accounts = [AccountFactory(employees=5), AccountFactory(employees=400)]
    return [ContactFactory(account=account) for account in accounts for _ in range(2)]


class World:
    """What may happen to a few people, one thing after the other, as of a day that only moves on."""

    def __init__(self, people: list[Contact]) -> None:
        self.people, self.day = people, START

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
        Contact.objects.filter(pk=contact.pk).update(left_on=left_on)
        contact.left_on = left_on

    def grow(self, employees: int) -> None:
        Account.objects.filter(pk=self.people[0].account_id).update(employees=employees)

    def work(self) -> None:
        """A refresh in the middle of the day."""
        states.bring_up([person.account_id for person in self.people], day=self.day, at=noon(self.day))

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
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(deeds=st.lists(DEEDS, min_size=1, max_size=14))
def test_increments_equal_a_rebuild_bit_for_bit_and_the_formula(people: list[Contact], deeds: list[tuple[str, tuple[object, ...]]]) -> None:
    with transaction.atomic():
        world = World([Contact.objects.get(pk=person.pk) for person in people])
        for name, values in deeds:
            getattr(world, name)(*values)
        world.work()

        kept = held()
        assert not ActivityChange.objects.exists()
        assert_scores_are_those_of_the_formula(world.day)
        rebuilt(world.day)
        assert held() == kept
        transaction.set_rollback(True)
