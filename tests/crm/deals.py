"""Deals on their way through the gate, made by the rules themselves."""

from datetime import date
from decimal import Decimal

from crm import opportunities
from crm.models import Opportunity
from tests.factories.crm import ContactFactory, MembershipFactory, OpportunityFactory

PRICED = {"amount": Decimal(5000), "expected_close_on": date(2026, 6, 1)}


def decider(opportunity):
    """Make somebody who decides at the account of a deal."""
    return MembershipFactory(contact=ContactFactory(account=opportunity.account), role="decider").contact


def confirmed(opportunity, *kinds, at, contact=None):
    """Confirm kinds on a deal by a decider, through the rule; give the confirmations by kind."""
    contact = contact or decider(opportunity)
    return {kind: opportunities.confirm(opportunity, kind=kind, contact=contact, evidence="Zei het.", at=at) for kind in kinds}


def proposal(at, **facts):
    """Take a deal to `proposal` on budget, authority and need."""
    deal = OpportunityFactory(**PRICED | facts)
    confirmed(deal, "budget", "authority", "need", at=at)
    for stage in ("opportunity", "proposal"):
        opportunities.advance(deal, to=stage, at=at)
    return deal


def snapshot(deal):
    """Give everything the database knows of a deal, to compare before and after a refusal."""
    row = Opportunity.objects.filter(pk=deal.pk).values().get()
    return row, deal.moves.count(), deal.history.count(), list(deal.confirmations.values_list("pk", "withdrawn_at"))
