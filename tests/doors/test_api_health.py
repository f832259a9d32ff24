"""Health over HTTP, and the documents of the API."""

from datetime import UTC, datetime, timedelta

import pytest
import yaml
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder

from abm.models import NightlyRun
from crm.api import health
from crm.models import Heartbeat
from tests.conftest import AT


def test_the_process_answers_without_a_database(client):
    answer = client.get("/healthz")

    assert (answer.status_code, answer.content) == (200, b"ok")


@pytest.mark.django_db
def test_ready_tells_of_the_database_the_clock_and_the_last_night(client):
    Heartbeat.objects.create(name="beat", beat_at=datetime.now(UTC) - timedelta(seconds=40))
    NightlyRun.objects.create(day="2026-03-08", started_at=AT, finished_at=AT)
    NightlyRun.objects.create(day="2026-03-09", started_at=AT)

    answer = client.get("/readyz")

    assert answer.status_code == 200
    body = answer.json()
    assert 40 <= body.pop("beat_seconds_ago") <= 60
    assert body == {"ready": True, "database": True, "migrations_missing": [], "last_nightly_run": "2026-03-08"}


@pytest.mark.django_db
def test_ready_without_a_clock_or_a_night_says_so_and_still_serves(client):
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["beat_seconds_ago"], answer.json()["last_nightly_run"]) == (200, None, None)


@pytest.mark.django_db
def test_a_database_behind_this_version_is_not_ready(client):
    MigrationRecorder(connection).record_unapplied("crm", "0001_initial")

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "database": True, "migrations_missing": ["crm.0001_initial"]}


def test_without_a_database_it_is_not_ready(client, monkeypatch):
    def unreachable() -> set[str]:
        raise DatabaseError

    monkeypatch.setattr(health, "_migrations_done", unreachable)
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()) == (503, {"ready": False, "database": False})


@pytest.mark.django_db
def test_ready_costs_four_queries(client, django_assert_num_queries):
    client.get("/readyz")

    with django_assert_num_queries(4):
        client.get("/readyz")


def test_only_looking_is_allowed(client):
    assert client.post("/healthz").status_code == client.post("/readyz").status_code == 405


@pytest.fixture(scope="module")
def schema(tmp_path_factory) -> dict[str, object]:
    path = tmp_path_factory.mktemp("schema") / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(path))
    return yaml.safe_load(path.read_text())


def operations(schema):
    return [(path, method, one) for path, methods in schema["paths"].items() for method, one in methods.items()]


def test_the_schema_is_openapi_31_and_complains_of_nothing(schema):
    assert schema["openapi"] == "3.1.0"
    assert len(operations(schema)) == 139


def test_the_schema_that_is_checked_in_is_the_one_that_is_served(tmp_path):
    """After a change on purpose: ./dev manage spectacular --format openapi-json --file docs/openapi.json."""
    path = tmp_path / "openapi.json"
    call_command("spectacular", "--format", "openapi-json", "--file", str(path))

    assert path.read_text() == (settings.BASE_DIR / "docs" / "openapi.json").read_text()


def test_every_operation_says_how_it_refuses(schema):
    for path, method, operation in operations(schema):
        expected = {"400", "401", "403", "406", "429", "500"} | ({"404"} if "{" in path else set())
        expected |= {"410"} if path.endswith("/changes") else set()
        expected |= {"409", "413", "415"} | ({"412"} if "{" in path else set()) if method != "get" else {"304"}
        refused = {code for code in operation["responses"] if code >= "300"}
        # An address that is too long is the web server's to refuse, which knows no problems.
        assert refused == expected | {"414"}, (path, method)
        for code in expected - {"304"}:
            refusal = schema["components"]["responses"][operation["responses"][code]["$ref"].rpartition("/")[2]]
            shape = refusal["content"]["application/problem+json"]["schema"]
            assert shape == {"$ref": "#/components/schemas/Problem"}


def test_every_operation_is_described_and_has_a_name_of_its_own(schema):
    named = [operation["operationId"] for _path, _method, operation in operations(schema)]

    assert len(set(named)) == len(named)
    assert "opportunities_advance" in named
    assert [path for path, _method, operation in operations(schema) if not operation.get("description")] == []


def test_every_deed_names_its_body_or_has_none(schema):
    """A form that got lost on its way into the schema would leave its operation without a body."""
    without = {
        operation["operationId"] for _path, method, operation in operations(schema) if method == "post" and "requestBody" not in operation
    }

    assert without == {
        "contacts_confirm_details", "contacts_undo_departure", "experiments_start", "follow_ups_reopen", "imports_check", "imports_pause",
        "imports_resume", "imports_start", "imports_undo", "job_changes_dismiss", "job_changes_undo", "memberships_confirm", "persons_opt_in", "persons_opt_out", "target_lists_activate", "target_lists_close",
        "webhook_deliveries_replay", "webhooks_ping", "webhooks_rotate_secret", "webhooks_switch_off", "webhooks_switch_on",
    }  # fmt: skip


def test_the_key_is_the_way_in(schema):
    key = schema["components"]["securitySchemes"]["knoxApiToken"]

    assert (key["in"], key["name"]) == ("header", "Authorization")
    assert all({"knoxApiToken": []} in operation["security"] for _path, _method, operation in operations(schema))


def test_forms_are_closed(schema):
    forms = {name: one for name, one in schema["components"]["schemas"].items() if name.endswith("Request")}

    assert forms["OpportunityFactsRequest"]["required"] == ["account", "name"]
    assert all(one["additionalProperties"] is False for one in forms.values())


def test_the_schema_and_its_page_are_served_to_anybody(client):
    schema, page = client.get("/api/v1/schema"), client.get("/api/v1/docs")

    assert schema.status_code == page.status_code == 200
    assert b"openapi: 3.1.0" in schema.content
    assert b"<script>" not in page.content
    assert b"https://cdn" not in page.content
