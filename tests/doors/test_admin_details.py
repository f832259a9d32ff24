"""Asking from the admin: one contact on the page, many in the list after a preview, each row judged for who asks."""

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from crm import tasks
from crm.models import Contact, DetailsRequest, User
from tests.doors.admin_pages import link, said
from tests.factories.crm import AccountFactory, ContactFactory

pytestmark = pytest.mark.django_db
ASK_MANY = "/admin/crm/contact/bulk/ask_many/"


@pytest.fixture
def contact(rep: User) -> Contact:
    return ContactFactory(account=AccountFactory(owner=rep, team=rep.team))


def test_one_is_asked_from_the_contacts_page_once(rep_client: Client, contact: Contact) -> None:
    address = reverse("admin:crm_contact_ask_details", args=[contact.pk])
    assert address in rep_client.get(link(contact, "change")).content.decode()
    assert mail.outbox == []

    rep_client.post(address)
    assert [sent.to for sent in mail.outbox] == [[contact.email]]
    assert DetailsRequest.objects.get().asked_by == User.objects.get()
    assert "no answer yet" in rep_client.get(link(contact, "change")).content.decode()
    assert "asked a short while ago" in rep_client.post(address).content.decode()
    assert len(mail.outbox) == 1


def test_button_is_not_offered_where_no_mail_may_go(rep_client: Client, contact: Contact) -> None:
    Contact.objects.update(email="")
    assert "ask-details" not in rep_client.get(link(contact, "change")).content.decode()


def test_outsider_asks_nobody(client: Client, outsider: User, contact: Contact) -> None:
    client.force_login(outsider)
    assert client.post(reverse("admin:crm_contact_ask_details", args=[contact.pk])).status_code == 404
    client.post(ASK_MANY, {"ids": contact.pk, "do": "1"})
    assert (mail.outbox, DetailsRequest.objects.count()) == ([], 0)


def test_many_are_asked_in_the_background_after_a_preview(rep_client: Client, contact: Contact, monkeypatch: pytest.MonkeyPatch) -> None:
    mute = ContactFactory(account=contact.account, email="")
    enqueued: list[tuple[object, ...]] = []
    monkeypatch.setattr(tasks, "enqueue", lambda task, *arguments: enqueued.append((task, *arguments)))
    chosen = {"ids": f"{contact.pk},{mute.pk}", "back": "/admin/crm/contact/"}

    assert "no mail may go to them" in rep_client.post(ASK_MANY, {**chosen, "preview": "1"}).content.decode()
    assert enqueued == []
    answer = rep_client.post(ASK_MANY, {**chosen, "do": "1"}, follow=True)
    assert "no mail may go to them" in said(answer)[0]
    ((task, ids, user),) = enqueued
    assert task(ids, user) == 1
    assert [sent.to for sent in mail.outbox] == [[contact.email]]
    assert task(ids, user) == 0
