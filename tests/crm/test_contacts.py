"""Contacts: added, corrected, suspected, departed and back again, carried over."""

from datetime import date, timedelta

import pytest
from django.db.models import Model

from crm import contacts, dmu, errors, opportunities
from crm.events import contact_departed, dmu_changed
from crm.models import Confirmation, Contact, Departure, DmuMembership, FollowUp, Opportunity, Person, Suppression
from tests.factories.crm import AccountFactory, ConfirmationFactory, ContactFactory, MembershipFactory, OpportunityFactory, PersonFactory

TODAY = date(2026, 3, 10)


@pytest.fixture
def told():
    """Collect what was told, as (event, ids)."""
    heard = []

    def departed(contact_id, account_id, **_):
        heard.append(("contact_departed", contact_id, account_id))

    def changed(account_ids, **_):
        heard.append(("dmu_changed", *account_ids))

    contact_departed.connect(departed)
    dmu_changed.connect(changed)
    yield heard
    contact_departed.disconnect(departed)
    dmu_changed.disconnect(changed)


def snapshot(*models: type[Model], leaving_out: tuple[str, ...] = ()) -> dict[str, list[dict]]:
    """Give all rows of these models without the columns that count changes."""
    rows = {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}
    return {
        name: [{key: value for key, value in row.items() if key not in {*leaving_out, "change_serial"}} for row in found]
        for name, found in rows.items()
    }


@pytest.fixture
def account(db):
    return AccountFactory()


def test_adding_makes_a_person_and_the_job(account, rep, at):
    contact = contacts.add(
        account=account, at=at, given_name=" Jan ", family_name="de Vries", email=" Jan@Klant.example ", phone="020 123 4567",
        job_title="Directeur", function="management", legal_basis="consent", source="beurs", external_id="7", by=rep,
    )  # fmt: skip

    contact.refresh_from_db()
    assert (contact.person.given_name, contact.person.family_name) == ("Jan", "de Vries")
    assert (contact.email, str(contact.phone), contact.job_title) == ("Jan@Klant.example", "+31201234567", "Directeur")
    assert (contact.function, contact.legal_basis, contact.source, contact.external_id) == ("management", "consent", "beurs", "7")
    assert contact.history.get().history_user == contact.person.history.get().history_user == rep


