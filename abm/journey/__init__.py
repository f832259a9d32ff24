"""The phase of each account on its journey to a purchase, and every change of it: worked out from day counts, roles and deals.

The rules lie in `rules` (one account, plain values) and `statements` (many accounts, one statement); the numbers in
`abm.policy.JOURNEY`. Where an account is depends on where it was: it goes on at once, and lingers before it goes back.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q

from abm import policy
from abm.journey import rules, statements
from abm.journey.rules import Facts, Placed
from abm.journey.statements import Found
from abm.models import DayCount, JourneyPlacement, PhaseChange
from crm import policy as crm_policy
from crm.models import Opportunity

# Accounts per statement: only those that changed are read into memory, the first night all of them.
AT_ONCE = 5_000


class Position(NamedTuple):
    """Where an account is as of a day, with the facts that put it there."""

    facts: Facts
    placed: Placed


def store(account_ids: Collection[int], *, day: date, at: datetime) -> int:
    """Place accounts as of a day, and write what changed; return how many did. Nothing is written of those that did not.

    A few statements for every 5,000 accounts. Whoever calls holds the states of these accounts, and has brought their
    day counts up to the day. `at` is not kept: a change is dated by its day.
    """
    ids = sorted(account_ids)
    return sum(_store(ids[start : start + AT_ONCE], day=day) for start in range(0, len(ids), AT_ONCE))


@transaction.atomic
def _store(account_ids: Sequence[int], *, day: date) -> int:
    moved = statements.changed(account_ids, day=day)
    # Who is where the day began: nothing happened on that day.
    back = [row.account_id for row in moved if row.now == row.changed_from]
    PhaseChange.objects.filter(account__in=back, day=day).delete()
    gone = [row.account_id for row in moved if row.now == row.changed_from == Placed() and row.stayed_days is None]
    JourneyPlacement.objects.filter(account__in=gone).delete()
    _write_changes([row for row in moved if row.now != row.changed_from], day=day)
    _write_placements([row for row in moved if row.account_id not in set(gone)], day=day)
    return len(moved)


def _write_changes(moved: Sequence[Found], *, day: date) -> None:
    """Write the day's change of each account: from where it was when the day began, to where it is now."""
    rows = [
        PhaseChange(
            account_id=row.account_id,
            day=day,
            from_phase=row.before.phase,
            from_overlap=row.before.overlap,
            phase=row.now.phase,
            overlap=row.now.overlap,
            stayed_days=(day - row.since).days if row.since else None,
            evidence=rules.evidence(row.facts, row.now),
        )
        for row in moved
    ]
    # The day's first change knows where it came from.
    PhaseChange.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["account", "day"], update_fields=["phase", "overlap", "evidence"], batch_size=1_000
    )


def _write_placements(moved: Sequence[Found], *, day: date) -> None:
    rows = [
        JourneyPlacement(
            account_id=row.account_id,
            phase=row.now.phase,
            overlap=row.now.overlap,
            since=_since(row, day),
            evidence=rules.evidence(row.facts, row.now),
            changed_on=day,
        )
        for row in moved
    ]
    JourneyPlacement.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["account"],
        update_fields=["phase", "overlap", "since", "evidence", "changed_on"],
        batch_size=1_000,
    )


def _since(row: Found, day: date) -> date:
    """Give since when an account is in its phase: since before today when today only its overlap changed, or it came back."""
    if row.changed_from and row.changed_from.phase == row.now.phase and row.stayed_days is not None:
        return day - timedelta(days=row.stayed_days)
    return row.since if row.since and row.before.phase == row.now.phase else day


def fading(ends: tuple[int, int], *, after: date, day: date) -> set[int]:
    """Find the accounts, with ids between two ends, that days alone may have moved after one day and up to another.

    Of what placed them something grew too old. No account that is in no phase gets into one because days go by.
    """
    days = [day - timedelta(days=back) for back in range((day - after).days)]
    signs = (policy.JOURNEY.signs or {}).values()
    counted = DayCount.objects.filter(day__in={out for sign in signs for each in days for out in rules.latest_out(sign, each)})
    closed_on = {each - timedelta(days=age) for each in days for age in (policy.JOURNEY.bought_days, policy.JOURNEY.customer_days)}
    stood_still = [datetime.combine(end - timedelta(days=policy.JOURNEY.deal_days - 1), time.min, crm_policy.ZONE) for end in (after, day)]
    deals = Opportunity.objects.filter(Q(closed_on__in=closed_on) | Q(stage_since__gte=stood_still[0], stage_since__lt=stood_still[1]))
    here = {"account_id__gte": ends[0], "account_id__lte": ends[1]}
    placed = JourneyPlacement.objects.filter(**here)
    moved = [rows.filter(**here).order_by().values("account_id") for rows in (counted, deals)]
    return set(placed.filter(Q(account_id__in=moved[0]) | Q(account_id__in=moved[1])).values_list("pk", flat=True))


def position(account_id: int, *, day: date) -> Position | None:
    """Work out where an account is as of a day, and why, in one query; nothing is written. None if there is no such account."""
    found = statements.found(account_id, day=day)
    return Position(found.facts, found.now) if found else None
