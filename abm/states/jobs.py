"""The tables of one job on states: which accounts, what moved, whom to seat again; each connection has its own."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection

from crm import bulk

# Of the accounts of the job's stretch of ids, and of no others: else PostgreSQL walks through a table from its beginning, or all
# of it, for each chunk of a night. Asks for the numbers' values.
HERE = "{of}.account_id BETWEEN %(first_account)s AND %(last_account)s"
OF_THE_JOB = f"k.account_id IN (SELECT account_id FROM job_account) AND {HERE.format(of='k')}"
_WHO = "account_id bigint, contact_id bigint"
_SUMS = "short bigint, middle bigint, long bigint"
# Each with a key: whatever the planner expects, no join looks at all of one for each row of another.
TABLES = {
    "job_account": "account_id bigint PRIMARY KEY",
    "job_stale": "account_id bigint PRIMARY KEY",
    "job_moved": f"{_WHO}, day date, kind varchar(30), before_n integer, after_n integer, PRIMARY KEY (account_id, contact_id, day, kind)",
    "job_shifted": f"{_WHO}, {_SUMS}, PRIMARY KEY (account_id, contact_id)",
    "job_due": "account_id bigint PRIMARY KEY",
    "job_held": f"{_WHO}, weight integer, roles integer, PRIMARY KEY (account_id, contact_id)",
    "job_seated": f"{_WHO}, weight integer, roles integer, was_weight integer, was_roles integer, PRIMARY KEY (account_id, contact_id)",
    "job_unsettled": "account_id bigint PRIMARY KEY",
    "job_scored": "account_id bigint PRIMARY KEY, day date, then_day date, r double precision, breadth double precision, "
    "x double precision, score numeric(4, 1), names text",
    "job_then": "account_id bigint PRIMARY KEY, score numeric(4, 1)",
}


def begin() -> None:
    """Make the tables of this connection if they are not there, and empty them; PostgreSQL empties them at the end, too."""
    is_postgres = connection.vendor == "postgresql"
    there = "SELECT to_regclass('pg_temp.job_account')" if is_postgres else "SELECT 1 FROM sqlite_temp_master WHERE name = 'job_account'"
    at_the_end = " ON COMMIT DELETE ROWS" if is_postgres else ""
    made = [f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} ({columns}){at_the_end}" for name, columns in TABLES.items()]
    emptied = [f"DELETE FROM {name}" for name in TABLES]
    if not one(there):
        _run_all(made)
    _run_all(["SET LOCAL work_mem = '64MB'", *emptied] if is_postgres else emptied)


def _run_all(statements: Sequence[str]) -> None:
    """Run statements without values; SQLite takes one at a time."""
    for statement in ["; ".join(statements)] if connection.vendor == "postgresql" else statements:
        run(statement)


def run(sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> int:
    """Run one statement; give the number of rows it wrote."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return int(cursor.rowcount)


def table(columns: str, rows: Iterable[str]) -> str:
    """Write a small table of constants; of one made of many SELECTs PostgreSQL would plan each by itself."""
    return f"(WITH constants ({columns}) AS (VALUES {', '.join(f'({each})' for each in rows)}) SELECT * FROM constants)"


def one(sql: str, values: Mapping[str, Any] | None = None) -> Any:
    """Give the first column of the first row, or None."""
    return row(sql, values)[0]


def row(sql: str, values: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
    """Give the first row, or one None."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone() or (None,)


def choose(account_ids: Collection[int]) -> None:
    """Take these accounts, those that exist, into the job."""
    if connection.vendor == "postgresql":
        run("INSERT INTO job_account SELECT id FROM crm_account WHERE id = ANY(%s)", [list(account_ids)])
        bulk.look_at("job_account")
        return
    ids = list(account_ids)
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        run(f"INSERT INTO job_account SELECT id FROM crm_account WHERE id IN ({', '.join(['%s'] * len(part))})", part)
