"""Every page of the admin without a barrier: axe-core finds nothing on any list, form, deed and page of one's own, in both looks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db.models import Model
from playwright.sync_api import Browser, Page, expect
from pytest_django import DjangoDbBlocker
from pytest_django.live_server_helper import LiveServer

from abm import kept_reports
from abm.models import ExperimentCount, ReportSnapshot
from crm.models import User
from tests.browser.conftest import barriers, sign_in
from tests.doors.admin_pages import MAKERS
from tests.doors.every_address import Address, every_address
from tests.factories.crm import AccountFactory, TeamFactory, UserFactory

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db]
DESK, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
# No pages: they only take what a page sends, answer machines or a page's own script, send a file, or lead elsewhere.
NO_PAGES = {
    "logout", "end_browser", "end_other_browsers", "jsi18n", "autocomplete", "search", "set_language", "view_on_site", "crm_person_export", "crm_export_download",
    "crm_export_progress", "crm_upload_example", "crm_upload_failed", "crm_upload_progress", "crm_accountpair_like", "crm_contactpair_like",
    "password_reset_confirm", "crm_account_did", "crm_account_journey", "abm_scorechange_progress",
}  # fmt: skip
REPORTS = "/admin/abm/reportsnapshot/reports/"
# The Monday of a week, and a moment after it.
FIRST_DAY, AT = date(2026, 3, 2), datetime(2026, 3, 10, 12, tzinfo=UTC)
# The sidebar is the same everywhere; the start page's is looked at.
FRAME = ("#nav-sidebar",)
# The theme draws these from one template for every model; those of two models stand for all.
OF_THE_THEME, STAND_FOR_ALL = ("_add", "_delete", "_history", "_simple_history", "_views"), {"crm.Account", "crm.Suppression"}
# Pages that are more than the theme's list and form.
OUR_OWN = {"no model", "crm.Account", "crm.Contact", "crm.Opportunity", "crm.Upload", "crm.AccountPair", "abm.TargetList"}
GROUPS: dict[str, list[Address]] = {}
for each in every_address():
    group = each.model._meta.label if each.model else "no model"
    is_page = each.route.startswith("admin/") and each.name and each.name not in NO_PAGES
    if is_page and (not each.name.endswith(OF_THE_THEME) or group in STAND_FOR_ALL or each.name == "crm_upload_add"):
        GROUPS.setdefault(group, []).append(each)


@dataclass
class Site:
    """A running admin with one record of each kind, and the browser's page on which its administrator is signed in."""

    url: str
    page: Page
    records: dict[type[Model], Model]

    def open(self, path: str) -> bool:
        """Open a page at desk size; say whether it is one, and no redirect or refusal."""
        self.page.set_viewport_size(DESK)
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        answer = self.page.goto(self.url + path, wait_until="load")
        return bool(answer and answer.status == 200 and answer.url == self.url + path)

    def complaints(self, looks: tuple[str, ...] = ("desk", "phone"), *, colours: bool = True) -> list[str]:
        """Give what stands in somebody's way on the page as it is, at a desk by day and on a phone by night."""
        return [complaint for look in looks for complaint in self._look(look, colours=colours)]

    def _look(self, look: str, *, colours: bool) -> Iterator[str]:
        if look == "phone":
            self.page.set_viewport_size(PHONE)
            self.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
            self.page.evaluate("document.documentElement.classList.add('dark')")  # the theme asks the browser once, as it loads
        for barrier in barriers(self.page, without=() if self.page.url.endswith("/admin/") else FRAME, colours=colours):
            yield f"{look} {barrier['rule']}: {' | '.join(barrier['at'])}"
        if self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            yield f"{look}: wider than the screen"


