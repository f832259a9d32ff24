"""The forecast: what the open deals are worth, weighted by what became of earlier ones, and what of it may be counted on."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm import policy
from abm.models import SalesTarget
from abm.reports import facts, sql
from abm.reports.contract import Chart, Choice, Column, Period, Report, Row, Unit
from abm.reports.facts import RANK, WAY
from abm.reports.funnel import percent
from crm import pipeline
from crm.models import Stage, User

STAGE = "stage"
OPEN = WAY[:-1]
# An amount can be committed only past the gate.
COMMITTED_FROM = RANK[Stage.OPPORTUNITY]
COLUMNS = (
    Column("group", gettext_lazy("group")),
    Column("deals", gettext_lazy("open deals"), Unit.COUNT),
    Column("pipeline", gettext_lazy("pipeline"), Unit.MONEY, gettext_lazy("The amounts of all open deals.")),
    Column("weighted", gettext_lazy("weighted"), Unit.MONEY, gettext_lazy("Each amount times the share of deals won from its stage.")),
    Column("committed", gettext_lazy("committed"), Unit.MONEY, gettext_lazy("Past the gate, and the gate still holds.")),
    Column("broken_deals", gettext_lazy("gate broken, deals"), Unit.COUNT),
    Column("broken", gettext_lazy("gate broken"), Unit.MONEY, gettext_lazy("Past the gate, but a confirmation was withdrawn: in no commitment and in no weighting.")),
    Column("without_amount", gettext_lazy("without amount"), Unit.COUNT),
)  # fmt: skip


def _by(user: User) -> list[tuple[str, str | Promise]]:
    return [(STAGE, gettext_lazy("stage")), *facts.BY.values(user)]


BY = Choice("by", gettext_lazy("told apart by"), _by)


def rows(*, period: Period, user: User, by: str = STAGE, currency: str = "EUR") -> list[Row]:
    """Add up open deals, with a period those expected to close in it; two queries and names."""
    grouped = facts.NONE if by == STAGE else by
    begin, values = facts.with_facts(user, by=grouped, currency=currency)
    closing, closing_values = facts.within(period, "expected_close_on")
    counted = (
        "SELECT grp, stage, is_broken, COUNT(*) AS deals, COALESCE(SUM(amount), 0) AS amount, "
        "SUM(CASE WHEN amount IS NULL AND foreign_amount = 0 THEN 1 ELSE 0 END) AS without_amount "
        f"FROM facts WHERE open = 1 AND {closing} GROUP BY grp, stage, is_broken"
    )
    found = sql.run(begin + counted, [*values, *closing_values])
    chances = won_shares(user)
    if by == STAGE:
        return [_sum([row for row in found if row["stage"] == stage], chances) | {"group": str(stage.label)} for stage in OPEN]
    groups = dict.fromkeys(row["grp"] for row in found)
    summed = [_sum([row for row in found if row["grp"] == key], chances) | {"grp": key} for key in groups]
    return facts.named(summed, by)


def _sum(parts: Sequence[Row], chances: Mapping[str, float]) -> Row:
    """Add the parts of one group up; what a broken gate holds up stands apart."""
    firm = [part for part in parts if not part["is_broken"]]
    broken = [part for part in parts if part["is_broken"]]
    return {
        "deals": sum(part["deals"] for part in parts),
        "pipeline": sum(part["amount"] for part in parts),
        "weighted": sum(float(part["amount"]) * chances[part["stage"]] for part in firm),
        "committed": sum(part["amount"] for part in firm if RANK[Stage(part["stage"])] >= COMMITTED_FROM),
        "committed_deals": sum(part["deals"] for part in firm if RANK[Stage(part["stage"])] >= COMMITTED_FROM),
        "broken_deals": sum(part["deals"] for part in broken),
        "broken": sum(part["amount"] for part in broken),
        "without_amount": sum(part["without_amount"] for part in parts),
    }


def won_shares(user: User) -> dict[str, float]:
    """Give for each open stage the share of the decided deals that were won from it; one query.

    While few are decided the policy's number stands in: the figures of a user may then differ from a colleague's.
    """
    return {
        stage: own if decided >= policy.FORECAST.own_history_deals else assumed(stage) for stage, (own, decided) in history(user).items()
    }


def history(user: User) -> dict[str, tuple[float, int]]:
    """Give for each open stage the share won of the decided deals that came that far, and how many those are."""
    begin, values = facts.with_facts(user)
    passed = {stage: f"began <= {RANK[stage]} AND reached >= {RANK[stage]}" for stage in OPEN}
    sums = ", ".join(
        f"SUM(CASE WHEN {came} THEN won ELSE 0 END) AS {stage.value}_won, SUM(CASE WHEN {came} THEN won + lost ELSE 0 END) AS {stage.value}_decided"
        for stage, came in passed.items()
    )
    [row] = sql.run(f"{begin} SELECT {sums} FROM facts", values)
    counts = {stage: (int(row[f"{stage.value}_won"] or 0), int(row[f"{stage.value}_decided"] or 0)) for stage in OPEN}
    return {stage.value: (won / decided if decided else 0.0, decided) for stage, (won, decided) in counts.items()}


def assumed(stage: str) -> float:
    """Give the policy's share of deals that are won from a stage."""
    return float(getattr(policy.FORECAST, f"{stage}_won_share"))


