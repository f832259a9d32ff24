"""Which accounts a target list is compared with: for each listed one the nearest that nobody treats; pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from heapq import nsmallest
from math import inf, log1p, sqrt
from statistics import fmean, pvariance

from abm import policy
from crm.policy import DMU


@dataclass(frozen=True)
class Profile:
    """What makes two accounts alike: size in employees (None: unknown), industry, fit and score, both 0 to 100."""

    account_id: int
    employees: int | None
    industry: str
    fit: int
    score: Decimal


@dataclass(frozen=True)
class Match:
    """A listed account and one that resembles it; distance 0 is alike in all four, 1 unlike in all four."""

    listed: Profile
    nearest: Profile
    distance: float


def group(listed: Sequence[Profile], candidates: Iterable[Profile]) -> list[Match]:
    """Match each listed account with the nearest candidates that are still free: each gets its first before any gets a second.

    A second one and more are taken only if they are near. The same input gives the same group: of two equally near ones
    the lower id is taken.
    """
    free = {candidate.account_id: candidate for candidate in candidates}
    span = _span([*listed, *free.values()])
    # No more than these can be gone before an account's last turn comes.
    most = policy.TARGETS.comparison_per_account * len(listed)
    nearest = [nsmallest(most, ((_distance(profile, other, span), pk) for pk, other in free.items())) for profile in listed]
    return list(_matches(listed, nearest, free))


def _matches(listed: Sequence[Profile], nearest: Sequence[list[tuple[float, int]]], free: dict[int, Profile]) -> Iterator[Match]:
    for turn in range(policy.TARGETS.comparison_per_account):
        for profile, ranked in zip(listed, nearest, strict=True):
            distance, account_id = next(((far, pk) for far, pk in ranked if pk in free), (None, 0))
            if distance is not None and (turn == 0 or distance <= policy.TARGETS.comparison_distance_share):
                yield Match(profile, free.pop(account_id), distance)


def distance_between(one: Profile, other: Profile, *, among: Sequence[Profile]) -> float:
    """Give how unlike two accounts are, 0 to 1, where sizes are judged beside those of others."""
    return _distance(one, other, _span([one, other, *among]))


def _distance(one: Profile, other: Profile, span: float) -> float:
    unlike_industry = not one.industry or one.industry.casefold() != other.industry.casefold()
    size = abs(_magnitude(one) - _magnitude(other)) / span
    points = [float(abs(one.fit - other.fit)), float(abs(one.score - other.score))]
    wholly = max(policy.TARGETS.unlike_points, 1)
    return (size + unlike_industry + sum(min(each / wholly, 1) for each in points)) / 4


def _magnitude(profile: Profile) -> float:
    """Size on a scale where ten employees more mean much to a small company and little to a big one."""
    return log1p(DMU.unknown_size_as_employees if profile.employees is None else profile.employees)


def _span(profiles: Sequence[Profile]) -> float:
    """Give the difference in size that counts as wholly unlike: between the smallest and the biggest here."""
    sizes = [_magnitude(profile) for profile in profiles] or [0.0]
    return max(sizes) - min(sizes) or 1.0


# --- how alike the two groups are ------------------------------------------------------------------


@dataclass(frozen=True)
class Balance:
    """One trait of two groups: their means, and the difference in standard deviations (None: neither varies, but they differ).

    Of the industries it is the share of the one in which the groups differ most, named by `about`.
    """

    trait: str
    listed: float
    compared: float
    smd: float | None
    about: str = ""


def balance(listed: Sequence[Profile], compared: Sequence[Profile]) -> list[Balance]:
    """Compare two groups trait by trait before anything was done; nothing when one of them is empty.

    Source: the standardised mean difference, with the mean of both variances (Austin 2011).
    """
    if not listed or not compared:
        return []
    traits: dict[str, Callable[[Profile], float]] = {"size": _magnitude, "fit": lambda one: one.fit, "score": lambda one: float(one.score)}
    found = [_balance(trait, [*map(value, listed)], [*map(value, compared)]) for trait, value in traits.items()]
    industries = sorted({one.industry.casefold() for one in (*listed, *compared)})
    shares = [_balance("industry", _in(listed, name), _in(compared, name), about=name) for name in industries]
    return [*found, max(shares, key=lambda one: abs(inf if one.smd is None else one.smd))]


def _in(profiles: Sequence[Profile], industry: str) -> list[float]:
    return [float(profile.industry.casefold() == industry) for profile in profiles]


def _balance(trait: str, listed: Sequence[float], compared: Sequence[float], *, about: str = "") -> Balance:
    difference = fmean(listed) - fmean(compared)
    spread = sqrt((pvariance(listed) + pvariance(compared)) / 2)
    smd = difference / spread if spread else None if difference else 0.0
    return Balance(trait, fmean(listed), fmean(compared), smd, about)
