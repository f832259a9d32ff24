"""Who may call what: every operation of the schema, by everybody who may not."""

import pytest
from django.db.models import Model
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from abm.api.urls import RESOURCES
from crm.access import ROLES
from crm.models import User
from tests.conftest import api_client, somebody
from tests.doors.test_api_contract import CASES, RUN_BY_ADMINISTRATORS, assert_refusal
from tests.factories.crm import UserFactory, WebhookDeliveryFactory, WebhookFactory


def operations() -> list[tuple[str, str, str]]:
    """List every operation as method, resource, and what stands below it, e.g. ('post', 'opportunities', '{id}/win')."""
    found = []
    for path, methods in SchemaGenerator().get_schema(public=True)["paths"].items():
        resource, _, below = path.removeprefix("/api/v1/").partition("/")
        found += [(method, resource, below) for method in methods]
    # Reports are no records: tests/doors/test_api_reports.py tries them.
    return [one for one in found if one[1] != "reports"]


OPERATIONS = operations()
MAKERS = {case.name: case.record for case in CASES} | {
    "webhooks": lambda user: WebhookFactory(owner=user),
    "webhook-deliveries": lambda user: WebhookDeliveryFactory(webhook__owner=user),
}
each_operation = pytest.mark.parametrize(("method", "resource", "below"), OPERATIONS, ids=" ".join)
under_a_record = pytest.mark.parametrize(("method", "resource", "below"), [one for one in OPERATIONS if "{" in one[2]], ids=" ".join)


def address(resource: str, below: str, record: Model) -> str:
    return f"/api/v1/{resource}/{below}".rstrip("/").replace("{id}", str(record.pk)).replace("{account}", str(record.pk))


def rows(resource: str) -> list[dict[str, object]]:
    return list(RESOURCES[resource].queryset.model._default_manager.order_by("pk").values())


@each_operation
def test_nobody_calls_it_without_a_key(method, resource, below, lead):
    record = MAKERS[resource](lead)
    before = rows(resource)

    assert_refusal(getattr(APIClient(), method)(address(resource, below, record)), 401, "not_authenticated")
    assert rows(resource) == before


@each_operation
def test_nobody_calls_it_without_a_role(method, resource, below, lead):
    record = MAKERS[resource](lead)
    before = rows(resource)

    answer = getattr(api_client(UserFactory(team=lead.team)), method)(address(resource, below, record))

    assert_refusal(answer, 403, "permission_denied")
    assert rows(resource) == before


@under_a_record
@pytest.mark.parametrize("role", [role for role in ROLES if role != "marketing"])
def test_another_team_does_not_find_the_record(method, resource, below, role, lead, outsider):
    record = MAKERS[resource](lead)
    before = rows(resource)
    stranger = somebody(role, team=outsider.team)

    answer = getattr(api_client(stranger), method)(address(resource, below, record))

    # a rep may not change target lists at all, and hears that first
    assert answer.status_code == (404 if stranger.has_perm(permission(method, resource, below)) else 403), answer.content
    assert rows(resource) == before


def permission(method: str, resource: str, below: str) -> str:
    meta = RESOURCES[resource].queryset.model._meta
    verb = {"get": "view", "post": "change" if "{" in below else "add", "patch": "change", "delete": "delete"}[method]
    verb = "change" if (method, resource) == ("delete", "imports") else verb  # whoever may run an import may throw it away
    return f"{meta.app_label}.{verb}_{meta.model_name}"


def test_the_documents_hold_the_number_of_operations_that_are_tried_here():
    assert len(OPERATIONS) == 137
    assert {resource for _method, resource, _below in OPERATIONS} == set(RESOURCES)


@pytest.mark.parametrize("resource", sorted(RESOURCES.keys() - RUN_BY_ADMINISTRATORS))
def test_marketing_sees_every_record_and_a_former_colleague_none(resource, lead, marketer):
    MAKERS[resource](lead)
    User.objects.filter(pk=lead.pk).update(is_active=False)

    assert len(api_client(marketer).get(f"/api/v1/{resource}").json()["results"]) == 1
    assert_refusal(api_client(lead).get(f"/api/v1/{resource}"), 401, "authentication_failed")


def test_key_sent_in_another_way_is_refused_with_how_to_send_it(db):
    answer = APIClient().get("/api/v1/accounts", HTTP_AUTHORIZATION="Bearer abc")

    assert_refusal(answer, 401, "not_authenticated")
    assert answer.json()["message"] == "Send the key as 'Authorization: Token KEY', not as 'Bearer'."
    assert answer.headers["WWW-Authenticate"] == "Token"
