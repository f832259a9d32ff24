"""The page of a target list: slots, the proposal beside the weakest, and every button done in place."""

from datetime import date
from html import unescape

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from abm import policy, targets
from abm.models import TargetList
from crm.models import Account, User
from tests.abm.lists import on, standing, stored
from tests.conftest import AT
from tests.doors.admin_pages import link, said


@pytest.fixture
def target_list(lead: User) -> TargetList:
    return targets.draft(name="Voorjaar", team=lead.team, owner=lead, starts_on=date(2026, 3, 2), ends_on=date(2199, 3, 1), at=AT, by=lead)


@pytest.fixture
def accounts(lead: User) -> list[Account]:
    return [standing(fit=fit, score=50, name=f"Bedrijf {fit}", team=lead.team) for fit in (90, 60, 30)]


@pytest.fixture
def lead_client(client: Client, lead: User) -> Client:
    client.force_login(lead)
    return client


def press(client: Client, target_list: TargetList, deed: str, *args: object) -> HttpResponse:
    return client.post(reverse(f"admin:abm_targetlist_{deed}", args=[target_list.pk, *args]), follow=True)


def test_empty_draft_says_what_to_do_first(lead_client: Client, target_list: TargetList, accounts: list[Account]) -> None:
    text = unescape(lead_client.get(link(target_list, "change")).content.decode())

    assert "The list is empty. Fill it from the proposal" in text
    assert "0 of 20 slots taken" in text


def test_proposed_account_takes_a_free_slot_and_leads_back_to_the_proposal(
    lead_client: Client, target_list: TargetList, accounts: list[Account]
) -> None:
    answer = press(lead_client, target_list, "take", accounts[1].pk)

    assert answer.redirect_chain[-1][0] == link(target_list, "change") + "#proposed"
    assert said(answer) == ["Bedrijf 60 is on the list, pinned."]
    assert on(target_list) == {1: accounts[1]}
    assert [row["one"].name for row in answer.context["proposal"]] == ["Bedrijf 90", "Bedrijf 30"]