def test_adding_a_known_person_makes_no_second_one(account, at):
    person = PersonFactory()

    contact = contacts.add(account=account, at=at, person=person, given_name="Genegeerd")

    assert contact.person == person
    assert Person.objects.count() == 1


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"family_name": ""}, "family_name"),
        ({"family_name": "x" * 101}, "family_name"),
        ({"email": "not an address"}, "email"),
        ({"phone": "call me"}, "phone"),
        ({"phone": "+31 1"}, "phone"),
        ({"function": "boss"}, "function"),
        ({"legal_basis": "because"}, "legal_basis"),
        ({"job_title": "x" * 151}, "job_title"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_by_field(account, at, facts, field):
    with pytest.raises(errors.Invalid) as refused:
        contacts.add(account=account, at=at, **({"family_name": "Smit"} | facts))

    assert list(refused.value.detail) == [field]
    assert str(refused.value.detail[field])
    assert not Person.objects.exists()
    assert not Contact.objects.exists()


def test_an_address_that_another_contact_of_the_account_has_is_refused_whatever_its_case(account, at):
    ContactFactory(account=account, email="Jan@klant.example")

    with pytest.raises(errors.Invalid) as refused:
        contacts.add(account=account, at=at, family_name="Smit", email="jan@KLANT.example")

    assert list(refused.value.detail) == ["email"]
    assert Contact.objects.count() == Person.objects.count() == 1


def test_an_underscore_in_an_address_is_no_wildcard(account, at):
    ContactFactory(account=account, email="jan.smit@klant.example")

    contacts.add(account=account, at=at, family_name="Smit", email="jan_smit@klant.example")

    assert Contact.objects.count() == 2


def test_the_same_address_may_stand_at_two_accounts(account, at):
    ContactFactory(email="jan@klant.example")

    assert contacts.add(account=account, at=at, family_name="Smit", email="jan@klant.example").pk


def test_the_same_id_of_the_same_source_is_refused(account, at):
    ContactFactory(source="erp", external_id="7")

    with pytest.raises(errors.Invalid) as refused:
        contacts.add(account=account, at=at, family_name="Smit", source="erp", external_id="7")

    assert list(refused.value.detail) == ["external_id"]
    assert Contact.objects.count() == 1


def test_a_person_holds_one_job_at_an_account_but_may_return_after_leaving(account, at):
    contact = ContactFactory(account=account)

    with pytest.raises(errors.Invalid) as refused:
        contacts.add(account=account, at=at, person=contact.person)
    assert list(refused.value.detail) == ["person"]

    contacts.depart(contact, left_on=TODAY, at=at)
    assert contacts.add(account=account, at=at, person=contact.person).left_on is None


def test_somebody_who_adds_the_same_contact_at_the_same_moment_gets_a_conflict(account, at, monkeypatch):
    ContactFactory(account=account, email="jan@klant.example")
    monkeypatch.setattr(contacts, "_taken", lambda contact: {})

    with pytest.raises(errors.Conflict):
        contacts.add(account=account, at=at, family_name="Smit", email="jan@klant.example")

    assert Contact.objects.count() == Person.objects.count() == 1


def test_correcting_changes_person_and_job_and_keeps_the_former_in_the_history(account, rep, at):
    contact = ContactFactory(account=account, email="oud@klant.example", address_invalid_at=at, job_title="Inkoper")

    contacts.correct(contact, at=at, by=rep, family_name="Jansen", email="nieuw@klant.example", phone="+31201234567", language="en")

    contact.refresh_from_db()
    assert (contact.email, str(contact.phone), contact.job_title) == ("nieuw@klant.example", "+31201234567", "Inkoper")
    assert (contact.person.family_name, contact.person.language) == ("Jansen", "en")
    assert contact.address_invalid_at is None
    assert contact.updated_at == at
    assert [row.email for row in contact.history.all()] == ["nieuw@klant.example", "oud@klant.example"]
    assert contact.history.first().history_user == contact.person.history.first().history_user == rep


def test_a_correction_that_keeps_the_address_keeps_what_is_known_of_it(account, at):
    contact = ContactFactory(account=account, email="jan@klant.example", address_invalid_at=at)

    contacts.correct(contact, at=at, email="Jan@klant.example", job_title="Chef")

    assert (contact.email, contact.address_invalid_at) == ("Jan@klant.example", at)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "nonsense"}, "email"),
        ({"email": "COLLEGA@klant.example"}, "email"),
        ({"phone": "zero"}, "phone"),
        ({"given_name": "", "family_name": " "}, "family_name"),
        ({"left_on": "2026-01-01"}, "left_on"),
    ],
)
def test_a_wrong_correction_is_refused_and_changes_nothing(account, at, changes, field):
    ContactFactory(account=account, email="collega@klant.example")
    contact = ContactFactory(account=account)
    before = snapshot(Contact, Person)

    with pytest.raises(errors.Invalid) as refused:
        contacts.correct(contact, at=at, **changes)

    assert list(refused.value.detail) == [field]
    assert snapshot(Contact, Person) == before


def test_an_erased_contact_is_not_corrected(account, at):
    contact = ContactFactory(account=account, erased_at=at)

    with pytest.raises(errors.Conflict):
        contacts.correct(contact, at=at, email="jan@klant.example")

    contact.refresh_from_db()
    assert contact.email != "jan@klant.example"


def test_confirming_the_details_records_when(account, at):
    contact = contacts.confirm_details(ContactFactory(account=account), at=at)

    assert Contact.objects.get().details_confirmed_at == contact.details_confirmed_at == at


def test_a_suspicion_is_marked_once_and_cleared(account, at, told, django_capture_on_commit_callbacks):
    contact = ContactFactory(account=account)

    with django_capture_on_commit_callbacks(execute=True):
        assert contacts.suspect(contact, at=at)
        assert not contacts.suspect(contact, at=at + timedelta(days=1))
    assert Contact.objects.get().departure_suspected_at == at
    assert told == [("dmu_changed", account.pk)]

    assert contacts.clear_suspicion(contact, at=at)
    assert not contacts.clear_suspicion(contact, at=at)
    assert Contact.objects.get().departure_suspected_at is None


