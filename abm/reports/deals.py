"""Deals won and lost: win rate, contract value and sales cycle, for all or told apart."""

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm.reports import facts, sql
from abm.reports.contract import Chart, Column, Period, Report, Row, Unit
from crm.models import User

COLUMNS = (
    Column("group", gettext_lazy("group")),
    Column("won", gettext_lazy("won"), Unit.COUNT),
    Column("lost", gettext_lazy("lost"), Unit.COUNT),
    Column("open", gettext_lazy("open"), Unit.COUNT, gettext_lazy("Now, whatever the period.")),
    Column("win_rate", gettext_lazy("win rate"), Unit.SHARE, gettext_lazy("Won of won and lost; open deals do not count.")),
    Column("won_value", gettext_lazy("value won"), Unit.MONEY),
    Column("acv_mean", gettext_lazy("contract value, mean"), Unit.MONEY),
    Column("acv_median", gettext_lazy("contract value, median"), Unit.MONEY),
    Column("cycle_days_won_mean", gettext_lazy("days to win, mean"), Unit.DAYS),
    Column("cycle_days_won_median", gettext_lazy("days to win, median"), Unit.DAYS),
    Column("cycle_days_won_p90", gettext_lazy("days to win, 90 %"), Unit.DAYS, gettext_lazy("Nine of ten took at most so long.")),
    Column("cycle_days_closed_mean", gettext_lazy("days to close, mean"), Unit.DAYS),
    Column("cycle_days_closed_median", gettext_lazy("days to close, median"), Unit.DAYS),
    Column("data_errors", gettext_lazy("data errors"), Unit.COUNT, gettext_lazy("Closed before they began; in no number of days.")),
)


def rows(*, period: Period, user: User, by: str = facts.NONE, currency: str = "EUR") -> list[Row]:
    """Count the deals closed in a period, from the day of the first stage move to that of the win or loss; one query and names."""
    begin, values = facts.with_facts(user, by=by, currency=currency)
    closed, closed_values = facts.within(period, "closed_on")
    judged = (
        "SELECT grp, won, lost, open, CASE WHEN won = 1 THEN amount END AS won_amount, "
        "CASE WHEN cycle_days >= 0 THEN cycle_days END AS closed_days, "
        "CASE WHEN cycle_days >= 0 AND won = 1 THEN cycle_days END AS won_days, "
        "CASE WHEN cycle_days < 0 THEN 1 ELSE 0 END AS is_wrong "
        f"FROM facts WHERE open = 1 OR ({closed})"
    )
    counted = (
        "SELECT grp, SUM(won) AS won, SUM(lost) AS lost, SUM(open) AS open, COALESCE(SUM(won_amount), 0) AS won_value, "
        f"AVG(won_amount) AS acv_mean, {sql.percentile('won_amount', 0.5)} AS acv_median, "
        f"AVG(won_days) AS cycle_days_won_mean, {sql.percentile('won_days', 0.5)} AS cycle_days_won_median, "
        f"{sql.percentile('won_days', 0.9)} AS cycle_days_won_p90, "
        f"AVG(closed_days) AS cycle_days_closed_mean, {sql.percentile('closed_days', 0.5)} AS cycle_days_closed_median, "
        f"SUM(is_wrong) AS data_errors FROM ({judged}) AS judged GROUP BY grp"
    )
    found = facts.named(sql.run(begin + counted, [*values, *closed_values]), by)
    for row in found:
        row["win_rate"] = share(row["won"], row["won"] + row["lost"])
    return found


def share(part: int, whole: int) -> float | None:
    """Give a share, 0 to 1; None of nothing."""
    return part / whole if whole else None


def notes(*, period: Period, user: User, by: str = facts.NONE, currency: str = "EUR") -> Sequence[str]:
    """Say what is left out."""
    return [
        _("Days are whole days of the organisation's zone, from the first stage move to the win or loss."),
        *facts.foreign_note(user, currency),
    ]


REPORT = Report(
    "deals",
    gettext_lazy("Deals won and lost"),
    COLUMNS,
    rows,
    about=gettext_lazy("What was closed in the period: win rate, contract value and sales cycle."),
    choices=(facts.BY, facts.CURRENCY),
    chart=Chart("group", ("won", "lost")),
    notes=notes,
)
