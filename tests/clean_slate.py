"""A fresh database for every run and every test, in little time: copied where one is migrated already, emptied where it was used.

Django's flush truncates every table and then makes permissions, content types and groups anew: half a second, for each of
hundreds of tests. Here the tables that hold something are emptied, and the rows of the migrations stay where they are.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from django.core.management.color import no_style
from django.db import connection
from django.test import TransactionTestCase

Rows = dict[str, list[tuple[Any, ...]]]
# What the migrations fill. A test that changes one of these gets them back by Django's own flush.
KEPT = ("django_content_type", "auth_permission", "auth_group", "auth_group_permissions")


def begin_with(ready: str) -> None:
    """Fill SQLite's test database, as soon as it is made, with that of a file; its migrations then find nothing to do."""
    make = connection.creation._create_test_db

    def made(*arguments: Any, **options: Any) -> str:
        name: str = make(*arguments, **options)
        connection.close()
        connection.settings_dict["NAME"] = name
        connection.ensure_connection()
        with contextlib.closing(sqlite3.connect(ready)) as source:
            source.backup(connection.connection)
        return name

    connection.creation._create_test_db = made  # type: ignore[method-assign]


def remember() -> Rows:
    """Read the rows of a fresh database that every test may count on."""
    return {table: _rows(table) for table in KEPT}


def install(fresh: Rows) -> None:
    """Let transactional tests on PostgreSQL end this way; SQLite's own flush takes no time."""
    flush = TransactionTestCase._fixture_teardown

    def teardown(case: TransactionTestCase) -> None:
        if connection.vendor != "postgresql" or any(_rows(table) != rows for table, rows in fresh.items()):
            flush(case)
            fresh.update(remember())
        elif full := _full_tables():
            connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), full, allow_cascade=True))

    TransactionTestCase._fixture_teardown = teardown  # type: ignore[method-assign]


def _rows(table: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY id")
        return list(cursor.fetchall())


def _full_tables() -> Sequence[str]:
    """Name the tables with rows, in one question."""
    tables = [name for name in connection.introspection.django_table_names(only_existing=True, include_views=False) if name not in KEPT]
    asked = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {connection.ops.quote_name(name)})" for name in tables)
    with connection.cursor() as cursor:
        cursor.execute(asked)
        return [name for (name,) in cursor.fetchall()]
