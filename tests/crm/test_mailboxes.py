"""The mailbox of returned mail: read on from where we stopped, stored once, never deleted, and honest when it cannot be reached."""

import socketserver
import threading
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from config import environment
from crm import mailboxes, policy, tasks
from crm.models import IncomingReport, Mailbox

PLACE = {"host": "imap.example", "port": 993, "is_tls": True, "user": "bounces@q.example", "password": "geheim", "folder": "INBOX"}


class Server:
    """A mailbox as an IMAP server keeps it; it knows no way to delete."""

    def __init__(self, **mails):
        self.mails = {int(uid[1:]): body for uid, body in mails.items()}
        self.validity, self.folders, self.seen, self.moved, self.asked = 7, {"INBOX"}, set(), {}, []
        self.capabilities, self.dies_at = {"MOVE"}, None

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return None

    def select_folder(self, folder):
        assert folder == "INBOX"
        return {b"UIDVALIDITY": self.validity, b"EXISTS": len(self.mails)}

    def search(self, criteria):
        assert criteria[0] == "UID" and criteria[1].endswith(":*")
        first = int(criteria[1].partition(":")[0])
        newest = max(self.mails, default=0)
        return [uid for uid in self.mails if uid >= min(first, newest)]

    def fetch(self, uids, data):
        assert data == [f"BODY.PEEK[]<0.{policy.MAIL.read_bytes}>"]
        self.asked += uids
        if self.dies_at in uids:
            raise ConnectionResetError("gone")
        return {uid: {b"BODY[]<0>": self.mails[uid]} for uid in uids if uid in self.mails}

    def add_flags(self, uids, flags, silent):
        assert flags == [b"\\Seen"] and silent
        self.seen |= set(uids)

    def has_capability(self, name):
        return name in self.capabilities

    def folder_exists(self, folder):
        return folder in self.folders

    def create_folder(self, folder):
        self.folders.add(folder)

    def move(self, uids, folder):
        assert folder in self.folders
        self.moved |= {uid: self.mails.pop(uid) for uid in uids}


def collect(server, at, **facts):
    return mailboxes.collect(PLACE, done_folder=facts.pop("done_folder", ""), clock=lambda: at, connect=lambda _place: server, **facts)


def bodies():
    return sorted(bytes(row.body) for row in IncomingReport.objects.all())


@pytest.mark.django_db
def test_new_mails_are_stored_and_marked_as_read_and_the_next_time_reads_on(at):
    server = Server(u3=b"three", u5=b"five")

    assert collect(server, at) == 2
    server.mails[9] = b"nine"
    assert collect(server, at + timedelta(minutes=5)) == 1
    assert collect(server, at + timedelta(minutes=10)) == 0

    assert (bodies(), server.asked, server.seen) == ([b"five", b"nine", b"three"], [3, 5, 9], {3, 5, 9})
    box = Mailbox.objects.get()
    assert (box.name, box.last_uid, box.reached_at, box.error) == (
        "bounces@q.example@imap.example/INBOX",
        9,
        at + timedelta(minutes=10),
        "",
    )


@pytest.mark.django_db
def test_a_mailbox_that_was_numbered_anew_is_read_anew_and_nothing_counts_twice(at):
    server = Server(u8=b"a", u9=b"b")
    collect(server, at)
    server.validity, server.mails = 8, {1: b"a", 2: b"b", 3: b"c"}

    assert collect(server, at) == 1
    assert bodies() == [b"a", b"b", b"c"]


@pytest.mark.django_db
def test_stored_mails_are_moved_where_that_is_asked_for(at):
    server = Server(u1=b"a")

    collect(server, at, done_folder="Done")

    assert (server.mails, server.moved, server.seen) == ({}, {1: b"a"}, set())


@pytest.mark.django_db
def test_a_server_that_cannot_move_has_them_marked_instead(at):
    server = Server(u1=b"a")
    server.capabilities = set()

    collect(server, at, done_folder="Done")

    assert (server.mails, server.seen) == ({1: b"a"}, {1})


@pytest.mark.django_db
def test_a_connection_that_breaks_half_way_loses_and_doubles_nothing(at, monkeypatch):
    monkeypatch.setattr(policy, "MAIL", policy.Mail(reports_per_chunk=1))
    server = Server(u1=b"a", u2=b"b", u3=b"c")
    server.dies_at = 2

    assert collect(server, at) == 0
    assert (bodies(), Mailbox.objects.get().error) == ([b"a"], "ConnectionResetError: gone")
    server.dies_at = None
    assert collect(server, at + timedelta(minutes=5)) == 2

    assert (bodies(), server.asked) == ([b"a", b"b", b"c"], [1, 2, 2, 3])
    assert (Mailbox.objects.get().error, Mailbox.objects.get().last_uid) == ("", 3)


@pytest.mark.django_db
def test_a_mailbox_that_cannot_be_reached_says_why_without_its_password(at):
    def refuse(_place):
        raise LoginError("AUTHENTICATIONFAILED for geheim")

    assert mailboxes.collect(PLACE, done_folder="", clock=lambda: at, connect=refuse) == 0

    box = Mailbox.objects.get()
    assert (box.error, box.tried_at, box.reached_at, box.claimed_at) == ("LoginError: AUTHENTICATIONFAILED for ***", at, None, None)


@pytest.mark.django_db
def test_of_two_at_once_one_collects_until_it_is_taken_for_dead(at):
    Mailbox.objects.create(name=mailboxes.name_of(PLACE), claimed_at=at)

    assert collect(Server(u1=b"a"), at + timedelta(minutes=10)) == 0
    assert collect(Server(u1=b"a"), at + timedelta(minutes=11)) == 1


