"""The engagement score: one formula over day counts, explained to the single activity, and kept per account and day."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import fsum
from typing import Any, NamedTuple, TypeVar

from django.db.models import Count, Q, Window
from django.db.models.functions import RowNumber

from abm import policy, score_numbers
from abm.models import DayCount, EngagementScore, StateMark
from crm import policy as crm_policy
from crm.models import Account, Activity, Contact, DmuMembership
from crm.models.activities import ActivityQuerySet

Key = TypeVar("Key")
# Who (None: an anonymous visitor), what, and on which local day.
Group = tuple[int | None, str, date]


class Line(NamedTuple):
    """What one person's activities of one kind on one day are worth now; the explanation is made of these."""

    contact_id: int | None
    kind: str
    day: date
    times: int
    points: float
    after_cap: float
    age_days: int
    decay: float
    role_weight: float
    # Points after decay, before the role weight.
    live: float
    weighted: float

    @property
    def group(self) -> Group:
        """Name whose activities these are."""
        return self.contact_id, self.kind, self.day


@dataclass(frozen=True)
class Scored:
    """A score with everything it was made of; R, F and X of the formula are weighted_points, breadth and x."""

    lines: tuple[Line, ...]
    weighted_points: float
    breadth: float
    x: float
    score: float
    active_roles: tuple[str, ...]
    required_roles: tuple[str, ...]

    @property
    def score_1(self) -> Decimal:
        """Give the score as it is shown: one decimal, rounded half up."""
        # By way of nine decimals, so that 24.25 held as 24.2499999999999997 still is a half.
        return Decimal(f"{self.score:.9f}").quantize(Decimal("0.1"), ROUND_HALF_UP)

    @property
    def shares(self) -> dict[int | None, float]:
        """Divide the score over the people, in points of the score; the shares add up to it."""
        weighted = _sums((line.contact_id, line.weighted) for line in self.lines)
        return {contact_id: self.score * points / self.weighted_points for contact_id, points in weighted.items()}


@dataclass(frozen=True)
class MissingRole:
    """A required role that is not active, and what breadth and score would be if it were."""

    role: str
    breadth: float
    score: float


@dataclass(frozen=True)
class Explanation:
    """Why an account has its score; activity_ids holds the activities behind each line, if asked for."""

    account_id: int
    as_of: date
    scored: Scored
    missing_roles: tuple[MissingRole, ...]
    numbers: policy.Scoring
    activity_ids: dict[Group, list[int]]

    @property
    def parameters_version(self) -> str:
        """Name the numbers that it is made with."""
        return self.numbers.version


@dataclass
class Facts:
    """What the formula wants to know of one account."""

    required: tuple[str, ...]
    counts: dict[Group, int] = field(default_factory=dict)
    left_on: dict[int, date] = field(default_factory=dict)
    # day -> contact -> roles held on that day
    roles: dict[date, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))


