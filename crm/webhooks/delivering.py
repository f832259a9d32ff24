"""Delivering what waits: claimed under the webhook's lock, sent by a few threads, written down when the answer is there.

Of what is about one record the next event waits until the one before is delivered or given up. A worker that is killed
leaves claims that run out; what it had sent is then sent once more, so everything arrives at least once.
"""

import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Window
from django.db.models.functions import Coalesce, RowNumber

from crm import policy
from crm.models import Webhook, WebhookDelivery
from crm.models.webhooks import WebhookDeliveryQuerySet, WebhookQuerySet
from crm.webhooks import outbox, sending, sharing, signing, subscriptions
from crm.webhooks.sending import Answer, Parcel

logger = logging.getLogger(__name__)
Clock = Callable[[], datetime]
Send = Callable[[Parcel], Answer]
State = WebhookDelivery.State
GONE = 410
# How long a round waits for the first answer before it looks again for what has become due, and then for others
# to be written down with it.
ROUND_SECONDS, COMPANY_SECONDS = 0.5, 0.02


@dataclass(frozen=True)
class Claim:
    """A delivery that a worker holds, and what it sends."""

    pk: int
    webhook_id: int
    attempt: int
    claimed_at: datetime
    parcel: Parcel | None
    refusal: str = ""


def pause(attempt: int, *, chance: float) -> timedelta | None:
    """Give how long to wait after a failed attempt, the first being 1; None when it was the last. `chance` is 0 to 1."""
    if attempt > len(policy.WEBHOOKS.pauses):
        return None
    return timedelta(seconds=policy.WEBHOOKS.pauses[attempt - 1] * (1 - policy.WEBHOOKS.jitter_share * chance))


def work(*, clock: Clock, seconds: float = 20, send: Send = sending.post, chance: Callable[[], float] = random.random) -> bool:
    """Share out and deliver what is due, for so many seconds; say whether there is more to do at once."""
    until = clock() + timedelta(seconds=seconds)
    with ThreadPoolExecutor(policy.WEBHOOKS.at_once, thread_name_prefix="webhook") as pool:
        under_way: dict[Future[Answer], Claim] = {}
        while True:
            if clock() < until:
                for held in _next(at=clock(), room=policy.WEBHOOKS.at_once - len(under_way)):
                    under_way[pool.submit(_try, held, send)] = held
            if not under_way:
                return clock() >= until and _having_due(at=clock()).exists()
            wait(under_way, timeout=ROUND_SECONDS, return_when=FIRST_COMPLETED)
            done, _late = wait(under_way, timeout=COMPANY_SECONDS)
            if done:
                _write_down([(under_way.pop(one), one.result()) for one in done], at=clock(), chance=chance)


def _try(held: Claim, send: Send) -> Answer:
    return send(held.parcel) if held.parcel else Answer(error=held.refusal)


def _next(*, at: datetime, room: int) -> list[Claim]:
    """Claim what is due, of every webhook a fair part."""
    while sharing.share(at=at) == policy.WEBHOOKS.shared_at_once:
        pass
    room = min(room, policy.WEBHOOKS.at_once - _held(at=at).count())
    claims = list[Claim]()
    for pk in _having_due(at=at).order_by("?").values_list("pk", flat=True) if room > 0 else ():
        claims += _claim(pk, at=at, room=room - len(claims))
    return claims


def _held(*, at: datetime) -> WebhookDeliveryQuerySet:
    """Select what a worker is at."""
    return WebhookDelivery.objects.waiting().filter(claimed_at__gte=_alive(at))


def _alive(at: datetime) -> datetime:
    """Give since when a claim must be there for its worker to be taken for alive."""
    return at - timedelta(seconds=policy.WEBHOOKS.stalled_seconds)


def _due(*, at: datetime) -> WebhookDeliveryQuerySet:
    """Select what nobody is at and whose time has come, whether it is its turn or not."""
    free = Q(claimed_at=None) | Q(claimed_at__lt=_alive(at))
    return WebhookDelivery.objects.waiting().filter(free, next_at__lte=at)


def _having_due(*, at: datetime) -> WebhookQuerySet:
    return Webhook.objects.active().filter(Exists(_due(at=at).filter(webhook=OuterRef("pk"))))


def _turns(webhook: Webhook, busy: Collection[str], *, room: int, at: datetime) -> list[WebhookDelivery]:
    """Give what is due and the first to wait of all about the same, of which nothing is under way.

    Looks among the oldest events, and among the whole backlog only where those all wait for their next attempt.
    """
    waiting = webhook.deliveries.waiting().order_by("event_id")
    oldest = waiting.filter(pk__among=waiting.values("pk")[: policy.WEBHOOKS.looked_at_once])
    for some in (oldest, waiting) if room > 0 else ():
        # For all subjects at once: asked row by row, PostgreSQL may read the whole backlog for each.
        place = Window(RowNumber(), partition_by="subject", order_by="event_id")
        first = some.order_by().annotate(place=place).filter(place=1).values("pk")
        due = _due(at=at).filter(pk__among=first).exclude(subject__in=busy)
        if found := list(due.select_related("event").order_by("next_at", "event_id")[:room]):
            return found
    return []


