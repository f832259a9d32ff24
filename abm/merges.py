"""What abm's tables become when accounts or contacts are merged: slots, signals, and scores and journeys computed anew."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import F, Q

from abm import engagement, score_numbers
from abm.journey import times
from abm.models import (
    AnnouncedLeaving,
    ComparisonAccount,
    EngagementScore,
    HeldOutAccount,
    JobChangeSignal,
    JourneyPlacement,
    PhaseChange,
    ScoreParameters,
    TargetAccount,
    TargetRejection,
)
from crm import policy as crm_policy
from crm.merges import folding, relations
from crm.merges.folding import Doing
from crm.merges.relations import Way

# More days than these after a merge are not scored again one by one when it is undone.
MOST_DAYS = 120


def register() -> None:
    """Tell crm.merges what becomes of abm's tables; called once at start."""
    relations.decide(
        Way.MOVES,
        *("abm.targetaccount.account", "abm.targetrejection.account"),
        *("abm.comparisonaccount.account", "abm.comparisonaccount.resembles"),
        *("abm.heldoutaccount.account", "abm.heldoutaccount.paired_with"),
        *("abm.jobchangesignal.account", "abm.jobchangesignal.contact", "abm.announcedleaving.contact"),
    )
    relations.decide(Way.RENEWED, "abm.accountfit.account", "abm.accountstanding.account", "abm.engagementscore.account")
    relations.decide(Way.RENEWED, "abm.journeyplacement.account", "abm.phasechange.account")
    folding.settle_with("abm.jobchangesignal", _one_signal)
    folding.settle_with("abm.announcedleaving", _last_word)
    folding.besides("crm.account", _sort_out_lists)
    folding.besides("crm.contact", _readdress_effects)
    folding.renew_with(rescore, rebuild)
    folding.renew_with(one_journey, journeys_apart)


def _one_signal(doing: Doing, kept_id: int, folded_id: int, /) -> None:
    """Make two signals that wait one: it has the evidence of both, and what both did is undone with it."""
    kept, folded = (JobChangeSignal.objects.get(pk=pk) for pk in (kept_id, folded_id))
    doing.ledger.settled["abm.jobchangesignal"] += 1
    folding.take_over(doing, JobChangeSignal, kept_id, folded_id)
    values: dict[str, object] = {"effects": [*kept.effects, *(effect for effect in folded.effects if effect not in kept.effects)]}
    if not (kept.successor_name or kept.successor_email):
        values |= {"successor_name": folded.successor_name, "successor_email": folded.successor_email}
    doing.ledger.change(JobChangeSignal, kept_id, opened_at=min(kept.opened_at, folded.opened_at), **values)


def _last_word(doing: Doing, kept_id: int, folded_id: int, /) -> None:
    """Let what was said last stand, of two announcements that wait for their day."""
    kept, folded = (AnnouncedLeaving.objects.get(pk=pk) for pk in (kept_id, folded_id))
    doing.ledger.settled["abm.announcedleaving"] += 1
    if folded.said_at > kept.said_at:
        names = ("leaves_on", "successor_name", "successor_email", "said_at")
        doing.ledger.change(AnnouncedLeaving, kept_id, **{name: getattr(folded, name) for name in names})
    doing.ledger.drop(AnnouncedLeaving.objects.filter(pk=folded_id))


def _sort_out_lists(doing: Doing, kept_id: int, _folded_id: int, /) -> None:
    """Let no account be compared with itself, and none be both worked on and left alone."""
    mine = ComparisonAccount.objects.filter(account=kept_id)
    worked_on = TargetAccount.objects.filter(account=kept_id).values("target_list")
    for rows in (mine.filter(resembles=F("account")), mine.filter(target_list__in=worked_on)):
        doing.ledger.settled["abm.comparisonaccount"] += doing.ledger.drop(rows)
    held_out = HeldOutAccount.objects.filter(Q(account=kept_id) | Q(paired_with=kept_id))
    nobody_left = held_out.filter(Q(account=F("paired_with")) | Q(account=kept_id, target_list__in=worked_on))
    doing.ledger.settled["abm.heldoutaccount"] += doing.ledger.drop(nobody_left)
    rejected = TargetRejection.objects.filter(account=kept_id, target_list__in=worked_on)
    doing.ledger.settled["abm.targetrejection"] += doing.ledger.drop(rejected)


def _readdress_effects(doing: Doing, kept_id: int, folded_id: int, /) -> None:
    """Let a signal that marked the folded contact unmark the kept one; one that added it takes nothing away any more."""
    signals = JobChangeSignal.objects.filter(account__contacts=kept_id).exclude(effects=[])
    for signal in signals.order_by("pk"):
        effects = [_readdressed(effect, kept_id, folded_id) for effect in signal.effects]
        doing.ledger.change(JobChangeSignal, signal.pk, effects=[effect for effect in effects if effect])


def _readdressed(effect: dict[str, Any], kept_id: int, folded_id: int) -> dict[str, Any] | None:
    if effect["effect"] not in ("suspected", "added") or effect["id"] != folded_id:
        return effect
    return effect | {"id": kept_id} if effect["effect"] == "suspected" else None


# --- scores ----------------------------------------------------------------------------------------


def rescore(kept_id: int, before: Mapping[str, Sequence[Mapping[str, Any]]], _at: datetime) -> None:
    """Score each day on which one of the two had a score, from what happened at both, with the numbers of that day."""
    days: dict[str, set[date]] = defaultdict(set)
    for row in before.get("abm.engagementscore", []):
        days[row["parameters_id"]].add(row["day"])
    versions = ScoreParameters.objects.in_bulk(days)
    EngagementScore.objects.filter(account=kept_id, day__in={day for some in days.values() for day in some}).delete()
    for version, some in sorted(days.items()):
        numbers = score_numbers.numbers_of(versions[version])
        for day, scored in engagement.of_days([kept_id], days=sorted(some), numbers=numbers).items():
            engagement.store(scored, day=day, at=_at, numbers=numbers)


def rebuild(account_ids: Sequence[int], merged_at: datetime, at: datetime) -> None:
    """Score both accounts apart on the days that they were one; today's score comes with the refresh."""
    first, today = crm_policy.day_of(merged_at), crm_policy.day_of(at)
    days = [today - timedelta(days=ago) for ago in range(min(MOST_DAYS, (today - first).days), 0, -1)]
    if not days:
        return
    numbers = score_numbers.in_force()
    for day, scored in engagement.of_days(account_ids, days=days, numbers=numbers).items():
        engagement.store(scored, day=day, at=at, numbers=numbers)


# --- journeys --------------------------------------------------------------------------------------


def one_journey(kept_id: int, before: Mapping[str, Sequence[Mapping[str, Any]]], _at: datetime) -> None:
    """Give the kept account the history that the two have together; the refresh goes on from there."""
    PhaseChange.objects.filter(account=kept_id).delete()
    JourneyPlacement.objects.filter(account=kept_id).delete()
    changes, placement = times.as_one(kept_id, before.get("abm.phasechange", []))
    PhaseChange.objects.bulk_create(changes)
    JourneyPlacement.objects.bulk_create([placement] if placement else [])


def journeys_apart(_account_ids: Sequence[int], _merged_at: datetime, _at: datetime) -> None:
    """Leave both histories as they were before the merge: the refresh goes on from there, with what each did since."""
