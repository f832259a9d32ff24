"""Listen to what crm tells, and enqueue; nothing else."""

from collections.abc import Iterable

from abm import tasks
from crm import events
from crm import tasks as queue
from crm.models import Opportunity


def connect() -> None:
    """Connect the receivers; called once at start."""
    events.activity_recorded.connect(on_activity, dispatch_uid="abm.activity")
    events.delivery_failed.connect(on_failure, dispatch_uid="abm.failure")
    events.departure_told.connect(on_failure, dispatch_uid="abm.departure_told")
    events.dmu_changed.connect(on_dmu_changed, dispatch_uid="abm.dmu")
    events.contact_departed.connect(on_departure, dispatch_uid="abm.departure")
    events.stage_moved.connect(on_stage_move, dispatch_uid="abm.stage")


def on_activity(**_event: object) -> None:
    """Have the changed accounts refreshed; the change queue knows which."""
    queue.enqueue(tasks.refresh_changed)


def on_failure(delivery_report_id: int, **_event: object) -> None:
    """Have it judged whether somebody left: a mail failed for good, or an automatic reply says so."""
    queue.enqueue(tasks.assess_failure, delivery_report_id)


def on_dmu_changed(account_ids: Iterable[int], **_event: object) -> None:
    """Have these accounts refreshed."""
    queue.enqueue(tasks.refresh_accounts, list(account_ids))


def on_departure(account_id: int, **_event: object) -> None:
    """Have the account refreshed that somebody left."""
    queue.enqueue(tasks.refresh_accounts, [account_id])


def on_stage_move(opportunity_id: int, **_event: object) -> None:
    """Have the account of a deal refreshed."""
    account_ids = Opportunity.objects.filter(pk=opportunity_id, account__isnull=False).values_list("account_id", flat=True)
    queue.enqueue(tasks.refresh_accounts, list(account_ids))
