"""What a deal at another team's account lets its owner and the owner's colleagues see and do, over both doors."""

import pytest
from django.test import Client
from django.utils.timezone import now
from rest_framework.test import APIClient

from crm import models as crm
from crm.models import Account, User
from tests.conftest import api_client, somebody
from tests.doors.admin_pages import link
from tests.doors.test_api_contract import assert_refusal
from tests.factories import crm as make

SECRETS = ("Geheim", "Persoon", "BEWIJS", "ONDERWERP")


@pytest.fixture
def foreign(outsider: User) -> Account:
    return make.AccountFactory(name="Andermans BV", team=outsider.team, owner=outsider)


@pytest.fixture
def contact(foreign: Account) -> crm.Contact:
    person = make.PersonFactory(given_name="Geheim", family_name="Persoon")
    contact = make.ContactFactory(account=foreign, person=person, email="geheim@andermans.example")
    make.MembershipFactory(contact=contact, role="decider")
    return contact


@pytest.fixture
def deal(foreign: Account, contact: crm.Contact, rep: User) -> crm.Opportunity:
    """The rep's own deal at the account of another team."""
    deal = make.OpportunityFactory(account=foreign, owner=rep, team=rep.team)
    make.ConfirmationFactory(opportunity=deal, contact=contact, evidence="BEWIJS", confirmed_at=now())
    make.ActivityFactory(account=foreign, contact=contact, subject="ONDERWERP", opportunity=deal)
    return deal


@pytest.fixture
def colleague(rep: User) -> User:
    """Somebody in the deal owner's team, who works no deal there."""
    return somebody("sales rep", team=rep.team)


def api(deed: str, record: crm.Opportunity | crm.Contact | crm.Activity) -> str:
    resource = {"Opportunity": "opportunities", "Contact": "contacts", "Activity": "activities"}[type(record).__name__]
    return f"/api/v1/{resource}/{record.pk}/{deed}".rstrip("/")


# --- who only works the deal: adds, and changes nothing of others ----------------------------------


def test_deal_owner_changes_no_contact_and_no_activity_of_the_accounts_team(
    deal: crm.Opportunity, contact: crm.Contact, rep_api: APIClient
) -> None:
    activity = crm.Activity.objects.get()

    assert_refusal(rep_api.patch(api("", contact), {"job_title": "x"}, format="json"), 403, "permission_denied")
    assert_refusal(rep_api.post(api("depart", contact), {"left_on": "2026-01-01"}, format="json"), 403, "permission_denied")
    assert_refusal(rep_api.delete(api("", activity)), 403, "permission_denied")

    contact.refresh_from_db()
    assert (contact.job_title, contact.left_on) == ("", None)
    assert crm.Activity.objects.filter(pk=activity.pk).exists()


def test_deal_owner_adds_a_contact_a_role_an_activity_and_a_task_there(deal: crm.Opportunity, foreign: Account, rep_api: APIClient) -> None:
    added = rep_api.post("/api/v1/contacts", {"account": foreign.pk, "given_name": "Nieuw", "family_name": "Mens"}, format="json")
    rows = {
        "memberships": {"contact": added.json()["id"], "role": "user"},
        "activities": {"account": foreign.pk, "kind": "meeting", "occurred_at": now().isoformat(), "source": "test"},
        "follow-ups": {"account": foreign.pk, "text": "Bel", "due_on": "2026-12-01"},
    }

    assert added.status_code == 201
    assert {name: rep_api.post(f"/api/v1/{name}", row, format="json").status_code for name, row in rows.items()} == dict.fromkeys(rows, 201)


def test_deal_owner_deletes_the_activity_he_recorded_himself(
    deal: crm.Opportunity, foreign: Account, rep: User, rep_api: APIClient
) -> None:
    mine = make.ActivityFactory(account=foreign, recorded_by=rep)

    assert rep_api.delete(api("", mine)).status_code == 204


def test_deal_owner_may_not_end_a_job_in_the_admin_but_assigns_a_role(
    deal: crm.Opportunity, foreign: Account, contact: crm.Contact, rep_client: Client
) -> None:
    assert rep_client.post(link(contact, "depart"), {"left_on": "2026-01-01"}).status_code == 403
    answer = rep_client.post(link(foreign, "assign_role"), {"contact": contact.pk, "role": "user", "stance": "neutral"})

    contact.refresh_from_db()
    assert (answer.status_code, contact.left_on) == (302, None)
    assert set(contact.memberships.values_list("role", flat=True)) == {"decider", "user"}


def test_deal_owner_without_the_right_to_add_roles_is_refused(deal: crm.Opportunity, foreign: Account, client: Client, rep: User) -> None:
    role = rep.groups.get()
    role.permissions.remove(role.permissions.get(codename="add_dmumembership"))
    client.force_login(rep)

    assert client.get(link(foreign, "assign_role")).status_code == 403


# --- the deal owner's colleague: sees the deal, and nothing that lies at the account ----------------


def test_colleague_gets_neither_coverage_nor_confirmations_of_the_deal(deal: crm.Opportunity, colleague: User, rep_api: APIClient) -> None:
    caller = api_client(colleague)

    assert caller.get(api("", deal)).status_code == 200
    for deed in ("coverage", "confirmations"):
        assert_refusal(caller.get(api(deed, deal)), 404, "not_found")
    assert "Geheim Persoon" in rep_api.get(api("coverage", deal)).content.decode()
    assert rep_api.get(api("confirmations", deal)).json()[0]["evidence"] == "BEWIJS"


def test_colleague_confirms_and_withdraws_nothing_at_an_account_out_of_sight(
    deal: crm.Opportunity, contact: crm.Contact, colleague: User
) -> None:
    caller, given = api_client(colleague), crm.Confirmation.objects.get()
    confirming = {"kind": "need", "contact": contact.pk, "evidence": "x"}

    assert_refusal(caller.post(api("confirm", deal), confirming, format="json"), 403, "not_allowed")
    assert caller.post(api("withdraw", deal), {"confirmation": given.pk, "because": "x"}, format="json").status_code == 400
    assert [(row.kind, row.withdrawn_at) for row in crm.Confirmation.objects.all()] == [("budget", None)]


def test_deal_page_shows_the_colleague_its_own_figures_and_a_sentence(
    deal: crm.Opportunity, colleague: User, client: Client, rep_client: Client
) -> None:
    seen_by_owner = rep_client.get(link(deal, "change")).content.decode()
    client.force_login(colleague)
    page = client.get(link(deal, "change")).content.decode()

    assert "This account belongs to another team." in page
    assert deal.name in page
    assert [word for word in SECRETS if word in page] == []
    assert [word for word in SECRETS if word in seen_by_owner] == list(SECRETS)
    assert "This account belongs to another team." not in seen_by_owner


def test_confirm_form_is_closed_to_the_colleague(deal: crm.Opportunity, contact: crm.Contact, colleague: User, client: Client) -> None:
    client.force_login(colleague)
    given = crm.Confirmation.objects.get()

    assert client.get(link(deal, "confirm")).status_code == 403
    assert client.post(link(deal, "confirm"), {"kind": "need", "contact": contact.pk, "evidence": "x"}).status_code == 403
    assert client.post(link(deal, "withdraw", given.pk), {"because": "x"}).status_code == 404
    assert crm.Confirmation.objects.standing().count() == 1


def test_list_of_confirmations_leaves_out_those_at_accounts_out_of_sight(deal: crm.Opportunity, colleague: User, rep: User) -> None:
    assert crm.Confirmation.objects.visible_to(rep).count() == 1
    assert crm.Confirmation.objects.visible_to(colleague).count() == 0
