"""Every page of the admin: it answers, reads a bounded number of rows, and shows nobody what is another team's."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm import models as crm
from crm.admin import paging
from crm.admin.sidebar import navigation
from crm.models import Account, Team, User
from tests.doors.admin_pages import MAKERS, OF_AN_ACCOUNT, link, other_account
from tests.factories import crm as make
from tests.factories.abm import StandingFactory

EVERY_PAGE = pytest.mark.parametrize("model", list(MAKERS), ids=lambda model: model.__name__)


@pytest.fixture
def account(team: Team, rep: User) -> Account:
    return make.AccountFactory(team=team, owner=rep)


@pytest.fixture
def admin_browser(admin_user: User) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


def test_every_registered_model_is_tested_here() -> None:
    assert set(admin.site._registry) == set(MAKERS)


@EVERY_PAGE
def test_list_and_add_page_answer(model: type[Model], admin_browser: Client) -> None:
    page = admin.site._registry[model]
    request = admin_browser.get(link(model, "changelist")).wsgi_request

    assert admin_browser.get(link(model, "changelist")).status_code == 200
    assert admin_browser.get(link(model, "add")).status_code == (200 if page.has_add_permission(request) else 403)


@EVERY_PAGE
def test_change_page_answers(model: type[Model], admin_browser: Client, account: Account) -> None:
    record = MAKERS[model](account)

    # a pair of duplicates leads to the page that lays the two side by side
    assert admin_browser.get(link(record, "change"), follow=True).status_code == 200


@EVERY_PAGE
def test_list_reads_no_more_for_40_rows_than_for_10_but_their_count(model: type[Model], admin_browser: Client, account: Account) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            answer = admin_browser.get(link(model, "changelist"), QUERY.get(model, {}))
        assert answer.context["cl"].result_count >= 10
        return len(seen)

    for _ in range(10):
        MAKERS[model](account)
    ten = queries()
    for _ in range(30):
        MAKERS[model](account)

    # What does not fill a page needs no count.
    assert queries() <= ten + 1
    assert ten <= 12


# Lists that show the user's own work first are counted with everybody's.
QUERY: dict[type[Model], dict[str, str]] = {
    crm.FollowUp: {"whose": "all"},
    crm.Account: {"owner": "all"},
    crm.Opportunity: {"owner": "all"},
}


@pytest.mark.parametrize("size", [10, 40])
def test_account_list_of_a_rep_takes_at_most_10_queries(size: int, rep_client: Client, account: Account) -> None:
    for _ in range(size - 1):
        StandingFactory(account=other_account(account), score=40, coverage_states={"decider": "lost"})

    with CaptureQueriesContext(connection) as seen:
        answer = rep_client.get(link(Account, "changelist"))

    assert answer.content.decode().count("field-title") == min(size, 25)
    assert len(seen) <= 10


def pages_of(record: Model) -> Iterator[str]:
    """Give every address under a record's own: page, history, deletion, and all deeds."""
    page: Any = admin.site._registry[type(record)]
    for name in ("change", "history", "delete"):
        yield link(record, name)
    for deed in page._get_base_actions_detail() if hasattr(page, "_get_base_actions_detail") else ():
        yield reverse(f"admin:{deed.action_name}", args=[record.pk])


@pytest.mark.parametrize("model", list(OF_AN_ACCOUNT), ids=lambda model: model.__name__)
def test_outsider_reaches_no_page_of_another_teams_record(model: type[Model], account: Account, outsider: User, client: Client) -> None:
    record = MAKERS[model](account)
    client.force_login(outsider)

    for page in pages_of(record):
        seen, sent = client.get(page), client.post(page, {"post": "yes"})
        assert {seen.status_code, sent.status_code} <= {302, 403, 404}, page
        assert "/login/" not in seen.headers.get("Location", ""), page
    assert str(record.pk) not in [row["id"] for row in autocomplete(client, model)]
    assert type(record)._default_manager.filter(pk=record.pk).exists()


