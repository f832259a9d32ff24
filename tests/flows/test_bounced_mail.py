"""From mail that comes back to a signal and away again: what a lost event misses, the night finds; what arrives later, withdraws."""

from datetime import timedelta

import pytest

from abm import nightly, refresh
from abm.models import JobChangeSignal
from crm import activities
from crm.models import Contact
from tests.abm.signals import bounce, stopped, worked
from tests.factories.crm import ContactFactory

pytestmark = pytest.mark.django_db


def test_the_night_judges_a_bounce_whose_event_was_lost(at):
    contact = worked(ContactFactory())
    bounce(contact, at=at)

    nightly.run(at.date(), clock=lambda: at + timedelta(hours=1))

    assert JobChangeSignal.objects.get().contact == contact
    assert stopped() == [contact.email]


def test_a_click_after_the_bounce_withdraws_the_suspicion_when_the_account_is_refreshed(at):
    contact = worked(ContactFactory())
    bounce(contact, at=at)
    nightly.run(at.date(), clock=lambda: at + timedelta(hours=1))
    clicked_at = at + timedelta(hours=2)
    activities.record(account=contact.account, contact=contact, kind="email_click", occurred_at=clicked_at, source="esp", at=clicked_at)

    refresh.changed(at=clicked_at)

    assert JobChangeSignal.objects.get().status == JobChangeSignal.Status.WITHDRAWN
    assert stopped() == []
    assert Contact.objects.get(pk=contact.pk).departure_suspected_at is None
