"""The account's and the contact's page in a real browser: people are moved by mouse and by keyboard, a call is logged in two clicks."""

from datetime import timedelta

import pytest
from django.utils.timezone import now
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from abm import refresh
from crm import activities, dmu, follow_ups
from crm.models import Account, Activity, Contact, DmuMembership, FollowUp, User
from tests.browser.conftest import AT_A_DESK, Seen, barriers, quiet
from tests.factories.abm import EngagementScoreFactory
from tests.factories.crm import AccountFactory, ContactFactory, OpportunityFactory, PersonFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def account(rep: User) -> Account:
    """An account with a decider who is engaged, two people without a role, a deal, a task, and a score of some days."""
    account = AccountFactory(name="Bakkerij Bos", owner=rep, team=rep.team, employees=500)
    decider = somebody(account, "Anna", "Bakker")
    somebody(account, "Bram", "Visser")
    somebody(account, "Cas", "Mulder")
    dmu.assign(contact=decider, role="decider", stance="champion", at=now())
    for days in range(25):
        moment = now() - timedelta(days=days, minutes=1)
        activities.record(
            account=account, contact=decider, kind="meeting", occurred_at=moment, source="test", at=now(), subject=f"Overleg {days}"
        )
    OpportunityFactory(account=account, owner=rep, team=rep.team, name="Ovens")
    follow_ups.open(reason="by_hand", owner=rep, due_on=now().date(), at=now(), account=account, text="Bel over de oven")
    refresh.account(account.pk, at=now())
    for days in range(1, 60):
        EngagementScoreFactory(account=account, day=now().date() - timedelta(days=days), score=20 + days % 9)
    return account


def somebody(account: Account, given: str, family: str) -> Contact:
    return ContactFactory(account=account, person=PersonFactory(given_name=given, family_name=family), job_title="Inkoper")


def roles() -> list[tuple[str, str]]:
    held = DmuMembership.objects.current().select_related("contact__person").order_by("pk")
    return [(str(row.contact), row.role) for row in held]


def open_page(page: Page, live_server: LiveServer, record: Account | Contact) -> None:
    name = record._meta.model_name
    page.goto(f"{live_server.url}/admin/crm/{name}/{record.pk}/change/")
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


