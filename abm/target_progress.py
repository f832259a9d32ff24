"""How a target list comes along: the days of its period, what happened at its accounts since it began, and their scores then and now."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Avg, Count, Exists, OuterRef, Q, Sum

from abm.models import ComparisonAccount, DayCount, StateMark, TargetAccount, TargetList
from crm.models import Activity, Opportunity
from crm.policy import day_of, oldest_day_kept


@dataclass(frozen=True)
class Period:
    """The day that a list is in, of all its days; 0 before it starts, never more than all."""

    day: int
    days: int

    @property
    def percent(self) -> int:
        """Give the share of the period that is over, 0 to 100."""
        return round(100 * self.day / self.days)


@dataclass(frozen=True)
class Since:
    """What happened at one account since its list began: what people did, meetings among it, and deals begun."""

    activities: int = 0
    meetings: int = 0
    deals: int = 0

    def __add__(self, other: "Since") -> "Since":
        return Since(self.activities + other.activities, self.meetings + other.meetings, self.deals + other.deals)


@dataclass(frozen=True)
class Means:
    """The mean score of a group of accounts when the list began, and now; None without any."""

    then: Decimal | None
    now: Decimal | None


def period(target_list: TargetList, *, today: date) -> Period:
    """Say which day of its period a list is in; a closed one stopped on the day it was closed."""
    until = min(today, day_of(target_list.closed_at)) if target_list.closed_at else today
    days = (target_list.ends_on - target_list.starts_on).days + 1
    return Period(min(max((until - target_list.starts_on).days + 1, 0), days), days)


def since_start(target_list: TargetList, *, accounts: Collection[int], at: datetime) -> dict[int, Since]:
    """Count what happened at each of its accounts while the list was at work; two queries, nothing for a draft.

    A third for a list that is older than the activities that are kept.
    """
    if target_list.activated_at is None:
        return {}
    until = target_list.closed_at or at
    done = Activity.objects.by_people().since(target_list.activated_at).filter(account__in=accounts, occurred_at__lte=until)
    gone: dict[int, Since] = {}
    oldest, began_on = oldest_day_kept(at), day_of(target_list.activated_at)
    if oldest and began_on < oldest:
        let_go_of = StateMark.objects.filter(pk=OuterRef("account_id"), kept_from__gt=OuterRef("day"))
        done, gone = done.exclude(Exists(let_go_of)), _gone(accounts, began_on, day_of(until))
    counted = done.order_by().values("account").annotate(count=Count("pk"), meetings=Count("pk", filter=Q(kind="meeting")))
    begun = Opportunity.objects.judged_by_gate().filter(
        account__in=accounts, created_at__gte=target_list.activated_at, created_at__lte=until
    )
    deals = dict(begun.order_by().values_list("account").annotate(count=Count("pk")))
    acted = {row["account"]: (row["count"], row["meetings"]) for row in counted}
    return {pk: Since(*acted.get(pk, (0, 0)), deals.get(pk, 0)) + gone.get(pk, Since()) for pk in accounts}


def _gone(accounts: Collection[int], first: date, last: date) -> dict[int, Since]:
    """Count what people did on days whose activities were let go of, by whole days."""
    rows = DayCount.objects.without_activities().filter(account_id__in=accounts, day__gte=first, day__lte=last).order_by()
    sums = rows.values("account_id").annotate(times=Sum("count"), meetings=Sum("count", filter=Q(kind="meeting"), default=0))
    return {row["account_id"]: Since(row["times"], row["meetings"]) for row in sums}


def means(target_list: TargetList) -> tuple[Means, Means]:
    """Give the mean scores of the listed accounts and of their comparison group, when the list began and now."""
    return _means(TargetAccount, target_list), _means(ComparisonAccount, target_list)


def _means(model: type[TargetAccount] | type[ComparisonAccount], target_list: TargetList) -> Means:
    rows = model.objects.filter(target_list=target_list)
    return Means(**rows.aggregate(then=Avg("score_at_start"), now=Avg("account__standing__score")))