def _sums(pairs: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    """Add up per key with exact sums, so that the order of the pairs never matters."""
    found: dict[Key, list[float]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return {key: fsum(values) for key, values in found.items()}


# The formula: plain values in, plain values out.


def score(
    counts: Mapping[Group, int],
    *,
    roles: Mapping[int, Collection[str]],
    left_on: Mapping[int, date],
    required: Sequence[str],
    as_of: date,
    numbers: policy.Scoring,
) -> Scored:
    """Score an account from its day counts: `roles` as held on `as_of`, `left_on` of those who left."""
    lines = _lines(counts, roles=roles, left_on=left_on, as_of=as_of, numbers=numbers)
    live = _sums((role, line.live) for line in lines if line.contact_id for role in roles.get(line.contact_id, ()))
    active = tuple(role for role in required if live.get(role, 0.0) >= numbers.role_counts_from_points)
    weighted_points = fsum(line.weighted for line in lines)
    factor = breadth(len(active), len(required), numbers=numbers)
    x = weighted_points * factor
    return Scored(lines, weighted_points, factor, x, _saturate(x, numbers), active, tuple(required))


def breadth(active: int, required: int, *, numbers: policy.Scoring) -> float:
    """Give F: how much of the required DMU is active, between the floor and 1."""
    return numbers.breadth_floor + numbers.breadth_per_share * (active / required if required else 1.0)


def _saturate(x: float, numbers: policy.Scoring) -> float:
    return 100.0 * x / (x + numbers.half_saturation)


def _lines(
    counts: Mapping[Group, int],
    *,
    roles: Mapping[int, Collection[str]],
    left_on: Mapping[int, date],
    as_of: date,
    numbers: policy.Scoring,
) -> tuple[Line, ...]:
    """Give a line for every group that counts on `as_of`, people first, in a fixed order."""
    weights = {contact_id: _role_weight(held, numbers) for contact_id, held in roles.items()}
    nobody, stranger = _role_weight(["anonymous"], numbers), _role_weight(["unknown"], numbers)
    lines = []
    for group in sorted(counts, key=lambda group: (group[0] is None, group[0] or 0, *group[1:])):
        who = group[0]
        if _counts(group, left_on=left_on.get(who) if who else None, as_of=as_of, numbers=numbers):
            weight = weights.get(who, stranger) if who else nobody
            lines.append(_line(group, counts[group], as_of=as_of, role_weight=weight, numbers=numbers))
    return tuple(lines)


def _counts(group: Group, *, left_on: date | None, as_of: date, numbers: policy.Scoring) -> bool:
    """Say whether activities count: of a kind with a weight, in the window, by nobody who has left."""
    _, kind, day = group
    in_window = 0 <= (as_of - day).days <= numbers.window_days
    return in_window and kind in (numbers.kinds or {}) and (left_on is None or left_on > as_of)


def _role_weight(held: Collection[str], numbers: policy.Scoring) -> float:
    """Give the weight of the heaviest role; who holds none is unknown."""
    weights = numbers.role_weight or {}
    return max((weights[role] for role in held), default=weights["unknown"])


def _line(group: Group, times: int, *, as_of: date, role_weight: float, numbers: policy.Scoring) -> Line:
    contact_id, name, day = group
    kind, age_days = (numbers.kinds or {})[name], (as_of - day).days
    points = kind.points * times
    after_cap = min(kind.daily_cap, points)
    decay = float(2.0 ** (-age_days / kind.half_life_days))
    live = after_cap * decay
    return Line(contact_id, name, day, times, points, after_cap, age_days, decay, role_weight, live, live * role_weight)


def missing_roles(scored: Scored, *, numbers: policy.Scoring) -> tuple[MissingRole, ...]:
    """Give each required role that is not active, with breadth and score as they would be if it were."""
    factor = breadth(len(scored.active_roles) + 1, len(scored.required_roles), numbers=numbers)
    would_be = _saturate(scored.weighted_points * factor, numbers)
    return tuple(MissingRole(role, factor, would_be) for role in scored.required_roles if role not in scored.active_roles)


# The same over the records, for many accounts in a fixed number of queries; without `numbers` with those in force.


def of_accounts(account_ids: Collection[int], *, as_of: date, numbers: policy.Scoring | None = None) -> dict[int, Scored]:
    """Score accounts as of a day; accounts that do not exist are left out."""
    return of_days(account_ids, days=[as_of], numbers=numbers)[as_of]


def of_days(account_ids: Collection[int], *, days: Sequence[date], numbers: policy.Scoring | None = None) -> dict[date, dict[int, Scored]]:
    """Score accounts as of several days, from one reading of what happened."""
    return by_numbers(account_ids, days=days, each=[numbers or score_numbers.in_force()])[0]


def by_numbers(
    account_ids: Collection[int], *, days: Sequence[date], each: Sequence[policy.Scoring]
) -> list[dict[date, dict[int, Scored]]]:
    """Score accounts as of several days with each of several sets of numbers, from one reading of what happened."""
    sizes = dict(Account.objects.filter(pk__in=account_ids).order_by("pk").values_list("pk", "employees"))
    facts = _facts(sizes, days=days, each=each)
    return [_score_all(facts, days=days, numbers=numbers) for numbers in each]


def _of_days(sizes: Mapping[int, int | None], *, days: Sequence[date], numbers: policy.Scoring) -> dict[date, dict[int, Scored]]:
    return _score_all(_facts(sizes, days=days, each=[numbers]), days=days, numbers=numbers)


def _score_all(facts: Mapping[int, Facts], *, days: Sequence[date], numbers: policy.Scoring) -> dict[date, dict[int, Scored]]:
    return {
        day: {
            account_id: score(
                known.counts, roles=known.roles[day], left_on=known.left_on, required=known.required, as_of=day, numbers=numbers
            )
            for account_id, known in facts.items()
        }
        for day in days
    }


def _facts(sizes: Mapping[int, int | None], *, days: Sequence[date], each: Sequence[policy.Scoring]) -> dict[int, Facts]:
    """Read what the formula wants to know of accounts with so many employees: two queries, and one more for each day."""
    facts = {account_id: Facts(required=crm_policy.required_dmu(employees).roles) for account_id, employees in sizes.items()}
    for account_id, contact_id, kind, day, count in _counted(facts, days=days, each=each):
        # Of a day whose activities are gone one or the other may be left: then the larger count is the day's.
        key = (contact_id or None, kind, day)
        facts[account_id].counts[key] = max(count, facts[account_id].counts.get(key, 0))
    left = Contact.objects.filter(account__in=facts, left_on__isnull=False).order_by()
    for account_id, contact_id, left_on in left.values_list("account_id", "pk", "left_on"):
        if left_on:
            facts[account_id].left_on[contact_id] = left_on
    for day in days:
        held = DmuMembership.objects.filter(account__in=facts).at_work().held_on(day).order_by()
        for account_id, contact_id, role in held.values_list("account_id", "contact_id", "role"):
            facts[account_id].roles[day][contact_id].add(role)
    return facts


def _counted(account_ids: Collection[int], *, days: Sequence[date], each: Sequence[policy.Scoring]) -> Iterable[tuple[Any, ...]]:
    """Read how often who did what on which day: from activities, and from day counts where those are gone; one query."""
    there = _activities(account_ids, days=days, each=each).values_list("account_id", "contact_id", "kind", "day")
    first, kinds = _reach(days, each)
    marks = StateMark.objects.filter(pk__in=account_ids, kept_from__gt=first).values("pk")
    gone = DayCount.objects.without_activities().filter(account_id__in=marks, kind__in=kinds, day__gte=first, day__lte=max(days))
    counts = there.annotate(count=Count("pk")).order_by()
    return counts.union(gone.values_list("account_id", "contact_id", "kind", "day", "count"), all=True)


def _reach(days: Sequence[date], each: Sequence[policy.Scoring]) -> tuple[date, set[str]]:
    """Give the first day, and the kinds, that count by one of these sets of numbers."""
    first = min(days) - timedelta(days=max(numbers.window_days for numbers in each))
    return first, {kind for numbers in each for kind in numbers.kinds or {}}


def _activities(account_ids: Collection[int], *, days: Sequence[date], each: Sequence[policy.Scoring]) -> ActivityQuerySet:
    """Select what people did, of kinds that count by one of these sets of numbers, in the windows that end on these days."""
    first, kinds = _reach(days, each)
    of_weight = Activity.objects.by_people().filter(account__in=account_ids, kind__in=kinds)
    return of_weight.on_days(first, max(days))


def explain(account: Account, *, as_of: date, numbers: policy.Scoring | None = None, with_activities: bool = False) -> Explanation:
    """Explain an account's score; with the ids of the activities behind each line if asked for."""
    numbers = numbers or score_numbers.in_force()
    scored = _of_days({account.pk: account.employees}, days=[as_of], numbers=numbers)[as_of][account.pk]
    ids: dict[Group, list[int]] = {line.group: [] for line in scored.lines} if with_activities else {}
    if with_activities:
        behind = _activities([account.pk], days=[as_of], each=[numbers]).order_by("occurred_at", "pk")
        for contact_id, kind, day, pk in behind.values_list("contact_id", "kind", "day", "pk"):
            if (contact_id, kind, day) in ids:
                ids[contact_id, kind, day].append(pk)
    return Explanation(account.pk, as_of, scored, missing_roles(scored, numbers=numbers), numbers, ids)


class Counted(NamedTuple):
    """One activity behind a line of an explanation."""

    contact_id: int | None
    kind: str
    day: date
    pk: int
    subject: str
    occurred_at: datetime


def behind(account: Account, lines: Collection[Line], *, at_most: int) -> dict[Group, list[Counted]]:
    """Give the latest activities behind these lines of an explanation, at most so many for each line; one query."""
    found: dict[Group, list[Counted]] = {line.group: [] for line in lines}
    people, kinds, days = {who for who, _kind, _day in found}, {kind for _who, kind, _day in found}, {day for _who, _kind, day in found}
    of_people = Q(contact__in=people - {None}) | (Q(contact=None) if None in people else Q(pk=None))
    of_lines = Activity.objects.by_people().filter(of_people, account=account, kind__in=kinds, day__in=days)
    place = Window(RowNumber(), partition_by=["contact_id", "kind", "day"], order_by=["-occurred_at", "-pk"])
    rows = of_lines.annotate(place=place).filter(place__lte=at_most).order_by("-occurred_at", "-pk")
    for row in map(Counted._make, rows.values_list("contact_id", "kind", "day", "pk", "subject", "occurred_at")):
        if (row.contact_id, row.kind, row.day) in found:
            found[row.contact_id, row.kind, row.day].append(row)
    return found


# What is kept, so that a score of another day can be shown, and replayed with the numbers of that day.


def store(scored: Mapping[int, Scored], *, day: date, at: datetime, numbers: policy.Scoring) -> int:
    """Write the scores of a day again, made with `numbers`, and none for accounts without one; return how many rows the day keeps of these."""
    kept = sorted(pk for pk, one in scored.items() if one.score >= policy.NIGHTLY.history_from_score)
    EngagementScore.objects.on(day).filter(account__in=scored.keys() - set(kept)).delete()
    if kept:
        score_numbers.on_record(numbers, at=at)
    EngagementScore.objects.bulk_create(
        [_row(pk, scored[pk], day=day, version=numbers.version) for pk in kept],
        update_conflicts=True,
        unique_fields=["account", "day"],
        update_fields=["weighted_points", "breadth", "x", "score", "active_roles", "parameters"],
    )
    return len(kept)


def _row(account_id: int, scored: Scored, *, day: date, version: str) -> EngagementScore:
    return EngagementScore(
        account_id=account_id,
        day=day,
        weighted_points=scored.weighted_points,
        breadth=scored.breadth,
        x=scored.x,
        score=scored.score_1,
        active_roles=list(scored.active_roles),
        parameters_id=version,
    )


def thin(*, before: date) -> int:
    """Keep one score a week, the Monday's, of the days before; return how many rows went."""
    return EngagementScore.objects.filter(day__lt=before).exclude(day__iso_week_day=1).delete()[0]
