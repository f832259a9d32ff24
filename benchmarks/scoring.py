"""Measure the score's states against the floor: one bare GROUP BY over the same activities, in the same run.

./dev bench scoring [--activities 1000000]    DATABASE_URL chooses the server; a database of its own is made and dropped.
"""

import argparse
import os
import re
import resource
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from abm import policy, refresh, states  # noqa: E402
from abm.models import AccountState, ContactState, DayCount, StateMark  # noqa: E402
from benchmarks.nightly import seconds  # noqa: E402
from crm.models import Account, Activity, ActivityChange  # noqa: E402
from crm.policy import day_of  # noqa: E402

PER_ACCOUNT, PEOPLE_PER_ACCOUNT, PER_GROUP = 200, 20, 2.24
FLOOR = "SELECT account_id, count(*) FROM crm_activity GROUP BY account_id"
# What an account's people do in a year: mostly a few of them, mostly lately, in bursts that the daily cap cuts.
MADE = """
    INSERT INTO crm_activity (account_id, contact_id, kind, day, occurred_at, subject, machine_reason, source, external_id, recorded_at)
    SELECT g.account, g.contact, g.kind, g.day, g.day + time '12:00' + i * interval '1 minute', '', '', 'bench', '', now()
    FROM (SELECT account, account * 20 - floor(20 * power(random(), 1.5))::int AS contact, kinds.names[1 + floor(random() * cardinality(kinds.names))::int] AS kind,
                 %(day)s::date - floor(%(days)s * random())::int AS day, 1 + floor(-ln(1 - random()) * 1.7)::int AS times
          FROM (SELECT 1 + floor(%(accounts)s * power(random(), 1.6))::int AS account FROM generate_series(1, %(groups)s)) AS a,
               (SELECT %(kinds)s::text[] AS names) AS kinds) AS g, generate_series(1, g.times) AS i
    ORDER BY 5
"""
# The same, with its word in the queue, as the rule writes it.
NEWS = f"""
    WITH made AS ({MADE} RETURNING account_id, contact_id, kind, day)
    INSERT INTO crm_activitychange (account_id, contact_id, kind, day, delta) SELECT account_id, contact_id, kind, day, 1 FROM made
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the states of the score as ratios to one bare GROUP BY.")
    parser.add_argument("--activities", type=int, default=1_000_000)
    wanted = parser.parse_args()
    if connection.vendor != "postgresql":
        parser.error("DATABASE_URL must name a PostgreSQL server.")
    connection.creation.create_test_db(verbosity=0)
    try:
        report(wanted.activities)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


def report(activities: int) -> None:
    """Make the data, and print each measure with its ratio to the floor."""
    accounts, today = max(10, activities // PER_ACCOUNT), day_of(timezone.now())
    made = seconds(lambda: make(accounts, activities, today=today))
    rows = Activity.objects.count()
    print(f"{accounts} accounts, {accounts * PEOPLE_PER_ACCOUNT} contacts, {rows} activities, made in {made:.0f} s", flush=True)
    floor = statistics.median(seconds(lambda: run(FLOOR)) for _ in range(5))
    print(f"{'floor: bare GROUP BY':<44}{floor:>9.3f} s{1:>8.2f} F", flush=True)
    show, backend = Show(floor), Backend()
    show("full from activities", lambda: whole(today))
    print(
        f"{DayCount.objects.count()} day counts, {ContactState.objects.count()} contact states, {AccountState.objects.count()} account states"
    )
    StateMark.objects.update(version="other")
    run("VACUUM ANALYZE")
    show("full from day counts, with writes", lambda: whole(today))
    run("VACUUM ANALYZE")
    # As a week after the start: until then every score of a week ago is computed anew, for none was kept.
    StateMark.objects.update(settled_from=today - timedelta(days=8))
    for night, share in enumerate((0.001, 0.0027, 0.01), start=1):
        tomorrow = today + timedelta(days=night)
        news(accounts, round(rows * share * 0.97), day=tomorrow, days=1)
        news(accounts, round(rows * share * 0.03), day=today, days=30)
        waiting = ActivityChange.objects.count()
        show(f"night, {waiting} new ({100 * share:g} %)", lambda day=tomorrow: whole(day))  # type: ignore[misc]
    last = today + timedelta(days=3)
    show("night with nothing new, same day", lambda: whole(last))
    show.many("micro-batch of 100 activities", lambda: batch(last), before=lambda: news(accounts, 100, day=last, days=1))
    show.many("states of one account", lambda: batch(last), before=lambda: news(1, 1, day=last, days=1))
    show.many("whole refresh of one account", lambda: refresh.account(accounts // 2, at=timezone.now() + timedelta(days=3)))
    show.many("top 50", top)
    print(f"worker: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB at most, {backend.stop()}")
    print(f"differing rows after a count anew: {differing(last)}")


class Show:
    """Prints measures beside the floor."""

    def __init__(self, floor: float) -> None:
        self.floor = floor

    def __call__(self, name: str, work: Callable[[], object]) -> None:
        took = seconds(work)
        print(f"{name:<44}{took:>9.3f} s{took / self.floor:>8.2f} F", flush=True)

    def many(self, name: str, work: Callable[[], object], *, before: Callable[[], object] | None = None, rounds: int = 30) -> None:
        taken = []
        for _ in range(rounds):
            if before:
                before()
            taken.append(seconds(work) * 1000)
        taken.sort()
        print(
            f"{name:<44}{statistics.median(taken):>9.1f} ms at the median, {taken[int(0.95 * (rounds - 1) + 0.5)]:.1f} ms p95", flush=True
        )


class Backend:
    """Watches how much memory of its own the database process of this connection takes; on the same machine only."""

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            self.status = Path(f"/proc/{cursor.fetchone()[0]}/status")
        self.most, self.ended = 0, threading.Event()
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()

    def _watch(self) -> None:
        while not self.ended.wait(0.02):
            found = re.search(r"RssAnon:\s+(\d+)", self.status.read_text()) if self.status.exists() else None
            self.most = max(self.most, int(found[1]) if found else 0)

    def stop(self) -> str:
        """Say how much it was at most, without what all processes of the server share."""
        self.ended.set()
        self.watcher.join()
        return f"database process: {self.most // 1024} MB at most" if self.most else "database process: on another machine"


def whole(day: date) -> None:
    """Bring every account to a day, in the chunks of a night."""
    size, last = policy.NIGHTLY.accounts_per_chunk, Account.objects.order_by("pk").values_list("pk", flat=True).last() or 0
    for first in range(1, last + 1, size):
        states.bring_up_range(first, first + size - 1, day=day, at=timezone.now())


def batch(day: date) -> None:
    """Fold what waits, as every minute does."""
    waiting = list(ActivityChange.objects.values_list("account_id", flat=True).distinct())
    states.bring_up(waiting, day=day, at=timezone.now(), everybody=False)


def top() -> list[Any]:
    found = list(Account.objects.filter(standing__isnull=False).order_by("-standing__score", "pk").values_list("pk")[:50])
    assert len(found) == 50
    return found


def news(accounts: int, activities: int, *, day: date, days: int) -> None:
    run(NEWS, _figures(accounts, activities, day=day, days=days))


def make(accounts: int, activities: int, *, today: date) -> None:
    run("SELECT setseed(0.2026)")
    values = {"accounts": accounts, "people": accounts * PEOPLE_PER_ACCOUNT}
    run(
        "INSERT INTO crm_account (id, name, domain, status, industry, employees, revenue_currency, country, city, contract_conflict, source, external_id, created_at, updated_at) SELECT n, 'Account ' || n, 'a' || n || '.example', 'prospect', '', 10 + n %% 900, 'EUR', 'NL', '', false, '', '', now(), now() FROM generate_series(1, %(accounts)s) AS n",
        values,
    )
    run(
        "INSERT INTO crm_person (id, given_name, family_name, language) SELECT n, 'Jo', 'Smit ' || n, 'nl' FROM generate_series(1, %(people)s) AS n",
        values,
    )
    run(
        "INSERT INTO crm_contact (id, person_id, account_id, email, phone, job_title, function, legal_basis, source, external_id, left_on, created_at, updated_at) SELECT n, n, (n + 19) / 20, '', '', '', '', 'interest', '', '', CASE WHEN n %% 25 = 0 THEN current_date - 10 END, now(), now() FROM generate_series(1, %(people)s) AS n",
        values,
    )
    run(
        "INSERT INTO crm_dmumembership (account_id, contact_id, role, stance, is_assumed, since, end_reason) SELECT n, n * 20 - k, (ARRAY['decider','buyer','user','influencer','initiator'])[1 + k], 'neutral', false, current_date - 400, '' FROM generate_series(1, %(accounts)s) AS n, generate_series(0, 4) AS k",
        values,
    )
    # A night brings these to the day, too, with the three indexes that lists sort by.
    run(
        "INSERT INTO abm_accountstanding (account_id, as_of, fit, score, momentum, coverage_percent, coverage_states, is_single_threaded, refreshed_at) "
        "SELECT n, current_date, n %% 100, 0, 0, 100, '{}', false, now() FROM generate_series(1, %(accounts)s) AS n",
        values,
    )
    with bare("crm_activity"):
        for done in range(0, activities, 1_000_000):
            run(MADE, _figures(accounts, min(activities - done, 1_000_000), day=today, days=365))
    for table in ("crm_account", "crm_person", "crm_contact"):
        run(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
    run("VACUUM ANALYZE")


@contextmanager
def bare(table: str) -> Iterator[None]:
    """Take the indexes, and the keys to other tables, off a table while it is filled; put them back as they were."""
    keys = f"SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = 'f'"
    own = "SELECT 1 FROM pg_constraint WHERE conindid = indexrelid"
    indexes = f"SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = '{table}'::regclass AND NOT EXISTS ({own})"
    with connection.cursor() as cursor:
        cursor.execute(keys)
        foreign = cursor.fetchall()
        cursor.execute(indexes)
        taken = cursor.fetchall()
    run("; ".join([*(f"ALTER TABLE {table} DROP CONSTRAINT {name}" for name, _ in foreign), *(f"DROP INDEX {name}" for name, _ in taken)]))
    yield
    for _, definition in taken:
        run(definition)
    for name, definition in foreign:
        run(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


def _figures(accounts: int, activities: int, *, day: date, days: int) -> dict[str, Any]:
    kinds = sorted(policy.SCORING.kinds or {})
    return {"accounts": accounts, "groups": round(activities / PER_GROUP), "day": day, "days": days, "kinds": kinds}


def run(sql: str, values: dict[str, Any] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        if cursor.description:
            cursor.fetchall()


def differing(day: date) -> int:
    """Count anew in a transaction that is taken back, and give how many rows of states differ from what was kept."""
    before = _states()
    with transaction.atomic():
        StateMark.objects.update(version="")
        whole(day)
        after = _states()
        transaction.set_rollback(True)
    return len(before ^ after)


def _states() -> set[tuple[Any, ...]]:
    return set(AccountState.objects.values_list("account_id", "role", "short", "middle", "long"))


if __name__ == "__main__":
    main()
