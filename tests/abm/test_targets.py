"""Target lists by the rules: what a person changes in a draft, and what activation freezes."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from abm import policy, targets
from abm.errors import AbmError, AccountTaken, NotEligible, TargetListFull, WrongStatus
from abm.models import ComparisonAccount, TargetAccount, TargetList, TargetRejection
from crm.errors import Conflict, Invalid
from crm.models import Account, Team, User
from tests.abm.lists import on, refused, standing, stored
from tests.conftest import AT
from tests.factories.crm import AccountFactory, TeamFactory


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


# --- fill --------------------------------------------------------------------------------------


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


# --- pick, swap, pin, reject, remove -----------------------------------------------------------


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


# --- activate and close ------------------------------------------------------------------------


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
    # (0 size + 1 industry + 1 fit + 1 score) / 4: 25 points are wholly unlike
    assert list(group) == [(twin.pk, first.pk, 0.0, 80, Decimal("50.0")), (far.pk, second.pk, 0.75, 20, Decimal("10.0"))]


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
