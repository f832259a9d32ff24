"""Webhooks come, change, and are switched off and on; their secrets are shown once and replaced without a gap."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm import policy
from crm.errors import Conflict, Invalid
from crm.models import User, Webhook
from crm.webhooks import outbox, signing, targets

CHANGEABLE = frozenset({"name", "address", "event_types", "owner"})


@transaction.atomic
def add(*, name: str, address: str, event_types: Collection[str], owner: User, at: datetime, by: User | None = None) -> tuple[Webhook, str]:
    """Add a webhook; give it and its secret, which nobody is shown again. Raise Invalid, naming the fields."""
    if Webhook.objects.count() >= policy.WEBHOOKS.most_webhooks:
        raise Conflict(_("There are %(most)d webhooks already: delete one first.") % {"most": policy.WEBHOOKS.most_webhooks})
    secret = signing.new_secret()
    webhook = Webhook(owner=owner, created_at=at, secret=signing.seal(secret))
    _set(webhook, name=name, address=address, event_types=event_types)
    _save(webhook, by=by)
    return webhook, secret


@transaction.atomic
def change(webhook: Webhook, *, at: datetime, by: User | None = None, **changes: Any) -> Webhook:
    """Change name, address, events or owner. Raise Invalid, naming the fields."""
    if unknown := sorted(changes.keys() - CHANGEABLE):
        raise Invalid(_("This cannot be changed here."), detail={name: _("This cannot be changed here.") for name in unknown})
    row = _claimed(webhook)
    _set(row, **changes)
    return _saved(webhook, row, by=by)


@transaction.atomic
def rotate(webhook: Webhook, *, at: datetime, by: User | None = None) -> str:
    """Make a new secret and give it; the former one signs, too, for `policy.WEBHOOKS.old_secret_hours`."""
    row, secret = _claimed(webhook), signing.new_secret()
    row.secret, row.old_secret = signing.seal(secret), row.secret
    row.old_secret_until = at + timedelta(hours=policy.WEBHOOKS.old_secret_hours)
    _saved(webhook, row, by=by)
    return secret


@transaction.atomic
def switch_off(webhook: Webhook, *, at: datetime, by: User | None = None, because: str = Webhook.Reason.BY_HAND) -> Webhook:
    """Tell a webhook nothing any more; what waits for it goes on waiting. Raise Conflict if it is off already."""
    row = _claimed(webhook)
    if not row.is_active:
        raise Conflict(_("This webhook is switched off already."))
    row.is_active, row.disabled_at, row.disabled_because = False, at, because
    return _saved(webhook, row, by=by)


@transaction.atomic
def switch_on(webhook: Webhook, *, at: datetime, by: User | None = None) -> Webhook:
    """Tell a webhook again, what waits for it first. Raise Conflict if it is on already."""
    row = _claimed(webhook)
    if row.is_active:
        raise Conflict(_("This webhook is switched on already."))
    row.is_active, row.disabled_at, row.disabled_because, row.failing_since = True, None, "", None
    return _saved(webhook, row, by=by)


@transaction.atomic
def remove(webhook: Webhook, *, by: User | None = None) -> None:
    """Delete a webhook with what waits for it; the events stay for the others."""
    row = _claimed(webhook)
    row._history_user = by  # type: ignore[attr-defined]
    row.delete()


def secrets_of(webhook: Webhook, *, at: datetime) -> list[str]:
    """Give the secrets that sign at a moment, the newest first; raise signing.Unreadable."""
    former = [webhook.old_secret] if webhook.old_secret and webhook.old_secret_until and at < webhook.old_secret_until else []
    return [signing.unseal(sealed) for sealed in (webhook.secret, *former)]


def claimed() -> Any:
    """Select webhooks to be held until the transaction ends; events go on being handed to them meanwhile."""
    return Webhook.objects.select_for_update(of=("self",), no_key=True)


def _claimed(webhook: Webhook) -> Webhook:
    row = claimed().filter(pk=webhook.pk).first()
    if row is None:
        raise Conflict(_("This webhook was deleted meanwhile."))
    return row  # type: ignore[no-any-return]


def _set(row: Webhook, **changes: Any) -> None:
    for field, value in changes.items():
        setattr(row, field, sorted(set(value)) if field == "event_types" else value.strip() if isinstance(value, str) else value)
    wrong: dict[str, object] = {}
    if not row.name or len(row.name) > 100:
        wrong["name"] = _("Give a name of at most 100 characters.")
    if not row.event_types:
        wrong["event_types"] = _("Choose at least one event.")
    elif unknown := [kind for kind in row.event_types if kind not in outbox.KINDS]:
        wrong["event_types"] = _("There is no event %(name)s; known are %(known)s.") % {
            "name": unknown[0],
            "known": ", ".join(outbox.KINDS),
        }
    try:
        targets.target_of(row.address)
    except Invalid as refusal:
        wrong |= refusal.detail
    if wrong:
        raise Invalid(" ".join(map(str, wrong.values())), detail=wrong)


def _saved(webhook: Webhook, row: Webhook, *, by: User | None) -> Webhook:
    _save(row, by=by)
    webhook.refresh_from_db()
    return webhook


def _save(row: Webhook, *, by: User | None) -> None:
    if by is not None:
        row._history_user = by  # type: ignore[attr-defined]
    row.save()
