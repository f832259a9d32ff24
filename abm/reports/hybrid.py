"""The hybrid check: eight signals that tell business customers from consumers, answered per segment from the data where they can be."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db.models import Count, Exists, OuterRef, Q, Value
from django.db.models.functions import Lower, StrIndex, Substr
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm import policy
from abm.reports import deals
from abm.reports.contract import Chart, Choice, Column, Period, Report, Row, Unit
from abm.reports.deals import share
from crm import policy as crm_policy
from crm.models import Account, Activity, Contact, DealKind, DmuMembership, Opportunity, Pilot, User

TALKS = ("meeting", "call_answered")


class Signal(NamedTuple):
    """One signal: what it is called, its unit, and the names of its two bounds in the policy."""

    label: Promise
    unit: Unit
    b2b: str
    b2c: str


SIGNALS: dict[str, Signal] = {
    "deciders": Signal(gettext_lazy("people per DMU"), Unit.NUMBER, "deciders_b2b", "deciders_b2c"),
    "cycle_days": Signal(gettext_lazy("days to win, median"), Unit.DAYS, "cycle_b2b_days", "cycle_b2c_days"),
    "deal_value": Signal(gettext_lazy("contract value, median"), Unit.MONEY, "value_b2b", "value_b2c"),
    "pilots": Signal(gettext_lazy("deals with a pilot"), Unit.SHARE, "pilot_b2b_share", "pilot_b2c_share"),
    "free_mail": Signal(gettext_lazy("free mail addresses"), Unit.SHARE, "free_mail_b2b_share", "free_mail_b2c_share"),
    "contracts": Signal(gettext_lazy("renewals and extra sales"), Unit.SHARE, "contract_b2b_share", "contract_b2c_share"),
    "talks": Signal(gettext_lazy("accounts that talked with us"), Unit.SHARE, "talks_b2b_share", "talks_b2c_share"),
}
# The eighth, how they pay, stands in no record: a person answers it.
UNANSWERED = "payment"
# Figures of consumer dashboards, and what says more of business customers.
CONSUMER_METRICS: dict[str, tuple[Promise, Promise]] = {
    "visit_conversion": (gettext_lazy("orders per visit"), gettext_lazy("look at MQL to SQL and at the DMU instead")),
    "basket": (gettext_lazy("basket value"), gettext_lazy("look at the contract value instead")),
    "repeat_30": (gettext_lazy("repeat purchase within 30 days"), gettext_lazy("look at net revenue retention instead")),
    "cost_per_order": (gettext_lazy("cost per order"), gettext_lazy("look at the cost of a customer against its revenue instead")),
}
COLUMNS = (
    Column("segment", gettext_lazy("segment")),
    Column("deals", gettext_lazy("deals closed"), Unit.COUNT),
    *(Column(name, signal.label, signal.unit) for name, signal in SIGNALS.items()),
    Column(UNANSWERED, gettext_lazy("how they pay")),
    Column("b2b", gettext_lazy("signals for business"), Unit.COUNT),
    Column("b2c", gettext_lazy("signals for consumers"), Unit.COUNT),
    Column("answered", gettext_lazy("signals answered"), Unit.COUNT),
    Column("verdict", gettext_lazy("verdict")),
    Column("warning", gettext_lazy("warning")),
)


def _metrics(_user: User) -> list[tuple[str, str | Promise]]:
    return [("none", gettext_lazy("none")), *((name, label) for name, (label, _instead) in CONSUMER_METRICS.items())]


METRIC = Choice("metric", gettext_lazy("consumer metric that is looked at"), _metrics)


def rows(*, period: Period, user: User, metric: str = "none") -> list[Row]:
    """Answer the signals per industry, from deals closed in the period and from what is known of the accounts now; seven queries."""
    closed = deals.rows(period=period, user=user, by="industry", currency=_currency(user))
    known = _of_accounts(user)
    found = []
    for row in closed:
        if row["is_unknown"] or not (row["won"] or row["lost"]):
            continue
        facts = known.get(row["group"], {})
        values = {name: facts.get(name) for name in SIGNALS} | {"cycle_days": row["cycle_days_won_median"], "deal_value": row["acv_median"]}
        judged = judge(values, counted=row["won"] + row["lost"])
        found.append({"segment": row["group"], "deals": row["won"] + row["lost"], UNANSWERED: _("ask"), **values, **judged})
    return [row | {"verdict": verdict_in_words(row["code"]), "warning": warning(metric, row["code"])} for row in found]


def _currency(user: User) -> str:
    counted = Opportunity.objects.visible_to(user).order_by().values("currency").annotate(many=Count("pk")).order_by("-many", "currency")
    first = counted.first()
    return str(first["currency"]) if first else "EUR"


def _of_accounts(user: User) -> dict[str, dict[str, float | None]]:
    """Give by industry what the records of the accounts say."""
    accounts, opportunities = Account.objects.visible_to(user).order_by(), Opportunity.objects.visible_to(user).order_by()
    seen = accounts.values("pk")
    people = DmuMembership.objects.current().filter(account__in=seen).order_by().values("account__industry")
    seats = people.annotate(people=Count("contact", distinct=True), at=Count("account", distinct=True))
    mail = Lower(Substr("email", StrIndex("email", Value("@")) + 1))
    contacts = Contact.objects.filter(account__in=seen).exclude(email="").annotate(mail=mail).order_by().values("account__industry")
    free = Count("pk", filter=Q(mail__in=crm_policy.MAIL.free_domains))
    won = opportunities.won().values("account__industry")
    more = Count("pk", filter=~Q(kind=DealKind.NEW))
    piloted = opportunities.annotate(had=Exists(Pilot.objects.filter(opportunity=OuterRef("pk")))).values("account__industry")
    talked = accounts.filter(status=Account.Status.CUSTOMER).annotate(
        had=Exists(Activity.objects.filter(account=OuterRef("pk"), kind__in=TALKS, machine_reason=""))
    )
    had = Count("pk", filter=Q(had=True))
    parts: dict[str, Any] = {
        "deciders": seats.values_list("account__industry", "people", "at"),
        "free_mail": contacts.annotate(part=free, whole=Count("pk")).values_list("account__industry", "part", "whole"),
        "contracts": won.annotate(part=more, whole=Count("pk")).values_list("account__industry", "part", "whole"),
        "pilots": piloted.annotate(part=had, whole=Count("pk")).values_list("account__industry", "part", "whole"),
        "talks": talked.values("industry").annotate(part=had, whole=Count("pk")).values_list("industry", "part", "whole"),
    }
    found: dict[str, dict[str, float | None]] = {}
    for name, counted in parts.items():
        rows_of = list(counted)
        # What nobody ever recorded here says nothing of anybody; of mail addresses all being the company's own does.
        if name == "free_mail" or any(part for _industry, part, _whole in rows_of):
            for industry, part, whole in rows_of:
                found.setdefault(industry or "", {})[name] = share(part, whole)
    return found


def judge(values: dict[str, Any], *, counted: int) -> Row:
    """Count the signals on each side. code: b2b, b2c, hybrid or unknown; a signal between its bounds is on neither side."""
    sides = [side for name in SIGNALS if (side := side_of(name, values.get(name)))]
    answered = sum(values.get(name) is not None for name in SIGNALS)
    b2b, b2c = sides.count("b2b"), sides.count("b2c")
    enough: Callable[[int], bool] = lambda count: count >= policy.HYBRID.verdict_share * answered  # noqa: E731
    code = (
        "unknown" if not answered or counted < policy.HYBRID.least_deals else "b2b" if enough(b2b) else "b2c" if enough(b2c) else "hybrid"
    )
    return {"b2b": b2b, "b2c": b2c, "answered": answered, "code": code}


def side_of(name: str, value: float | None) -> str:
    """Say for whom one signal speaks: b2b, b2c, or empty between the bounds and for nothing known."""
    if value is None:
        return ""
    for_business, for_consumers = (float(getattr(policy.HYBRID, bound)) for bound in (SIGNALS[name].b2b, SIGNALS[name].b2c))
    # Of free mail little speaks for business, of all else much.
    sign = 1 if for_business > for_consumers else -1
    return "b2b" if value * sign >= for_business * sign else "b2c" if value * sign <= for_consumers * sign else ""


def verdict_in_words(code: str) -> str:
    """Name a verdict."""
    return {"b2b": _("B2B"), "b2c": _("B2C"), "hybrid": _("hybrid"), "unknown": _("too little is known")}[code]


def warning(metric: str, code: str) -> str:
    """Warn of a consumer's metric on a segment of business customers, and say what to look at instead."""
    if code != "b2b" or metric not in CONSUMER_METRICS:
        return ""
    label, instead = CONSUMER_METRICS[metric]
    return _("%(metric)s says little of business customers: %(instead)s") % {"metric": label, "instead": instead}


def notes(*, period: Period, user: User, metric: str = "none") -> Sequence[str]:
    """Say what is not answered here."""
    return [_("How they pay, by invoice or by card, stands in no record: ask. A signal between its bounds speaks for neither side.")]


REPORT = Report(
    "hybrid",
    gettext_lazy("Hybrid check"),
    COLUMNS,
    rows,
    about=gettext_lazy(
        "Whether a segment buys as businesses do, as consumers do, or as both; and a warning for a metric that does not fit."
    ),
    choices=(METRIC,),
    chart=Chart("segment", ("b2b", "b2c")),
    notes=notes,
)
