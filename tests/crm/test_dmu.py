"""Who holds which role: assigned, confirmed, ended, and held for an opportunity."""

from datetime import date, timedelta

import pytest
from django.db import IntegrityError, transaction

from crm import dmu, errors
from crm.events import dmu_changed
from crm.models import DmuMembership
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory, OpportunityFactory


@pytest.fixture
def told():
    """Collect the account ids of every dmu_changed."""
    heard = []

    def listen(account_ids, **_):
        heard.append(list(account_ids))

    dmu_changed.connect(listen)
    yield heard
    dmu_changed.disconnect(listen)


@pytest.fixture
def contact(db):
    return ContactFactory()


def test_assigning_gives_a_current_membership_of_the_contacts_account(contact, rep, at):
    membership = dmu.assign(contact=contact, role="decider", at=at, by=rep, stance="champion", is_assumed=True)

    membership.refresh_from_db()
    assert (membership.account, membership.contact, membership.opportunity) == (contact.account, contact, None)
    assert (membership.role, membership.stance, membership.is_assumed, membership.said_by) == ("decider", "champion", True, rep)
    assert (membership.since, membership.until) == (date(2026, 3, 10), None)


def test_assigning_tells_that_the_dmu_changed_when_it_is_committed(contact, at, told, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        dmu.assign(contact=contact, role="buyer", at=at)
        assert told == []

    assert told == [[contact.account_id]]


def test_assigning_twice_gives_the_same_row(contact, at):
    first = dmu.assign(contact=contact, role="buyer", at=at)
    again = dmu.assign(contact=contact, role="buyer", at=at + timedelta(days=3))

    assert again.pk == first.pk
    assert DmuMembership.objects.get().since == date(2026, 3, 10)


def test_assigning_confirms_what_was_assumed_and_takes_the_new_stance(contact, rep, at):
    dmu.assign(contact=contact, role="buyer", at=at, is_assumed=True)

    dmu.assign(contact=contact, role="buyer", at=at, by=rep, stance="sceptic")

    membership = DmuMembership.objects.get()
    assert (membership.is_assumed, membership.stance, membership.said_by) == (False, "sceptic", rep)


def test_assuming_what_is_confirmed_changes_nothing(contact, at):
    dmu.assign(contact=contact, role="buyer", at=at, stance="champion")

    dmu.assign(contact=contact, role="buyer", at=at, is_assumed=True)

    membership = DmuMembership.objects.get()
    assert (membership.is_assumed, membership.stance) == (False, "champion")


def test_a_contact_may_hold_several_roles_and_a_role_several_contacts(contact, at):
    colleague = ContactFactory(account=contact.account)

    dmu.assign(contact=contact, role="buyer", at=at)
    dmu.assign(contact=contact, role="user", at=at)
    dmu.assign(contact=colleague, role="buyer", at=at)

    assert DmuMembership.objects.current().count() == 3


def test_a_role_for_an_opportunity_stands_beside_the_standing_one(contact, at):
    deal = OpportunityFactory(account=contact.account)

    dmu.assign(contact=contact, role="buyer", at=at)
    dmu.assign(contact=contact, role="buyer", at=at, opportunity=deal)
    dmu.assign(contact=contact, role="buyer", at=at, opportunity=deal)

    assert [row.opportunity for row in DmuMembership.objects.order_by("pk")] == [None, deal]


@pytest.mark.parametrize(("facts", "field"), [({"role": "boss"}, "role"), ({"role": "user", "stance": "grumpy"}, "stance")])
def test_an_unknown_role_or_stance_is_refused(contact, at, facts, field):
    with pytest.raises(errors.Invalid) as refused:
        dmu.assign(contact=contact, at=at, **facts)

    assert list(refused.value.detail) == [field]
    assert not DmuMembership.objects.exists()


def test_somebody_who_left_gets_no_role(db, at):
    with pytest.raises(errors.Invalid) as refused:
        dmu.assign(contact=ContactFactory(gone=True), role="user", at=at)

    assert list(refused.value.detail) == ["contact"]
    assert not DmuMembership.objects.exists()


def test_a_role_for_another_accounts_opportunity_is_refused(contact, at):
    with pytest.raises(errors.Invalid) as refused:
        dmu.assign(contact=contact, role="user", at=at, opportunity=OpportunityFactory())

    assert list(refused.value.detail) == ["opportunity"]
    assert not DmuMembership.objects.exists()


@pytest.mark.parametrize("for_opportunity", [False, True])
def test_the_database_refuses_the_same_role_twice(contact, for_opportunity):
    deal = OpportunityFactory(account=contact.account) if for_opportunity else None
    MembershipFactory(contact=contact, role="user", opportunity=deal)

    with pytest.raises(IntegrityError), transaction.atomic():
        MembershipFactory(contact=contact, role="user", opportunity=deal)

    assert DmuMembership.objects.count() == 1


def test_confirming_says_who_said_so_and_writes_history(contact, rep, at, told, django_capture_on_commit_callbacks):
    membership = MembershipFactory(contact=contact, is_assumed=True)

    with django_capture_on_commit_callbacks(execute=True):
        dmu.confirm(membership, by=rep, at=at)

    membership.refresh_from_db()
    assert (membership.is_assumed, membership.said_by) == (False, rep)
    assert [(row.is_assumed, row.history_user) for row in membership.history.all()] == [(False, rep), (True, None)]
    assert told == [[contact.account_id]]


def test_confirming_what_is_confirmed_keeps_who_said_it_first(contact, rep, lead, at):
    membership = MembershipFactory(contact=contact, is_assumed=False, said_by=rep)

    dmu.confirm(membership, by=lead, at=at)

    membership.refresh_from_db()
    assert membership.said_by == rep
    assert membership.history.count() == 1


def test_a_stance_changes_and_the_former_stays_in_the_history(contact, rep, at):
    membership = MembershipFactory(contact=contact, stance="neutral")

    dmu.set_stance(membership, stance="blocker", by=rep, at=at)

    membership.refresh_from_db()
    assert membership.stance == "blocker"
    assert [row.stance for row in membership.history.all()] == ["blocker", "neutral"]


def test_an_unknown_stance_is_refused(contact, at):
    membership = MembershipFactory(contact=contact, stance="neutral")

    with pytest.raises(errors.Invalid):
        dmu.set_stance(membership, stance="grumpy", by=None, at=at)

    membership.refresh_from_db()
    assert membership.stance == "neutral"


def test_ending_keeps_the_row_with_its_day_and_reason(contact, at):
    membership = MembershipFactory(contact=contact)

    dmu.end(membership, reason="moved", by=None, at=at)

    membership.refresh_from_db()
    assert (membership.until, membership.end_reason) == (date(2026, 3, 10), "moved")
    assert [row.until for row in membership.history.all()] == [date(2026, 3, 10), None]


def test_a_role_that_begins_later_ends_on_the_day_it_begins(contact, at):
    membership = MembershipFactory(contact=contact, since=date(2026, 4, 1))

    dmu.end(membership, reason="mistaken", by=None, at=at)

    assert membership.until == date(2026, 4, 1)


def test_ending_without_a_known_reason_is_refused(contact, at):
    membership = MembershipFactory(contact=contact)

    with pytest.raises(errors.Invalid):
        dmu.end(membership, reason="because", by=None, at=at)

    membership.refresh_from_db()
    assert membership.until is None


@pytest.mark.parametrize(
    "act",
    [
        lambda row, at: dmu.end(row, reason="moved", by=None, at=at),
        lambda row, at: dmu.confirm(row, by=None, at=at),
        lambda row, at: dmu.set_stance(row, stance="champion", by=None, at=at),
    ],
    ids=["end", "confirm", "set_stance"],
)
def test_what_has_ended_meanwhile_is_a_conflict(contact, at, act):
    membership = MembershipFactory(contact=contact, is_assumed=True)
    dmu.end(DmuMembership.objects.get(), reason="mistaken", by=None, at=at)

    with pytest.raises(errors.Conflict):
        act(membership, at)

    membership.refresh_from_db()
    assert (membership.end_reason, membership.is_assumed, membership.stance) == ("mistaken", True, "neutral")


def test_a_role_may_be_held_again_after_it_ended(contact, at):
    dmu.end(dmu.assign(contact=contact, role="user", at=at), reason="moved", by=None, at=at)

    dmu.assign(contact=contact, role="user", at=at)

    assert DmuMembership.objects.count() == 2
    assert DmuMembership.objects.current().count() == 1


def test_a_standing_decider_holds_the_role_for_the_account_and_for_every_opportunity(contact):
    deal = OpportunityFactory(account=contact.account)
    MembershipFactory(contact=contact, role="decider")

    assert dmu.holds(contact, "decider", opportunity=None)
    assert dmu.holds(contact, "decider", opportunity=deal)
    assert not dmu.holds(contact, "buyer", opportunity=deal)


def test_a_decider_of_one_opportunity_overrides_the_standing_one_there_and_nowhere_else(contact):
    deal, other = OpportunityFactory(account=contact.account), OpportunityFactory(account=contact.account)
    special = ContactFactory(account=contact.account)
    MembershipFactory(contact=contact, role="decider")
    MembershipFactory(contact=special, role="decider", opportunity=deal)

    assert [dmu.holds(who, "decider", opportunity=deal) for who in (contact, special)] == [False, True]
    assert [dmu.holds(who, "decider", opportunity=other) for who in (contact, special)] == [True, False]
    assert [dmu.holds(who, "decider", opportunity=None) for who in (contact, special)] == [True, False]


def test_an_override_in_one_role_leaves_the_other_roles_standing(contact):
    deal = OpportunityFactory(account=contact.account)
    MembershipFactory(contact=contact, role="decider")
    MembershipFactory(contact=ContactFactory(account=contact.account), role="buyer", opportunity=deal)

    assert dmu.holds(contact, "decider", opportunity=deal)


def test_an_override_that_ended_overrides_nothing(contact):
    deal = OpportunityFactory(account=contact.account)
    MembershipFactory(contact=contact, role="decider")
    special = ContactFactory(account=contact.account)
    MembershipFactory(contact=special, role="decider", opportunity=deal, until=date(2026, 2, 1), end_reason="moved")

    assert dmu.holds(contact, "decider", opportunity=deal)
    assert not dmu.holds(special, "decider", opportunity=deal)


def test_who_left_holds_nothing(db):
    gone = MembershipFactory(contact=ContactFactory(gone=True), role="decider").contact

    assert not dmu.holds(gone, "decider", opportunity=None)


def test_nobody_holds_a_role_for_another_accounts_opportunity(contact):
    MembershipFactory(contact=contact, role="decider")

    assert not dmu.holds(contact, "decider", opportunity=OpportunityFactory(account=AccountFactory()))
