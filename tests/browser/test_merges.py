"""Duplicates and merges in a real browser: no barrier, no complaint, and a click back."""

import pytest
from django.utils.timezone import now
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from crm import duplicates
from crm.models import Account, User
from tests.browser.conftest import AT_A_DESK, Seen, barriers, quiet
from tests.factories.crm import AccountFactory, ContactFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def two(rep: User) -> list[Account]:
    facts = {"owner": rep, "team": rep.team, "domain": ""}
    made = [AccountFactory(name="Bakkerij Bos", **facts), AccountFactory(name="Bakkerij Bos B.V.", city="Ede", industry="food", **facts)]
    for account in made:
        ContactFactory(account=account, email="jan@bos.example", person__given_name="Jan", person__family_name="Bos")
    for what in (duplicates.ACCOUNTS, duplicates.CONTACTS):
        duplicates.sweep(what, at=now())
    return made


@AT_A_DESK
def test_rep_compares_merges_and_takes_it_back(page: Page, seen: Seen, live_server: LiveServer, two: list[Account]) -> None:
    page.goto(f"{live_server.url}/admin/crm/accountpair/")
    expect(page.get_by_text("The same name, apart from legal form and spelling")).to_be_visible()
    quiet(page, seen, live_server)

    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("heading", name="Which value stands?")).to_be_visible()
    assert barriers(page) == []
    page.get_by_role("group", name="Name").get_by_role("radio").nth(1).press("Space")
    quiet(page, seen, live_server)
    page.get_by_role("button", name="Merge", exact=True).click()

    expect(page.get_by_text("The two are one now.")).to_be_visible()
    assert barriers(page) == []
    quiet(page, seen, live_server)
    assert list(Account.objects.values_list("name", "city")) == [("Bakkerij Bos B.V.", "Ede")]
    page.get_by_role("link", name="Undo this merge").click()
    page.locator("form.q-ask button[type=submit]").click()
    expect(page.get_by_text("Both records are as they were before.")).to_be_visible()
    assert barriers(page) == []
    quiet(page, seen, live_server)
    assert set(Account.objects.values_list("name", flat=True)) == {"Bakkerij Bos", "Bakkerij Bos B.V."}


def test_form_of_a_new_account_says_what_looks_like_it(page: Page, seen: Seen, live_server: LiveServer, two: list[Account]) -> None:
    page.goto(f"{live_server.url}/admin/crm/account/add/")
    page.get_by_label("Name", exact=False).first.fill("Bakkerij BOS N.V.")
    expect(page.get_by_text("Is it on file already?")).to_be_visible()
    expect(page.locator(".q-like").get_by_role("link", name="Bakkerij Bos", exact=True)).to_be_visible()
    quiet(page, seen, live_server)


def test_lists_of_pairs_and_of_merges_done_are_quiet_and_without_barriers(
    page: Page, seen: Seen, live_server: LiveServer, two: list[Account]
) -> None:
    for path in ("accountpair", "contactpair", "merge"):
        page.goto(f"{live_server.url}/admin/crm/{path}/")
        quiet(page, seen, live_server)
        assert barriers(page) == []
