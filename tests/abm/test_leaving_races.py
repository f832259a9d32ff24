"""A contact who clicks twice, takes back what is being decided, or is asked by two at once."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail

from abm import job_changes, leavings
from abm.models import AnnouncedLeaving, JobChangeSignal
from crm import details
from crm.errors import Conflict, LinkClosed
from crm.models import Contact, DetailsRequest
from crm.policy import day_of
from tests.conftest import AT
from tests.factories.crm import ContactFactory

pytestmark = pytest.mark.postgres


@pytest.fixture
def asked(committed: None) -> DetailsRequest:
    return DetailsRequest.objects.create(contact=ContactFactory(), nonce="abc", asked_at=AT)


@pytest.mark.parametrize("days", [0, 10])
def test_the_same_click_twice_at_once_counts_once(two_at_once: Callable, asked: DetailsRequest, days: int) -> None:
    def leave() -> object:
        return leavings.announce(asked, leaves_on=day_of(AT) + timedelta(days=days), at=AT)

    assert two_at_once(leave, leave) == [None, None]
    assert AnnouncedLeaving.objects.count() == 1
    assert JobChangeSignal.objects.count() == (0 if days else 1)


def test_what_a_colleague_confirms_at_the_same_moment_cannot_be_taken_back(two_at_once: Callable, asked: DetailsRequest) -> None:
    leavings.announce(asked, leaves_on=day_of(AT), at=AT)
    signal = JobChangeSignal.objects.get()
    failures = two_at_once(lambda: job_changes.confirm(signal, at=AT), lambda: leavings.take_back(asked, at=AT))

    assert [type(failure) for failure in failures] == [type(None), LinkClosed]
    assert (JobChangeSignal.objects.get().status, AnnouncedLeaving.objects.get().taken_back_at) == ("confirmed", None)


def test_leaving_that_is_taken_back_as_its_day_is_acted_on_stays_taken_back(two_at_once: Callable, asked: DetailsRequest) -> None:
    later = AT + timedelta(days=10)
    leavings.announce(asked, leaves_on=day_of(later), at=AT)
    assert two_at_once(lambda: leavings.take_back(asked, at=later), lambda: leavings.act(at=later, limit=5)) == [None, None]
    assert not JobChangeSignal.objects.exists()


def test_two_who_ask_the_same_contact_at_once_send_one_mail(two_at_once: Callable, committed: None) -> None:
    contact = ContactFactory()

    def ask() -> object:
        return details.ask(Contact(pk=contact.pk), link=str, at=AT)

    failures = two_at_once(ask, ask)
    assert [type(failure) for failure in failures] == [type(None), Conflict]
    assert (len(mail.outbox), DetailsRequest.objects.count()) == (1, 1)
