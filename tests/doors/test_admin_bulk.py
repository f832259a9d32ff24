"""Deeds on many rows: the preview tells what is left out and why, each row is judged again as it is done, and outsiders change nothing."""

from datetime import date
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from abm import target_picks
from abm.models import TargetAccount, TargetList
from crm import follow_ups, handovers
from crm.errors import Invalid, NotAllowed
from crm.models import Account, FollowUp, Opportunity, Team, User
from tests.conftest import AT, somebody
from tests.factories import crm as make
from tests.factories.abm import StandingFactory

HAND_OVER = "/admin/crm/account/bulk/hand_over_many/"


@pytest.fixture
def colleague(team: Team) -> User:
    return somebody("sales rep", team=team, first_name="Co", last_name="Llega")


@pytest.fixture
def accounts(team: Team, rep: User) -> list[Account]:
    return make.AccountFactory.create_batch(3, team=team, owner=rep)


def ids(rows: Any) -> str:
    return ",".join(str(row.pk) for row in rows)


def post(client: Client, page: str, rows: Any, **values: Any) -> Any:
    return client.post(page, {"ids": ids(rows), "back": page.partition("bulk/")[0], **values})


# --- rules -------------------------------------------------------------------------------------------


def test_accounts_take_the_old_owners_open_deals_and_tasks_along(accounts: list[Account], rep: User, lead: User, colleague: User) -> None:
    mine = make.OpportunityFactory(account=accounts[0], owner=rep, team=rep.team)
    of_lead = make.OpportunityFactory(account=accounts[0], owner=lead, team=lead.team)
    task = follow_ups.open(reason="by_hand", text="Bel", owner=rep, due_on=date(2026, 3, 9), at=AT, account=accounts[1])

    judged = handovers.hand_over_accounts([row.pk for row in accounts], owner=colleague, team=colleague.team, at=AT, by=lead)

    assert (len(judged.chosen), judged.skipped, judged.along) == (3, {}, {"opportunities": 1, "tasks": 1})
    assert set(Account.objects.values_list("owner", flat=True)) == {colleague.pk}
    assert dict(Opportunity.objects.values_list("pk", "owner")) == {mine.pk: colleague.pk, of_lead.pk: lead.pk}
    assert FollowUp.objects.get(pk=task.pk).owner == colleague
    (line,) = accounts[0].history.filter(history_type="~")
    assert (line.history_user, line.owner, line.history_date) == (lead, colleague, AT)


def test_handing_many_over_takes_no_query_per_row(accounts: list[Account], lead: User, colleague: User) -> None:
    counts = []
    for rows in (accounts[:1], make.AccountFactory.create_batch(40, team=lead.team, owner=lead)):
        with CaptureQueriesContext(connection) as seen:
            handovers.hand_over_accounts([row.pk for row in rows], owner=colleague, team=colleague.team, at=AT, by=lead)
        counts.append(len(seen))
    assert counts[1] <= counts[0] + 2


def test_rows_out_of_reach_and_rows_there_already_are_left_out(accounts: list[Account], lead: User, colleague: User) -> None:
    foreign = make.AccountFactory()
    worked = make.AccountFactory()
    make.OpportunityFactory(account=worked, owner=lead, team=lead.team)
    Account.objects.filter(pk=accounts[2].pk).update(owner=colleague)
    chosen = [*[row.pk for row in accounts], foreign.pk, worked.pk, 999_999]

    judged = handovers.hand_over_accounts(chosen, owner=colleague, team=colleague.team, at=AT, by=lead)

    assert sorted(judged.chosen) == sorted(row.pk for row in accounts[:2])
    assert judged.skipped == {"same": 1, "not_yours": 1, "unseen": 2}
    assert Account.objects.get(pk=worked.pk).owner != colleague
    assert Account.objects.get(pk=foreign.pk).owner != colleague


def test_rep_gives_no_accounts_away(accounts: list[Account], rep: User, colleague: User) -> None:
    with pytest.raises(NotAllowed):
        handovers.hand_over_accounts([accounts[0].pk], owner=colleague, team=rep.team, at=AT, by=rep)
    assert Account.objects.get(pk=accounts[0].pk).owner == rep