def autocomplete(client: Client, model: type[Model]) -> list[dict[str, str]]:
    """Look a model up as an activity's form does; nothing for what no form looks up."""
    fields = {crm.Account: "account", crm.Contact: "contact", crm.Opportunity: "opportunity"}
    if model not in fields:
        return []
    wanted = {"app_label": "crm", "model_name": "activity", "field_name": fields[model]}
    return client.get(reverse("admin:autocomplete"), wanted).json()["results"]


@pytest.mark.parametrize("model", list(OF_AN_ACCOUNT), ids=lambda model: model.__name__)
def test_list_shows_a_colleague_the_record_and_an_outsider_none(
    model: type[Model], account: Account, lead: User, outsider: User, client: Client
) -> None:
    MAKERS[model](account)
    counts = []
    for user in (lead, outsider):
        client.force_login(user)
        answer = client.get(link(model, "changelist"), QUERY.get(model, {}))
        counts.append(answer.context["cl"].result_count if answer.status_code == 200 else answer.status_code)

    assert counts[0] in (1, 2, 403)
    assert counts[1] in (0, 403)


def test_rep_finds_a_record_of_the_team_by_autocomplete(account: Account, rep_client: Client) -> None:
    contact = make.ContactFactory(account=account)

    assert autocomplete(rep_client, crm.Contact) == [{"id": str(contact.pk), "text": str(contact)}]


# --- the sidebar and the lists -----------------------------------------------------------------------


def sidebar(client: Client) -> dict[str, list[str]]:
    request = client.get(reverse("admin:index")).wsgi_request
    return {str(group["title"]): [str(item["title"]) for item in group["items"]] for group in navigation(request)}


def test_sidebar_of_a_rep_starts_with_the_work_and_hides_what_is_not_allowed(rep_client: Client) -> None:
    assert sidebar(rep_client) == {
        "Selling": [
            "My day", "Accounts", "Contacts", "DMU roles", "Opportunities", "Pipeline", "Tasks", "Job changes", "Target lists", "Duplicates",
        ],
        "What happened": ["Activities", "Deliveries", "Delivery reports", "Suppressions", "Deliverability", "Merges"],
        "Marketing": ["Reports", "Weekly reports", "Ideal customer profile", "Score history", "Journey", "Experiments"],
        "Data": ["Import", "Exports", "Nightly runs"],
        "Settings": ["Teams", "Products"],
    }  # fmt: skip


def test_sidebar_of_an_administrator_holds_the_settings(admin_browser: Client) -> None:
    others = ["Users", "Teams", "Roles", "Products", "API keys", "Schedule", "Sign-in events"]
    assert sidebar(admin_browser)["Settings"] == [*others, "Webhooks", "Webhook deliveries"]


def names(client: Client, model: type[Model], **query: str) -> list[str]:
    return [str(row) for row in client.get(link(model, "changelist"), query).context["cl"].result_list]


def standing(account: Account, name: str, **facts: Any) -> None:
    StandingFactory(account=make.AccountFactory(name=name, team=account.team, domain=f"{name.lower()}.example"), **facts)


def test_accounts_stand_by_score_and_those_without_one_come_last(account: Account, rep_client: Client) -> None:
    standing(account, "Koel", score=5)
    standing(account, "Warm", score=61)

    assert names(rep_client, Account, owner="all") == ["Warm", "Koel", account.name]


def test_accounts_are_found_by_name_and_by_domain(account: Account, rep_client: Client) -> None:
    standing(account, "Koel")

    assert names(rep_client, Account, q="koel.exam") == ["Koel"]
    assert names(rep_client, Account, q="nergens") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"score": "hot"}, ["Warm"]),
        ({"score": "cold"}, ["Koel"]),
        ({"fit": "high"}, ["Koel"]),
        ({"change": "up"}, ["Warm"]),
        ({"dmu": "lost"}, ["Koel"]),
        ({"dmu": "decider"}, ["Koel"]),
        ({"dmu": "complete"}, ["Warm"]),
        ({"dmu": "single"}, ["Warm"]),
        ({"owner": "nobody"}, ["Warm", "Koel"]),
        ({"industry": "retail"}, []),
    ],
)
def test_accounts_are_filtered_by_where_they_stand(account: Account, rep_client: Client, query: dict[str, str], found: list[str]) -> None:
    make.AccountFactory(industry="retail")
    standing(account, "Koel", score=9.9, fit=70, coverage_states={"decider": "lost"})
    standing(
        account, "Warm", score=60, fit=69, momentum=5, coverage_percent=100, coverage_states={"decider": "engaged"}, is_single_threaded=True
    )

    assert names(rep_client, Account, **query) == found


