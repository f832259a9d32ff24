"""Send activities in bulk calls by several clients whose connections are cut and who send again, against a raw indexed COPY of the same rows.

./dev bench api_bulk [ROWS] [--cuts 0.2]    DATABASE_URL names a PostgreSQL server; a database of its own is made and dropped.
"""

import argparse
import http.client
import os
import random
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

import orjson  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmarks.sync import Server, make_world  # noqa: E402
from crm.models import Activity, ActivityChange, Contact  # noqa: E402

CLIENTS, KINDS = 4, ("page_view", "email_open", "email_click", "email_delivered", "meeting", "download")


class Client:
    """Sends batches, some of which others send too; one whose connection is cut sends again until it is answered."""

    def __init__(self, server: Server, number: int, cuts: float) -> None:
        self.server, self.rolls, self.cuts, self.seen = server, random.Random(number), cuts, Counter[str]()

    def send(self, batches: list[bytes]) -> Counter[str]:
        """Send all of them, each in an order of its own."""
        for body in self.rolls.sample(batches, len(batches)):
            while not self._sent(body):
                self.seen["sent again"] += 1
        return self.seen

    def _sent(self, body: bytes) -> bool:
        call = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
        headers = {"Authorization": f"Token {self.server.key}", "Content-Type": "application/json"}
        try:
            call.request("POST", "/api/v1/activities/bulk", body, headers)
            if self.rolls.random() < self.cuts:
                # Gone while the server works, or before it answers.
                time.sleep(self.rolls.random() / 2)
                call.sock.shutdown(socket.SHUT_RDWR)
                self.seen["cut"] += 1
                return False
            answer = call.getresponse()
            found = orjson.loads(answer.read())
        except OSError:
            return False
        finally:
            call.close()
        if answer.status != 200:
            self.seen[f"status {answer.status}"] += 1
            return False
        self.seen["rows"] += len(found["results"])
        self.seen["wrong"] += found["refused"]
        return True


def rows_of(count: int) -> list[dict]:
    """Make rows at contacts of the integration's team, one in a hundred of them wrong."""
    people = list(Contact.objects.filter(account__team__name="Noord").values_list("pk", "account_id"))
    rolls, now = random.Random(1), timezone.now()
    rows = []
    for n in range(count):
        contact, account = rolls.choice(people)
        moment = (now - timedelta(minutes=rolls.randrange(500_000))).isoformat()
        kind = "coffee" if n % 100 == 99 else rolls.choice(KINDS)
        rows.append(
            {"account": account, "contact": contact, "kind": kind, "occurred_at": moment, "external_id": f"e{n}", "subject": "Bench"}
        )
    return rows


def raw_copy(*, bare: bool) -> tuple[int, float]:
    """Time putting the same rows back with one COPY for each table, indexes, keys and all, to the commit; bare: none of the triggers and checks."""
    taken = {}
    tables = [model._meta.db_table for model in (Activity, ActivityChange)]
    with connection.cursor() as cursor:
        for table in tables:
            with cursor.copy(f"COPY {table} TO STDOUT (FORMAT BINARY)") as copy:
                taken[table] = b"".join(copy)
        rows = Activity.objects.count()
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
        for table in tables if bare else ():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        began = time.perf_counter()
        with transaction.atomic():
            for table in tables:
                with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                    copy.write(taken[table])
        took = time.perf_counter() - began
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
    return rows, took


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return cursor.fetchone()[0]


def run(server: Server, bodies: list[bytes], cuts: float, *, overlap: int) -> tuple[float, Counter[str]]:
    """Share batches among the clients, each also sent by so many others; give the seconds and what was seen."""
    shares = [[body for n, body in enumerate(bodies) if (n - number) % CLIENTS <= overlap] for number in range(CLIENTS)]
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [Client(server, number, cuts) for number in range(CLIENTS)]
        seen = sum(pool.map(lambda pair: pair[0].send(pair[1]), zip(clients, shares, strict=True)), Counter[str]())
    return time.perf_counter() - began, seen


def report(count: int, size: int, cuts: float) -> None:
    _user, key, _teams = make_world(10_000)
    rows = rows_of(count)
    bodies = [orjson.dumps({"source": "bench", "activities": rows[start : start + size]}) for start in range(0, count, size)]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    right = count - count // 100
    server = Server(key, workers=CLIENTS)
    server.start()
    try:
        took, seen = run(server, bodies, cuts, overlap=1)
        print(f"rough: {count} rows by {CLIENTS} clients, each batch by two of them, in {took:.1f} s: {dict(seen)}")
        stored, changes = Activity.objects.count(), ActivityChange.objects.count()
        print(
            f"stored {stored} of {right} right ones, {Activity.objects.values('external_id').distinct().count()} ids; {changes} changes; deadlocks {deadlocks()}"
        )
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE crm_activity, crm_activitychange CASCADE")
        took, _seen = run(server, bodies, 0, overlap=0)
        print(f"smooth: {Activity.objects.count() / took:.0f} rows/s")
        for name, bare in [("with the keys and triggers of the table", False), ("into indexes alone", True)]:
            stored, floor = raw_copy(bare=bare)
            print(f"  raw COPY {name}: {stored / floor:.0f} rows/s; ratio {floor / took:.2f}")
    finally:
        server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description="Send activities in bulk by clients whose connections are cut.")
    parser.add_argument("rows", nargs="?", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=5_000, help="rows per call")
    parser.add_argument("--cuts", type=float, default=0.2, help="share of the calls that are cut")
    wanted = parser.parse_args()
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        report(wanted.rows, wanted.size, wanted.cuts)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


if __name__ == "__main__":
    main()
