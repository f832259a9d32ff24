"""Measure every list of the admin in a small and in a large organisation, in turns: time, queries, and full scans.

./dev bench lists [--small 10000] [--large 200000] [--rounds 15] [--only account,contact]

DATABASE_URL names a PostgreSQL server; two databases of its own are made and dropped.
"""

import argparse
import gc
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib import admin  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import reverse  # noqa: E402

from benchmarks import many_records  # noqa: E402
from crm.models import User  # noqa: E402

# A filter for each list that has one, and three letters twice: some that 3 in 1,000 names hold, and some that 70 do.
FILTERS = {
    "account": "owner=all&score=hot", "contact": "at_work=left", "opportunity": "state=all&stage=won", "followup": "whose=all&state=overdue",
    "activity": "kind=meeting", "delivery": "outcome=mailbox_full", "deliveryreport": "outcome=mailbox_full", "suppression": "in_force=all",
    "dmumembership": "role=decider", "jobchangesignal": "status=all",
}  # fmt: skip
LETTERS = {"search": "gab", "common": "ber"}
FULL_SCAN_ALLOWED = 10_000


class Page(NamedTuple):
    """One request that is measured."""

    who: str
    what: str
    address: str


class Figures(NamedTuple):
    """What one page took: milliseconds, queries, and the tables that it read whole."""

    p50: float
    p95: float
    queries: int
    scans: str


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure every list in a small and in a large organisation, side by side.")
    parser.add_argument("--small", type=int, default=10_000, help="accounts of the one; five contacts each (default: 10000)")
    parser.add_argument("--large", type=int, default=200_000, help="accounts of the other (default: 200000)")
    parser.add_argument("--rounds", type=int, default=15, help="requests per page (default: 15)")
    parser.add_argument("--only", default="", help="lists to measure, e.g. account,contact (default: all)")
    wanted = parser.parse_args()
    connection.creation.create_test_db(verbosity=0)
    small = str(connection.settings_dict["NAME"])
    large = f"{small}_large"
    try:
        who = many_records.people()
        _grow(1, wanted.small)
        _copy(small, large)
        move_to(large)
        _grow(wanted.small + 1, wanted.large)
        report(small, large, who, rounds=wanted.rounds, only=wanted.only)
    finally:
        leave()
        move_to(small)
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{large}"')
        connection.creation.destroy_test_db(small, verbosity=0)


def _grow(first: int, last: int) -> None:
    begun = time.perf_counter()
    many_records.grow(first, last)
    print(f"{last} accounts, {last * 5} contacts; made in {time.perf_counter() - begun:.0f} s", flush=True)


def _copy(small: str, large: str) -> None:
    leave()  # a database that somebody is connected to cannot be copied
    move_to("postgres")
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{large}" TEMPLATE "{small}"')


# Open connections to the databases that are not asked now: in service, too, a page finds one that was used before.
_open: dict[str, Any] = {}


def move_to(database: str) -> None:
    """Go on in another database of the same server."""
    if connection.settings_dict["NAME"] != database:
        _open[str(connection.settings_dict["NAME"])] = connection.connection
        connection.connection = _open.pop(database, None)
        connection.settings_dict["NAME"] = database


def leave() -> None:
    """Hang up on every database, so that it can be copied or dropped."""
    connection.close()
    while _open:
        _name, held = _open.popitem()
        if held is not None:
            held.close()


def pages(who: dict[str, User], *, only: str = "") -> Iterator[Page]:
    """Give each list as each of the three opens it: page 1, with a filter, and with three letters searched for, rare and common."""
    for model, registered in admin.site._registry.items():
        name = str(model._meta.model_name)
        if model._meta.app_label not in ("crm", "abm") or (only and name not in only.split(",")):
            continue
        address = reverse(f"admin:{model._meta.app_label}_{name}_changelist")
        for word in who:
            yield Page(word, "page 1", address)
            if name in FILTERS:
                yield Page(word, "filter", f"{address}?{FILTERS[name]}")
            if registered.search_fields:
                yield from (Page(word, what, f"{address}?q={letters}") for what, letters in LETTERS.items())


def measure(page: Page, who: dict[str, User], databases: Sequence[str], *, rounds: int) -> list[Figures] | None:
    """Ask each database for a page in turns, so that a slow moment of the machine hits both; none when this user may not open it."""
    clients, seen = {}, {}
    for database in databases:
        move_to(database)
        clients[database] = client = Client(headers={"host": "127.0.0.1"})
        client.force_login(who[page.who])
        if client.get(page.address).status_code == 403:
            return None
        gc.freeze()  # what a process holds for good is not looked at again before every request
        with CaptureQueriesContext(connection) as asked:
            assert client.get(page.address).status_code == 200, page
        seen[database] = len(asked), ", ".join(_scans(list(asked.captured_queries)))
    taken: dict[str, list[float]] = {database: [] for database in databases}
    for _ in range(rounds):
        for database in databases:
            move_to(database)
            connection.ensure_connection()
            taken[database].append(_once(clients[database], page.address))
    return [_figures(sorted(taken[database]), *seen[database]) for database in databases]


def _figures(taken: list[float], queries: int, scans: str) -> Figures:
    return Figures(statistics.median(taken), taken[int(0.95 * (len(taken) - 1) + 0.5)], queries, scans)


def _once(client: Client, address: str) -> float:
    gc.collect()
    begun = time.perf_counter()
    client.get(address)
    return 1000 * (time.perf_counter() - begun)


def _scans(queries: list[dict[str, Any]]) -> list[str]:
    """Name the tables of which a query read more rows than allowed without an index."""
    found = set()
    for query in queries:
        if query["sql"].startswith(("SELECT", "WITH", "(")):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + query["sql"])
                found |= set(_read_whole(cursor.fetchone()[0][0]["Plan"]))
    return sorted(found)


def _read_whole(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        rows = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        if rows > FULL_SCAN_ALLOWED:
            yield f"{node['Relation Name']} ({rows:.0f})"
    for child in node.get("Plans", []):
        yield from _read_whole(child)


def report(small: str, large: str, who: dict[str, User], *, rounds: int, only: str) -> None:
    """Print a line per page, and what breaks the bounds."""
    print(
        f"{'list':<34}{'who':<14}{'page':<8}{'p50':>6}{'p95':>6}  ->{'p50':>6}{'p95':>6}{'p50 x':>7}{'p95 x':>7}{'queries':>9}  read whole"
    )
    for page in pages(who, only=only):
        if figures := measure(page, who, [small, large], rounds=rounds):
            print(_line(page, *figures), flush=True)


def _line(page: Page, before: Figures, after: Figures) -> str:
    middle, worst = after.p50 / before.p50, after.p95 / before.p95
    breaks = ((" !slow", worst > 1.5), (" !queries", after.queries > 6), (" !scan", after.scans))
    marks = "".join(mark for mark, is_broken in breaks if is_broken)
    times = f"{before.p50:>6.0f}{before.p95:>6.0f}  ->{after.p50:>6.0f}{after.p95:>6.0f}{middle:>7.2f}{worst:>7.2f}"
    name = page.address.split("?")[0].removeprefix("/admin/")
    return f"{name:<34}{page.who:<14}{page.what:<8}{times}{max(before.queries, after.queries):>9}  {after.scans}{marks}"


if __name__ == "__main__":
    main()
