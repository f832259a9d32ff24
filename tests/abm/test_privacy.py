"""What abm holds on people leaves with them."""

import pytest
from django.apps import apps
from django.core import serializers

from abm import job_changes
from abm.models import SignalEvidence
from crm import contacts, privacy
from crm.models import Contact, Person
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory

pytestmark = pytest.mark.django_db


def signal_about(contact, at):
    return job_changes.suspect(
        contact,
        source="rep",
        key="rep:1",
        text="Zijn collega zei het",
        successor_name="Xandrion Quelbrant",
        successor_email="Xandrion@x.example",
        at=at,
    )


def test_an_export_holds_the_signals_about_a_person_with_their_evidence(at):
    contact = ContactFactory()
    signal_about(contact, at)

    held = privacy.export_person(contact.person)

    assert [row["successor_name"] for row in held["job_change_signals"]] == ["Xandrion Quelbrant"]
    assert [row["text"] for row in held["signal_evidence"]] == ["Zijn collega zei het"]


def test_erasing_a_person_blanks_the_evidence_and_whom_it_names(at):
    contact = ContactFactory()
    signal = signal_about(contact, at)

    privacy.erase(contact.person, at=at)

    signal.refresh_from_db()
    assert (signal.successor_name, signal.successor_email) == ("", "")
    assert [row.text for row in signal.evidence.all()] == [privacy.ERASED]


def test_erasing_a_successor_takes_the_name_out_of_the_signal_that_named_them(at):
    contact = ContactFactory()
    signal = signal_about(contact, at)
    successor = contacts.add(account=contact.account, given_name="Xandrion", family_name="Quelbrant", email="xandrion@x.example", at=at)

    privacy.erase(successor.person, at=at)

    signal.refresh_from_db()
    assert (signal.successor_name, signal.successor_email) == ("", "")


NAMED = {"successor_name": "Xandrion Quelbrant"}


def succeeded(contact, at, **naming):
    """Confirm that somebody left, with a successor who was named; give the signal and the successor."""
    MembershipFactory(contact=contact, role="decider")
    text = "Xandrion Quelbrant volgt op"
    signal = job_changes.suspect(contact, source="rep", key="rep:1", text=text, at=at, **(naming or NAMED))
    signal = job_changes.confirm(signal, at=at)
    return signal, Contact.objects.exclude(pk=contact.pk).get(account=contact.account)


def traces(*words):
    """List where any of these words stands, in every table."""
    found = []
    for model in apps.get_models():
        for row in serializers.serialize("jsonl", model._base_manager.all()).splitlines():
            found += [model.__name__ for word in words if word.lower() in row.lower()]
    return found


def test_a_successor_named_without_an_address_leaves_no_trace_when_erased(at):
    signal, successor = succeeded(ContactFactory(), at)
    assert len(set(traces("Xandrion", "Quelbrant"))) > 3

    privacy.erase(successor.person, at=at)

    signal.refresh_from_db()
    assert (signal.successor_name, signal.status) == ("", "confirmed")
    assert traces("Xandrion", "Quelbrant") == []


def test_a_successor_whose_name_was_corrected_since_leaves_no_trace_when_erased(at):
    _, successor = succeeded(ContactFactory(), at)
    contacts.correct(successor, family_name="Quelbrants", at=at)

    privacy.erase(successor.person, at=at)

    assert traces("Xandrion", "Quelbrant") == []


def test_a_colleague_named_as_successor_before_anybody_decided_leaves_no_trace_when_erased(at):
    contact = ContactFactory()
    signal_about(contact, at)
    colleague = ContactFactory(account=contact.account, person__given_name="Xandrion", person__family_name="Quelbrant", email="p@x.example")

    privacy.erase(colleague.person, at=at)

    assert traces("Xandrion", "Quelbrant") == []


def test_erasing_a_successor_keeps_what_the_bounced_mail_said_and_other_signals(at):
    signal, successor = succeeded(ContactFactory(), at)
    SignalEvidence.objects.create(signal=signal, source="bounce", key="report:1", text="550 5.1.1", seen_at=at)
    other = signal_about(ContactFactory(), at)

    privacy.erase(successor.person, at=at)

    assert list(signal.evidence.order_by("pk").values_list("text", flat=True)) == [privacy.ERASED, "550 5.1.1"]
    other.refresh_from_db()
    assert (other.successor_name, other.evidence.get().text) == ("Xandrion Quelbrant", "Zijn collega zei het")


def test_a_successor_taken_away_again_leaves_neither_name_nor_address_in_the_histories(at):
    signal, successor = succeeded(ContactFactory(), at, successor_name="Xandrion Quelbrant", successor_email="xandrion@x.example")
    job_changes.undo(signal, at=at)

    assert not Contact.objects.filter(pk=successor.pk).exists()
    assert not Contact.history.filter(id=successor.pk).exists()
    assert not Person.history.filter(id=successor.person_id).exists()
    assert set(traces("Xandrion", "Quelbrant")) == {"JobChangeSignal", "SignalEvidence"}


def test_taking_a_job_away_again_keeps_the_history_of_a_person_who_works_elsewhere(at):
    contact, elsewhere = ContactFactory(), AccountFactory()
    signal = job_changes.confirm(signal_about(contact, at), new_account=elsewhere, at=at)
    Person.history.bulk_history_create([contact.person])
    before = Person.history.filter(id=contact.person_id).count()

    job_changes.undo(signal, at=at)

    assert not elsewhere.contacts.exists()
    assert Person.history.filter(id=contact.person_id).count() == before > 0
