"""Deals: how they begin, move through the gate, are won, lost and reopened."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from crm import errors, events, opportunities
from crm.models import Opportunity, StageMove
from tests.crm.deals import PRICED, confirmed, proposal, snapshot
from tests.factories.crm import (
    AccountFactory,
    OpportunityFactory,
    TeamFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 10)


def steps(deal):
    return list(deal.moves.order_by("id").values_list("from_stage", "to_stage"))


# --- beginning


def test_a_deal_begins_with_its_first_move_at_the_owner_of_the_account(rep, at):
    account = AccountFactory(owner=rep, team=rep.team)

    deal = opportunities.begin(account=account, name=" Vloot ", at=at, by=rep, amount=Decimal("10.50"))

    assert (deal.name, deal.stage, deal.stage_since, deal.owner, deal.team) == ("Vloot", "mql", at, rep, rep.team)
    move = deal.moves.get()
    assert (move.from_stage, move.to_stage, move.moved_at, move.moved_by, move.is_imported) == ("", "mql", at, rep, False)


def test_a_deal_goes_to_its_owners_team_and_without_one_to_the_accounts(rep, at):
    account = AccountFactory(team=TeamFactory())

    assert opportunities.begin(account=account, name="A", owner=rep, at=at).team == rep.team
    assert opportunities.begin(account=account, name="B", owner=UserFactory(), at=at).team == account.team


def test_the_same_external_id_gives_the_first_deal_back(at):
    account = AccountFactory()
    first = opportunities.begin(account=account, name="Een", at=at, source="web", external_id="7")

    again = opportunities.begin(account=account, name="Twee", at=at, source="web", external_id="7")

    assert (again, again.name) == (first, "Een")
    assert StageMove.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"stage": "proposal"}, "stage"),
        ({"stage": "won"}, "stage"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"amount": Decimal(-1)}, "amount"),
        ({"amount": Decimal(10**12)}, "amount"),
        ({"currency": "EURO"}, "currency"),
    ],
)
def test_a_deal_that_cannot_be_right_does_not_begin(wrong, field, at):
    facts = {"account": AccountFactory(), "name": "Vloot", "at": at} | wrong

    with pytest.raises(errors.Invalid) as refusal:
        opportunities.begin(**facts)

    assert list(refusal.value.detail) == [field]
    assert not Opportunity.objects.exists()


# --- moving


def test_a_deal_goes_all_the_way_one_stage_at_a_time(rep, at, django_capture_on_commit_callbacks):
    heard = []
    events.stage_moved.connect(lambda **facts: heard.append((facts["from_stage"], facts["to_stage"])), weak=False, dispatch_uid="test")
    with django_capture_on_commit_callbacks(execute=True):
        deal = opportunities.begin(account=AccountFactory(), name="Vloot", at=at - timedelta(days=1), **PRICED)
        opportunities.advance(deal, to="sql", at=at, by=rep)
        given = confirmed(deal, "budget", "authority", "need", at=at)
        opportunities.advance(deal, to="opportunity", at=at, by=rep, reason="Twee van drie")
        opportunities.advance(deal, to="proposal", at=at, by=rep)
        opportunities.win(deal, at=at, by=rep, closed_on=date(2026, 3, 9))
    events.stage_moved.disconnect(dispatch_uid="test")

    assert (deal.stage, deal.closed_on, deal.stage_since) == ("won", date(2026, 3, 9), at)
    assert (deal.entry_budget, deal.entry_authority, deal.entry_need, deal.entry_timing) == (
        given["budget"],
        given["authority"],
        given["need"],
        None,
    )
    path = [("", "mql"), ("mql", "sql"), ("sql", "opportunity"), ("opportunity", "proposal"), ("proposal", "won")]
    assert steps(deal) == heard == path
    assert deal.moves.get(to_stage="opportunity").reason == "Twee van drie"
    assert set(deal.moves.exclude(from_stage="").values_list("moved_by", flat=True)) == {rep.pk}


def test_every_move_leaves_a_row_in_the_history(at):
    deal = proposal(at)

    assert list(deal.history.order_by("history_id").values_list("stage", flat=True)) == ["sql", "opportunity", "proposal"]
    last = deal.history.latest()
    assert (last.entry_budget_id, last.amount, last.revision) == (deal.entry_budget_id, Decimal(5000), deal.revision)


@pytest.mark.parametrize(
    ("stage", "to"),
    [("mql", "opportunity"), ("mql", "won"), ("sql", "proposal"), ("sql", "mql"), ("sql", "sql"), ("sql", "lost"), ("sql", "nowhere")],
)
def test_no_stage_is_skipped_and_none_is_invented(stage, to, at):
    deal = OpportunityFactory(stage=stage, **PRICED)
    confirmed(deal, "budget", "authority", "need", "timing", at=at)
    before = snapshot(deal)

    with pytest.raises(errors.Invalid) as refusal:
        opportunities.advance(deal, to=to, at=at)

    assert refusal.value.code == "wrong_step"
    assert snapshot(deal) == before


def test_a_closed_gate_names_what_is_missing_and_changes_nothing(at):
    deal = OpportunityFactory()
    confirmed(deal, "budget", "need", at=at)
    before = snapshot(deal)

    with pytest.raises(errors.BantGateClosed) as refusal:
        opportunities.advance(deal, to="opportunity", at=at)

    assert (refusal.value.missing, refusal.value.detail["stage"]) == (["two_of_three"], "opportunity")
    assert snapshot(deal) == before
    assert opportunities.missing_for(deal, "opportunity", at=at) == ["two_of_three"]


def test_a_confirmation_opens_the_gate_for_180_days_and_not_a_day_longer(at):
    deal = OpportunityFactory()
    confirmed(deal, "budget", "timing", at=at)

    late = at + timedelta(days=181)
    with pytest.raises(errors.BantGateClosed) as refusal:
        opportunities.advance(deal, to="opportunity", at=late)
    assert refusal.value.missing == ["two_of_three", "budget_stale", "timing_stale"]

    assert opportunities.advance(deal, to="opportunity", at=at + timedelta(days=180)).stage == "opportunity"


def test_a_proposal_needs_amount_and_close_date_on_record(at):
    deal = OpportunityFactory()
    confirmed(deal, "budget", "timing", "need", at=at)
    opportunities.advance(deal, to="opportunity", at=at)
    deal.amount = Decimal(1)

    with pytest.raises(errors.BantGateClosed) as refusal:
        opportunities.advance(deal, to="proposal", at=at)

    assert refusal.value.missing == ["amount", "close_date"], "what was not saved does not count"


def test_a_deal_is_not_won_on_the_word_of_somebody_who_decides_no_more(at):
    deal = proposal(at)
    deal.entry_authority.contact.memberships.update(until=TODAY, end_reason="moved")
    before = snapshot(deal)

    with pytest.raises(errors.BantGateClosed) as refusal:
        opportunities.win(deal, at=at)

    assert refusal.value.missing == ["decider"]
    assert snapshot(deal) == before


def test_a_deal_is_won_today_unless_told_otherwise_but_never_tomorrow(at):
    deal = proposal(at)

    with pytest.raises(errors.BantGateClosed) as refusal:
        opportunities.advance(deal, to="won", at=at)
    assert refusal.value.missing == ["close_date"], "the bare step wants the day said"
    with pytest.raises(errors.Invalid):
        opportunities.win(deal, at=at, closed_on=TODAY + timedelta(days=1))

    assert opportunities.missing_for(deal, "won", at=at) == []
    assert opportunities.win(deal, at=at).closed_on == TODAY


def test_what_a_deal_once_entered_with_stays_when_it_moves_on(at):
    deal = OpportunityFactory(**PRICED)
    given = confirmed(deal, "budget", "authority", "timing", "need", at=at)
    opportunities.advance(deal, to="opportunity", at=at)
    opportunities.withdraw(given["budget"], because="Geschrapt", at=at)
    deal.refresh_from_db()

    opportunities.advance(deal, to="proposal", at=at)

    assert deal.gate_broken_at is None
    assert (deal.entry_budget, deal.entry_need) == (given["budget"], given["need"])


def test_a_reason_too_long_to_keep_is_refused_and_not_cut(at):
    deal = OpportunityFactory(stage="mql")
    before = snapshot(deal)

    with pytest.raises(errors.Invalid):
        opportunities.advance(deal, to="sql", at=at, reason="x" * 301)

    assert snapshot(deal) == before
    assert opportunities.advance(deal, to="sql", at=at, reason="x" * 300).moves.get().reason == "x" * 300


# --- losing and reopening


@pytest.mark.parametrize("stage", ["mql", "sql", "opportunity", "proposal"])
def test_a_deal_is_lost_from_any_open_stage(stage, rep, at):
    deal = OpportunityFactory(stage=stage, imported_stage=stage)

    opportunities.lose(deal, reason=" Te duur ", at=at, by=rep)

    assert (deal.stage, deal.lost_reason, deal.closed_on, deal.stage_since) == ("lost", "Te duur", TODAY, at)
    move = deal.moves.get()
    assert (move.from_stage, move.to_stage, move.reason, move.moved_by) == (stage, "lost", "Te duur", rep)
    assert deal.history.latest().stage == "lost"


def test_a_deal_is_not_lost_without_a_reason_nor_twice(at):
    deal = OpportunityFactory()

    with pytest.raises(errors.Invalid):
        opportunities.lose(deal, reason="", at=at)
    opportunities.lose(deal, reason="Prijs", at=at)
    before = snapshot(deal)
    with pytest.raises(errors.Invalid) as refusal:
        opportunities.lose(deal, reason="Prijs", at=at)

    assert refusal.value.code == "wrong_step"
    assert snapshot(deal) == before


def test_reopening_a_won_deal_takes_it_back_to_before_the_gate(rep, at):
    deal = opportunities.win(proposal(at), at=at)

    opportunities.reopen(deal, reason="Handtekening ingetrokken", at=at, by=rep)

    assert (deal.stage, deal.closed_on, deal.gate_broken_at) == ("sql", None, None)
    assert (deal.entry_budget, deal.entry_authority, deal.entry_need, deal.entry_timing) == (None, None, None, None)
    assert steps(deal)[-1] == ("won", "sql")
    assert deal.confirmations.standing().count() == 3


def test_reopening_a_lost_deal_forgets_why_it_was_lost(at):
    deal = opportunities.lose(OpportunityFactory(), reason="Prijs", at=at)

    opportunities.reopen(deal, reason="Toch wel", at=at)

    assert (deal.stage, deal.lost_reason, deal.closed_on) == ("sql", "", None)
    assert deal.moves.get(from_stage="sql").reason == "Prijs", "the move remembers"


def test_an_open_deal_is_not_reopened(at):
    deal = OpportunityFactory()
    before = snapshot(deal)

    with pytest.raises(errors.Invalid):
        opportunities.reopen(deal, reason="Zomaar", at=at)

    assert snapshot(deal) == before
