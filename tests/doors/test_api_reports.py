"""Reports over the API: the same figures as on the page, for who may, with refusals of the one shape."""

import pytest
from django.utils.timezone import now
from rest_framework.test import APIClient

from crm import api_keys
from crm.models import SCOPES, ApiKey
from tests.abm.ways import deal
from tests.conftest import api_client
from tests.doors.test_api_contract import assert_refusal
from tests.factories.crm import UserFactory


@pytest.mark.django_db
def test_the_list_names_columns_with_units_and_choices_with_values(rep_api):
    found = {each["report"]: each for each in rep_api.get("/api/v1/reports").json()}

    assert set(found) == {"key-figures", "funnel", "deals", "forecast", "cohorts", "customers", "attribution", "hybrid"}
    assert {"name": "win_rate", "label": "win rate", "unit": "share"} in found["deals"]["columns"]
    assert [choice["name"] for choice in found["deals"]["choices"]] == ["by", "currency"]
    assert found["deals"]["choices"][0]["values"]["industry"] == "industry"


@pytest.mark.django_db
def test_a_report_gives_the_figures_of_the_period_that_the_caller_may_see(rep, rep_api, outsider):
    deal(("sql", "2026-01-01"), ("won", "2026-01-11"), amount="1200.50", owner=rep, team=rep.team, account__team=rep.team)
    deal(("sql", "2026-01-01"), ("won", "2026-02-11"), owner=rep, team=rep.team, account__team=rep.team)

    answer = rep_api.get("/api/v1/reports/deals?from=2026-01-01&to=2026-01-31&by=none").json()

    assert (answer["rows"][0]["won"], answer["rows"][0]["won_value"], answer["rows"][0]["cycle_days_won_mean"]) == (1, 1200.5, 10.0)
    assert (answer["period"]["from"], answer["choices"]) == ("2026-01-01", {"by": "none", "currency": "EUR"})
    assert api_client(outsider).get("/api/v1/reports/deals").json()["rows"] == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "field"), [("from=gisteren", "from"), ("by=colour", "by"), ("colour=red", "colour"), ("from=2026-02-01&to=2026-01-01", "to")]
)
def test_a_parameter_that_cannot_be_is_refused_by_name(query, field, rep_api):
    answer = rep_api.get(f"/api/v1/reports/deals?{query}")

    assert list(assert_refusal(answer, 400, "invalid")) == [field]


@pytest.mark.django_db
def test_a_key_needs_the_scope_of_reports(rep):
    key = api_keys.issue(user=rep, name="sync", scopes=[scope for scope in SCOPES if scope not in ("all:read", "reports:read")], at=now())
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {key.secret}")
    for address in ("/api/v1/reports", "/api/v1/reports/deals"):
        assert assert_refusal(client.get(address), 403, "scope_missing") == {"scopes": ["reports:read"]}
        ApiKey.objects.filter(pk=key.key.pk).update(scopes=["reports:read"])
        assert client.get(address).status_code == 200
        ApiKey.objects.filter(pk=key.key.pk).update(scopes=["deals:read"])


@pytest.mark.django_db
def test_nobody_reads_reports_without_a_key_a_role_or_the_reports_own_permission(rep_api, team):
    without_role = api_client(UserFactory(team=team))
    for address in ("/api/v1/reports", "/api/v1/reports/deals"):
        assert_refusal(APIClient().get(address), 401, "not_authenticated")
        assert_refusal(without_role.get(address), 403, "permission_denied")
    assert_refusal(rep_api.get("/api/v1/reports/channels"), 404, "not_found")
    assert_refusal(rep_api.get("/api/v1/reports/nonsense"), 404, "not_found")
