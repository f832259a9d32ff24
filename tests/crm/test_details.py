"""Asking people whether their details are right: the oldest first, under caps, in their own language, and nobody twice."""

import re
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from crm import deliverability, details, policy, privacy, tasks
from crm.errors import Conflict, Invalid, NotAllowed, NotSent
from crm.models import Contact, Delivery, DetailsRequest, Suppression, User
from tests.conftest import AT
from tests.factories.crm import AccountFactory, ContactFactory, DeliveryFactory

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def link(token: str) -> str:
    return f"https://crm.example/details/{token}"


def old(days: int = 200, *, at: datetime = AT, **facts: object) -> Contact:
    contact = ContactFactory(**facts)
    Contact.objects.filter(pk=contact.pk).update(created_at=at - days * DAY)
    return contact


def due() -> list[Contact]:
    return list(details.due(at=AT))


# --- who is asked ------------------------------------------------------------------------------------


def test_oldest_details_come_first_and_young_ones_not_at_all() -> None:
    middle, oldest = old(300), old(400)
    old(179)
    confirmed = old(900)
    Contact.objects.filter(pk=confirmed.pk).update(details_confirmed_at=AT - 200 * DAY)
    assert due() == [oldest, middle, confirmed]


@pytest.mark.parametrize(
    "why", ["left", "opted out", "account opted out", "no address", "suppressed", "invalid", "suspected", "erased", "role"]
)
def test_who_may_not_or_cannot_be_asked_is_left_out(why: str) -> None:
    contact = old(400, email="info@molen.example" if why == "role" else "saar@molen.example")
    rows = Contact.objects.filter(pk=contact.pk)
    match why:
        case "left":
            rows.update(left_on="2026-01-01")
        case "opted out":
            privacy.opt_out(contact.person, at=AT)
        case "account opted out":
            type(contact.account).objects.update(opted_out_at=AT)
        case "no address":
            rows.update(email="")
        case "suppressed":
            deliverability.suppress(contact.email, reason=Suppression.Reason.COMPLAINED, at=AT)
        case "invalid":
            rows.update(address_invalid_at=AT)
        case "suspected":
            rows.update(departure_suspected_at=AT)
        case "erased":
            privacy.erase(contact.person, at=AT)
    assert due() == []


def test_nobody_is_asked_again_within_the_cap_nor_just_after_other_mail() -> None:
    asked, mailed, free = old(400), old(400), old(400)
    DetailsRequest.objects.create(contact=asked, nonce="a", asked_at=AT - (policy.DETAILS.ask_every_days - 1) * DAY)
    DetailsRequest.objects.create(contact=free, nonce="b", asked_at=AT - (policy.DETAILS.ask_every_days + 1) * DAY)
    DeliveryFactory(contact=mailed, sent_at=AT - 6 * DAY)
    DeliveryFactory(contact=free, sent_at=AT - 8 * DAY)
    assert due() == [free]


# --- the mail ----------------------------------------------------------------------------------------


def test_mail_speaks_the_contacts_language_and_its_link_opens_their_page(client) -> None:
    contact = old(person__given_name="Saar <b>", person__language="nl", at=now())
    request = details.ask(contact, link=lambda token: f"https://crm.example/details/{token}", at=now())

    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == ([contact.email], "Kloppen uw gegevens nog?")
    (address,) = re.findall(r"https://crm.example(/details/\S+)", sent.body)
    assert client.get(address).status_code == 200
    html = str(sent.alternatives[0][0])
    assert "Saar &lt;b&gt;" in html
    assert sent.extra_headers["List-Unsubscribe"] == f"<https://crm.example{address}/stop>"
    assert Delivery.objects.get().contact == request.contact


def test_answer_to_the_mail_reaches_who_asked(rep: User) -> None:
    User.objects.filter(pk=rep.pk).update(email="noor@quorum.example")
    rep.refresh_from_db()
    details.ask(old(), link=link, at=AT, by=rep)
    assert mail.outbox[0].reply_to == ["noor@quorum.example"]


def test_asking_twice_sends_one_mail() -> None:
    contact = old()
    details.ask(contact, link=link, at=AT)
    with pytest.raises(Conflict):
        details.ask(contact, link=link, at=AT + DAY)
    assert (len(mail.outbox), DetailsRequest.objects.count()) == (1, 1)


@pytest.mark.parametrize("facts", [{"email": ""}, {"gone": True}, {"email": "info@molen.example"}])
def test_who_may_not_be_mailed_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(NotAllowed):
        details.ask(old(**facts), link=link, at=AT)
    assert (mail.outbox, DetailsRequest.objects.count()) == ([], 0)


def test_mail_server_that_is_down_leaves_the_contact_to_be_asked_again(settings) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1", 1
    contact = old()
    with pytest.raises(NotSent):
        details.ask(contact, link=link, at=AT)
    assert (DetailsRequest.objects.count(), Delivery.objects.count()) == (0, 0)
    assert due() == [contact]


# --- many --------------------------------------------------------------------------------------------


def test_campaign_asks_at_most_so_many_and_goes_on_where_it_was(settings) -> None:
    contacts = [old(400 - number) for number in range(5)]
    assert details.campaign(link=link, at=AT, limit=3) == 3
    assert details.campaign(link=link, at=AT + DAY, limit=3) == 2
    assert details.campaign(link=link, at=AT + DAY, limit=3) == 0
    assert [sent.to[0] for sent in mail.outbox] == [contact.email for contact in contacts]


def test_many_are_judged_in_a_fixed_number_of_queries_and_outsiders_contacts_left_out(rep: User) -> None:
    account = AccountFactory(owner=rep, team=rep.team)
    mine = [old(account=account) for _ in range(20)]
    mute, foreign = old(account=account, email=""), old()
    details.ask(mine[0], link=link, at=AT)
    rep.get_all_permissions()

    with CaptureQueriesContext(connection) as seen:
        judged = details.judge_many([row.pk for row in [*mine, mute, foreign]], at=AT, by=rep)
    assert judged.skipped == {"asked": 1, "unmailable": 1, "unseen": 1}
    assert len(seen) <= 5
    assert details.ask_many([row.pk for row in [*mine, mute, foreign]], link=link, at=AT, by=rep) == 19
    assert foreign.email not in {sent.to[0] for sent in mail.outbox}


def test_too_many_at_once_are_refused(rep: User) -> None:
    with pytest.raises(Invalid):
        details.judge_many(range(policy.DETAILS.asked_at_once + 1), at=AT, by=rep)


@pytest.mark.parametrize(("is_on", "mails"), [(False, 0), (True, 1)])
def test_clock_asks_only_where_the_organisation_wants_it(settings, is_on: bool, mails: int) -> None:
    settings.ASK_FOR_DETAILS, settings.PUBLIC_URL = is_on, "https://crm.example"
    old(at=now())
    assert tasks.ask_for_details() == len(mail.outbox) == mails
    assert all("https://crm.example/details/" in sent.body for sent in mail.outbox)


def test_clock_leaves_people_alone_unless_somebody_says_otherwise(settings) -> None:
    assert settings.ASK_FOR_DETAILS is False


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("ask_details", *arguments, stdout=out)
    return out.getvalue()


def test_command_tells_first_and_then_asks() -> None:
    contact = old(at=now())
    old(at=now())
    told = command("--dry-run", "--limit", "1")
    assert contact.email in told
    assert told.endswith("1 would be asked.\n")
    assert (mail.outbox, DetailsRequest.objects.count()) == ([], 0)
    assert command("--limit", "1") == "1 asked.\n"
    with pytest.raises(CommandError, match="at least 1"):
        command("--limit", "0")
