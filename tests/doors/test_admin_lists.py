"""Lists: their tabs and saved views, a bound on queries, words when there is nothing, and pages that refuse in words."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.formats import date_format

from crm import follow_ups, saved_views
from crm.admin import finding, paging
from crm.models import Account, Contact, Opportunity, SavedView, Team, User
from tests.conftest import AT
from tests.factories import crm as make
from tests.factories.abm import StandingFactory

LIST = "/admin/crm/account/"
VIEWS = "/admin/crm/account/views/"


@pytest.fixture
def account(team: Team, rep: User) -> Account:
    return make.AccountFactory(name="Bakkerij Bos", domain="bos.example", team=team, owner=rep)


def bar(client: Client, query: str = "", page: str = LIST) -> dict[str, Any]:
    return client.get(f"{page}?{query}").context["views"]


def here(client: Client, query: str = "", page: str = LIST) -> list[str]:
    shown = bar(client, query, page)
    return [str(tab["label"]) for tab in [*shown["tabs"], *shown["saved"]] if tab["is_here"]]


def listed(client: Client, query: str = "", page: str = LIST) -> list[str]:
    return [str(row) for row in client.get(f"{page}?{query}").context["cl"].result_list]


# --- tabs --------------------------------------------------------------------------------------------


def test_rep_begins_with_the_own_accounts_and_finds_the_others_one_tab_on(account: Account, lead: User, rep_client: Client) -> None:
    make.AccountFactory(name="Van de chef", team=account.team, owner=lead)

    assert (listed(rep_client), here(rep_client)) == (["Bakkerij Bos"], ["My accounts"])
    assert (sorted(listed(rep_client, "team=mine")), here(rep_client, "team=mine")) == (["Bakkerij Bos", "Van de chef"], ["My team's"])
    assert len(listed(rep_client, "owner=all")) == 2


def test_search_looks_further_than_the_own_accounts(account: Account, lead: User, rep_client: Client) -> None:
    make.AccountFactory(name="Van de chef", team=account.team, owner=lead)

    assert listed(rep_client, "q=chef") == ["Van de chef"]


def test_who_sees_every_record_begins_with_all(account: Account, admin_user: User, client: Client) -> None:
    client.force_login(admin_user)

    assert listed(client) == ["Bakkerij Bos"]


@pytest.mark.parametrize("name", ["contact", "opportunity", "followup", "activity"])
def test_every_tab_of_a_list_answers_and_is_marked(account: Account, rep_client: Client, name: str) -> None:
    page = f"/admin/crm/{name}/"
    tabs = [(str(tab["label"]), tab["query"]) for tab in bar(rep_client, page=page)["tabs"]]

    assert len(tabs) >= 3
    assert [here(rep_client, query, page) for _label, query in tabs] == [[label] for label, _query in tabs]


def test_saved_view_is_settled_from_the_address_and_opens_as_a_tab(account: Account, rep: User, rep_client: Client) -> None:
    answer = rep_client.post(VIEWS, {"deed": "keep", "name": "Warm", "query": "score=warm&owner=all&p=4&nonsense=1"})

    view = SavedView.objects.get()
    assert (view.owner, view.page, view.query) == (rep, "crm.account", "owner=all&score=warm")
    assert answer.headers["Location"] == f"{LIST}?owner=all&score=warm&view={view.pk}"
    assert here(rep_client, f"owner=all&score=warm&view={view.pk}") == ["Warm"]
    assert bar(rep_client, f"owner=all&score=hot&view={view.pk}")["is_changed"]


def test_view_of_a_filter_that_is_no_more_opens_with_the_rest_and_says_so(account: Account, rep: User, rep_client: Client) -> None:
    view = saved_views.keep(page="crm.account", name="Old", query="owner=all&colour=red", at=AT, by=rep)

    page = rep_client.get(f"{LIST}?owner=all&view={view.pk}")
    assert page.status_code == 200
    assert "does not know any more (colour)" in page.content.decode()
    assert bar(rep_client)["saved"][0]["query"] == "owner=all"


def test_view_that_was_deleted_says_so(account: Account, rep_client: Client) -> None:
    page = rep_client.get(f"{LIST}?owner=all&view=999")

    assert page.status_code == 200
    assert "This view is gone" in page.content.decode()


@pytest.mark.parametrize("deed", ["rename", "change", "share", "unshare", "left", "right", "delete"])
def test_outsider_does_nothing_to_a_view(account: Account, rep: User, outsider: User, client: Client, deed: str) -> None:
    view = saved_views.share(saved_views.keep(page="crm.account", name="Warm", query="score=warm", at=AT, by=rep), by=rep)
    client.force_login(outsider)

    assert client.post(VIEWS, {"deed": deed, "view": view.pk, "name": "Mine"}).status_code == 404
    assert SavedView.objects.filter(name="Warm", query="score=warm", team=rep.team).exists()


@pytest.mark.parametrize(
    ("deed", "found"), [("rename", ("Hot", None)), ("share", ("Warm", "team")), ("left", ("Warm", None)), ("delete", None)]
)
def test_owner_does_what_the_tab_offers(account: Account, rep: User, rep_client: Client, deed: str, found: tuple[str, str] | None) -> None:
    view = saved_views.keep(page="crm.account", name="Warm", query="score=warm", at=AT, by=rep)
    rep_client.post(VIEWS, {"deed": deed, "view": view.pk, "name": "Hot"})

    after = SavedView.objects.first()
    assert (after and (after.name, after.team_id and "team")) == found


def test_refused_deed_shows_the_rules_sentence(account: Account, rep_client: Client) -> None:
    answer = rep_client.post(VIEWS, {"deed": "keep", "name": " ", "query": "owner=all"}, follow=True)

    assert [str(message) for message in answer.context["messages"]] == ["Give the view a name of at most 40 letters."]
    assert SavedView.objects.count() == 0


# --- bounds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["account", "contact", "opportunity", "followup", "activity", "dmumembership", "person"])
@pytest.mark.parametrize("query", ["", "q=bos"])
def test_list_takes_six_queries_however_long_it_is(account: Account, rep: User, rep_client: Client, name: str, query: str) -> None:
    for contact in make.ContactFactory.create_batch(3, account=account):
        make.MembershipFactory(contact=contact, account=account)
        follow_ups.open(reason="by_hand", owner=rep, due_on=AT.date(), at=AT, account=account, text="Bel")
        make.OpportunityFactory(account=account, owner=rep)
    rep_client.get(f"/admin/crm/{name}/")

    with CaptureQueriesContext(connection) as seen:
        assert rep_client.get(f"/admin/crm/{name}/?{query}").status_code == 200
    assert len(seen) <= 6, "\n".join(query["sql"][:300] for query in seen)


def test_of_those_who_left_the_last_comes_first(account: Account, rep_client: Client) -> None:
    for name, days in (("Aa", 30), ("Bee", 2), ("Cees", 9)):
        make.ContactFactory(account=account, person__family_name=name, left_on=AT.date() - timedelta(days=days))
    page = rep_client.get(reverse("admin:crm_contact_changelist"), {"at_work": "left"})

    assert [str(row.person.family_name) for row in page.context["cl"].result_list] == ["Bee", "Cees", "Aa"]
    # Their day is told, and no heading claims that the list goes by it.
    assert date_format(AT.date() - timedelta(days=2), "SHORT_DATE_FORMAT") in page.content.decode()
    assert page.context["cl"].get_ordering_field_columns() == {}
    assert rep_client.get(reverse("admin:crm_contact_changelist")).context["cl"].get_ordering_field_columns() != {}


def test_pages_end_at_the_bound_and_say_so(account: Account, rep_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "REACHABLE", 1)
    make.AccountFactory.create_batch(2, team=account.team, owner=account.owner)

    page = rep_client.get(LIST)
    assert len(page.context["cl"].result_list) == 3
    assert "more than 1" in page.content.decode()
    assert "the pages end after 1: search or filter for the rest" in page.content.decode()


def test_accounts_without_a_standing_come_after_the_bound_too(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "REACHABLE", 3)
    for score in (5, 61, 30):
        StandingFactory(account=make.AccountFactory(name=f"Score {score}"), score=score)
    make.AccountFactory(name="Without")
    order = Account.objects.order_by(*paging_order())

    pages = [list(paging.CheapPaginator(order, 2, part="standing").page(number).object_list) for number in (1, 2)]
    assert [[str(row) for row in page] for page in pages] == [["Score 61", "Score 30"], ["Score 5", "Bakkerij Bos"]]


def paging_order() -> list[Any]:
    return list(admin.site.get_model_admin(Account).ordering)


# --- search ------------------------------------------------------------------------------------------


def test_every_word_must_stand_somewhere(account: Account) -> None:
    anna = make.ContactFactory(account=account, person__given_name="Anna", person__family_name="Smit", email="a@bos.example")
    make.ContactFactory(account=account, person__given_name="Anna", person__family_name="Jansen", email="b@bos.example")
    fields = ["email", "person__family_name", "person__given_name", "account__name"]

    assert finding.keys(Contact.objects.all(), fields, "anna smi") == [anna.pk]
    assert finding.keys(Contact.objects.all(), fields, "smit bakkerij") == [anna.pk]
    assert finding.keys(Contact.objects.all(), fields, "smit slagerij") == []
    assert list(finding.all_of(Contact.objects.all(), fields, "bos smit")) == [anna]


def test_what_stands_in_several_columns_is_found_once(account: Account) -> None:
    contacts = [make.ContactFactory(account=account, person__family_name=f"Bos {n}", email=f"bos{n}@bos.example") for n in range(3)]
    other = make.ContactFactory(account=make.AccountFactory(name="Slagerij"), person__family_name="Bosman", email="")
    fields = ["email", "person__family_name", "person__given_name", "account__name"]

    assert sorted(finding.keys(Contact.objects.all(), fields, "bos")) == sorted(row.pk for row in (*contacts, other))


def test_search_bounds_what_it_asks_of_each_column(account: Account) -> None:
    """Else PostgreSQL prepares for all rows that hold a common name, of which a hundred are wanted; SQLite bounds the whole."""
    fields = ["email", "person__family_name", "account__name"]
    with CaptureQueriesContext(connection) as seen:
        finding.keys(Contact.objects.all(), fields, "bos")

    bounds = len(fields) + 1 if connection.features.supports_slicing_ordering_in_compound else 1
    assert seen[0]["sql"].count(f"LIMIT {paging.FOUND + 1}") == bounds


def test_two_letters_begin_a_name(account: Account) -> None:
    make.AccountFactory(name="Drukkerij Abo")

    assert finding.keys(Account.objects.all(), ["domain", "name"], "ba") == [account.pk]
    assert finding.words_of(" a\x00bc  de ") == ["abc", "de"]


def test_search_counts_what_it_found_without_another_query(account: Account, rep_client: Client) -> None:
    with CaptureQueriesContext(connection) as seen:
        page = rep_client.get(f"{LIST}?q=bos")

    assert page.context["cl"].result_count == 1
    assert not [query for query in seen if "COUNT(" in query["sql"]]


def test_search_keeps_to_sight_and_filter_and_asks_for_them_once(account: Account, rep_client: Client) -> None:
    elsewhere = make.AccountFactory(name="Elders")
    for at, left_on in ((account, None), (account, AT.date()), (elsewhere, AT.date())):
        make.ContactFactory(account=at, person__family_name="Boskamp", left_on=left_on)
    page = "/admin/crm/contact/"
    with CaptureQueriesContext(connection) as seen:
        found = rep_client.get(f"{page}?at_work=left&q=boskamp").context["cl"].result_list

    assert [(row.account, row.left_on) for row in found] == [(account, AT.date())]
    assert len([query for query in seen if "crm_opportunity" in query["sql"].partition(" FROM ")[2]]) == 1


# --- nothing to show, and pages that refuse ------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", ["No accounts yet", "import them from a file", "Show everything"]),
        ("q=niets", ["Nothing found for “niets”", "Show everything"]),
        ("score=hot", ["Nothing matches here", "Show everything"]),
    ],
)
def test_empty_list_says_what_to_do(rep_client: Client, query: str, words: list[str]) -> None:
    page = rep_client.get(f"{LIST}?{query}").content.decode()

    assert [word for word in words if word not in page] == []


def test_pages_that_refuse_lead_back(account: Account, outsider: User, client: Client) -> None:
    client.force_login(outsider)
    gone, refused = client.get(f"{LIST}{account.pk}/assign-role/"), client.get("/admin/crm/user/")

    assert (gone.status_code, refused.status_code) == (404, 403)
    for page in (gone, refused):
        assert f'href="{reverse("admin:index")}"' in page.content.decode()
        assert "Bakkerij" not in page.content.decode()


def test_deals_without_an_account_are_listed(rep: User, rep_client: Client) -> None:
    make.OpportunityFactory(name="Los", account=make.AccountFactory(owner=rep, team=rep.team), owner=rep, team=rep.team)

    assert listed(rep_client, "", "/admin/crm/opportunity/") == ["Los"]
    assert Opportunity.objects.count() == 1