@pytest.fixture(scope="module")
def site(browser: Browser, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """Start one server and one browser window for the whole walk: a flush after each of its tests would take longer than the walk."""
    with django_db_blocker.unblock():
        server = LiveServer("localhost")
        context = browser.new_context(locale="en-GB")
        admin = an_admin()
        account = AccountFactory(owner=admin, team=admin.team)
        records = {model: make(account) for model, make in MAKERS.items()}
        kept_reports.make("weekly", user=admin, first=FIRST_DAY, at=AT)
        sign_in(context, server, admin)
        yield Site(server.url, context.new_page(), records)
        context.close()
        server.stop()
        call_command("flush", interactive=False, verbosity=0)


def an_admin() -> User:
    user: User = UserFactory(is_staff=True, is_superuser=True, first_name="Ada", last_name="Beheer", team=TeamFactory())
    user.groups.add(Group.objects.get(name="sales rep"))
    return user


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_no_page_has_a_barrier(site: Site, group: str) -> None:
    paths = {str(address): address.filled(site.records) for address in GROUPS[group]}
    # The theme's colours are the same in every list and form; those of our own pages show them.
    colours = group in OUR_OWN
    opened = {name: site.complaints(looks(group, name), colours=colours) for name, path in paths.items() if site.open(path)}

    assert opened
    assert {name: there for name, there in opened.items() if there} == {}


def looks(group: str, name: str) -> tuple[str, ...]:
    """Give how a page is looked at: lists and records of our own both ways; what one template draws for many once, in turns."""
    is_list_or_record = name.endswith(("_changelist", "_change"))
    both = not is_list_or_record if group == "no model" else is_list_or_record and group in OUR_OWN
    return ("desk", "phone") if both else (("desk", "phone")[len(name) % 2],)


# Figures, each page with what it draws only then: bars beside a table, no rows, a week as it was kept, an experiment that was counted.
FIGURES: dict[str, Callable[[Site], str]] = {
    "report": lambda _site: f"{REPORTS}funnel/?by=size",
    "report without rows": lambda _site: f"{REPORTS}budget/?from=2090-01-01",
    "weekly report": lambda _site: f"/admin/abm/reportsnapshot/{ReportSnapshot.objects.get(kind='weekly').pk}/change/",
    "experiment": lambda site: f"/admin/abm/experiment/{site.records[ExperimentCount].experiment_id}/change/",  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("what", FIGURES)
def test_page_of_figures_has_no_barrier(site: Site, what: str) -> None:
    assert site.open(FIGURES[what](site))

    assert site.page.locator(".q-panel").count() > 0
    assert site.complaints() == []


def press(*keys: str) -> Callable[[Page], None]:
    return lambda page: [page.keyboard.press(key) for key in keys] and None


def search(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("bv")
    page.locator("#command-results-list, #command-results-note").first.wait_for(state="attached")


# What opens on the list of accounts: how, and what shows then.
OPENED_BY: dict[str, tuple[Callable[[Page], None], str]] = {
    "shortcuts": (press("?"), "dialog#q-keys[open]"),
    "search": (search, "#search-input-command"),
    "filters": (lambda page: page.locator("button[aria-controls=changelist-filter]").press("Enter"), "#filter-form"),
    "view": (lambda page: page.locator("details.q-pop > summary").first.press("Enter"), "#view-name"),
}


@pytest.mark.parametrize("what", OPENED_BY)
def test_what_opens_on_a_list_has_no_barrier(site: Site, what: str) -> None:
    opener, shown = OPENED_BY[what]
    assert site.open("/admin/crm/account/?score=60")
    opener(site.page)
    site.page.locator(shown).wait_for()

    assert site.complaints() == []


@pytest.mark.parametrize("path", ["/admin/crm/account/999999/change/", "/admin/no/such/page/", "/no/such/page"])
def test_page_that_is_not_there_has_no_barrier(site: Site, path: str) -> None:
    assert not site.open(path)

    assert site.complaints() == []


@pytest.mark.parametrize("path", ["login/", "password-reset/", "password-reset/sent/", "password-reset/done/", "password-reset/MQ/abc/"])
def test_way_in_has_no_barrier(site: Site, path: str) -> None:
    """Without the session, and with it again for whatever test comes next."""
    kept = site.page.context.cookies()
    site.page.context.clear_cookies()
    assert site.open(f"/admin/{path}")
    complaints = site.complaints()
    site.page.context.add_cookies(kept)

    assert complaints == []


def test_keyboard_skips_to_the_content_and_comes_back_from_the_filters(site: Site) -> None:
    site.open("/admin/crm/account/")
    press("Tab", "Enter", "Tab")(site.page)
    assert site.page.evaluate("document.activeElement.closest('main') !== null")

    opener = site.page.locator("button[aria-controls=changelist-filter]")
    opener.press("Enter")
    site.page.wait_for_function("document.activeElement.closest('#changelist-filter')")
    site.page.keyboard.press("Escape")
    expect(opener).to_be_focused()


def test_menu_of_a_phone_closes_by_keyboard(site: Site) -> None:
    site.open("/admin/crm/account/")
    site.page.set_viewport_size(PHONE)
    site.page.locator("header button[aria-expanded]:visible").press("Enter")
    site.page.locator("#nav-sidebar button.q-toggle").press("Enter")
    expect(site.page.locator("#nav-sidebar")).to_be_hidden()


def test_every_kind_of_page_is_walked() -> None:
    walked = {address.name for addresses in GROUPS.values() for address in addresses}

    assert len(walked) > 180
    assert {
        "index",
        "me",
        "second_factor",
        "crm_opportunity_board",
        "crm_export_new",
        "abm_targetlist_change",
        "abm_scorechange_playground",
    } <= walked
