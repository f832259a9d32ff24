"""The key figures of sales on one page, each beside what is usual."""

from collections.abc import Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm import policy
from abm.reports import channels, deals, facts, forecast, funnel, sql
from abm.reports.contract import Column, Period, Report, Row, Unit
from abm.reports.deals import share
from abm.reports.facts import RANK
from crm.models import Stage, User

COLUMNS = (
    Column("figure", gettext_lazy("code"), is_code=True),
    Column("label", gettext_lazy("figure")),
    Column("value", gettext_lazy("value"), Unit.BY_ROW),
    Column("low", gettext_lazy("usual from"), Unit.BY_ROW),
    Column("high", gettext_lazy("usual to"), Unit.BY_ROW),
    Column("verdict", gettext_lazy("against the usual")),
    Column("deals", gettext_lazy("deals counted"), Unit.COUNT),
)


NO_TARGET = gettext_lazy("No sales target stands for this quarter: set one, and it is said how far the pipeline covers it.")
# What each figure is called, by its code.
LABELS: dict[str, Promise] = {
    "mql_to_sql": gettext_lazy("MQL to SQL"),
    "lead_to_opportunity": gettext_lazy("lead to opportunity"),
    "opportunity_to_won": gettext_lazy("opportunity to won"),
    "win_rate": gettext_lazy("win rate"),
    "acv_mean": gettext_lazy("contract value, mean"),
    "acv_median": gettext_lazy("contract value, median"),
    "won_value": gettext_lazy("value won"),
    "cycle_days_won_median": gettext_lazy("days to win, median"),
    "cycle_days_won_p90": gettext_lazy("days to win, 90 %"),
    "data_errors": gettext_lazy("deals closed before they began"),
    "pipeline": gettext_lazy("pipeline"),
    "weighted": gettext_lazy("weighted forecast"),
    "committed": gettext_lazy("committed forecast"),
    "broken": gettext_lazy("held up by a broken gate"),
    "target_coverage": gettext_lazy("pipeline of what the quarter's target still needs"),
    "cac": gettext_lazy("cost of a new customer"),
    "cltv": gettext_lazy("revenue per customer"),
    "ltv_to_cac": gettext_lazy("revenue per customer, of the cost of one"),
}


def _figure(code: str, value: Any, unit: Unit, counted: int | None = None, *, low: float | None = None, high: float | None = None) -> Row:
    known = {"figure": code, "label": str(LABELS[code]), "value": value, "unit": unit.value, "deals": counted, "low": low, "high": high}
    return known | {"verdict": verdict(known)}


def verdict(figure: Row) -> str:
    """Say on which side of what is usual a figure lies; empty where nothing is usual or nothing is known."""
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None or low is None or high is None:
        return ""
    if figure["figure"] == "mql_to_sql":
        return funnel.verdict(Stage.MQL, value)
    return _("below the usual") if value < low else _("above the usual") if value > high else _("usual")


def rows(*, period: Period, user: User, currency: str = "EUR") -> list[Row]:
    """Give the key figures: the way through the funnel of deals begun in the period, those closed in it, and what is open now."""
    [closed] = deals.rows(period=period, user=user, currency=currency) or [dict.fromkeys(column.name for column in deals.COLUMNS)]
    return [
        *_of_the_way(_way(period, user)),
        *_of_the_closed(closed),
        *_of_the_open(period, user, currency),
        *_of_the_customers(period, user, currency),
    ]


def _way(period: Period, user: User) -> dict[str, int]:
    """Count the deals begun in a period that moved on, or were lost, before the opportunity and after it."""
    begin, values = facts.with_facts(user)
    begun, begun_values = facts.within(period, "begun_on")
    mql, gate = RANK[Stage.MQL], RANK[Stage.OPPORTUNITY]
    conditions = {
        "mql_on": f"began = {mql} AND reached > {mql}",
        "mql_lost": f"began = {mql} AND reached = {mql} AND lost = 1",
        "lead_on": f"began < {gate} AND reached >= {gate}",
        "lead_lost": f"began < {gate} AND reached < {gate} AND lost = 1",
        "gate_won": f"began <= {gate} AND reached >= {gate} AND won = 1",
        "gate_lost": f"began <= {gate} AND reached >= {gate} AND lost = 1",
    }
    sums = ", ".join(f"SUM(CASE WHEN {condition} THEN 1 ELSE 0 END) AS {name}" for name, condition in conditions.items())
    [row] = sql.run(f"{begin} SELECT {sums} FROM facts WHERE {begun}", [*values, *begun_values])
    return {name: int(count or 0) for name, count in row.items()}


