"""Measure how reports on our mail are worked off: how many a second, and whether workers that are killed lose or double any.

./dev bench reports_in [--reports 10000] [--kills 10]    DATABASE_URL chooses the server; a database of its own is made and dropped.

A mix of returned mails by return path and by Message-ID, automatic replies, forgeries, providers' failures, arrivals
and clicks, one in ten of them sent twice. Every event is lost on purpose: the night's look for missed reports finds them.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from abm import job_changes  # noqa: E402
from abm.models import JobChangeSignal  # noqa: E402
from crm import incoming_reports, return_path  # noqa: E402
from crm.models import Account, Activity, Contact, Delivery, DeliveryReport, IncomingReport, Person, Suppression  # noqa: E402

NOW = timezone.now().replace(microsecond=0)
# Of ten reports so many of each kind; each is about a mail of its own.
MIX = (
    ["token"] * 3 + ["full"] + ["forged"] + ["left"] + ["vacation"] + ["sendgrid"] + ["postmark"] + ["mailgun"]
)  # fmt: skip
STALLED_SECONDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how reports are worked off, undisturbed and by workers that are killed.")
    parser.add_argument("--reports", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=10, help="how often each of two workers is killed")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.worker:
        work()
        return
    if connection.vendor != "postgresql":
        parser.error("DATABASE_URL must name a PostgreSQL server.")
    undisturbed = None
    for workers, kills in ((1, 0), (2, 0), (2, wanted.kills)):
        connection.creation.create_test_db(verbosity=0, serialize=False)
        try:
            found = measure(wanted.reports, workers=workers, kills=kills)
        finally:
            connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)
        undisturbed = undisturbed or found
        print(f"    the same rows as one worker undisturbed: {found == undisturbed}", flush=True)


def work() -> None:
    """Work off what waits until nothing is free, as the task does; begins when told."""
    print("ready", flush=True)
    sys.stdin.readline()
    while incoming_reports.work(clock=timezone.now):
        pass


def measure(number: int, *, workers: int, kills: int) -> dict[str, object]:
    mails = list(make(number))
    begun = time.perf_counter()
    news = [incoming_reports.store(source=source, body=body, at=NOW) for source, body in twice(mails)]
    stored = len(news) / (time.perf_counter() - begun)
    killed = undergo(kills) if kills else 0
    started = [start() for _ in range(workers)]
    begun = time.perf_counter()
    for worker in started:
        go(worker)
    for worker in started:
        assert worker.wait() == 0
    while kills and IncomingReport.objects.waiting().exists():
        # what a killed worker had claimed is free again after a while
        time.sleep(STALLED_SECONDS)
        start().communicate("\n")
    taken = time.perf_counter() - begun
    begun = time.perf_counter()
    judged = 0
    while part := job_changes.assess_missed(since=NOW - timedelta(days=1), at=NOW, limit=500):
        judged += part
    judging = judged / (time.perf_counter() - begun)
    speed = f"{killed} kills at work" if kills else f"{number / taken:.0f} reports/s"
    print(f"{workers} worker(s): {stored:.0f} stored/s ({sum(news)} of {len(news)} new), {speed}, {judging:.0f} judged/s", flush=True)
    return facts()


def facts() -> dict[str, object]:
    """Give what stands on record in the end, without row numbers and moments."""
    reports = DeliveryReport.objects.order_by("recipient", "source", "external_id")
    # Without the id, which is a digest of a mail with a return path of chance.
    said = list(reports.values_list("source", "recipient", "outcome", "delivery__address", "says_left"))
    people = JobChangeSignal.objects.order_by("contact_id", "account_id")
    found = {
        "reports": hashlib.sha256(repr(said).encode()).hexdigest(),
        "signals": list(people.values_list("contact__email", "status", "evidence__source", "successor_email")),
        "stopped": list(Suppression.objects.current().order_by("address").values_list("address", "reason")),
        "arrived": Delivery.objects.exclude(delivered_at=None).count(),
        "failed": Delivery.objects.exclude(failed_at=None).count(),
        "clicks": Activity.objects.filter(kind="email_click").count(),
        "waiting": IncomingReport.objects.waiting().count(),
    }
    sums = {name: rows if isinstance(rows, int) else len(rows) for name, rows in found.items() if name != "reports"}
    print(f"    {len(said)} reports on record, {len(set(said))} different; {sums}", flush=True)
    return found


def start() -> subprocess.Popen[str]:
    server = connection.settings_dict
    url = f"postgres://{server['USER']}:{server['PASSWORD']}@{server['HOST']}:{server['PORT']}/{server['NAME']}"
    numbers = json.dumps({"crm": {"MAIL": {"report_stalled_seconds": STALLED_SECONDS}}})
    environment = os.environ | {"DATABASE_URL": url, "QUORUM_POLICY": numbers}
    command = [sys.executable, "-m", "benchmarks.reports_in", "--worker"]
    worker = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout
    worker.stdout.readline()
    return worker


def go(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin
    worker.stdin.write("\n")
    worker.stdin.flush()


def undergo(kills: int) -> int:
    """Kill each of two workers so often at random, while both work; give how many were killed at work."""
    chance, caught = random.Random(2026), []

    def live() -> None:
        for _ in range(kills):
            worker = start()
            go(worker)
            time.sleep(3 * chance.random())
            caught.append(worker.poll() is None)
            worker.kill()
            worker.wait()

    threads = [threading.Thread(target=live) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(caught)


def twice(mails: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Give each report, and one in ten of them again."""
    for number, mail in enumerate(mails):
        yield mail
        if not number % 10:
            yield mail


