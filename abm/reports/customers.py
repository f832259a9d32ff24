"""Customers by the month of their first win: what they bought in each year since, and what a customer is worth in all."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm import policy
from abm.reports import facts, sql
from abm.reports.contract import Chart, Column, Period, Report, Row, Unit
from abm.reports.deals import share
from crm.models import DealKind, User

COLUMNS = (
    Column("month", gettext_lazy("month of first win"), Unit.MONTH),
    Column("customers", gettext_lazy("customers"), Unit.COUNT),
    Column("revenue", gettext_lazy("revenue so far"), Unit.MONEY),
    Column("cltv", gettext_lazy("revenue per customer"), Unit.MONEY, gettext_lazy("All contracts so far: what a customer has been worth.")),
    Column("first_year", gettext_lazy("first year"), Unit.MONEY),
    Column("second_year", gettext_lazy("second year"), Unit.MONEY),
    Column("ripe_customers", gettext_lazy("customers with two whole years"), Unit.COUNT),
    Column(
        "nrr",
        gettext_lazy("net revenue retention"),
        Unit.RATIO,
        gettext_lazy("Second year of first year, of customers with two whole years."),
    ),
    Column(
        "retained",
        gettext_lazy("bought again"),
        Unit.SHARE,
        gettext_lazy("Customers who bought in the second year, of those with two whole years."),
    ),
    *(Column(f"revenue_{kind.value}", kind.label, Unit.MONEY) for kind in DealKind),
)


def bought(user: User, *, currency: str, by: str = facts.NONE) -> tuple[str, list[Any]]:
    """Give a WITH clause that ends in `bought`: each contract won, with its customer's first win and the year since then, from 0.

    grp is the group of the customer's first win.
    """
    begin, values = facts.with_facts(user, by=by, currency=currency)
    months = sql.months_between("firsts.first_on", "wins.won_on")
    return (
        f"{begin}, wins AS (SELECT id, account_id, grp, kind, won_on, amount FROM facts WHERE won = 1 AND won_on IS NOT NULL), "
        "ranked AS (SELECT account_id, grp, won_on, ROW_NUMBER() OVER (PARTITION BY account_id ORDER BY won_on, id) AS place FROM wins), "
        "firsts AS (SELECT account_id, grp, won_on AS first_on FROM ranked WHERE place = 1), "
        "bought AS (SELECT firsts.account_id, firsts.grp, firsts.first_on, wins.kind, wins.amount, "
        f"{months} / {policy.COHORTS.year_months} AS year FROM wins JOIN firsts ON firsts.account_id = wins.account_id) ",
        values,
    )


def rows(*, period: Period, user: User, currency: str = "EUR") -> list[Row]:
    """Add up the contracts of the customers first won in a period; one query."""
    begin, values = bought(user, currency=currency)
    won, won_values = facts.within(period, "first_on")
    is_ripe = f"{sql.months_between('first_on', sql.day())} >= {2 * policy.COHORTS.year_months}"
    kinds = ", ".join(f"SUM(CASE WHEN kind = '{kind.value}' THEN amount ELSE 0 END) AS revenue_{kind.value}" for kind in DealKind)
    judged = f"SELECT bought.*, CASE WHEN {is_ripe} THEN 1 ELSE 0 END AS is_ripe FROM bought WHERE {won}"
    today = [period.today] * is_ripe.count("%s")
    counted = (
        f"SELECT {sql.month('first_on')} AS month, COUNT(DISTINCT account_id) AS customers, COALESCE(SUM(amount), 0) AS revenue, "
        "COALESCE(SUM(CASE WHEN year = 0 THEN amount END), 0) AS first_year, "
        "COALESCE(SUM(CASE WHEN year = 1 THEN amount END), 0) AS second_year, "
        "COUNT(DISTINCT CASE WHEN is_ripe = 1 THEN account_id END) AS ripe_customers, "
        "COALESCE(SUM(CASE WHEN is_ripe = 1 AND year = 0 THEN amount END), 0) AS ripe_first, "
        "COALESCE(SUM(CASE WHEN is_ripe = 1 AND year = 1 THEN amount END), 0) AS ripe_second, "
        "COUNT(DISTINCT CASE WHEN is_ripe = 1 AND year = 1 THEN account_id END) AS came_back, "
        f"{kinds} FROM ({judged}) AS judged GROUP BY 1 ORDER BY 1"
    )
    found = sql.run(begin + counted, [*values, *today, *won_values])
    return [row | _ratios(row) for row in found]


def _ratios(row: Row) -> Row:
    return {
        "cltv": row["revenue"] / row["customers"],
        "nrr": float(row["ripe_second"]) / float(row["ripe_first"]) if row["ripe_first"] else None,
        "retained": share(row["came_back"], row["ripe_customers"]),
    }


def notes(*, period: Period, user: User, currency: str = "EUR") -> Sequence[str]:
    """Say what the figures count."""
    return [
        _("Contracts are the deals won, by their kind; an amount counts in the year, from the customer's first win, in which it was won."),
        *facts.foreign_note(user, currency),
    ]


REPORT = Report(
    "customers",
    gettext_lazy("Cohorts of customers"),
    COLUMNS,
    rows,
    about=gettext_lazy("What the customers first won in each month bought since: retention, and revenue per customer."),
    choices=(facts.CURRENCY,),
    chart=Chart("month", ("first_year", "second_year")),
    notes=notes,
)
