"""What every resource of the API promises: pages, permissions, and one shape of refusal."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from rest_framework import exceptions
from rest_framework.test import APIClient

from abm.api.urls import RESOURCES
from abm.models import AccountStanding, Experiment, JobChangeSignal, SignalEvidence, TargetList
from crm.api.problems import answer_error, server_error
from crm.models import FollowUp, Pilot, Suppression, Upload, User
from tests.conftest import AT, api_client
from tests.factories import crm as factories


def account_of(user: User) -> Model:
    return factories.AccountFactory(team=user.team)


def contact_of(user: User) -> Model:
    return factories.ContactFactory(account=account_of(user))


def deal_of(user: User) -> Model:
    return factories.OpportunityFactory(account=account_of(user), team=user.team)


def follow_up_of(user: User) -> Model:
    return FollowUp.objects.create(account=account_of(user), text="Bellen", due_on="2026-03-12", opened_at=AT)


def pilot_of(user: User) -> Model:
    criteria = {"success_criteria": "Twee keer zo snel", "starts_on": "2026-03-01", "ends_on": "2026-04-01"}
    return Pilot.objects.create(opportunity=deal_of(user), **criteria)


def standing_of(user: User) -> Model:
    figures = {"fit": 80, "score": "41.5", "momentum": "3.0", "coverage_percent": 67, "coverage_states": {"decider": "known"}}
    return AccountStanding.objects.create(account=account_of(user), as_of="2026-03-10", refreshed_at=AT, **figures)


def list_of(user: User) -> Model:
    return TargetList.objects.create(name="Q2", team=user.team, owner=user, starts_on="2026-04-01", ends_on="2026-06-30")


def experiment_of(user: User) -> Model:
    return Experiment.objects.create(name="Proef", team=user.team, owner=user, starts_on="2026-04-01", ends_on="2026-04-15")


def signal_of(user: User) -> Model:
    contact = contact_of(user)
    signal = JobChangeSignal.objects.create(contact=contact, account=contact.account, opened_at=AT)
    SignalEvidence.objects.create(signal=signal, source="rep", key="rep:1", text="Stond op LinkedIn", seen_at=AT)
    return signal


def suppression_of(user: User) -> Model:
    return Suppression.objects.create(address=contact_of(user).email.lower(), reason="bounced", since=AT)


def import_of(user: User) -> Model:
    return Upload.objects.create(owner=user, what="contacts", file_name="mensen.csv", size=1, encoding="utf-8", source="hub", created_at=AT)


def in_a_year() -> str:
    return (datetime.now(UTC) + timedelta(days=365)).date().isoformat()


@dataclass(frozen=True)
class Resource:
    """One resource: a record that this user may see, a body that makes a new one, and one that changes it."""

    name: str
    record: Callable[[User], Model]
    new: Callable[[User], dict[str, object]] | None = None
    change: dict[str, object] | None = None
    # A body that names a record: the field, and somebody's record to put there.
    names: tuple[str, Callable[[User], Model]] | None = None


CASES = [
    Resource("accounts", account_of, lambda user: {"name": "Nieuw BV"}, {"city": "Zwolle"}, names=("parent", account_of)),
    Resource(
        "contacts",
        contact_of,
        lambda user: {"account": account_of(user).pk, "family_name": "Jansen"},
        {"job_title": "Inkoper"},
        names=("account", account_of),
    ),
    Resource("persons", lambda user: contact_of(user).person),
    Resource(
        "memberships",
        lambda user: factories.MembershipFactory(contact=contact_of(user)),
        lambda user: {"contact": contact_of(user).pk, "role": "buyer"},
        names=("contact", contact_of),
    ),
    Resource(
        "opportunities",
        deal_of,
        lambda user: {"account": account_of(user).pk, "name": "Nieuwe kans"},
        {"amount": "1200.00"},
        names=("account", account_of),
    ),
    Resource(
        "pilots",
        pilot_of,
        lambda user: {"opportunity": deal_of(user).pk, "success_criteria": "Sneller", "ends_on": in_a_year()},
        names=("opportunity", deal_of),
    ),
    Resource(
        "activities",
        lambda user: factories.ActivityFactory(account=account_of(user)),
        lambda user: {"account": account_of(user).pk, "kind": "meeting", "occurred_at": "2026-03-01T10:00:00Z", "source": "test"},
        {"subject": "Kennismaking"},
        names=("account", account_of),
    ),
    Resource(
        "follow-ups",
        follow_up_of,
        lambda user: {"account": account_of(user).pk, "text": "Bellen", "due_on": "2026-03-12"},
        {"due_on": "2026-03-20"},
        names=("account", account_of),
    ),
    Resource("deliveries", lambda user: factories.DeliveryFactory(contact=contact_of(user))),
    Resource("suppressions", suppression_of),
    Resource("imports", import_of),
    Resource("import-problems", lambda user: import_of(user).problems.create(line=2, reason="Geen adres", values=["Jan"])),
    Resource("scores", standing_of),
    Resource("job-changes", signal_of),
    Resource(
        "target-lists",
        list_of,
        lambda user: {"name": "Volgend jaar", "team": user.team_id, "starts_on": "2026-04-01", "ends_on": in_a_year()},
        names=("team", lambda user: user.team),
    ),
    Resource(
        "experiments",
        experiment_of,
        lambda user: {"name": "Nog een", "team": user.team_id, "starts_on": "2026-04-01", "ends_on": "2026-04-15"},
        names=("team", lambda user: user.team),
    ),
]
# Nobody's records, and no team lead's business: test_api_webhooks.py tries them.
RUN_BY_ADMINISTRATORS = {"webhooks", "webhook-deliveries"}
every_resource = pytest.mark.parametrize("resource", CASES, ids=lambda resource: resource.name)
with_writes = pytest.mark.parametrize("resource", [case for case in CASES if case.new], ids=lambda resource: resource.name)
with_changes = pytest.mark.parametrize("resource", [case for case in CASES if case.change], ids=lambda resource: resource.name)
with_names = pytest.mark.parametrize("resource", [case for case in CASES if case.names], ids=lambda resource: resource.name)


@pytest.fixture
def api(lead: User) -> APIClient:
    return api_client(lead)


def address(resource: Resource, record: Model | None = None) -> str:
    return f"/api/v1/{resource.name}" + (f"/{record.pk}" if record else "")


def assert_refusal(answer, status: int, code: str) -> dict[str, object]:
    """Check the one shape of every refusal, and give what is wrong where, by path, or else what a machine may want to know."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["X-Request-ID"]
    body = answer.json()
    assert set(body) == {"type", "title", "status", "code", "detail", "message", "errors", "facts"}
    assert (body["code"], body["status"], body["type"]) == (code, status, f"urn:quorum:problem:{code}")
    assert isinstance(body["detail"], str)
    assert body["detail"] == body["message"] != ""
    assert isinstance(body["facts"], dict)
    return {one["path"]: one["reasons"] for one in body["errors"]} or body["facts"]


