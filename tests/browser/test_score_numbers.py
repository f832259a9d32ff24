"""The playground in a real browser: a changed number shows its effect at once, is saved with a reason, and taken back."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils.timezone import now
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from abm import nightly, policy, refresh, score_numbers, tasks
from crm import activities
from crm.models import User
from tests.browser.conftest import Seen, barriers, quiet
from tests.factories.crm import ContactFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def marketer(rep: User, monkeypatch: pytest.MonkeyPatch) -> User:
    """A marketer, one account with a meeting, and no worker."""
    rep.groups.add(Group.objects.get(name="marketing"))
    monkeypatch.setattr(tasks.rebuild_scores, "delay", lambda: None)
    person = ContactFactory(account__name="Bakkerij Bos", account__team=rep.team)
    facts = {"account": person.account, "contact": person, "kind": "meeting", "source": "test", "at": now()}
    activities.record(occurred_at=now() - timedelta(days=1), **facts)
    refresh.account(person.account_id, at=now())
    return rep


def test_numbers_are_tried_saved_watched_and_taken_back(page: Page, seen: Seen, live_server: LiveServer, marketer: User) -> None:
    page.goto(f"{live_server.url}/admin/abm/scorechange/playground/")
    effect, points = page.locator("#q-effect"), page.get_by_label("Meeting: points")
    expect(effect).to_contain_text("These are the numbers in force.")

    points.fill("20")
    points.press("Tab")
    expect(effect).to_contain_text("Meeting: points: 25 → 20")
    expect(page.get_by_label("Meeting: most per person and day")).to_be_focused()
    assert score_numbers.current() is None
    assert barriers(page) == []

    page.get_by_label("Meeting: days until half is left").fill("45")
    page.get_by_label("Meeting: days until half is left").press("Tab")
    expect(effect).to_contain_text("Only 3 different half-lives are kept")
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.locator("#id_half_life_days-meeting_error")).to_contain_text("Only 3 different half-lives are kept")
    assert barriers(page) == []

    page.get_by_label("Meeting: days until half is left").fill("60")
    page.get_by_label("Meeting: days until half is left").press("Tab")
    expect(effect).to_contain_text("Meeting: points: 25 → 20")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.get_by_label("Why").fill("Een afspraak is minder waard")
        page.get_by_label("Why").press("Tab")
    page.get_by_role("button", name="Save as new version").click()
    expect(page.get_by_role("heading", name="Scoring all accounts with the new numbers")).to_be_visible()
    assert barriers(page) == []
    # Away from the page, which asks every other second: the database in memory lets nobody read while somebody writes.
    page.goto("about:blank")
    nightly.rebuild(clock=now)
    page.goto(f"{live_server.url}/admin/abm/scorechange/playground/")
    expect(page.get_by_role("heading", name="Scoring all accounts with the new numbers")).to_be_hidden()

    page.get_by_role("link", name="Undo").click()
    expect(page.get_by_label("Why")).not_to_be_empty()
    page.get_by_role("button", name="Put back in force").click()
    expect(page.get_by_text("Meeting: points: 20 → 25")).to_be_visible()
    assert score_numbers.in_force() == policy.Scoring()
    quiet(page, seen, live_server)
