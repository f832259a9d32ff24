"""Ctrl+K: what is the user's own first, domain and e-mail before names, nothing of other teams, and few queries."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from crm.admin import search
from crm.models import Team, User
from tests.factories import crm as make


@pytest.fixture
def bakery(team: Team, rep: User) -> Any:
    return make.AccountFactory(name="Bakkerij Bos", domain="bos.example", team=team, owner=rep)


def titles(user: User, term: str) -> list[str]:
    return [hit.title for hit in search.find(user, term)]


def found(client: Client, term: str) -> str:
    return client.get("/admin/search/", {"s": term, "extended": "1"}).content.decode()


def test_own_account_comes_before_the_teams(bakery: Any, rep: User, lead: User) -> None:
    make.AccountFactory(name="Bakkerij Aan Zee", domain="zee.example", team=rep.team, owner=lead)

    assert titles(rep, "bakker") == ["Bakkerij Bos", "Bakkerij Aan Zee"]
    assert titles(lead, "bakker") == ["Bakkerij Aan Zee", "Bakkerij Bos"]


def test_exact_domain_comes_first_whoever_owns_it(bakery: Any, rep: User, lead: User) -> None:
    make.AccountFactory(name="Voorbeeld", domain="bos.example.nl", team=rep.team, owner=rep)
    make.AccountFactory(name="Echt", domain="echt.example", team=rep.team, owner=lead)
    make.AccountFactory(name="echt.example en meer", domain="", team=rep.team, owner=rep)

    assert titles(rep, "echt.example")[0] == "Echt"


def test_hits_say_in_words_what_they_are(bakery: Any, rep: User, lead: User) -> None:
    contact = make.ContactFactory(account=bakery, person__given_name="Anna", person__family_name="Bosman", email="anna@bos.example")
    make.OpportunityFactory(account=bakery, name="Bosoven", owner=lead, team=rep.team, stage="sql")

    words = {hit.title: hit.words for hit in search.find(rep, "bos")}
    assert words == {
        "Bakkerij Bos": "Account · mine · bos.example",
        str(contact.person): "Contact · Bakkerij Bos · anna@bos.example",
        "Bosoven": f"Opportunity · Bakkerij Bos · SQL · {lead}",
    }


def test_contact_is_found_by_address_and_by_both_names(bakery: Any, rep: User) -> None:
    make.ContactFactory(account=bakery, person__given_name="Anna", person__family_name="Jansen", email="aj@elders.example")

    assert titles(rep, "aj@elders") == ["Anna Jansen"]
    assert titles(rep, "anna jan") == ["Anna Jansen"]
    assert titles(rep, "anna piet") == []


def test_outsider_finds_nothing_of_another_team(bakery: Any, outsider: User, client: Client) -> None:
    make.ContactFactory(account=bakery, email="anna@bos.example")
    make.OpportunityFactory(account=bakery, name="Bosoven")
    client.force_login(outsider)

    assert titles(outsider, "bos") == []
    assert "Nothing found for “bos” among what you may see." in found(client, "bos")
    assert "Bakkerij" not in found(client, "bos")


def test_few_of_each_kind_are_shown_with_a_way_to_all(bakery: Any, rep: User, rep_client: Client) -> None:
    make.AccountFactory.create_batch(9, name="Bosbouw", team=rep.team, owner=rep)

    assert len(titles(rep, "bos")) == search.SHOWN
    assert 'href="/admin/crm/account/?q=bos"' in found(rep_client, "bos")


def test_too_few_letters_ask_for_more_and_read_nothing(bakery: Any, rep_client: Client) -> None:
    assert "Type two letters or more" in found(rep_client, "b")
    assert "Bakkerij" in found(rep_client, "ba")


def test_search_takes_six_queries(bakery: Any, rep_client: Client) -> None:
    found(rep_client, "bos")
    with CaptureQueriesContext(connection) as seen:
        found(rep_client, "bos")
    assert len(seen) <= 6, [query["sql"][:100] for query in seen]


def test_what_was_found_is_kept_nowhere(bakery: Any, rep: User, rep_client: Client) -> None:
    assert "Bakkerij Bos" in found(rep_client, "bos")
    type(bakery).objects.update(owner=None, team=make.TeamFactory())

    answer = rep_client.get("/admin/search/", {"s": "bos"})
    assert "Bakkerij" not in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]


def test_stranger_is_asked_to_sign_in(db: None, client: Client) -> None:
    assert client.get("/admin/search/", {"s": "bos"}).status_code == 302
