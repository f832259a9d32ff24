"""What abm holds on people leaves with them."""

import pytest

from abm import job_changes
from crm import contacts, privacy
from tests.factories.crm import ContactFactory

pytestmark = pytest.mark.django_db


def signal_about(contact, at):
    return job_changes.suspect(
        contact, source="rep", key="rep:1", text="Zijn collega zei het", successor_name="Piet Smit", successor_email="Piet@x.example", at=at
    )


def test_an_export_holds_the_signals_about_a_person_with_their_evidence(at):
    contact = ContactFactory()
    signal_about(contact, at)

    held = privacy.export_person(contact.person)

    assert [row["successor_name"] for row in held["job_change_signals"]] == ["Piet Smit"]
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
    successor = contacts.add(account=contact.account, given_name="Piet", family_name="Smit", email="piet@x.example", at=at)

    privacy.erase(successor.person, at=at)

    signal.refresh_from_db()
    assert (signal.successor_name, signal.successor_email) == ("", "")
