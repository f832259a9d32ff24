"""Reports: the register of all of them, and the one way to ask one."""

from collections.abc import Iterable
from datetime import date

from django.utils.translation import gettext as _

from abm.reports import attribution, budget, channels, cohorts, customers, deals, forecast, funnel, hybrid, key_figures
from abm.reports.contract import Chart, Choice, Column, Period, Report, Row, Table, Unit, ask
from crm.errors import CrmError
from crm.models import User

__all__ = ["Chart", "Choice", "Column", "NoSuchReport", "Period", "Report", "Row", "Table", "Unit", "ask", "find", "open_to", "period_of"]

# One line each; the order is that of the pages.
REPORTS: dict[str, Report] = {
    report.slug: report
    for report in (
        key_figures.REPORT,
        funnel.REPORT,
        deals.REPORT,
        forecast.REPORT,
        cohorts.REPORT,
        customers.REPORT,
        channels.REPORT,
        attribution.REPORT,
        budget.REPORT,
        hybrid.REPORT,
    )
}


class NoSuchReport(CrmError):
    """Nobody knows a report of this name, or this user may not see it."""

    code = "not_found"


def open_to(user: User) -> Iterable[Report]:
    """Give the reports that a user may look at."""
    return [report for report in REPORTS.values() if report.is_open_to(user)]


def find(slug: str, user: User) -> Report:
    """Give a report by name; raises NoSuchReport, with the names there are."""
    report = REPORTS.get(slug)
    if report is None or not report.is_open_to(user):
        names = ", ".join(each.slug for each in open_to(user))
        raise NoSuchReport(_("There is no report '%(name)s'. There are: %(names)s.") % {"name": slug, "names": names})
    return report


def period_of(first: date | None, last: date | None, *, today: date) -> Period:
    """Make a period; raises Invalid when it ends before it begins."""
    return Period(today, first, last)
