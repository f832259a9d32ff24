"""Pages of long lists: a count that stops early, a bound on how far one pages, and an order that follows an index."""

from collections.abc import Sequence
from typing import Any

from django.core.paginator import Page, Paginator
from django.db import connections, models
from django.db.models import F
from django.db.models.expressions import OrderBy
from django.utils.formats import number_format
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

# Rows that are counted exactly and can be paged through: the database reads all that it skips, and nobody pages further by hand.
REACHABLE = 1_000


class CheapPaginator(Paginator):
    """Count and page up to a bound; beyond it say 'more', with PostgreSQL's own estimate where a whole table is listed.

    `known` is the number of rows when a search counted them already. `part` names a one-to-one relation that an order with
    nulls last may lead to: rows that have it then come straight from its index, and those without after them.
    """

    def __init__(self, rows: Any, per_page: int, *options: Any, known: int | None = None, part: str = "", **more_options: Any) -> None:
        super().__init__(rows, per_page, *options, **more_options)
        self.known, self.part, self.estimate = known, part, 0

    @cached_property
    def count(self) -> int:
        return min(self._counted, REACHABLE)

    @property
    def is_cut(self) -> bool:
        """Say whether there are more rows than can be paged through."""
        return self._counted > REACHABLE

    @cached_property
    def _counted(self) -> int:
        if self.known is not None:
            return self.known
        rows: Any = self.object_list
        if not isinstance(rows, models.QuerySet):
            return len(rows)
        if connections[rows.db].vendor == "postgresql" and not rows.query.where and not rows.query.distinct:
            return self._count_table(rows)
        return rows.order_by().values("pk")[: REACHABLE + 1].count()

    def _count_table(self, rows: models.QuerySet[Any]) -> int:
        connection, table = connections[rows.db], rows.query.get_meta().db_table
        bounded = f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT {REACHABLE + 1}"  # noqa: S608
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT (SELECT count(*) FROM ({bounded}) AS first_ones), reltuples::bigint FROM pg_class WHERE oid = %s::regclass",  # noqa: S608
                [table],
            )
            counted, self.estimate = cursor.fetchone()
        return int(counted)

    def amount(self) -> str:
        """Say how many there are, as far as it was counted."""
        if not self.is_cut:
            return number_format(self.count, force_grouping=True)
        if self.estimate > REACHABLE:
            return _("about %(number)s") % {"number": number_format(self.estimate, force_grouping=True)}
        return _("more than %(number)s") % {"number": number_format(REACHABLE, force_grouping=True)}

    def page(self, number: int | str) -> Page[Any]:
        first = self._with_part() if self.is_cut else None
        if first is None:
            return super().page(number)
        number = self.validate_number(number)
        return Page(self._in_two(first, (number - 1) * self.per_page), number, self)

    def _in_two(self, first: models.QuerySet[Any], start: int) -> Sequence[Any]:
        every: Any = self.object_list
        rows, wanted = list(first[start : start + self.per_page]), self.per_page
        if len(rows) < wanted:
            begin = 0 if rows else max(0, start - first.order_by().values("pk")[: REACHABLE + 1].count())
            without = every.filter(**{f"{self.part}__isnull": True}).order_by("pk")
            rows += without[begin : begin + wanted - len(rows)]
        return rows

    def _with_part(self) -> models.QuerySet[Any] | None:
        """Give the rows that have the part, in an order that its index knows; none when they are sorted otherwise."""
        rows: Any = self.object_list
        order = rows.query.order_by if self.part and isinstance(rows, models.QuerySet) else ()
        if not order or not isinstance(order[0], OrderBy) or not (order[0].descending and order[0].nulls_last):
            return None
        by: Any = order[0].expression
        named = str(getattr(by, "name", "")) if isinstance(by, F) else ""
        if not named.startswith(f"{self.part}__"):
            return None
        return rows.filter(**{f"{self.part}__isnull": False}).order_by(f"-{named}", "pk")
