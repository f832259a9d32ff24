"""The funnel: of the deals that began in a period, how many came how far, how long each step took, and where they were lost."""

from collections.abc import Sequence
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm import policy
from abm.reports import facts, sql
from abm.reports.contract import Chart, Column, Period, Report, Row, Unit
from abm.reports.deals import share
from abm.reports.facts import RANK, WAY
from crm.models import Stage, User

COLUMNS = (
    Column("group", gettext_lazy("group")),
    Column("stage", gettext_lazy("code"), is_code=True),
    Column("stage_label", gettext_lazy("stage")),
    Column("entered", gettext_lazy("entered"), Unit.COUNT, gettext_lazy("Deals with a stage move into it.")),
    Column("passed", gettext_lazy("came this far"), Unit.COUNT, gettext_lazy("Entered it, or passed it by on the way further.")),
    Column("moved_on", gettext_lazy("moved on"), Unit.COUNT),
    Column("lost", gettext_lazy("lost here"), Unit.COUNT),
    Column("open", gettext_lazy("open here"), Unit.COUNT),
    Column(
        "conversion", gettext_lazy("conversion"), Unit.SHARE, gettext_lazy("Moved on, of moved on and lost here; open deals do not count.")
    ),
    Column("benchmark", gettext_lazy("usual")),
    Column("verdict", gettext_lazy("against the usual")),
    Column("days_median", gettext_lazy("days, median"), Unit.DAYS, gettext_lazy("From entering this stage to entering the next one.")),
    Column("days_p90", gettext_lazy("days, 90 %"), Unit.DAYS, gettext_lazy("Nine of ten took at most so long.")),
    Column(
        "data_errors", gettext_lazy("data errors"), Unit.COUNT, gettext_lazy("The next stage was entered earlier; in no number of days.")
    ),
)


def rows(*, period: Period, user: User, by: str = facts.NONE) -> list[Row]:
    """Count the stages of the deals begun in a period, from stage moves alone; one query and names."""
    begin, values = facts.with_facts(user, by=by)
    begun, begun_values = facts.within(period, "begun_on")
    steps = ", ".join(_days_of(stage) for stage in WAY[:-1])
    judged = f"SELECT facts.*, {steps} FROM facts WHERE {begun}"
    columns = ", ".join(column for stage in WAY for column in _columns_of(stage))
    counted = f"SELECT grp, {columns} FROM ({judged}) AS judged GROUP BY grp"
    groups = facts.named(sql.run(begin + counted, [*values, *begun_values]), by)
    return [_row(group, stage) for group in groups for stage in WAY]


def _days_of(stage: Stage) -> str:
    """Give the days that a deal spent on the step from a stage to the next that it entered."""
    later = ", ".join(f"{each.value}_on" for each in WAY[RANK[stage] :])
    following = f"COALESCE({later})" if "," in later else later
    return f"{sql.days_between(f'{stage.value}_on', following)} AS {stage.value}_days"


def _columns_of(stage: Stage) -> list[str]:
    name, rank = stage.value, RANK[stage]
    passed = f"began <= {rank} AND reached >= {rank}"
    found = {
        "passed": passed,
        "entered": passed if stage is Stage.WON else f"has_{name} = 1",
        "moved_on": f"began <= {rank} AND reached > {rank}",
        "lost": f"{passed} AND reached = {rank} AND lost = 1",
        "open": f"{passed} AND reached = {rank} AND open = 1",
    }
    counts = [f"SUM(CASE WHEN {condition} THEN 1 ELSE 0 END) AS {name}_{what}" for what, condition in found.items()]
    if stage is Stage.WON:
        return counts
    right = f"CASE WHEN {name}_days >= 0 THEN {name}_days END"
    return [
        *counts,
        f"{sql.percentile(right, 0.5)} AS {name}_median",
        f"{sql.percentile(right, 0.9)} AS {name}_p90",
        f"SUM(CASE WHEN {name}_days < 0 THEN 1 ELSE 0 END) AS {name}_errors",
    ]


def _row(group: dict[str, Any], stage: Stage) -> Row:
    def of(what: str) -> Any:
        return group.get(f"{stage.value}_{what}")

    is_end = stage is Stage.WON
    conversion = None if is_end else share(of("moved_on"), of("moved_on") + of("lost"))
    return {
        "group": group["group"],
        "stage": stage.value,
        "stage_label": str(stage.label),
        **{what: of(what) for what in ("entered", "passed")},
        **{what: None if is_end else of(what) for what in ("moved_on", "lost", "open")},
        "conversion": conversion,
        "benchmark": benchmark(stage),
        "verdict": verdict(stage, conversion),
        "days_median": of("median"),
        "days_p90": of("p90"),
        "data_errors": of("errors"),
    }


def percent(value: float) -> str:
    """Write a share as people read it."""
    return f"{number_format(f'{value * 100:g}')} %"


def benchmark(stage: Stage) -> str:
    """Say what is usual for the step that begins in a stage; empty for a step that nobody has a figure of."""
    bands = policy.BENCHMARKS
    if stage is Stage.MQL:
        return _("alarm at %(alarm)s, scale above %(scale)s") % {
            "alarm": percent(bands.mql_to_sql_alarm_share),
            "scale": percent(bands.mql_to_sql_scale_share),
        }
    return ""


def verdict(stage: Stage, conversion: float | None) -> str:
    """Hold the conversion of MQLs against the usual; empty for other stages and for nothing decided."""
    if stage != Stage.MQL or conversion is None:
        return ""
    if conversion <= policy.BENCHMARKS.mql_to_sql_alarm_share:
        return _("alarm")
    return _("scale up") if conversion > policy.BENCHMARKS.mql_to_sql_scale_share else _("usual")


def notes(*, period: Period, user: User, by: str = facts.NONE) -> Sequence[str]:
    """Say what the figures count."""
    counted = _(
        "Deals whose first stage move lies in the period; from stage moves alone. A deal without a dated move counts only without a period."
    )
    return [counted]


REPORT = Report(
    "funnel",
    gettext_lazy("Funnel"),
    COLUMNS,
    rows,
    about=gettext_lazy("How far the deals that began in the period came, and how long each step took."),
    choices=(facts.BY,),
    chart=Chart("stage_label", ("passed",)),
    notes=notes,
)
