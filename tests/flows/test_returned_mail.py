"""From a mail of ours over a real connection to what comes back, and what of it is believed."""

import re
import socketserver
import threading
from datetime import timedelta

import pytest
from django.core.mail import get_connection

from abm import job_changes, refresh
from abm.models import JobChangeSignal
from crm import incoming_reports, outgoing_mail, return_path
from crm.models import Contact, Delivery, DeliveryReport
from tests.abm.signals import bounce, colleagues, everything, open_tasks, stopped, worked
from tests.conftest import AT
from tests.factories.crm import AccountFactory, ContactFactory

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


class Letterbox(socketserver.StreamRequestHandler):
    """As much of an SMTP server as takes one mail after the other."""

    def handle(self):
        said, sender = "220 here", ""
        while True:
            self.wfile.write(f"{said}\r\n".encode())
            line = self.rfile.readline().decode().strip()
            said = "250 fine"
            if line.upper().startswith("MAIL FROM:"):
                sender = re.search(r"<(.*?)>", line)[1]
            elif line.upper() == "DATA":
                self.wfile.write(b"354 go on\r\n")
                letter = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.taken.append((sender, letter.decode()))
            elif not line or line.upper() == "QUIT":
                return


@pytest.fixture
def post():
    """A mail server on this machine: pairs of envelope sender and mail, and a connection to it."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Letterbox) as server:
        server.taken = []
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        port = server.server_address[1]
        server.connection = get_connection(
            "django.core.mail.backends.smtp.EmailBackend", host="127.0.0.1", port=port, use_tls=False, username=""
        )
        yield server
        server.shutdown()


@pytest.fixture
def contact():
    return worked(ContactFactory(email="jan@molen.example"))


def mailed(contact, post):
    """Send a mail, and give the address to which it returns and its Message-ID as the server saw them."""
    outgoing_mail.send(contact, subject="Klopt dit nog?", text="Beste Jan", at=AT - timedelta(hours=1), connection=post.connection)
    sender, letter = post.taken[-1]
    return sender, re.search(r"^Message-ID: (\S+)", letter, re.MULTILINE)[1]


def returned(to, recipient, *, message_id="<unknown@elsewhere.example>", status="5.1.1"):
    """Make what a mail server sends back."""
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.molen.example (Mail Delivery System)
To: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

<{recipient}>: host mx.molen.example said: 550 {status} <{recipient}>: Recipient address rejected: User unknown

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.molen.example

Final-Recipient: rfc822; {recipient}
Action: failed
Status: {status}
Diagnostic-Code: smtp; 550 {status} <{recipient}>: Recipient address rejected: User unknown

--B
Content-Type: message/rfc822

From: crm@quorum.example
To: {recipient}
Message-ID: {message_id}
Subject: Klopt dit nog?

Beste
--B--
""".encode()


def came_back(*mails, at=AT):
    """Have these mails stored, read, and judged as the night would."""
    for raw in mails:
        incoming_reports.store(source="mail", body=raw, at=at)
    incoming_reports.work(clock=lambda: at)
    assert not [row.error for row in incoming_reports.IncomingReport.objects.waiting()]
    job_changes.assess_missed(since=at - DAY, at=at, limit=100)


def test_a_mail_that_comes_back_by_its_return_path_opens_a_signal(contact, post):
    sender, _message_id = mailed(contact, post)
    assert return_path.token_in(sender) == Delivery.objects.latest("pk").return_token

    came_back(returned(sender, contact.email))

    signal = JobChangeSignal.objects.get()
    assert (signal.contact, signal.status) == (contact, JobChangeSignal.Status.OPEN)
    assert stopped() == [contact.email]
    assert [task.contact for task in open_tasks("find_successor")] == [contact]


def test_a_mail_that_comes_back_by_its_message_id_opens_one_signal_however_often_it_comes(contact, post):
    _sender, message_id = mailed(contact, post)

    came_back(returned("crm@quorum.example", contact.email, message_id=message_id))
    came_back(returned("crm@quorum.example", contact.email, message_id=message_id))

    assert (JobChangeSignal.objects.count(), DeliveryReport.objects.count()) == (1, 1)


