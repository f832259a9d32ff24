"""The page of a deal: everything is done in place, and a refusal stands where it was asked, with what was typed."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from crm import models as crm
from crm import opportunities
from crm.admin.deal_panels import days_in_stages, mends
from crm.models import Account, Opportunity, User
from tests.conftest import somebody
from tests.crm.deals import confirmed, snapshot
from tests.doors.admin_pages import link, said
from tests.factories import crm as make


@pytest.fixture
def account(rep: User) -> Account:
    return make.AccountFactory(team=rep.team, owner=rep)


@pytest.fixture
def contact(account: Account) -> crm.Contact:
    return make.ContactFactory(account=account)


@pytest.fixture
def deal(account: Account, rep: User) -> Opportunity:
    return make.OpportunityFactory(account=account, owner=rep, team=rep.team, stage_since=now(), name="Ovens")


def sent(client: Client, deal: Opportunity, deed: str, about: object = "", *, follow: bool = True, **facts: object) -> Any:
    """Send one of the small forms of the page."""
    form = {"deed": deed, "about": about, "as_seen": f"{deal.stage}:{deal.revision}", **facts}
    return client.post(link(deal, "change"), form, follow=follow)


def refused(answer: Any) -> tuple[str, str]:
    """Give which form was refused, and the sentence beside it."""
    tried = answer.context["sheet"].tried
    assert answer.context["sheet"].is_shown
    assert tried.refusal in answer.content.decode().replace("&#x27;", "'")
    return tried.key, tried.refusal


# --- the letters -------------------------------------------------------------------------------------


def test_letter_is_confirmed_and_withdrawn_in_place(rep_client: Client, rep: User, deal: Opportunity, contact: crm.Contact) -> None:
    answer = sent(rep_client, deal, "confirm", "budget", contact=contact.pk, evidence="Staat in de begroting.")
    given = deal.confirmations.get()
    assert (given.kind, given.contact, given.recorded_by) == ("budget", contact, rep)
    assert said(answer) == ["The confirmation is recorded."]

    sent(rep_client, deal, "withdraw", given.pk, because="Gekort")
    given.refresh_from_db()
    assert given.withdrawn_because == "Gekort"


def test_refused_confirmation_keeps_what_was_typed_beside_the_rules_sentence(
    rep_client: Client, deal: Opportunity, contact: crm.Contact
) -> None:
    tomorrow = (now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")

    answer = sent(rep_client, deal, "confirm", "budget", contact=contact.pk, evidence="Zei het zelf.", confirmed_at=tomorrow)

    assert (answer.status_code, answer.redirect_chain) == (200, [])
    assert refused(answer) == ("confirm-budget", "The moment lies in the future.")
    page = answer.content.decode()
    assert "Zei het zelf.</textarea>" in page
    assert f'<option value="{contact.pk}" selected>' in page
    assert not crm.Confirmation.objects.exists()


def test_form_that_is_not_filled_in_stays_open_and_says_so(rep_client: Client, deal: Opportunity) -> None:
    answer = sent(rep_client, deal, "confirm", "need", evidence="Zei het.")

    assert refused(answer) == ("confirm-need", "Fill in what is marked.")
    assert "Zei het.</textarea>" in answer.content.decode()


def test_only_deciders_are_offered_for_authority(rep_client: Client, deal: Opportunity, contact: crm.Contact) -> None:
    def offered() -> tuple[list[int], bool]:
        letter = rep_client.get(link(deal, "change")).context["bant"][1]
        return [pk for pk, _name in letter["confirm"]["form"].fields["contact"].choices if pk] if "confirm" in letter else [], letter[
            "nobody"
        ]

    assert offered() == ([], True)
    assert "Assign a decider" in rep_client.get(link(deal, "change")).content.decode()

    decider = make.MembershipFactory(contact=make.ContactFactory(account=deal.account), role="decider").contact
    assert offered() == ([decider.pk], False)
    refusal = sent(rep_client, deal, "confirm", "authority", contact=contact.pk, evidence="Ik teken.")
    assert refused(refusal)[0] == "confirm-authority"
    assert not crm.Confirmation.objects.exists()
    sent(rep_client, deal, "confirm", "authority", contact=decider.pk, evidence="Ik teken.")
    assert deal.confirmations.get().contact == decider


def test_letter_says_until_when_it_is_good_and_since_when_not(rep_client: Client, deal: Opportunity) -> None:
    make.ConfirmationFactory(opportunity=deal, kind="budget", confirmed_at=now() - timedelta(days=10))
    make.ConfirmationFactory(opportunity=deal, kind="timing", confirmed_at=now() - timedelta(days=300))

    page = rep_client.get(link(deal, "change"))

    assert [row["is_stale"] for row in page.context["bant"]] == [False, False, False, True]
    assert "Fresh: goes stale after" in page.content.decode()
    assert "Too old to open a gate since" in page.content.decode()


def test_confirmation_withdrawn_meanwhile_is_a_sentence_and_no_missing_page(rep_client: Client, deal: Opportunity) -> None:
    given = make.ConfirmationFactory(opportunity=deal, confirmed_at=now())
    opportunities.withdraw(given, because="Gekort", at=now())

    answer = sent(rep_client, deal, "withdraw", given.pk, because="Ook gekort")

    assert said(answer) == ["This confirmation was withdrawn already."]


# --- the stages --------------------------------------------------------------------------------------


def test_closed_gate_is_told_in_place_and_nothing_moved(rep_client: Client, deal: Opportunity) -> None:
    before = snapshot(deal)

    answer = sent(rep_client, deal, "advance", reason="Na het gesprek")

    assert refused(answer) == ("advance", "The gate is closed: two of budget, authority and timing must be confirmed.")
    assert 'value="Na het gesprek"' in answer.content.decode()
    assert snapshot(deal) == before


def test_deal_moves_on_is_lost_and_reopened_in_place(rep_client: Client, rep: User, deal: Opportunity) -> None:
    confirmed(deal, "budget", "timing", at=now())
    sent(rep_client, deal, "advance", reason="Na het gesprek")
    deal.refresh_from_db()
    assert (deal.stage, deal.moves.get().reason) == ("opportunity", "Na het gesprek")

    sent(rep_client, deal, "lose", reason="Te duur")
    deal.refresh_from_db()
    assert (deal.stage, deal.lost_reason) == ("lost", "Te duur")

    sent(rep_client, deal, "reopen", reason="Nieuw budget")
    deal.refresh_from_db()
    assert deal.stage == "sql"


def test_page_that_is_too_old_moves_nothing(rep_client: Client, deal: Opportunity) -> None:
    opened = Opportunity.objects.get(pk=deal.pk)
    confirmed(deal, "budget", "timing", at=now())
    before = snapshot(deal)

    answer = sent(rep_client, opened, "lose", reason="Te duur")

    assert refused(answer) == ("lose", "Somebody else changed this deal in the meantime: look again.")
    assert snapshot(deal) == before


def test_stage_bar_counts_the_days_of_every_stay(rep_client: Client, deal: Opportunity) -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    steps = [("mql", 0), ("sql", 5), ("lost", 9), ("sql", 20)]
    moves = [crm.StageMove(to_stage=stage, moved_at=day + timedelta(days=days)) for stage, days in steps]

    assert days_in_stages(moves, day + timedelta(days=30)) == {"mql": 5, "sql": 14, "lost": 11}
    bar = rep_client.get(link(deal, "change")).context["steps"]
    assert [(step["stage"], step["state"], step.get("is_next", False)) for step in bar] == [
        ("mql", "done", False), ("sql", "here", False), ("opportunity", "later", True), ("proposal", "later", False), ("won", "later", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lacking", "standing", "labels"),
    [
        ("two_of_three", {"budget"}, ["Confirm authority", "Confirm timing"]),
        ("need_stale", {"need"}, ["Confirm need"]),
        ("gate_broken", {"budget"}, ["Confirm authority", "Confirm timing"]),
        ("decider", {"authority"}, ["Confirm authority"]),
        ("amount", set(), ["Fill in the amount"]),
        ("close_date", set(), ["Fill in the expected close"]),
        ("account", set(), ["Name the account"]),
    ],
)
def test_each_missing_thing_names_what_mends_it(deal: Opportunity, lacking: str, standing: set[str], labels: list[str]) -> None:
    deal.stage = "opportunity"

    (row,) = mends(deal, [lacking], standing)

    assert [one["label"] for one in row["links"]] == labels


def test_without_a_decider_the_way_to_authority_is_to_assign_one(deal: Opportunity) -> None:
    (row,) = mends(deal, ["two_of_three"], {"budget"}, may_confirm_authority=False)

    assert [one["label"] for one in row["links"]] == ["Assign a decider", "Confirm timing"]


# --- people, pilots, tasks ---------------------------------------------------------------------------


def test_role_for_this_deal_overrides_the_standing_one(rep_client: Client, rep: User, deal: Opportunity, contact: crm.Contact) -> None:
    standing = make.MembershipFactory(contact=make.ContactFactory(account=deal.account), role="decider").contact
    facts = {"contact": contact.pk, "stance": "champion", "is_assumed": "", "scope": "deal"}

    sent(rep_client, deal, "assign", "decider", **facts)

    given = deal.memberships.get()
    assert (given.contact, given.role, given.stance, given.is_assumed, given.said_by) == (contact, "decider", "champion", False, rep)
    (decider,) = [row for row in rep_client.get(link(deal, "change")).context["roles"] if row["name"] == "decider"]
    assert [row["row"].contact for row in decider["holders"]] == [contact]
    assert [row.contact for row in decider["overridden"]] == [standing]

    sent(rep_client, deal, "assign", "buyer", **facts | {"scope": "account", "is_assumed": "yes"})
    buyer = contact.memberships.get(role="buyer")
    assert (buyer.opportunity, buyer.is_assumed) == (None, True)


def test_pilot_is_started_and_judged_in_place(rep_client: Client, deal: Opportunity) -> None:
    yesterday = (now() - timedelta(days=1)).date().isoformat()
    wrong = sent(rep_client, deal, "start_pilot", success_criteria="Tien per dag", ends_on=yesterday)
    assert refused(wrong) == ("start_pilot", "The pilot ends before it starts.")
    assert "Tien per dag</textarea>" in wrong.content.decode()

    sent(rep_client, deal, "start_pilot", success_criteria="Tien per dag", ends_on=(now() + timedelta(days=9)).date().isoformat())
    pilot = deal.pilots.get()
    sent(rep_client, deal, "judge", pilot.pk, verdict="passed", note="Ruim gehaald")
    pilot.refresh_from_db()
    assert (pilot.verdict, pilot.verdict_note) == ("passed", "Ruim gehaald")


def test_task_is_done_or_put_off_in_place(rep_client: Client, rep: User, deal: Opportunity) -> None:
    facts = {"account": deal.account, "opportunity": deal, "owner": rep, "due_on": date(2026, 1, 1), "opened_at": make.AT}
    task, other = (crm.FollowUp.objects.create(text=text, **facts) for text in ("Bel", "Mail"))

    sent(rep_client, deal, "snooze_task", task.pk, days="7")
    sent(rep_client, deal, "finish_task", other.pk)

    task.refresh_from_db()
    other.refresh_from_db()
    assert timedelta(days=6) <= task.due_on - now().date() <= timedelta(days=8)
    assert other.closed_by == rep
    assert said(sent(rep_client, deal, "finish_task", other.pk)) == ["This task is closed already."]


def test_owner_is_chosen_among_colleagues_and_who_owns_it_now(rep_client: Client, rep: User, outsider: User, deal: Opportunity) -> None:
    colleague = somebody("sales rep", team=rep.team)
    task = crm.FollowUp.objects.create(account=deal.account, text="Bel", owner=outsider, due_on=date(2026, 1, 1), opened_at=make.AT)

    def offered(page: str) -> set[User]:
        return set(rep_client.get(page).context["adminform"].form.fields["owner"].queryset)

    assert offered(link(deal, "change")) == offered(link(Opportunity, "add")) == offered(link(crm.FollowUp, "add")) == {rep, colleague}
    assert offered(link(task, "change")) == {rep, colleague, outsider}

    rep_client.post(link(crm.FollowUp, "add"), {"text": "Doe dit", "due_on": "2026-12-01", "owner": outsider.pk})
    assert not crm.FollowUp.objects.filter(text="Doe dit").exists()


# --- who may, and what it costs ----------------------------------------------------------------------

IN_PLACE = ["confirm", "withdraw", "advance", "lose", "reopen", "start_pilot", "judge", "assign", "finish_task", "snooze_task"]


@pytest.mark.parametrize("deed", [*IN_PLACE, "nonsense"])
def test_outsider_does_nothing_in_place(deed: str, deal: Opportunity, outsider: User, client: Client) -> None:
    client.force_login(outsider)
    before = snapshot(deal)

    answer = sent(client, deal, deed, "budget", follow=False, reason="x", because="x")

    assert answer.status_code in (302, 403, 404)
    assert snapshot(deal) == before


def test_who_only_sees_a_deal_gets_no_buttons_that_would_be_refused(deal: Opportunity, outsider: User, client: Client) -> None:
    make.ConfirmationFactory(opportunity=deal, confirmed_at=now())
    crm.Pilot.objects.create(opportunity=deal, success_criteria="Snel", starts_on=date(2026, 3, 1), ends_on=date(2026, 4, 1))
    make.OpportunityFactory(account=deal.account, owner=outsider, team=outsider.team)
    client.force_login(outsider)
    before = snapshot(deal)

    page = client.get(link(deal, "change"))

    assert page.status_code == 200
    assert not page.context["sheet"].may_change
    drawn = page.content.decode()
    assert [deed for deed in IN_PLACE if f'name="deed" value="{deed}"' in drawn] == ["assign"]
    assert link(deal, "name_account") not in drawn
    assert sent(client, deal, "lose", reason="x", follow=False).status_code == 403
    assert snapshot(deal) == before


def test_deed_or_thing_that_does_not_exist_is_not_found(rep_client: Client, deal: Opportunity) -> None:
    strange = [("nonsense", ""), ("confirm", "weather"), ("withdraw", "x"), ("judge", 999), ("finish_task", 999), ("assign", "king")]

    assert {sent(rep_client, deal, deed, about).status_code for deed, about in strange} == {404}


@pytest.mark.parametrize("size", [2, 30])
def test_page_takes_at_most_20_queries_however_much_there_is(size: int, rep_client: Client, rep: User, deal: Opportunity) -> None:
    deal.amount = Decimal(100)
    for number in range(size):
        contact = make.ContactFactory(account=deal.account)
        make.MembershipFactory(contact=contact, role="decider", opportunity=deal if number % 2 else None)
        make.ActivityFactory(account=deal.account, contact=contact, opportunity=deal, kind="meeting")
        make.ConfirmationFactory(opportunity=deal, kind="budget", contact=contact, withdrawn_at=now(), confirmed_at=now())
        crm.FollowUp.objects.create(account=deal.account, opportunity=deal, text="Bel", owner=rep, due_on=date(2026, 1, 1), opened_at=now())
    crm.Pilot.objects.create(opportunity=deal, success_criteria="Snel", starts_on=date(2026, 3, 1), ends_on=date(2026, 4, 1))

    with CaptureQueriesContext(connection) as seen:
        page = rep_client.get(link(deal, "change"))

    assert page.status_code == 200
    assert len(seen) <= 20, [query["sql"][:90] for query in seen]
