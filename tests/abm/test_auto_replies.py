"""An automatic reply that says who left: evidence if it is the contact's own to a mail of ours, and nothing otherwise."""

from datetime import timedelta

import pytest

from abm import job_changes
from abm.models import JobChangeSignal, SignalEvidence
from crm import contacts, deliverability, events
from crm.models import Contact
from tests.abm.signals import everything, open_tasks, stopped
from tests.factories.crm import ContactFactory, DeliveryFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def told():
    """The report ids of every reply that says who left."""
    heard = []

    def listen(delivery_report_id, **_):
        heard.append(delivery_report_id)

    events.departure_told.connect(listen)
    yield heard
    events.departure_told.disconnect(listen)


@pytest.fixture
def contact():
    return ContactFactory(email="jan@molen.example")


def reply(contact, at, **facts):
    """Record what a reply of a contact to our mail says."""
    mail = DeliveryFactory(contact=contact, sent_at=at - timedelta(hours=1))
    usual = {
        "source": "mail", "external_id": str(mail.pk), "recipient": contact.email, "outcome": "not_a_bounce", "evidence": "Jan werkt hier niet meer.",
        "message_id": mail.message_id, "says_left": True, "successor_name": "Piet de Boer", "successor_email": "piet@molen.example",
    }  # fmt: skip
    return deliverability.record_report(**(usual | facts), at=at)


def test_it_opens_a_signal_with_the_successor_as_a_proposal(contact, at, told, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        report = reply(contact, at)
    assert told == [report.pk]

    signal = job_changes.assess(report.pk, at=at)

    assert (signal.contact, signal.status) == (contact, JobChangeSignal.Status.OPEN)
    assert (signal.successor_name, signal.successor_email) == ("Piet de Boer", "piet@molen.example")
    assert (signal.evidence.get().source, signal.evidence.get().text) == ("auto_reply", "Jan werkt hier niet meer.")
    assert stopped() == [contact.email]
    assert Contact.objects.count() == 1


def test_the_same_reply_counts_once_and_the_night_finds_one_whose_event_was_lost(contact, at):
    report = reply(contact, at)

    assert job_changes.assess_missed(since=at - timedelta(days=1), at=at, limit=10) == 1
    assert job_changes.assess_missed(since=at - timedelta(days=1), at=at, limit=10) == 0
    job_changes.assess(report.pk, at=at)

    assert (JobChangeSignal.objects.count(), SignalEvidence.objects.count()) == (1, 1)
    assert len(open_tasks("find_successor")) == 1


@pytest.mark.parametrize(
    "facts",
    [
        {"message_id": "<of.somebody@else.example>"},
        {"recipient": "receptie@molen.example"},
        {"recipient": ""},
        {"says_left": False},
    ],
)
def test_a_reply_to_no_mail_of_ours_or_of_somebody_else_changes_nothing(contact, at, facts, told, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        report = reply(contact, at, **facts)
    before = everything()

    assert job_changes.assess(report.pk, at=at) is None
    assert job_changes.assess_missed(since=at - timedelta(days=1), at=at, limit=10) == 0
    assert (told, everything()) == ([], before)


@pytest.mark.parametrize("address", ["info@molen.example", "jan@gmail.com"])
def test_the_mailbox_of_a_function_or_a_private_one_names_nobody(at, address):
    assert job_changes.assess(reply(ContactFactory(email=address), at).pk, at=at) is None
    assert not JobChangeSignal.objects.exists()


def test_who_left_already_is_not_suspected_again(contact, at):
    report = reply(contact, at)
    contacts.depart(contact, left_on=at.date(), at=at)

    assert job_changes.assess(report.pk, at=at) is None


def test_a_successor_at_the_persons_own_address_or_at_none_is_none(contact, at):
    job_changes.assess(reply(contact, at, successor_email="JAN@molen.example").pk, at=at)
    signal = JobChangeSignal.objects.get()
    assert (signal.successor_name, signal.successor_email) == ("", "")

    job_changes.assess(reply(contact, at, successor_email="piet at molen", successor_name="Piet").pk, at=at)
    signal.refresh_from_db()
    assert (signal.successor_name, signal.successor_email) == ("Piet", "")
