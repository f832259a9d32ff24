"""Records that look like one: found by keys, told with the reason, and 'no duplicate' is remembered."""

from datetime import datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from crm import duplicates
from crm.duplicates import compare, names
from crm.duplicates.compare import Company, Human
from crm.errors import Conflict
from crm.models import Account, AccountPair, ContactPair, User
from tests.factories.crm import AccountFactory, ContactFactory


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bakkerij Bos B.V.", "bakkerij bos"),
        ("Müller GmbH & Co. KG", "Muller"),
        ("Søren Jensen A/S", "Soren Jensen"),
        ("N.V. Nuon", "Nuon NV"),
        ("Société Générale S.A.", "societe generale"),
        ("Acme, Inc.", "ACME Ltd"),
        ("Brouwers Holding BV", "Brouwers Groep"),
        ("L'Oréal", "LOreal S.A."),
        ("Van der Berg B. V.", "Berg, van der"),
    ],
)
def test_legal_forms_diacritics_and_order_tell_nothing_apart(one: str, other: str) -> None:
    assert names.likeness(one, other) == 100


@pytest.mark.parametrize(("one", "other"), [("Bakkerij Bos", "Bakkerij Jansen"), ("Depot 3", "Depot 4"), ("Albert", "Alliander")])
def test_other_names_are_other_companies(one: str, other: str) -> None:
    assert compare.companies(Company(one), Company(other)).certainty == 0


def test_place_speaks_for_or_against() -> None:
    here = compare.companies(Company("Bos BV", city="Ede", country="NL"), Company("Bos", city="EDE", country="NL"))
    there = compare.companies(Company("Bos BV", city="Ede", country="NL"), Company("Bos", city="Gent", country="BE"))
    assert (here.certainty, here.reasons) == (96, ("same_name", "same_country", "same_city"))
    assert (there.certainty, there.reasons) == (66, ("same_name", "other_country", "other_city"))


def test_domains_that_differ_in_their_ending_are_one_name() -> None:
    alike = compare.companies(Company("Acme", domain="acme.nl"), Company("Acme Benelux", domain="acme.co.uk"))
    assert alike.reasons == ("same_domain_name",)
    assert compare.companies(Company("A C M E", domain="acme.nl"), Company("Acme BV")).reasons == ("same_name", "name_is_domain")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("Jan de Vries", "J. de Vries", True),
        ("José Núñez", "Jose Nunez", True),
        ("Vries, Jan de", "Jan de Vries", True),
        ("Jan de Vries", "Piet de Vries", False),
        ("Jan Bos", "Jan Smit", False),
        ("", "Jan", False),
    ],
)
def test_people_are_compared_by_their_names(one: str, other: str, is_same: bool) -> None:
    assert duplicates.same_name(one, other) is is_same


def test_same_address_at_two_accounts_is_a_hint_only() -> None:
    one, other = (Human("Jan Bos", "jan@bos.nl", account_id=account) for account in (1, 2))
    assert compare.people(one, other) == duplicates.Likeness(72, ("same_address", "elsewhere"))


@pytest.mark.django_db
def test_search_finds_pairs_by_and_by_and_forgets_what_is_no_longer_alike(at: datetime) -> None:
    bos, other = AccountFactory(name="Bakkerij Bos BV", domain=""), AccountFactory(name="Slagerij Smit", domain="")
    assert duplicates.sweep("accounts", at=at) == 2
    assert duplicates.sweep("accounts", at=at) == 0
    twin = AccountFactory(name="Bakkerij Bos", domain="")
    assert duplicates.sweep("accounts", at=at) == 1
    pair = AccountPair.objects.get()
    assert (pair.one, pair.other, pair.certainty, pair.reasons) == (bos, twin, 90, ["same_name"])

    twin.name = "Drukkerij Kok"
    twin.save()
    duplicates.sweep("accounts", at=at)
    assert not AccountPair.objects.exists()
    assert other.pk


