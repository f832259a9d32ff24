"""Target lists by the rules: what is proposed and why, what a person changes, and what activation freezes."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils.translation import override

from abm import comparison, policy, ranking, targets
from abm.comparison import Profile
from abm.errors import AbmError, AccountTaken, NotEligible, TargetListFull, WrongStatus
from abm.models import ComparisonAccount, TargetAccount, TargetList, TargetRejection
from crm.errors import Conflict, CrmError, Invalid
from crm.models import Account, Team, User
from tests.conftest import AT
from tests.factories.abm import StandingFactory
from tests.factories.crm import AccountFactory, OpportunityFactory, TeamFactory


@pytest.fixture
def twenty(team: Team, rep: User, at: datetime) -> TargetList:
    """An empty draft of the rep's team."""
    return targets.draft(name="Voorjaar", team=team, owner=rep, starts_on=date(2026, 3, 10), ends_on=date(2026, 5, 5), at=at, by=rep)


def standing(fit: int = 0, score: float = 0, coverage: int = 0, **account: object) -> Account:
    """Make an account that stands somewhere."""
    return StandingFactory(account=AccountFactory(**account), fit=fit, score=Decimal(str(score)), coverage_percent=coverage).account


def stored() -> list[list[dict[str, object]]]:
    return [list(model.objects.order_by("pk").values()) for model in (TargetList, TargetAccount, TargetRejection, ComparisonAccount)]


def refused(error: type[CrmError], deed: Callable[[], object]) -> CrmError:
    """Check that a rule refuses with this error, and that nothing changed."""
    before = stored()
    with pytest.raises(error) as caught:
        deed()
    assert stored() == before
    return caught.value


def on(target_list: TargetList) -> dict[int, Account]:
    return {slot.slot: slot.account for slot in TargetAccount.objects.filter(target_list=target_list).select_related("account")}


# --- draft -----------------------------------------------------------------------------------------


def test_a_new_list_is_an_empty_draft(twenty: TargetList, team: Team, rep: User) -> None:
    assert (twenty.name, twenty.team, twenty.owner, twenty.status, on(twenty)) == ("Voorjaar", team, rep, "draft", {})
    assert [(row.history_type, row.history_user, row.history_date) for row in twenty.history.all()] == [("+", rep, AT)]


@pytest.mark.parametrize(
    ("name", "starts_on", "ends_on", "field"),
    [
        (" ", date(2026, 3, 10), date(2026, 5, 5), "name"),
        ("Twintig", date(2026, 3, 10), date(2026, 3, 10), "ends_on"),
        ("Twintig", date(2026, 1, 1), date(2026, 3, 9), "ends_on"),
    ],
)
def test_a_list_needs_a_name_and_a_period_that_is_not_over(
    team: Team, at: datetime, name: str, starts_on: date, ends_on: date, field: str
) -> None:
    refusal = refused(Invalid, lambda: targets.draft(name=name, team=team, owner=None, starts_on=starts_on, ends_on=ends_on, at=at))
    assert list(refusal.detail) == [field]


# --- propose ---------------------------------------------------------------------------------------


def test_a_proposal_weighs_fit_engagement_value_and_coverage(twenty: TargetList, at: datetime) -> None:
    small = standing(fit=80, score=10, coverage=50, revenue=100)
    rich = standing(fit=40, score=60.5, coverage=100, revenue=900)
    talking = standing(fit=60, score=0, coverage=0, revenue=1)
    OpportunityFactory(account=talking, amount=500)
    OpportunityFactory(account=talking, amount=250)
    OpportunityFactory(account=rich, stage="lost", amount=9_000, closed_on=date(2026, 2, 1), lost_reason="prijs")

    proposals = targets.propose(twenty, at=at)
    assert [(one.rank, one.account_id, one.name, one.points) for one in proposals] == [
        (1, rich.pk, rich.name, 54.15),  # .4 x 40 + .3 x 60.5 + .2 x 50 + .1 x 100
        (2, talking.pk, talking.name, 44.0),  # .4 x 60 + .2 x 100
        (3, small.pk, small.name, 40.0),  # .4 x 80 + .3 x 10 + .1 x 50
    ]
    assert proposals[0].reasons == [
        {"part": "fit", "value": 40, "weight": 0.4, "points": 16.0},
        {"part": "engagement", "value": 60.5, "weight": 0.3, "points": 18.15},
        {"part": "value", "value": 50.0, "weight": 0.2, "points": 10.0},
        {"part": "coverage", "value": 100, "weight": 0.1, "points": 10.0},
    ]