def test_an_invalid_address_is_marked_once_until_it_is_corrected(account, at):
    contact = ContactFactory(account=account)

    assert contacts.find_address_invalid(contact, at=at)
    assert not contacts.find_address_invalid(contact, at=at + timedelta(days=1))
    assert not Contact.objects.mailable().exists()

    contacts.correct(contact, email="nieuw@bedrijf.example", at=at)
    assert Contact.objects.mailable().get() == contact


def test_who_departs_holds_no_role_any_more_and_the_history_keeps_them(account, rep, at, told, django_capture_on_commit_callbacks):
    contact = ContactFactory(account=account)
    standing = MembershipFactory(contact=contact, role="decider")
    for_deal = MembershipFactory(contact=contact, role="buyer", opportunity=OpportunityFactory(account=account))
    ended = MembershipFactory(contact=contact, role="user", until=date(2026, 2, 1), end_reason="moved")

    with django_capture_on_commit_callbacks(execute=True):
        departure = contacts.depart(contact, left_on=date(2026, 3, 5), at=at, by=rep, reason="Zei het zelf")

    contact.refresh_from_db()
    assert contact.left_on == date(2026, 3, 5)
    assert (departure.left_on, departure.recorded_at, departure.recorded_by, departure.reason) == (contact.left_on, at, rep, "Zei het zelf")
    found = DmuMembership.objects.in_bulk()
    assert [(found[row.pk].until, found[row.pk].end_reason, found[row.pk].departure) for row in (standing, for_deal, ended)] == [
        (date(2026, 3, 5), "left", departure),
        (date(2026, 3, 5), "left", departure),
        (date(2026, 2, 1), "moved", None),
    ]
    assert [row.until for row in standing.history.all()] == [date(2026, 3, 5), None]
    assert ("contact_departed", contact.pk, account.pk) in told


def test_a_role_that_began_after_the_day_of_leaving_ends_on_the_day_it_began(account, at):
    membership = MembershipFactory(contact__account=account, since=date(2026, 3, 8))

    contacts.depart(membership.contact, left_on=date(2026, 3, 1), at=at)

    membership.refresh_from_db()
    assert membership.until == date(2026, 3, 8)


def test_what_a_departed_contact_confirmed_is_withdrawn_and_breaks_the_gate(account, rep, at):
    deal = OpportunityFactory(account=account, owner=rep)
    leaver, stayer = ContactFactory(account=account), ContactFactory(account=account)
    budget = ConfirmationFactory(opportunity=deal, contact=leaver, kind="budget")
    timing = ConfirmationFactory(opportunity=deal, contact=stayer, kind="timing")
    deal = opportunities.advance(deal, to="opportunity", at=at)

    departure = contacts.depart(leaver, left_on=TODAY, at=at)

    budget.refresh_from_db()
    timing.refresh_from_db()
    deal.refresh_from_db()
    assert (budget.withdrawn_at, budget.departure, timing.withdrawn_at) == (at, departure, None)
    assert (deal.stage, deal.gate_broken_at) == ("opportunity", at)
    assert FollowUp.objects.open().get(reason="gate_broken").owner == rep


def test_a_departed_contact_is_neither_mailable_nor_reachable(account, at):
    contact = ContactFactory(account=account)

    contacts.depart(contact, left_on=TODAY, at=at)

    assert not Contact.objects.mailable().exists()
    assert not Contact.objects.reachable().exists()


def test_undoing_a_departure_restores_every_row(account, rep, at):
    deal = OpportunityFactory(account=account, owner=rep)
    leaver = ContactFactory(account=account, departure_suspected_at=at)
    MembershipFactory(contact=leaver, role="decider", stance="champion")
    MembershipFactory(contact=leaver, role="buyer", opportunity=deal, is_assumed=True)
    MembershipFactory(contact=leaver, role="user", until=date(2026, 2, 1), end_reason="left")
    for kind in ("budget", "authority", "timing"):
        ConfirmationFactory(opportunity=deal, contact=leaver, kind=kind)
    ConfirmationFactory(opportunity=deal, contact=leaver, kind="need", withdrawn_at=at, withdrawn_because="vergissing")
    opportunities.advance(deal, to="opportunity", at=at)
    models = (Contact, Person, DmuMembership, Confirmation, Opportunity, Suppression)
    # These count or date changes, and there were two of them.
    before = snapshot(*models, leaving_out=("updated_at", "revision"))

    departure = contacts.depart(leaver, left_on=TODAY, at=at)
    assert snapshot(*models, leaving_out=("updated_at", "revision")) != before
    contacts.undo_departure(departure, at=at + timedelta(hours=1), by=rep)

    assert snapshot(*models, leaving_out=("updated_at", "revision")) == before
    assert Departure.objects.get().undone_at == at + timedelta(hours=1)
    assert not FollowUp.objects.open().exists()
    assert dmu.holds(leaver, "decider", opportunity=None)