def test_full_list_offers_to_swap_the_weakest_that_nobody_pinned(
    lead_client: Client, lead: User, target_list: TargetList, accounts: list[Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "TARGETS", policy.Targets(slots=2))
    targets.pick(target_list, account=accounts[2], at=AT, by=lead)
    targets.unpin(target_list.slots.select_related("target_list", "account").get(), at=AT, by=lead)
    targets.pick(target_list, account=accounts[1], at=AT, by=lead)

    page = lead_client.get(link(target_list, "change"))

    (row,) = page.context["proposal"]
    assert (row["one"].name, row["take"], row["instead"].account, row["is_better"]) == ("Bedrijf 90", "", accounts[2], True)
    answer = lead_client.post(row["swap"], follow=True)
    assert said(answer) == ["Bedrijf 90 takes the slot of Bedrijf 30."]
    assert on(target_list) == {1: accounts[0], 2: accounts[1]}


def test_account_is_kept_off_and_the_undo_lets_it_be_proposed_again(
    lead_client: Client, lead: User, target_list: TargetList, accounts: list[Account]
) -> None:
    targets.fill(target_list, at=AT, by=lead)

    kept_off = press(lead_client, target_list, "keep_off", accounts[0].pk)
    assert accounts[0] not in on(target_list).values()
    assert [str(row.account) for row in kept_off.context["rejections"]] == ["Bedrijf 90"]
    again = press(lead_client, target_list, "reinstate", accounts[0].pk)

    assert said(again) == ["Bedrijf 90 may be proposed again."]
    assert not target_list.rejections.exists()
    assert [row["one"].name for row in again.context["proposal"]] == ["Bedrijf 90"]


def test_slot_is_pinned_unpinned_and_freed_in_place(
    lead_client: Client, lead: User, target_list: TargetList, accounts: list[Account]
) -> None:
    targets.fill(target_list, at=AT, by=lead)
    slot = target_list.slots.get(account=accounts[0])

    assert said(press(lead_client, target_list, "pin", slot.pk)) == ["Bedrijf 90 is pinned."]
    assert target_list.slots.get(account=accounts[0]).is_pinned is True
    assert said(press(lead_client, target_list, "unpin", slot.pk)) == ["Bedrijf 90 is no longer pinned."]
    assert said(press(lead_client, target_list, "remove", slot.pk)) == ["Bedrijf 90 is off the list; the slot is free."]
    assert accounts[0] not in on(target_list).values()


def test_draft_says_what_activating_freezes_and_a_list_at_work_shows_how_it_goes(
    lead_client: Client, lead: User, target_list: TargetList, accounts: list[Account]
) -> None:
    targets.fill(target_list, at=AT, by=lead)
    assert "Activating fixes 3 accounts" in lead_client.get(link(target_list, "change")).content.decode()

    targets.activate(target_list, at=AT, by=lead)
    page = lead_client.get(link(target_list, "change"))

    text = unescape(page.content.decode())
    assert "day " in text and "mean score, start → now" in text and "17 slots stayed free" in text
    assert (page.context["proposal"], page.context["weakest"]) == ([], [])
    targets.close(target_list, at=AT, by=lead)
    assert "How the accounts ended" in lead_client.get(link(target_list, "change")).content.decode()


DEEDS = ["take", "keep_off", "reinstate", "pin", "unpin", "remove", "swap_in"]


def addresses(target_list: TargetList, accounts: list[Account]) -> list[str]:
    slot, other = target_list.slots.first(), accounts[2]
    args = {"pin": [slot.pk], "unpin": [slot.pk], "remove": [slot.pk], "swap_in": [slot.pk, other.pk]}
    return [reverse(f"admin:abm_targetlist_{deed}", args=[target_list.pk, *args.get(deed, [other.pk])]) for deed in DEEDS]


def test_rep_of_the_team_looks_and_changes_nothing_and_another_teams_rep_finds_no_list(
    rep: User, outsider: User, lead: User, target_list: TargetList, accounts: list[Account]
) -> None:
    targets.pick(target_list, account=accounts[0], at=AT, by=lead)
    before = stored()

    for user, page, deed in ((rep, 200, 403), (outsider, 302, 404)):
        browser = Client()
        browser.force_login(user)
        answer = browser.get(link(target_list, "change"))
        assert answer.status_code == page
        assert "formaction" not in answer.content.decode()
        assert [browser.post(address).status_code for address in addresses(target_list, accounts)] == [deed] * len(DEEDS)
    assert stored() == before


def test_account_of_another_team_cannot_be_taken_by_its_number(lead_client: Client, outsider: User, target_list: TargetList) -> None:
    theirs = standing(name="Geheim", team=outsider.team)

    for deed in ("take", "keep_off", "reinstate"):
        assert press(lead_client, target_list, deed, theirs.pk).status_code == 404
    assert not target_list.slots.exists()


def test_link_alone_changes_nothing(lead_client: Client, lead: User, target_list: TargetList, accounts: list[Account]) -> None:
    targets.pick(target_list, account=accounts[0], at=AT, by=lead)
    before = stored()

    assert [lead_client.get(address).status_code for address in addresses(target_list, accounts)] == [302] * len(DEEDS)
    assert stored() == before


def test_page_takes_at_most_twenty_queries(lead_client: Client, lead: User, target_list: TargetList, django_assert_max_num_queries) -> None:
    for fit in range(1, 31):
        standing(fit=fit, team=lead.team)
    targets.fill(target_list, at=AT, by=lead)
    lead_client.get(link(target_list, "change"))
    with django_assert_max_num_queries(20):
        lead_client.get(link(target_list, "change"))
    targets.activate(target_list, at=AT, by=lead)
    with django_assert_max_num_queries(20):
        lead_client.get(link(target_list, "change"))
