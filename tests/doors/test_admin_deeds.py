"""What a person does in the admin: every form and button calls its rule, and a refusal is the rule's sentence."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now
from knox.auth import TokenAuthentication

from abm import job_changes, targets, tasks
from abm import models as abm
from crm import dmu, follow_ups
from crm import models as crm
from crm.models import Account, Team, User
from tests.conftest import AT
from tests.factories import crm as make


def link(record: Model | type[Model], page: str, *more: object) -> str:
    args = [record.pk, *more] if isinstance(record, Model) else []
    return reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_{page}", args=args)


def said(answer: HttpResponse) -> list[str]:
    """Give the latest of the messages that a page shows; those of redirects that nobody followed stand before it."""
    return [str(message) for message in answer.context["messages"]][-1:]


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


# --- accounts ----------------------------------------------------------------------------------------

NEW_ACCOUNT = {"name": "Bakkerij Bos", "status": "prospect", "revenue_currency": "EUR", "domain": "https://www.bakkerijbos.nl/over"}


def test_rep_opens_an_account_of_his_own_with_its_registrable_domain(rep_client: Client, rep: User) -> None:
    answer = rep_client.post(link(Account, "add"), NEW_ACCOUNT)

    assert answer.status_code == 302
    made = Account.objects.get()
    assert (made.name, made.domain, made.owner, made.team) == ("Bakkerij Bos", "bakkerijbos.nl", rep, rep.team)


def test_refused_account_is_shown_as_typed_with_the_sentence_and_not_kept(rep_client: Client) -> None:
    answer = rep_client.post(link(Account, "add"), NEW_ACCOUNT | {"domain": "gmail.com"})

    page = answer.content.decode()
    assert "gmail.com gives mail to everybody; it is no company&#x27;s own." in page
    assert 'value="Bakkerij Bos"' in page
    assert not Account.objects.exists()


def test_change_writes_only_what_changed(rep_client: Client, account: Account) -> None:
    form = {"name": "Nieuwe naam", "domain": account.domain, "status": "customer", "revenue_currency": "EUR", "employees": "100"}

    rep_client.post(link(account, "change"), form)

    account.refresh_from_db()
    assert (account.name, account.status, account.employees) == ("Nieuwe naam", "customer", 100)
    assert account.history.first().history_user_id == account.owner_id


def test_owner_changes_hands_by_the_lead_alone_and_takes_the_open_deals_along(
    client: Client, rep_client: Client, account: Account, deal: crm.Opportunity, lead: User
) -> None:
    page, form = link(account, "hand_over"), {"owner": lead.pk, "team": lead.team_id}
    assert rep_client.post(page, form).status_code == 403
    account.refresh_from_db()
    assert account.owner != lead

    client.force_login(lead)
    client.post(page, form)

    account.refresh_from_db()
    deal.refresh_from_db()
    assert (account.owner, deal.owner) == (lead, lead)


def test_account_page_says_why_the_score_is_what_it_is(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    make.ActivityFactory(account=account, contact=contact, kind="meeting", occurred_at=now(), day=now().date())
    dmu.assign(contact=contact, role="decider", at=AT)

    page = rep_client.get(link(account, "change"))

    why = page.context["why"]
    assert sum(line["weighted"] for person in why["people"] for line in person["lines"]) == pytest.approx(why["scored"].weighted_points)
    assert [str(person["contact"]) for person in why["people"]] == [str(contact)]
    assert "Score = 100 ×" in page.content.decode()


def test_explanation_longer_than_30_lines_still_adds_up(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    for days in range(40):
        moment = now() - timedelta(days=days)
        make.ActivityFactory(account=account, contact=contact, kind="meeting", occurred_at=moment, day=moment.date())

    why = rep_client.get(link(account, "change")).context["why"]

    shown = [line["weighted"] for person in why["people"] for line in person["lines"]]
    assert len(shown) == 30
    assert why["rest"]["count"] == 10
    assert sum(shown) + why["rest"]["weighted"] == pytest.approx(why["scored"].weighted_points)


def test_role_is_assigned_on_the_account_page_to_somebody_who_works_there(
    rep_client: Client, account: Account, contact: crm.Contact
) -> None:
    stranger = make.ContactFactory()
    form = {"contact": contact.pk, "role": "decider", "stance": "champion", "is_assumed": "on"}

    refused = rep_client.post(link(account, "assign_role"), form | {"contact": stranger.pk})
    assert "Select a valid choice" in refused.content.decode()
    assert not crm.DmuMembership.objects.exists()

    rep_client.post(link(account, "assign_role"), form)
    held = crm.DmuMembership.objects.get()
    assert (held.contact, held.role, held.stance, held.is_assumed) == (contact, "decider", "champion", True)


# --- contacts and persons ----------------------------------------------------------------------------


def contact_form(account: Account, **facts: str) -> dict[str, Any]:
    known = {
        "given_name": "Sofie",
        "family_name": "Vos",
        "email": "sofie@bedrijf.example",
        "legal_basis": "consent",
        "phone": "020 123 4567",
    }
    return {"account": account.pk} | known | facts


def test_contact_is_added_with_the_person_behind_it(rep_client: Client, account: Account) -> None:
    rep_client.post(link(crm.Contact, "add"), contact_form(account))

    added = crm.Contact.objects.get()
    assert (str(added.person), added.email, str(added.phone)) == ("Sofie Vos", "sofie@bedrijf.example", "+31201234567")


def test_contact_with_a_taken_address_is_refused_at_its_field(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    answer = rep_client.post(link(crm.Contact, "add"), contact_form(account, email="JAN@bedrijf.example"))

    assert answer.context["adminform"].form.errors["email"] == ["Another contact of this account has this address."]
    assert crm.Contact.objects.count() == 1


def test_corrected_address_is_no_longer_known_to_be_invalid(rep_client: Client, account: Account) -> None:
    contact = make.ContactFactory(account=account, address_invalid_at=AT)

    rep_client.post(link(contact, "change"), contact_form(account, family_name="Bos"))

    contact.refresh_from_db()
    assert (contact.email, contact.address_invalid_at, contact.person.family_name) == ("sofie@bedrijf.example", None, "Bos")


def test_departure_ends_the_roles_and_can_be_undone(rep_client: Client, contact: crm.Contact) -> None:
    held = dmu.assign(contact=contact, role="buyer", at=AT)

    rep_client.post(link(contact, "depart"), {"left_on": "2026-03-09", "reason": "Zei de receptie"})
    contact.refresh_from_db()
    held.refresh_from_db()
    assert (contact.left_on, held.end_reason) == (date(2026, 3, 9), "left")

    rep_client.post(link(contact, "undo_departure"))
    contact.refresh_from_db()
    held.refresh_from_db()
    assert (contact.left_on, held.until) == (None, None)


def test_looking_at_a_deed_changes_nothing(rep_client: Client, contact: crm.Contact) -> None:
    for deed in ("depart", "opt_out", "confirm_details"):
        assert rep_client.get(link(contact, deed)).status_code == 200

    contact.refresh_from_db()
    assert (contact.left_on, contact.person.opted_out_at, contact.details_confirmed_at) == (None, None, None)


def test_who_wants_no_more_mail_gets_none(rep_client: Client, contact: crm.Contact) -> None:
    rep_client.post(link(contact, "opt_out"))

    assert crm.Person.objects.get(pk=contact.person_id).opted_out_at is not None


def test_only_who_answers_for_privacy_exports_and_erases(
    client: Client, rep_client: Client, admin_user: User, contact: crm.Contact
) -> None:
    person = contact.person
    assert {rep_client.get(link(person, deed)).status_code for deed in ("export", "erase")} == {403}
    assert rep_client.post(link(person, "erase")).status_code == 403
    assert str(crm.Person.objects.get(pk=person.pk)) == str(person)

    client.force_login(admin_user)
    export = client.get(link(person, "export"))
    assert export.json()["person"]["family_name"] == person.family_name
    assert export["Content-Disposition"] == f'attachment; filename="person-{person.pk}.json"'
    client.post(link(person, "erase"))
    assert str(crm.Person.objects.get(pk=person.pk)) == "(erased)"


def test_role_is_confirmed_judged_and_ended(rep_client: Client, rep: User, contact: crm.Contact) -> None:
    held = dmu.assign(contact=contact, role="user", at=AT, is_assumed=True)

    rep_client.post(link(held, "confirm"))
    rep_client.post(link(held, "set_stance"), {"stance": "blocker"})
    rep_client.post(link(held, "end"), {"reason": "moved"})
    again = rep_client.post(link(held, "end"), {"reason": "left"})

    held.refresh_from_db()
    assert (held.is_assumed, held.said_by, held.stance, held.end_reason) == (False, rep, "blocker", "moved")
    assert said(again) == ["This role has ended already."]


# --- opportunities -----------------------------------------------------------------------------------


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
    return {"name": deal.name, "currency": "EUR", "owner": deal.owner_id or "", "amount": "", "expected_close_on": ""} | facts


def test_deal_begins_for_an_account_in_sight(rep_client: Client, rep: User, account: Account) -> None:
    form = {"account": account.pk, "name": "Grote order", "stage": "mql", "currency": "EUR", "amount": "1500", "owner": rep.pk}
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
    assert answer.context["adminform"].form.errors
    assert deal.amount == 100


def test_deal_page_names_what_the_next_stage_still_needs(rep_client: Client, deal: crm.Opportunity) -> None:
    old, _fresh = confirm(deal, "budget", "timing")
    crm.Confirmation.objects.filter(pk=old.pk).update(confirmed_at=now() - timedelta(days=183))

    page = rep_client.get(link(deal, "change"))

    assert [str(sentence) for sentence in page.context["lacking"]] == [
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


# --- tasks, activities, mail -------------------------------------------------------------------------


def test_tasks_show_the_users_own_open_ones_and_close_once(rep_client: Client, rep: User, lead: User, account: Account) -> None:
    mine, _theirs = (
        follow_ups.open(reason="by_hand", owner=owner, due_on=date(2026, 3, 9), at=AT, account=account, text="Bel") for owner in (rep, lead)
    )
    page = rep_client.get(link(crm.FollowUp, "changelist"))
    assert list(page.context["cl"].result_list) == [mine]

    rep_client.post(link(mine, "close"), {"result": "Belt terug"})
    again = rep_client.post(link(mine, "close"), {"result": "Nog eens"})

    mine.refresh_from_db()
    assert (mine.result, mine.closed_by) == ("Belt terug", rep)
    assert said(again) == ["This task is closed already."]
    rep_client.post(link(mine, "reopen"))
    mine.refresh_from_db()
    assert mine.closed_at is None


def test_task_by_hand_says_what_to_do(rep_client: Client, rep: User) -> None:
    form = {"text": "", "due_on": "2026-03-12", "owner": rep.pk}
    refused = rep_client.post(link(crm.FollowUp, "add"), form)
    assert refused.context["adminform"].form.errors["text"] == ["This may not be empty."]

    rep_client.post(link(crm.FollowUp, "add"), form | {"text": "Offerte sturen"})
    assert crm.FollowUp.objects.get().text == "Offerte sturen"


def test_call_is_logged_corrected_and_deleted_through_the_queue_of_changes(
    rep_client: Client, rep: User, account: Account, contact: crm.Contact
) -> None:
    form = {"kind": "call_answered", "account": account.pk, "contact": contact.pk, "occurred_at": "2026-03-09T10:30", "subject": "Prijs"}
    rep_client.post(link(crm.Activity, "add"), form)
    logged = crm.Activity.objects.get()
    assert (logged.kind, logged.recorded_by, logged.occurred_at.isoformat()) == ("call_answered", rep, "2026-03-09T09:30:00+00:00")

    rep_client.post(link(logged, "change"), form | {"kind": "meeting"})
    rep_client.post(link(logged, "delete"), {"post": "yes"})

    assert not crm.Activity.objects.exists()
    counted = crm.ActivityChange.objects.order_by("id").values_list("kind", "delta")
    assert list(counted) == [("call_answered", 1), ("call_answered", -1), ("meeting", 1), ("meeting", -1)]


def test_call_in_the_future_is_refused_in_the_form(rep_client: Client, account: Account) -> None:
    form = {"kind": "meeting", "account": account.pk, "occurred_at": "2099-01-01T10:00"}

    answer = rep_client.post(link(crm.Activity, "add"), form)

    assert "The moment lies in the future." in answer.content.decode()
    assert not crm.Activity.objects.exists()


def test_suppression_is_set_and_released_never_edited(client: Client, marketer: User) -> None:
    client.force_login(marketer)
    client.post(link(crm.Suppression, "add"), {"address": "Weg@Bedrijf.example", "reason": "by_hand"})
    row = crm.Suppression.objects.get()
    client.post(link(row, "change"), {"address": "ander@bedrijf.example"})
    client.post(link(row, "release"))

    row.refresh_from_db()
    assert row.address == "weg@bedrijf.example"
    assert row.released_at is not None


# --- job changes, target lists, nights ---------------------------------------------------------------


@pytest.fixture
def signal(contact: crm.Contact) -> abm.JobChangeSignal:
    return job_changes.suspect(contact, source="rep", key="test:1", text="Nam de telefoon niet op", at=AT)


def test_signal_is_dismissed_and_taken_up_again_by_a_button_in_the_list(rep_client: Client, signal: abm.JobChangeSignal) -> None:
    button = link(signal, "dismiss_at_once")
    rep_client.get(button)
    signal.refresh_from_db()
    assert signal.status == "open"

    rep_client.post(button)
    signal.refresh_from_db()
    assert signal.status == "dismissed"

    rep_client.post(link(signal, "undo_at_once"))
    signal.refresh_from_db()
    assert signal.status == "open"


def test_confirmed_signal_leads_to_a_departure_on_the_day_given(
    rep_client: Client, contact: crm.Contact, signal: abm.JobChangeSignal
) -> None:
    left_on = now().date() - timedelta(days=4)

    rep_client.post(link(signal, "confirm"), {"left_on": left_on.isoformat(), "new_email": "", "new_job_title": ""})

    contact.refresh_from_db()
    signal.refresh_from_db()
    assert (contact.left_on, signal.status) == (left_on, "confirmed")


@pytest.fixture
def target_list(lead: User, at: datetime) -> abm.TargetList:
    period = {"starts_on": date(2026, 3, 1), "ends_on": date(2026, 6, 1)}
    return targets.draft(name="Voorjaar", team=lead.team, owner=lead, at=at, by=lead, **period)


def test_list_is_filled_changed_and_activated_by_the_lead(
    client: Client, lead: User, account: Account, target_list: abm.TargetList
) -> None:
    other = make.AccountFactory(team=lead.team)
    client.force_login(lead)

    client.post(link(target_list, "fill"))
    first = target_list.slots.get(account=account)
    client.post(link(target_list, "pin", first.pk))
    client.post(link(target_list, "remove", target_list.slots.get(account=other).pk))
    client.post(link(target_list, "reject"), {"account": other.pk, "reason": "Te klein"})
    client.post(link(target_list, "activate"))
    refused = client.post(link(target_list, "fill"))

    target_list.refresh_from_db()
    assert target_list.status == "active"
    assert [(slot.account, slot.is_pinned) for slot in target_list.slots.all()] == [(account, True)]
    assert [str(row.account) for row in target_list.rejections.all()] == [str(other)]
    assert said(refused) == ["The list is no draft any more: what is on it stays as it is."]


def test_account_that_may_not_be_listed_is_refused_in_words(client: Client, lead: User, target_list: abm.TargetList) -> None:
    rival = make.AccountFactory(name="Rivaal", status="competitor", team=lead.team)
    client.force_login(lead)

    answer = client.post(link(target_list, "pick"), {"account": rival.pk})

    assert said(answer) == ["Rivaal is a competitor."]
    assert not target_list.slots.exists()


def test_rep_looks_at_the_list_of_the_team_and_changes_nothing(rep_client: Client, account: Account, target_list: abm.TargetList) -> None:
    assert rep_client.get(link(target_list, "change")).status_code == 200
    assert rep_client.post(link(target_list, "fill")).status_code == 403
    assert not target_list.slots.exists()


def test_administrator_queues_the_night_and_a_rep_does_not(
    client: Client, rep_client: Client, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued: list[str] = []
    monkeypatch.setattr(tasks.nightly, "delay", lambda: queued.append("nightly"))
    page = reverse("admin:abm_nightlyrun_run_now")
    assert rep_client.post(page).status_code == 403

    client.force_login(admin_user)
    client.get(page)
    assert queued == []
    client.post(page)
    assert queued == ["nightly"]


# --- keys and histories ------------------------------------------------------------------------------


def test_new_key_is_shown_in_one_answer_and_works(client: Client, admin_user: User, rep: User) -> None:
    client.force_login(admin_user)

    answer = client.post(link(crm.ApiKey, "add"), {"name": "koppeling", "user": rep.pk})

    key, row = answer.context["key"], crm.ApiKey.objects.get()
    assert key in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert TokenAuthentication().authenticate_credentials(key.encode())[0] == rep
    for page in (link(crm.ApiKey, "changelist"), link(row, "change"), reverse("admin:index")):
        assert key not in client.get(page).content.decode()


def test_old_version_is_shown_and_not_put_back(client: Client, admin_user: User, account: Account) -> None:
    client.force_login(admin_user)
    version = account.history.first().history_id
    Account.objects.filter(pk=account.pk).update(name="Nieuw")
    page = reverse("admin:crm_account_simple_history", args=[account.pk, version])

    assert client.get(page).status_code == 200
    assert client.post(page, {"name": account.name, "status": "prospect", "revenue_currency": "EUR"}).status_code == 403
    account.refresh_from_db()
    assert account.name == "Nieuw"
