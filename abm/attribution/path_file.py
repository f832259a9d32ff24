"""Paths from files: touches beside the deals that they led to, or whole paths with how often each was won; no database."""

import csv
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path as FilePath
from typing import NamedTuple

from django.utils.translation import gettext as _

from abm.attribution.paths import Path
from crm.errors import Invalid

UNKNOWN_ROLE = "unknown"
TOUCHES = ("touch_id", "opportunity_id", "touch_at", "channel")
DEALS = ("opportunity_id", "outcome", "value", "lead_created_at", "opportunity_created_at", "closed_at")
WHOLE = ("path",)
MAY_HAVE = {TOUCHES: ("dmu_role",), DEALS: ("account_id",), WHOLE: ("conversions", "nulls", "value")}
DEALS_FILE, SEPARATOR, DAY_SECONDS = "opportunities.csv", ">", 86_400


class Row(NamedTuple):
    """One line of a file, and where it stands."""

    where: str
    cells: dict[str, str]

    def refuse(self, column: str, reason: str) -> Invalid:
        """Make the refusal of a cell."""
        return Invalid(f"{self.where}, {column}: {reason}", detail={column: reason})


class Touch(NamedTuple):
    """One touch; the order of touches is that of these fields."""

    at: datetime
    touch_id: str
    channel: str
    role: str


@dataclass(frozen=True)
class Deal:
    """One closed deal of a file."""

    is_won: bool
    value: Decimal
    closed_at: datetime
    lead_at: datetime | None
    opportunity_at: datetime | None


@dataclass(frozen=True)
class PathFile:
    """The paths of a file, by channel and, where it names them, by DMU role; and how many touches came after the close."""

    by_channel: tuple[Path, ...]
    by_role: tuple[Path, ...]
    touches_after_close: int = 0


def read(path: FilePath, *, opportunities: FilePath | None = None) -> PathFile:
    """Read touches with their deals (from `opportunities`, else from the file opportunities.csv beside it), or whole paths.

    Raises Invalid with the file, the line and what is wrong there.
    """
    source = path / "touches.csv" if path.is_dir() else path
    names = _header(source)
    if "path" in names:
        return PathFile(tuple(_whole_paths(source)), ())
    deals = _deals(opportunities or source.parent / DEALS_FILE)
    return _joined(deals, _touches(source, deals))


# --- touches and deals -----------------------------------------------------------------------------


def _deals(path: FilePath) -> dict[str, Deal | None]:
    """Read the deals by name; None for one that is open."""
    found: dict[str, Deal | None] = {}
    for row in _rows(path, DEALS):
        name = _given(row, "opportunity_id")
        if name in found:
            raise row.refuse("opportunity_id", _("%(name)s stands here for the second time.") % {"name": name})
        found[name] = _deal(row)
    return found


def _deal(row: Row) -> Deal | None:
    outcome = _given(row, "outcome").lower()
    if outcome not in ("won", "lost", "open"):
        raise row.refuse("outcome", _("%(value)s is neither won nor lost nor open.") % {"value": outcome})
    if outcome == "open":
        return None
    optional = {name: _moment(row, name) if row.cells[name] else None for name in ("lead_created_at", "opportunity_created_at")}
    value = _amount(row, "value") if outcome == "won" or row.cells["value"] else Decimal(0)
    return Deal(outcome == "won", value, _moment(row, "closed_at"), optional["lead_created_at"], optional["opportunity_created_at"])


def _touches(path: FilePath, deals: Container[str]) -> dict[str, list[Touch]]:
    found: defaultdict[str, list[Touch]] = defaultdict(list)
    seen: set[str] = set()
    for row in _rows(path, TOUCHES):
        touch_id, deal = _given(row, "touch_id"), _given(row, "opportunity_id")
        if touch_id in seen:
            raise row.refuse("touch_id", _("%(name)s stands here for the second time.") % {"name": touch_id})
        if deal not in deals:
            raise row.refuse("opportunity_id", _("there is no deal %(name)s.") % {"name": deal})
        seen.add(touch_id)
        found[deal].append(Touch(_moment(row, "touch_at"), touch_id, _given(row, "channel"), row.cells.get("dmu_role") or UNKNOWN_ROLE))
    return found