@transaction.atomic
def make(number: int) -> Iterator[tuple[str, bytes]]:
    """Put a mail on record for every report, to a contact of an account of its own, and give the reports in a mixed order."""
    kinds = [MIX[index % len(MIX)] for index in range(number)]
    accounts = Account.objects.bulk_create(Account(name=f"Firma {n}", domain=f"f{n}.example") for n in range(number))
    people = Person.objects.bulk_create(Person(given_name="Jo", family_name=f"Smit {n}") for n in range(number))
    pairs = zip(accounts, people, strict=True)
    contacts = Contact.objects.bulk_create(Contact(account=a, person=p, email=f"jo@{a.domain}") for a, p in pairs)
    before, lately = NOW - timedelta(days=30), NOW - timedelta(hours=1)
    Delivery.objects.bulk_create(_sent(c, before, delivered_at=before) for c in contacts)
    sent = Delivery.objects.bulk_create(_sent(c, lately, return_token=return_path.make_token(c.email)) for c in contacts)
    mails = [(kind if kind in _EVENTS else "mail", _BODIES[kind](mail)) for kind, mail in zip(kinds, sent, strict=True)]
    random.Random(1).shuffle(mails)
    yield from mails


def _sent(contact: Contact, at, **facts: object) -> Delivery:
    name = f"<{'a' if facts.get('delivered_at') else 'b'}{contact.pk}@quorum.example>"
    provider_id = name.strip("<>") if not facts.get("delivered_at") else ""
    return Delivery(
        contact=contact, account=contact.account, address=contact.email, sent_at=at, message_id=name, provider_id=provider_id, **facts
    )


def _notice(mail: Delivery, *, status: str, said: str, token: str = "") -> bytes:
    to = return_path.address_of(token) if token else "crm@quorum.example"
    return f"""From: MAILER-DAEMON@mx.example
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

<{mail.address}>: {said}

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {mail.address}
Action: failed
Status: {status}
Diagnostic-Code: smtp; {said}

--B
Content-Type: message/rfc822

To: {mail.address}
Message-ID: {mail.message_id if not token else "<unknown@elsewhere.example>"}
Subject: Klopt dit nog?

Beste
--B--
""".encode()


def _reply(mail: Delivery, said: str) -> bytes:
    return f"""From: Jo <{mail.address}>
To: crm@quorum.example
Subject: Automatic reply: Klopt dit nog?
Auto-Submitted: auto-replied
In-Reply-To: {mail.message_id}

{said}
""".encode()


_BODIES = {
    "token": lambda mail: _notice(mail, status="5.1.1", said="550 5.1.1 User unknown", token=mail.return_token),
    "full": lambda mail: _notice(mail, status="5.2.2", said="552 5.2.2 Mailbox full"),
    "forged": lambda mail: _notice(mail, status="5.1.1", said="550 5.1.1 User unknown", token="a" * 32),
    "left": lambda mail: _reply(mail, f"I no longer work here. Please contact my successor Piet de Boer, piet@{mail.account.domain}."),
    "vacation": lambda mail: _reply(mail, "I am on holiday until Monday. For urgent matters call the office."),
    "sendgrid": lambda mail: json.dumps(
        [{"email": mail.address, "smtp-id": mail.message_id, "event": "bounce", "type": "bounce", "status": "5.1.1",
          "reason": "550 5.1.1 User unknown", "sg_event_id": f"s{mail.pk}", "timestamp": int(NOW.timestamp())}]
    ).encode(),
    "postmark": lambda mail: json.dumps(
        {"RecordType": "Delivery", "Recipient": mail.address, "MessageID": mail.provider_id, "DeliveredAt": NOW.isoformat(),
         "Details": "250 OK", "Tag": "", "Metadata": {}}
    ).encode(),
    "mailgun": lambda mail: json.dumps(
        {"signature": {"token": f"{mail.pk:050d}", "timestamp": str(int(NOW.timestamp())), "signature": "checked at the door"},
         "event-data": {"event": "clicked", "id": f"m{mail.pk}", "timestamp": NOW.timestamp(), "recipient": mail.address,
                        "url": "https://quorum.example/prijs", "message": {"headers": {"message-id": mail.message_id.strip("<>")}},
                        "client-info": {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}}}
    ).encode(),
}  # fmt: skip
_EVENTS = ("sendgrid", "postmark", "mailgun")


if __name__ == "__main__":
    main()
