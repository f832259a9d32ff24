"""Somebody who leaves at the very moment at which they confirm something or get a role."""

from datetime import date

import pytest

from crm import contacts, dmu, errors, opportunities
from crm.models import Confirmation, Contact, DmuMembership, Opportunity
from tests.conftest import AT
from tests.factories.crm import ContactFactory, OpportunityFactory

pytestmark = pytest.mark.postgres


def leaving(contact):
    return lambda: contacts.depart(Contact.objects.get(pk=contact.pk), left_on=date(2026, 3, 10), at=AT)


def confirming(contact, deal):
    def confirm():
        given_by = Contact.objects.get(pk=contact.pk)
        opportunities.confirm(Opportunity.objects.get(pk=deal.pk), kind="budget", contact=given_by, evidence="Zei het.", at=AT)

    return confirm


def test_a_confirmation_just_before_a_departure_is_withdrawn_by_it(two_at_once):
    deal = OpportunityFactory()
    contact = ContactFactory(account=deal.account)

    assert two_at_once(confirming(contact, deal), leaving(contact)) == [None, None]

    assert not Confirmation.objects.standing().exists()
    assert Confirmation.objects.get().withdrawn_because == "left the company"


def test_a_confirmation_just_after_a_departure_is_refused(two_at_once):
    deal = OpportunityFactory()
    contact = ContactFactory(account=deal.account)

    failures = two_at_once(leaving(contact), confirming(contact, deal))

    assert [type(failure) for failure in failures] == [type(None), errors.Invalid]
    assert not Confirmation.objects.exists()


def test_a_role_just_after_a_departure_is_refused(two_at_once):
    contact = ContactFactory()

    def assign():
        dmu.assign(contact=Contact.objects.get(pk=contact.pk), role="decider", at=AT)

    failures = two_at_once(leaving(contact), assign)

    assert [type(failure) for failure in failures] == [type(None), errors.Invalid]
    assert not DmuMembership.objects.exists()