def test_industries_are_offered_without_reading_every_account(account: Account, rep_client: Client) -> None:
    for industry in ("software", "retail", "software", ""):
        make.AccountFactory(industry=industry)

    with CaptureQueriesContext(connection) as seen:
        answer = rep_client.get(link(Account, "changelist"))

    (offered,) = [spec for spec in answer.context["cl"].filter_specs if spec.parameter_name == "industry"]
    assert offered.lookup_choices == [("retail", "retail"), ("software", "software")]
    assert not [query for query in seen if "DISTINCT" in query["sql"]]


def test_count_stops_at_its_bound(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make.AccountFactory.create_batch(8)
    monkeypatch.setattr(paging, "REACHABLE", 5)
    paginator = paging.CheapPaginator(Account.objects.filter(name__gt=""), 2)

    assert (paginator.count, paginator.num_pages, paginator.is_cut, paginator.amount()) == (5, 3, True, "more than 5")


def test_first_page_that_is_not_full_is_read_once_and_counted_by_its_rows(db: None) -> None:
    make.AccountFactory.create_batch(3)
    some = Account.objects.filter(name__gt="").order_by("pk")

    with CaptureQueriesContext(connection) as seen:
        paginator = paging.CheapPaginator(some, 3, at_start=True)
        assert (paginator.count, len(paginator.page(1).object_list)) == (3, 3)
    assert len(seen) == 1

    assert paging.CheapPaginator(some.none(), 3, at_start=True).count == 0


def test_first_page_that_is_full_is_counted_in_the_same_question(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make.AccountFactory.create_batch(4)
    some = Account.objects.filter(name__gt="").order_by("pk")

    with CaptureQueriesContext(connection) as seen:
        paginator = paging.CheapPaginator(some, 3, at_start=True)
        assert (paginator.count, len(paginator.page(1).object_list)) == (4, 3)
    assert len(seen) == 1
    assert [str(row) for row in paginator.page(2).object_list] == [str(some[3])]

    monkeypatch.setattr(paging, "REACHABLE", 3)
    paginator = paging.CheapPaginator(some, 3, at_start=True)
    assert (paginator.count, paginator.is_cut) == (3, True)


@pytest.mark.parametrize("path", ["crm/apikey", "crm/account", "abm/accountstanding", "auth/group", "crm/user"])
def test_search_works_whatever_the_key_of_a_record_is(path: str, admin_browser: Client, account: Account) -> None:
    StandingFactory(account=account)

    assert admin_browser.get(f"/admin/{path}/", {"q": "bak"}).status_code == 200


@pytest.mark.postgres
def test_unfiltered_count_of_a_large_table_is_the_planners(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make.AccountFactory.create_batch(8)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE crm_account")
    monkeypatch.setattr(paging, "REACHABLE", 5)

    with CaptureQueriesContext(connection) as seen:
        paginator = paging.CheapPaginator(Account.objects.all(), 2)
        assert (paginator.count, paginator.amount()) == (5, "about 8")
    assert len(seen) == 1


@pytest.mark.parametrize("model", [crm.Activity])
def test_only_an_administrator_deletes_many_at_once(
    model: type[Model], account: Account, rep_client: Client, admin_browser: Client
) -> None:
    record = MAKERS[model](account)
    many = {"action": "delete_selected", "_selected_action": [record.pk], "post": "yes"}

    rep_client.post(link(model, "changelist"), many)
    assert model._default_manager.filter(pk=record.pk).exists()

    admin_browser.post(link(model, "changelist"), many)
    assert not model._default_manager.filter(pk=record.pk).exists()