def target(*, period: Period, user: User, currency: str) -> SalesTarget | None:
    """Give what is to be sold in this quarter, as far as it was set."""
    first, _following = pipeline.quarter_of(period.today)
    return SalesTarget.objects.of(user).filter(quarter=first, currency=currency).first()


def coverage(*, period: Period, user: User, currency: str) -> dict[str, Any] | None:
    """Hold the open pipeline of this quarter against what of the target is still to be won; None without a target.

    pipeline, target, won: money; still: what is left to win, at least 0; ratio: pipeline of it, None when nothing is left.
    """
    first, following = pipeline.quarter_of(period.today)
    goal = target(period=period, user=user, currency=currency)
    if goal is None:
        return None
    begin, values = facts.with_facts(user, currency=currency)
    sums = (
        "SELECT COALESCE(SUM(CASE WHEN won = 1 AND closed_on >= %s AND closed_on < %s THEN amount END), 0) AS won, "
        "COALESCE(SUM(CASE WHEN open = 1 AND is_broken = 0 AND expected_close_on < %s THEN amount END), 0) AS pipeline FROM facts"
    )
    [row] = sql.run(begin + sums, [*values, first, following, following])
    still = max(Decimal(0), goal.amount - Decimal(str(row["won"])))
    return {**row, "target": goal.amount, "still": still, "ratio": float(row["pipeline"]) / float(still) if still else None}


def bridge(*, period: Period, user: User, currency: str, now: float, before: float | None) -> dict[str, float | None]:
    """Explain a pipeline's difference to that before a period: what began and what was closed; the rest is amounts that changed.

    The parts add up to the difference exactly: the last one is what the others leave, None without a figure before.
    """
    begin, values = facts.with_facts(user, currency=currency)
    begun, begun_values = facts.within(period, "begun_on")
    closed, closed_values = facts.within(period, "closed_on")
    # Among deals that are closed now, one that also began in the period never was in either pipeline.
    was_there = f"{closed} AND NOT ({begun})"
    sums = (
        f"SELECT COALESCE(SUM(CASE WHEN open = 1 AND {begun} THEN amount END), 0) AS begun, "
        f"COALESCE(SUM(CASE WHEN won = 1 AND {was_there} THEN amount END), 0) AS won, "
        f"COALESCE(SUM(CASE WHEN lost = 1 AND {was_there} THEN amount END), 0) AS lost FROM facts"
    )
    closed_before = [*closed_values, *begun_values]
    [row] = sql.run(begin + sums, [*values, *begun_values, *closed_before, *closed_before])
    parts = {name: float(value) for name, value in row.items()}
    changed = None if before is None else round(now - before - parts["begun"] + parts["won"] + parts["lost"], 2)
    return {"before": before, **parts, "changed": changed, "now": now}


def notes(*, period: Period, user: User, by: str = STAGE, currency: str = "EUR") -> Sequence[str]:
    """Say with what the amounts are weighted, and what is left out."""
    told = []
    for stage, (own, decided) in history(user).items():
        is_own = decided >= policy.FORECAST.own_history_deals
        words = _("%(stage)s: %(share)s, own history of %(decided)s deals") if is_own else _("%(stage)s: %(share)s, assumed")
        share = percent(round(own, 4) if is_own else assumed(stage))
        told.append(words % {"stage": Stage(stage).label, "share": share, "decided": number_format(decided, force_grouping=True)})
    return [
        _("Weighted with the share won from each stage: %(shares)s.") % {"shares": "; ".join(told)},
        *facts.foreign_note(user, currency),
    ]


REPORT = Report(
    "forecast",
    gettext_lazy("Forecast"),
    COLUMNS,
    rows,
    about=gettext_lazy(
        "The open deals, with a period those expected to close in it: pipeline, weighted, committed, and what a broken gate holds up."
    ),
    choices=(BY, facts.CURRENCY),
    chart=Chart("group", ("pipeline", "weighted", "committed")),
    notes=notes,
)
