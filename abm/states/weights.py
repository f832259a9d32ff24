"""The fixed point of the score: what an activity of a day weighs in integers, and what a sum of them is worth on a later day.

Forward decay (Cormode, Shkapenyuk, Srivastava, Xu: Forward Decay, ICDE 2009): the weight of a day stands against a fixed
anchor, round(2^28 x 2^((day - anchor) / half-life)), and all sums of one half-life get the same factor on the day of the
score. Points and role weights are hundredths. The anchor is the end of the month, so weights never grow beyond 2^28 and
lose at most a few bits of 28 in between; a new month is a rebuild from the day counts.
"""

import calendar
from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from abm import policy, score_numbers
from abm.models import DayWeight
from crm import bulk

ONE = 2**28
HUNDREDTHS = 100
# The three sums, the shortest half-life first.
NAMES = ("short", "middle", "long")


class Numbers(NamedTuple):
    """Which numbers the states of a day are made with."""

    version: str
    anchor: date
    first_day: date
    day: date
    scoring: policy.Scoring
    # Between which ids the accounts of the job lie.
    first_account: int = 0
    last_account: int = 2**62

    @property
    def values(self) -> dict[str, Any]:
        """Give what statements ask for by name."""
        weights = {f"{role}_weight": self.role_weight(role) for role in ("anonymous", "unknown")}
        days = {"version": self.version, "anchor": self.anchor, "first_day": self.first_day, "day": self.day}
        return {**days, "first_account": self.first_account, "last_account": self.last_account, **weights}

    def between(self, account_ids: Collection[int]) -> "Numbers":
        """Give the same for a job of these accounts."""
        return self._replace(first_account=min(account_ids, default=0), last_account=max(account_ids, default=0))

    def role_weight(self, role: str) -> int:
        """Give the weight of a role in hundredths."""
        return round((self.scoring.role_weight or {})[role] * HUNDREDTHS)

    def ago(self, days: int) -> "Numbers":
        """Give the numbers of an earlier day, against the same anchor."""
        back = timedelta(days=days)
        return self._replace(first_day=self.first_day - back, day=self.day - back)

    @property
    def factors(self) -> tuple[float, float, float]:
        """Give what turns each sum, of hundredths of points, into live points."""
        ahead = (self.anchor - self.day).days
        short, middle, long = (2.0 ** (ahead / half_life) / (ONE * HUNDREDTHS) for half_life in self.scoring.half_lives)
        return short, middle, long


def of_day(day: date, *, at: datetime) -> Numbers:
    """Give the numbers of a day, with the table of weights made and the version on record.

    Asked for after the accounts are held: whoever waited for them must not go on with numbers of before.
    """
    numbers = score_numbers.in_force()
    anchor = day.replace(day=calendar.monthrange(day.year, day.month)[1])
    wanted = Numbers(numbers.version, anchor, day - timedelta(days=numbers.window_days), day, numbers)
    if not DayWeight.objects.filter(version=wanted.version, anchor=anchor).exists():
        score_numbers.on_record(numbers, at=at)
        _make_table(wanted)
    return wanted


def _make_table(wanted: Numbers) -> None:
    """Write the weight of each kind on each day that this month's scores, and those they are compared with, can look at."""
    first = wanted.anchor.replace(day=1) - timedelta(days=wanted.scoring.window_days + policy.ALERTS.compared_with_days_ago)
    days = [first + timedelta(days=number) for number in range((wanted.anchor - first).days + 1)]
    rows = (_row(wanted, name, kind, day) for name, kind in (wanted.scoring.kinds or {}).items() for day in days)
    DayWeight.objects.bulk_create(rows, batch_size=1_000, ignore_conflicts=True)
    # Else PostgreSQL takes the table for empty, and looks each day count up by itself.
    bulk.look_at("abm_dayweight")


def _row(wanted: Numbers, name: str, kind: policy.KindWeight, day: date) -> DayWeight:
    return DayWeight(
        version=wanted.version,
        anchor=wanted.anchor,
        kind=name,
        day=day,
        term=wanted.scoring.half_lives.index(kind.half_life_days),
        points=round(kind.points * HUNDREDTHS),
        cap=round(kind.daily_cap * HUNDREDTHS),
        weight=round(ONE * 2.0 ** ((day - wanted.anchor).days / kind.half_life_days)),
    )
