"""The start page in a real browser: read, done in place, and reached by keyboard, at desk and phone size."""

from datetime import timedelta

import pytest
from django.utils.timezone import now
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from crm.models import Account, FollowUp, User
from tests.browser.conftest import AT_A_DESK, Seen, barriers, quiet
from tests.doors.test_admin_my_day import a_day_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def account(rep: User) -> Account:
    return a_day_of(rep, "Bakkerij Bos")


def test_day_is_read_without_barriers(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    page.goto(f"{live_server.url}/admin/")

    expect(page.get_by_text("A meeting by Anna de Boer (decider) this week; nothing the week before.")).to_be_visible()
    expect(page.locator(".q-greeting")).to_contain_text("Noor")
    quiet(page, seen, live_server)
    assert barriers(page) == []


def test_new_installation_says_what_to_do_first(page: Page, seen: Seen, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/admin/")

    expect(page.get_by_role("link", name="Add your first account")).to_be_visible()
    quiet(page, seen, live_server)
    assert barriers(page) == []


def test_calls_stand_above_everything_else(page: Page, live_server: LiveServer, account: Account) -> None:
    page.goto(f"{live_server.url}/admin/")

    tops = [box["y"] for each in page.locator(".q-day section").all() if (box := each.bounding_box())]
    assert tops[0] == min(tops)
    expect(page.locator(".q-day section").first).to_contain_text("Call first")


@AT_A_DESK
def test_call_is_logged_in_two_clicks(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    page.goto(f"{live_server.url}/admin/")

    page.get_by_role("link", name="Log a call with Bakkerij Bos").click()
    page.get_by_role("button", name="Save", exact=True).first.click()

    expect(page.get_by_role("heading", name="Call first: accounts that warm up")).to_be_visible()
    logged = account.activities.get(kind="call_answered")
    assert str(logged.contact.person) == "Anna de Boer"
    assert now() - logged.occurred_at < timedelta(minutes=2)
    quiet(page, seen, live_server)


@AT_A_DESK
def test_task_is_done_with_the_keyboard_alone(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    page.goto(f"{live_server.url}/admin/")

    button = page.get_by_role("button", name="Done: Bel Bakkerij Bos")
    button.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_text("Done: Bel Bakkerij Bos")).to_be_visible()
    expect(page.get_by_text("No task is due this week.")).to_be_visible()
    assert FollowUp.objects.get().closed_at is not None
    quiet(page, seen, live_server)
