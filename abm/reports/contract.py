"""What every report is: a table of figures with units over a period, asked by somebody who sees only his or her own part of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.errors import Invalid
from crm.models import User

Row = dict[str, Any]


class Unit(StrEnum):
    """What a figure is measured in; it says how doors round and write it."""

    TEXT = "text"
    DAY = "day"
    MONTH = "month"
    COUNT = "count"
    NUMBER = "number"
    # 0 to 1
    SHARE = "share"
    DAYS = "days"
    MONEY = "money"
    RATIO = "ratio"
    # The row says it, under the name 'unit'.
    BY_ROW = "by_row"


NO_DEALS = gettext_lazy("No deal that you may see lies in this period: leave its days empty to look at all, or record deals first.")
# Decimals that a figure is given with: a rerun, another database and a spreadsheet then show the same.
PLACES = {Unit.SHARE: 6, Unit.DAYS: 4, Unit.MONEY: 4, Unit.RATIO: 6, Unit.NUMBER: 6}


@dataclass(frozen=True)
class Column:
    """One figure of every row."""

    name: str
    label: str | Promise
    unit: Unit = Unit.TEXT
    help: str | Promise = ""
    # A code that a page leaves out, for another column says it in words.
    is_code: bool = False

    def unit_in(self, row: Row) -> Unit:
        """Say what the figure of one row is measured in."""
        return Unit(row.get("unit", Unit.TEXT)) if self.unit is Unit.BY_ROW else self.unit


@dataclass(frozen=True)
class Period:
    """Local days from first to last, both included; None is open. `today` is the day on which somebody asks."""

    today: date
    first: date | None = None
    last: date | None = None

    def __post_init__(self) -> None:
        """Refuse a period that ends before it begins."""
        if self.first and self.last and self.last < self.first:
            raise Invalid(_("The period ends before it begins."), detail={"to": _("Before the first day.")})

    @property
    def is_all(self) -> bool:
        """Say whether it is open at both ends."""
        return self.first is None and self.last is None

    def before(self) -> "Period":
        """Give the period of the same length just before; raises Invalid for an open one."""
        if self.first is None or self.last is None:
            raise Invalid(_("A period without end has none before it."))
        length = self.last - self.first + timedelta(days=1)
        return Period(self.today - length, self.first - length, self.last - length)


@dataclass(frozen=True)
class Choice:
    """Something to choose: its name is a keyword of `rows`; `values` gives value and label, the first is the usual one.

    Values may depend on what the user sees, e.g. the currencies of the deals.
    """

    name: str
    label: str | Promise
    values: Callable[[User], Sequence[tuple[str, str | Promise]]]


@dataclass(frozen=True)
class Chart:
    """Bars beside the table: the column that names them, and the figures that they show (of one unit)."""

    label: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """One report. `rows(*, period, user, **choices)` gives dictionaries by column name, with figures as they are; `notes` sentences.

    Every figure counts only what `user` may see.
    """

    slug: str
    title: str | Promise
    columns: Sequence[Column]
    rows: Callable[..., Sequence[Row]]
    about: str | Promise = ""
    choices: Sequence[Choice] = ()
    chart: Chart | None = None
    notes: Callable[..., Sequence[str]] | None = None
    permission: str = "crm.view_opportunity"
    # What a page says while there are no rows, and what to do about it.
    nothing: str | Promise = NO_DEALS

    def is_open_to(self, user: User) -> bool:
        """Say whether a user may look at it."""
        return bool(user.is_active and user.has_perm(self.permission))


@dataclass(frozen=True)
class Table:
    """A report as it was asked for: figures rounded as their units say."""

    report: Report
    period: Period
    chosen: Mapping[str, str]
    rows: Sequence[Row]
    notes: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Give everything as plain values: numbers as numbers, days as ISO texts."""
        return {
            "report": self.report.slug,
            "title": str(self.report.title),
            "period": {"from": _plain(self.period.first), "to": _plain(self.period.last), "today": _plain(self.period.today)},
            "choices": dict(self.chosen),
            "columns": [{"name": each.name, "label": str(each.label), "unit": each.unit.value} for each in self.report.columns],
            "rows": [{name: _plain(value) for name, value in row.items()} for row in self.rows],
            "notes": [str(note) for note in self.notes],
        }


def ask(report: Report, *, period: Period, user: User, given: Mapping[str, str] | None = None) -> Table:
    """Compute a report for somebody. Raises Invalid for a choice or a value that it does not have."""
    chosen = _chosen(report, given or {}, user)
    asked: dict[str, Any] = {"period": period, "user": user, **chosen}
    rows = [_rounded(report.columns, row) for row in report.rows(**asked)]
    return Table(report, period, chosen, rows, report.notes(**asked) if report.notes else ())


def _chosen(report: Report, given: Mapping[str, str], user: User) -> dict[str, str]:
    known = {choice.name: [value for value, _label in choice.values(user)] for choice in report.choices}
    wrong = {name: _("Unknown.") for name in given if name not in known}
    wrong |= {
        name: _("One of: %(values)s.") % {"values": ", ".join(values)}
        for name, values in known.items()
        if given.get(name, "") and given[name] not in values
    }
    if wrong:
        raise Invalid(" ".join(f"{name}: {reason}" for name, reason in wrong.items()), detail={**wrong})
    return {name: given.get(name) or (values[0] if values else "") for name, values in known.items()}


def _rounded(columns: Iterable[Column], row: Row) -> Row:
    """Give a row's columns and its unit, each figure rounded."""
    figures = {column.name: rounded(row.get(column.name), column.unit_in(row)) for column in columns}
    return figures | ({"unit": str(row["unit"])} if "unit" in row else {})


def rounded(value: Any, unit: Unit) -> Any:
    """Round a figure to the decimals of its unit; what is no fraction stays as it is."""
    if isinstance(value, bool) or not isinstance(value, float | Decimal) or unit not in PLACES:
        return value
    exact = Decimal(repr(value)) if isinstance(value, float) else value
    return float(exact.quantize(Decimal(1).scaleb(-PLACES[unit]), ROUND_HALF_EVEN))


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else str(value) if isinstance(value, Promise) else value