@pytest.mark.django_db
def test_no_duplicate_is_remembered(at: datetime, rep: User) -> None:
    AccountFactory(name="Bos BV", domain="")
    twin = AccountFactory(name="Bos", domain="")
    duplicates.sweep("accounts", at=at)
    pair = AccountPair.objects.get()
    duplicates.dismiss(pair, by=rep, at=at)
    with pytest.raises(Conflict):
        duplicates.dismiss(pair, by=rep, at=at)
    twin.save()
    duplicates.sweep("accounts", at=at)
    assert not AccountPair.objects.open().exists()
    duplicates.restore(pair)
    assert AccountPair.objects.open().count() == 1


@pytest.mark.django_db
def test_search_compares_no_more_than_stand_together(at: datetime, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    """A name that everybody has tells nothing: the block is passed over, and the number of statements stays the same."""
    Account.objects.bulk_create(Account(name=f"Bakkerij {number}", updated_at=at) for number in range(300))
    Account.objects.update(updated_at=at)
    with django_assert_max_num_queries(22):
        assert duplicates.sweep("accounts", at=at, limit=300) == 300
    assert AccountPair.objects.count() == 0


@pytest.mark.django_db
def test_contacts_are_alike_within_their_account_and_by_address_elsewhere(at: datetime) -> None:
    jan = ContactFactory(email="jan@bos.example", person__given_name="Jan", person__family_name="Bos")
    short = ContactFactory(account=jan.account, email="", person__given_name="J.", person__family_name="Bos")
    there = ContactFactory(email="JAN@bos.example", person__given_name="Jan", person__family_name="Bos")
    ContactFactory(email="", person__given_name="Jan", person__family_name="Bos")
    duplicates.sweep("contacts", at=at)

    found = {(pair.one_id, pair.other_id): pair.reasons for pair in ContactPair.objects.all()}
    assert found == {(jan.pk, short.pk): ["similar_name"], (jan.pk, there.pk): ["same_address", "elsewhere"]}


@pytest.mark.django_db
def test_new_account_is_compared_with_what_is_on_file_before_it_is_saved(at: datetime) -> None:
    bos = AccountFactory(name="Bakkerij Bos BV", domain="bos.example")
    duplicates.sweep("accounts", at=at)
    fresh = AccountFactory(name="Kok", domain="kok.example")

    assert duplicates.like_account(name="Bakkerij Bos") == [duplicates.Match(bos.pk, 90, ("same_name",))]
    assert duplicates.like_account(name="x", domain="www.kok.example") == [duplicates.Match(fresh.pk, 99, ("same_domain",))]
    assert duplicates.like_account(name="Drukkerij") == []


@pytest.mark.django_db
def test_new_contact_is_compared_with_the_account_and_the_address(at: datetime) -> None:
    jan = ContactFactory(email="jan@bos.example", person__given_name="Jan", person__family_name="Bos")
    here = duplicates.like_contact(account_id=jan.account_id, name="J. Bos")
    there = duplicates.like_contact(account_id=None, name="", email="JAN@bos.example")
    assert [(match.pk, match.reasons) for match in here + there] == [
        (jan.pk, ("similar_name",)),
        (jan.pk, ("same_address", "elsewhere")),
    ]


@pytest.mark.django_db
def test_pairs_show_to_who_sees_both(at: datetime, rep: User, marketer: User) -> None:
    AccountFactory(name="Bos", domain="", team=rep.team)
    other = AccountFactory(name="Bos BV", domain="")
    duplicates.sweep("accounts", at=at)
    assert (AccountPair.objects.visible_to(rep).count(), AccountPair.objects.visible_to(marketer).count()) == (0, 1)
    Account.objects.filter(pk=other.pk).update(team=rep.team, updated_at=at + timedelta(days=1))
    assert AccountPair.objects.visible_to(rep).count() == 1
