"""The pipeline: open deals by stage and what was closed this quarter, what they are worth together, and what each still lacks."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Count, F, Q, Sum, Window
from django.db.models.functions import RowNumber

from crm import bant, opportunities
from crm.models import Opportunity, Stage
from crm.models.opportunities import OPEN_STAGES, OpportunityQuerySet

# What lies past the gate: only there an amount can be committed.
COMMITTABLE = (Stage.OPPORTUNITY, Stage.PROPOSAL)


@dataclass(frozen=True)
class Worth:
    """What the deals of one stage are worth in one currency; `committed` counts those whose gate is not broken."""

    currency: str
    deals: int
    amount: Decimal
    committed: Decimal


@dataclass(frozen=True)
class Judged:
    """What keeps a deal out of its next stage, what is confirmed, and whether what it stands on was confirmed too long ago."""

    lacking: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()
    is_stale: bool = False


def quarter_of(day: date) -> tuple[date, date]:
    """Give the first day of the quarter of a day, and of the next one."""
    month = 3 * ((day.month - 1) // 3) + 1
    return date(day.year, month, 1), date(day.year + (month == 10), (month + 2) % 12 + 1, 1)


def on_board(deals: OpportunityQuerySet, *, day: date) -> OpportunityQuerySet:
    """Keep the open deals, and those that were closed in the quarter of a day."""
    first, _next = quarter_of(day)
    return deals.filter(Q(stage__in=OPEN_STAGES) | Q(stage__in=(Stage.WON, Stage.LOST), closed_on__gte=first))


def closing(period: str, *, day: date) -> Q:
    """Select deals by when they are expected to close, seen from a day; every one for a period that nobody knows."""
    first, following = quarter_of(day)
    _first, after = quarter_of(following)
    return {
        "overdue": Q(expected_close_on__lt=day, stage__in=OPEN_STAGES),
        "this_quarter": Q(expected_close_on__gte=first, expected_close_on__lt=following),
        "next_quarter": Q(expected_close_on__gte=following, expected_close_on__lt=after),
        "later": Q(expected_close_on__gte=after),
        "undated": Q(expected_close_on=None),
    }.get(period, Q())


def worth(deals: OpportunityQuerySet) -> dict[str, list[Worth]]:
    """Add deals up by stage and currency, the largest sum first; one query over all of them, keyed by stage."""
    found: dict[str, list[Worth]] = {stage: [] for stage in Stage.values}
    rows = (
        deals.order_by()
        .values("stage", "currency")
        .annotate(count=Count("pk"), total=Sum("amount"), sure=Sum("amount", filter=Q(gate_broken_at=None)))
        .values_list("stage", "currency", "count", "total", "sure")
    )
    for stage, currency, count, amount, sure in rows:
        is_gated = stage in COMMITTABLE
        found[stage].append(Worth(currency, count, amount or Decimal(0), (sure or Decimal(0)) if is_gated else Decimal(0)))
    return {stage: sorted(sums, key=lambda sum_: (-sum_.amount, sum_.currency)) for stage, sums in found.items()}


def first_of_each_stage(deals: OpportunityQuerySet, *, at_most: int) -> OpportunityQuerySet:
    """Keep so many deals of each stage: open ones by expected close, closed ones the latest first."""
    order = [F("closed_on").desc(nulls_last=True), F("expected_close_on").asc(nulls_last=True), F("pk").asc()]
    # Only keys are numbered: with all that a card shows, every open deal would be carried through the sorting.
    numbered = deals.order_by().annotate(number=Window(RowNumber(), partition_by=F("stage"), order_by=order))
    return deals.filter(pk__among=numbered.filter(number__lte=at_most).values("pk")).order_by("stage", *order)


def judge(deals: Collection[Opportunity], *, at: datetime) -> dict[int, Judged]:
    """Judge each deal by its gate; at most two queries, keyed by deal id."""
    judged = [deal for deal in deals if deal.is_open]
    if not judged:
        return {}
    standing = opportunities.standing_of(judged)
    lacking = opportunities.missing_for_next(judged, standing=standing, at=at)
    return {deal.pk: Judged(tuple(lacking[deal.pk]), tuple(standing[deal.pk]), _is_stale(deal, standing[deal.pk], at)) for deal in judged}


def _is_stale(deal: Opportunity, standing: opportunities.Standing, at: datetime) -> bool:
    confirmed = {kind: given.confirmed_at for kind, given in standing.items()}
    return not deal.is_imported_history and bant.has_gone_stale(deal.stage, confirmed, at)