def count(model: type[Model]) -> int:
    return model._default_manager.count()


def test_every_resource_is_tried_here():
    assert {case.name for case in CASES} == set(RESOURCES) - RUN_BY_ADMINISTRATORS


@every_resource
def test_a_list_is_paged_and_the_pages_hold_every_row_once(resource, api, lead):
    made = {resource.record(lead).pk for _ in range(7)}

    pages, address_of_page = [], f"{address(resource)}?page_size=3"
    while address_of_page:
        page = api.get(address_of_page).json()
        pages.append([row.get("id", row.get("account")) for row in page["results"]])
        address_of_page = page["next"]

    assert [len(page) for page in pages] == [3, 3, 1]
    assert {pk for page in pages for pk in page} == made


@every_resource
def test_a_list_takes_as_many_queries_for_thirty_rows_as_for_five(resource, api, lead):
    def queries(rows: int) -> int:
        for _ in range(rows):
            resource.record(lead)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert api.get(address(resource)).status_code == 200
        return len(captured)

    few, many = queries(5), queries(25)

    assert many == few
    # key with its user, permissions, rows; and what hangs on the rows
    assert many <= (4 if resource.name == "job-changes" else 3)


@every_resource
def test_a_detail_shows_what_the_list_shows(resource, api, lead):
    record = resource.record(lead)

    assert api.get(address(resource, record)).json() == api.get(address(resource)).json()["results"][0]


