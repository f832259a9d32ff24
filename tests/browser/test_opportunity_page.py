"""The page of a deal in a real browser: forms open where they belong, and a refusal is seen, with what was typed."""

from decimal import Decimal

import pytest
from django.utils.timezone import now
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from crm.models import Opportunity, Pilot, User
from tests.browser.conftest import AT_A_DESK, Seen, barriers, quiet
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory, OpportunityFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def deal(rep: User) -> Opportunity:
    """A deal at an account with a buyer, whom nobody knows to decide."""
    account = AccountFactory(name="Bakkerij Bos", owner=rep, team=rep.team)
    MembershipFactory(contact=ContactFactory(account=account, person__given_name="Anna", person__family_name="Bos"), role="buyer")
    return OpportunityFactory(account=account, owner=rep, team=rep.team, name="Ovens", amount=Decimal(1000), stage_since=now())


def opened(page: Page, live_server: LiveServer, deal: Opportunity) -> None:
    page.goto(f"{live_server.url}/admin/crm/opportunity/{deal.pk}/change/")
    page.wait_for_load_state("networkidle")


def test_page_and_its_open_forms_have_no_barriers(page: Page, seen: Seen, live_server: LiveServer, deal: Opportunity) -> None:
    today = now().date()
    Pilot.objects.create(opportunity=deal, success_criteria="Tien per dag", starts_on=today, ends_on=today)
    opened(page, live_server, deal)
    page.evaluate("document.querySelectorAll('.q-spot').forEach((spot) => { spot.open = true; })")

    quiet(page, seen, live_server)
    assert barriers(page) == []


@AT_A_DESK
def test_rep_is_refused_mends_what_is_missing_and_moves_on(page: Page, seen: Seen, live_server: LiveServer, deal: Opportunity) -> None:
    opened(page, live_server, deal)
    page.locator(".q-next-stage button").click()
    refusal = page.locator("[data-refusal]")
    expect(refusal).to_have_text("The gate is closed: two of budget, authority and timing must be confirmed.")
    expect(refusal).to_be_focused()
    expect(refusal).to_be_in_viewport()

    for kind in ("budget", "timing"):
        page.locator("#next").get_by_role("link", name=f"Confirm {kind}").click()
        form = page.locator(f"#confirm-{kind}")
        expect(form.get_by_label("Confirmed by")).to_be_focused()
        form.get_by_label("Confirmed by").select_option(label="Anna Bos")
        form.get_by_label("Evidence").fill("Zei het in de vergadering.")
        form.get_by_role("button", name="Confirm").click()
        page.wait_for_load_state("networkidle")
    expect(page.get_by_text("Nothing: it may move on.")).to_be_visible()

    page.locator(".q-next-stage button").click()
    expect(page.locator(".q-stages [aria-current=step]")).to_contain_text("Opportunity")
    deal.refresh_from_db()
    assert deal.stage == "opportunity"
    quiet(page, seen, live_server)


@AT_A_DESK
def test_panel_leads_from_authority_to_assigning_a_decider(page: Page, live_server: LiveServer, deal: Opportunity) -> None:
    opened(page, live_server, deal)
    page.locator("#bant").get_by_role("link", name="Assign a decider").click()
    form = page.locator("#assign-decider")
    expect(form.get_by_label("Who")).to_be_focused()
    form.get_by_label("Who").select_option(label="Anna Bos")
    form.get_by_role("button", name="Assign").click()

    expect(page.locator("#dmu")).to_contain_text("this deal only")
    expect(page.locator("#bant")).not_to_contain_text("Nobody holds the decider role")


@AT_A_DESK
def test_form_opens_and_closes_from_the_keyboard(page: Page, live_server: LiveServer, deal: Opportunity) -> None:
    opened(page, live_server, deal)
    summary = page.locator("#bant summary", has_text="Confirm budget")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#confirm-budget").get_by_label("Confirmed by")).to_be_focused()

    page.keyboard.press("Escape")
    expect(page.locator("#confirm-budget")).to_be_hidden()
    expect(summary).to_be_focused()


@AT_A_DESK
def test_page_works_without_a_script(page: Page, live_server: LiveServer, deal: Opportunity) -> None:
    page.route("**/deal*.js", lambda route: route.abort())
    opened(page, live_server, deal)
    page.locator("#next summary", has_text="Mark as lost").click()
    page.locator("#lose").get_by_label("Why").fill("Te duur")
    page.locator("#lose button").click()
    page.wait_for_load_state("networkidle")

    deal.refresh_from_db()
    assert (deal.stage, deal.lost_reason) == ("lost", "Te duur")