def test_the_weights_of_the_proposal_make_a_hundred_points(twenty: TargetList, at: datetime) -> None:
    standing()
    best = standing(fit=100, score=100, coverage=100, revenue=1)
    first = targets.propose(twenty, at=at)[0]
    assert (first.account_id, first.points, [part.points for part in first.parts]) == (best.pk, 100.0, [40, 30, 20, 10])


def test_the_numbers_of_the_policy_decide_the_order(twenty: TargetList, at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    fitting, active = standing(fit=90), standing(score=80)
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [fitting.pk, active.pk]
    monkeypatch.setattr(policy, "TARGETS", policy.Targets(fit_weight=0.1, engagement_weight=0.6))
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [active.pk, fitting.pk]


def test_equals_are_proposed_in_the_order_of_their_ids(twenty: TargetList, at: datetime) -> None:
    accounts = [standing(fit=50, name=name) for name in "ZYX"]
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [account.pk for account in accounts]


def test_an_account_that_was_never_scored_is_proposed_last(twenty: TargetList, at: datetime) -> None:
    new, scored = AccountFactory(), standing(fit=1)
    assert [(one.account_id, one.points, one.days_old) for one in targets.propose(twenty, at=at)] == [
        (scored.pk, 0.4, 9),
        (new.pk, 0.0, None),
    ]


@pytest.mark.parametrize(
    "facts",
    [{"status": "competitor"}, {"contract_conflict": True}, {"opted_out_at": AT - timedelta(days=1)}],
    ids=lambda facts: next(iter(facts)),
)
def test_who_may_not_be_approached_is_never_proposed_and_cannot_be_picked(
    twenty: TargetList, at: datetime, rep: User, facts: dict[str, object]
) -> None:
    account = standing(fit=100, name="Nee BV", **facts)
    assert targets.propose(twenty, at=at) == []
    assert targets.fill(twenty, at=at, by=rep) == []
    refusal = refused(NotEligible, lambda: targets.pick(twenty, account=account, at=at, by=rep))
    sentences = {
        "status": "Nee BV is a competitor.",
        "contract_conflict": "Nee BV is in a contract conflict with us.",
        "opted_out_at": "Nee BV does not want to be approached.",
    }
    assert (str(refusal), refusal.detail) == (sentences[next(iter(facts))], {"account": account.pk})


def test_own_and_unowned_accounts_are_proposed_but_not_another_teams(twenty: TargetList, team: Team, at: datetime, rep: User) -> None:
    own, nobodys, theirs = standing(team=team), standing(), standing(team=TeamFactory(), name="Van hen")
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [own.pk, nobodys.pk]
    assert str(refused(NotEligible, lambda: targets.pick(twenty, account=theirs, at=at, by=rep))) == "Van hen belongs to another team."


def test_customers_are_proposed_too(twenty: TargetList, at: datetime) -> None:
    assert [one.account_id for one in targets.propose(twenty, at=at)] == []
    customer = standing(status="customer")
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [customer.pk]


def test_the_proposal_says_which_accounts_are_on_the_list(twenty: TargetList, at: datetime, rep: User) -> None:
    listed, other = standing(fit=10), standing(fit=5)
    targets.pick(twenty, account=listed, at=at, by=rep, slot=7)
    assert [(one.account_id, one.slot) for one in targets.propose(twenty, at=at)] == [(listed.pk, 7), (other.pk, None)]


def test_a_proposal_takes_one_query_however_many_accounts(twenty: TargetList, at: datetime, django_assert_num_queries: Callable) -> None:
    for fit in range(60):
        OpportunityFactory(account=standing(fit=fit), amount=fit)
    with django_assert_num_queries(1):
        assert len(targets.propose(twenty, at=at)) == 60


def test_percentiles_count_who_is_worth_less() -> None:
    worth = {1: (Decimal(0), Decimal(5)), 2: (Decimal(1), Decimal(0)), 3: (Decimal(0), Decimal(5)), 4: (Decimal(0), Decimal(9))}
    assert ranking.percentiles(worth) == {1: 0.0, 3: 0.0, 4: 66.7, 2: 100.0}
    assert ranking.percentiles({1: (Decimal(9),)}) == {1: 0.0}
    assert ranking.percentiles({}) == {}


def test_every_reason_has_its_sentence(twenty: TargetList, at: datetime) -> None:
    standing(revenue=1)
    standing(fit=40, score=60.5, coverage=100, revenue=900)
    with override("en"):
        assert [targets.reason_in_words(reason) for reason in targets.propose(twenty, at=at)[0].reasons] == [
            "fits the ideal customer profile for 40 of 100: 16 points",
            "engagement score 60.5 of 100: 18.15 points",
            "worth more than 100% of the accounts in question: 20 points",
            "we reach 100% of the roles that decide: 10 points",
        ]


# --- fill ------------------------------------------------------------------------------------------


def test_filling_takes_the_twenty_best_in_order_with_their_reasons(twenty: TargetList, at: datetime, rep: User) -> None:
    accounts = [standing(fit=fit) for fit in range(25)]
    added = targets.fill(twenty, at=at, by=rep)
    assert on(twenty) == dict(enumerate(reversed(accounts[5:]), start=1))
    assert added[0].reasons == targets.propose(twenty, at=at)[0].reasons
    assert {(slot.is_pinned, slot.added_by, slot.added_at) for slot in added} == {(False, rep, at)}
    assert {row.history_user for row in TargetAccount.history.all()} == {rep}


def test_filling_again_keeps_the_pinned_and_lets_others_make_way(twenty: TargetList, at: datetime, rep: User) -> None:
    accounts = [standing(fit=fit) for fit in range(20)]
    targets.fill(twenty, at=at, by=rep)
    last, second_last = TargetAccount.objects.get(slot=20), TargetAccount.objects.get(slot=19)
    targets.pin(last, by=rep, at=at)
    better = standing(fit=99)

    added = targets.fill(twenty, at=at, by=rep)
    assert [(slot.account, slot.slot) for slot in added] == [(better, 19)]
    assert on(twenty)[20] == accounts[0]
    assert not TargetAccount.objects.filter(pk=second_last.pk).exists()


def test_filling_twice_changes_nothing(twenty: TargetList, at: datetime, rep: User) -> None:
    for fit in range(22):
        standing(fit=fit)
    targets.fill(twenty, at=at, by=rep)
    before = stored()
    assert targets.fill(twenty, at=at, by=rep) == []
    assert stored() == before


def test_filling_respects_a_smaller_list(twenty: TargetList, at: datetime, rep: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "TARGETS", policy.Targets(slots=3))
    for fit in range(5):
        standing(fit=fit)
    targets.fill(twenty, at=at, by=rep)
    assert sorted(on(twenty)) == [1, 2, 3]
    assert isinstance(refused(TargetListFull, lambda: targets.pick(twenty, account=AccountFactory(), at=at, by=rep)), TargetListFull)


# --- pick, swap, pin, reject, remove ----------------------------------------------------------------


def test_a_picked_account_takes_the_first_free_slot_and_is_pinned(twenty: TargetList, at: datetime, rep: User) -> None:
    targets.pick(twenty, account=AccountFactory(), at=at, by=rep, slot=1)
    slot = targets.pick(twenty, account=AccountFactory(), at=at, by=rep)
    assert (slot.slot, slot.is_pinned, slot.reasons, slot.added_by, slot.added_at) == (2, True, [], rep, at)
    assert [(row.history_user, row.history_date) for row in slot.history.all()] == [(rep, at)]


def test_a_slot_that_is_taken_is_refused(twenty: TargetList, at: datetime, rep: User) -> None:
    targets.pick(twenty, account=AccountFactory(), at=at, by=rep, slot=3)
    other = AccountFactory()
    assert str(refused(Conflict, lambda: targets.pick(twenty, account=other, at=at, by=rep, slot=3))) == "Slot 3 is taken."


@pytest.mark.parametrize("slot", [0, 21])
def test_there_is_no_slot_outside_the_twenty(twenty: TargetList, at: datetime, rep: User, slot: int) -> None:
    account = AccountFactory()
    refused(TargetListFull, lambda: targets.pick(twenty, account=account, at=at, by=rep, slot=slot))


def test_a_twenty_first_account_is_refused(twenty: TargetList, at: datetime, rep: User) -> None:
    for account in AccountFactory.create_batch(20):
        targets.pick(twenty, account=account, at=at, by=rep)
    one_too_many = AccountFactory()
    refusal = refused(TargetListFull, lambda: targets.pick(twenty, account=one_too_many, at=at, by=rep))
    assert str(refusal) == "A target list has 20 slots."


def test_an_account_is_on_a_list_once(twenty: TargetList, at: datetime, rep: User) -> None:
    account = AccountFactory(name="Dubbel")
    targets.pick(twenty, account=account, at=at, by=rep)
    assert str(refused(AccountTaken, lambda: targets.pick(twenty, account=account, at=at, by=rep))) == "Dubbel is on this list already."


def test_swapping_puts_another_account_in_the_slot(twenty: TargetList, at: datetime, rep: User, lead: User) -> None:
    first = standing(fit=9)
    (slot,) = targets.fill(twenty, at=at, by=rep)
    second = AccountFactory()
    swapped = targets.swap(slot, account=second, at=at + timedelta(hours=1), by=lead)
    assert (swapped.pk, swapped.slot, swapped.account, swapped.is_pinned, swapped.reasons) == (slot.pk, 1, second, True, [])
    assert [(row.account_id, row.history_user) for row in slot.history.order_by("history_id")] == [(first.pk, rep), (second.pk, lead)]


def test_swapping_a_slot_that_somebody_else_swapped_is_a_conflict(twenty: TargetList, at: datetime, rep: User) -> None:
    slot = targets.pick(twenty, account=AccountFactory(), at=at, by=rep)
    stale = TargetAccount.objects.get(pk=slot.pk)
    targets.swap(slot, account=AccountFactory(), at=at, by=rep)
    third = AccountFactory()
    refused(Conflict, lambda: targets.swap(stale, account=third, at=at, by=rep))
    refused(Conflict, lambda: targets.remove(stale, at=at, by=rep))


def test_swapping_for_an_account_that_is_on_the_list_or_not_eligible_is_refused(twenty: TargetList, at: datetime, rep: User) -> None:
    slot = targets.pick(twenty, account=AccountFactory(), at=at, by=rep)
    listed = targets.pick(twenty, account=AccountFactory(), at=at, by=rep).account
    competitor = AccountFactory(status="competitor")
    refused(AccountTaken, lambda: targets.swap(slot, account=listed, at=at, by=rep))
    refused(NotEligible, lambda: targets.swap(slot, account=competitor, at=at, by=rep))


def test_a_pin_can_be_set_and_taken_away(twenty: TargetList, at: datetime, rep: User) -> None:
    slot = targets.pick(twenty, account=AccountFactory(), at=at, by=rep)
    assert targets.unpin(slot, by=rep, at=at).is_pinned is False
    assert targets.pin(slot, by=rep, at=at).is_pinned is True
    assert [row.is_pinned for row in slot.history.order_by("history_id")] == [True, False, True]


def test_a_rejected_account_leaves_the_list_and_is_not_proposed_again(twenty: TargetList, at: datetime, rep: User) -> None:
    accounts = [standing(fit=2), standing(fit=1)]
    targets.fill(twenty, at=at, by=rep)
    rejection = targets.reject(twenty, account=accounts[0], reason=" te klein ", at=at, by=rep)
    assert (rejection.reason, rejection.rejected_by, rejection.rejected_at) == ("te klein", rep, at)
    assert targets.fill(twenty, at=at, by=rep) == []
    assert on(twenty) == {2: accounts[1]}
    targets.reject(twenty, account=accounts[0], reason="toch niet", at=at, by=rep)
    assert list(TargetRejection.objects.values_list("reason", flat=True)) == ["toch niet"]


def test_a_rejection_holds_for_its_own_list_only(twenty: TargetList, team: Team, at: datetime, rep: User) -> None:
    account = standing()
    targets.reject(twenty, account=account, reason="", at=at, by=rep)
    other = targets.draft(name="Najaar", team=team, owner=rep, starts_on=date(2026, 9, 1), ends_on=date(2026, 11, 1), at=at)
    assert [one.account_id for one in targets.propose(other, at=at)] == [account.pk]


def test_picking_a_rejected_account_takes_the_rejection_back(twenty: TargetList, at: datetime, rep: User) -> None:
    account = standing()
    targets.reject(twenty, account=account, reason="", at=at, by=rep)
    targets.pick(twenty, account=account, at=at, by=rep)
    assert on(twenty) == {1: account} and not TargetRejection.objects.exists()


def test_a_removed_account_may_be_proposed_again(twenty: TargetList, at: datetime, rep: User) -> None:
    account = standing()
    targets.remove(targets.pick(twenty, account=account, at=at, by=rep), by=rep, at=at)
    assert on(twenty) == {}
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [account.pk]


# --- activate and close -----------------------------------------------------------------------------


def test_activating_freezes_where_the_accounts_stand(twenty: TargetList, at: datetime, rep: User) -> None:
    known, new = standing(fit=70, score=33.3), AccountFactory()
    for account in (known, new):
        targets.pick(twenty, account=account, at=at, by=rep)
    targets.activate(twenty, at=at, by=rep)
    assert (twenty.status, twenty.activated_at) == ("active", at)
    frozen = TargetAccount.objects.order_by("slot").values_list("fit_at_start", "score_at_start", "active_team")
    assert list(frozen) == [(70, Decimal("33.3"), twenty.team_id), (0, Decimal("0.0"), twenty.team_id)]
    assert [(row.status, row.history_user) for row in twenty.history.order_by("history_id")] == [("draft", rep), ("active", rep)]


def test_activating_freezes_the_nearest_other_accounts_in_the_order_of_slots(twenty: TargetList, at: datetime, rep: User) -> None:
    first = standing(fit=80, score=50, employees=100, industry="retail")
    second = standing(fit=80, score=50, employees=100, industry="retail")
    twin = standing(fit=80, score=50, employees=100, industry="Retail")
    far = standing(fit=20, score=10, employees=100, industry="software")
    standing(fit=80, score=50, employees=100, industry="retail", status="competitor")
    for account in (first, second):
        targets.pick(twenty, account=account, at=at, by=rep)
    targets.activate(twenty, at=at, by=rep)
    group = ComparisonAccount.objects.order_by("distance").values_list("account", "resembles", "distance", "fit_at_start", "score_at_start")
    # (0 size + 1 industry + .6 fit + .4 score) / 4
    assert list(group) == [(twin.pk, first.pk, 0.0, 80, Decimal("50.0")), (far.pk, second.pk, 0.5, 20, Decimal("10.0"))]


def test_the_comparison_group_leaves_out_accounts_of_any_active_list(twenty: TargetList, at: datetime, rep: User) -> None:
    treated, free = standing(), standing(fit=50)
    other = targets.draft(name="Hun", team=TeamFactory(), owner=None, starts_on=date(2026, 3, 1), ends_on=date(2026, 5, 1), at=at)
    targets.pick(other, account=treated, at=at, by=None)
    targets.activate(other, at=at, by=None)
    targets.pick(twenty, account=standing(), at=at, by=rep)
    targets.activate(twenty, at=at, by=rep)
    assert list(ComparisonAccount.objects.filter(target_list=twenty).values_list("account", flat=True)) == [free.pk]


def test_an_empty_list_is_not_activated(twenty: TargetList, at: datetime, rep: User) -> None:
    assert refused(AbmError, lambda: targets.activate(twenty, at=at, by=rep)).code == "target_list_empty"


def test_a_list_is_activated_once(twenty: TargetList, at: datetime, rep: User) -> None:
    targets.pick(twenty, account=AccountFactory(), at=at, by=rep)
    stale = TargetList.objects.get(pk=twenty.pk)
    targets.activate(twenty, at=at, by=rep)
    refused(WrongStatus, lambda: targets.activate(stale, at=at + timedelta(days=1), by=rep))


def test_a_list_with_an_account_that_opted_out_meanwhile_is_not_activated(twenty: TargetList, at: datetime, rep: User) -> None:
    account = targets.pick(twenty, account=AccountFactory(name="Stil"), at=at, by=rep).account
    Account.objects.filter(pk=account.pk).update(opted_out_at=at)
    refusal = refused(NotEligible, lambda: targets.activate(twenty, at=at, by=rep))
    assert (str(refusal), refusal.detail) == ("Stil does not want to be approached.", {"accounts": [account.pk]})


def test_an_account_of_an_active_list_is_kept_off_the_teams_other_lists(twenty: TargetList, team: Team, at: datetime, rep: User) -> None:
    account, other_account = standing(name="Bezet"), standing()
    second = targets.draft(name="Tweede", team=team, owner=rep, starts_on=date(2026, 3, 1), ends_on=date(2026, 5, 1), at=at)
    targets.pick(second, account=account, at=at, by=rep)
    targets.pick(twenty, account=account, at=at, by=rep)
    targets.activate(twenty, at=at, by=rep)

    refusal = refused(AccountTaken, lambda: targets.activate(second, at=at, by=rep))
    assert (str(refusal), refusal.detail) == ("On another active list of the team: Bezet.", {"accounts": [account.pk]})
    third = targets.draft(name="Derde", team=team, owner=rep, starts_on=date(2026, 3, 1), ends_on=date(2026, 5, 1), at=at)
    assert [one.account_id for one in targets.propose(third, at=at)] == [other_account.pk]
    refused(AccountTaken, lambda: targets.pick(third, account=account, at=at, by=rep))

    targets.close(twenty, at=at, by=rep)
    targets.activate(second, at=at, by=rep)
    assert second.status == "active"


def test_an_active_list_stays_as_it_began(twenty: TargetList, at: datetime, rep: User) -> None:
    slot, other = targets.pick(twenty, account=AccountFactory(), at=at, by=rep), AccountFactory()
    targets.activate(twenty, at=at, by=rep)
    for deed in (
        lambda: targets.fill(twenty, at=at, by=rep),
        lambda: targets.pick(twenty, account=other, at=at, by=rep),
        lambda: targets.swap(slot, account=other, at=at, by=rep),
        lambda: targets.unpin(slot, by=rep, at=at),
        lambda: targets.remove(slot, by=rep, at=at),
        lambda: targets.reject(twenty, account=slot.account, reason="", at=at, by=rep),
    ):
        refused(WrongStatus, deed)


def test_closing_frees_the_accounts_and_keeps_what_was_frozen(twenty: TargetList, at: datetime, rep: User) -> None:
    targets.pick(twenty, account=AccountFactory(), at=at, by=rep)
    AccountFactory()
    targets.activate(twenty, at=at, by=rep)
    targets.close(twenty, at=at + timedelta(days=56), by=rep)
    assert (twenty.status, twenty.closed_at) == ("closed", at + timedelta(days=56))
    assert list(TargetAccount.objects.values_list("active_team", "fit_at_start")) == [(None, 0)]
    assert ComparisonAccount.objects.count() == 1
    refused(WrongStatus, lambda: targets.close(twenty, at=at, by=rep))
    refused(WrongStatus, lambda: targets.activate(twenty, at=at, by=rep))


def test_a_draft_cannot_be_closed(twenty: TargetList, at: datetime, rep: User) -> None:
    refused(WrongStatus, lambda: targets.close(twenty, at=at, by=rep))


# --- the comparison group, pure ---------------------------------------------------------------------


def profile(account_id: int, employees: int | None = 100, industry: str = "retail", fit: int = 50, score: float = 50) -> Profile:
    return Profile(account_id, employees, industry, fit, Decimal(str(score)))


def test_distance_is_the_mean_of_four_parts() -> None:
    (match,) = comparison.group([profile(1, employees=9)], [profile(2, employees=99, industry="it", fit=30, score=90)])
    assert match.distance == pytest.approx((1 + 1 + 0.2 + 0.4) / 4)  # the smallest and the biggest differ wholly


def test_size_counts_by_magnitude() -> None:
    half, more = profile(2, employees=50), profile(3, employees=160)
    (match,) = comparison.group([profile(1, employees=100)], [half, more])
    assert match.nearest == more  # 60 more are less than 50 fewer


def test_equally_near_accounts_are_taken_by_id_and_each_once() -> None:
    listed, candidates = [profile(1), profile(2), profile(3)], [profile(12), profile(11)]
    matches = comparison.group(listed, candidates)
    assert [(match.listed.account_id, match.nearest.account_id, match.distance) for match in matches] == [(1, 11, 0.0), (2, 12, 0.0)]


def test_unknown_industries_do_not_resemble_each_other() -> None:
    (match,) = comparison.group([profile(1, industry="")], [profile(2, industry="")])
    assert match.distance == 0.25


def test_an_unknown_size_counts_as_the_policy_says() -> None:
    (match,) = comparison.group([profile(1, employees=None)], [profile(2, employees=10)])
    assert match.distance == 0.0


def test_more_accounts_can_be_compared_with_each_listed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "TARGETS", policy.Targets(comparison_per_account=2))
    matches = comparison.group([profile(1), profile(2)], [profile(11), profile(12), profile(13)])
    assert [(match.listed.account_id, match.nearest.account_id) for match in matches] == [(1, 11), (1, 12), (2, 13)]
