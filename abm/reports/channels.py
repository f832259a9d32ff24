"""Channels: what each costs, whom it brings, what a customer of it is worth, and whether it deserves more money."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Q, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm import policy
from abm.models import BudgetLine
from abm.reports import customers, facts, sql
from abm.reports.contract import Chart, Column, Period, Report, Row, Unit
from abm.reports.deals import share
from abm.reports.facts import RANK
from crm.models import Stage, User

BUDGET = "abm.view_budgetline"
NO_LINES = gettext_lazy(
    "No budget line lies in this period: add what each channel may cost per month, and it can be held against what it brings."
)
COLUMNS = (
    Column("channel", gettext_lazy("channel")),
    Column("leads", gettext_lazy("leads"), Unit.COUNT, gettext_lazy("Deals begun in the period.")),
    Column("mql_to_sql", gettext_lazy("MQL to SQL"), Unit.SHARE),
    Column("win_rate", gettext_lazy("won of closed"), Unit.SHARE, gettext_lazy("Of the deals begun in the period that are closed.")),
    Column("customers", gettext_lazy("new customers"), Unit.COUNT, gettext_lazy("First won in the period by a deal of this channel.")),
    Column("planned", gettext_lazy("planned"), Unit.MONEY),
    Column("actual", gettext_lazy("spent"), Unit.MONEY),
    Column("cac", gettext_lazy("cost of a new customer"), Unit.MONEY),
    Column(
        "cltv",
        gettext_lazy("revenue per customer"),
        Unit.MONEY,
        gettext_lazy("All contracts so far of the customers first won in the period."),
    ),
    Column("ltv_to_cac", gettext_lazy("revenue per customer, of the cost of one"), Unit.RATIO),
    Column(
        "payback_months",
        gettext_lazy("months to payback"),
        Unit.NUMBER,
        gettext_lazy("Cost of a customer by a twelfth of what one buys in the first year."),
    ),
    Column("verdict", gettext_lazy("against the usual")),
    Column("advice", gettext_lazy("advice")),
)


def rows(*, period: Period, user: User, currency: str = "EUR") -> list[Row]:
    """Count each channel; three queries."""
    deals, bought, spent = _deals(period, user, currency), _bought(period, user, currency), _spent(period, currency)
    overall = _counted(_added(deals.values()), _added(bought.values()), _added(spent.values()))
    names = sorted({*deals, *bought, *spent})
    found = [_counted(deals.get(name, {}), bought.get(name, {}), spent.get(name, {})) | {"channel": name or _("unknown")} for name in names]
    return [row | {"verdict": _verdict(row), "advice": _advice(row, overall)} for row in found]


def total(*, period: Period, user: User, currency: str) -> Row:
    """Give the figures of all channels together."""
    parts = _deals(period, user, currency), _bought(period, user, currency), _spent(period, currency)
    deals, bought, spent = (_added(part.values()) for part in parts)
    return _counted(deals, bought, spent)


def _deals(period: Period, user: User, currency: str) -> dict[str, Row]:
    begin, values = facts.with_facts(user, by="source", currency=currency)
    begun, begun_values = facts.within(period, "begun_on")
    mql = RANK[Stage.MQL]
    counted = (
        "SELECT grp AS channel, COUNT(*) AS leads, SUM(won) AS won, SUM(lost) AS lost, "
        f"SUM(CASE WHEN began = {mql} AND reached > {mql} THEN 1 ELSE 0 END) AS mql_on, "
        f"SUM(CASE WHEN began = {mql} AND reached = {mql} AND lost = 1 THEN 1 ELSE 0 END) AS mql_lost "
        f"FROM facts WHERE {begun} GROUP BY grp"
    )
    return {row.pop("channel"): row for row in sql.run(begin + counted, [*values, *begun_values])}


def _bought(period: Period, user: User, currency: str) -> dict[str, Row]:
    begin, values = customers.bought(user, currency=currency, by="source")
    won, won_values = facts.within(period, "first_on")
    counted = (
        "SELECT grp AS channel, COUNT(DISTINCT account_id) AS customers, COALESCE(SUM(amount), 0) AS revenue, "
        f"COALESCE(SUM(CASE WHEN year = 0 THEN amount END), 0) AS first_year FROM bought WHERE {won} GROUP BY grp"
    )
    return {row.pop("channel"): row for row in sql.run(begin + counted, [*values, *won_values])}


def _spent(period: Period, currency: str) -> dict[str, Row]:
    """Add up the budget lines of the months that begin in the period."""
    months = Q() if period.first is None else Q(month__gte=period.first.replace(day=1))
    months &= Q() if period.last is None else Q(month__lte=period.last)
    lines = BudgetLine.objects.filter(months, currency=currency).order_by().values("channel")
    summed: list[Row] = [dict(row) for row in lines.annotate(planned=Sum("planned"), actual=Sum("actual"))]
    return {row.pop("channel"): row for row in summed}


def _added(parts: Any) -> Row:
    """Add figures by name; what nobody knows counts for nothing."""
    found: Row = {}
    for part in parts:
        for name, value in part.items():
            found[name] = found.get(name, 0) + value if value is not None else found.get(name)
    return found


def _counted(deals: Mapping[str, Any], bought: Mapping[str, Any], spent: Mapping[str, Any]) -> Row:
    new, actual = bought.get("customers", 0), spent.get("actual")
    cac = float(actual) / new if actual is not None and new else None
    cltv = float(bought["revenue"]) / new if new else None
    monthly = float(bought["first_year"]) / new / policy.COHORTS.year_months if new else None
    won, lost, on, off = (int(deals.get(name, 0)) for name in ("won", "lost", "mql_on", "mql_lost"))
    return {
        "leads": deals.get("leads", 0),
        "decided": won + lost,
        "mql_decided": on + off,
        "mql_to_sql": share(on, on + off),
        "win_rate": share(won, won + lost),
        "customers": new,
        "planned": spent.get("planned"),
        "actual": actual,
        "cac": cac,
        "cltv": cltv,
        "ltv_to_cac": cltv / cac if cac and cltv is not None else None,
        "payback_months": cac / monthly if cac is not None and monthly else None,
    }


def _verdict(row: Row) -> str:
    """Hold lifetime value of cost against what is usual."""
    ratio, bands = row["ltv_to_cac"], policy.BENCHMARKS
    if ratio is None:
        return ""
    return _("below the usual") if ratio < bands.ltv_to_cac_low else _("above the usual") if ratio > bands.ltv_to_cac_high else _("usual")


def _advice(row: Row, overall: Row) -> str:
    """Say whether a channel deserves more money, and why; or that it loses its leads. Nothing while too few are decided."""
    bands, least = policy.BENCHMARKS, policy.BUDGETS.advice_from_deals
    if row["mql_decided"] >= least and row["mql_to_sql"] <= bands.mql_to_sql_alarm_share:
        return _("alarm: hardly any MQL becomes an SQL")
    if row["mql_decided"] >= least and row["mql_to_sql"] > bands.mql_to_sql_scale_share:
        return _("scale up: MQL to SQL")
    lifted = all(_lifts(row[name], overall[name]) for name in ("win_rate", "cltv"))
    return _("scale up: conversion and revenue per customer") if row["decided"] >= least and lifted else ""


def _lifts(value: float | None, usual: float | None) -> bool:
    return value is not None and bool(usual) and value >= (usual or 0) * (1 + policy.BUDGETS.lift_share)


def notes(*, period: Period, user: User, currency: str = "EUR") -> Sequence[str]:
    """Say what the figures count, and what is lacking for the costs."""
    lacking = [] if _spent(period, currency) else [str(NO_LINES)]
    return [
        *lacking,
        _("Costs are those of the budget lines of the months in the period; a month without a figure of what was spent costs nothing."),
        *facts.foreign_note(user, currency),
    ]


REPORT = Report(
    "channels",
    gettext_lazy("Channels"),
    COLUMNS,
    rows,
    about=gettext_lazy("What each channel costs and brings: cost of a customer, what one is worth, and when it has paid back."),
    choices=(facts.CURRENCY,),
    chart=Chart("channel", ("leads", "customers")),
    notes=notes,
    permission=BUDGET,
)