def test_who_departs_again_after_an_undo_is_gone_again(account, at):
    membership = MembershipFactory(contact__account=account)
    contact = membership.contact
    contacts.undo_departure(contacts.depart(contact, left_on=date(2026, 3, 1), at=at), at=at)

    second = contacts.depart(contact, left_on=TODAY, at=at)

    membership.refresh_from_db()
    assert (Contact.objects.get().left_on, membership.departure) == (TODAY, second)
    assert Departure.objects.filter(undone_at=None).get() == second


def test_the_departure_of_somebody_who_is_gone_is_a_conflict(account, at):
    contact = ContactFactory(account=account)
    contacts.depart(Contact.objects.get(pk=contact.pk), left_on=date(2026, 3, 1), at=at)

    with pytest.raises(errors.Conflict):
        contacts.depart(contact, left_on=TODAY, at=at)

    assert Contact.objects.get().left_on == date(2026, 3, 1)
    assert Departure.objects.count() == 1


def test_a_departure_that_is_still_to_come_is_refused(account, at):
    membership = MembershipFactory(contact__account=account)

    with pytest.raises(errors.Invalid) as refused:
        contacts.depart(membership.contact, left_on=date(2026, 3, 11), at=at)

    assert list(refused.value.detail) == ["left_on"]
    assert Contact.objects.active().exists()
    assert not Departure.objects.exists()


def test_undoing_twice_is_a_conflict(account, at):
    departure = contacts.depart(ContactFactory(account=account), left_on=TODAY, at=at)
    contacts.undo_departure(Departure.objects.get(), at=at)

    with pytest.raises(errors.Conflict):
        contacts.undo_departure(departure, at=at + timedelta(days=1))

    assert Departure.objects.get().undone_at == at


def test_a_departure_is_not_undone_when_the_person_came_back_as_another_contact(account, at):
    contact = ContactFactory(account=account)
    departure = contacts.depart(contact, left_on=TODAY, at=at)
    contacts.carry_over(contact, to_account=account, at=at)

    with pytest.raises(errors.Conflict):
        contacts.undo_departure(departure, at=at)

    assert Departure.objects.get().undone_at is None
    assert Contact.objects.get(pk=contact.pk).left_on == TODAY


def test_the_departure_of_an_erased_contact_is_not_undone(account, at):
    contact = ContactFactory(account=account)
    departure = contacts.depart(contact, left_on=TODAY, at=at)
    Contact.objects.update(erased_at=at)

    with pytest.raises(errors.Conflict):
        contacts.undo_departure(departure, at=at)

    assert Departure.objects.get().undone_at is None


def test_carrying_over_adds_the_same_person_at_the_next_employer(account, at):
    contact = ContactFactory(account=account, phone="+31201234567", function="it", legal_basis="consent", gone=True)
    next_account = AccountFactory()

    new = contacts.carry_over(contact, to_account=next_account, at=at, email="jan@nieuw.example", job_title="CTO")

    assert (new.person, new.account, new.email, new.job_title) == (contact.person, next_account, "jan@nieuw.example", "CTO")
    assert (new.phone, new.function, new.legal_basis) == ("", "", "unknown")
    assert Person.objects.count() == 1


def test_an_opt_out_comes_along_to_the_next_employer(account, at):
    contact = ContactFactory(account=account, person__opted_out_at=at)

    contacts.carry_over(contact, to_account=AccountFactory(), at=at, email="jan@nieuw.example")

    assert not Contact.objects.mailable().exists()
    assert not Contact.objects.reachable().exists()


def test_mail_to_an_account_that_opted_out_goes_to_nobody_there(at, db):
    ContactFactory(account__opted_out_at=at)

    assert not Contact.objects.mailable().exists()