@transaction.atomic
def _claim(webhook_id: int, *, at: datetime, room: int) -> list[Claim]:
    """Claim deliveries of one webhook, unless another worker is at its list at this moment.

    An attempt is counted before it begins: what no worker survives is given up in the end.
    """
    locked = Webhook.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
    webhook = locked.select_related("owner").filter(pk=webhook_id, is_active=True).first()
    if webhook is None:
        return []
    busy = list(_held(at=at).filter(webhook=webhook).values_list("subject", flat=True))
    most = policy.WEBHOOKS.at_once_failing if webhook.failing_since else policy.WEBHOOKS.at_once_per_webhook
    rows = _still_visible(_turns(webhook, busy, room=min(room, most - len(busy)), at=at), webhook)
    WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows]).update(claimed_at=at, attempts=F("attempts") + 1)
    return _packed(rows, webhook, at=at)


def _still_visible(rows: Sequence[WebhookDelivery], webhook: Webhook) -> list[WebhookDelivery]:
    """Keep what the owner may see now; the rest is delivered to nobody."""
    seen = outbox.visible({row.subject for row in rows}, owner=webhook.owner) if rows else set()
    hidden = [row.pk for row in rows if row.subject not in seen]
    if hidden:
        WebhookDelivery.objects.filter(pk__in=hidden).delete()
    return [row for row in rows if row.subject in seen]


def _packed(rows: Iterable[WebhookDelivery], webhook: Webhook, *, at: datetime) -> list[Claim]:
    try:
        secrets, refusal = subscriptions.secrets_of(webhook, at=at), ""
    except signing.Unreadable as error:
        secrets, refusal = [], str(error)
    return [
        Claim(
            pk=row.pk,
            webhook_id=webhook.pk,
            attempt=row.attempts + 1,
            claimed_at=at,
            parcel=_parcel(row, webhook.address, secrets, at=at) if secrets else None,
            refusal=refusal,
        )
        for row in rows
    ]


def _parcel(row: WebhookDelivery, address: str, secrets: Sequence[str], *, at: datetime) -> Parcel:
    body = orjson.dumps(outbox.payload(row.event))
    return Parcel(address, signing.headers(row.event.uid, body, secrets=secrets, at=at), body)


# --- what came of it -------------------------------------------------------------------------------


@transaction.atomic
def _write_down(outcomes: Sequence[tuple[Claim, Answer]], *, at: datetime, chance: Callable[[], float]) -> None:
    """Write down what came of attempts; of a claim that ran out meanwhile, nothing."""
    _close_delivered([(held, answer) for held, answer in outcomes if answer.is_good], at=at)
    for held, answer in outcomes:
        if not answer.is_good:
            _put_off(held, answer, at=at, chance=chance())
    arrived = {held.webhook_id for held, answer in outcomes if answer.is_good}
    failed = {held.webhook_id for held, answer in outcomes if not answer.is_good} - arrived
    Webhook.objects.filter(pk__in=arrived).exclude(failing_since=None).update(failing_since=None)
    if failed:
        Webhook.objects.filter(pk__in=failed).update(failing_since=Coalesce(F("failing_since"), at))
    gone = {held.webhook_id for held, answer in outcomes if answer.status == GONE}
    if gone or failed:
        _give_up(gone, failed, at=at)


def _close_delivered(good: Sequence[tuple[Claim, Answer]], *, at: datetime) -> None:
    for status in {answer.status for _held, answer in good}:
        these = [held for held, answer in good if answer.status == status]
        mine = WebhookDelivery.objects.waiting().filter(
            pk__in=[held.pk for held in these], claimed_at__in={held.claimed_at for held in these}
        )
        mine.update(state=State.DELIVERED, claimed_at=None, last_at=at, last_status=status, last_error="")


def _put_off(held: Claim, answer: Answer, *, at: datetime, chance: float) -> None:
    """Write down a failed attempt, and when the next one is due."""
    mine = WebhookDelivery.objects.waiting().filter(pk=held.pk, claimed_at=held.claimed_at)
    said = {"claimed_at": None, "last_at": at, "last_status": answer.status, "last_error": answer.error}
    rest = pause(held.attempt, chance=chance)
    if rest is None or answer.status == GONE:
        mine.update(state=State.DEAD, **said)
        return
    next_at = at + max(rest, timedelta(seconds=answer.wait_seconds))
    mine.update(next_at=next_at, **said)


def _give_up(gone: Collection[int], failed: Collection[int], *, at: datetime) -> None:
    """Switch off webhooks whose receiver says that it is gone, and those to which nothing arrived for days."""
    too_long = Q(failing_since__lt=at - timedelta(days=policy.WEBHOOKS.failing_days))
    for webhook in Webhook.objects.filter(Q(pk__in=gone) | (Q(pk__in=failed) & too_long), is_active=True):
        because = Webhook.Reason.GONE if webhook.pk in gone else Webhook.Reason.FAILING
        subscriptions.switch_off(webhook, at=at, because=because)
        logger.warning("The webhook %s was switched off: %s", webhook.pk, because)
