"""Questions that come with every call: Django writes their SQL once, and each call only fills in the values.

Writing it takes three times as long as the database takes to answer.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

# Values that stand in the SQL where those of a call will: no question has them as its own.
_STAND_INS: dict[type, Callable[[int], Any]] = {
    int: lambda place: 2**61 + place,
    str: lambda place: f"\ufffc{place}",
    datetime: lambda place: datetime(9000, 1, 1, tzinfo=UTC) + timedelta(days=place),
}
KINDS = frozenset(_STAND_INS)


class Prepared:
    """Ask for rows of columns: `ask` makes the queryset of one call, of `values` or a `values_list`, from values of these kinds."""

    def __init__(self, ask: Callable[..., QuerySet[Any, Any]], *kinds: type) -> None:
        self.ask, self.kinds = ask, kinds
        self.written: dict[str, tuple[str, list[Any], Any, Any]] = {}

    def rows(self, *values: Any) -> list[tuple[Any, ...]]:
        """Answer with these values; no more than a few rows, for all of them are read."""
        sql, parameters, compiler, converters = self.written.get(connection.vendor) or self._write()
        given = dict(zip(self._stand_ins(), _adapted(values), strict=True))
        with connection.cursor() as cursor:
            cursor.execute(sql, [given.get(one, one) for one in parameters])
            found = cursor.fetchall()
        return [tuple(row) for row in compiler.apply_converters(found, converters)] if converters else found

    def _write(self) -> tuple[str, list[Any], Any, Any]:
        stand_ins = [_STAND_INS[kind](place) for place, kind in enumerate(self.kinds)]
        compiler = self.ask(*stand_ins).query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        converters = compiler.get_converters([column for column, _sql, _alias in compiler.select])
        self.written[connection.vendor] = sql, list(parameters), compiler, converters
        return self.written[connection.vendor]

    def _stand_ins(self) -> list[Any]:
        return _adapted(_STAND_INS[kind](place) for place, kind in enumerate(self.kinds))


def _adapted(values: Iterable[Any]) -> list[Any]:
    """Give values as the SQL takes them."""
    adapt = connection.ops.adapt_datetimefield_value
    return [adapt(value) if isinstance(value, datetime) else value for value in values]
