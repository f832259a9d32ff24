"""The numbers of the marketing intelligence, each with its unit and source; an organisation may change them by setting."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from abm.policy.figures import Attribution, Benchmarks, Budgets, Cohorts, Experiments, Forecast, Hybrid
from abm.policy.journey import Journey
from crm import policy as crm_policy
from crm.policy.own import number, override, table


@dataclass(frozen=True)
class KindWeight:
    """What one kind of activity is worth: points each, most points per person and day, days until half is left."""

    points: float
    daily_cap: float
    half_life_days: int


def _weights() -> dict[str, KindWeight]:
    return {
        "email_open": KindWeight(1, 2, 14),
        "page_view": KindWeight(1, 5, 14),
        "email_click": KindWeight(3, 6, 30),
        "pricing_view": KindWeight(5, 10, 30),
        "download": KindWeight(8, 16, 30),
        "webinar_attended": KindWeight(10, 10, 30),
        "event_visit": KindWeight(10, 10, 30),
        "email_reply": KindWeight(12, 12, 60),
        "call_answered": KindWeight(12, 12, 60),
        "form_demo_request": KindWeight(20, 20, 60),
        "meeting": KindWeight(25, 25, 60),
    }


# Sums that are kept of what one person did: the score knows so many half-lives.
TERMS = 3

# What we did ourselves says nothing about their interest: known, and worth nothing.
WORTH_NOTHING = frozenset({"email_sent", "email_delivered", "email_bounced", "call_unanswered", "note"})


# The least and the most that each number of the score can be.
BOUNDS: dict[str, tuple[float, float]] = {
    "points": (0, 1_000), "daily_cap": (0, 10_000), "half_life_days": (1, 36_500), "role_weight": (0, 100),
    "half_saturation": (0.1, 1_000_000), "breadth_floor": (0, 1), "breadth_per_share": (0, 1), "role_counts_from_points": (0, 1_000),
}  # fmt: skip


def _kind_weight(kind: str, row: Any) -> KindWeight:
    """Read a row as JSON holds it; raise ValueError for anything else."""
    if isinstance(row, KindWeight):
        return row
    name = f"SCORING.kinds.{kind}"
    if not isinstance(row, Mapping) or row.keys() != {"points", "daily_cap", "half_life_days"}:
        raise ValueError(f"{name} must be an object of points, daily_cap and half_life_days, not {row!r}.")
    return KindWeight(
        _hundredths(f"{name}.points", row["points"], *BOUNDS["points"]),
        _hundredths(f"{name}.daily_cap", row["daily_cap"], *BOUNDS["daily_cap"]),
        number(f"{name}.half_life_days", row["half_life_days"], *BOUNDS["half_life_days"], whole=True),
    )


def _hundredths(name: str, value: Any, least: float, most: float) -> Any:
    """Read a number with at most two decimals: sums are kept in whole hundredths."""
    if round(number(name, value, least, most) * 100, 6) % 1:
        raise ValueError(f"{name} must have at most two decimals, not {value!r}.")
    return value


@dataclass(frozen=True)
class Scoring:
    """The engagement score. Source: design of the score; the weights are judgement, not fitted to outcomes."""

    window_days: int = 180
    # Weighted points that make a score of 50.
    half_saturation: float = 50.0
    role_weight: Mapping[str, float] | None = None
    kinds: Mapping[str, KindWeight] | None = None
    breadth_floor: float = 0.5
    breadth_per_share: float = 0.5
    # Live points, before role weight, from which a role counts as active.
    role_counts_from_points: float = 1.0

    def __post_init__(self) -> None:
        """Fill in the default tables, and accept kinds as an organisation writes them in JSON."""
        roles = {"decider": 1.5, "buyer": 1.3, "influencer": 1.2, "user": 1.0, "initiator": 1.0, "unknown": 0.8, "anonymous": 0.5}
        own = table("SCORING.role_weight", self.role_weight or {}, known=roles.keys())
        weights = {name: _hundredths(f"SCORING.role_weight.{name}", weight, *BOUNDS["role_weight"]) for name, weight in own.items()}
        object.__setattr__(self, "role_weight", roles | weights)
        kinds = table("SCORING.kinds", self.kinds or _weights(), known=_weights().keys() | WORTH_NOTHING)
        object.__setattr__(self, "kinds", {name: _kind_weight(name, row) for name, row in kinds.items()})
        if len({row.half_life_days for row in (self.kinds or {}).values()}) > TERMS:
            raise ValueError(f"SCORING.kinds must have at most {TERMS} different half_life_days: a sum is kept for each.")

    @cached_property
    def half_lives(self) -> tuple[int, int, int]:
        """Give the three half-lives in days, the shortest first; fewer are filled up with the longest."""
        found = sorted({row.half_life_days for row in (self.kinds or {}).values()}) or [1]
        short, middle, long = (found + [found[-1]] * TERMS)[:TERMS]
        return short, middle, long

    @cached_property
    def version(self) -> str:
        """Name this set of numbers by its content, so that a stored score tells which numbers made it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Fit:
    """The most points of each part of the fit; together 100. Source: playbook, judgement."""

    industry_points: int = 35
    size_points: int = 30
    revenue_points: int = 20
    decider_points: int = 15
    # What a listed industry that is not the first, a size or revenue near the bounds, an assumed decider get of it.
    listed_share: float = 0.8
    half_share: float = 0.5
    near_factor: int = 2


