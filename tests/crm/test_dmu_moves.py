"""Roles that pass from one seat to another, and back: both ends of a move, or nothing."""

from datetime import UTC, date, datetime, timedelta

import pytest

from crm import contacts, dmu, errors
from crm.models import Contact, DmuMembership, User
from tests.factories.crm import ContactFactory, OpportunityFactory


@pytest.fixture
def contact(db: None) -> Contact:
    return ContactFactory()


@pytest.fixture
def user(contact: Contact, at: datetime) -> DmuMembership:
    """The contact as user, a supporter, assumed, since a week."""
    return dmu.assign(contact=contact, role="user", stance="supporter", is_assumed=True, at=at - timedelta(days=7))


def held(contact: Contact) -> set[tuple[str, str, bool]]:
    return set(DmuMembership.objects.current().filter(contact=contact).values_list("role", "stance", "is_assumed"))


def test_move_ends_the_old_role_and_begins_the_new_with_stance_and_doubt(
    contact: Contact, user: DmuMembership, rep: User, at: datetime
) -> None:
    moved = dmu.move(user, role="buyer", by=rep, at=at)

    assert held(contact) == {("buyer", "supporter", True)}
    assert moved.ended is not None and moved.began is not None
    assert (moved.ended.pk, moved.ended.until, moved.ended.end_reason) == (user.pk, date(2026, 3, 10), "moved")
    assert (moved.began.role, moved.began.since, moved.began.said_by) == ("buyer", date(2026, 3, 10), rep)


def test_move_takes_a_new_stance_and_certainty_when_they_are_given(contact: Contact, user: DmuMembership, at: datetime) -> None:
    dmu.move(user, role="decider", stance="blocker", is_assumed=False, by=None, at=at)

    assert held(contact) == {("decider", "blocker", False)}


def test_move_to_the_same_role_sets_stance_and_certainty_alone(contact: Contact, user: DmuMembership, at: datetime) -> None:
    moved = dmu.move(user, role="user", stance="neutral", is_assumed=False, by=None, at=at)

    assert moved == dmu.Moved(None, None)
    assert DmuMembership.objects.get().pk == user.pk
    assert held(contact) == {("user", "neutral", False)}


def test_move_keeps_to_the_deal_that_the_role_was_for(contact: Contact, at: datetime) -> None:
    deal = OpportunityFactory(account=contact.account)
    specific = dmu.assign(contact=contact, role="user", opportunity=deal, at=at)

    dmu.move(specific, role="buyer", by=None, at=at)

    assert DmuMembership.objects.current().get().opportunity == deal


def test_move_into_a_role_held_already_begins_nothing(contact: Contact, user: DmuMembership, at: datetime) -> None:
    buyer = dmu.assign(contact=contact, role="buyer", at=at)

    moved = dmu.move(user, role="buyer", by=None, at=at)

    assert moved.began is None
    assert DmuMembership.objects.current().get().pk == buyer.pk


def test_role_that_ended_meanwhile_is_not_moved(contact: Contact, user: DmuMembership, at: datetime) -> None:
    dmu.end(DmuMembership.objects.get(pk=user.pk), reason="mistaken", by=None, at=at)

    with pytest.raises(errors.Conflict):
        dmu.move(user, role="buyer", by=None, at=at)

    assert held(contact) == set()


def test_move_to_no_role_that_exists_changes_nothing(contact: Contact, user: DmuMembership, at: datetime) -> None:
    with pytest.raises(errors.Invalid):
        dmu.move(user, role="koning", by=None, at=at)

    assert held(contact) == {("user", "supporter", True)}


def test_move_taken_back_leaves_everybody_where_they_sat(contact: Contact, user: DmuMembership, rep: User, at: datetime) -> None:
    moved = dmu.move(user, role="buyer", by=rep, at=at)

    dmu.take_back(ended=moved.ended, began=moved.began, by=rep, at=at + timedelta(minutes=1))

    user.refresh_from_db()
    assert held(contact) == {("user", "supporter", True)}
    assert (user.until, user.end_reason, user.since) == (None, "", date(2026, 3, 3))
    assert moved.began is not None and moved.began.end_reason == "mistaken"
    assert [row.history_user for row in DmuMembership.history.filter(id=user.pk)[:1]] == [rep]


def test_end_and_assignment_are_taken_back_alone(contact: Contact, user: DmuMembership, at: datetime) -> None:
    dmu.end(user, reason="moved", by=None, at=at)
    dmu.take_back(ended=user, began=None, by=None, at=at)
    assert held(contact) == {("user", "supporter", True)}

    began = dmu.assign(contact=contact, role="initiator", at=at)
    dmu.take_back(ended=None, began=began, by=None, at=at)
    assert held(contact) == {("user", "supporter", True)}


def test_what_changed_since_is_not_taken_back(contact: Contact, user: DmuMembership, at: datetime) -> None:
    moved = dmu.move(user, role="buyer", by=None, at=at)
    dmu.assign(contact=contact, role="user", at=at)

    with pytest.raises(errors.Conflict):
        dmu.take_back(ended=moved.ended, began=moved.began, by=None, at=at)

    assert {role for role, _stance, _doubt in held(contact)} == {"user", "buyer"}


def test_move_of_another_day_is_not_taken_back(contact: Contact, user: DmuMembership, at: datetime) -> None:
    moved = dmu.move(user, role="buyer", by=None, at=at)

    with pytest.raises(errors.Conflict):
        dmu.take_back(ended=moved.ended, began=moved.began, by=None, at=at + timedelta(days=1))

    assert held(contact) == {("buyer", "supporter", True)}


def test_role_of_somebody_who_left_is_not_taken_back(contact: Contact, user: DmuMembership, at: datetime) -> None:
    contacts.depart(contact, left_on=at.astimezone(UTC).date(), at=at)
    user.refresh_from_db()

    with pytest.raises(errors.Conflict):
        dmu.take_back(ended=user, began=None, by=None, at=at)

    assert held(contact) == set()
