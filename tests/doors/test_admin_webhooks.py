"""Webhooks in the admin: added with tick boxes, tried, switched off and on; the secret is shown once."""

import re

import pytest
from django.test import Client

from crm.models import User, Webhook, WebhookDelivery
from crm.webhooks import signing
from tests.conftest import somebody
from tests.doors.admin_pages import link, said
from tests.factories.crm import WebhookDeliveryFactory, WebhookFactory


@pytest.fixture
def administrator(db: None) -> User:
    return somebody("administrator", username="ops")


@pytest.fixture
def browser(administrator: User, client: Client) -> Client:
    client.force_login(administrator)
    return client


def text(answer) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_the_empty_list_says_what_a_webhook_is_for(browser):
    assert "No other system is told anything yet." in text(browser.get(link(Webhook, "changelist")))


def test_a_webhook_is_added_with_tick_boxes_and_its_secret_is_shown_this_once(browser, administrator):
    form = browser.get(link(Webhook, "add"))
    assert form.content.count(b'type="checkbox" name="event_types"') + form.content.count(b'name="event_types"') >= 9
    sent = {"name": "Warehouse", "address": "https://hooks.example.com/x", "event_types": ["contact.erased", "role.lost"]}

    answer = browser.post(link(Webhook, "add"), sent | {"owner": administrator.pk})

    webhook = Webhook.objects.get()
    secret = signing.unseal(webhook.secret)
    assert secret in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert webhook.event_types == ["contact.erased", "role.lost"]
    page = browser.get(link(webhook, "change"))
    assert secret not in page.content.decode()
    assert "Nothing was delivered yet." in text(page)


def test_a_wrong_address_comes_back_with_the_form_and_the_reason(browser, administrator):
    sent = {"name": "Warehouse", "address": "https://10.0.0.1/", "event_types": ["role.lost"], "owner": administrator.pk}

    answer = browser.post(link(Webhook, "add"), sent)

    assert "10.0.0.1 leads into a private network" in text(answer)
    assert not Webhook.objects.exists()


def test_only_what_changed_is_saved_and_the_history_says_who(browser, administrator):
    webhook = WebhookFactory(owner=administrator)
    sent = {"name": webhook.name, "address": webhook.address, "event_types": ["role.lost"], "owner": administrator.pk}

    assert browser.post(link(webhook, "change"), sent).status_code == 302

    webhook.refresh_from_db()
    assert webhook.event_types == ["role.lost"]
    assert webhook.history.first().history_user == administrator


def test_each_deed_does_its_work_and_shows_on_the_page(browser):
    webhook = WebhookFactory(owner=somebody("integration"))
    dead = WebhookDeliveryFactory(webhook=webhook, state="dead", attempts=10, last_error="500 Internal Server Error")

    def do(deed: str, record=webhook, **sent: str):
        address = link(record, "change").replace("change/", f"{deed}/")
        assert browser.get(address).status_code == 200, deed
        return browser.post(address, sent, follow=True)

    assert said(do("ping")) == ["A test event is on its way; the log below tells how it went."]
    assert "webhook.ping" in text(browser.get(link(webhook, "change")))
    assert "500 Internal Server Error" in text(browser.get(link(webhook, "change")))
    assert said(do("replay-dead")) == ["What was given up is tried again."]
    WebhookDelivery.objects.update(state="delivered")
    assert said(do("replay", since="2026-02-01T00:00")) == ["The events of that time are told again."]
    WebhookDelivery.objects.update(state="delivered")
    assert said(do("replay", record=dead)) == ["The event is told again."]
    before = webhook.secret
    shown = do("rotate-secret")
    webhook.refresh_from_db()
    assert signing.unseal(webhook.secret) in shown.content.decode()
    assert (webhook.old_secret, "24 hours" in text(shown)) == (before, True)
    assert said(do("switch-off")) == ["The webhook is switched off."]
    assert said(do("switch-on")) == ["The webhook is switched on."]


def test_the_log_shows_what_waits_or_was_given_up_first_and_the_body_on_the_page(browser):
    waiting, fine = WebhookDeliveryFactory(subject="contact:7"), WebhookDeliveryFactory(state="delivered", subject="contact:8")

    shown, every = (
        text(browser.get(link(WebhookDelivery, "changelist"))),
        text(browser.get(link(WebhookDelivery, "changelist") + "?progress=all")),
    )

    assert ("contact:7" in shown, "contact:8" in shown, "contact:8" in every) == (True, False, True)
    assert '"contact_id": 7' in text(browser.get(link(waiting, "change"))).replace("&quot;", '"')
    assert browser.get(link(fine, "change")).status_code == 200


def test_a_webhook_is_deleted_with_its_deliveries_and_the_history_stays(browser, administrator):
    webhook = WebhookDeliveryFactory().webhook

    browser.post(link(webhook, "delete"), {"post": "yes"})

    assert not Webhook.objects.exists()
    assert not WebhookDelivery.objects.exists()
    assert Webhook.history.first().history_user == administrator


@pytest.mark.parametrize("role", ["sales rep", "team lead", "marketing"])
def test_nobody_but_administrators_finds_them(role, team, client):
    client.force_login(somebody(role, team=team))
    webhook = WebhookFactory()

    assert client.get(link(Webhook, "changelist")).status_code == 403
    assert client.get(link(webhook, "change")).status_code in (302, 403)
    assert "Webhooks" not in text(client.get("/admin/"))


def test_it_speaks_dutch(browser, administrator):
    administrator.language = "nl"
    administrator.save()

    assert "Nog geen ander systeem krijgt iets te horen." in text(browser.get(link(Webhook, "changelist")))