@every_resource
def test_an_outsider_finds_a_foreign_record_neither_in_the_list_nor_by_its_id(resource, lead, outsider):
    record, client = resource.record(lead), api_client(outsider)

    assert client.get(address(resource)).json()["results"] == []
    assert_refusal(client.get(address(resource, record)), 404, "not_found")
    assert client.get(address(resource, record)).json() == client.get(f"{address(resource)}/999999").json()


@with_changes
def test_an_outsider_changes_nothing(resource, lead, outsider):
    record = resource.record(lead)
    before = type(record)._default_manager.filter(pk=record.pk).values().get()

    assert_refusal(api_client(outsider).patch(address(resource, record), resource.change), 404, "not_found")
    assert type(record)._default_manager.filter(pk=record.pk).values().get() == before


@every_resource
def test_without_a_key_there_is_nothing_to_see(resource, lead):
    record = resource.record(lead)

    for path in (address(resource), address(resource, record)):
        answer = APIClient().get(path)
        assert_refusal(answer, 401, "not_authenticated")
        assert answer["WWW-Authenticate"] == "Token"


@every_resource
def test_a_wrong_key_is_refused_as_such(resource):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Token 0123456789")

    answer = client.get(address(resource))

    assert_refusal(answer, 401, "authentication_failed")
    assert answer["WWW-Authenticate"] == "Token"


test_a_wrong_key_is_refused_as_such = pytest.mark.django_db(test_a_wrong_key_is_refused_as_such)


@every_resource
def test_somebody_without_a_role_may_not_even_look(resource, lead):
    resource.record(lead)
    nobody = factories.UserFactory(team=lead.team)

    assert_refusal(api_client(nobody).get(address(resource)), 403, "permission_denied")


@with_writes
def test_a_new_record_is_answered_and_found_again(resource, api, lead):
    answer = api.post(address(resource), resource.new(lead))

    assert answer.status_code == 201, answer.content
    assert api.get(f"{address(resource)}/{answer.json()['id']}").json() == answer.json()


@with_writes
def test_a_field_that_does_not_exist_is_refused_and_nothing_is_made(resource, api, lead):
    body, before = {**resource.new(lead), "colour": "blue"}, count(RESOURCES[resource.name].queryset.model)

    detail = assert_refusal(api.post(address(resource), body), 400, "invalid")

    assert detail == {"colour": ["This cannot be set here."]}
    assert count(RESOURCES[resource.name].queryset.model) == before


@with_writes
def test_an_empty_body_is_answered_field_by_field(resource, api):
    detail = assert_refusal(api.post(address(resource), {}), 400, "invalid")

    assert all(isinstance(reasons, list) and all(isinstance(reason, str) for reason in reasons) for reasons in detail.values())
    assert detail


@with_changes
def test_a_change_changes_what_it_names_and_nothing_else(resource, api, lead):
    record = resource.record(lead)
    before = api.get(address(resource, record)).json()

    after = api.patch(address(resource, record), resource.change).json()

    moved = {name for name in before if before[name] != after[name]} - {"updated_at", "revision", "recorded_by", "title"}
    assert moved == set(resource.change)
    assert {name: after[name] for name in resource.change} == resource.change


@with_names
def test_a_foreign_record_in_a_body_is_refused_as_one_that_does_not_exist(resource, api, lead, outsider):
    field, record = resource.names
    foreign, body = record(outsider), resource.new(lead)
    before = count(RESOURCES[resource.name].queryset.model)

    theirs = assert_refusal(api.post(address(resource), {**body, field: foreign.pk}), 400, "invalid")
    nobodys = assert_refusal(api.post(address(resource), {**body, field: 999999}), 400, "invalid")

    assert theirs == {field: [f"{foreign.pk} not found."]}
    assert nobodys == {field: ["999999 not found."]}
    assert count(RESOURCES[resource.name].queryset.model) == before


