"""Pages that stay open while somebody else works: what was never seen is never written over, and nothing is done twice."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from abm import models as abm
from crm import models as crm
from crm.models import Account, Team, User
from tests.conftest import AT
from tests.doors.admin_pages import link, said
from tests.factories import crm as make

CHANGED = "Somebody else changed this deal in the meantime: look again."
LOST = {"stage": "lost", "closed_on": AT.date(), "lost_reason": "Te duur"}


@pytest.fixture
def account(team: Team, rep: User) -> Account:
    return make.AccountFactory(team=team, owner=rep, name="Bakkerij", city="Ede", industry="food")


@pytest.fixture
def deal(account: Account, rep: User) -> crm.Opportunity:
    return make.OpportunityFactory(account=account, owner=rep, team=rep.team, stage="mql", stage_since=AT)


def seen(page: Any) -> str:
    """Give what a page's form says of the record as shown; small forms that stand above it carry their own."""
    found = re.findall(r'name="as_seen" value="([^"]*)"', page.content.decode())
    assert found
    return unescape(found[-1])


def as_shown(page: Any) -> dict[str, Any]:
    """Give what the browser sends when somebody presses Save without touching anything."""
    form = page.context["adminform"].form
    values = {bound.name: bound.value() for bound in form}
    return {name: value for name, value in values.items() if value not in (None, False)} | {"as_seen": seen(page)}


def test_two_tabs_move_a_deal_one_stage(rep_client: Client, deal: crm.Opportunity) -> None:
    first, second = (seen(rep_client.get(link(deal, "advance"))) for _tab in range(2))

    rep_client.post(link(deal, "advance"), {"reason": "", "as_seen": first})
    crm.Opportunity.objects.filter(pk=deal.pk).update(expected_close_on=None)
    answer = rep_client.post(link(deal, "advance"), {"reason": "", "as_seen": second})

    deal.refresh_from_db()
    assert (deal.stage, crm.StageMove.objects.count()) == ("sql", 1)
    assert said(answer) == [CHANGED]
    assert seen(answer) == second


@pytest.mark.parametrize("deed", ["lose", "reopen"])
def test_stale_deed_says_so_and_leaves_the_deal_as_it_was(rep_client: Client, deal: crm.Opportunity, deed: str) -> None:
    if deed == "reopen":
        crm.Opportunity.objects.filter(pk=deal.pk).update(**LOST)
    stale = seen(rep_client.get(link(deal, deed)))
    crm.Opportunity.objects.filter(pk=deal.pk).update(revision=7)
    before = crm.Opportunity.objects.filter(pk=deal.pk).values().get()

    answer = rep_client.post(link(deal, deed), {"reason": "Te duur", "as_seen": stale})

    assert said(answer) == [CHANGED]
    assert crm.Opportunity.objects.filter(pk=deal.pk).values().get() == before


def test_tab_that_was_open_for_a_while_writes_only_what_was_changed_in_it(rep_client: Client, account: Account) -> None:
    page = rep_client.get(link(account, "change"))
    Account.objects.filter(pk=account.pk).update(industry="retail", employees=80)

    answer = rep_client.post(link(account, "change"), as_shown(page) | {"city": "Breda"})

    account.refresh_from_db()
    assert answer.status_code == 302
    assert (account.city, account.industry, account.employees) == ("Breda", "retail", 80)


def test_field_that_somebody_else_changed_is_a_conflict_and_nothing_is_written(rep_client: Client, account: Account) -> None:
    page = rep_client.get(link(account, "change"))
    Account.objects.filter(pk=account.pk).update(city="Assen")

    for _again in range(2):
        answer = rep_client.post(link(account, "change"), as_shown(page) | {"city": "Breda", "industry": "retail"})

        account.refresh_from_db()
        assert (account.city, account.industry) == ("Assen", "food")
        assert answer.context["adminform"].form.non_field_errors() == [
            "Somebody else changed this in the meantime: City. Nothing is saved: open the page anew."
        ]
        assert seen(answer) == seen(page)


def test_two_people_who_write_the_same_are_no_conflict(rep_client: Client, account: Account) -> None:
    page = rep_client.get(link(account, "change"))
    Account.objects.filter(pk=account.pk).update(city="Breda")

    assert rep_client.post(link(account, "change"), as_shown(page) | {"city": "Breda"}).status_code == 302


def test_nonsense_for_how_the_page_looked_counts_as_nothing_seen(rep_client: Client, account: Account) -> None:
    shown = as_shown(rep_client.get(link(account, "change"))) | {"city": "Breda"}

    for nonsense in ("{", "[]", "mql:x"):
        assert rep_client.post(link(account, "change"), shown | {"as_seen": nonsense}).status_code == 302


def test_days_and_amounts_and_owners_of_a_stale_deal_page_are_told_apart(rep_client: Client, rep: User, deal: crm.Opportunity) -> None:
    crm.Opportunity.objects.filter(pk=deal.pk).update(amount=1000, expected_close_on="2026-06-01")
    page = rep_client.get(link(deal, "change"))
    crm.Opportunity.objects.filter(pk=deal.pk).update(amount=2000, expected_close_on="2026-07-01", owner=None)

    answer = rep_client.post(link(deal, "change"), as_shown(page) | {"name": "Nieuwe naam"})

    assert answer.status_code == 302
    facts = crm.Opportunity.objects.values_list("name", "amount", "expected_close_on", "owner").get(pk=deal.pk)
    assert [str(fact) for fact in facts] == ["Nieuwe naam", "2000.00", "2026-07-01", "None"]


@pytest.mark.parametrize("deed", ["advance", "lose", "confirm", "start_pilot"])
def test_form_of_a_closed_deal_leads_back_to_it(rep_client: Client, deal: crm.Opportunity, deed: str) -> None:
    crm.Opportunity.objects.filter(pk=deal.pk).update(**LOST)

    answer = rep_client.get(link(deal, deed), follow=True)

    assert answer.redirect_chain == [(link(deal, "change"), 302)]
    assert said(answer) == ["This deal is closed already."]


def test_open_deal_is_not_reopened(rep_client: Client, deal: crm.Opportunity) -> None:
    assert said(rep_client.get(link(deal, "reopen"), follow=True)) == ["This deal is open already."]


@pytest.mark.parametrize("deed", ["fill", "pick", "reject", "activate"])
def test_form_of_a_list_at_work_leads_back_to_it(client: Client, lead: User, deed: str) -> None:
    facts = {"starts_on": AT.date(), "ends_on": AT.date() + timedelta(days=90)}
    at_work = abm.TargetList.objects.create(name="Lijst", team=lead.team, status="active", activated_at=AT, **facts)
    client.force_login(lead)

    answer = client.get(link(at_work, deed), follow=True)

    assert answer.redirect_chain == [(link(at_work, "change"), 302)]
    assert said(answer) == ["The list is no draft any more: what is on it stays as it is."]
