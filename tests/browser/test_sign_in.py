"""The way in, in a real browser: second factor set up and asked for, browsers signed out, at desk and phone size."""

import pytest
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from crm.models import User
from tests.browser.conftest import AT_A_DESK, PASSWORD, Seen, barriers, quiet

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)


@pytest.fixture(autouse=True)
def _quick_passwords(settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def code_of(user: User, *, steps: int = 0) -> str:
    """Give the code that the app shows now, or some steps of 30 seconds on.

    A code that arrived a step late has told the server that the app's clock runs behind: it goes by that clock from then on.
    """
    device = TOTPDevice.objects.get(user=user)
    app = TOTP(device.bin_key, drift=device.drift)
    app.time = app.time + steps * 30
    return f"{app.token():06d}"


def good(page: Page, seen: Seen, live_server: LiveServer) -> None:
    quiet(page, seen, live_server)
    assert barriers(page) == []


@AT_A_DESK
def test_rep_sets_the_second_factor_up_and_signs_in_with_it(
    context: BrowserContext, seen: Seen, live_server: LiveServer, rep: User
) -> None:
    page = context.new_page()
    page.on("console", seen.hear)
    page.on("request", seen.ask)
    page.goto(f"{live_server.url}/admin/login/?next=/admin/me/")
    good(page, seen, live_server)
    page.fill("#id_username", rep.username)
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")

    expect(page.get_by_text("this one")).to_be_visible()
    good(page, seen, live_server)
    page.get_by_role("link", name="Set up the second factor").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    good(page, seen, live_server)
    page.locator("#id_code").fill(code_of(rep))
    page.get_by_role("button", name="Set up").click()
    expect(page.locator("[data-codes] li")).to_have_count(10)
    good(page, seen, live_server)
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 recovery codes are left.")).to_be_visible()
    good(page, seen, live_server)
    page.get_by_role("link", name="New recovery codes").click()
    good(page, seen, live_server)

    context.clear_cookies()
    page.goto(f"{live_server.url}/admin/login/?next=/admin/me/")
    page.fill("#id_username", rep.username)
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    good(page, seen, live_server)
    page.locator("#id_code").fill(code_of(rep, steps=1))
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/me/")
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_have_count(1)
    page.get_by_role("button", name="Sign out all others").click()
    expect(page.get_by_text("1 other browser is signed out.")).to_be_visible()
    good(page, seen, live_server)


@pytest.mark.parametrize("path", ["password-reset/", "password-reset/sent/", "password-reset/MQ/abc/", "password-reset/done/"])
def test_pages_of_a_forgotten_password_are_good(context: BrowserContext, seen: Seen, live_server: LiveServer, path: str, db: None) -> None:
    page = context.new_page()
    page.on("console", seen.hear)
    page.on("request", seen.ask)
    page.goto(f"{live_server.url}/admin/{path}")

    good(page, seen, live_server)


def test_lock_out_page_is_good_and_its_language_can_be_chosen(
    context: BrowserContext, seen: Seen, live_server: LiveServer, rep: User, settings
) -> None:
    settings.AXES_FAILURE_LIMIT = 1
    page = context.new_page()
    page.on("request", seen.ask)
    page.goto(f"{live_server.url}/admin/login/")
    page.fill("#id_username", rep.username)
    page.fill("#id_password", "verkeerd")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Try again in 15 minutes.")).to_be_visible()
    good(page, seen, live_server)
    page.get_by_role("button", name="Nederlands").click()
    expect(page.locator("html[lang=nl]")).to_be_attached()
