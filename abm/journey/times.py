"""How long accounts stay in each phase, and the one history that two merged accounts have."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any, NamedTuple

from django.db.models import Count, F, IntegerField, Q, QuerySet, Value, Window
from django.db.models.functions import RowNumber

from abm.journey.rules import Placed
from abm.models import JourneyPlacement, Phase, PhaseChange
from abm.models.journey import PHASES, JourneyPlacementQuerySet, PhaseChangeQuerySet

# No overlap: what marks the rows about those who left a phase.
_LEFT = -1


class Stay(NamedTuple):
    """One phase over many accounts: how many are there now, how many left it, and half of those within how many days."""

    phase: Phase
    accounts: int
    overlapping: int
    ended: int
    median_days: int | None


def report(placements: JourneyPlacementQuerySet, changes: PhaseChangeQuerySet) -> list[Stay]:
    """Count the accounts in each phase, and the days that those stayed who left it; one query however many."""
    now: Counter[int] = Counter()
    overlaps: Counter[int] = Counter()
    medians: dict[int, tuple[int, int | None]] = {}
    counted = placements.order_by().values("phase", "overlap").annotate(many=Count("pk"), days=Value(None, IntegerField()))
    for phase, overlap, many, days in counted.values_list("phase", "overlap", "many", "days").union(_medians(changes), all=True):
        if overlap == _LEFT:
            medians[phase] = many, days
        else:
            now[phase] += many
            overlaps[overlap] += many
    return [Stay(phase, now[phase], overlaps[phase], *medians.get(phase, (0, None))) for phase in PHASES]


def _medians(changes: PhaseChangeQuerySet) -> QuerySet[Any, Any]:
    """Select phase, the mark of those who left it, how many, and the lower median of the days; by windows, which both databases know."""
    place = Window(RowNumber(), partition_by=[F("from_phase")], order_by=[F("stayed_days").asc(), F("pk").asc()])
    many = Window(Count("*"), partition_by=[F("from_phase")])
    ranked = changes.ended().order_by().annotate(place=place, many=many, left=Value(_LEFT, IntegerField()), days=F("stayed_days"))
    middle = ranked.filter(Q(place__gte=F("many") / 2.0, place__lt=F("many") / 2.0 + 1))
    return middle.values_list("from_phase", "left", "many", "days")


def of_account(changes: Iterable[PhaseChange], placement: JourneyPlacement | None, *, today: date) -> dict[Phase, int]:
    """Add up the days that one account spent in each phase, today's included; `changes` are all of the account's."""
    days: dict[Phase, int] = {}
    for change in changes:
        if change.from_phase and change.phase != change.from_phase and change.stayed_days is not None:
            phase = Phase(change.from_phase)
            days[phase] = days.get(phase, 0) + change.stayed_days
    if placement and placement.phase:
        phase = Phase(placement.phase)
        days[phase] = days.get(phase, 0) + max(0, (today - placement.since).days)
    return days


def as_one(account_id: int, rows: Iterable[Mapping[str, Any]]) -> tuple[list[PhaseChange], JourneyPlacement | None]:
    """Make one history out of the changes of two accounts: on each day the one that was further says where both were."""
    states: dict[int, tuple[Placed, list[dict[str, Any]]]] = {}
    made: list[PhaseChange] = []
    now, since = Placed(), None
    for day, changes in groupby(sorted(rows, key=lambda row: (row["day"], row["account_id"])), key=lambda row: row["day"]):
        states |= {row["account_id"]: (Placed(row["phase"], row["overlap"]), row["evidence"]) for row in changes}
        placed, evidence = max(states.values(), key=lambda state: state[0])
        if placed != now:
            made.append(_change(account_id, day, now, placed, stayed=(day - since).days if since else None, evidence=evidence))
            since = since if since and placed.phase == now.phase else day
            now = placed
    return made, _placement(made, since)


def _change(account_id: int, day: date, before: Placed, now: Placed, *, stayed: int | None, evidence: list[dict[str, Any]]) -> PhaseChange:
    return PhaseChange(
        account_id=account_id,
        day=day,
        from_phase=before.phase,
        from_overlap=before.overlap,
        phase=now.phase,
        overlap=now.overlap,
        stayed_days=stayed,
        evidence=evidence,
    )


def _placement(made: Sequence[PhaseChange], since: date | None) -> JourneyPlacement | None:
    """Give where the last change left the account."""
    if not made or since is None:
        return None
    last = made[-1]
    return JourneyPlacement(
        account_id=last.account_id, phase=last.phase, overlap=last.overlap, since=since, evidence=last.evidence, changed_on=last.day
    )
