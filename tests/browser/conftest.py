"""What the browser tests share: one Chromium, signed-in pages at two sizes, and what no page may do."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright
from pytest_django.live_server_helper import LiveServer

from crm.models import User
from tests.conftest import somebody
from tests.factories.crm import TeamFactory

# Playwright runs an event loop in this thread, and Django then refuses the database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

AXE = Axe().axe_script
PASSWORD = "een-lang-wachtwoord"
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Without preload: fetching every style sheet once more, for one rule on turned screens, takes a third of the time.
RULES = {
    "preload": False,
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
# For a long way through several pages that no width changes: one walk is enough.
AT_A_DESK = pytest.mark.parametrize("context", ["desk"], indirect=True)


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def rep(transactional_db: None) -> User:
    """A rep who can sign in."""
    user = somebody("sales rep", team=TeamFactory(), username="noor", first_name="Noor", last_name="de Vries")
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture(scope="session")
def windows(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """Keep one window of each size for the whole run: a new one would fetch every style sheet and script again."""
    sizes = {"desk": (1400, "light"), "phone": (390, "dark")}
    opened = {
        name: browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-GB")
        for name, (width, scheme) in sizes.items()
    }
    yield opened
    for window in opened.values():
        window.close()


@pytest.fixture(params=["desk", "phone"])
def context(windows: dict[str, BrowserContext], request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """Give a window in which nobody is signed in and nothing is remembered."""
    context = windows[request.param]
    yield context
    for page in context.pages:
        if page.url.startswith("http"):
            page.evaluate("localStorage.clear(); sessionStorage.clear()")
        page.close()
    context.clear_cookies()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def page(context: BrowserContext, seen: Seen, live_server: LiveServer, rep: User) -> Page:
    """A page on which the rep is signed in already; it shows nothing yet."""
    sign_in(context, live_server, rep)
    page = context.new_page()
    page.on("console", seen.hear)
    page.on("request", seen.ask)
    return page


def sign_in(context: BrowserContext, live_server: LiveServer, user: User) -> None:
    """Give the browser a session of this user, without the sign-in page."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": str(session.session_key), "url": live_server.url}])


def quiet(page: Page, seen: Seen, live_server: LiveServer) -> None:
    """Check what no page may do: break the policy, call another host, or be wider than the screen."""
    page.wait_for_load_state("networkidle")
    assert seen.complaints == []
    assert seen.hosts == {urlsplit(live_server.url).netloc}
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def barriers(page: Page, *, without: Sequence[str] = (), colours: bool = True) -> list[dict[str, Any]]:
    """Give what axe-core finds on the page as it stands, each with rule, help and the elements.

    Leaves out the parts `without`, and without `colours` the contrast of each text, which takes as long as all other rules.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    ask = "([parts, rules]) => axe.run({exclude: parts}, rules).then(found => found.violations)"
    rules = RULES if colours else RULES | {"rules": {"color-contrast": {"enabled": False}}}
    found = page.evaluate(ask, [list(without), rules])
    return [{"rule": each["id"], "help": each["help"], "at": [node["html"][:200] for node in each["nodes"][:5]]} for each in found]
