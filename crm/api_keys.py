"""Keys of integrations: issued for a purpose, found by their digest, renewed, revoked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from knox.crypto import hash_token

from crm import policy
from crm.errors import Conflict, Invalid
from crm.models import SCOPES, ApiKey, User
from crm.prepared import Prepared

READ, WRITE = "read", "write"


@dataclass(frozen=True)
class Issued:
    """A key, and its secret: nobody can show it again."""

    key: ApiKey
    secret: str


def issue(*, user: User, name: str, scopes: Sequence[str], at: datetime, expires_at: datetime | None = None) -> Issued:
    """Make a key for somebody who is at work; raise Invalid for an unknown scope, none at all, or a moment that is over."""
    if not user.is_active:
        raise Invalid(_("This user does not work here any more."), detail={"user": _("This user does not work here any more.")})
    if expires_at is not None and expires_at <= at:
        raise Invalid(_("This moment is over already."), detail={"expiry": _("This moment is over already.")})
    with transaction.atomic():
        key, secret = ApiKey.objects.create(user, expiry=None, name=name, scopes=_known(scopes))
        if expires_at is not None:
            key.expiry = expires_at
            key.save(update_fields=["expiry"])
    return Issued(key, secret)


def _known(scopes: Iterable[str]) -> list[str]:
    asked = set(scopes)
    if unknown := sorted(asked - set(SCOPES)):
        sentence = _("There is no scope '%(scope)s'; known are: %(scopes)s.") % {"scope": unknown[0], "scopes": ", ".join(SCOPES)}
        raise Invalid(sentence, detail={"scopes": sentence})
    if not asked:
        raise Invalid(_("A key needs at least one scope."), detail={"scopes": _("A key needs at least one scope.")})
    return [scope for scope in SCOPES if scope in asked]


_OF_KEY = [field.attname for field in ApiKey._meta.concrete_fields]
_OF_USER = [field.attname for field in User._meta.concrete_fields]
_opened_by = Prepared(
    lambda digest, at: ApiKey.objects.in_force(at).filter(digest=digest).order_by().values_list(*_OF_KEY, *(f"user__{name}" for name in _OF_USER)),
    str, datetime,
)  # fmt: skip


def find(secret: str, *, at: datetime) -> ApiKey | None:
    """Give the key in force that a secret opens, with its user; one query, by the digest, which is as long as the secret."""
    for row in _opened_by.rows(hash_token(secret), at):
        key: ApiKey = ApiKey.from_db(connection.alias, _OF_KEY, row[: len(_OF_KEY)])
        key.user = User.from_db(connection.alias, _OF_USER, row[len(_OF_KEY) :])
        return key
    return None


def note_use(key: ApiKey, *, at: datetime) -> None:
    """Write down that a key was used, at most once a minute; of many calls at once, one does."""
    before = at - timedelta(seconds=policy.API.used_every_seconds)
    if key.last_used_at is None or key.last_used_at < before:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=before)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=at)


def renew(key: ApiKey, *, at: datetime, old_for_hours: int) -> Issued:
    """Make a new secret with the same name, user and scopes; the old one goes on working for so many hours, 0: it ends now."""
    with transaction.atomic():
        until = at + timedelta(hours=old_for_hours)
        ends = until if key.expiry is None else min(key.expiry, until)
        if not ApiKey.objects.in_force(at).filter(pk=key.pk, renewed_at=None).update(renewed_at=at, expiry=ends):
            raise Conflict(_("This key was renewed or revoked already, or ran out."))
        return issue(user=key.user, name=key.name, scopes=key.scopes, at=at, expires_at=key.expiry)


def revoke(key: ApiKey, *, at: datetime) -> ApiKey:
    """End a key at once; it stays on record, for the history names it."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=at)
    key.refresh_from_db()
    return key
