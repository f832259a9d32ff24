"""A list against its comparison group: accounts over eight weeks, contamination and tosses shown, and no verdict before its time."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from abm import comparison_groups, list_results, policy, targets
from abm.models import ComparisonAccount, HeldOutAccount, TargetAccount, TargetList
from crm.models import Account, Opportunity, Team, User
from tests.abm.lists import on, standing
from tests.factories.crm import ActivityFactory, OpportunityFactory

WEEKS_8 = timedelta(days=56)


@pytest.fixture
def listed(team: Team) -> list[Account]:
    return [standing(fit=80 - number, score=50, team=team) for number in range(6)]


@pytest.fixture
def compared(team: Team) -> list[Account]:
    return [standing(fit=70 - number, score=45, team=team) for number in range(6)]


@pytest.fixture
def active(twenty: TargetList, listed: list[Account], compared: list[Account], at: datetime, rep: User) -> TargetList:
    for account in listed:
        targets.pick(twenty, account=account, at=at, by=rep)
    return targets.activate(twenty, at=at, by=rep)


def answered(accounts: list[Account], at: datetime, *, days: float = 10, kind: str = "email_reply", **facts: object) -> None:
    for account in accounts:
        ActivityFactory(account=account, kind=kind, occurred_at=at + timedelta(days=days), **facts)


def read(target_list: TargetList, at: datetime) -> list_results.Results:
    found = list_results.read(target_list, at=at)
    assert found is not None
    return found


@pytest.mark.django_db
def test_accounts_are_counted_and_not_mails(active: TargetList, listed: list[Account], compared: list[Account], at: datetime) -> None:
    answered(listed[:1] * 3, at)
    answered(listed[1:2], at, kind="meeting")
    answered(compared[:1], at, kind="email_click")
    answered(compared[1:2], at, machine_reason="scanner")
    answered(listed[2:3], at, days=-1)
    answered(listed[3:4], at, days=57)

    with CaptureQueriesContext(connection) as queries:
        found = read(active, at + timedelta(days=90))

    assert len(queries) == 4
    assert {name: (one.a.successes, one.b.successes) for name, one in found.measures.items()} == {
        "responses": (0, 2),
        "meetings": (0, 1),
        "deals": (0, 0),
    }
    assert (found.decides.a.n, found.decides.b.n, found.days) == (6, 6, 56)


@pytest.mark.django_db
def test_new_deals_of_both_are_added_up(active: TargetList, listed: list[Account], compared: list[Account], at: datetime) -> None:
    for account, amount in ((listed[0], 100), (listed[0], 50), (compared[0], 30)):
        OpportunityFactory(account=account, amount=Decimal(amount))
    Opportunity.objects.update(created_at=at + timedelta(days=5))
    found = read(active, at + timedelta(days=6))
    assert (found.listed_worth, found.compared_worth) == ({"EUR": Decimal(150)}, {"EUR": Decimal(30)})
    assert (found.measures["deals"].a.successes, found.measures["deals"].b.successes) == (1, 1)


@pytest.mark.django_db
def test_before_day_56_nothing_is_decided_however_clear(active: TargetList, listed: list[Account], at: datetime) -> None:
    answered(listed, at, days=1)

    early, due = read(active, at + timedelta(days=55)), read(active, at + WEEKS_8)

    assert (early.verdict.winner, early.is_decidable) == (None, False)
    assert list_results.in_words(early)[0] == "Not decidable yet: this is day 55 of 56."
    assert due.verdict.winner == "b"
    words = list_results.in_words(due)
    assert words[0].startswith("The list did better: more of its accounts answered within 56 days than of the group")
    assert words[1].startswith("Nobody tossed a coin")


@pytest.mark.django_db
def test_eight_weeks_are_eight_weeks_where_summer_time_ends_in_between(twenty: TargetList, rep: User) -> None:
    shortly_after_midnight = datetime(2026, 9, 23, 22, 4, tzinfo=UTC)
    TargetList.objects.update(ends_on=datetime(2026, 12, 31, tzinfo=UTC).date())
    standing()
    targets.pick(twenty, account=standing(), at=shortly_after_midnight, by=rep)
    begun = targets.activate(twenty, at=shortly_after_midnight, by=rep)
    assert read(begun, shortly_after_midnight + timedelta(days=90)).days == 56


@pytest.mark.django_db
def test_no_difference_and_a_worse_list_are_said_as_plainly(active: TargetList, compared: list[Account], at: datetime) -> None:
    assert list_results.in_words(read(active, at + WEEKS_8))[0].startswith("No difference that counts within 56 days (p 1.0000)")
    answered(compared, at)
    assert list_results.in_words(read(active, at + WEEKS_8))[0].startswith("The group did better")


@pytest.mark.django_db
def test_a_list_closed_early_is_never_decided(active: TargetList, listed: list[Account], at: datetime, rep: User) -> None:
    answered(listed, at)
    closed = targets.close(active, at=at + timedelta(days=30), by=rep)
    found = read(closed, at + timedelta(days=100))
    assert list_results.in_words(found)[0] == "Not decidable: the list was closed on day 30 of 56."


@pytest.mark.django_db
def test_a_draft_has_no_results_and_a_list_without_group_no_verdict(twenty: TargetList, at: datetime, rep: User) -> None:
    assert list_results.read(twenty, at=at) is None
    targets.pick(twenty, account=standing(), at=at, by=rep)
    alone = targets.activate(twenty, at=at, by=rep)
    assert "nobody was there to compare with" in list_results.in_words(read(alone, at + timedelta(days=60)))[0]
    assert alone.balance == []


@pytest.mark.django_db
def test_so_few_that_nothing_can_be_told_is_said(twenty: TargetList, at: datetime, rep: User, monkeypatch: pytest.MonkeyPatch) -> None:
    standing()
    targets.pick(twenty, account=standing(), at=at, by=rep)
    pair = targets.activate(twenty, at=at, by=rep)
    assert "So few accounts can never tell: even all against none could be chance." in list_results.in_words(read(pair, at + WEEKS_8))


@pytest.mark.django_db
def test_a_control_account_on_another_list_counts_and_is_shown(
    active: TargetList, listed: list[Account], compared: list[Account], at: datetime, rep: User, team: Team
) -> None:
    answered(listed, at)
    answered(compared[:1], at)
    other = targets.draft(name="Nog een", team=team, owner=rep, starts_on=at.date(), ends_on=datetime(2026, 9, 1, tzinfo=UTC).date(), at=at)
    targets.pick(other, account=compared[0], at=at, by=rep)
    targets.activate(other, at=at + timedelta(days=20), by=rep)

    assert read(active, at + timedelta(days=19)).treated == frozenset()
    found = read(active, at + WEEKS_8)

    assert found.treated == {compared[0].pk}
    assert (found.decides.a.successes, found.decides.a.n) == (1, 6)
    assert (found.without_them.a.successes, found.without_them.a.n) == (0, 5)
    said = list_results.in_words(found)[-1]
    assert said == "1 account of the group was on another list meanwhile and counts all the same; without them it would be p 0.0022."


@pytest.mark.django_db
def test_activating_freezes_how_alike_the_two_are(active: TargetList) -> None:
    found = {one["trait"]: one for one in active.balance or []}
    assert found.keys() == {"size", "fit", "score", "industry"}
    assert (found["fit"]["listed"], found["fit"]["compared"]) == (77.5, 67.5)
    assert found["size"]["smd"] == 0.0
    assert found["score"]["smd"] is None


@pytest.mark.django_db
def test_a_toss_lists_one_of_each_pair_and_holds_the_other_out(
    twenty: TargetList, listed: list[Account], at: datetime, rep: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "TARGETS", policy.Targets(slots=2))
    falls = iter([True, False])

    targets.fill(twenty, at=at, by=rep, toss=lambda: next(falls))

    assert set(on(twenty).values()) == {listed[0], listed[3]}
    pairs = HeldOutAccount.objects.values_list("paired_with", "account")
    assert set(pairs) == {(listed[0].pk, listed[1].pk), (listed[3].pk, listed[2].pk)}

    active = targets.activate(twenty, at=at, by=rep)

    random = ComparisonAccount.objects.filter(is_random=True).values_list("resembles", "account")
    assert set(random) == set(pairs)
    assert ComparisonAccount.objects.count() == 2
    assert "2 of the 2 in the group were held out by a toss; the rest was chosen for being alike." in list_results.in_words(
        read(active, at)
    )


@pytest.mark.django_db
def test_who_leaves_a_tossed_list_takes_the_pair_along_and_a_fill_without_toss_ends_it(
    twenty: TargetList, listed: list[Account], at: datetime, rep: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "TARGETS", policy.Targets(slots=2, comparison_per_account=1))
    targets.fill(twenty, at=at, by=rep, toss=lambda: True)
    targets.swap(TargetAccount.objects.get(account=listed[0]), account=listed[1], at=at, by=rep)
    targets.activate(twenty, at=at, by=rep)
    assert list(ComparisonAccount.objects.filter(is_random=True).values_list("resembles", "account")) == [(listed[2].pk, listed[3].pk)]

    again = targets.draft(
        name="Weer", team=twenty.team, owner=rep, starts_on=at.date(), ends_on=datetime(2026, 9, 1, tzinfo=UTC).date(), at=at
    )
    targets.fill(again, at=at, by=rep, toss=lambda: True)
    targets.fill(again, at=at, by=rep)
    assert not HeldOutAccount.objects.filter(target_list=again).exists()


def test_a_fair_coin_falls_on_both_sides() -> None:
    assert {comparison_groups.fair_coin() for _ in range(200)} == {True, False}
