"""What wins are credited to: channels, kinds of activity or DMU roles, by the model of choice."""

from decimal import Decimal

from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm import attribution, policy
from abm.attribution import BY_CHANNEL, BY_KIND, BY_ROLE, UNKNOWN
from abm.reports.contract import Chart, Choice, Column, Period, Report, Row, Unit
from crm import activity_kinds
from crm.models import DmuRole, Opportunity, User

MODEL_LABELS: dict[str, Promise] = {
    "linear": gettext_lazy("linear: every touch alike"),
    "first_touch": gettext_lazy("first touch"),
    "last_touch": gettext_lazy("last touch"),
    "time_decay": gettext_lazy("time decay: the later, the more"),
    "u_shaped": gettext_lazy("U: most to the first and the last"),
    "w_shaped": gettext_lazy("W: most to the first, the lead and the opportunity"),
    "shapley": gettext_lazy("Shapley: each channel its fair share"),
    "markov": gettext_lazy("Markov: what would be lost without it"),
}
BY_LABELS: dict[str, Promise] = {
    BY_CHANNEL: gettext_lazy("channel"),
    BY_KIND: gettext_lazy("kind of activity"),
    BY_ROLE: gettext_lazy("DMU role"),
}
USUAL_CURRENCY = "EUR"


def rows(*, period: Period, user: User, model: str, by: str, currency: str) -> list[Row]:
    """Give a row for each channel, and one for the wins that nobody had a part in."""
    deals = Opportunity.objects.visible_to(user)
    paths = attribution.read(deals, model=model, by=by, currency=currency, first=period.first, last=period.last)
    found = attribution.attribute(paths, model=model)
    total = found.won_value
    listed = [_row(_name(line.key, by), line.deals, line.credit, line.amount, total) for line in found.lines]
    if found.unattributed:
        listed.append(_row(capfirst(_("unattributed")), found.unattributed, float(found.unattributed), found.unattributed_value, total))
    return listed


def notes(*, model: str, by: str, **_asked: object) -> list[str]:
    """Say what counts as a touch, and what the figures mean."""
    said = [
        _("A touch is what people of the account did until the deal was closed; what came later, our own work and machines do not count."),
        _("The deals beside a figure are the wins in which it had a part; one win has as many parts as it has touches."),
        _("A win without any touch on record is unattributed: it is never spread over the others."),
    ]
    if model == "time_decay":
        said.append(_("A touch %(days)d days older counts half as much.") % {"days": policy.ATTRIBUTION.half_life_days})
    if by == BY_ROLE:
        said.append(_("The role is the weightiest that the person held by the day of the close."))
    return said


def _row(what: str, deals: int, wins: float, amount: Decimal, total: Decimal) -> Row:
    return {"what": what, "deals": deals, "wins": wins, "amount": amount, "share": float(amount / total) if total else None}


def _name(key: str, by: str) -> str:
    """Name a channel, kind or role on screen; what nobody knows by its own code."""
    if by == BY_ROLE:
        return capfirst(_("no known role") if key == UNKNOWN else str(DmuRole(key).label))
    if by == BY_KIND:
        kind = activity_kinds.KINDS.get(key)
        return capfirst(str(kind.label)) if kind else key
    return capfirst(str(activity_kinds.CHANNELS.get(key, key)))


def _currencies(user: User) -> list[tuple[str, str]]:
    found = attribution.currencies(Opportunity.objects.visible_to(user)) or [USUAL_CURRENCY]
    return [(currency, currency) for currency in found]


REPORT = Report(
    slug="attribution",
    title=gettext_lazy("Attribution"),
    about=gettext_lazy("Which channels and people the wins of a period go back to. No model is the truth: compare them."),
    columns=(
        Column("what", gettext_lazy("credited to")),
        Column("deals", gettext_lazy("won deals"), Unit.COUNT, help=gettext_lazy("in which it had a part")),
        Column("wins", gettext_lazy("wins credited"), Unit.NUMBER),
        Column("amount", gettext_lazy("value credited"), Unit.MONEY),
        Column("share", gettext_lazy("share of the value"), Unit.SHARE),
    ),
    rows=rows,
    notes=notes,
    choices=(
        Choice("model", gettext_lazy("model"), lambda _user: [*MODEL_LABELS.items()]),
        Choice("by", gettext_lazy("credited to"), lambda _user: [*BY_LABELS.items()]),
        Choice("currency", gettext_lazy("currency"), _currencies),
    ),
    chart=Chart("what", ("amount",)),
)
