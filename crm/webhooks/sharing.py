"""From the outbox to each webhook: what happened is handed to those who want it and may see it, once, or again on demand."""

from collections.abc import Collection, Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from crm import events, policy
from crm.errors import Conflict, Invalid
from crm.models import Webhook, WebhookDelivery, WebhookEvent
from crm.webhooks import outbox, subscriptions

State = WebhookDelivery.State


@transaction.atomic
def share(*, at: datetime) -> int:
    """Hand the next events to the webhooks that want them; give how many there were.

    Whoever comes second waits here: what is about one record is handed over in the order in which it happened.
    """
    new = WebhookEvent.objects.filter(shared_at=None).order_by("pk").select_for_update()
    found = list(new[: policy.WEBHOOKS.shared_at_once])
    if found:
        for webhook in Webhook.objects.active().select_related("owner").order_by("pk"):
            _hand(webhook, [event for event in found if event.type in webhook.event_types], at=at)
        WebhookEvent.objects.filter(pk__in=[event.pk for event in found]).update(shared_at=at)
    return len(found)


def _hand(webhook: Webhook, found: Collection[WebhookEvent], *, at: datetime) -> int:
    """Have events delivered to a webhook, as far as its owner may see what they are about; give how many are new there."""
    seen = outbox.visible({event.subject for event in found}, owner=webhook.owner)
    rows = [WebhookDelivery(webhook=webhook, event=event, subject=event.subject, next_at=at) for event in found if event.subject in seen]
    WebhookDelivery.objects.bulk_create(rows, ignore_conflicts=True, batch_size=policy.RECORDING.rows_per_statement)
    return len(rows)


@transaction.atomic
def ping(webhook: Webhook, *, at: datetime) -> WebhookDelivery:
    """Have a test event delivered at once. Raise Conflict for a webhook that is switched off."""
    row = _told(webhook)
    event = WebhookEvent.objects.create(type=outbox.PING, subject=f"webhook:{row.pk}", happened_at=at, shared_at=at)
    events.tell(events.webhooks_told)
    return WebhookDelivery.objects.create(webhook=row, event=event, subject=event.subject, next_at=at)


@transaction.atomic
def replay(delivery: WebhookDelivery, *, at: datetime) -> WebhookDelivery:
    """Deliver one event once more. Raise Conflict while it waits, and for a webhook that is switched off."""
    _told(delivery.webhook)
    if not _again(WebhookDelivery.objects.filter(pk=delivery.pk), at=at):
        raise Conflict(_("This delivery waits for its turn already."))
    delivery.refresh_from_db()
    return delivery


@transaction.atomic
def replay_dead(webhook: Webhook, *, at: datetime) -> int:
    """Try again all that was given up; give how many."""
    return _again(_told(webhook).deliveries.filter(state=State.DEAD), at=at)


@transaction.atomic
def replay_range(webhook: Webhook, *, since: datetime, until: datetime, at: datetime) -> int:
    """Deliver all events of its kinds of a time once more, also those that it was not told; give how many.

    What waits already is not counted. Raise Invalid for a time that ends before it begins.
    """
    if until <= since:
        raise Invalid(_("The time ends before it begins."), detail={"until": _("The time ends before it begins.")})
    row = _told(webhook)
    wanted = WebhookEvent.objects.filter(happened_at__gte=since, happened_at__lt=until, type__in=row.event_types).exclude(shared_at=None)
    told = row.deliveries.filter(event__in=wanted)
    again = _again(told, at=at)
    return again + sum(_hand(row, some, at=at) for some in _parts(wanted.exclude(deliveries__webhook=row)))


def _parts(rows: QuerySet[WebhookEvent]) -> Iterator[list[WebhookEvent]]:
    """Give rows in the order of their ids, some at a time."""
    last = 0
    while some := list(rows.filter(pk__gt=last).order_by("pk")[: policy.WEBHOOKS.shared_at_once]):
        last = some[-1].pk
        yield some


def _told(webhook: Webhook) -> Webhook:
    """Take a webhook for the rest of the transaction, so that nothing of it is claimed meanwhile."""
    row: Webhook | None = subscriptions.claimed().filter(pk=webhook.pk).select_related("owner").first()
    if row is None or not row.is_active:
        raise Conflict(_("This webhook is switched off: switch it on first."))
    return row


def _again(deliveries: QuerySet[WebhookDelivery], *, at: datetime) -> int:
    over = deliveries.exclude(state=State.WAITING)
    count = over.update(state=State.WAITING, attempts=0, next_at=at, claimed_at=None, last_error="")
    if count:
        events.tell(events.webhooks_told)
    return count
