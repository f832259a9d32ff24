"""A mail that comes back, from the mail file to the successor in the empty seat, and a false alarm put back, in a real browser."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils.timezone import now
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from config.celery import app
from crm import opportunities
from crm.models import Contact, Opportunity, User
from tests.abm.signals import situation, worked
from tests.browser.conftest import AT_A_DESK, Seen, quiet
from tests.crm.deals import PRICED, confirmed
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory, OpportunityFactory, PersonFactory
from tests.letterbox import automatic_reply, mailed, post, returned

__all__ = ["post"]  # a fixture
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True), AT_A_DESK]


@pytest.fixture(autouse=True)
def tasks_at_once() -> Iterator[None]:
    """Do what is handed to the queue at once, as a worker would a moment later."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


def decider(rep: User, *, name: str, company: str) -> Contact:
    """Make somebody who decides about an open deal past the gate, on their word alone, and whom our mail reached before."""
    account = AccountFactory(name=company, domain=f"{company.lower()}.example", owner=rep, team=rep.team, employees=120)
    person = PersonFactory(given_name=name, family_name="de Wit")
    contact = worked(ContactFactory(account=account, person=person, email=f"{name.lower()}@{account.domain}"))
    MembershipFactory(contact=contact, role="decider", is_assumed=False)
    deal = OpportunityFactory(account=account, name=f"Vloot van {company}", owner=rep, **PRICED)
    confirmed(deal, "budget", "authority", at=now(), contact=contact)
    opportunities.advance(deal, to="opportunity", at=now())
    return contact


def read(folder: Path, name: str, mail: bytes) -> None:
    """Hand a mail file over, as somebody who saved it would."""
    (folder / name).write_bytes(mail)
    call_command("read_bounces", str(folder / name))


def click(page: Page, place: Locator) -> None:
    place.click()
    page.wait_for_load_state("networkidle")


def test_decider_whose_mail_comes_back_is_followed_by_who_the_automatic_reply_names(
    page: Page, seen: Seen, live_server: LiveServer, rep: User, post: Any, tmp_path: Path
) -> None:
    anna = decider(rep, name="Anna", company="Molen")
    deal = Opportunity.objects.get(account=anna.account)
    sender, message_id = mailed(anna, post, at=now() - timedelta(minutes=5))

    read(tmp_path, "bounce.eml", returned(sender, anna.email))
    page.goto(f"{live_server.url}/admin/crm/account/{anna.account.pk}/change/")
    expect(page.locator(".q-seat-decider")).to_contain_text("may have left")
    read(tmp_path, "reply.eml", automatic_reply(anna.email, message_id))

    page.goto(f"{live_server.url}/admin/abm/jobchangesignal/")
    row = page.locator("tr", has_text="Anna de Wit")
    expect(row).to_contain_text("Piet de Boer piet.deboer@molen.example")
    click(page, row.get_by_role("link", name="Anna de Wit"))
    expect(page.locator("section", has=page.get_by_role("heading", name="Evidence"))).to_contain_text("User unknown")
    expect(page.locator("section", has=page.get_by_role("heading", name="Evidence"))).to_contain_text("I no longer work at Molen BV")
    quiet(page, seen, live_server)
    click(page, page.get_by_role("button", name="Add Piet de Boer"))
    expect(page.locator("body")).to_contain_text("The job change is confirmed")

    page.goto(f"{live_server.url}/admin/crm/opportunity/{deal.pk}/change/")
    expect(page.locator(".q-warning")).to_contain_text("The gate is broken")
    page.goto(f"{live_server.url}/admin/crm/account/{anna.account.pk}/change/")
    expect(page.locator(".q-seat-decider")).to_contain_text("Piet de Boer")
    expect(page.locator(".q-seat-decider")).not_to_contain_text("Anna de Wit")
    quiet(page, seen, live_server)
    deal.refresh_from_db()
    assert deal.gate_broken_at is not None
    assert list(deal.confirmations.filter(withdrawn_at=None)) == []


def test_decider_who_is_still_there_has_everything_back_as_it_was(
    page: Page, seen: Seen, live_server: LiveServer, rep: User, post: Any, tmp_path: Path
) -> None:
    bas = decider(rep, name="Bas", company="Sluis")
    sender, _message_id = mailed(bas, post, at=now() - timedelta(minutes=5))
    # The mail itself did fail: that stays on record.
    before = {name: rows for name, rows in situation().items() if name not in ("deliveries", "reports")}

    read(tmp_path, "bounce.eml", returned(sender, bas.email))
    page.goto(f"{live_server.url}/admin/crm/account/{bas.account.pk}/change/")
    expect(page.locator(".q-seat-decider")).to_contain_text("may have left")

    page.goto(f"{live_server.url}/admin/abm/jobchangesignal/")
    click(page, page.locator("tr", has_text="Bas de Wit").get_by_role("button", name="Still there"))
    expect(page.locator("body")).to_contain_text("The signal is dismissed")
    assert {name: rows for name, rows in situation().items() if name not in ("deliveries", "reports")} == before
    page.goto(f"{live_server.url}/admin/crm/account/{bas.account.pk}/change/")
    expect(page.locator(".q-seat-decider")).to_contain_text("Bas de Wit")
    expect(page.locator(".q-seat-decider")).not_to_contain_text("may have left")
    quiet(page, seen, live_server)
