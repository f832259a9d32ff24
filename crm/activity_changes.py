"""The queue of what went up or down in the counts of activities, and who is told."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from crm import bulk, events
from crm.models import ActivityChange


def queue(changes: Iterable[tuple[Any, int]]) -> None:
    """Queue what of activities, or of rows about to be such, went up or down, in their own transaction; a machine's doings count nowhere."""
    rows = [(row.account_id, row.contact_id, row.kind, row.day.isoformat(), delta) for row, delta in changes if not row.machine_reason]
    bulk.insert_plain(ActivityChange, ("account_id", "contact_id", "kind", "day", "delta"), rows)


def count_anew(account_ids: Iterable[int]) -> None:
    """Have these accounts counted anew: their activities were moved, or lost their contact, by other ways than these rules.

    Queued in the caller's transaction, as a change of no kind.
    """
    rows = [ActivityChange(account_id=pk, kind=ActivityChange.COUNT_ANEW, day=date(1900, 1, 1), delta=1) for pk in sorted(set(account_ids))]
    ActivityChange.objects.bulk_create(rows)


def tell(account_ids: set[int]) -> None:
    """Tell, on commit, at which accounts something was recorded or corrected."""
    if account_ids:
        events.tell(events.activity_recorded, account_ids=sorted(account_ids))
