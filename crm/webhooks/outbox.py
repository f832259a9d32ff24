"""What there is to tell, and telling it: rows written with the fact itself, which workers share out among the webhooks."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm import events, policy
from crm.models import Account, Contact, Opportunity, User, Webhook, WebhookEvent


@dataclass(frozen=True)
class Kind:
    """A kind of event: the noun and model of what it is about, and what happened, in words."""

    noun: str
    about: type[Model]
    says: Promise | str


PING = "webhook.ping"
KINDS: dict[str, Kind] = {
    "role.lost": Kind("account", Account, _("nobody holds a role any more")),
    "opportunity.advanced": Kind("opportunity", Opportunity, _("a deal moved on a stage, or was won")),
    "opportunity.gate_broken": Kind("opportunity", Opportunity, _("a confirmation that a deal rests on was withdrawn")),
    "contact.updated": Kind("contact", Contact, _("a contact was added or changed")),
    "contact.erased": Kind("contact", Contact, _("the data of a person were erased")),
}


def register(kinds: dict[str, Kind]) -> None:
    """Say what else is told; called once at start by who tells it."""
    KINDS.update(kinds)


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell: the id of the record that it is about, a few facts without a person's data, and a contact it names."""

    about: int
    facts: dict[str, Any] = field(default_factory=dict)
    contact_id: int | None = None


def tell(kind: str, news: Iterable[News], *, at: datetime) -> int:
    """Write down what happened for whoever wants to know, in the caller's transaction; give how many.

    Call it after the record was written: then those who change the same record tell one after the other. What is told
    is asked for only where a webhook wants it, so a generator that looks it up costs nothing otherwise.
    """
    if not _is_wanted(kind):
        return 0
    noun = KINDS[kind].noun
    rows = [
        WebhookEvent(type=kind, subject=f"{noun}:{one.about}", data=one.facts, contact_id=one.contact_id, happened_at=at) for one in news
    ]
    WebhookEvent.objects.bulk_create(rows, batch_size=policy.RECORDING.rows_per_statement)
    if rows:
        events.tell(events.webhooks_told)
    return len(rows)


def _is_wanted(kind: str) -> bool:
    """Say whether a webhook wants it, also one that is switched off: what it missed can be told again."""
    return any(kind in wanted for wanted in Webhook.objects.order_by().values_list("event_types", flat=True))


def payload(event: WebhookEvent) -> dict[str, Any]:
    """Give what a receiver gets."""
    noun, _colon, pk = event.subject.partition(":")
    named = {"contact_id": event.contact_id} if event.contact_id else {}
    return {"type": event.type, "timestamp": event.happened_at.isoformat(), "data": {f"{noun}_id": int(pk), **event.data, **named}}


def visible(subjects: Collection[str], *, owner: User) -> set[str]:
    """Keep what a webhook's owner may see now; its own ping always is."""
    seen = {subject for subject in subjects if subject.startswith("webhook:")}
    for noun, model in {kind.noun: kind.about for kind in KINDS.values()}.items():
        ids = [int(pk) for name, _colon, pk in (subject.partition(":") for subject in subjects) if name == noun]
        if ids and owner.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
            records: Any = model._default_manager.filter(pk__in=ids)
            seen |= {f"{noun}:{pk}" for pk in records.visible_to(owner).values_list("pk", flat=True)}
    return seen


# --- people ----------------------------------------------------------------------------------------


def _naming(contact_ids: Sequence[int]) -> QuerySet[WebhookEvent]:
    return WebhookEvent.objects.filter(contact_id__in=contact_ids)


def export(contact_ids: Sequence[int], /) -> list[dict[str, Any]]:
    """Give what is kept here about these contacts."""
    return [dict(row) for row in _naming(contact_ids).values()]


def erase(contact_ids: Sequence[int], /, *, at: datetime) -> None:
    """Forget what was to be told about these contacts; what is about others goes on without their name."""
    _naming(contact_ids).filter(subject__startswith="contact:").delete()
    _naming(contact_ids).update(contact_id=None)


def let_go(*, at: datetime) -> int:
    """Forget events that are too old to be told again, with their deliveries; give how many."""
    old = Q(happened_at__lt=at - timedelta(days=policy.WEBHOOKS.event_days))
    count = 0
    while ids := list(WebhookEvent.objects.filter(old).order_by("happened_at", "pk").values_list("pk", flat=True)[:DELETED_AT_ONCE]):
        WebhookEvent.objects.filter(pk__in=ids).delete()
        count += len(ids)
    return count


DELETED_AT_ONCE = 1_000
