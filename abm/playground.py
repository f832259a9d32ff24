"""What other numbers of the score would do to real accounts, before anybody saves them; nothing is written."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import fsum

from django.db.models import F, QuerySet

from abm import engagement, policy, sales_alerts
from abm.engagement import Scored
from abm.models import TargetAccount, TargetList
from crm.models import Account


@dataclass(frozen=True)
class Shift:
    """What one kind of activity weighs at an account with the one and the other numbers, in points of the score's R."""

    kind: str
    before: float
    after: float

    @property
    def difference(self) -> float:
        """Give by how much it weighs more."""
        return self.after - self.before


@dataclass(frozen=True)
class Effect:
    """One account with the one and the other numbers; ranks are among the accounts shown."""

    account_id: int
    name: str
    before: Scored
    after: Scored
    rank_before: int
    rank_after: int

    @property
    def difference(self) -> Decimal:
        """Give by how much the score as shown would rise."""
        return self.after.score_1 - self.before.score_1

    @property
    def shifts(self) -> list[Shift]:
        """Give the kinds of activity that weigh something else, the largest shift first."""
        before, after = _by_kind(self.before), _by_kind(self.after)
        found = [Shift(kind, before.get(kind, 0.0), after.get(kind, 0.0)) for kind in {**before, **after}]
        return sorted((one for one in found if abs(one.difference) > 1e-9), key=lambda one: (-abs(one.difference), one.kind))


@dataclass(frozen=True)
class Totals:
    """Of how many accounts something changes; warm is what tells a rep to act."""

    accounts: int
    moved: int
    risen: int
    fallen: int
    warm_before: int
    newly_warm: int
    no_longer_warm: int


def lists_for(target_lists: QuerySet[TargetList]) -> list[TargetList]:
    """Give those of these lists that are at work, the newest first."""
    return list(target_lists.filter(status=TargetList.Status.ACTIVE).order_by("-starts_on", "-pk"))


def accounts_of(target_list: TargetList | None, accounts: QuerySet[Account]) -> list[int]:
    """Give which of these accounts to show: those on the list by slot, without a list the warmest."""
    if target_list is None:
        return warmest(accounts)[: policy.PLAYGROUND.shown]
    slots = TargetAccount.objects.filter(target_list=target_list, account__in=accounts).order_by("slot")
    return list(slots.values_list("account_id", flat=True))


def warmest(accounts: QuerySet[Account]) -> list[int]:
    """Give the warmest of these accounts, as many as totals are taken of."""
    ranked = accounts.order_by(F("standing__score").desc(nulls_last=True), "pk")
    return list(ranked.values_list("pk", flat=True)[: policy.PLAYGROUND.accounts])


def compare(
    shown: Sequence[int], among: Collection[int], *, before: policy.Scoring, after: policy.Scoring, as_of: date
) -> tuple[list[Effect], Totals]:
    """Score accounts with the one and the other numbers by the one formula; give those shown, and totals over those among."""
    days = [as_of, as_of - timedelta(days=policy.ALERTS.compared_with_days_ago)]
    one, other = engagement.by_numbers({*shown, *among}, days=days, each=[before, after])
    names = dict(Account.objects.filter(pk__in=shown).values_list("pk", "name"))
    there = [pk for pk in shown if pk in names]
    ranks_before, ranks_after = _ranks(there, one[as_of]), _ranks(there, other[as_of])
    effects = [Effect(pk, names[pk], one[as_of][pk], other[as_of][pk], ranks_before[pk], ranks_after[pk]) for pk in there]
    return sorted(effects, key=lambda effect: effect.rank_after), _totals(among, one, other, days)


def _ranks(shown: Iterable[int], scored: Mapping[int, Scored]) -> dict[int, int]:
    ordered = sorted(shown, key=lambda pk: (-scored[pk].score, pk))
    return {pk: place for place, pk in enumerate(ordered, start=1)}


def _totals(
    among: Collection[int], one: Mapping[date, Mapping[int, Scored]], other: Mapping[date, Mapping[int, Scored]], days: Sequence[date]
) -> Totals:
    here = [pk for pk in among if pk in one[days[0]]]
    moves = [other[days[0]][pk].score_1 - one[days[0]][pk].score_1 for pk in here]
    bound = Decimal(str(policy.PLAYGROUND.moved_points))
    warm, will_be = ({pk for pk in here if _is_warm(pk, scored, days)} for scored in (one, other))
    return Totals(
        accounts=len(here),
        moved=sum(abs(move) > bound for move in moves),
        risen=sum(move > bound for move in moves),
        fallen=sum(move < -bound for move in moves),
        warm_before=len(warm),
        newly_warm=len(will_be - warm),
        no_longer_warm=len(warm - will_be),
    )


def _is_warm(account_id: int, scored: Mapping[date, Mapping[int, Scored]], days: Sequence[date]) -> bool:
    now, then = (scored[day][account_id].score_1 for day in days)
    return sales_alerts.is_warm(now, now - then)


def _by_kind(scored: Scored) -> dict[str, float]:
    weights: dict[str, list[float]] = {}
    for line in scored.lines:
        weights.setdefault(line.kind, []).append(line.weighted)
    return {kind: fsum(values) for kind, values in weights.items()}
