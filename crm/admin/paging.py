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
REACHABLE = 500
# Of what a search found, fewer: who sees four pages types another word.
FOUND = 100


class CountOf(models.Subquery):
    """How many rows a query gives, as a column of another."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = models.IntegerField()


def _countable(rows: models.QuerySet[Any]) -> models.QuerySet[Any, Any]:
    return rows.order_by().values("pk")[: REACHABLE + 1]


class CheapPaginator(Paginator):
    """Count and page up to a bound; beyond it say 'more', with PostgreSQL's own estimate where a whole table is listed.

    `known` is the number of rows when a search counted them already. `part` names a one-to-one relation that an order with
    nulls last may lead to: rows that have it then come straight from its index, and those without after them. With
    `at_start` the first page is asked for: it is read before anything is counted, and one that is not full is all there is.
    """

    def __init__(
        self,
        rows: Any,
        per_page: int,
        *options: Any,
        known: int | None = None,
        part: str = "",
        at_start: bool = False,
        **more_options: Any,
    ) -> None:
        super().__init__(rows, per_page, *options, **more_options)
        self.known, self.part, self.estimate = known, part, 0
        self.at_start = at_start and not part and isinstance(rows, models.QuerySet)

    @cached_property
    def count(self) -> int:
        return min(self._counted, self.reach)

    @property
    def reach(self) -> int:
        """Give how many rows can be paged through."""
        return REACHABLE if self.known is None else FOUND

    @property
    def is_cut(self) -> bool:
        """Say whether there are more rows than can be paged through."""
        return self._counted > self.reach

    @cached_property
    def _counted(self) -> int:
        if self.known is not None:
            return self.known
        rows: Any = self.object_list
        if not isinstance(rows, models.QuerySet):
            return len(rows)
        if self._is_whole_table:
            return self._count_table(rows)
        if self.at_start:
            return int(self.start[0].counted_in_list) if self.start else 0
        return _countable(rows).count()

    @cached_property
    def start(self) -> list[Any]:
        """Read the first page, and one row more; in the same question count what can be reached, unless the table is estimated."""
        rows: Any = self.object_list
        counted = rows if self._is_whole_table else rows.annotate(counted_in_list=CountOf(_countable(rows)))
        return list(counted[: self.per_page + 1])

    @cached_property
    def _is_whole_table(self) -> bool:
        rows: Any = self.object_list
        return connections[rows.db].vendor == "postgresql" and not rows.query.where and not rows.query.distinct

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
        return _("more than %(number)s") % {"number": number_format(self.reach, force_grouping=True)}

    def page(self, number: int | str) -> Page[Any]:
        if self.at_start and "start" in self.__dict__ and self.validate_number(number) == 1:
            return Page(self.start[: self.per_page], 1, self)
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
