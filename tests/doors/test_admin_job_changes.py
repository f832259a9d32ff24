"""The work list of job changes: evidence in sight, one click to decide or to name who comes after, many at once with a preview."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now
from rest_framework.test import APIClient

from abm import job_changes
from abm.models import JobChangeSignal
from crm import contacts, policy
from crm.models import Account, Contact, DmuMembership, User
from tests.abm.signals import everything, suspected
from tests.doors.admin_pages import link, said
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory

pytestmark = pytest.mark.django_db
CONFIRM, DISMISS = (f"/admin/abm/jobchangesignal/bulk/{name}_many/" for name in ("confirm", "dismiss"))


@pytest.fixture
def account(rep: User) -> Account:
    return AccountFactory(owner=rep, team=rep.team)


@pytest.fixture
def signal(account: Account) -> JobChangeSignal:
    gone = MembershipFactory(contact__account=account, role="decider").contact
    return suspected(gone, successor_name="<b>Jan</b> Kok")


def test_list_shows_what_was_said_and_who_is_to_come_after_as_text(rep_client: Client, signal: JobChangeSignal) -> None:
    page = rep_client.get(link(JobChangeSignal, "changelist")).content.decode()
    assert "Zei een collega." in page
    assert "&lt;b&gt;Jan&lt;/b&gt; Kok" in page
    assert "<b>Jan" not in page


def test_page_of_a_signal_offers_deeds_and_nothing_to_save(rep_client: Client, signal: JobChangeSignal) -> None:
    page = rep_client.get(link(signal, "change")).content.decode()
    assert "Still there" in page
    assert 'name="_save"' not in page
    assert 'name="_continue"' not in page


def test_list_takes_as_many_queries_for_many_signals_as_for_one(rep_client: Client, account: Account, signal: JobChangeSignal) -> None:
    counts = []
    for count in (0, 30):
        for _ in range(count):
            suspected(ContactFactory(account=account))
        for query in ("", "?status=all", "?q=a"):
            with CaptureQueriesContext(connection) as seen:
                assert rep_client.get(link(JobChangeSignal, "changelist") + query).status_code == 200
            counts.append(len(seen))
    assert counts[3:5] == counts[:2]
    assert max(counts) <= 6


def test_list_says_how_long_roles_stayed_empty(rep_client: Client, account: Account, signal: JobChangeSignal) -> None:
    other = MembershipFactory(contact__account=account, role="buyer").contact
    assert "held again:" not in rep_client.get(link(JobChangeSignal, "changelist")).content.decode()
    contacts.depart(other, left_on=policy.day_of(now()), at=now())
    assert (
        "Roles that people left in 12 months: 1; held again: 0, empty: 1."
        in rep_client.get(link(JobChangeSignal, "changelist")).content.decode()
    )
    assert "held again:" not in rep_client.get(link(JobChangeSignal, "changelist") + "?q=a").content.decode()


def test_candidate_comes_after_with_one_click(rep_client: Client, account: Account, signal: JobChangeSignal) -> None:
    other = ContactFactory(account=account)
    address = reverse("admin:abm_jobchangesignal_appoint", args=[signal.pk, other.pk])
    assert address in rep_client.get(link(signal, "change")).content.decode()
    before = everything()
    rep_client.get(address)
    assert everything() == before

    answer = rep_client.post(address, follow=True)
    assert said(answer) == [f"{other} comes after: the roles are theirs, as assumed."]
    assert JobChangeSignal.objects.get().status == "confirmed"
    assert DmuMembership.objects.current().get(contact=other).is_assumed


def test_dismissed_signal_offers_nobody(rep_client: Client, account: Account, signal: JobChangeSignal) -> None:
    ContactFactory(account=account)
    job_changes.dismiss(signal, at=now())
    assert "/appoint/" not in rep_client.get(link(signal, "change")).content.decode()


def test_outsider_appoints_nobody_and_decides_nothing(client: Client, outsider: User, account: Account, signal: JobChangeSignal) -> None:
    other = ContactFactory(account=account)
    client.force_login(outsider)
    before = everything()
    assert client.post(reverse("admin:abm_jobchangesignal_appoint", args=[signal.pk, other.pk])).status_code == 404
    client.post(CONFIRM, {"ids": signal.pk, "do": "1"})
    assert everything() == before


def test_stranger_of_another_account_cannot_be_appointed(rep_client: Client, signal: JobChangeSignal) -> None:
    for contact in (ContactFactory(), ContactFactory(account__owner=signal.account.owner, account__team=signal.account.team)):
        rep_client.post(reverse("admin:abm_jobchangesignal_appoint", args=[signal.pk, contact.pk]))
    assert JobChangeSignal.objects.get().status == "open"


@pytest.mark.parametrize(("address", "status"), [(CONFIRM, "confirmed"), (DISMISS, "dismissed")])
def test_many_are_decided_after_a_preview_that_changes_nothing(
    rep_client: Client, account: Account, signal: JobChangeSignal, address: str, status: str
) -> None:
    decided = suspected(ContactFactory(account=account))
    job_changes.dismiss(decided, at=now())
    chosen = {"ids": f"{signal.pk},{decided.pk}", "back": "/admin/abm/jobchangesignal/"}
    before = everything()
    page = rep_client.post(address, {**chosen, "preview": "1"}).content.decode()
    assert "they were decided already" in page
    assert everything() == before

    rep_client.post(address, {**chosen, "do": "1"})
    assert list(JobChangeSignal.objects.order_by("pk").values_list("status", flat=True)) == [status, "dismissed"]


def test_confirming_with_a_chosen_successor_in_the_form(rep_client: Client, account: Account, signal: JobChangeSignal) -> None:
    other = ContactFactory(account=account)
    rep_client.post(reverse("admin:abm_jobchangesignal_confirm", args=[signal.pk]), {"successor": other.pk})
    assert JobChangeSignal.objects.get().status == "confirmed"
    assert DmuMembership.objects.current().get(contact=other).role == "decider"


def test_integration_names_who_comes_after_by_the_same_rule(rep_api: APIClient, account: Account, signal: JobChangeSignal) -> None:
    address, other, foreign = f"/api/v1/job-changes/{signal.pk}/confirm", ContactFactory(account=account), ContactFactory()
    before = everything()
    assert rep_api.post(address, {"successor": foreign.pk}).status_code == 400
    assert everything() == before
    assert rep_api.post(address, {"successor": other.pk}).status_code == 200
    assert DmuMembership.objects.current().get(contact=other).role == "decider"


def test_account_page_shows_how_many_left_in_a_year(rep_client: Client, account: Account) -> None:
    ContactFactory.create_batch(3, account=account)
    assert "none of the 3 people we know" in rep_client.get(link(account, "change")).content.decode()
    Contact.objects.filter(pk=ContactFactory(account=account).pk).update(left_on=policy.day_of(now()))
    page = rep_client.get(link(account, "change")).content.decode()
    assert "1 of 4 people we knew" in page
    assert "25 %" in page
