"""A target list in a real browser: arranged in place, by mouse and keyboard, without barriers."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils.timezone import now
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from abm import targets
from abm.models import TargetList
from crm import policy
from crm.models import User
from tests.abm.lists import standing
from tests.browser.conftest import Seen, barriers, quiet

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def target_list(rep: User) -> TargetList:
    rep.groups.add(Group.objects.get(name="team lead"))
    for fit, name in ((90, "Bakkerij Bos"), (60, "Molen"), (30, "Zuivel")):
        standing(fit=fit, score=40, name=name, team=rep.team)
    today = policy.day_of(now())
    return targets.draft(name="Voorjaar", team=rep.team, owner=rep, starts_on=today, ends_on=today + timedelta(days=80), at=now(), by=rep)


def test_list_is_arranged_in_place(page: Page, seen: Seen, live_server: LiveServer, target_list: TargetList) -> None:
    page.goto(f"{live_server.url}/admin/abm/targetlist/{target_list.pk}/change/")
    page.get_by_role("button", name="Take Bakkerij Bos").click()
    expect(page.get_by_text("1 of 20 slots taken")).to_be_visible()
    button = page.get_by_role("button", name="Keep Molen off")
    button.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="Undo: let Molen be proposed again")).to_be_visible()
    quiet(page, seen, live_server)
    assert barriers(page) == []
    page.get_by_role("button", name="Undo: let Molen be proposed again").click()
    expect(page.get_by_role("button", name="Take Molen")).to_be_visible()
    assert (target_list.slots.get().account.name, target_list.rejections.count()) == ("Bakkerij Bos", 0)