def test_account_page_has_no_barriers_and_keeps_to_itself(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    open_page(page, live_server, account)

    expect(page.get_by_role("heading", name="Who decides")).to_be_visible()
    expect(page.get_by_role("img", name="Score from")).to_be_visible()
    assert barriers(page) == []
    quiet(page, seen, live_server)

    page.locator("#log > summary").click()
    page.get_by_text("Move Bram Visser").locator("..").click()
    page.locator(".q-acts > summary").first.click()
    assert barriers(page) == []
    quiet(page, seen, live_server)


@AT_A_DESK
def test_what_another_person_did_for_the_score_unfolds(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    visitor = account.contacts.get(person__given_name="Bram")
    activities.record(
        account=account, contact=visitor, kind="download", occurred_at=now(), source="test", at=now(), subject="De gids voor ovens"
    )
    open_page(page, live_server, account)
    share = page.locator("details.q-share", has_text="Bram Visser")

    share.locator("summary").first.press("Enter")

    expect(share.get_by_role("table")).to_be_visible()
    share.locator(".q-acts > summary").press("Enter")
    expect(share.get_by_role("link", name="De gids voor ovens")).to_be_visible()
    assert barriers(page) == []
    quiet(page, seen, live_server)


def test_person_is_dragged_to_a_seat_and_the_move_is_undone(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    open_page(page, live_server, account)

    # On a phone both stand below the fold: a page that scrolls under the mouse is no drag.
    page.locator(".q-seat-buyer").scroll_into_view_if_needed()
    page.locator(".q-card", has_text="Anna Bakker").drag_to(page.locator(".q-seat-buyer"))
    expect(page.locator(".q-seat-buyer")).to_contain_text("Anna Bakker")
    expect(page.locator("#dmu-said")).to_contain_text("Anna Bakker: buyer.")
    assert roles() == [("Anna Bakker", "buyer")]

    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".q-seat-decider")).to_contain_text("Anna Bakker")
    assert roles() == [("Anna Bakker", "decider")]
    quiet(page, seen, live_server)


@AT_A_DESK
def test_person_is_moved_by_keyboard_alone_and_keeps_the_focus(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    open_page(page, live_server, account)
    grip = page.locator(".q-card", has_text="Anna Bakker").locator("summary")

    grip.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("buyer")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.locator(".q-seat-buyer")).to_contain_text("Anna Bakker")
    assert roles() == [("Anna Bakker", "buyer")]
    expect(page.locator(".q-seat-buyer summary")).to_be_focused()
    expect(page.locator(".q-seat-decider")).to_contain_text("missing")
    quiet(page, seen, live_server)


@AT_A_DESK
def test_refused_move_is_said_and_the_card_stays(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    open_page(page, live_server, account)
    dmu.move(DmuMembership.objects.get(), role="user", by=None, at=now())

    page.locator(".q-card", has_text="Anna Bakker").drag_to(page.locator(".q-seat-buyer"))

    expect(page.locator("#dmu-said")).to_contain_text("This role has ended already.")
    expect(page.locator(".q-seat-user")).to_contain_text("Anna Bakker")
    assert roles() == [("Anna Bakker", "user")]
    quiet(page, seen, live_server)


@AT_A_DESK
def test_call_is_logged_in_two_clicks_from_a_persons_card(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    open_page(page, live_server, account)

    page.get_by_role("link", name="Log something with Bram Visser").click()
    page.locator("#log").get_by_role("button", name="Save").click()

    expect(page.locator("#timeline-said")).to_contain_text("Logged.")
    logged = Activity.objects.get(source="admin")
    assert (logged.kind, str(logged.contact)) == ("call_answered", "Bram Visser")
    expect(page.locator("#timeline-rows")).to_contain_text("Bram Visser")
    quiet(page, seen, live_server)


@AT_A_DESK
def test_timeline_is_filtered_and_goes_on_in_place(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    open_page(page, live_server, account)
    rows = page.locator("#timeline-rows li")
    expect(rows).to_have_count(20)

    page.locator("#timeline-rows").get_by_role("link", name="Older").click()
    expect(rows).to_have_count(25)

    page.get_by_label("Whose doing").select_option("ours")
    expect(page.locator("#timeline-rows")).to_contain_text("Nothing like that happened.")
    assert barriers(page) == []
    quiet(page, seen, live_server)


@AT_A_DESK
def test_task_is_done_in_place(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    open_page(page, live_server, account)

    page.get_by_role("button", name="Done Bel over de oven").click()

    expect(page.locator("#tasks")).to_contain_text("The task is done.")
    expect(page.locator("#tasks")).not_to_contain_text("Bel over de oven")
    assert FollowUp.objects.get(reason="by_hand").closed_at is not None
    quiet(page, seen, live_server)


@pytest.mark.parametrize("path", ["history", "timeline"])
@AT_A_DESK
def test_history_and_timeline_have_no_barriers(page: Page, seen: Seen, live_server: LiveServer, account: Account, path: str) -> None:
    page.goto(f"{live_server.url}/admin/crm/account/{account.pk}/{path}/")

    expect(page.get_by_role("link", name="← Bakkerij Bos")).to_be_visible()
    assert barriers(page) == []
    quiet(page, seen, live_server)


@AT_A_DESK
def test_contact_page_has_no_barriers(page: Page, seen: Seen, live_server: LiveServer, account: Account) -> None:
    contact = account.contacts.order_by("pk")[0]
    open_page(page, live_server, contact)

    expect(page.get_by_role("heading", name="Anna Bakker", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Roles in decisions")).to_be_visible()
    assert barriers(page) == []
    quiet(page, seen, live_server)
