"""Measure the list of contacts over HTTP against a bare view with the same SQL: a page at the beginning and one far behind.

./dev bench api_lists [--contacts 100000] [--page 10000] [--rounds 300]

DATABASE_URL names a PostgreSQL server; a database of its own is made and dropped. Both are answered by the same gunicorn, in turns, so
that a slow moment of the machine hits both. The key is a team lead's, who sees little more than half, so rights are part of the SQL.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmarks import many_records  # noqa: E402
from crm import api_keys  # noqa: E402
from crm.models import Contact, User  # noqa: E402

ADDRESS, PAGE, PORT = "/api/v1/contacts", 50, 8899
AIM_RATIO, AIM_DEEP, AIM_P95, MOST_QUERIES = 0.60, 0.95, 2.0, 3


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the list of contacts against a bare view.")
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--page", type=int, default=10_000, help="the page far behind, or the last but a tenth if there are fewer")
    parser.add_argument("--rounds", type=int, default=300)
    wanted = parser.parse_args()
    connection.creation.create_test_db(verbosity=0)
    try:
        user = many_records.people()["lead"]
        many_records.grow(1, wanted.contacts // 5)
        widen(user)
        is_good = report(user, page=wanted.page, rounds=wanted.rounds)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)
    sys.exit(0 if is_good else 1)


def widen(user: User) -> None:
    """Hand every second account to the user's team: page 10,000 is then within sight, and still half is not."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE crm_account SET team_id = %s WHERE id %% 2 = 0", [user.team_id])
        cursor.execute("VACUUM ANALYZE crm_account")


def report(user: User, *, page: int, rounds: int) -> bool:
    secret = api_keys.issue(user=user, name="bench", scopes=["contacts:read"], at=timezone.now()).secret
    seen = Contact.objects.visible_to(user).count()
    depth = min(page, seen * 9 // 10 // PAGE)
    before = Contact.objects.visible_to(user).order_by("-pk").values_list("pk", flat=True)[depth * PAGE - PAGE - 1]
    cursor = urlsafe_b64encode(json.dumps(["-id", str(before)]).encode()).decode()
    pages = {"first": ADDRESS, "deep": f"{ADDRESS}?cursor={cursor}"}
    statements = {name: statement(address, secret) for name, address in pages.items()}
    print(f"{Contact.objects.count()} contacts, {seen} within sight; page 1 and page {depth} of {PAGE} rows, {rounds} rounds in turns")
    times = served(pages, statements, secret, rounds=rounds)
    return judged(times)


def statement(address: str, secret: str) -> str:
    """Give the SQL of the rows, as the API asks it."""
    client = Client(headers={"host": "127.0.0.1", "authorization": f"Token {secret}"})
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    print(f"  {len(captured)} queries (at most {MOST_QUERIES})")
    assert len(captured) <= MOST_QUERIES
    return str(captured[-1]["sql"])


def served(pages: dict[str, str], statements: dict[str, str], secret: str, *, rounds: int) -> dict[str, list[float]]:
    """Ask a server of its own for each page both ways, in turns; seconds of each call."""
    calls = {f"api {name}": address for name, address in pages.items()} | {f"bare {name}": f"/bare/{name}" for name in pages}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "statements.json"
        file.write_text(json.dumps(statements))
        server = _server(file)
        try:
            wire, headers = _connected(), {"Authorization": f"Token {secret}"}
            times: dict[str, list[float]] = {name: [] for name in calls}
            for round_ in range(rounds + 20):
                for name, address in calls.items():
                    begun = time.perf_counter()
                    wire.request("GET", address, headers=headers)
                    answer = wire.getresponse()
                    body = answer.read()
                    assert answer.status == 200, body[:300]
                    if round_ >= 20:
                        times[name].append(time.perf_counter() - begun)
        finally:
            server.terminate()
            server.wait()
    return times


def _server(statements: Path) -> subprocess.Popen[bytes]:
    settings = connection.settings_dict
    url = f"postgres://{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    more = {"DATABASE_URL": url, "BARE_STATEMENTS": str(statements), "QUORUM_POLICY": '{"crm": {"API": {"calls_per_minute": 1000000}}}'}
    command = [sys.executable, "-m", "gunicorn", "benchmarks._bare_list:application", "--bind", f"127.0.0.1:{PORT}"]
    return subprocess.Popen([*command, "--worker-class", "gthread", "--threads", "2"], env=os.environ | more)


def _connected() -> http.client.HTTPConnection:
    for _try in range(120):
        wire = http.client.HTTPConnection("127.0.0.1", PORT)
        try:
            wire.request("GET", "/healthz")
            wire.getresponse().read()
        except OSError:
            time.sleep(0.5)
        else:
            return wire
    raise SystemExit("The server did not begin.")


def judged(times: dict[str, list[float]]) -> bool:
    p50 = {name: statistics.median(seconds) for name, seconds in times.items()}
    p95 = {name: statistics.quantiles(seconds, n=20)[-1] for name, seconds in times.items()}
    for name in times:
        print(f"  {name:<11} p50 {p50[name] * 1000:6.2f} ms   p95 {p95[name] * 1000:6.2f} ms   {1 / p50[name]:6.0f} calls/s")
    ratios = {place: p50[f"bare {place}"] / p50[f"api {place}"] for place in ("first", "deep")}
    deep, tail = p50["api first"] / p50["api deep"], max(p95[name] / p50[name] for name in ("api first", "api deep"))
    print(
        f"  api/bare: page 1 {ratios['first']:.2f}, deep {ratios['deep']:.2f} (aim {AIM_RATIO}); deep/page 1 {deep:.2f} (aim {AIM_DEEP});"
    )
    print(f"  p95/p50 {tail:.2f} (aim at most {AIM_P95})")
    return min(ratios.values()) >= AIM_RATIO and deep >= AIM_DEEP and tail <= AIM_P95


if __name__ == "__main__":
    main()
