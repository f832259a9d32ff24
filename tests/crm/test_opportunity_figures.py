"""Putting the figures of a deal right, without touching its way through the gate."""

from datetime import date
from decimal import Decimal

import pytest

from crm import opportunities
from crm.errors import Conflict, Invalid
from crm.models import Opportunity
from tests.crm.deals import proposal
from tests.factories.crm import OpportunityFactory, TeamFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_figures_are_changed_with_who_did_it_in_the_history(at):
    deal, somebody = OpportunityFactory(), UserFactory()

    opportunities.change(deal, amount=Decimal(900), expected_close_on=date(2026, 5, 1), at=at, by=somebody)

    deal.refresh_from_db()
    assert (deal.amount, deal.expected_close_on, deal.stage) == (Decimal(900), date(2026, 5, 1), "sql")
    assert deal.history.first().history_user == somebody


def test_a_deal_goes_along_to_the_team_of_its_new_owner(at):
    deal, owner = OpportunityFactory(), UserFactory(team=TeamFactory())

    opportunities.change(deal, owner=owner, at=at)

    assert (deal.owner, deal.team) == (owner, owner.team)


@pytest.mark.parametrize(
    ("figure", "value"), [("stage", "won"), ("entry_budget_id", 1), ("gate_broken_at", None), ("imported_stage", "won"), ("account_id", 1)]
)
def test_what_the_gate_keeps_is_no_figure(at, figure, value):
    deal = OpportunityFactory()

    with pytest.raises(Invalid, match="cannot be changed here"):
        opportunities.change(deal, at=at, **{figure: value})

    assert Opportunity.objects.get(pk=deal.pk).stage == "sql"


@pytest.mark.parametrize(("figure", "value"), [("amount", Decimal(-1)), ("currency", "EURO"), ("name", " ")])
def test_a_figure_that_cannot_be_right_is_refused_by_name(at, figure, value):
    deal = OpportunityFactory(amount=Decimal(5))

    with pytest.raises(Invalid) as refusal:
        opportunities.change(deal, at=at, **{figure: value})

    assert list(refusal.value.detail) == [figure]
    assert Opportunity.objects.get(pk=deal.pk).amount == Decimal(5)


@pytest.mark.parametrize("figure", ["amount", "expected_close_on"])
def test_a_proposal_keeps_the_figures_it_was_entered_with(at, figure):
    deal = proposal(at)

    with pytest.raises(Invalid, match="The stage asks for this"):
        opportunities.change(deal, at=at, **{figure: None})

    assert getattr(Opportunity.objects.get(pk=deal.pk), figure) is not None


def test_two_people_changing_a_deal_at_once_one_of_them_hears_of_it(at):
    deal = OpportunityFactory()
    mine, theirs = Opportunity.objects.get(pk=deal.pk), Opportunity.objects.get(pk=deal.pk)
    opportunities.change(mine, amount=Decimal(1), at=at)

    with pytest.raises(Conflict):
        opportunities.change(theirs, amount=Decimal(2), at=at)

    assert Opportunity.objects.get(pk=deal.pk).amount == Decimal(1)
