"""The queue of what went up or down in the counts of activities, and who is told."""

from collections.abc import Iterable
from datetime import date

from crm import events
from crm.models import Activity, ActivityChange


def queue(changes: Iterable[tuple[Activity, int]]) -> None:
    """Queue what went up or down, in the activity's own transaction; a machine's doings count nowhere."""
    ActivityChange.objects.bulk_create(
        ActivityChange(account_id=row.account_id, contact_id=row.contact_id, kind=row.kind, day=row.day, delta=delta)
        for row, delta in changes
        if not row.machine_reason
    )


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
