"""The order in which accounts are proposed for a target list, with the reasons of each."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate, groupby
from typing import Any, NamedTuple

from django.db.models import DecimalField, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from abm import policy
from abm.models import TargetAccount, TargetList, TargetRejection
from crm.models import Account, Opportunity
from crm.policy import day_of


@dataclass(frozen=True)
class Reason:
    """One part of a proposal: its value 0 to 100, its weight 0 to 1, and their product in points."""

    part: str
    value: float
    weight: float
    points: float


@dataclass(frozen=True)
class Proposal:
    """An account's place in the ranking; `slot` when it is on the list, `days_old` of its figures, None when never scored."""

    rank: int
    account_id: int
    name: str
    points: float
    parts: tuple[Reason, ...]
    slot: int | None
    days_old: int | None

    @property
    def reasons(self) -> list[dict[str, Any]]:
        """Give the reasons as they are stored with the slot."""
        return [asdict(part) for part in self.parts]


SENTENCES: dict[str, Promise] = {
    "fit": _("fits the ideal customer profile for %(value)s of 100: %(points)s points"),
    "engagement": _("engagement score %(value)s of 100: %(points)s points"),
    "value": _("worth more than %(value)s%% of the accounts in question: %(points)s points"),
    "value_most": _("worth more than all other accounts in question: %(points)s points"),
    "coverage": _("we reach %(value)s%% of the roles that decide: %(points)s points"),
}


def in_words(reason: Mapping[str, Any]) -> str:
    """Say one stored reason as a sentence, in the reader's language."""
    part = "value_most" if reason["part"] == "value" and reason["value"] >= 100 else reason["part"]
    return str(SENTENCES[part]) % {name: number_format(f"{reason[name]:g}") for name in ("value", "points")}


class Figures(NamedTuple):
    """What ranks one account: fit, score and coverage 0 to 100, the sum of its open deals, its revenue."""

    account_id: int
    name: str
    fit: int
    score: Decimal
    coverage: int
    pipeline: Decimal
    revenue: Decimal
    slot: int | None
    as_of: date | None

    @property
    def worth(self) -> tuple[Decimal, Decimal]:
        """Order by open deals, and without any by revenue: an account in talks is worth more than one that is only big."""
        return self.pipeline, self.revenue


def rank(target_list: TargetList, *, at: datetime) -> list[Proposal]:
    """Rank every account that may be on a list, best first, the older one of two equals; one query however many accounts.

    Potential value is a percentile among them.
    """
    figures = list(_eligible(target_list))
    values = percentiles({row.account_id: row.worth for row in figures})
    judged = [
        (row, _reasons(fit=row.fit, engagement=float(row.score), value=values[row.account_id], coverage=row.coverage)) for row in figures
    ]
    judged.sort(key=lambda one: (-_total(one[1]), one[0].account_id))
    day = day_of(at)
    return [
        Proposal(place, row.account_id, row.name, _total(parts), parts, row.slot, (day - row.as_of).days if row.as_of else None)
        for place, (row, parts) in enumerate(judged, start=1)
    ]


def with_standing(accounts: QuerySet[Account]) -> QuerySet[Account]:
    """Add where each account stands as now_fit, now_score and now_coverage; one that was never scored stands at nothing."""
    nothing = Value(Decimal(0), output_field=DecimalField(max_digits=4, decimal_places=1))
    return accounts.annotate(
        now_fit=Coalesce("standing__fit", 0),
        now_score=Coalesce("standing__score", nothing),
        now_coverage=Coalesce("standing__coverage_percent", 0),
    )


def _eligible(target_list: TargetList) -> Iterable[Figures]:
    """Read who may be proposed: the team's own and nobody's, not rejected, on no other active list of the team."""
    slots = TargetAccount.objects.filter(account=OuterRef("pk"))
    rejections = TargetRejection.objects.filter(account=OuterRef("pk"), target_list=target_list)
    money = DecimalField(max_digits=20, decimal_places=2)
    deals = Opportunity.objects.open().filter(account=OuterRef("pk")).order_by().values("account").annotate(sum=Sum("amount")).values("sum")
    accounts = (
        with_standing(Account.objects.approachable().filter(Q(team=target_list.team_id) | Q(team=None)))
        .exclude(Exists(rejections))
        .exclude(Exists(slots.filter(active_team=target_list.team_id).exclude(target_list=target_list)))
        .annotate(
            pipeline=Coalesce(Subquery(deals, output_field=money), Decimal(0), output_field=money),
            income=Coalesce("revenue", Decimal(0), output_field=money),
            slot=Subquery(slots.filter(target_list=target_list).values("slot")),
            as_of=F("standing__as_of"),
        )
        .order_by("pk")
    )
    names = ("pk", "name", "now_fit", "now_score", "now_coverage", "pipeline", "income", "slot", "as_of")
    return (Figures(*row) for row in accounts.values_list(*names).iterator())


def percentiles(worth: Mapping[int, tuple[Decimal, ...]]) -> dict[int, float]:
    """Give each account the share of the others that are worth less, 0 to 100 with one decimal; 100 is all of them, not nearly all."""
    ordered = sorted(worth, key=worth.__getitem__)
    groups = [list(alike) for _worth, alike in groupby(ordered, key=worth.__getitem__)]
    below = accumulate((len(alike) for alike in groups), initial=0)
    others = max(len(worth) - 1, 1)
    return {account: _percentile(count, others) for count, alike in zip(below, groups, strict=False) for account in alike}


def _percentile(below: int, others: int) -> float:
    return 100.0 if below == others else min(round(100 * below / others, 1), 99.9)


def _reasons(**values: float) -> tuple[Reason, ...]:
    weights = {part: getattr(policy.TARGETS, f"{part}_weight") for part in values}
    return tuple(Reason(part, value, weights[part], round(value * weights[part], 2)) for part, value in values.items())


def _total(parts: Iterable[Reason]) -> float:
    return round(sum(part.points for part in parts), 2)
