"""A mail server on this machine, and what other servers and mailboxes send back; for the tests of returned mail."""

import re
import socketserver
import threading
from datetime import timedelta

import pytest
from django.core.mail import get_connection

from crm import outgoing_mail
from tests.conftest import AT


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


def mailed(contact, post, *, at=AT - timedelta(hours=1)):
    """Send a mail, and give the address to which it returns and its Message-ID as the server saw them."""
    outgoing_mail.send(contact, subject="Klopt dit nog?", text="Beste Jan", at=at, connection=post.connection)
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
