"""Every page of the admin without a barrier: axe-core finds nothing on any list, form, deed and page of one's own, in both looks."""

from collections.abc import Iterator

import pytest
from django.apps import apps
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from crm.access import grant_roles
from crm.models import Account, User
from tests.browser.conftest import barriers, sign_in
from tests.doors.admin_pages import MAKERS
from tests.doors.every_address import Address, every_address
from tests.factories.crm import AccountFactory, UserFactory

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
LOOKS = {"desk": (1400, "light"), "phone": (390, "dark")}
# No pages: they answer machines, send a file, or lead elsewhere.
NO_PAGES = {"logout", "jsi18n", "autocomplete", "search", "set_language"}


@pytest.fixture
def admin(transactional_db: None) -> User:
    for app in ("crm", "abm"):
        grant_roles(apps, app)
    return UserFactory(is_staff=True, is_superuser=True, first_name="Ada", last_name="Beheer")


@pytest.fixture(params=LOOKS)
def page(browser: Browser, request: pytest.FixtureRequest, live_server: LiveServer, admin: User) -> Iterator[Page]:
    width, scheme = LOOKS[request.param]
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-GB", reduced_motion="reduce")
    sign_in(context, live_server, admin)
    yield context.new_page()
    context.close()


def pages() -> list[Address]:
    """Give the addresses of pages that somebody looks at."""
    return [each for each in every_address() if each.route.startswith("admin/") and each.name not in NO_PAGES]


def test_no_page_has_a_barrier(page: Page, live_server: LiveServer, admin: User) -> None:
    account: Account = AccountFactory(owner=admin)
    records = {model: make(account) for model, make in MAKERS.items()}
    found, looked_at = {}, 0
    for address in pages():
        answer = page.request.get(live_server.url + address.filled(records), max_redirects=0)
        if answer.status != 200 or "text/html" not in answer.headers["content-type"]:
            continue
        page.goto(live_server.url + address.filled(records))
        looked_at += 1
        if there := barriers(page):
            found[str(address)] = there
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            found.setdefault(str(address), []).append({"rule": "wider than the screen"})

    assert found == {}
    assert looked_at > 100