@pytest.mark.django_db
def test_the_task_collects_and_has_it_read_and_does_nothing_without_a_mailbox(monkeypatch, settings):
    handed = []
    monkeypatch.setattr(tasks, "enqueue", lambda task: handed.append(task.name))
    monkeypatch.setattr(mailboxes, "collect", lambda place, **_settings: 2 if place is PLACE else 0)

    settings.BOUNCE_MAILBOX = None
    assert tasks.collect_mailbox() == 0
    settings.BOUNCE_MAILBOX = PLACE
    assert tasks.collect_mailbox() == 2
    assert handed == ["crm.tasks.read_reports"]


@pytest.mark.django_db
def test_ready_tells_how_the_mailbox_is_but_not_why(client, settings, at):
    settings.BOUNCE_MAILBOX = PLACE
    assert client.get("/readyz").json()["mailbox_seconds_ago"] is None
    Mailbox.objects.create(name=mailboxes.name_of(PLACE), reached_at=at, error="LoginError: bounces@q.example")

    body = client.get("/readyz").json()

    assert (body["mailbox_failing"], body["ready"]) == (True, True)
    assert body["mailbox_seconds_ago"] > 0
    assert "q.example" not in str(body)


# --- the settings ----------------------------------------------------------------------------------


def test_the_address_of_a_mailbox_is_read(monkeypatch):
    monkeypatch.setenv("BOX", "imaps://bounces%40q.example:ge%2Fheim@imap.example/Returned")
    assert environment.mailbox("BOX") == PLACE | {"password": "ge/heim", "folder": "Returned"}
    monkeypatch.setenv("BOX", "imap://u:p@imap.example")
    assert environment.mailbox("BOX") == {
        "host": "imap.example", "port": 143, "is_tls": False, "user": "u", "password": "p", "folder": "INBOX",
    }  # fmt: skip
    monkeypatch.delenv("BOX")
    assert environment.mailbox("BOX") is None


@pytest.mark.parametrize("address", ["pop3://u:geheim@host", "imaps://host", "imaps://u@host", "imaps://u:geheim@host:x", "geheim"])
def test_a_wrong_address_of_a_mailbox_stops_the_start_and_is_not_shown(monkeypatch, address):
    monkeypatch.setenv("BOX", address)

    with pytest.raises(ImproperlyConfigured, match=r"^BOX ") as refused:
        environment.mailbox("BOX")
    assert "geheim" not in str(refused.value)


def test_a_provider_has_a_hook_once_its_secret_is_set(monkeypatch):
    names = ("DELIVERY_HOOK_SECRET", "MAILGUN_SIGNING_KEY", "SES_TOPICS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    assert environment.delivery_hooks() == {}

    monkeypatch.setenv("DELIVERY_HOOK_SECRET", "quorum:" + "x" * 32)
    monkeypatch.setenv("MAILGUN_SIGNING_KEY", "y" * 32)
    monkeypatch.setenv("SES_TOPICS", "arn:aws:sns:eu-west-1:111122223333:bounces")
    assert sorted(environment.delivery_hooks()) == ["amazon_ses", "brevo", "mailgun", "postmark", "sendgrid"]


@pytest.mark.parametrize(("name", "value"), [("DELIVERY_HOOK_SECRET", "x" * 40), ("DELIVERY_HOOK_SECRET", "a:b"), ("MAILGUN_SIGNING_KEY", "short"),
                                            ("SES_TOPICS", "bounces")])  # fmt: skip
def test_a_wrong_secret_of_a_hook_stops_the_start(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(ImproperlyConfigured, match=rf"^{name}"):
        environment.delivery_hooks()


# --- over a real connection ------------------------------------------------------------------------


class Imap(socketserver.StreamRequestHandler):
    """As much of an IMAP server as one collection asks for, in the words of RFC 3501."""

    def handle(self):
        self.say("* OK ready")
        while line := self.rfile.readline().decode().strip():
            tag, _space, command = line.partition(" ")
            self.server.asked.append(command)
            for answer in self.answers(command):
                self.say(answer)
            self.say(f"{tag} OK done")

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def answers(self, command):
        raw = self.server.raw
        if command.startswith("CAPABILITY"):
            return ["* CAPABILITY IMAP4rev1 MOVE"]
        if command.startswith("SELECT"):
            return ["* 1 EXISTS", "* OK [UIDVALIDITY 7] valid", "* OK [UIDNEXT 6] next"]
        if command.startswith("UID SEARCH"):
            return ["* SEARCH 5"]
        if command.startswith("UID FETCH"):
            return [f"* 1 FETCH (UID 5 BODY[]<0> {{{len(raw)}}}\r\n{raw})"]
        return {"LIST": ['* LIST () "/" "Done"']}.get(command.partition(" ")[0], [])


@pytest.mark.django_db
def test_a_mailbox_is_collected_over_a_real_connection(at):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Imap) as server:
        server.asked, server.raw = [], "From: MAILER-DAEMON\r\n\r\n5.1.1"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

        def connect(_place):
            client = IMAPClient(*server.server_address, ssl=False, timeout=5)
            client.login("bounces", "geheim")
            return client

        for _ in range(2):
            mailboxes.collect(PLACE, done_folder="Done", clock=lambda: at, connect=connect)
        server.shutdown()

    assert Mailbox.objects.get().error == ""
    assert bodies() == [b"From: MAILER-DAEMON\r\n\r\n5.1.1"]
    assert [each for each in server.asked if each.startswith(("UID", "STORE"))] == [
        "UID SEARCH UID 1:*", "UID FETCH 5 (BODY.PEEK[]<0.262144>)", "UID MOVE 5 \"Done\"", "UID SEARCH UID 6:*",
    ]  # fmt: skip
