"""Nobody who was erased comes back: no rule writes on an erased contact or person, also not at the same moment."""

from datetime import date

import pytest

from crm import activities, contacts, privacy
from crm.errors import Conflict, Invalid
from crm.models import Activity, Contact, Departure, Person
from crm.new_activities import NewActivity
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory


def stored():
    return [list(model.objects.order_by("pk").values()) for model in (Person, Contact, Departure, Activity)]


@pytest.fixture
def erased(db, at):
    """A contact as somebody read it before the person was erased."""
    contact = ContactFactory(person__given_name="Jan", person__family_name="Bos", email="jan@klant.example")
    as_read = Contact.objects.select_related("person").get(pk=contact.pk)
    privacy.erase(contact.person, at=at)
    return as_read


WRITES = {
    "correct the job": lambda contact, at: contacts.correct(contact, job_title="Inkoper", at=at),
    "correct the name": lambda contact, at: contacts.correct(contact, given_name="Jan", at=at),
    "confirm the details": lambda contact, at: contacts.confirm_details(contact, at=at),
    "depart": lambda contact, at: contacts.depart(contact, left_on=date(2026, 3, 1), at=at),
    "carry over": lambda contact, at: contacts.carry_over(contact, to_account=AccountFactory(), at=at),
    "add another job": lambda contact, at: contacts.add(account=contact.account, person=contact.person, email="jan@x.example", at=at),
    "opt out": lambda contact, at: privacy.opt_out(contact.person, at=at),
    "opt in": lambda contact, at: privacy.opt_in(contact.person, at=at),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_on_somebody_who_was_erased_is_a_conflict_and_changes_nothing(erased, at, write):
    before = stored()

    with pytest.raises(Conflict, match="erased"):
        write(erased, at)

    assert stored() == before


def test_an_erased_job_is_not_carried_over_even_when_the_person_is_known_elsewhere(db, at):
    old = ContactFactory(left_on=date(2020, 1, 1))
    ContactFactory(person=old.person)
    privacy.retain(at=at)
    before = Contact.objects.count()
    to_account = AccountFactory()

    with pytest.raises(Conflict):
        contacts.carry_over(old, to_account=to_account, at=at)

    assert Contact.objects.count() == before


def test_a_mark_is_not_put_on_an_erased_contact(erased, at):
    before = stored()

    assert not contacts.suspect(erased, at=at)
    assert not contacts.find_address_invalid(erased, at=at)
    assert stored() == before


def test_an_activity_of_an_erased_contact_is_refused_and_the_other_rows_are_kept(erased, at):
    known = ContactFactory(account=erased.account)
    rows = [
        NewActivity(account_id=erased.account_id, kind="meeting", occurred_at=at, contact_id=contact.pk, subject="Jan Bos")
        for contact in (erased, known)
    ]

    refused, recorded = activities.record_many(rows, source="test", at=at)

    assert (refused.field, str(refused.error), recorded.created) == ("contact", "This person was erased.", True)
    assert [row.contact for row in Activity.objects.all()] == [known]


def test_an_activity_is_not_hung_on_an_erased_contact_and_one_of_theirs_gets_no_new_subject(erased, at):
    theirs, other = ActivityFactory(account=erased.account, contact=erased), ActivityFactory(account=erased.account)
    before = stored()

    with pytest.raises(Invalid, match="This person was erased"):
        activities.correct(other, at=at, contact=erased)
    with pytest.raises(Invalid, match="This person was erased"):
        activities.correct(theirs, at=at, subject="Gesprek met Jan Bos")

    assert stored() == before


def test_an_activity_of_an_erased_contact_can_still_be_judged_to_be_a_machines(erased, at):
    theirs = ActivityFactory(account=erased.account, contact=erased)

    activities.judge(theirs, machine_reason="prefetch", at=at)

    theirs.refresh_from_db()
    assert (theirs.machine_reason, theirs.contact_id) == ("prefetch", erased.pk)


def test_the_history_of_a_job_that_was_deleted_with_its_account_is_exported_and_erased(db, at):
    contact = ContactFactory(person__given_name="Jan", person__family_name="Bos", email="jan@klant.example", phone="+31201234567")
    other = ContactFactory(email="piet@klant.example", account=contact.account)
    number = contact.pk
    contact.account.delete()

    held = privacy.export_person(contact.person)["contact_history"]
    privacy.erase(contact.person, at=at)

    assert {row["email"] for row in held} == {"jan@klant.example"}
    assert set(Contact.history.filter(id=number).values_list("email", "phone")) == {("", "")}
    assert set(Contact.history.exclude(id=number).values_list("person_id", "email")) == {(other.person_id, "piet@klant.example")}


@pytest.fixture
def jan(committed):
    return ContactFactory(person__given_name="Jan", person__family_name="Bos", email="jan@klant.example")


CORRECTIONS = [{"given_name": "Johannes", "email": "jan@nieuw.example"}, {"family_name": "Bosch"}, {"job_title": "Inkoper"}]


@pytest.mark.postgres
@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("erases_first", [True, False])
def test_whoever_corrects_while_the_person_is_erased_writes_nothing_back(two_at_once, jan, at, correction, erases_first):
    person = Person.objects.get(pk=jan.person_id)
    deeds = [lambda: privacy.erase(person, at=at), lambda: contacts.correct(jan, at=at, **correction)]

    outcomes = two_at_once(*(deeds if erases_first else reversed(deeds)))

    jan.refresh_from_db()
    assert [type(outcome) for outcome in outcomes] == [type(None), Conflict if erases_first else type(None)]
    assert (jan.email, jan.job_title, jan.person.given_name, jan.person.family_name) == ("", "", "", "")
    assert not Person.history.exclude(given_name="", family_name="").exists()


@pytest.mark.postgres
def test_whoever_adds_a_job_while_the_person_is_erased_writes_nothing_back(two_at_once, jan, at):
    person, account = Person.objects.get(pk=jan.person_id), AccountFactory()

    outcomes = two_at_once(
        lambda: privacy.erase(person, at=at), lambda: contacts.add(account=account, person=person, email="jan@x.example", at=at)
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), Conflict]
    assert not account.contacts.exists()
