"""The board in a real browser: by mouse and by keyboard, and a refused card is back in its column."""

from datetime import date
from decimal import Decimal

import pytest
from django.utils.timezone import now
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from crm import opportunities
from crm.models import Account, Opportunity, User
from tests.browser.conftest import AT_A_DESK, Seen, barriers, quiet
from tests.crm.deals import confirmed, proposal
from tests.factories.crm import AccountFactory, OpportunityFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def account(rep: User) -> Account:
    return AccountFactory(name="Bakkerij Bos", owner=rep, team=rep.team)


@pytest.fixture
def ready(account: Account, rep: User) -> Opportunity:
    """A deal whose gate is open."""
    deal = OpportunityFactory(account=account, owner=rep, team=rep.team, name="Ovens", amount=Decimal(1000), stage_since=now())
    confirmed(deal, "budget", "timing", at=now())
    return deal


@pytest.fixture
def unready(account: Account, rep: User) -> Opportunity:
    return OpportunityFactory(account=account, owner=rep, team=rep.team, name="Koeling", amount=Decimal(500), stage_since=now())


def board(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/admin/crm/opportunity/board/")
    page.wait_for_load_state("networkidle")


def column(page: Page, stage: str) -> Locator:
    return page.locator(f"#lane-{stage}")


def is_phone(page: Page) -> bool:
    return bool(page.viewport_size and page.viewport_size["width"] < 768)


def test_board_has_no_barriers_and_fits_the_screen(
    page: Page, seen: Seen, live_server: LiveServer, ready: Opportunity, unready: Opportunity, account: Account, rep: User
) -> None:
    broken = proposal(now(), account=account, owner=rep, team=rep.team, name="Vriezers", expected_close_on=date(2026, 1, 1))
    opportunities.withdraw(broken.confirmations.get(kind="budget"), because="Gekort", at=now())
    opportunities.lose(OpportunityFactory(account=account, owner=rep, team=rep.team), reason="Te duur", at=now())
    board(page, live_server)

    quiet(page, seen, live_server)
    assert barriers(page) == []


def test_phone_shows_one_stage_at_a_time(page: Page, live_server: LiveServer, ready: Opportunity, account: Account, rep: User) -> None:
    OpportunityFactory(account=account, owner=rep, team=rep.team, name="Vroeg", stage="mql")
    board(page, live_server)
    if not is_phone(page):
        expect(page.get_by_role("link", name="Vroeg")).to_be_visible()
        expect(page.get_by_role("link", name="Ovens")).to_be_visible()
        return

    expect(page.get_by_role("link", name="Vroeg")).to_be_visible()
    expect(page.get_by_role("link", name="Ovens")).to_be_hidden()
    page.locator("[data-tab=sql]").click()
    expect(page.get_by_role("link", name="Ovens")).to_be_visible()
    expect(page.get_by_role("link", name="Vroeg")).to_be_hidden()


def test_dragged_card_moves_and_the_sums_follow(page: Page, seen: Seen, live_server: LiveServer, ready: Opportunity) -> None:
    board(page, live_server)
    if is_phone(page):
        return
    page.locator(f"#card-{ready.pk}").drag_to(column(page, "opportunity"))

    expect(page.locator("#board-said")).to_have_text("Ovens: moved to opportunity.")
    expect(column(page, "opportunity").locator(".q-sums")).to_have_text("1,000 EUR")
    expect(column(page, "sql").locator(".q-sums")).to_have_text("–")
    ready.refresh_from_db()
    assert ready.stage == "opportunity"
    quiet(page, seen, live_server)


@AT_A_DESK
def test_refused_card_is_put_back_and_told_why_and_how_to_mend_it(
    page: Page, seen: Seen, live_server: LiveServer, unready: Opportunity
) -> None:
    board(page, live_server)
    if is_phone(page):
        page.locator(".q-menu > summary").click()
        page.get_by_role("button", name="Opportunity").click()
    else:
        page.locator(f"#card-{unready.pk}").drag_to(column(page, "opportunity"))

    sentence = "The gate is closed: two of budget, authority and timing must be confirmed."
    expect(page.get_by_role("dialog")).to_contain_text(sentence)
    expect(page.locator("#board-said")).to_have_text(sentence)
    expect(column(page, "sql").locator(f"#card-{unready.pk}")).to_have_count(1)
    assert barriers(page) == []
    quiet(page, seen, live_server)

    page.get_by_role("dialog").get_by_role("link", name="Confirm budget").click()
    expect(page.locator("#confirm-budget")).to_be_visible()
    unready.refresh_from_db()
    assert unready.stage == "sql"


@AT_A_DESK
def test_keyboard_walks_over_the_cards_and_moves_one(
    page: Page, live_server: LiveServer, ready: Opportunity, account: Account, rep: User
) -> None:
    OpportunityFactory(account=account, owner=rep, team=rep.team, name="Vroeg", stage="mql")
    board(page, live_server)
    if is_phone(page):
        return
    page.get_by_role("link", name="Vroeg").focus()
    assert page.locator(".q-card-name[tabindex='0']").count() == 1

    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("link", name="Ovens")).to_be_focused()
    page.keyboard.press("Shift+ArrowRight")
    expect(column(page, "opportunity").locator(f"#card-{ready.pk}")).to_be_visible()
    expect(page.get_by_role("link", name="Ovens")).to_be_focused()


@AT_A_DESK
def test_lost_is_asked_about_in_a_dialog_from_the_keyboard(page: Page, seen: Seen, live_server: LiveServer, ready: Opportunity) -> None:
    board(page, live_server)
    page.get_by_role("link", name="Ovens").focus()
    page.keyboard.press("m")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="The deal is lost")).to_be_visible()
    assert barriers(page) == []

    dialog.get_by_role("button", name="The deal is lost").click()
    expect(dialog).to_contain_text("This field is required.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    ready.refresh_from_db()
    assert ready.stage == "sql"

    page.keyboard.press("m")
    page.get_by_role("button", name="Lost").click()
    dialog.get_by_label("Why").fill("Te duur")
    dialog.get_by_role("button", name="The deal is lost").click()
    expect(page.locator("#board-said")).to_have_text("Ovens: The deal is recorded as lost.")
    ready.refresh_from_db()
    assert (ready.stage, ready.lost_reason) == ("lost", "Te duur")
    quiet(page, seen, live_server)


@AT_A_DESK
def test_card_moved_by_somebody_else_is_shown_where_it_is(page: Page, live_server: LiveServer, ready: Opportunity) -> None:
    board(page, live_server)
    opportunities.advance(Opportunity.objects.get(pk=ready.pk), to="opportunity", at=now())

    page.get_by_role("link", name="Ovens").focus()
    page.keyboard.press("Shift+ArrowRight")

    expect(page.get_by_role("dialog")).to_contain_text("Somebody else changed this deal in the meantime: look again.")
    expect(column(page, "opportunity").locator(f"#card-{ready.pk}")).to_have_count(1)


@AT_A_DESK
def test_card_is_back_when_the_server_does_not_answer(page: Page, live_server: LiveServer, ready: Opportunity) -> None:
    board(page, live_server)
    page.route("**/move/", lambda route: route.abort())

    page.get_by_role("link", name="Ovens").focus()
    page.keyboard.press("Shift+ArrowRight")

    expect(page.locator("#board-said")).to_have_text("The move did not reach the server: the card is back where it was.")
    expect(column(page, "sql").locator(f"#card-{ready.pk}")).to_have_count(1)
