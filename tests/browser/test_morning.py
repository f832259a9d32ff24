"""A rep's morning on the demo, in a real browser: from the reason to call to the card in its new column."""

import sys
import time
from collections.abc import Iterator

import pytest
from django.utils.timezone import now
from playwright.sync_api import Browser, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from abm import demo
from crm.models import Account, Activity, Opportunity, User
from tests.browser.conftest import Seen, quiet, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
ACCOUNT, DEAL, BUYER, DECIDER = "Toughzap", "Workstations for the design studio", "Floris Willems", "Priya Takahashi"


class Morning:
    """A page on which every click is counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks, self.begun = page, 0, time.monotonic()

    def click(self, place: Locator) -> None:
        place.click()
        self.clicks += 1
        self.page.wait_for_load_state("networkidle")

    def drag(self, card: Locator, to: Locator) -> None:
        card.drag_to(to)
        self.clicks += 1
        self.page.wait_for_load_state("networkidle")

    def confirm(self, kind: str, who: str, evidence: str) -> None:
        """Open the panel's form, say who and what, send it."""
        self.click(self.page.locator("#next").get_by_role("link", name=f"Confirm {kind}"))
        form = self.page.locator(f"#confirm-{kind}")
        chosen = form.locator("option", has_text=who).get_attribute("value")
        form.get_by_label("Confirmed by").select_option(chosen)
        form.get_by_label("Evidence").fill(evidence)
        self.click(form.get_by_role("button", name="Confirm"))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun


@pytest.fixture
def rep(transactional_db: None) -> User:
    demo.load(at=now(), say=lambda _sentence: None)
    return User.objects.get(username="darcel.schlecht")


@pytest.fixture
def page(browser: Browser, seen: Seen, live_server: LiveServer, rep: User) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-GB")
    sign_in(context, live_server, rep)
    page = context.new_page()
    page.on("console", seen.hear)
    page.on("request", seen.ask)
    page.goto(f"{live_server.url}/admin/")
    yield page
    context.close()


def test_rep_calls_assigns_confirms_is_refused_and_moves_the_deal_on(
    page: Page, seen: Seen, live_server: LiveServer, capsys: pytest.CaptureFixture[str]
) -> None:
    morning = Morning(page)
    account, deal = Account.objects.get(name=ACCOUNT), Opportunity.objects.get(name=DEAL)

    line = page.locator("#warming li", has_text=ACCOUNT)
    expect(line).to_contain_text("this week")
    morning.click(line.get_by_role("link", name=f"Open {ACCOUNT}"))
    expect(page.get_by_role("heading", name="Why this score")).to_be_visible()

    morning.drag(page.locator(".q-tray .q-card", has_text=BUYER), page.locator(".q-seat-buyer"))
    expect(page.locator(".q-seat-buyer")).to_contain_text(BUYER)

    morning.click(page.locator("#log summary"))
    page.locator("#log").get_by_label("About", exact=True).fill("Sent the offer, calls back on Thursday")
    page.locator("#log").get_by_label("With", exact=True).select_option(label=DECIDER)
    morning.click(page.locator("#log").get_by_role("button", name="Save"))
    expect(page.locator("#timeline-rows")).to_contain_text("Sent the offer, calls back on Thursday")

    morning.click(page.get_by_role("link", name=DEAL))
    morning.confirm("budget", BUYER, "72,000 is in the budget of 2027.")
    morning.click(page.locator(".q-next-stage button"))
    expect(page.locator("[data-refusal]")).to_have_text("The gate is closed: two of budget, authority and timing must be confirmed.")
    deal.refresh_from_db()
    assert deal.stage == "sql"

    morning.confirm("authority", DECIDER, "She signs up to 100,000 herself.")
    morning.click(page.locator(".q-next-stage button"))
    expect(page.locator(".q-stages [aria-current=step]")).to_contain_text("Opportunity")

    morning.click(page.get_by_role("link", name="Pipeline"))
    expect(page.locator("#lane-opportunity")).to_contain_text(DEAL)
    quiet(page, seen, live_server)

    deal.refresh_from_db()
    assert deal.stage == "opportunity"
    assert str(account.memberships.current().get(role="buyer").contact) == BUYER
    assert str(Activity.objects.get(subject="Sent the offer, calls back on Thursday").contact) == DECIDER
    assert morning.clicks <= 13
    with capsys.disabled():
        sys.stdout.write(f"\nA rep's morning: {morning.clicks} clicks and drags, {morning.seconds:.1f} seconds\n")
