"""Opportunities in the admin: the gate refuses in words, and a deal moves on by who pressed the button."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from crm import models as crm
from crm.models import Account, Team, User
from tests.conftest import AT
from tests.doors.admin_pages import link, said
from tests.factories import crm as make


@pytest.fixture
def account(team: Team, rep: User) -> Account:
    return make.AccountFactory(team=team, owner=rep)


@pytest.fixture
def contact(account: Account) -> crm.Contact:
    return make.ContactFactory(account=account, email="jan@bedrijf.example")


@pytest.fixture
def deal(account: Account, rep: User) -> crm.Opportunity:
    return make.OpportunityFactory(account=account, owner=rep, team=rep.team, stage_since=AT)


def confirm(deal: crm.Opportunity, *kinds: str) -> list[crm.Confirmation]:
    return [make.ConfirmationFactory(opportunity=deal, kind=kind, confirmed_at=now() - timedelta(days=1)) for kind in kinds]


def test_closed_gate_is_a_message_and_leaves_the_deal_as_it_was(rep_client: Client, deal: crm.Opportunity) -> None:
    before = crm.Opportunity.objects.filter(pk=deal.pk).values().get()

    answer = rep_client.post(link(deal, "advance"), {"reason": ""})

    assert said(answer) == ["The gate is closed: two of budget, authority and timing must be confirmed."]
    assert crm.Opportunity.objects.filter(pk=deal.pk).values().get() == before
    assert not crm.StageMove.objects.exists()


def test_confirmed_deal_moves_on_by_who_pressed_the_button(rep_client: Client, rep: User, deal: crm.Opportunity) -> None:
    confirm(deal, "budget", "timing")

    answer = rep_client.post(link(deal, "advance"), {"reason": "Na het gesprek"}, follow=True)

    move = crm.StageMove.objects.get()
    assert (move.from_stage, move.to_stage, move.moved_by, move.reason) == ("sql", "opportunity", rep, "Na het gesprek")
    assert said(answer) == ["The deal moved on."]


def test_letter_is_confirmed_and_withdrawn_on_the_deals_page(rep_client: Client, rep: User, deal: crm.Opportunity) -> None:
    who = make.ContactFactory(account=deal.account)
    rep_client.post(link(deal, "confirm"), {"kind": "budget", "contact": who.pk, "evidence": "Staat in de begroting."})
    given = crm.Confirmation.objects.get()
    assert (given.kind, given.contact, given.recorded_by) == ("budget", who, rep)

    rep_client.post(reverse("admin:crm_opportunity_withdraw", args=[deal.pk, given.pk]), {"because": "Begroting is gekort"})
    given.refresh_from_db()
    assert (given.withdrawn_because, given.withdrawn_by) == ("Begroting is gekort", rep)


def test_only_a_decider_confirms_authority(rep_client: Client, deal: crm.Opportunity) -> None:
    who = make.ContactFactory(account=deal.account)

    answer = rep_client.post(link(deal, "confirm"), {"kind": "authority", "contact": who.pk, "evidence": "Zei het zelf."})

    assert said(answer) == ["Only a decider can confirm authority."]
    assert not crm.Confirmation.objects.exists()


def test_deal_is_lost_with_a_reason_and_reopened(rep_client: Client, deal: crm.Opportunity) -> None:
    rep_client.post(link(deal, "lose"), {"reason": ""})
    deal.refresh_from_db()
    assert deal.stage == "sql"

    rep_client.post(link(deal, "lose"), {"reason": "Te duur"})
    deal.refresh_from_db()
    assert (deal.stage, deal.lost_reason) == ("lost", "Te duur")

    rep_client.post(link(deal, "reopen"), {"reason": "Nieuw budget"})
    deal.refresh_from_db()
    assert deal.stage == "sql"


def test_pilot_starts_on_the_deals_page_and_gets_one_verdict(rep_client: Client, deal: crm.Opportunity) -> None:
    form = {"success_criteria": "Tien gebruikers per dag", "ends_on": (now() + timedelta(days=30)).date().isoformat()}
    rep_client.post(link(deal, "start_pilot"), form)
    pilot = crm.Pilot.objects.get()
    assert (pilot.opportunity, pilot.success_criteria) == (deal, "Tien gebruikers per dag")

    rep_client.post(link(pilot, "judge"), {"verdict": "passed", "note": "Ruim gehaald"})
    again = rep_client.post(link(pilot, "judge"), {"verdict": "failed"})

    pilot.refresh_from_db()
    assert (pilot.verdict, pilot.verdict_note) == ("passed", "Ruim gehaald")
    assert said(again) == ["This pilot has a verdict already."]


def deal_form(deal: crm.Opportunity, **facts: object) -> dict[str, Any]:
    return {
        "name": deal.name,
        "currency": "EUR",
        "owner": deal.owner_id or "",
        "kind": deal.kind,
        "amount": "",
        "expected_close_on": "",
    } | facts


def test_deal_begins_for_an_account_in_sight(rep_client: Client, rep: User, account: Account) -> None:
    form = {
        "account": account.pk,
        "name": "Grote order",
        "stage": "mql",
        "kind": "new",
        "currency": "EUR",
        "amount": "1500",
        "owner": rep.pk,
    }
    stranger = make.AccountFactory()

    rep_client.post(link(crm.Opportunity, "add"), form | {"account": stranger.pk})
    assert not crm.Opportunity.objects.exists()
    rep_client.post(link(crm.Opportunity, "add"), form)

    begun = crm.Opportunity.objects.get()
    assert (begun.account, begun.stage, begun.amount, begun.owner) == (account, "mql", Decimal(1500), rep)
    assert begun.moves.count() == 1


def test_amount_is_corrected_and_the_stage_is_not_in_the_form(rep_client: Client, deal: crm.Opportunity) -> None:
    rep_client.post(link(deal, "change"), deal_form(deal, amount="2500", stage="won"))

    deal.refresh_from_db()
    assert (deal.amount, deal.stage) == (Decimal(2500), "sql")


def test_amount_that_the_stage_needs_is_not_taken_away(rep_client: Client, deal: crm.Opportunity) -> None:
    budget, timing, need = confirm(deal, "budget", "timing", "need")
    entry = {"entry_budget": budget, "entry_timing": timing, "entry_need": need}
    facts = {"stage": "proposal", "amount": 100, "expected_close_on": date(2026, 6, 1)}
    crm.Opportunity.objects.filter(pk=deal.pk).update(**entry, **facts)

    answer = rep_client.post(link(deal, "change"), deal_form(deal, expected_close_on="2026-06-01"))

    deal.refresh_from_db()
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors == {"amount": ["The stage asks for this."]}
    assert deal.amount == 100


def test_deal_page_names_what_the_next_stage_still_needs(rep_client: Client, deal: crm.Opportunity) -> None:
    old, _fresh = confirm(deal, "budget", "timing")
    crm.Confirmation.objects.filter(pk=old.pk).update(confirmed_at=now() - timedelta(days=183))

    page = rep_client.get(link(deal, "change"))

    assert [str(row["sentence"]) for row in page.context["next"]["lacking"]] == [
        "two of budget, authority and timing must be confirmed",
        "the confirmation of budget is too old",
    ]
    assert ["too old" in str(row["mark"]) for row in page.context["bant"]] == [True, False, False, False]


def test_list_of_deals_shows_the_open_ones_first_asked_for_or_not(rep_client: Client, account: Account, deal: crm.Opportunity) -> None:
    lost = make.OpportunityFactory(account=account, stage="lost", closed_on=date(2026, 3, 1), lost_reason="Te duur")

    def rows(**query: str) -> set[crm.Opportunity]:
        return set(rep_client.get(link(crm.Opportunity, "changelist"), query).context["cl"].result_list)

    assert rows() == {deal}
    assert rows(state="lost") == {lost}
    assert rows(state="all") == {deal, lost}
