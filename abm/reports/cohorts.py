"""Cohorts by the month of first contact: what became of the deals that began in it, and how ripe that figure is."""

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm import policy
from abm.reports import facts, sql
from abm.reports.contract import Chart, Column, Period, Report, Row, Unit
from abm.reports.deals import share
from crm.models import User

COLUMNS = (
    Column("month", gettext_lazy("month of first contact"), Unit.MONTH),
    Column("engaged", gettext_lazy("began"), Unit.COUNT),
    Column("won", gettext_lazy("won"), Unit.COUNT),
    Column("lost", gettext_lazy("lost"), Unit.COUNT),
    Column("open", gettext_lazy("open"), Unit.COUNT),
    Column(
        "open_share",
        gettext_lazy("still open"),
        Unit.SHARE,
        gettext_lazy("The more are open, the more the other figures can still change."),
    ),
    Column("maturity", gettext_lazy("maturity")),
    Column("win_rate_closed", gettext_lazy("won of closed"), Unit.SHARE),
    Column("won_share_of_cohort", gettext_lazy("won of all"), Unit.SHARE),
    Column("won_value", gettext_lazy("value won"), Unit.MONEY),
)


def rows(*, period: Period, user: User, currency: str = "EUR") -> list[Row]:
    """Count deals by the month of their first dated stage move; one query."""
    begin, values = facts.with_facts(user, currency=currency)
    begun, begun_values = facts.within(period, "begun_on")
    counted = (
        f"SELECT {sql.month('begun_on')} AS month, COUNT(*) AS engaged, SUM(won) AS won, SUM(lost) AS lost, SUM(open) AS open, "
        "COALESCE(SUM(CASE WHEN won = 1 THEN amount END), 0) AS won_value "
        f"FROM facts WHERE begun_on IS NOT NULL AND {begun} GROUP BY 1 ORDER BY 1"
    )
    return [
        row
        | {
            "open_share": row["open"] / row["engaged"],
            "maturity": maturity(row["open"] / row["engaged"]),
            "win_rate_closed": share(row["won"], row["won"] + row["lost"]),
            "won_share_of_cohort": row["won"] / row["engaged"],
        }
        for row in sql.run(begin + counted, [*values, *begun_values])
    ]


def maturity(open_share: float) -> str:
    """Say whether so few are open that the cohort's figures hardly change any more."""
    if open_share == 0:
        return _("closed")
    return _("ripe") if open_share <= policy.COHORTS.ripe_open_share else _("not ripe yet")


def notes(*, period: Period, user: User, currency: str = "EUR") -> Sequence[str]:
    """Say what is left out."""
    return [_("A deal without a dated stage move is in no cohort."), *facts.foreign_note(user, currency)]


REPORT = Report(
    "cohorts",
    gettext_lazy("Cohorts of first contact"),
    COLUMNS,
    rows,
    about=gettext_lazy("What became of the deals that began in each month."),
    choices=(facts.CURRENCY,),
    chart=Chart("month", ("won", "lost", "open")),
    notes=notes,
)
