"""Tasks, activities, mail, job changes, target lists, nights and keys in the admin: each button calls its rule."""

from datetime import date, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from abm import job_changes, targets, tasks
from abm import models as abm
from crm import follow_ups
from crm import models as crm
from crm.api.keys import KeyAuthentication
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
    contact = make.ContactFactory(account=account)
    form = {"kind": "meeting", "account": account.pk, "contact": contact.pk, "occurred_at": "2099-01-01T10:00"}

    answer = rep_client.post(link(crm.Activity, "add"), form)

    assert "The moment lies in the future." in answer.content.decode()
    assert not crm.Activity.objects.exists()


def test_meeting_with_nobody_is_refused_in_the_form_and_a_visit_of_nobody_is_not(rep_client: Client, account: Account) -> None:
    form = {"account": account.pk, "occurred_at": "2026-03-09T10:30"}

    answer = rep_client.post(link(crm.Activity, "add"), form | {"kind": "meeting"})
    assert answer.context["adminform"].form.errors["contact"] == ["Say with whom: only visits of our site can be anonymous."]
    assert not crm.Activity.objects.exists()

    rep_client.post(link(crm.Activity, "add"), form | {"kind": "page_view"})
    assert crm.Activity.objects.get().kind == "page_view"


def test_history_without_a_person_is_corrected_in_anything_but_who_and_what(rep_client: Client, account: Account) -> None:
    imported = make.ActivityFactory(account=account, kind="meeting", subject="Overleg")
    form = {"kind": "meeting", "occurred_at": "2026-03-01T10:00", "subject": "Kennismaking"}

    rep_client.post(link(imported, "change"), form)
    refused = rep_client.post(link(imported, "change"), form | {"kind": "call_answered"})

    imported.refresh_from_db()
    assert (imported.subject, imported.kind) == ("Kennismaking", "meeting")
    assert "contact" in refused.context["adminform"].form.errors


def test_suppression_is_set_and_released_never_edited(client: Client, marketer: User) -> None:
    client.force_login(marketer)
    client.post(link(crm.Suppression, "add"), {"address": "Weg@Bedrijf.example", "reason": "by_hand"})
    row = crm.Suppression.objects.get()
    client.post(link(row, "change"), {"address": "ander@bedrijf.example"})
    client.post(link(row, "release"))

    row.refresh_from_db()
    assert row.address == "weg@bedrijf.example"
    assert row.released_at is not None


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


def test_new_key_is_shown_in_one_answer_and_works(client: Client, admin_user: User, rep: User) -> None:
    client.force_login(admin_user)

    answer = client.post(link(crm.ApiKey, "add"), {"name": "koppeling", "user": rep.pk, "scopes": ["contacts:read"]})

    key, row = answer.context["key"], crm.ApiKey.objects.get()
    assert key in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert KeyAuthentication().authenticate_credentials(key.encode()) == (rep, row)
    assert row.scopes == ["contacts:read"]
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


def test_what_only_the_database_refuses_is_a_sentence_too(client: Client, lead: User, target_list: abm.TargetList) -> None:
    client.force_login(lead)
    form = {"name": "Voorjaar", "owner": lead.pk, "starts_on": "2026-06-01", "ends_on": "2026-03-01"}

    answer = client.post(link(target_list, "change"), form)

    assert "The database refuses this: it contradicts what is on record." in answer.content.decode()
    target_list.refresh_from_db()
    assert target_list.ends_on == date(2026, 6, 1)


def test_what_is_begun_on_an_accounts_page_leads_back_to_it(rep_client: Client, rep: User, account: Account) -> None:
    activity = {"kind": "note", "account": account.pk, "occurred_at": "2026-03-02T10:00", "subject": "Gebeld"}
    task = {"text": "Bel", "due_on": "2026-03-09", "owner": rep.pk, "account": account.pk}

    for model, form in ((crm.Activity, activity), (crm.FollowUp, task)):
        from_account = rep_client.post(f"{link(model, 'add')}?account={account.pk}", form)
        from_list = rep_client.post(link(model, "add"), form | {"subject": "Nog eens"})
        assert (from_account.url, from_list.url) == (link(account, "change"), link(model, "changelist"))


def test_owners_are_sorted_by_name_in_lists_and_forms(client: Client, admin_user: User, account: Account) -> None:
    zoe, abe = (make.UserFactory(first_name=name, last_name="", team=account.team) for name in ("Zoë", "Abe"))
    last, first = (make.AccountFactory(owner=owner, team=account.team) for owner in (zoe, abe))
    client.force_login(admin_user)
    column = list(client.get(link(Account, "changelist")).context["cl"].list_display).index("owner")

    upwards, downwards = (
        [row.pk for row in client.get(f"{link(Account, 'changelist')}?o={sign}{column}").context["cl"].result_list] for sign in ("", "-")
    )
    offered = [user.pk for user in client.get(link(Account, "add")).context["adminform"].form.fields["owner"].queryset]

    assert upwards.index(first.pk) < upwards.index(last.pk)
    assert downwards.index(last.pk) < downwards.index(first.pk)
    assert offered.index(abe.pk) < offered.index(zoe.pk)
