"""The keyboard: the sheet of shortcuts, and keys that go, search and walk through lists, never while somebody types."""

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from crm.models import Account, User
from tests.browser.conftest import Seen, barriers, quiet
from tests.factories.crm import AccountFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)


@pytest.fixture
def accounts(rep: User) -> list[Account]:
    return [AccountFactory(name=name, owner=rep, team=rep.team) for name in ("Aalders", "Bos", "Claessen")]


@pytest.fixture
def context(browser):
    context = browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-GB")
    yield context
    context.close()


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.innerText || ''").strip()


def test_keys_walk_search_and_open(page: Page, seen: Seen, live_server: LiveServer, accounts: list[Account]) -> None:
    listing = f"{live_server.url}/admin/crm/account/"
    page.goto(listing)
    rows = page.locator("#result_list tbody tr th a, #result_list tbody tr td a")
    rows.first.wait_for()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    assert barriers(page) == []
    page.keyboard.press("j")  # the page behind the sheet stays still
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    page.evaluate("document.activeElement.blur()")

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    second = focused(page)
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/**")
    here = page.url
    assert second.split("\n")[0] in page.content()

    page.keyboard.press("k")
    page.wait_for_url(lambda url: "/change/" in url and url != here)
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.wait_for_url("**/admin/crm/contact/")

    page.keyboard.press("/")
    page.keyboard.type("gj?n")
    assert page.evaluate("document.activeElement.value") == "gj?n"
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
    quiet(page, seen, live_server)


def test_who_switched_single_keys_off_has_none(page: Page, live_server: LiveServer, accounts: list[Account], rep: User) -> None:
    User.objects.filter(pk=rep.pk).update(shortcuts=False)
    page.goto(f"{live_server.url}/admin/crm/account/")
    page.wait_for_load_state("networkidle")

    for key in ("?", "j", "/", "t"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
    page.get_by_role("button", name="Noor de Vries").click()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    expect(page.get_by_text("Single keys are switched off for you.")).to_be_visible()


def test_user_menu_opens_by_keyboard_and_speaks_dutch(page: Page, live_server: LiveServer, rep: User) -> None:
    page.goto(f"{live_server.url}/admin/me/")
    page.get_by_role("button", name="Noor de Vries").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Nederlands").press("Enter")

    expect(page.locator("html[lang=nl]")).to_be_attached()
    assert page.url.endswith("/admin/me/")
    rep.refresh_from_db()
    assert rep.language == "nl"
