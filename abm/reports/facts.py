"""One row of facts per deal, from its stage moves alone: when it began, how far it came, and how it ended."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, F, IntegerField, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from abm.reports import sql
from abm.reports.contract import Choice, Period
from crm import policy as crm_policy
from crm.models import Opportunity, Stage, User
from crm.models.users import Sight, sight

# The way of a deal; its place in this list is the rank of a stage, from 1.
WAY = (Stage.MQL, Stage.SQL, Stage.OPPORTUNITY, Stage.PROPOSAL, Stage.WON)
RANK = {stage: rank for rank, stage in enumerate(WAY, start=1)}
NONE = "none"


def _text(path: str) -> Combinable:
    return Coalesce(F(path), Value(""), output_field=TextField())


def _sizes() -> list[tuple[int | None, int]]:
    """Give the sizes of companies that need different DMUs: below how many employees, and from how many."""
    bounds = [row.below_employees for row in crm_policy.DMU.required]
    return list(zip(bounds, [0, *(bound or 0 for bound in bounds[:-1])], strict=True))


def _size() -> Combinable:
    whens = [When(account__employees__lt=bound, then=Value(number)) for number, (bound, _from) in enumerate(_sizes(), start=1) if bound]
    return Case(
        When(account__employees=None, then=Value(0)), *whens, default=Value(len(_sizes())), output_field=IntegerField()
    )  # fmt: skip


def _size_labels(_keys: Iterable[Any]) -> dict[Any, str]:
    found: dict[Any, str] = {0: _("unknown")}
    for number, (below, least) in enumerate(_sizes(), start=1):
        if below is None:
            found[number] = _("%(from)d or more") % {"from": least}
        else:
            found[number] = _("%(from)d to %(to)d") % {"from": least, "to": below - 1} if least else _("fewer than %(to)d") % {"to": below}
    return found


def _owner_labels(keys: Iterable[Any]) -> dict[Any, str]:
    return {user.pk: str(user) for user in User.objects.filter(pk__in=[key for key in keys if key])}


@dataclass(frozen=True)
class Grouping:
    """What deals are told apart by: the key in the database, and how keys read."""

    label: str | Promise
    key: Callable[[], Combinable]
    labels: Callable[[Iterable[Any]], Mapping[Any, str]] = lambda _keys: {}


def _channel() -> Combinable:
    """Give how they came to us; a deal that nobody says this of by the system it was imported from."""
    return Case(When(origin="", then=F("source")), default=F("origin"), output_field=TextField())


GROUPINGS: dict[str, Grouping] = {
    NONE: Grouping(gettext_lazy("nothing: all deals"), lambda: Value("", output_field=TextField())),
    "source": Grouping(gettext_lazy("source"), _channel),
    "owner": Grouping(gettext_lazy("owner"), lambda: F("owner_id"), _owner_labels),
    "industry": Grouping(gettext_lazy("industry"), lambda: _text("account__industry")),
    "size": Grouping(gettext_lazy("company size"), _size, _size_labels),
    "campaign": Grouping(gettext_lazy("campaign"), lambda: F("campaign")),
    "office": Grouping(gettext_lazy("office"), lambda: _text("team__office")),
    "team": Grouping(gettext_lazy("team"), lambda: _text("team__name")),
    "product": Grouping(gettext_lazy("product"), lambda: _text("product__name")),
    "country": Grouping(gettext_lazy("country"), lambda: Cast(_text("account__country"), TextField())),
    "kind": Grouping(gettext_lazy("kind of deal"), lambda: F("kind")),
}


def _groupings(_user: User) -> list[tuple[str, str | Promise]]:
    return [(name, each.label) for name, each in GROUPINGS.items()]


def currencies(user: User) -> list[tuple[str, str]]:
    """Give the currencies of the deals that a user sees, the most frequent first; one query."""
    counted = Opportunity.objects.visible_to(user).order_by().values("currency").annotate(many=Count("pk")).order_by("-many", "currency")
    return [(row["currency"], row["currency"]) for row in counted] or [("EUR", "EUR")]


BY = Choice("by", gettext_lazy("told apart by"), _groupings)
CURRENCY = Choice("currency", gettext_lazy("currency"), currencies)


def _first(stage: Stage) -> str:
    """Give when a deal first entered a stage, other than by being reopened."""
    return f"MIN(CASE WHEN to_stage = '{stage.value}' AND from_stage NOT IN ('won', 'lost') THEN moved_at END)"


def _has(stage: Stage) -> str:
    """Give 1 where a deal entered a stage, dated or not."""
    return f"MAX(CASE WHEN to_stage = '{stage.value}' THEN 1 ELSE 0 END)"


# A deal that was won and reopened has come as far as a proposal: it is to be won again.
_REACHED = "MAX(CASE to_stage WHEN 'mql' THEN 1 WHEN 'sql' THEN 2 WHEN 'opportunity' THEN 3 WHEN 'proposal' THEN 4 WHEN 'won' THEN 4 END)"
_BEGAN = "MIN(CASE to_stage WHEN 'mql' THEN 1 WHEN 'sql' THEN 2 WHEN 'opportunity' THEN 3 WHEN 'proposal' THEN 4 WHEN 'won' THEN 5 END)"


def with_facts(user: User, *, by: str = NONE, currency: str = "") -> tuple[str, list[Any]]:
    """Give a WITH clause that ends in `facts`, one row per visible deal, and its values.

    grp: the key of the group. won, lost, open: 1 or 0. amount: in the currency asked for, else NULL; foreign_amount: 1 if in
    another. began, reached: ranks of stages (a won deal reached 5). {stage}_on: the day on which it first entered; begun_on, closed_on:
    the day of the first move into an open stage, and of the last win or loss. cycle_days: between them; negative when the data are wrong.
    """
    deals = Opportunity.objects.visible_to(user).annotate(grp=GROUPINGS[by].key())
    names = ("id", "account_id", "stage", "kind", "amount", "currency", "expected_close_on", "gate_broken_at", "grp")
    seen, values = sql.select(deals.values_list(*names))
    # Who sees all needs no look-up of each move's deal.
    within = "" if sight(user) is Sight.ALL else "WHERE opportunity_id IN (SELECT id FROM seen)"
    entered = ", ".join(f"{_first(stage)} AS {stage.value}_at, {_has(stage)} AS has_{stage.value}" for stage in WAY[:-1])
    moved = (
        f"SELECT opportunity_id, {entered}, {_BEGAN} AS began, {_REACHED} AS reached, "
        "MIN(CASE WHEN to_stage NOT IN ('won', 'lost') THEN moved_at END) AS begun_at, "
        "MAX(CASE WHEN to_stage = 'won' THEN moved_at END) AS won_at, MAX(CASE WHEN to_stage = 'lost' THEN moved_at END) AS lost_at "
        f"FROM crm_stagemove {within} GROUP BY opportunity_id"
    )
    days = ", ".join(f"{sql.local_day(f'{stage.value}_at')} AS {stage.value}_on" for stage in WAY)
    has = ", ".join(f"has_{stage.value}" for stage in WAY[:-1])
    dated = (
        "SELECT id, account_id, stage, kind, grp, expected_close_on, began, "
        "CASE WHEN stage = 'won' THEN 5 ELSE reached END AS reached, "
        "CASE WHEN stage = 'won' THEN 1 ELSE 0 END AS won, CASE WHEN stage = 'lost' THEN 1 ELSE 0 END AS lost, "
        "CASE WHEN stage IN ('won', 'lost') THEN 0 ELSE 1 END AS open, "
        "CASE WHEN gate_broken_at IS NULL THEN 0 ELSE 1 END AS is_broken, "
        "CASE WHEN currency = %s THEN amount END AS amount, "
        "CASE WHEN currency <> %s AND amount IS NOT NULL THEN 1 ELSE 0 END AS foreign_amount, "
        f"{has}, {days}, {sql.local_day('begun_at')} AS begun_on, "
        f"CASE stage WHEN 'won' THEN {sql.local_day('won_at')} WHEN 'lost' THEN {sql.local_day('lost_at')} END AS closed_on "
        "FROM seen LEFT JOIN moved ON moved.opportunity_id = seen.id"
    )
    facts = f"SELECT dated.*, {sql.days_between('begun_on', 'closed_on')} AS cycle_days FROM dated"
    return f"WITH seen AS ({seen}), moved AS ({moved}), dated AS ({dated}), facts AS ({facts}) ", [*values, currency, currency]


def within(period: Period, day: str) -> tuple[str, list[Any]]:
    """Give the condition that a day lies in a period, and its values; for an open period it always holds."""
    first = [(f"{day} >= %s", period.first)] if period.first else []
    last = [(f"{day} <= %s", period.last)] if period.last else []
    bounds = [*first, *last]
    return " AND ".join(text for text, _value in bounds) or "1 = 1", [value for _text, value in bounds]


def named(rows: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """Give each row the name of its group as `group`, in order of the names, what nobody knows last."""
    labels = GROUPINGS[by].labels([row["grp"] for row in rows])
    for row in rows:
        key = row.pop("grp")
        row["group"] = _("all deals") if by == NONE else labels.get(key) or str(key or "")
        row["is_unknown"] = by != NONE and not row["group"]
        row["group"] = row["group"] or _("unknown")
    return rows if by == "size" else sorted(rows, key=lambda row: (row["is_unknown"], row["group"].casefold()))


def foreign_note(user: User, currency: str) -> list[str]:
    """Say how many deals with an amount in another currency are left out of sums of money."""
    elsewhere = Opportunity.objects.visible_to(user).exclude(currency=currency).exclude(amount=None).count()
    if not elsewhere:
        return []
    sentence = ngettext(
        "%(count)d deal in another currency than %(currency)s counts in numbers of deals, and in no sum of money.",
        "%(count)d deals in other currencies than %(currency)s count in numbers of deals, and in no sum of money.",
        elsewhere,
    )
    return [sentence % {"count": elsewhere, "currency": currency}]