def _of_the_way(way: dict[str, int]) -> list[Row]:
    bands = policy.BENCHMARKS
    steps = (
        ("mql_to_sql", "mql_on", "mql_lost", bands.mql_to_sql_alarm_share, bands.mql_to_sql_scale_share),
        ("lead_to_opportunity", "lead_on", "lead_lost", bands.lead_to_opportunity_low_share, bands.lead_to_opportunity_high_share),
        ("opportunity_to_won", "gate_won", "gate_lost", bands.opportunity_to_won_low_share, bands.opportunity_to_won_high_share),
    )
    found = []
    for code, on, lost, low, high in steps:
        decided = way[on] + way[lost]
        found.append(_figure(code, share(way[on], decided), Unit.SHARE, decided, low=low, high=high))
    return found


def _of_the_closed(closed: Row) -> list[Row]:
    bands, won = policy.BENCHMARKS, closed["won"]
    return [
        _figure("win_rate", closed["win_rate"], Unit.SHARE, (won or 0) + (closed["lost"] or 0)),
        *(_figure(code, closed[code], Unit.MONEY, won) for code in ("acv_mean", "acv_median", "won_value")),
        _figure(
            "cycle_days_won_median", closed["cycle_days_won_median"], Unit.DAYS, won, low=bands.cycle_low_days, high=bands.cycle_high_days
        ),
        _figure("cycle_days_won_p90", closed["cycle_days_won_p90"], Unit.DAYS, won),
        _figure("data_errors", closed["data_errors"], Unit.COUNT),
    ]


def _of_the_open(period: Period, user: User, currency: str) -> list[Row]:
    """Give what is open today, whatever the period, and how far it covers this quarter's target."""
    stages = forecast.rows(period=Period(period.today), user=user, currency=currency)
    summed = {name: sum(row[name] for row in stages) for row in stages[:1] for name in row if name != "group"}
    counted = {"pipeline": summed["deals"], "weighted": summed["deals"] - summed["broken_deals"]}
    counted |= {code: summed[f"{code}_deals"] for code in ("committed", "broken")}
    found = [_figure(code, summed[code], Unit.MONEY, deals) for code, deals in counted.items()]
    cover, bands = forecast.coverage(period=period, user=user, currency=currency), policy.BENCHMARKS
    ratio = cover["ratio"] if cover else None
    return [*found, _figure("target_coverage", ratio, Unit.RATIO, low=bands.coverage_low, high=bands.coverage_high)]


def _of_the_customers(period: Period, user: User, currency: str) -> list[Row]:
    """Give lifetime value against the cost of a customer, to who may see the budget."""
    if not channels.REPORT.is_open_to(user):
        return []
    total, bands = channels.total(period=period, user=user, currency=currency), policy.BENCHMARKS
    counted = total["customers"]
    return [
        *(_figure(code, total[code], Unit.MONEY, counted) for code in ("cac", "cltv")),
        _figure("ltv_to_cac", total["ltv_to_cac"], Unit.RATIO, counted, low=bands.ltv_to_cac_low, high=bands.ltv_to_cac_high),
    ]


def notes(*, period: Period, user: User, currency: str = "EUR") -> Sequence[str]:
    """Say what the figures count."""
    counted = _(
        "Conversions: deals begun in the period and decided. Win rate, values and days: deals closed in it. Pipeline and forecast: open today."
    )
    aimed = forecast.target(period=period, user=user, currency=currency) is not None
    return [counted, *([] if aimed else [str(NO_TARGET)]), *facts.foreign_note(user, currency)]


REPORT = Report(
    "key-figures",
    gettext_lazy("Key figures"),
    COLUMNS,
    rows,
    about=gettext_lazy("What a sales meeting looks at, each figure beside what is usual."),
    choices=(facts.CURRENCY,),
    notes=notes,
)
