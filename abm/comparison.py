"""Which accounts a target list is compared with: for each listed one the nearest that nobody treats; pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import log1p

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
    """Match each listed account, in the order given, with the nearest candidates that are still free.

    The same input gives the same group: of two equally near ones the lower id is taken.
    """
    free = {candidate.account_id: candidate for candidate in candidates}
    span = _span([*listed, *free.values()])
    return list(_matches(listed, free, span))


def _matches(listed: Sequence[Profile], free: dict[int, Profile], span: float) -> Iterator[Match]:
    for profile in listed:
        for _ in range(min(policy.TARGETS.comparison_per_account, len(free))):
            distance, nearest = min((_distance(profile, other, span), other.account_id) for other in free.values())
            yield Match(profile, free.pop(nearest), distance)


def _distance(one: Profile, other: Profile, span: float) -> float:
    unlike_industry = not one.industry or one.industry.casefold() != other.industry.casefold()
    size = abs(_magnitude(one) - _magnitude(other)) / span
    return (size + unlike_industry + abs(one.fit - other.fit) / 100 + float(abs(one.score - other.score)) / 100) / 4


def _magnitude(profile: Profile) -> float:
    """Size on a scale where ten employees more mean much to a small company and little to a big one."""
    return log1p(DMU.unknown_size_as_employees if profile.employees is None else profile.employees)


def _span(profiles: Sequence[Profile]) -> float:
    """Give the difference in size that counts as wholly unlike: between the smallest and the biggest here."""
    sizes = [_magnitude(profile) for profile in profiles] or [0.0]
    return max(sizes) - min(sizes) or 1.0
