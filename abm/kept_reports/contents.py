"""What a kept report holds: figures by their codes, in no language, as JSON whose bytes never change."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django.db.models import F, Q

from abm.models import ReportSnapshot
from abm.reports import cohorts, customers, facts, forecast, key_figures
from abm.reports.contract import Period, Row, Unit, rounded
from crm.models import Opportunity, Stage, StageMove, User

Facts = dict[str, Any]
# So many deals are named of each kind; the sums count all of them.
NAMED = 8
MONTHS = 12


def written(content: Facts) -> str:
    """Write content so that equal content has equal bytes."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read(snapshot: ReportSnapshot) -> Facts:
    """Read what a kept report holds."""
    found: Facts = json.loads(snapshot.content)
    return found


def of(kind: str, *, user: User, first: date, last: date, today: date, before: ReportSnapshot | None) -> Facts:
    """Compute the content of one reader's report over what this reader sees."""
    currency = facts.currencies(user)[0][0]
    period = Period(today, first, last)
    if kind == ReportSnapshot.Kind.WEEKLY:
        return _weekly(period, user, currency, read(before) if before else None)
    return _monthly(period, user, currency)


def _weekly(period: Period, user: User, currency: str, before: Facts | None) -> Facts:
    earlier = {row["figure"]: row["value"] for row in before["figures"]} if before else {}
    names = ("figure", "value", "unit", "low", "high", "deals")
    figures = [{name: row[name] for name in names} for row in key_figures.rows(period=period, user=user, currency=currency)]
    for row in figures:
        row["value"] = _plain(row["value"], Unit(row["unit"]))
        row["before"] = earlier.get(row["figure"])
    now = next(row["value"] for row in figures if row["figure"] == "pipeline")
    return {
        "currency": currency,
        "figures": figures,
        "pipeline": _plain_all(forecast.bridge(period=period, user=user, currency=currency, now=now, before=earlier.get("pipeline"))),
        "deals": _named_deals(period, user),
        "has_before": before is not None,
    }


def _plain_all(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value, Unit.MONEY) for name, value in parts.items()}


def _plain(value: Any, unit: Unit) -> Any:
    value = rounded(value, unit)
    return float(value) if value is not None and not isinstance(value, int | float | str) else value


def _named_deals(period: Period, user: User) -> dict[str, list[Row]]:
    """Name the largest deals that began, were won or lost in the period, and those whose gate is broken now."""
    moves = StageMove.objects.visible_to(user).order_by().annotate(day=F("moved_at__date"))
    moves = moves.filter(Q(day__gte=period.first) & Q(day__lte=period.last)) if period.first and period.last else moves
    seen = Opportunity.objects.visible_to(user)
    return {
        "won": _largest(seen.won().filter(pk__in=moves.filter(to_stage=Stage.WON).values("opportunity"))),
        "lost": _largest(seen.lost().filter(pk__in=moves.filter(to_stage=Stage.LOST).values("opportunity"))),
        "begun": _largest(seen.filter(pk__in=moves.filter(from_stage="").values("opportunity"))),
        "broken": _largest(seen.open().gate_broken()),
    }


def _largest(deals: Any) -> list[Row]:
    rows = deals.order_by(F("amount").desc(nulls_last=True), "pk").values(
        "pk", "name", "amount", "currency", "account__name", "lost_reason"
    )
    return [
        {
            "id": row["pk"],
            "name": row["name"],
            "account": row["account__name"] or "",
            "amount": None if row["amount"] is None else float(row["amount"]),
            "currency": row["currency"],
            "reason": row["lost_reason"],
        }
        for row in rows[:NAMED]
    ]


def _monthly(period: Period, user: User, currency: str) -> Facts:
    """Give the cohorts of the twelve months that end with this one."""
    first = period.first or period.today
    year = Period(period.today, _months_earlier(first, MONTHS - 1), period.last)
    return {
        "currency": currency,
        "cohorts": _figures(cohorts.REPORT.columns, cohorts.rows(period=year, user=user, currency=currency), leave=("maturity",)),
        "customers": _figures(customers.REPORT.columns, customers.rows(period=year, user=user, currency=currency)),
    }


def _months_earlier(day: date, months: int) -> date:
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def _figures(columns: Any, rows: Sequence[Mapping[str, Any]], *, leave: tuple[str, ...] = ()) -> list[Row]:
    return [{column.name: _plain(row.get(column.name), column.unit) for column in columns if column.name not in leave} for row in rows]
