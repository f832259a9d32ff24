"""Two rates side by side: is the difference more than chance, how big may it be, and how many are needed to see it; pure.

Sources: Wilson 1927; Newcombe 1998, method 10; Fisher 1935; the z test with pooled variance, two-sided, no correction.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil, exp, lgamma, sqrt
from statistics import NormalDist

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from abm import policy
from crm.errors import Invalid

NORMAL = NormalDist()
CONFIDENCE = 0.95
# Of two tables that are equally likely floats may call one the likelier.
TIE = 1 + 1e-7

Interval = tuple[float, float]


@dataclass(frozen=True)
class Arm:
    """How many of how many did it; raises Invalid for more than all, or less than none."""

    successes: int
    n: int

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        if not 0 <= self.successes <= self.n:
            raise Invalid(
                _("%(successes)d of %(n)d cannot be.") % {"successes": self.successes, "n": self.n}, detail={"successes": self.successes}
            )

    @property
    def rate(self) -> float | None:
        """Give the share that did it, 0 to 1; None of nobody."""
        return self.successes / self.n if self.n else None

    @property
    def wilson(self) -> Interval | None:
        """Give the interval that holds the true rate in 95 of 100 cases; None of nobody."""
        if not self.n:
            return None
        z, p = NORMAL.inv_cdf((1 + CONFIDENCE) / 2), self.successes / self.n
        middle, width = p + z * z / (2 * self.n), z * sqrt(p * (1 - p) / self.n + z * z / (4 * self.n**2))
        low, high = (middle - width) / (1 + z * z / self.n), (middle + width) / (1 + z * z / self.n)
        return (0.0 if not self.successes else low, 1.0 if self.successes == self.n else high)


@dataclass(frozen=True)
class Comparison:
    """What two arms say together: `a` is the one without the change, `b` the one with it.

    With `is_exact` Fisher's test is used however many there are.
    """

    a: Arm
    b: Arm
    is_exact: bool = False

    @property
    def difference(self) -> float | None:
        """Give rate B minus rate A; None as long as one of them has nobody."""
        return None if self.a.rate is None or self.b.rate is None else self.b.rate - self.a.rate

    @property
    def uplift(self) -> float | None:
        """Give the difference as a share of rate A; None when A has none to compare with."""
        return self.difference / self.a.rate if self.difference is not None and self.a.rate else None

    @property
    def smallest_expected_cell(self) -> float:
        """Give the smallest cell of the table that chance alone would make; 0 when nobody is in it."""
        n, hits = self.a.n + self.b.n, self.a.successes + self.b.successes
        return min(self.a.n, self.b.n) * min(hits, n - hits) / n if n else 0.0

    @property
    def test(self) -> str:
        """Name the test that is used: 'fisher' where a cell is too small for the normal curve, else 'z'."""
        return "fisher" if self.is_exact or self.smallest_expected_cell < policy.EXPERIMENTS.exact_below_cell else "z"

    @property
    def z(self) -> float | None:
        """Give the z of the two rates with pooled variance; None where all or none did it."""
        n, hits = self.a.n + self.b.n, self.a.successes + self.b.successes
        if self.difference is None or hits in (0, n):
            return None
        pooled = hits / n
        return self.difference / sqrt(pooled * (1 - pooled) * (1 / self.a.n + 1 / self.b.n))

    @property
    def p_z(self) -> float | None:
        """Give the two-sided p of the z test."""
        return None if self.z is None else 2 * NORMAL.cdf(-abs(self.z))

    @cached_property
    def p_fisher(self) -> float:
        """Give the two-sided p of Fisher's exact test: all tables together that are no likelier than this one."""
        likelihoods = [*self._likelihoods()]
        seen = likelihoods[self.b.successes - self._fewest_in_b]
        return min(1.0, sum(one for one in likelihoods if one <= seen * TIE))

    @property
    def p_value(self) -> float | None:
        """Give the p of the test that is used; None as long as there is nothing to compare."""
        if self.difference is None:
            return None
        return self.p_fisher if self.test == "fisher" else self.p_z

    @property
    def smallest_p(self) -> float:
        """Give the smallest p that so many in each arm can give at all: all of one, none of the other."""
        return Comparison(Arm(0, self.a.n), Arm(self.b.n, self.b.n)).p_fisher

    @property
    def newcombe(self) -> Interval | None:
        """Give the interval that holds the true difference in 95 of 100 cases."""
        if self.difference is None or self.a.wilson is None or self.b.wilson is None:
            return None
        (low_a, high_a), (low_b, high_b) = self.a.wilson, self.b.wilson
        p_a, p_b = self.a.successes / self.a.n, self.b.successes / self.b.n
        return (
            self.difference - sqrt((p_b - low_b) ** 2 + (high_a - p_a) ** 2),
            self.difference + sqrt((high_b - p_b) ** 2 + (p_a - low_a) ** 2),
        )

    @property
    def _fewest_in_b(self) -> int:
        return max(0, self.a.successes + self.b.successes - self.a.n)

    def _likelihoods(self) -> Iterator[float]:
        """Give the chance of each table with these totals, by rising successes in B."""
        hits = self.a.successes + self.b.successes
        total = _log_choose(self.a.n + self.b.n, hits)
        for in_b in range(self._fewest_in_b, min(hits, self.b.n) + 1):
            yield exp(_log_choose(self.b.n, in_b) + _log_choose(self.a.n, hits - in_b) - total)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