@pytest.mark.parametrize("to", ["crm@quorum.example", "bounces+" + "a" * 32 + "@quorum.example"])
def test_a_forged_report_changes_nothing(contact, post, to):
    mailed(contact, post)
    before = {name: rows for name, rows in everything().items() if name != "reports"}

    came_back(returned(to, contact.email))

    assert DeliveryReport.objects.get().delivery is None
    assert {name: rows for name, rows in everything().items() if name != "reports"} == before


def test_our_own_token_about_another_recipient_changes_nothing(contact, post):
    victim = worked(ContactFactory(account=contact.account, email="directeur@molen.example"))
    sender, message_id = mailed(contact, post)

    came_back(returned(sender, victim.email, message_id=message_id))

    assert not JobChangeSignal.objects.exists()
    assert stopped() == []


def test_forty_that_fail_at_one_domain_are_one_signal_about_the_account(post):
    people = colleagues(AccountFactory(), 40)

    came_back(*(returned(mailed(one, post)[0], one.email) for one in people))

    found = JobChangeSignal.objects.filter(status=JobChangeSignal.Status.OPEN).values_list("kind", flat=True)
    assert list(found) == [JobChangeSignal.Kind.DOMAIN]
    assert not Contact.objects.exclude(departure_suspected_at=None).exists()


def test_an_address_that_never_worked_is_an_invalid_address_and_no_job_change(post):
    contact = ContactFactory(email="jna@molen.example")

    came_back(returned(mailed(contact, post)[0], contact.email))

    contact.refresh_from_db()
    assert (JobChangeSignal.objects.count(), contact.address_invalid_at) == (0, AT)
    assert len(open_tasks("address_invalid")) == 1


def test_a_click_after_the_bounce_takes_the_suspicion_back(contact, post):
    sender, message_id = mailed(contact, post)
    came_back(returned(sender, contact.email))
    later = AT + timedelta(hours=2)
    click = {"email": contact.email, "smtp-id": message_id, "event": "click", "sg_event_id": "c1", "timestamp": int(later.timestamp())}

    incoming_reports.store(source="sendgrid", body=f"[{click}]".replace("'", '"').encode(), at=later)
    incoming_reports.work(clock=lambda: later)
    refresh.changed(at=later)

    assert JobChangeSignal.objects.get().status == JobChangeSignal.Status.WITHDRAWN
    assert stopped() == []


def test_what_a_provider_and_the_mailbox_both_tell_is_one_signal(contact, post):
    sender, _message_id = mailed(contact, post)
    bounce(contact, at=AT)

    came_back(returned(sender, contact.email))

    assert JobChangeSignal.objects.count() == 1


def automatic_reply(sender, message_id, *, to="crm@quorum.example"):
    """Make what somebody's mailbox answers by itself."""
    return f"""From: Jan <{sender}>
To: {to}
Subject: Automatic reply: Klopt dit nog?
Auto-Submitted: auto-replied
In-Reply-To: {message_id}
References: {message_id}
Content-Type: text/plain; charset=utf-8

Thank you for your mail. I no longer work at Molen BV.
Please contact my successor Piet de Boer, piet.deboer@molen.example.
""".encode()


def test_an_automatic_reply_of_the_contacts_own_says_who_left_and_who_came(post):
    contact = ContactFactory(email="jan@molen.example")
    _sender, message_id = mailed(contact, post)

    came_back(automatic_reply(contact.email, message_id))

    signal = JobChangeSignal.objects.get()
    assert (signal.contact, signal.evidence.get().source) == (contact, "auto_reply")
    assert (signal.successor_name, signal.successor_email) == ("Piet de Boer", "piet.deboer@molen.example")
    assert list(Contact.objects.all()) == [contact]


@pytest.mark.parametrize(("sender", "is_our_mail"), [("receptie@molen.example", True), ("jan@molen.example", False)])
def test_an_automatic_reply_of_somebody_else_or_to_another_mail_changes_nothing(post, sender, is_our_mail):
    _sender, message_id = mailed(ContactFactory(email="jan@molen.example"), post)

    came_back(automatic_reply(sender, message_id if is_our_mail else "<other@elsewhere.example>"))

    assert (JobChangeSignal.objects.count(), DeliveryReport.objects.get().delivery) == (0, None)
