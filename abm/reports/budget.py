"""The budget: what goes to what is proven, to what is being scaled up and to experiments, planned and spent, against the shares meant."""

from django.db.models import Q, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm import policy
from abm.models import BudgetLine
from abm.reports import facts
from abm.reports.channels import BUDGET, NO_LINES
from abm.reports.contract import Chart, Column, Period, Report, Row, Unit
from crm.models import User

COLUMNS = (
    Column("purpose", gettext_lazy("code"), is_code=True),
    Column("label", gettext_lazy("purpose")),
    Column("planned", gettext_lazy("planned"), Unit.MONEY),
    Column("actual", gettext_lazy("spent"), Unit.MONEY),
    Column("meant_share", gettext_lazy("share meant"), Unit.SHARE),
    Column("planned_share", gettext_lazy("share planned"), Unit.SHARE),
    Column("actual_share", gettext_lazy("share spent"), Unit.SHARE),
    Column("verdict", gettext_lazy("against what is meant")),
)


def rows(*, period: Period, user: User, currency: str = "EUR") -> list[Row]:
    """Add up the budget lines by purpose; one query. Nothing while there are none."""
    months = Q() if period.first is None else Q(month__gte=period.first.replace(day=1))
    months &= Q() if period.last is None else Q(month__lte=period.last)
    lines = BudgetLine.objects.filter(months, currency=currency).order_by().values("purpose")
    found: dict[str, Row] = {row["purpose"]: dict(row) for row in lines.annotate(planned=Sum("planned"), actual=Sum("actual"))}
    planned, actual = (sum(row[name] or 0 for row in found.values()) for name in ("planned", "actual"))
    return [_row(purpose, found.get(purpose.value, {}), planned, actual) for purpose in BudgetLine.Purpose] if found else []


def _row(purpose: BudgetLine.Purpose, sums: Row, planned: float, actual: float) -> Row:
    meant = float(getattr(policy.BUDGETS, f"{purpose.value}_share"))
    of_planned = float(sums.get("planned") or 0) / float(planned) if planned else None
    of_actual = float(sums.get("actual") or 0) / float(actual) if actual else None
    shares = {"meant_share": meant, "planned_share": of_planned, "actual_share": of_actual}
    known = {"purpose": purpose.value, "label": str(purpose.label), "planned": sums.get("planned") or 0, "actual": sums.get("actual")}
    return known | shares | {"verdict": _verdict(meant, of_actual if of_actual is not None else of_planned)}


def _verdict(meant: float, is_now: float | None) -> str:
    if is_now is None:
        return ""
    off = round(is_now - meant, 9)
    return _("as meant") if abs(off) <= policy.BUDGETS.off_share else _("more than meant") if off > 0 else _("less than meant")


REPORT = Report(
    "budget",
    gettext_lazy("Budget"),
    COLUMNS,
    rows,
    about=gettext_lazy("How the budget of the months is shared out, planned and spent, against the shares meant."),
    choices=(facts.CURRENCY,),
    chart=Chart("label", ("planned", "actual")),
    permission=BUDGET,
    nothing=NO_LINES,
)
