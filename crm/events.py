"""What crm tells the world, on commit and with ids only; whoever listens may miss one, the nightly run repairs it."""

from collections.abc import Iterable
from functools import partial

from django.db import transaction
from django.dispatch import Signal

# account_ids: accounts whose activity changed
activity_recorded = Signal()
# delivery_report_id: a mail to a known recipient failed
delivery_failed = Signal()
# delivery_report_id: an automatic reply of somebody we mailed says that the person left
departure_told = Signal()
# opportunity_id, from_stage, to_stage
stage_moved = Signal()
# contact_id, account_id
contact_departed = Signal()
# account_ids: somebody's role, reachability or the account's size changed
dmu_changed = Signal()
# nothing: there is something to tell other systems
webhooks_told = Signal()


def tell(event: Signal, **ids: int | str | Iterable[int]) -> None:
    """Send an event when the current transaction commits; a roll-back sends nothing."""
    transaction.on_commit(partial(event.send, sender=None, **ids))
