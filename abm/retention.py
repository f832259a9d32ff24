"""Letting go of activities older than the retention period: the rows go, what they were worth stays counted by day."""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce, Greatest

from abm import policy, score_numbers, states
from abm.models import StateMark
from crm import activity_kinds
from crm import policy as crm_policy
from crm.models import Activity, ActivityChange
from crm.models.activities import ActivityQuerySet


def let_go(*, at: datetime) -> int:
    """Delete activities of days before the retention period, a bounded number per transaction; give how many.

    Nothing is queued for counting: the days stay counted. What is not counted yet stays for another night, and so does
    the last proof that somebody's address worked, for as long as we know the person.
    """
    oldest = oldest_kept(at=at)
    if oldest is None:
        return 0
    total, after = 0, (0, 0)
    # By account, so that a batch holds few of them.
    while batch := _next(oldest, after=after):
        after = batch[-1]
        total += _let_go_of(batch, oldest)
    return total


def oldest_kept(*, at: datetime) -> date | None:
    """Give the first day of which activities stay; None when all do. Never one that is still needed, whatever the settings say."""
    wanted = crm_policy.oldest_day_kept(at)
    needed = crm_policy.day_of(at) - timedelta(days=policy.days_looked_back(score_numbers.in_force()))
    return min(wanted, needed) if wanted else None


def _next(oldest: date, *, after: tuple[int, int]) -> list[tuple[int, int]]:
    """Give the next activities that may go, as account and activity, in this order."""
    account_id, pk = after
    later = Q(account__gt=account_id) | Q(account=account_id, pk__gt=pk)
    rows = _expired(oldest).filter(later).order_by("account_id", "pk").values_list("account_id", "pk")
    return list(rows[: crm_policy.RECORDING.rows_per_statement])


def _expired(oldest: date) -> ActivityQuerySet:
    """Select activities of days before, but for the last proof of each person's address."""
    newer = Q(occurred_at__gt=OuterRef("occurred_at")) | Q(occurred_at=OuterRef("occurred_at"), pk__gt=OuterRef("pk"))
    proof: dict[str, Any] = {"kind__in": activity_kinds.PROOF_OF_ADDRESS, "machine_reason": ""}
    outdone = Exists(Activity.objects.filter(newer, contact=OuterRef("contact"), **proof))
    return Activity.objects.filter(day__lt=oldest).exclude(~outdone, contact__isnull=False, contact__erased_at=None, **proof)


@transaction.atomic
def _let_go_of(batch: Collection[tuple[int, int]], oldest: date) -> int:
    """Delete these activities where all that happened is counted, and note from which day on activities are kept."""
    held = states.hold({account_id for account_id, _pk in batch})
    waiting = ActivityChange.objects.filter(Q(day__lt=oldest) | Q(kind=ActivityChange.COUNT_ANEW), account_id__in=held)
    counted = StateMark.objects.filter(pk__in=held).exclude(version="").exclude(pk__in=waiting.values("account_id"))
    ids = set(counted.values_list("pk", flat=True))
    StateMark.objects.filter(pk__in=ids).update(kept_from=Greatest(Coalesce(F("kept_from"), oldest), oldest))
    # The day is asked again: somebody may have corrected one a moment ago.
    return Activity.objects.filter(pk__in=[pk for account_id, pk in batch if account_id in ids], day__lt=oldest).delete()[0]
