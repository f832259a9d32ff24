"""Lists in a real browser: save a view, search with the keyboard, hand rows over; on a desk and on a phone, without barriers."""

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from crm.models import Account, SavedView, User
from tests.browser.conftest import AT_A_DESK, Seen, barriers, quiet
from tests.factories.abm import StandingFactory
from tests.factories.crm import AccountFactory, ContactFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def account(rep: User) -> Account:
    account = AccountFactory(name="Bakkerij Bos", domain="bos.example", owner=rep, team=rep.team)
    ContactFactory(account=account, person__given_name="Anna", person__family_name="Bosman", email="anna@bos.example")
    StandingFactory(account=account, score=61, coverage_percent=40, coverage_states={"decider": "engaged", "buyer": "missing"})
    return account


@pytest.mark.parametrize("path", ["account", "contact", "opportunity", "followup", "activity", "account/?q=nergens"])
def test_list_has_no_barriers(page: Page, seen: Seen, live_server: LiveServer, account: Account, path: str) -> None:
    page.goto(f"{live_server.url}/admin/crm/{path}")

    expect(page.get_by_role("navigation", name="Views of this list")).to_be_visible()
    quiet(page, seen, live_server)
    assert [(one["rule"], one["at"][:2]) for one in barriers(page)] == []


@AT_A_DESK
def test_rep_saves_a_view_and_finds_it_as_a_tab(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    page.goto(f"{live_server.url}/admin/crm/account/?owner=all&score=hot")
    page.get_by_text("Save this view").click()
    page.get_by_label("Name of the view").fill("Hot ones")
    assert [(one["rule"], one["at"][:2]) for one in barriers(page)] == []
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("link", name="Hot ones")).to_have_attribute("aria-current", "page")
    expect(page.locator("#result_list")).to_contain_text("Bakkerij Bos")
    quiet(page, seen, live_server)
    assert SavedView.objects.get().query == "owner=all&score=hot"


@AT_A_DESK
def test_rep_opens_an_account_with_the_keyboard_alone(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    page.goto(f"{live_server.url}/admin/crm/contact/")
    page.keyboard.press("Control+k")
    page.get_by_placeholder("Company, person, domain, e-mail or deal").press_sequentially("bos.ex")

    expect(page.get_by_text("Account · mine · bos.example")).to_be_visible(timeout=20_000)
    assert [(one["rule"], one["at"][:2]) for one in barriers(page)] == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/admin/crm/account/{account.pk}/change/")
