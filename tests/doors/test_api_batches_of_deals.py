"""Many deals or roles in one call: known again by their id or by who holds what, and the gate is nobody's to jump."""

import pytest

from crm.models import DmuMembership, Opportunity
from tests.doors.test_api_batches import send, statuses
from tests.factories.crm import AccountFactory, ContactFactory, OpportunityFactory


@pytest.fixture
def account(rep):
    return AccountFactory(team=rep.team, owner=rep)


def test_deals_are_begun_once_and_then_put_right(rep, rep_api, account):
    row = {"account": account.pk, "name": "Planning", "stage": "sql", "source": "hub", "external_id": "7", "amount": "1200.50"}

    first, again = send(rep_api, "opportunities", row), send(rep_api, "opportunities", row)
    changed = send(rep_api, "opportunities", {"source": "hub", "external_id": "7", "amount": 900, "expected_close_on": "2026-12-01"})
    emptied = send(rep_api, "opportunities", {"source": "hub", "external_id": "7", "expected_close_on": None, "currency": None})

    deal = Opportunity.objects.get()
    assert [statuses(one) for one in (first, again, changed, emptied)] == [["created"], ["unchanged"], ["updated"], ["updated"]]
    assert {one["results"][0]["id"] for one in (first, again, changed, emptied)} == {deal.pk}
    assert (deal.stage, deal.amount, deal.currency, deal.expected_close_on, deal.owner) == ("sql", 900, "EUR", None, rep)
    assert set(deal.moves.values_list("moved_by", flat=True)) == {rep.pk}


def test_every_row_of_deals_gets_its_own_result_and_no_row_moves_a_stage(rep_api, account, outsider):
    theirs = OpportunityFactory(
        account=AccountFactory(team=outsider.team, owner=outsider), team=outsider.team, source="hub", external_id="9"
    )
    mine = OpportunityFactory(account=account, stage="mql", source="hub", external_id="8")
    OpportunityFactory(account=account, stage="mql", source="hub", external_id="12")
    good = {"account": account.pk, "name": "Planning", "source": "hub", "external_id": "1"}

    answer = send(
        rep_api, "opportunities",
        good, good, good | {"external_id": "2", "name": ""}, good | {"external_id": "3", "amount": "veel"},
        good | {"external_id": "4", "expected_close_on": "2026-13-01"}, good | {"external_id": "5", "stage": "won"},
        good | {"external_id": "6", "account": theirs.account_id}, {"source": "hub", "external_id": "9", "name": "Gekaapt"},
        {"source": "hub", "external_id": "8", "account": AccountFactory(team=account.team).pk}, good | {"owner": 1}, {"name": "x"},
        {"source": "hub", "external_id": "12", "stage": "won"}, good | {"external_id": "10", "amount": ""}, good | {"external_id": "11", "kind": "gift"},
    )  # fmt: skip

    assert [(result["status"], sorted(result["errors"])) for result in answer["results"]] == [
        ("created", []), ("failed", ["row"]), ("failed", ["name"]), ("failed", ["amount"]), ("failed", ["expected_close_on"]),
        ("failed", ["stage"]), ("failed", ["account"]), ("failed", ["external_id"]), ("failed", ["account"]), ("failed", ["owner"]),
        ("failed", ["account"]), ("unchanged", []), ("created", []), ("failed", ["kind"]),
    ]  # fmt: skip
    theirs.refresh_from_db()
    mine.refresh_from_db()
    assert (theirs.name == "Gekaapt", mine.stage, mine.account) == (False, "mql", account)
    assert (Opportunity.objects.count(), Opportunity.objects.filter(stage="won").exists()) == (5, False)


def test_all_or_nothing_begins_no_deal_when_one_row_fails(rep_api, account):
    row = {"account": account.pk, "name": "Planning"}

    answer = send(rep_api, "opportunities", row, {"name": "x"}, atomic=True)

    assert (statuses(answer), Opportunity.objects.count()) == (["not_written", "failed"], 0)


def test_roles_are_given_once_and_an_assumption_becomes_confirmed(rep, rep_api, account):
    contact, deal = ContactFactory(account=account), OpportunityFactory(account=account)
    row = {"contact": contact.pk, "role": "buyer", "is_assumed": True}

    first, again = send(rep_api, "memberships", row), send(rep_api, "memberships", row)
    surer = send(rep_api, "memberships", row | {"is_assumed": False, "stance": "supporter"}, row | {"opportunity": deal.pk})
    other = send(rep_api, "memberships", row)

    assert [statuses(one) for one in (first, again, surer, other)] == [["created"], ["unchanged"], ["updated", "created"], ["unchanged"]]
    standing = DmuMembership.objects.get(opportunity=None)
    assert (standing.is_assumed, standing.stance, standing.said_by) == (False, "supporter", rep)
    assert DmuMembership.objects.get(opportunity=deal).is_assumed


def test_every_row_of_roles_gets_its_own_result(rep_api, account, outsider):
    contact, gone = ContactFactory(account=account), ContactFactory(account=account, gone=True)
    theirs = ContactFactory(account=AccountFactory(team=outsider.team, owner=outsider))
    elsewhere = OpportunityFactory(account=AccountFactory(team=account.team), team=account.team)
    good = {"contact": contact.pk, "role": "buyer"}

    answer = send(
        rep_api, "memberships",
        good, good | {"role": "king"}, good | {"contact": theirs.pk}, good | {"contact": True}, {"role": "user"}, good | {"contact": gone.pk},
        good | {"opportunity": elsewhere.pk}, good | {"opportunity": 999}, good | {"role": "user", "is_assumed": "maybe"},
        good | {"role": "user", "stance": "angry"}, {"contact": contact.pk},
    )  # fmt: skip

    assert [(result["status"], sorted(result["errors"])) for result in answer["results"]] == [
        ("created", []), ("failed", ["role"]), ("failed", ["contact"]), ("failed", ["contact"]), ("failed", ["contact"]), ("failed", ["contact"]),
        ("failed", ["opportunity"]), ("failed", ["opportunity"]), ("failed", ["is_assumed"]), ("failed", ["stance"]), ("failed", ["role"]),
    ]  # fmt: skip
    assert DmuMembership.objects.count() == 1


def test_a_number_left_empty_is_no_number_and_no_error_of_ours(rep_api):
    answer = send(rep_api, "accounts", {"name": "Bos", "domain": "bos.example", "employees": "", "revenue": None})

    assert statuses(answer) == ["created"]
