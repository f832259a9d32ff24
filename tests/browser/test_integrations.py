"""What an administrator does for integrations: a key made and revoked, and a webhook that tells a receiver something."""

from collections.abc import Iterator

import pytest
from django.utils.timezone import now
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer
from rest_framework.test import APIClient

from crm import webhooks
from crm.models import ApiKey, User
from tests.browser.conftest import AT_A_DESK, Seen, barriers, quiet, sign_in
from tests.conftest import somebody
from tests.receiver import Receiver, receiver

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def administrator(transactional_db: None) -> User:
    return somebody("administrator", username="ops", first_name="Ada", last_name="Beheer")


@pytest.fixture
def office(context: BrowserContext, seen: Seen, live_server: LiveServer, administrator: User) -> Page:
    """A page on which the administrator is signed in."""
    sign_in(context, live_server, administrator)
    page = context.new_page()
    page.on("console", seen.hear)
    page.on("request", seen.ask)
    return page


@pytest.fixture
def elsewhere() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def fine(page: Page, seen: Seen, live_server: LiveServer) -> None:
    quiet(page, seen, live_server)
    assert barriers(page, without=["#nav-sidebar"]) == []


def press(page: Page, name: str) -> None:
    """Press a deed's button above the page; on a phone they stand in a menu."""
    deed = page.get_by_role("link", name=name)
    if deed.count() == 0:
        page.get_by_text("more_horiz").locator("visible=true").first.click()
    deed.first.click()


def status(secret: str) -> int:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
    return int(client.get("/api/v1/accounts").status_code)


@AT_A_DESK
def test_key_is_shown_once_opens_its_scope_and_ends_when_it_is_revoked(
    office: Page, seen: Seen, live_server: LiveServer, administrator: User
) -> None:
    office.goto(f"{live_server.url}/admin/crm/apikey/add/")
    expect(office.get_by_role("checkbox", checked=True)).to_have_count(0)
    office.get_by_label("Name").fill("Warehouse")
    office.locator(".select2-selection").click()
    office.locator(".select2-search__field").fill("ops")
    office.get_by_role("option", name="Ada Beheer").click()
    office.get_by_label("accounts:read – read: accounts").check()
    fine(office, seen, live_server)
    office.get_by_role("button", name="Save", exact=True).click()

    secret = office.locator("[data-key]").inner_text()
    assert (status(secret), ApiKey.objects.get().scopes) == (200, ["accounts:read"])
    fine(office, seen, live_server)
    office.get_by_role("link", name="I have copied it").click()
    office.get_by_role("link", name="Warehouse").first.click()
    fine(office, seen, live_server)
    assert secret not in office.content()

    press(office, "Revoke")
    fine(office, seen, live_server)
    office.get_by_role("button", name="Revoke").click()
    expect(office.get_by_text("The key is revoked.")).to_be_visible()
    assert status(secret) == 401


@pytest.mark.parametrize("context", ["phone"], indirect=True)
def test_webhook_is_made_tried_seen_to_arrive_and_given_another_secret(
    office: Page, seen: Seen, live_server: LiveServer, elsewhere: Receiver
) -> None:
    office.goto(f"{live_server.url}/admin/crm/webhook/add/")
    office.get_by_label("Name").fill("Warehouse")
    office.get_by_label("Address").fill(elsewhere.address)
    office.get_by_label("contact.updated").check()
    fine(office, seen, live_server)
    office.get_by_role("button", name="Save", exact=True).click()
    secret = office.locator("[data-key]").inner_text()
    fine(office, seen, live_server)
    office.get_by_role("link", name="I have copied it").click()
    expect(office.get_by_text("Nothing was delivered yet.")).to_be_visible()
    assert secret not in office.content()

    press(office, "Send a test")
    office.get_by_role("button", name="Send a test").click()
    expect(office.get_by_text("A test event is on its way")).to_be_visible()
    office.wait_for_load_state("networkidle")
    webhooks.work(clock=now)
    office.reload()
    log = office.get_by_role("region", name="Latest deliveries")
    expect(log.get_by_role("row", name="webhook.ping")).to_contain_text("delivered")
    elsewhere.verify(secret)
    assert [call["event"]["type"] for call in elsewhere.taken] == ["webhook.ping"]
    fine(office, seen, live_server)

    press(office, "New secret")
    fine(office, seen, live_server)
    office.get_by_role("button", name="New secret").click()
    expect(office.get_by_text("The former one signs as well for 24 hours.")).to_be_visible()
    assert office.locator("[data-key]").inner_text() != secret
