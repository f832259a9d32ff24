"""Follow-ups: one open item per reason and subject."""

from datetime import UTC, date, datetime

import pytest
from django.db import IntegrityError, transaction
from django.utils import translation

from crm import follow_ups
from crm.errors import Conflict, Invalid
from crm.models import FollowUp
from tests.factories.crm import AccountFactory, ContactFactory, UserFactory

pytestmark = pytest.mark.django_db


def successor(contact, at, **facts):
    return follow_ups.open(
        reason="find_successor", about=f"contact:{contact.pk}", account=contact.account, contact=contact,
        owner=None, due_on=date(2026, 3, 15), facts={"roles": ["decider"]}, at=at, **facts,
    )  # fmt: skip


def test_the_same_reason_about_the_same_subject_opens_one_item(at):
    contact = ContactFactory()

    assert successor(contact, at) == successor(contact, at)
    assert FollowUp.objects.count() == 1


def test_the_database_refuses_a_second_open_item_about_the_same_subject(at):
    first = successor(ContactFactory(), at)
    first.pk = None

    with pytest.raises(IntegrityError), transaction.atomic():
        first.save(force_insert=True)


def test_once_closed_the_same_reason_may_come_up_again(at):
    contact = ContactFactory()
    first = successor(contact, at)
    follow_ups.close(first, at=at, by=UserFactory(), result=" gevonden ")

    assert successor(contact, at) != first
    assert first.result == "gevonden"


def test_closing_twice_is_a_conflict_and_keeps_the_first_result(at):
    item = successor(ContactFactory(), at)
    follow_ups.close(item, at=at, result="eerste")

    with pytest.raises(Conflict):
        follow_ups.close(item, at=at, result="tweede")

    item.refresh_from_db()
    assert item.result == "eerste"


def test_an_item_cannot_be_reopened_beside_its_double(at):
    contact = ContactFactory()
    first = successor(contact, at)
    follow_ups.close(first, at=at)
    successor(contact, at)

    with pytest.raises(Conflict, match="open task for this already"):
        follow_ups.reopen(first, at=at)


def test_work_added_by_hand_needs_words(at):
    with pytest.raises(Invalid, match="Say what is to be done"):
        follow_ups.open(reason="by_hand", owner=None, due_on=at.date(), text="  ", at=at)

    assert not FollowUp.objects.exists()


def test_the_title_names_people_and_role_in_the_readers_language(at):
    contact = ContactFactory(person__given_name="Anna", person__family_name="Bakker", account=AccountFactory(name="Jansen BV"))
    item = successor(contact, at)

    with translation.override("en"):
        assert item.title == "Find the successor of Anna Bakker, decider at Jansen BV"


def test_a_due_day_is_counted_from_the_local_day():
    late_evening_utc = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)

    assert follow_ups.due_after(late_evening_utc, 5) == date(2026, 3, 7)
