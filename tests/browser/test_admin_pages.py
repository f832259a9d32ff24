"""The admin in a real browser: a rep signs in and works, under the content security policy and from our own host alone."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.utils.timezone import now
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from abm import refresh
from crm import activities, dmu
from crm.access import grant_roles
from crm.models import Account, User
from tests.conftest import somebody
from tests.factories.crm import AccountFactory, ContactFactory, OpportunityFactory, TeamFactory

# Playwright runs an event loop in this thread, and Django then refuses the database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "een-lang-wachtwoord"
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass
class Seen:
    """What the browser complained of, and which other hosts it asked."""

    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def hear(self, message: ConsoleMessage) -> None:
        is_favicon = message.location.get("url", "").endswith("/favicon.ico")
        if message.type in ("error", "warning") and not is_favicon:
            self.complaints.append(message.text)

    def ask(self, request: Request) -> None:
        if urlsplit(request.url).scheme.startswith("http"):
            self.hosts.add(urlsplit(request.url).netloc)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def rep() -> User:
    """A rep who can sign in; the groups are made anew, for a flushed database has lost those of the migrations."""
    for app in ("crm", "abm"):
        grant_roles(apps, app)
    user = somebody("sales rep", team=TeamFactory(), username="noor")
    user.set_password(PASSWORD)
    user.save()
    return user


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


@pytest.fixture(params=[(1400, "light"), (390, "dark")], ids=["desk", "phone"])
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-GB")
    yield context
    context.close()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def page(context: BrowserContext, seen: Seen, live_server: LiveServer, account: Account) -> Page:
    page = context.new_page()
    page.on("console", seen.hear)
    page.on("request", seen.ask)
    page.goto(f"{live_server.url}/admin/")
    page.fill("input[name=username]", "noor")
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{live_server.url}/admin/crm/account/")
    return page


def quiet(page: Page, seen: Seen, live_server: LiveServer) -> None:
    """Check what no page may do: break the policy, call another host, or be wider than the screen."""
    page.wait_for_load_state("networkidle")
    assert seen.complaints == []
    assert seen.hosts == {urlsplit(live_server.url).netloc}
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


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
def test_forms_and_lists_work_under_the_policy(page: Page, seen: Seen, live_server: LiveServer, path: str) -> None:
    page.goto(f"{live_server.url}/admin/crm/{path}/")

    expect(page.locator("#content-main")).to_be_visible()
    quiet(page, seen, live_server)
