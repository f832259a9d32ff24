"""Mail to contacts: who gets none, what it says to machines, and a return path that proves what comes back."""

import re
from datetime import timedelta
from email import message_from_bytes

import pytest
from django.core import mail

from crm import deliverability, errors, outgoing_mail, return_path
from crm.models import Contact, Delivery, DeliveryReport, Suppression
from tests.factories.crm import ContactFactory, DeliveryFactory

KEY = "k" * 32


@pytest.fixture(autouse=True)
def sender(monkeypatch):
    monkeypatch.setattr(return_path, "SENDER", return_path.Sender("Quorum <crm@quorum.example>", "mail.quorum.example", KEY))


# --- the return path, without a database -----------------------------------------------------------


def test_a_token_proves_one_mail_to_one_recipient_and_survives_small_letters():
    token = return_path.make_token("Jan@Klant.example")

    assert return_path.is_genuine(token, "jan@klant.example ")
    assert return_path.is_genuine(token.upper(), "jan@klant.example")
    assert not return_path.is_genuine(token, "piet@klant.example")
    assert not return_path.is_genuine(token[:-1] + ("a" if token[-1] != "a" else "b"), "jan@klant.example")
    assert not return_path.is_genuine("", "jan@klant.example")


def test_another_key_makes_other_tokens(monkeypatch):
    token = return_path.make_token("jan@klant.example")
    monkeypatch.setattr(return_path, "SENDER", return_path.SENDER._replace(key="other" * 8))

    assert not return_path.is_genuine(token, "jan@klant.example")


def test_the_return_address_fits_what_smtp_allows_and_is_read_back():
    token = return_path.make_token("jan@klant.example")
    address = return_path.address_of(token)

    assert len(address.partition("@")[0]) <= 64
    assert return_path.token_in(address) == return_path.token_in(f"Klant <{address.upper()}>, x@y.example") == token
    assert return_path.looks_like_ours(token)


@pytest.mark.parametrize("text", ["", "bounces@quorum.example", "bounces+abc@quorum.example", "bounces+" + "1" * 32 + "@quorum.example"])
def test_what_has_no_token_gives_none(text):
    assert return_path.token_in(text) == ""


# --- sending ---------------------------------------------------------------------------------------


@pytest.fixture
def contact(db):
    return ContactFactory(email="Jan@klant.example")


def sent(contact, at, **facts):
    return outgoing_mail.send(contact, subject="Klopt dit nog?", text="Beste Jan", at=at, **facts)


def test_a_mail_goes_out_in_our_name_and_returns_to_an_address_that_proves_it(contact, at):
    delivery = sent(contact, at, html="<p>Beste Jan</p>")

    (letter,) = mail.outbox
    assert letter.from_email == f"bounces+{delivery.return_token}@mail.quorum.example"
    assert (letter.to, letter.extra_headers["From"]) == (["Jan@klant.example"], "Quorum <crm@quorum.example>")
    on_its_way = message_from_bytes(letter.message().as_bytes())
    assert on_its_way["Message-ID"] == delivery.message_id
    assert (on_its_way["From"], on_its_way["Auto-Submitted"], on_its_way["List-Unsubscribe"]) == (
        "Quorum <crm@quorum.example>", "auto-generated", None,
    )  # fmt: skip
    assert (delivery.contact, delivery.address, delivery.sent_at, delivery.subject) == (contact, contact.email, at, "Klopt dit nog?")
    assert re.fullmatch(r"<[^<>@]+@mail\.quorum\.example>", delivery.message_id)
    assert return_path.is_genuine(delivery.return_token, contact.email)


def test_a_mail_among_many_says_how_to_get_no_more_and_a_written_one_is_not_automatic(contact, at):
    sent(
        contact,
        at,
        unsubscribe_url="https://crm.example/u/1",
        is_automatic=False,
        sender="Rep <rep@quorum.example>",
        reply_to="r@q.example",
    )

    headers = mail.outbox[0].message()
    assert headers["List-Unsubscribe"] == "<https://crm.example/u/1>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (headers["Auto-Submitted"], headers["From"], headers["Reply-To"]) == (None, "Rep <rep@quorum.example>", "r@q.example")


