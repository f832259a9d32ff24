"""Measure every list of the admin in a small and in a large organisation, in one run: time, queries, and full scans.

./dev bench lists [--small 10000] [--large 200000] [--rounds 15] [--only account,contact]

DATABASE_URL names a PostgreSQL server; a database of its own is made and dropped.
"""

import argparse
import gc
import os
import statistics
import time
from collections.abc import Iterator
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

# A filter and three letters for each list that has them; the letters are those of names in the middle of the alphabet.
FILTERS = {
    "account": "owner=all&score=hot", "contact": "at_work=left", "opportunity": "state=all&stage=won", "followup": "whose=all&state=overdue",
    "activity": "kind=meeting", "delivery": "outcome=mailbox_full", "deliveryreport": "outcome=mailbox_full", "suppression": "in_force=all",
    "dmumembership": "role=decider", "jobchangesignal": "status=all",
}  # fmt: skip
LETTERS = {"account": "gab", "person": "keb", "contact": "keb"}
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
    parser = argparse.ArgumentParser(description="Measure every list in a small and in a large organisation.")
    parser.add_argument("--small", type=int, default=10_000, help="accounts at first; five contacts each (default: 10000)")
    parser.add_argument("--large", type=int, default=200_000, help="accounts in the end (default: 200000)")
    parser.add_argument("--rounds", type=int, default=15, help="requests per page (default: 15)")
    parser.add_argument("--only", default="", help="lists to measure, e.g. account,contact (default: all)")
    wanted = parser.parse_args()
    connection.creation.create_test_db(verbosity=0)
    try:
        who = many_records.people()
        figures = []
        for first, last in ((1, wanted.small), (wanted.small + 1, wanted.large)):
            begun = time.perf_counter()
            many_records.grow(first, last)
            print(f"{last} accounts, {last * 5} contacts; made in {time.perf_counter() - begun:.0f} s", flush=True)
            figures.append({page: measure(page, who[page.who], rounds=wanted.rounds) for page in pages(who, only=wanted.only)})
        report(*figures)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


def pages(who: dict[str, User], *, only: str = "") -> Iterator[Page]:
    """Give each list as each of the three opens it: page 1, with a filter, and with three letters searched for."""
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
                yield Page(word, "search", f"{address}?q={LETTERS.get(name, 'gab')}")


def measure(page: Page, user: User, *, rounds: int) -> Figures | None:
    """Ask for a page several times; none when this user may not open it."""
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(user)
    status = client.get(page.address).status_code
    if status == 403:
        return None
    assert status == 200, (page, status)
    gc.freeze()  # what a process holds for good is not looked at again before every request
    with CaptureQueriesContext(connection) as seen:
        client.get(page.address)
    queries = list(seen.captured_queries)
    taken = sorted(_once(client, page.address) for _ in range(rounds))
    return Figures(statistics.median(taken), taken[int(0.95 * (rounds - 1) + 0.5)], len(queries), ", ".join(_scans(queries)))


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


def report(small: dict[Page, Figures | None], large: dict[Page, Figures | None]) -> None:
    """Print a line per page, and what breaks the bounds."""
    print(f"{'list':<34}{'who':<14}{'page':<8}{'p50':>6}{'p95':>6}  ->{'p50':>6}{'p95':>6}{'ratio':>7}{'queries':>9}  read whole")
    for page, after in large.items():
        before = small[page]
        if before is None or after is None:
            continue
        name = page.address.split("?")[0].removeprefix("/admin/")
        ratio = after.p95 / before.p95
        marks = "".join(
            mark for mark, holds in ((" !slow", ratio > 1.5), (" !queries", after.queries > 6), (" !scan", after.scans)) if holds
        )
        times = f"{before.p50:>6.0f}{before.p95:>6.0f}  ->{after.p50:>6.0f}{after.p95:>6.0f}{ratio:>7.2f}"
        print(f"{name:<34}{page.who:<14}{page.what:<8}{times}{max(before.queries, after.queries):>9}  {after.scans}{marks}")


if __name__ == "__main__":
    main()
