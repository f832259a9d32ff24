"""Values that no day of a sales team has: each is refused with the field it stands in, and nothing changes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from crm import activities, contacts, opportunities, policy
from crm.errors import Invalid
from crm.models import Activity, Confirmation, Departure, Opportunity, StageMove
from tests.crm.deals import proposal
from tests.factories.crm import AccountFactory, ContactFactory, OpportunityFactory

pytestmark = pytest.mark.django_db


def refused(field: str, deed, *args, **kwargs) -> str:
    with pytest.raises(Invalid) as refusal:
        deed(*args, **kwargs)
    assert list(refusal.value.detail) == [field]
    return str(refusal.value)


def test_a_deal_is_not_won_on_a_day_before_it_began(at):
    deal = proposal(at=at)
    StageMove.objects.create(opportunity=deal, to_stage="mql", moved_at=at - timedelta(days=9))
    before = {"closed_on": date(2026, 2, 28), "at": at}

    assert refused("closed_on", opportunities.win, deal, **before) == "The deal began later, on 2026-03-01."
    assert refused("closed_on", opportunities.lose, deal, reason="Te duur", **before) == "The deal began later, on 2026-03-01."

    assert Opportunity.objects.get(pk=deal.pk).stage == "proposal"
    assert opportunities.win(deal, at=at, closed_on=date(2026, 3, 1)).closed_on == date(2026, 3, 1)


def test_nobody_left_before_1950(at):
    contact = ContactFactory()

    assert refused("left_on", contacts.depart, contact, left_on=date(1949, 12, 31), at=at) == "This day lies before 1950."
    assert not Departure.objects.exists()
    assert contacts.depart(contact, left_on=date(1950, 1, 1), at=at).left_on == date(1950, 1, 1)


def test_nothing_happened_before_1990(at, monkeypatch):
    monkeypatch.setattr(policy, "RETENTION", replace(policy.RETENTION, activity_days=0))
    account = AccountFactory()
    facts = {"account": account, "kind": "meeting", "source": "admin", "at": at}

    refused("occurred_at", activities.record, occurred_at=datetime(1989, 12, 31, tzinfo=UTC), **facts)
    assert not Activity.objects.exists()
    assert activities.record(occurred_at=datetime(1990, 1, 1, tzinfo=UTC), **facts).pk


def test_nothing_was_confirmed_more_than_five_years_ago(at):
    deal = OpportunityFactory(stage="sql")
    facts = {"kind": "budget", "contact": ContactFactory(account=deal.account), "evidence": "Gezegd", "at": at}

    refused("confirmed_at", opportunities.confirm, deal, confirmed_at=at - timedelta(days=1826), **facts)
    assert not Confirmation.objects.exists()
    assert opportunities.confirm(deal, confirmed_at=at - timedelta(days=1825), **facts).pk


@pytest.mark.parametrize("currency", ["eur", "E1R", "€UR", "EUR\n", ""])
def test_a_currency_is_three_capital_letters(currency, at):
    refused("currency", opportunities.begin, account=AccountFactory(), name="Vloot", currency=currency, at=at)

    assert not Opportunity.objects.exists()
