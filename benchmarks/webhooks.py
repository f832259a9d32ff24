"""Measure webhooks: events a second against bare posts in the same run, and a receiver that fails, sleeps, hangs up and dies.

./dev bench webhooks [EVENTS]    on SQLite, and on PostgreSQL when DATABASE_URL names one; databases of its own are made and dropped.

Two workers in processes of their own deliver to a receiver in another one. In the second part one worker and the
receiver are killed again and again; every event must arrive, in the order of what it is about, and verify.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import django

HURRIED = {"crm": {"WEBHOOKS": {"pauses": [1] * 60, "whole_seconds": 1, "stalled_seconds": 3, "at_once_failing": 8}}}
os.environ |= {"WEBHOOK_NETWORKS": "127.0.0.0/8", "WEBHOOK_HTTP": "on", "QUORUM_POLICY": json.dumps(HURRIED)}
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402
from standardwebhooks.webhooks import Webhook as Verifier  # noqa: E402

from crm import webhooks  # noqa: E402
from crm.models import Account, User, Webhook  # noqa: E402
from crm.webhooks import sending  # noqa: E402
from crm.webhooks.sending import Parcel  # noqa: E402

SUBJECTS, FAILING_EVENTS = 100, 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure webhooks out.")
    parser.add_argument("events", nargs="?", type=int, default=3_000)
    parser.add_argument("--here", action="store_true", help="only on the database of DATABASE_URL")
    parser.add_argument("--worker", action="store_true", help="deliver until killed")
    parser.add_argument("--receive", nargs=3, metavar=("PORT", "FILE", "SHARE"), help="take posts; fail a share of them")
    wanted = parser.parse_args()
    if wanted.receive:
        receive(int(wanted.receive[0]), Path(wanted.receive[1]), float(wanted.receive[2]))
    elif wanted.worker:
        deliver()
    elif wanted.here:
        in_database(wanted.events)
    else:
        urls = ["sqlite://:memory:", *filter(lambda url: url.startswith("postgres"), [os.environ.get("DATABASE_URL", "")])]
        for url in urls:
            command = [sys.executable, "-m", "benchmarks.webhooks", "--here", str(wanted.events)]
            subprocess.run(command, check=True, env=os.environ | {"DATABASE_URL": url})


# --- the other side --------------------------------------------------------------------------------


def receive(port: int, file: Path, share: float) -> None:
    """Take posts and write them down before they are answered well; fail a share: by status, by sleep, by hanging up."""
    lock, chance = threading.Lock(), random.Random()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fate = chance.random() / share if share else 1
            if fate < 0.2:
                time.sleep(1.3)
            if fate < 0.4:
                return
            if fate >= 1:
                headers = {name.lower(): value for name, value in self.headers.items()}
                with lock, file.open("a") as out:
                    out.write(json.dumps([headers, body]) + "\n")
            with suppress(OSError):
                self.send_response(500 if fate < 1 else 204)
                self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads, request_queue_size, allow_reuse_address = True, 512, True

    Server(("127.0.0.1", port), Handler).serve_forever()


def deliver() -> None:
    """Do what the task does, again and again."""
    while True:
        if not webhooks.work(clock=timezone.now, seconds=5):
            time.sleep(0.1)


@contextmanager
def process(*words: str, url: str) -> "Iterator[Living]":
    """Run this file in a process of its own."""
    living = Living(words, url)
    try:
        yield living
    finally:
        living.kill()


class Living:
    """A process that may be killed and started anew."""

    def __init__(self, words: tuple[str, ...], url: str) -> None:
        self.command, self.environment = [sys.executable, "-m", "benchmarks.webhooks", *words], os.environ | {"DATABASE_URL": url}
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env=self.environment)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


# --- our side --------------------------------------------------------------------------------------


def in_database(events: int) -> None:
    """Make a database, measure in it, drop it."""
    with tempfile.TemporaryDirectory() as folder:
        if connection.vendor == "sqlite":
            connection.settings_dict["TEST"]["NAME"] = f"{folder}/bench.sqlite3"
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        name = connection.settings_dict["NAME"]
        url = (
            f"sqlite:///{name}"
            if connection.vendor == "sqlite"
            else urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
        )
        try:
            speed(events, Path(folder), url)
            patience(Path(folder), url)
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)


def speed(events: int, folder: Path, url: str) -> None:
    """Deliver to a receiver that takes everything, and post the same bodies without a database."""
    port, file = free_port(), folder / "fast"
    with process("--receive", str(port), str(file), "0", url=url):
        wait_for(port)
        parcels = [Parcel(f"http://127.0.0.1:{port}/", {"webhook-id": str(n)}, json.dumps({"n": n}).encode()) for n in range(events)]
        began = time.perf_counter()
        with ThreadPoolExecutor(8) as pool:
            assert all(answer.is_good for answer in pool.map(sending.post, parcels))
        bare = time.perf_counter() - began
        _secret, webhook = prepare(port, events, subjects=events)
        with process("--worker", url=url):
            wait_until(webhook.deliveries.exists)
            began = time.perf_counter()
            wait_until(lambda: not webhook.deliveries.waiting().exists() and webhook.deliveries.count() == events)
        took = time.perf_counter() - began
    print(f"{events} events, one worker: {events / took:,.0f}/s; bare posts {events / bare:,.0f}/s; ratio {bare / took:.2f}")
    webhook.delete()


def patience(folder: Path, url: str) -> None:
    """Deliver to a receiver that fails 30 of 100 posts and dies, by workers of which one dies."""
    port, file, kills = free_port(), folder / "slow", 0
    with process("--receive", str(port), str(file), "0.3", url=url) as there:
        wait_for(port)
        secret, webhook = prepare(port, FAILING_EVENTS, subjects=SUBJECTS)
        began = time.perf_counter()
        with process("--worker", url=url) as one, process("--worker", url=url):
            wait_until(webhook.deliveries.exists)
            while webhook.deliveries.exclude(state="delivered").exists() or webhook.deliveries.count() < FAILING_EVENTS:
                time.sleep(3)
                if kills < 6:
                    one.kill()
                    one.start()
                    there.kill()
                    time.sleep(1)
                    there.start()
                    kills += 2
        took = time.perf_counter() - began
    tell_what_arrived([json.loads(line) for line in file.read_text().splitlines()], secret, kills, took)


def tell_what_arrived(calls: list[tuple[dict[str, str], str]], secret: str, kills: int, took: float) -> None:
    """Compare what a receiver took with what was told; repetitions are what 'at least once' allows."""
    in_order: dict[int, list[int]] = defaultdict(list)
    for headers, body in calls:
        facts = Verifier(secret).verify(body, headers)["data"]
        if facts["number"] not in in_order[facts["account_id"]]:
            in_order[facts["account_id"]].append(facts["number"])
    wanted = list(range(FAILING_EVENTS // SUBJECTS))
    wrong = [pk for pk, numbers in in_order.items() if numbers != wanted]
    print(
        f"{FAILING_EVENTS} events about {SUBJECTS} records, {kills} kills: {sum(map(len, in_order.values()))} arrived in {took:.0f} s, "
        f"{len(calls) - FAILING_EVENTS} more than once, {len(wrong)} records out of order, every signature verified"
    )
    assert len(in_order) == SUBJECTS
    assert not wrong


def prepare(port: int, events: int, *, subjects: int) -> tuple[str, Webhook]:
    """Make a webhook and tell it so many events about so many accounts, turn by turn."""
    at, (owner, _new) = timezone.now(), User.objects.get_or_create(username="bench", is_superuser=True)
    address = f"http://127.0.0.1:{port}/hook"
    webhook, secret = webhooks.add(name="bench", address=address, event_types=["account.scored"], owner=owner, at=at)
    accounts = Account.objects.bulk_create([Account(name=f"Account {number}") for number in range(subjects)])
    with transaction.atomic():
        for number in range(events // subjects):
            webhooks.tell("account.scored", [webhooks.News(one.pk, {"number": number}) for one in accounts], at=at)
    return secret, webhook


def free_port() -> int:
    """Give a port that nobody listens at."""
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        return int(plug.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until somebody listens."""

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    wait_until(listens)


def wait_until(condition) -> None:
    """Wait for something, for five minutes at most."""
    for _try in range(6_000):
        if condition():
            return
        time.sleep(0.05)
    sys.exit("This took longer than five minutes.")


if __name__ == "__main__":
    main()
