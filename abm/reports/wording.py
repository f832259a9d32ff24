"""Figures as people read them, in their language: with the unit's own sign and as many decimals as say something."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.utils.formats import date_format, number_format

from abm.reports.contract import Column, Row, Unit

NOTHING = "–"
# Decimals shown; a file and the API give more.
SHOWN = {Unit.SHARE: 1, Unit.DAYS: 1, Unit.MONEY: 0, Unit.RATIO: 2, Unit.NUMBER: 2, Unit.COUNT: 0}


def shown(column: Column, row: Row) -> str:
    """Write one figure of a row; a dash for none."""
    return figure(row.get(column.name), column.unit_in(row))


def figure(value: Any, unit: Unit) -> str:
    """Write one figure in a unit; a dash for none."""
    if value is None or value == "":
        return NOTHING
    if unit is Unit.MONTH:
        return date_format(date.fromisoformat(f"{value}-01"), "YEAR_MONTH_FORMAT")
    if unit is Unit.DAY:
        return date_format(value if isinstance(value, date) else date.fromisoformat(value), "SHORT_DATE_FORMAT")
    if unit not in SHOWN or isinstance(value, str):
        return str(value)
    percent = unit is Unit.SHARE
    # Rounded here: the framework's formatting cuts decimals off.
    rounded = round(value * 100 if percent else value, SHOWN[unit])
    text = number_format(rounded, SHOWN[unit], use_l10n=True, force_grouping=True)
    return f"{text} %" if percent else text


def is_number(column: Column) -> bool:
    """Say whether a column holds figures, which stand to the right."""
    return column.unit in SHOWN or column.unit is Unit.BY_ROW


def widths(rows: list[Row], values: tuple[str, ...]) -> list[list[float]]:
    """Give the length of each bar of a chart in percent of the longest."""
    lengths = [[_length(row, name) for name in values] for row in rows]
    longest = max((length for each in lengths for length in each), default=0.0)
    return [[100 * length / longest if longest else 0.0 for length in each] for each in lengths]


def _length(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return max(0.0, float(value)) if isinstance(value, int | float) else 0.0