@dataclass(frozen=True)
class Targets:
    """The target list. Source: playbook, 'twenty accounts get personal treatment'; weights are judgement."""

    slots: int = 20
    fit_weight: float = 0.40
    engagement_weight: float = 0.30
    value_weight: float = 0.20
    coverage_weight: float = 0.10
    # The comparison group: at most this many nearest accounts for each one on the list, the second and later ones only if
    # they are this near. Source: benchmarks/trial.py; with one each, more than half of the real effects would go unseen.
    comparison_per_account: int = 4
    comparison_distance_share: float = 0.25
    # Accounts whose fit, or whose score, differs by so much are wholly unlike in it. Source: benchmarks/trial.py; with 100 the
    # industry decides alone, and the listed accounts are clearly better than their group from the start.
    unlike_points: int = 25
    compare_after_days: int = 56
    # What counts as an answer of an account: it takes a person, and nobody does it by mistake.
    response_kinds: frozenset[str] = frozenset({"email_reply", "call_answered", "form_demo_request", "meeting"})
    # A trait in which the groups differ by more standard deviations is pointed out. Source: Stuart 2010, 0.1 to 0.25.
    balanced_below: float = 0.25


@dataclass(frozen=True)
class JobChanges:
    """From mail that comes back to a signal. Source: domain rules and bounces.md."""

    domain_incident_addresses: int = 3
    domain_incident_share: float = 0.5
    domain_incident_hours: int = 48
    # Successors that are offered, and signals decided at once: more than that nobody has looked at. Source: judgement.
    candidates: int = 5
    decided_at_once: int = 200
    # How far back churn and the time to a successor are measured. Source: the year in which contracts and budgets run.
    churn_days: int = 365


@dataclass(frozen=True)
class Alerts:
    """When a rep must hear of it. Source: judgement."""

    warming_up_points: float = 10.0
    warming_up_from_score: float = 30.0
    compared_with_days_ago: int = 7
    warming_up_due_days: int = 2


@dataclass(frozen=True)
class Nightly:
    """The nightly run. Source: measured, each chunk takes 65 ms whatever it holds, and the scores of 5,000 accounts 0.1 to 0.3 s more."""

    accounts_per_chunk: int = 5_000
    # Workers that are asked to share a night; more than there are do no harm.
    most_workers: int = 64
    # Local minutes after midnight from which a day's run is due; config/celery.py starts it then.
    due_from_minutes: int = 150
    daily_history_days: int = 90
    history_from_score: float = 0.1
    look_back_for_bounces_days: int = 3
    # The night of the week, Monday 1 to Sunday 7, in which all sums are compared with a count anew; it writes nothing.
    verify_on_weekday: int = 7
    # A night's worth, should every event be lost; their accounts are kept until all of them are judged.
    bounces_per_night: int = 500
    # What is left over is closed the night after; each keeps its verdict whenever that is.
    experiments_per_night: int = 500


@dataclass(frozen=True)
class Playground:
    """Trying other numbers of the score. Source: judgement; measured, 250 accounts with 200 activities each are tried in under two seconds."""

    shown: int = 20
    # The warmest accounts that the totals are taken of.
    accounts: int = 250
    # A score that moves by more than this is worth a word.
    moved_points: float = 5.0


@dataclass(frozen=True)
class MyDay:
    """The start page. Source: judgement; what fits on a screen and is read in ten seconds."""

    # Lines of a section, and tasks, shown at most; deals and accounts looked at for roles nobody holds.
    lines: int = 6
    tasks: int = 8
    looked_at: int = 40
    warming_from_points: float = 5.0
    tasks_days: int = 7
    pilots_days: int = 14
    # A nightly run that finished longer ago than this makes the page warn.
    night_hours: int = 26


# The phase in which a deal of a stage puts its account.
PHASE_OF_STAGE = {"mql": "research", "sql": "consider", "opportunity": "compare", "proposal": "compare", "won": "buy"}

SCORING = Scoring()
FIT = Fit()
TARGETS = Targets()
JOB_CHANGES = JobChanges()
ALERTS = Alerts()
JOURNEY = Journey()
BENCHMARKS = Benchmarks()
FORECAST = Forecast()
BUDGETS = Budgets()
COHORTS = Cohorts()
HYBRID = Hybrid()
NIGHTLY = Nightly()
PLAYGROUND = Playground()
MY_DAY = MyDay()
ATTRIBUTION = Attribution()
EXPERIMENTS = Experiments()


def days_looked_back(numbers: Scoring) -> int:
    """Give of how many days back activities are needed by what is computed from them: score, its change, and coverage."""
    return max(numbers.window_days + ALERTS.compared_with_days_ago, crm_policy.DMU.engaged_within_days)


def refuse_short_retention() -> None:
    """Refuse to let go of activities that still count; called at start, when the numbers of both apps are set."""
    kept, needed = crm_policy.RETENTION.activity_days, days_looked_back(SCORING)
    if 0 < kept < needed:
        raise ValueError(
            f"RETENTION.activity_days must be 0, which keeps them for ever, or at least {needed}, not {kept}: "
            "score and coverage look so many days back."
        )


def configure(overrides: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Apply an organisation's numbers to this module; return the names that it does not have."""
    unknown = list(override(sys.modules[__name__], overrides))
    most = FIT.industry_points + FIT.size_points + FIT.revenue_points + FIT.decider_points
    if most > 100:
        raise ValueError(f"FIT.industry_points, size_points, revenue_points and decider_points must together be at most 100, not {most}.")
    return unknown
