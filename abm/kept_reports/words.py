"""A kept report in the reader's language: the same content gives the same words, always."""

from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from abm.kept_reports import contents
from abm.models import ReportSnapshot
from abm.reports import cohorts, customers, key_figures, wording
from abm.reports.contract import Column, Row, Unit

# Figures that say less than this to a meeting stay in the content and out of the mail.
LEFT_OUT = frozenset({"cycle_days_won_p90", "acv_median"})


def title(snapshot: ReportSnapshot) -> str:
    """Name the report with its period."""
    if snapshot.kind == ReportSnapshot.Kind.WEEKLY:
        days = {"first": date_format(snapshot.first_day, "SHORT_DATE_FORMAT"), "last": date_format(snapshot.last_day, "SHORT_DATE_FORMAT")}
        return _("Week of %(first)s to %(last)s") % days
    return _("Cohorts up to %(month)s") % {"month": date_format(snapshot.first_day, "YEAR_MONTH_FORMAT")}


def told(snapshot: ReportSnapshot) -> dict[str, Any]:
    """Give everything that page and mail show, in words."""
    content = contents.read(snapshot)
    found = {"title": title(snapshot), "currency": content["currency"], "is_weekly": snapshot.kind == ReportSnapshot.Kind.WEEKLY}
    return found | (_week(content) if found["is_weekly"] else _month(content))


def _week(content: contents.Facts) -> dict[str, Any]:
    figures = [_figure(row) for row in content["figures"] if row["figure"] not in LEFT_OUT]
    headings = {"won": _("Won"), "lost": _("Lost"), "begun": _("Began"), "broken": _("Gate broken")}
    deals = [{"title": headings[kind], "kind": kind, "rows": [_deal(row) for row in content["deals"][kind]]} for kind in headings]
    return {"figures": figures, "bridge": _bridge(content["pipeline"]), "deals": deals, "has_before": content["has_before"]}


def _figure(row: Row) -> Row:
    unit = Unit(row["unit"])
    bounds = (wording.figure(row["low"], unit), wording.figure(row["high"], unit))
    return {
        "label": capfirst(str(key_figures.LABELS[row["figure"]])),
        "value": wording.figure(row["value"], unit),
        "change": _change(row["value"], row["before"], unit),
        "usual": "" if row["low"] is None else _("%(low)s to %(high)s") % {"low": bounds[0], "high": bounds[1]},
        "verdict": key_figures.verdict(row),
        "deals": wording.figure(row["deals"], Unit.COUNT),
    }


def _change(now: float | None, before: float | None, unit: Unit) -> str:
    """Say how far a figure moved since last week; a share by points of a hundred."""
    if now is None or before is None:
        return ""
    if now == before:
        return "="
    sign = "+" if now > before else "−"
    if unit is Unit.SHARE:
        return _("%(sign)s%(points)s points") % {"sign": sign, "points": number_format(round(abs(now - before) * 100, 1), 1)}
    return sign + wording.figure(abs(now - before), unit)


def _bridge(parts: dict[str, float | None]) -> list[Row]:
    """Tell the pipeline from last week's to this week's, part by part."""
    if parts["before"] is None:
        return []
    steps = (
        (_("last week"), parts["before"], 0), (_("began"), parts["begun"], 1), (_("won"), parts["won"], -1), (_("lost"), parts["lost"], -1),
        (_("amounts changed, reopened or out of sight"), parts["changed"], 1), (_("now"), parts["now"], 0),
    )  # fmt: skip
    return [{"label": capfirst(label), "value": _signed(value or 0, sign)} for label, value, sign in steps]


def _signed(value: float, sign: int) -> str:
    """Write a sum of money; with a sign where it is a step."""
    text = wording.figure(abs(value), Unit.MONEY)
    if not sign or not value:
        return text if value >= 0 else f"−{text}"
    return f"{'+' if value * sign > 0 else '−'}{text}"


def _deal(row: Row) -> Row:
    amount = "" if row["amount"] is None else f"{wording.figure(row['amount'], Unit.MONEY)} {row['currency']}"
    return {"id": row["id"], "name": row["name"], "about": " · ".join(filter(None, (row["account"], amount, row["reason"])))}


def _month(content: contents.Facts) -> dict[str, Any]:
    for row in content["cohorts"]:
        row["maturity"] = cohorts.maturity(row["open_share"])
    parts = ((cohorts.REPORT, content["cohorts"]), (customers.REPORT, content["customers"]))
    return {"tables": [{"title": str(report.title), **_table(list(report.columns), rows)} for report, rows in parts]}


def _table(columns: list[Column], rows: list[Row]) -> dict[str, Any]:
    cells = [[{"text": wording.shown(column, row), "is_number": wording.is_number(column)} for column in columns] for row in rows]
    return {"columns": [{"label": capfirst(str(each.label)), "is_number": wording.is_number(each)} for each in columns], "rows": cells}
