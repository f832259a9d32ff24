"""Merging two contacts of one account: the person becomes one, and an unmerge makes two again."""

from datetime import date, datetime

import pytest

from abm.models import JobChangeSignal
from crm import contacts, merges, privacy
from crm.errors import Conflict, Invalid
from crm.merges import relations
from crm.models import Account, Activity, Contact, Merge, Person
from tests.crm.merging import two_accounts
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory
from tests.tables import checksums

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> Account:
    return AccountFactory(name="Bos")


@pytest.fixture
def jan(account: Account) -> Contact:
    return ContactFactory(account=account, email="jan@bos.example", person__given_name="Jan", person__family_name="Bos")


@pytest.fixture
def twin(account: Account) -> Contact:
    return ContactFactory(
        account=account, email="j.bos@bos.example", job_title="Directeur", person__given_name="J.", person__family_name="Bos"
    )


def test_every_relation_to_a_mergeable_record_was_thought_about() -> None:
    """A new table that points at accounts, contacts or persons: say in relations.decide what becomes of it in a merge."""
    assert relations.undecided() == []
    assert relations.unknown() == []


def test_all_that_two_contacts_have_is_restored(at: datetime) -> None:
    two = two_accounts(team=None, people=10, happenings=40, days=1)
    before = checksums()
    for first, second in ((0, 1), (0, 2), (2, 3), (3, 0), (4, 0)):
        one, other = (two.folded.contacts.order_by("pk")[number] for number in (first, second))
        done = merges.merge(one, other, choices={"email": "folded"}, by=None, at=at)
        assert not Person.objects.filter(pk=other.person_id).exists()
        merges.unmerge(done, by=None, at=at)
        now = checksums()
        assert {label for label in before if before[label] != now[label]} == set()


def test_activities_move_and_empty_facts_are_filled(jan: Contact, twin: Contact, at: datetime) -> None:
    ActivityFactory(account=jan.account, contact=twin)
    merges.merge(jan, twin, choices={}, by=None, at=at)

    kept = Contact.objects.get()
    assert (kept.pk, kept.email, kept.job_title) == (jan.pk, "jan@bos.example", "Directeur")
    assert Activity.objects.get().contact == kept
    assert merges.taken_into(Contact, twin.pk) == jan.pk


def test_who_still_works_there_by_one_record_does(jan: Contact, twin: Contact, at: datetime) -> None:
    contacts.depart(jan, left_on=date(2026, 3, 1), at=at)
    before = checksums()
    done = merges.merge(Contact.objects.get(pk=jan.pk), twin, choices={}, by=None, at=at)

    assert Contact.objects.get().left_on is None
    assert contacts.depart(Contact.objects.get(), left_on=date(2026, 3, 9), at=at).undone_at is None
    Contact.objects.get().departures.filter(undone_at=None).delete()
    Contact.objects.update(left_on=None)
    merges.unmerge(done, by=None, at=at)
    now = checksums()
    assert {label for label in before if before[label] != now[label]} <= {"crm.historicalcontact"}


def test_two_open_signals_become_one_that_undoes_what_both_did(jan: Contact, twin: Contact, at: datetime) -> None:
    for contact in (jan, twin):
        effects = [{"effect": "suspected", "step": "opened", "id": contact.pk}]
        JobChangeSignal.objects.create(account=contact.account, contact=contact, opened_at=at, effects=effects)
    before = checksums()
    done = merges.merge(jan, twin, choices={}, by=None, at=at)
    signal = JobChangeSignal.objects.get()
    assert {effect["id"] for effect in signal.effects} == {jan.pk}
    merges.unmerge(done, by=None, at=at)
    assert checksums() == before


def test_people_at_two_accounts_and_erased_ones_are_refused(jan: Contact, twin: Contact, at: datetime) -> None:
    with pytest.raises(Invalid):
        merges.merge(jan, ContactFactory(), choices={}, by=None, at=at)
    privacy.erase(twin.person, at=at)
    before = checksums()
    with pytest.raises(Conflict):
        merges.merge(jan, Contact.objects.get(pk=twin.pk), choices={}, by=None, at=at)
    assert checksums() == before


def test_persons_who_meet_again_at_another_account_are_merged_there_first(jan: Contact, twin: Contact, at: datetime) -> None:
    elsewhere = AccountFactory()
    one, other = (ContactFactory(account=elsewhere, person=contact.person) for contact in (jan, twin))
    with pytest.raises(Conflict, match="work together at another account"):
        merges.merge(jan, twin, choices={}, by=None, at=at)
    assert Contact.objects.count() == 4
    assert {one.person_id, other.person_id} == {jan.person_id, twin.person_id}


def test_merge_of_the_same_person_elsewhere_is_undone_first(jan: Contact, twin: Contact, at: datetime) -> None:
    first = merges.merge(jan, twin, choices={}, by=None, at=at)
    there = ContactFactory(person=jan.person)
    other = ContactFactory(account=there.account)
    second = merges.merge(other, there, choices={}, by=None, at=at)
    with pytest.raises(Conflict, match="Undo the later merge first"):
        merges.unmerge(first, by=None, at=at)
    merges.unmerge(Merge.objects.get(pk=second.pk), by=None, at=at)
    merges.unmerge(Merge.objects.get(pk=first.pk), by=None, at=at)
    assert Person.objects.count() == 3


def test_export_holds_what_a_merge_keeps(jan: Contact, twin: Contact, at: datetime) -> None:
    merges.merge(jan, twin, choices={}, by=None, at=at)

    told = str(privacy.export_person(jan.person)["merges"])
    assert "j.bos@bos.example" in told
    assert "J." in told


def test_erasure_reaches_what_a_merge_keeps_and_an_unmerge_brings_nobody_back(jan: Contact, twin: Contact, at: datetime) -> None:
    contacts.correct(twin, given_name="Johannes", email="johannes@bos.example", at=at)
    done = merges.merge(jan, Contact.objects.get(pk=twin.pk), choices={"family_name": "folded", "email": "folded"}, by=None, at=at)
    privacy.erase(Person.objects.get(), at=at)

    done.refresh_from_db()
    words = ("Johannes", "J.", "Jan", "Bos", "bos.example", "Directeur")
    assert [word for word in words if word in f"{done.steps} {done.kept_name} {done.folded_name}"] == []
    merges.unmerge(done, by=None, at=at)
    held = [*Person.objects.values_list("given_name", "family_name"), *Person.history.values_list("given_name", "family_name")]
    held += [*Contact.objects.values_list("email", "job_title"), *Contact.history.values_list("email", "job_title")]
    assert set(held) == {("", "")}
    assert Person.objects.filter(erased_at=None).count() == 0