def test_a_mail_goes_to_the_address_of_now(contact, at):
    Contact.objects.update(email="jan@nieuw.example")

    assert sent(contact, at).address == "jan@nieuw.example"
    assert mail.outbox[0].to == ["jan@nieuw.example"]


@pytest.mark.parametrize(
    "facts", [{"person__opted_out_at": "2026-01-01T00:00Z"}, {"gone": True}, {"email": ""}, {"address_invalid_at": "2026-01-01T00:00Z"}]
)
def test_who_may_not_be_mailed_gets_none(db, at, facts):
    with pytest.raises(errors.NotAllowed):
        sent(ContactFactory(**facts), at)

    assert (mail.outbox, Delivery.objects.count()) == ([], 0)


def test_a_suppressed_address_gets_none(contact, at):
    Suppression.objects.create(address="jan@klant.example", reason="bounced", since=at)

    with pytest.raises(errors.NotAllowed):
        sent(contact, at)
    assert (mail.outbox, Delivery.objects.count()) == ([], 0)


@pytest.mark.parametrize("facts", [{"unsubscribe_url": "http://x.example"}, {"unsubscribe_url": "https://x.example/>,<mailto:a@b.c"},
                                   {"sender": "a@b.example\nBcc: c@d.example"}, {"reply_to": "nobody"}])  # fmt: skip
def test_headers_that_cannot_be_are_refused_before_anything_happens(contact, at, facts):
    with pytest.raises(errors.Invalid):
        sent(contact, at, **facts)
    assert (mail.outbox, Delivery.objects.count()) == ([], 0)


@pytest.mark.parametrize("answer", [ConnectionRefusedError("refused"), 0])
def test_a_mail_that_the_server_does_not_take_is_not_on_record(contact, at, answer):
    class Broken:
        def send_messages(self, _letters):
            if isinstance(answer, Exception):
                raise answer
            return answer

    with pytest.raises(errors.NotSent):
        sent(contact, at, connection=Broken())
    assert Delivery.objects.count() == 0


def test_the_name_that_a_provider_gives_a_mail_is_kept(contact, at):
    class Provider:
        def send_messages(self, letters):
            letters[0].anymail_status = type("Status", (), {"message_id": "p-1"})()
            return 1

    assert sent(contact, at, connection=Provider()).provider_id == "p-1"


# --- what comes back -------------------------------------------------------------------------------


def report(at, **facts):
    usual = {"source": "mail", "external_id": "1", "recipient": "jan@klant.example", "outcome": "person_gone", "evidence": "5.1.1"}
    return deliverability.record_report(**(usual | facts), at=at)


def test_a_report_with_our_token_is_about_our_mail(contact, at):
    delivery = sent(contact, at)

    assert report(at, return_token=delivery.return_token).delivery == delivery


def test_a_token_of_our_form_that_our_key_did_not_make_proves_nothing(contact, at):
    forged = "a" * 32
    DeliveryFactory(contact=contact, return_token=forged)

    assert report(at, return_token=forged).delivery is None


def test_our_token_with_another_recipient_proves_nothing(contact, at):
    assert report(at, return_token=sent(contact, at).return_token, recipient="baas@klant.example").delivery is None
    assert DeliveryReport.objects.verified().count() == 0


@pytest.mark.parametrize(("days", "is_proof"), [(30, True), (31, False)])
def test_a_message_id_proves_for_thirty_days(contact, at, days, is_proof):
    mail_of_then = DeliveryFactory(contact=contact, sent_at=at - timedelta(days=days), provider_id="p-1")

    assert bool(report(at, message_id=mail_of_then.message_id).delivery) is is_proof
    assert bool(report(at, provider_id="p-1", external_id="2").delivery) is is_proof