def test_nothing_goes_to_a_stranger_or_in_too_large_a_number(
    accounts: list[Account], lead: User, outsider: User, colleague: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    pks = [row.pk for row in accounts]
    with pytest.raises(Invalid):
        handovers.hand_over_accounts(pks, owner=outsider, team=lead.team, at=AT, by=lead)
    with pytest.raises(Invalid):
        handovers.hand_over_accounts(pks, owner=colleague, team=make.TeamFactory(), at=AT, by=lead)
    monkeypatch.setattr(handovers, "AT_MOST", 2)
    with pytest.raises(Invalid):
        handovers.hand_over_accounts(pks, owner=colleague, team=lead.team, at=AT, by=lead)
    assert not Account.objects.filter(owner=colleague).exists()


def test_open_deals_get_another_owner_and_closed_ones_stay(accounts: list[Account], rep: User, colleague: User) -> None:
    deal = make.OpportunityFactory(account=accounts[0], owner=rep, team=rep.team)
    lost = make.OpportunityFactory(
        account=accounts[0], owner=rep, team=rep.team, stage="lost", closed_on=date(2026, 3, 1), lost_reason="price"
    )

    judged = handovers.hand_over_opportunities([deal.pk, lost.pk], owner=colleague, at=AT, by=rep)

    assert (judged.chosen, judged.skipped) == ([deal.pk], {"closed": 1})
    assert Opportunity.objects.get(pk=deal.pk).owner == colleague
    assert Opportunity.objects.get(pk=lost.pk).owner == rep


def test_open_tasks_get_another_owner_and_done_ones_stay(accounts: list[Account], rep: User, colleague: User) -> None:
    task, done = (
        follow_ups.open(reason="by_hand", text=text, owner=rep, due_on=date(2026, 3, 9), at=AT, account=accounts[0]) for text in "ab"
    )
    follow_ups.close(done, at=AT)

    judged = handovers.hand_over_follow_ups([task.pk, done.pk], owner=colleague, at=AT, by=rep)

    assert (judged.chosen, judged.skipped) == ([task.pk], {"closed": 1})
    assert FollowUp.objects.get(pk=done.pk).owner == rep


def test_warmest_accounts_fill_a_draft_and_the_others_say_why_not(accounts: list[Account], lead: User) -> None:
    draft = TargetList.objects.create(name="Q2", team=lead.team, owner=lead, starts_on=date(2026, 4, 1), ends_on=date(2026, 6, 30))
    StandingFactory(account=accounts[1], score=70)
    Account.objects.filter(pk=accounts[2].pk).update(opted_out_at=AT)
    more = make.AccountFactory.create_batch(20, team=lead.team)
    TargetAccount.objects.create(target_list=draft, slot=3, account=accounts[0], added_at=AT)

    judged = target_picks.pick([row.pk for row in [*accounts, *more]], target_list=draft, at=AT, by=lead)

    assert judged.skipped == {"not_eligible": 1, "taken": 1, "full": 2}
    assert judged.chosen[0] == accounts[1].pk
    assert TargetAccount.objects.filter(target_list=draft).count() == 20
    assert target_picks.judge([accounts[1].pk], target_list=draft, by=lead).skipped == {"taken": 1}


# --- pages -------------------------------------------------------------------------------------------


def test_chosen_rows_are_asked_about_previewed_and_handed_over(
    accounts: list[Account], lead: User, colleague: User, client: Client
) -> None:
    client.force_login(lead)
    asked = client.post("/admin/crm/account/?owner=all", {"action": "hand_over_many", "_selected_action": [row.pk for row in accounts]})
    assert "Chosen: 3 accounts." in asked.content.decode()

    preview = post(client, HAND_OVER, [*accounts, make.AccountFactory()], owner=colleague.pk, team="", preview="1").content.decode()
    assert "3 accounts will be changed." in preview
    assert "1 left out, because you may not see them, or they are gone." in preview
    assert not Account.objects.filter(owner=colleague).exists()

    done = client.post(
        HAND_OVER,
        {"ids": ids(accounts), "owner": colleague.pk, "team": "", "do": "1", "back": "/admin/crm/account/?owner=all"},
        follow=True,
    )
    assert done.redirect_chain[0][0] == "/admin/crm/account/?owner=all"
    assert [str(message) for message in done.context["messages"]] == ["Done: 3 accounts."]
    assert Account.objects.filter(owner=colleague, team=colleague.team).count() == 3


def test_row_that_went_out_of_reach_after_the_preview_is_left_out(
    accounts: list[Account], lead: User, colleague: User, client: Client
) -> None:
    client.force_login(lead)
    Account.objects.filter(pk=accounts[0].pk).update(team=make.TeamFactory(), owner=None)

    post(client, HAND_OVER, accounts, owner=colleague.pk, team="", do="1")
    assert Account.objects.get(pk=accounts[0].pk).owner is None
    assert Account.objects.filter(owner=colleague).count() == 2


def test_all_that_match_are_taken_also_beyond_the_page(rep: User, lead: User, client: Client) -> None:
    make.AccountFactory.create_batch(60, team=lead.team, owner=rep)
    client.force_login(lead)

    asked = client.post(
        "/admin/crm/account/?owner=all",
        {"action": "hand_over_many", "select_across": "1", "_selected_action": [Account.objects.first().pk]},
    )
    assert "Chosen: 60 accounts." in asked.content.decode()


def test_more_than_the_bound_is_refused_in_a_sentence(
    accounts: list[Account], lead: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handovers, "AT_MOST", 2)
    client.force_login(lead)

    answer = client.post(
        "/admin/crm/account/?owner=all",
        {"action": "hand_over_many", "select_across": "1", "_selected_action": [accounts[0].pk]},
        follow=True,
    )
    assert "More than 2 match: at most so many can be changed at once. Filter for fewer." in answer.content.decode()


def test_rep_is_not_offered_to_give_accounts_away_and_the_address_refuses(
    accounts: list[Account], rep: User, rep_client: Client, colleague: User
) -> None:
    assert 'value="hand_over_many"' not in rep_client.get("/admin/crm/account/").content.decode()

    assert post(rep_client, HAND_OVER, accounts, owner=colleague.pk, do="1").status_code == 403
    assert not Account.objects.filter(owner=colleague).exists()


@pytest.mark.parametrize("page", ["opportunity/bulk/give_many", "followup/bulk/give_many", "account/bulk/add_to_list"])
def test_outsider_changes_nothing_by_any_bulk_address(
    accounts: list[Account], rep: User, outsider: User, client: Client, page: str
) -> None:
    deal = make.OpportunityFactory(account=accounts[0], owner=rep, team=rep.team)
    follow_ups.open(reason="by_hand", text="Bel", owner=rep, due_on=date(2026, 3, 9), at=AT, account=accounts[0])
    client.force_login(outsider)
    rows = [deal] if "opportunity" in page else FollowUp.objects.all() if "followup" in page else accounts

    answer = post(client, f"/admin/crm/{page}/", rows, owner=outsider.pk, do="1")

    assert answer.status_code in (200, 302, 403)
    assert Opportunity.objects.get().owner == rep
    assert FollowUp.objects.get().owner == rep
    assert TargetAccount.objects.count() == 0


def test_unknown_deed_and_foreign_way_back_lead_nowhere(accounts: list[Account], lead: User, colleague: User, client: Client) -> None:
    client.force_login(lead)

    assert client.post("/admin/crm/account/bulk/nonsense/", {"ids": ids(accounts)}).status_code == 404
    done = client.post(HAND_OVER, {"ids": ids(accounts), "owner": colleague.pk, "do": "1", "back": "https://evil.example/"})
    assert done.headers["Location"] == "/admin/crm/account/"


def test_export_takes_the_picked_rows_or_the_lists_own_filters(accounts: list[Account], rep_client: Client) -> None:
    picked = rep_client.post("/admin/crm/account/?owner=all", {"action": "export_rows", "_selected_action": [accounts[1].pk]})
    every = rep_client.post(
        "/admin/crm/account/?owner=all&q=bos", {"action": "export_rows", "select_across": "1", "_selected_action": [accounts[1].pk]}
    )

    assert picked.headers["Location"] == f"/admin/crm/export/new/?list=crm.account&ids={accounts[1].pk}"
    assert every.headers["Location"] == "/admin/crm/export/new/?list=crm.account&owner=all&q=bos"
