"""Webhooks over the API: the secret comes once, the log is paged, and each deed answers in one shape."""

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from crm.models import KeptAnswer, User, Webhook, WebhookDelivery
from crm.webhooks import signing
from tests.conftest import AT, api_client, somebody
from tests.doors.test_api_contract import assert_refusal
from tests.factories.crm import WebhookDeliveryFactory, WebhookFactory

HERE = "/api/v1/webhooks"
BODY = {"name": "Warehouse", "address": "https://hooks.example.com/x", "event_types": ["contact.updated", "account.scored"]}


@pytest.fixture
def administrator(db: None) -> User:
    return somebody("administrator")


@pytest.fixture
def api(administrator: User) -> APIClient:
    return api_client(administrator)


def test_a_new_webhook_is_the_callers_and_its_secret_is_answered_this_once(api, administrator):
    made = api.post(HERE, BODY)

    body = made.json()
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    assert signing.unseal(Webhook.objects.get().secret) == body.pop("secret")
    assert body["owner"] == administrator.pk
    assert body["event_types"] == ["account.scored", "contact.updated"]
    assert api.get(f"{HERE}/{body['id']}").json() == body == api.get(HERE).json()["results"][0]


def test_the_same_call_again_gets_the_same_secret_which_lies_nowhere_in_plain_sight(api):
    made, again = (api.post(HERE, BODY, headers={"Idempotency-Key": "one"}) for _ in range(2))

    assert made.json() == again.json()
    assert (Webhook.objects.count(), again.headers["Idempotent-Replayed"]) == (1, "true")
    assert made.json()["secret"].encode() not in bytes(KeptAnswer.objects.get().body)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"address": "http://example.com"}, "address"),
        ({"address": "https://192.168.1.1/x"}, "address"),
        ({"event_types": ["contact.exploded"]}, "event_types"),
        ({"event_types": []}, "event_types"),
        ({"owner": 999_999}, "owner"),
        ({"name": ""}, "name"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
def test_what_cannot_be_right_is_named_and_nothing_is_made(api, wrong, field):
    assert set(assert_refusal(api.post(HERE, BODY | wrong), 400, "invalid")) == {field}
    assert not Webhook.objects.exists()


def test_it_is_changed_switched_off_and_on_given_a_new_secret_and_deleted(api):
    webhook = WebhookFactory(owner=somebody("integration"))
    here = f"{HERE}/{webhook.pk}"

    assert api.patch(here, {"address": "https://other.example.com/"}).json()["address"] == "https://other.example.com/"
    assert api.post(f"{here}/switch-off").json()["disabled_because"] == "by_hand"
    assert_refusal(api.post(f"{here}/switch-off"), 409, "conflict")
    assert api.get(f"{HERE}?active=true").json()["results"] == []
    assert api.post(f"{here}/switch-on").json()["is_active"] is True
    rotated = api.post(f"{here}/rotate-secret")
    assert (rotated.json()["secret"][:6], rotated.headers["Cache-Control"]) == ("whsec_", "no-store")
    assert api.delete(here).status_code == 204
    assert_refusal(api.get(here), 404, "not_found")
    assert Webhook.history.first().history_type == "-"


def test_a_ping_is_a_delivery_that_can_be_followed(api):
    webhook = WebhookFactory(owner=somebody("integration"))

    answer = api.post(f"{HERE}/{webhook.pk}/ping")

    assert answer.status_code == 202
    assert (answer.json()["type"], answer.json()["state"]) == ("webhook.ping", "waiting")
    assert api.get(f"/api/v1/webhook-deliveries/{answer.json()['id']}").json() == answer.json()
    assert answer.json()["payload"]["data"] == {"webhook_id": webhook.pk}


def test_the_log_is_narrowed_and_paged_and_one_or_all_can_be_told_again(api):
    webhook = WebhookFactory(owner=somebody("integration"))
    dead = [WebhookDeliveryFactory(webhook=webhook, state="dead", subject=f"contact:{number}") for number in range(3)]
    fine = WebhookDeliveryFactory(webhook=webhook, state="delivered")
    WebhookDeliveryFactory()

    first = api.get(f"/api/v1/webhook-deliveries?webhook={webhook.pk}&state=dead&page_size=2").json()
    rest = api.get(first["next"]).json()
    assert [row["id"] for row in first["results"] + rest["results"]] == [one.pk for one in reversed(dead)]
    assert api.post(f"/api/v1/webhook-deliveries/{fine.pk}/replay").json()["state"] == "waiting"
    assert_refusal(api.post(f"/api/v1/webhook-deliveries/{fine.pk}/replay"), 409, "conflict")
    assert api.post(f"{HERE}/{webhook.pk}/replay", {"state": "dead"}).json() == {"count": 3}
    assert WebhookDelivery.objects.waiting().count() == 5
    WebhookDelivery.objects.update(state="delivered")
    asked = {"since": (AT - timedelta(days=30)).isoformat(), "until": AT.isoformat()}
    assert api.post(f"{HERE}/{webhook.pk}/replay", asked).json() == {"count": 4}
    for wrong in ({}, {"state": "dead", **asked}):
        assert_refusal(api.post(f"{HERE}/{webhook.pk}/replay", wrong), 400, "invalid")


@pytest.mark.parametrize("role", ["sales rep", "team lead", "marketing", "integration"])
def test_only_administrators_run_webhooks(role, team):
    webhook, client = WebhookFactory(), api_client(somebody(role, team=team))

    for answer in (
        client.get(HERE),
        client.post(HERE, BODY),
        client.post(f"{HERE}/{webhook.pk}/ping"),
        client.get("/api/v1/webhook-deliveries"),
    ):
        assert_refusal(answer, 403, "permission_denied")
    assert Webhook.objects.count() == 1


def test_lists_take_as_many_queries_for_many_rows_as_for_few(api, django_assert_max_num_queries):
    WebhookDeliveryFactory.create_batch(20)

    for path in (HERE, "/api/v1/webhook-deliveries"):
        with django_assert_max_num_queries(6):
            assert len(api.get(path).json()["results"]) == 20
