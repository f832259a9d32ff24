"""Deals that two people move at once, and imported ones that never saw the gate."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, transaction

from crm import errors, opportunities
from crm.models import FollowUp, Opportunity
from tests.crm.deals import PRICED, confirmed, decider, snapshot
from tests.factories.crm import (
    AccountFactory,
    OpportunityFactory,
)

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 10)


# --- two people at once


def test_of_two_people_who_move_the_same_deal_one_wins_and_the_other_is_told(rep, lead, at):
    deal = OpportunityFactory()
    confirmed(deal, "budget", "timing", at=at)
    of_one, of_other = Opportunity.objects.get(pk=deal.pk), Opportunity.objects.get(pk=deal.pk)

    opportunities.advance(of_one, to="opportunity", at=at, by=rep)
    after = snapshot(deal)
    with pytest.raises(errors.Conflict):
        opportunities.advance(of_other, to="opportunity", at=at, by=lead)
    with pytest.raises(errors.Conflict):
        opportunities.lose(of_other, reason="Prijs", at=at, by=lead)

    assert snapshot(deal) == after
    assert deal.moves.get().moved_by == rep


def test_a_confirmation_withdrawn_between_reading_and_moving_is_a_conflict(at):
    deal = OpportunityFactory()
    given = confirmed(deal, "budget", "timing", at=at)
    as_read = Opportunity.objects.get(pk=deal.pk)

    opportunities.withdraw(given["budget"], because="Geschrapt", at=at)
    after = snapshot(deal)
    with pytest.raises(errors.Conflict):
        opportunities.advance(as_read, to="opportunity", at=at)

    assert snapshot(deal) == after
    assert after[0]["stage"] == "sql"


def test_a_plain_edit_by_somebody_else_is_not_lost_when_a_deal_moves(at):
    deal = OpportunityFactory(name="Oud")
    confirmed(deal, "budget", "timing", at=at)
    Opportunity.objects.filter(pk=deal.pk).update(name="Nieuw", amount=7)

    opportunities.advance(deal, to="opportunity", at=at)

    deal.refresh_from_db()
    assert (deal.name, deal.amount, deal.history.latest().name) == ("Nieuw", 7, "Nieuw")


def test_moving_a_deal_takes_a_fixed_number_of_queries(at, django_assert_max_num_queries):
    deal = OpportunityFactory(**PRICED)
    confirmed(deal, "budget", "authority", "need", "timing", at=at)

    with django_assert_max_num_queries(10):
        opportunities.advance(deal, to="opportunity", at=at)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_moves_in_two_transactions_exactly_one_is_made(at):
    deal = OpportunityFactory()
    confirmed(deal, "budget", "timing", at=at)

    def move(reason):
        return lambda read: opportunities.advance(read, to="opportunity", at=at, reason=reason)

    outcomes = at_once(deal, move("een"), move("twee"))

    assert sorted(outcomes) == ["Conflict", "done"]
    assert deal.moves.get().reason == ("een" if outcomes[0] == "done" else "twee")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_withdrawal_beside_a_move_leaves_no_whole_gate_without_its_confirmations(at):
    deal = OpportunityFactory()
    budget = confirmed(deal, "budget", "timing", at=at)["budget"]

    moved, withdrawn = at_once(
        deal,
        lambda read: opportunities.advance(read, to="opportunity", at=at),
        lambda read: opportunities.withdraw(budget, because="Geschrapt", at=at),
    )

    deal.refresh_from_db()
    assert withdrawn == "done"
    assert (moved, deal.stage, deal.gate_broken_at) in [("done", "opportunity", at), ("Conflict", "sql", None)]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_confirmations_at_once_are_both_kept(at):
    deal = OpportunityFactory()
    contact = decider(deal)

    def confirm(kind):
        return lambda read: opportunities.confirm(read, kind=kind, contact=contact, evidence="Ja.", at=at)

    assert at_once(deal, confirm("budget"), confirm("timing")) == ["done", "done"]

    deal.refresh_from_db()
    assert set(deal.confirmations.standing().values_list("kind", flat=True)) == {"budget", "timing"}
    assert deal.revision == 2


def at_once(deal, *deeds):
    """Read the deal once per deed, let all of them go at the same moment, each on its own connection; say how each ended."""
    gate = Barrier(len(deeds))

    def attempt(deed):
        try:
            read = Opportunity.objects.get(pk=deal.pk)
            gate.wait(timeout=10)
            deed(read)
        except errors.CrmError as refusal:
            return type(refusal).__name__
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(attempt, deeds))


# --- imported history


def test_imported_history_may_stand_where_no_gate_let_it_in():
    won = OpportunityFactory(stage="won", imported_stage="won", closed_on="2025-01-01")

    assert won.is_imported_history
    assert not Opportunity.objects.judged_by_gate().exists()


@pytest.mark.parametrize(
    ("change", "refused_by"),
    [
        ({"stage": "won", "closed_on": "2026-01-01"}, "gate_of_won|imported_means_this_stage"),
        ({"stage": "won", "closed_on": "2026-01-01", "imported_stage": ""}, "gate_of_won"),
        ({"imported_stage": "won"}, "imported_means_this_stage|history_only_from_birth"),
    ],
)
def test_the_database_refuses_to_win_an_imported_lead(change, refused_by):
    deal = OpportunityFactory(stage="mql", imported_stage="mql", amount=1)
    before = snapshot(deal)

    with pytest.raises(IntegrityError, match=refused_by), transaction.atomic():
        Opportunity.objects.filter(pk=deal.pk).update(**change)

    assert snapshot(deal) == before


def test_the_database_refuses_sql_that_wins_an_imported_lead():
    deal = OpportunityFactory(stage="mql", imported_stage="mql", amount=1)
    before = snapshot(deal)

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE crm_opportunity SET stage = 'won', closed_on = '2026-01-01' WHERE id = %s", [deal.pk])

    assert snapshot(deal) == before


def test_imported_history_moves_on_only_through_the_gate(at):
    deal = OpportunityFactory(stage="opportunity", imported_stage="opportunity", **PRICED)
    before = snapshot(deal)

    with pytest.raises(errors.BantGateClosed) as refusal:
        opportunities.advance(deal, to="proposal", at=at)
    assert refusal.value.missing == ["two_of_three", "need"]
    assert snapshot(deal) == before

    confirmed(deal, "budget", "timing", "need", at=at)
    assert opportunities.advance(deal, to="proposal", at=at).imported_stage == ""
    assert list(Opportunity.objects.judged_by_gate()) == [deal]


def test_an_imported_won_deal_reopened_finds_the_gate_in_its_way(at):
    deal = OpportunityFactory(stage="won", imported_stage="won", closed_on="2025-01-01")
    opportunities.reopen(deal, reason="Vervolg", at=at)

    with pytest.raises(IntegrityError), transaction.atomic():
        Opportunity.objects.filter(pk=deal.pk).update(stage="won", closed_on="2026-01-01")

    assert snapshot(deal)[0]["stage"] == "sql"


def test_withdrawing_breaks_no_gate_that_imported_history_never_saw(at):
    deal = OpportunityFactory(stage="proposal", imported_stage="proposal")
    given = confirmed(deal, "budget", at=at)["budget"]

    opportunities.withdraw(given, because="Geschrapt", at=at)

    deal.refresh_from_db()
    assert deal.gate_broken_at is None
    assert not FollowUp.objects.exists()


@pytest.mark.parametrize("move", ["advance", "lose"])
def test_an_imported_deal_without_an_account_waits_until_it_is_named(move, at):
    deal = OpportunityFactory(stage="mql", imported_stage="mql", account=None)
    go = {
        "advance": lambda: opportunities.advance(deal, to="sql", at=at),
        "lose": lambda: opportunities.lose(deal, reason="Prijs", at=at),
    }[move]
    before = snapshot(deal)

    with pytest.raises(errors.BantGateClosed) as refusal:
        go()
    assert refusal.value.missing == ["account"]
    assert snapshot(deal) == before

    account = AccountFactory()
    opportunities.name_account(deal, account=account, at=at)
    assert (deal.account, deal.stage, deal.imported_stage) == (account, "mql", "mql")
    assert go().moves.count() == 1


def test_an_account_once_named_is_not_named_again(at):
    deal = OpportunityFactory()
    before = snapshot(deal)

    with pytest.raises(errors.Invalid):
        opportunities.name_account(deal, account=AccountFactory(), at=at)

    assert snapshot(deal) == before
