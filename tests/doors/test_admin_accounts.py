"""Accounts, contacts, persons and roles in the admin: every form calls its rule, and a refusal is the rule's sentence."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from crm import dmu
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


def test_lead_hands_over_to_the_own_team_only(client: Client, account: Account, lead: User, outsider: User) -> None:
    before = Account.objects.values().get(pk=account.pk)
    client.force_login(lead)
    page = link(account, "hand_over")

    offered = client.get(page).context["form"].fields
    answers = [client.post(page, {"owner": owner, "team": team}) for owner, team in ((outsider.pk, ""), ("", outsider.team_id))]

    assert set(offered["owner"].queryset) == {account.owner, lead}
    assert list(offered["team"].queryset) == [lead.team]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert Account.objects.values().get(pk=account.pk) == before


def test_lead_opens_no_account_for_another_team(client: Client, lead: User, outsider: User) -> None:
    client.force_login(lead)

    assert client.post(link(Account, "add"), NEW_ACCOUNT | {"owner": outsider.pk, "team": outsider.team_id}).status_code == 200
    assert not Account.objects.exists()
    assert client.post(link(Account, "add"), NEW_ACCOUNT | {"owner": lead.pk, "team": lead.team_id}).status_code == 302


def test_who_sees_every_record_hands_over_to_everybody_at_work(
    client: Client, account: Account, marketer: User, admin_user: User, outsider: User
) -> None:
    gone = make.UserFactory(is_active=False)
    client.force_login(admin_user)

    offered = client.get(link(account, "hand_over")).context["form"].fields

    assert set(offered["owner"].queryset) == {account.owner, marketer, admin_user, outsider}
    assert gone not in offered["owner"].queryset
    assert set(offered["team"].queryset) == {account.team, outsider.team}


def test_account_is_not_deleted_here_not_even_by_an_administrator(client: Client, account: Account, admin_user: User) -> None:
    client.force_login(admin_user)

    assert client.post(link(account, "delete"), {"post": "yes"}).status_code == 403
    assert link(account, "delete") not in client.get(link(account, "change")).content.decode()
    assert Account.objects.filter(pk=account.pk).exists()


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
