"""The admin in a real browser: a rep works there, under the content security policy and from our own host alone."""

from datetime import timedelta

import pytest
from django.utils.timezone import now
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from abm import refresh
from crm import activities, dmu
from crm.models import Account, User
from tests.browser.conftest import AT_A_DESK, Seen, quiet
from tests.factories.crm import AccountFactory, ContactFactory, OpportunityFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def account(rep: User) -> Account:
    """An account with a decider who did something, a buyer who is missing, a deal, and a standing."""
    account = AccountFactory(name="Bakkerij Bos", owner=rep, team=rep.team)
    decider = ContactFactory(account=account)
    dmu.assign(contact=decider, role="decider", at=now())
    activities.record(
        account=account,
        contact=decider,
        kind="meeting",
        occurred_at=now() - timedelta(days=1),
        source="test",
        at=now(),
        subject="Kennismaking",
    )
    OpportunityFactory(account=account, owner=rep, team=rep.team, name="Ovens")
    refresh.account(account.pk, at=now())
    return account


def test_rep_finds_the_account_and_sees_who_decides_and_why_it_scores(
    page: Page, seen: Seen, live_server: LiveServer, account: Account
) -> None:
    page.goto(f"{live_server.url}/admin/crm/account/")
    row = page.locator("#result_list", has_text="Bakkerij Bos")
    expect(row).to_contain_text("engaged")
    expect(row).to_contain_text("missing")
    quiet(page, seen, live_server)

    page.click("text=Bakkerij Bos")
    expect(page.get_by_role("heading", name="Who decides")).to_be_visible()
    expect(page.get_by_role("heading", name="Why this score")).to_be_visible()
    expect(page.get_by_text("Find out who the buyer is")).to_be_visible()
    expect(page.get_by_role("link", name="Ovens")).to_be_visible()
    quiet(page, seen, live_server)


@AT_A_DESK
def test_closed_gate_tells_the_rep_what_is_missing(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    deal = account.opportunities.get()
    page.goto(f"{live_server.url}/admin/crm/opportunity/{deal.pk}/change/")
    expect(page.get_by_text("Two of budget, authority and timing must be confirmed")).to_be_visible()
    quiet(page, seen, live_server)

    page.goto(f"{live_server.url}/admin/crm/opportunity/{deal.pk}/advance/")
    page.locator("form.q-ask button[type=submit]").click()
    expect(page.get_by_text("The gate is closed: two of budget, authority and timing must be confirmed.")).to_be_visible()
    quiet(page, seen, live_server)
    deal.refresh_from_db()
    assert deal.stage == "sql"


@pytest.mark.parametrize("path", ["contact/add", "activity/add", "followup", "activity", "opportunity/add"])
@AT_A_DESK
def test_forms_and_lists_work_under_the_policy(page: Page, seen: Seen, live_server: LiveServer, path: str) -> None:
    page.goto(f"{live_server.url}/admin/crm/{path}/")

    expect(page.locator("#content-main")).to_be_visible()
    quiet(page, seen, live_server)