def _joined(deals: Mapping[str, Deal | None], touches: dict[str, list[Touch]]) -> PathFile:
    """Lay the touches of each deal in order, until it was closed."""
    by_channel, by_role, late = [], [], 0
    closed = {name: deal for name, deal in deals.items() if deal}
    for name, deal in closed.items():
        every = touches.get(name, [])
        counted = sorted(touch for touch in every if touch.at <= deal.closed_at)
        late += len(every) - len(counted)
        by_channel.append(_path(deal, counted, tuple(touch.channel for touch in counted)))
        by_role.append(_path(deal, counted, tuple(touch.role for touch in counted)))
    return PathFile(tuple(by_channel), tuple(by_role), late)


def _path(deal: Deal, touches: list[Touch], steps: tuple[str, ...]) -> Path:
    return Path(
        steps=steps,
        is_won=deal.is_won,
        value=deal.value,
        days_before=tuple((deal.closed_at - touch.at).total_seconds() / DAY_SECONDS for touch in touches),
        lead=last_before(touches, deal.lead_at),
        opportunity=last_before(touches, deal.opportunity_at),
    )


def last_before(touches: list[Touch], moment: datetime | None) -> int:
    """Give the place of the last touch at or before a moment; the first one when there is none, or the moment is not known."""
    return max(sum(touch.at <= moment for touch in touches) - 1, 0) if moment else 0


# --- whole paths -----------------------------------------------------------------------------------


def _whole_paths(path: FilePath) -> Iterator[Path]:
    for row in _rows(path, WHOLE):
        steps = tuple(step.strip() for step in _given(row, "path").split(SEPARATOR))
        if not all(steps):
            raise row.refuse("path", _("a channel between two separators is empty."))
        won, lost = _count(row, "conversions", default=1), _count(row, "nulls", default=0)
        if won:
            yield Path(steps, is_won=True, deals=won, value=_amount(row, "value") if row.cells.get("value") else Decimal(0))
        if lost:
            yield Path(steps, is_won=False, deals=lost)


def _count(row: Row, column: str, *, default: int) -> int:
    text = row.cells.get(column) or str(default)
    if not text.isdecimal():
        raise row.refuse(column, _("%(value)s is not a whole number.") % {"value": text})
    return int(text)


# --- cells -----------------------------------------------------------------------------------------


def _given(row: Row, column: str) -> str:
    if not row.cells[column]:
        raise row.refuse(column, _("it is empty."))
    return row.cells[column]


def _moment(row: Row, column: str) -> datetime:
    text = _given(row, column)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise row.refuse(column, _("%(value)s is not a moment such as 2026-03-10T09:00:00Z.") % {"value": text}) from error
    if moment.tzinfo is None:
        raise row.refuse(column, _("%(moment)s has no time zone.") % {"moment": text})
    return moment


def _amount(row: Row, column: str) -> Decimal:
    text = _given(row, column)
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise row.refuse(column, _("%(value)s is not an amount.") % {"value": text}) from error
    if not amount.is_finite() or amount < 0:
        raise row.refuse(column, _("%(value)s is not an amount.") % {"value": text})
    return amount


# --- files -----------------------------------------------------------------------------------------


def _header(path: FilePath) -> list[str]:
    for cells in _lines(path):
        return cells
    raise Invalid(_("%(file)s is empty.") % {"file": path.name})


def _rows(path: FilePath, needed: tuple[str, ...]) -> Iterator[Row]:
    """Give the lines below the header, cell by column; refuse columns that are missing or that nobody knows."""
    names = _header(path)
    where = _("%(file)s, line %(line)d") % {"file": path.name, "line": 1}
    if missing := [name for name in needed if name not in names]:
        raise Invalid(f"{where}: " + _("there is no column %(names)s.") % {"names": ", ".join(missing)})
    if unknown := [name or "''" for name in names if name not in (*needed, *MAY_HAVE[needed])]:
        raise Invalid(f"{where}: " + _("nobody knows the column %(names)s.") % {"names": ", ".join(unknown)})
    for number, cells in enumerate(_lines(path), start=1):
        at = _("%(file)s, line %(line)d") % {"file": path.name, "line": number}
        if number == 1 or not any(cells):
            continue
        if len(cells) != len(names):
            raise Invalid(f"{at}: " + _("%(found)d cells stand below %(columns)d columns.") % {"found": len(cells), "columns": len(names)})
        yield Row(at, dict(zip(names, cells, strict=True)))


def _lines(path: FilePath) -> Iterable[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Invalid(_("%(file)s is not text in UTF-8.") % {"file": path.name}) from error
    head = text.partition("\n")[0]
    delimiter = ";" if ";" in head and "," not in head else ","
    try:
        for cells in csv.reader(text.splitlines(), delimiter=delimiter):
            yield [cell.strip() for cell in cells]
    except csv.Error as error:
        raise Invalid(f"{path.name}: {error}.") from error