@every_resource
def test_what_a_resource_cannot_do_is_said_in_the_same_shape(resource, api, lead):
    assert_refusal(api.put(address(resource, resource.record(lead)), {}), 405, "method_not_allowed")


@every_resource
@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("colour=blue", {"colour": ["There is no such parameter."]}),
        ("page_size=0", {"page_size": ["Give a number from 1 to 200."]}),
        ("page_size=201", {"page_size": ["Give a number from 1 to 200."]}),
        ("cursor=nonsense", {"cursor": ["This cursor is not one of this list in this order."]}),
        ("cursor=WyJ4Il0=", {"cursor": ["This cursor is not one of this list in this order."]}),
    ],
)
def test_a_wrong_parameter_is_named(resource, query, detail, api):
    assert assert_refusal(api.get(f"{address(resource)}?{query}"), 400, "invalid") == detail


@every_resource
def test_every_order_gives_every_row_once(resource, api, lead):
    made = {resource.record(lead).pk for _ in range(5)}

    for ordering in RESOURCES[resource.name].orderings:
        rows, address_of_page = [], f"{address(resource)}?page_size=2&ordering={ordering}"
        while address_of_page:
            page = api.get(address_of_page).json()
            rows += [row.get("id", row.get("account")) for row in page["results"]]
            address_of_page = page["next"]
        assert len(rows) == len(made), ordering
        assert set(rows) == made, ordering


@every_resource
def test_every_such_filter_names_a_queryset_method_and_splits_the_list(resource, api, lead):
    resource.record(lead)
    every = len(api.get(address(resource)).json()["results"])
    such = [name for name, one in RESOURCES[resource.name].filterset_class.base_filters.items() if type(one).__name__ == "SuchFilter"]

    for name in such:
        assert hasattr(RESOURCES[resource.name].queryset, name)
        yes, no = (len(api.get(f"{address(resource)}?{name}={value}").json()["results"]) for value in ("true", "false"))
        assert yes + no == every, name


def test_a_page_deep_in_the_list_costs_what_the_first_one_does(api, lead):
    factories.AccountFactory.create_batch(12, team=lead.team)

    def sql(path: str) -> tuple[str, str | None]:
        with CaptureQueriesContext(connection) as captured:
            following = api.get(path).json()["next"]
        return captured[-1]["sql"], following

    _first, second = sql("/api/v1/accounts?page_size=5")
    deep, third = sql(second)

    assert "OFFSET" not in deep
    assert "COUNT" not in deep
    assert '"crm_account"."id" < ' in deep or '"crm_account"."id" <= ' in deep
    assert third


def test_rows_that_tie_are_paged_without_loss(api, lead):
    """A thousand accounts with score 0: a cursor that counts within a tie would break here."""
    accounts = factories.AccountFactory.create_batch(25, team=lead.team)
    AccountStanding.objects.bulk_create(
        AccountStanding(account=one, as_of="2026-03-10", fit=0, score=0, momentum=0, coverage_percent=0, refreshed_at=AT)
        for one in accounts
    )

    rows, page = [], "/api/v1/scores?page_size=4&ordering=-score"
    while page:
        answer = api.get(page).json()
        rows += [row["account"] for row in answer["results"]]
        page = answer["next"]

    assert rows == sorted(one.pk for one in accounts)


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/v2/accounts", "/api/v1/accounts/abc", "/api/v1/accounts/9999999999999999999999", "/api/v1/accounts//"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_address_that_is_not_there_answers_in_the_same_shape(path, method, client):
    assert_refusal(getattr(client, method)(path), 404, "not_found")


@pytest.mark.parametrize("body", ["{", '{"name": NaN}', '{"name": "\\ud800"}', b"\xff\xfe", "[" * 5_000, '{"name": 1}}'])
def test_a_body_that_is_no_json_is_refused(body, api):
    assert_refusal(api.generic("POST", "/api/v1/accounts", body, content_type="application/json"), 400, "parse_error")


