"""What PostgreSQL and SQLite write differently, in the words of reports; both count the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import QuerySet

from crm import policy as crm_policy


class _Percentile:
    """PostgreSQL's percentile_cont for SQLite: between two values it goes in proportion."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.share = 0.5

    def step(self, value: float | None, share: float) -> None:
        """Take one value in; none counts for nothing."""
        self.share = share
        if value is not None:
            self.values.append(float(value))

    def finalize(self) -> float | None:
        """Give the percentile of what was taken in."""
        if not self.values:
            return None
        self.values.sort()
        place = self.share * (len(self.values) - 1)
        low = int(place)
        high = min(low + 1, len(self.values) - 1)
        return self.values[low] + (self.values[high] - self.values[low]) * (place - low)


def _is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def percentile(expression: str, share: float) -> str:
    """Give the aggregate of what so large a share of the values does not exceed; 0.5 is the median."""
    if _is_postgresql():
        return f"percentile_cont({share}) WITHIN GROUP (ORDER BY ({expression})::double precision)"
    return f"percentile_of({expression}, {share})"


def local_day(moment: str) -> str:
    """Give the organisation's local day of a moment."""
    zone = crm_policy.ZONE.key
    if _is_postgresql():
        return f"(({moment}) AT TIME ZONE '{zone}')::date"
    return f"django_datetime_cast_date({moment}, '{zone}', 'UTC')"


def days_between(first: str, last: str) -> str:
    """Give the whole days from one day to another; negative when the second comes first."""
    return f"(({last}) - ({first}))" if _is_postgresql() else f"CAST(julianday({last}) - julianday({first}) AS INTEGER)"


def day() -> str:
    """Give the place of a day that is given as a value."""
    return "%s::date" if _is_postgresql() else "%s"


def month(day: str) -> str:
    """Give the month of a day as text, e.g. '2026-03'."""
    return f"to_char({day}, 'YYYY-MM')" if _is_postgresql() else f"substr({day}, 1, 7)"


def months_between(first: str, last: str) -> str:
    """Give the whole months from one day to another: 12 from the day on which a year has passed."""
    if _is_postgresql():
        return f"(extract(year FROM age({last}, {first})) * 12 + extract(month FROM age({last}, {first})))::int"
    whole = f"(substr({last}, 1, 4) - substr({first}, 1, 4)) * 12 + (substr({last}, 6, 2) - substr({first}, 6, 2))"
    return f"(({whole}) - (substr({last}, 9, 2) < substr({first}, 9, 2)))"


def select(queryset: QuerySet[Any, Any]) -> tuple[str, list[Any]]:
    """Give a queryset as a SELECT with its values; one that can hold nothing as a SELECT of nothing."""
    try:
        sql, values = queryset.order_by().query.sql_with_params()
    except EmptyResultSet:
        names = queryset.query.values_select + tuple(queryset.query.annotation_select)
        return "SELECT " + ", ".join(f'NULL AS "{name}"' for name in names) + " WHERE 1 = 0", []
    return sql, list(values)


def run(sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run a SELECT and give its rows by column name."""
    if not _is_postgresql():
        connection.ensure_connection()
        connection.connection.create_aggregate("percentile_of", 2, _Percentile)
        return _rows(sql, values)
    with transaction.atomic():
        _may_loop("off")
        found = _rows(sql, values)
        _may_loop("on")
    return found


def _may_loop(word: str) -> None:
    """Let PostgreSQL join by nested loops, or not: right after an import it takes tables for empty, and would count all moves for every deal."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL enable_nestloop = {word}")


def _rows(sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