# --- planning --------------------------------------------------------------------------------------


def needed_per_arm(baseline: float, uplift: float, *, alpha: float | None = None, power: float | None = None) -> int:
    """Give how many each arm needs to see a relative uplift over a baseline rate, by the normal curve, two-sided.

    Without alpha and power those of the policy. Raises Invalid for rates that are no rates.
    """
    target = baseline * (1 + uplift)
    if not (0 < baseline < 1 and 0 < target < 1 and uplift):
        raise Invalid(_("The rates that are planned with must lie between 0 and 100 %, and differ."), detail={"baseline": baseline})
    z_alpha = NORMAL.inv_cdf(1 - _chance("alpha", policy.EXPERIMENTS.significance_share if alpha is None else alpha) / 2)
    z_power = NORMAL.inv_cdf(_chance("power", policy.EXPERIMENTS.power_share if power is None else power))
    middle = (baseline + target) / 2
    spread = z_alpha * sqrt(2 * middle * (1 - middle)) + z_power * sqrt(baseline * (1 - baseline) + target * (1 - target))
    return ceil(spread**2 / (baseline - target) ** 2)


def _chance(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise Invalid(_("%(name)s must lie between 0 and 1.") % {"name": name}, detail={name: value})
    return value


# --- the verdict -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What a test says: `winner` and `indication` are 'a', 'b' or None; `lacking` names what a decision lacks."""

    winner: str | None
    indication: str | None
    lacking: tuple[str, ...]


def verdict(compared: Comparison, *, days: int) -> Verdict:
    """Judge a test of two variants after so many days.

    There is a verdict with enough people in each arm, after 7 to 14 days. The winner needs a p below the significance;
    a big uplift without it is an indication.
    """
    numbers = policy.EXPERIMENTS
    short = min(compared.a.n, compared.b.n) < numbers.per_arm_at_least
    lacking = (
        *(("people",) if short else ()),
        *(("days",) if days < numbers.shortest_days else ()),
        *(("too_long",) if days > numbers.longest_days else ()),
    )
    if lacking:
        return Verdict(None, None, lacking)
    better = _better(compared)
    big = compared.uplift is not None and abs(compared.uplift) >= numbers.indication_share
    return Verdict(better if is_significant(compared) else None, better if is_significant(compared) or big else None, ())


def verdict_on_accounts(compared: Comparison, *, days: int) -> Verdict:
    """Judge a list of accounts against a group like it: from day 56 on, by significance alone, whatever the number of accounts."""
    lacking = (
        *(("days",) if days < policy.TARGETS.compare_after_days else ()),
        *(("people",) if not (compared.a.n and compared.b.n) else ()),
    )
    winner = _better(compared) if not lacking and is_significant(compared) else None
    return Verdict(winner, winner, lacking)


def is_significant(compared: Comparison) -> bool:
    """Say whether chance alone would make such a difference too seldom."""
    return compared.p_value is not None and compared.p_value < policy.EXPERIMENTS.significance_share


def p_in_words(p: float) -> str:
    """Write a p value, never as nothing at all."""
    return f"p {number_format(round(p, 4), 4)}" if p >= 0.0001 else f"p < {number_format(0.0001, 4)}"


def _better(compared: Comparison) -> str | None:
    if not compared.difference:
        return None
    return "b" if compared.difference > 0 else "a"