def test_a_moment_at_the_end_of_time_is_a_wrong_value_and_no_error_of_ours(api, lead):
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        body = {"account": account_of(lead).pk, "kind": "meeting", "occurred_at": moment, "source": "test"}

        assert_refusal(api.post("/api/v1/activities", body), 400, "invalid")
        # PostgreSQL can compare with such a moment, SQLite cannot name it
        assert api.get("/api/v1/activities", {"since": moment}).status_code in (200, 400)
    assert count(RESOURCES["activities"].queryset.model) == 0


def test_an_error_of_ours_comes_in_the_same_shape_and_tells_nothing(lead, monkeypatch):
    def break_down(*_arguments, **_facts):
        raise RuntimeError("secret")

    client = api_client(lead)
    client.raise_request_exception = False
    monkeypatch.setattr("crm.accounts.open", break_down)

    answer = client.post("/api/v1/accounts", {"name": "Nieuw BV"})

    assert_refusal(answer, 500, "error")
    assert b"secret" not in answer.content


def test_a_browser_gets_a_page_when_something_breaks(rf):
    assert server_error(rf.get("/admin/"))["Content-Type"].startswith("text/html")


def test_who_asks_too_often_hears_how_long_to_wait():
    answer = answer_error(exceptions.Throttled(wait=29.2), {})

    assert (answer.status_code, answer["Retry-After"], answer.data["code"]) == (429, "30", "throttled")


def test_a_write_is_written_down_under_the_keys_user(api, lead):
    account = account_of(lead)

    api.patch(f"/api/v1/accounts/{account.pk}", {"city": "Zwolle"})

    assert account.history.latest().history_user == lead


def test_a_body_that_is_no_object_is_refused(api):
    assert_refusal(api.post("/api/v1/accounts", [1, 2]), 400, "invalid")


def test_another_content_type_is_refused(api):
    answer = api.generic("POST", "/api/v1/accounts", "name=x", content_type="application/x-www-form-urlencoded")

    assert_refusal(answer, 415, "unsupported_media_type")


def test_a_body_beyond_the_bound_is_refused_before_it_is_read(api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20

    assert_refusal(api.post("/api/v1/accounts", {"name": "x" * 2**20}), 413, "body_too_large")


def test_the_sentence_comes_in_the_language_that_the_caller_asks_for(api, lead):
    record = account_of(lead)

    answer = api.patch(f"/api/v1/accounts/{record.pk}", {"name": ""}, HTTP_ACCEPT_LANGUAGE="nl")

    assert assert_refusal(answer, 400, "invalid") == {"name": ["Dit veld mag niet leeg zijn."]}


def test_a_key_that_is_no_longer_valid_opens_nothing(lead):
    client = api_client(lead)
    lead.auth_token_set.update(expiry=AT)

    assert_refusal(client.get("/api/v1/accounts"), 401, "authentication_failed")


def test_the_key_of_somebody_who_left_us_opens_nothing(lead):
    client = api_client(lead)
    User.objects.filter(pk=lead.pk).update(is_active=False)

    assert_refusal(client.get("/api/v1/accounts"), 401, "authentication_failed")


def test_addresses_have_no_trailing_slash_and_numbers_for_ids():
    assert resolve("/api/v1/opportunities/7/advance").kwargs == {"pk": "7"}


def test_a_slash_behind_an_address_changes_nothing(rep_api, rep):
    account = account_of(rep)

    assert rep_api.get(f"/api/v1/accounts/{account.pk}/").json() == rep_api.get(f"/api/v1/accounts/{account.pk}").json()
    assert rep_api.post("/api/v1/accounts/", {"name": "Jansen BV"}).status_code == 201
    assert rep_api.get("/api/v1/nothing/").json()["code"] == "not_found"
    assert rep_api.get("/api/v1/nothing//").json()["code"] == "not_found"


@pytest.mark.parametrize("where", ["contacts?page_size=", "contacts?ordering=", "contacts/changes?page_size=", "reports/key-figures?to="])
def test_a_parameter_without_a_value_is_refused_and_not_taken_for_none(where, api):
    answer = api.get(f"/api/v1/{where}")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] + "=" in where
