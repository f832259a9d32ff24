"""Listen to what crm tells, and enqueue; nothing else."""

from crm import events, tasks


def connect() -> None:
    """Connect the receivers; called once at start."""
    events.webhooks_told.connect(on_news, dispatch_uid="crm.webhooks")


def on_news(**_event: object) -> None:
    """Have other systems told; the outbox knows what."""
    tasks.enqueue(tasks.deliver_webhooks)
