"""Leavings that people announce themselves: kept until their day, open a signal then, and can be taken back."""

from datetime import timedelta

import pytest

from abm import job_changes, leavings
from abm.models import AnnouncedLeaving, JobChangeSignal
from crm import contacts, merges, privacy
from crm.errors import Invalid, LinkClosed
from crm.models import Contact, DetailsRequest, FollowUp, Suppression
from crm.policy import day_of
from tests.abm.signals import DAY, refused, situation
from tests.conftest import AT
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory, PersonFactory, UserFactory

pytestmark = pytest.mark.django_db
TODAY = day_of(AT)
SOON = TODAY + timedelta(days=10)


@pytest.fixture
def contact() -> Contact:
    person = PersonFactory(given_name="Saar", family_name="Molenaar")
    return MembershipFactory(contact__person=person, contact__account=AccountFactory(owner=UserFactory()), role="decider").contact


@pytest.fixture
def asked(contact: Contact) -> DetailsRequest:
    return DetailsRequest.objects.create(contact=contact, nonce="abc", asked_at=AT - DAY)


def test_day_that_has_come_opens_a_signal_on_the_contacts_own_word(asked: DetailsRequest) -> None:
    leaving = leavings.announce(asked, leaves_on=TODAY, successor_name="Jan Kok", at=AT)

    assert leaving.signal is not None
    assert (leaving.signal.status, leaving.signal.successor_name) == ("open", "Jan Kok")
    assert leaving.signal.evidence.get().source == "contact"
    assert [task.reason for task in FollowUp.objects.open()] == ["find_successor"]


def test_day_to_come_waits_and_acts_on_that_day_once(asked: DetailsRequest) -> None:
    leavings.announce(asked, leaves_on=SOON, at=AT)
    task = FollowUp.objects.open().get()
    assert (task.reason, task.owner) == ("leaves_soon", asked.contact.account.owner)
    assert "Saar Molenaar leaves" in task.title

    assert leavings.act(at=AT + 9 * DAY, limit=10) == 0
    assert leavings.act(at=AT + 10 * DAY, limit=10) == 1
    assert leavings.act(at=AT + 10 * DAY, limit=10) == 0
    assert JobChangeSignal.objects.get().status == "open"
    assert [task.reason for task in FollowUp.objects.open()] == ["find_successor"]


def test_said_twice_counts_once(asked: DetailsRequest) -> None:
    first = leavings.announce(asked, leaves_on=SOON, successor_name="Jan", at=AT)
    again = leavings.announce(asked, leaves_on=SOON, successor_name="Jan", at=AT + DAY)
    assert again == first
    assert (AnnouncedLeaving.objects.count(), FollowUp.objects.count()) == (1, 1)


def test_last_word_counts(asked: DetailsRequest) -> None:
    leavings.announce(asked, leaves_on=SOON, at=AT)
    leavings.announce(asked, leaves_on=TODAY, successor_name="Jan", at=AT + DAY)
    leavings.announce(asked, leaves_on=SOON, successor_name="Piet", at=AT + DAY)

    assert [(row.leaves_on, row.successor_name) for row in AnnouncedLeaving.objects.filter(taken_back_at=None)] == [(SOON, "Piet")]
    assert [signal.status for signal in JobChangeSignal.objects.all()] == ["withdrawn"]
    assert [task.reason for task in FollowUp.objects.open()] == ["leaves_soon"]


def test_mistake_taken_back_leaves_everything_as_it_was(asked: DetailsRequest) -> None:
    leavings.announce(asked, leaves_on=TODAY, at=AT)
    assert Suppression.objects.current().exists()
    before_tasks = FollowUp.objects.open().count()
    assert leavings.take_back(asked, at=AT + DAY)

    assert (before_tasks, FollowUp.objects.open().count()) == (1, 0)
    assert not Suppression.objects.current().exists()
    assert JobChangeSignal.objects.get().status == "withdrawn"
    assert Contact.objects.get(pk=asked.contact_id).departure_suspected_at is None
    assert not leavings.take_back(asked, at=AT + DAY)


def test_what_else_speaks_for_a_signal_keeps_it_open_when_the_word_is_taken_back(asked: DetailsRequest) -> None:
    leavings.announce(asked, leaves_on=TODAY, at=AT)
    signal = job_changes.suspect(asked.contact, source="rep", key="klik", text="Zei een collega.", at=AT)
    leavings.take_back(asked, at=AT + DAY)

    signal.refresh_from_db()
    assert signal.status == "open"
    assert [row.source for row in signal.evidence.all()] == ["contact", "rep", "contact"]


def test_decided_signal_is_no_announcement_any_more(asked: DetailsRequest) -> None:
    leaving = leavings.announce(asked, leaves_on=TODAY, at=AT)
    assert leaving.signal is not None
    job_changes.dismiss(leaving.signal, at=AT)
    assert leavings.standing(asked.contact) is None
    leavings.announce(asked, leaves_on=TODAY, at=AT + DAY)
    assert [signal.status for signal in JobChangeSignal.objects.order_by("pk")] == ["dismissed", "open"]


@pytest.mark.parametrize("days", [-800, 800])
def test_day_very_far_off_is_refused(asked: DetailsRequest, days: int) -> None:
    refusal = refused(Invalid, lambda: leavings.announce(asked, leaves_on=TODAY + timedelta(days=days), at=AT))
    assert set(refusal.detail) == {"leaves_on"}


def test_successors_address_that_is_none_is_refused(asked: DetailsRequest) -> None:
    refusal = refused(Invalid, lambda: leavings.announce(asked, leaves_on=TODAY, successor_email="jan@", at=AT))
    assert set(refusal.detail) == {"successor_email"}


def test_who_left_meanwhile_announces_nothing(asked: DetailsRequest) -> None:
    leavings.announce(asked, leaves_on=SOON, at=AT)
    contacts.depart(asked.contact, left_on=TODAY, at=AT)
    refused(LinkClosed, lambda: leavings.announce(asked, leaves_on=TODAY, at=AT))
    before = situation()
    assert leavings.act(at=AT + 20 * DAY, limit=10) == 0
    assert situation() == before


def test_erasing_the_contact_or_the_successor_takes_the_name_out_of_the_announcement(asked: DetailsRequest) -> None:
    successor = ContactFactory(account=asked.contact.account, person__given_name="Jan", person__family_name="Kok")
    leavings.announce(asked, leaves_on=SOON, successor_name="jan kok", at=AT)
    assert privacy.export_person(asked.contact.person)["announced_leavings"][0]["successor_name"] == "jan kok"

    privacy.erase(successor.person, at=AT)
    assert AnnouncedLeaving.objects.get().successor_name == ""


def test_merged_contacts_keep_what_was_said_last(asked: DetailsRequest) -> None:
    other = ContactFactory(account=asked.contact.account)
    second = DetailsRequest.objects.create(contact=other, nonce="def", asked_at=AT)
    leavings.announce(asked, leaves_on=SOON, at=AT)
    leavings.announce(second, leaves_on=SOON + timedelta(days=1), successor_name="Jan", at=AT + DAY)
    merge = merges.merge(asked.contact, other, choices={}, by=None, at=AT + DAY)

    said = AnnouncedLeaving.objects.get()
    assert (said.contact, said.leaves_on, said.successor_name) == (asked.contact, SOON + timedelta(days=1), "Jan")
    merges.unmerge(merge, by=None, at=AT + DAY)
    assert list(AnnouncedLeaving.objects.order_by("leaves_on").values_list("successor_name", flat=True)) == ["", "Jan"]
