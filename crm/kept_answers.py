"""Answers kept for calls that come again: claimed by the first one, waited for by the second, forgotten after a day."""

from datetime import datetime, timedelta

from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _

from crm import policy
from crm.errors import Conflict, CrmError
from crm.models import KeptAnswer, User


class Waited(CrmError):
    """Another call with this key did not end in time."""

    code = "still_running"


def claim(*, user: User, key: str, digest: str, at: datetime) -> KeptAnswer:
    """Give the row of a key in the caller's transaction: a new one, with status 0, or the answered one.

    A row that another transaction has not committed is waited for. Raises Waited when that takes too long, and Conflict
    when the key was used for another call.
    """
    facts = {"digest": digest, "made_at": at}
    row = _new_or_there(user, key, facts)
    if row.status and row.made_at < _oldest(at):
        row.delete()
        row = _new_or_there(user, key, facts)
    if row.digest != digest:
        raise Conflict(_("This key was used for another call."))
    return row


def _new_or_there(user: User, key: str, facts: dict[str, object]) -> KeptAnswer:
    """Insert a row or give the one that is there; PostgreSQL lets the second one wait for the first one's end."""
    try:
        with transaction.atomic(), _waiting():
            KeptAnswer.objects.bulk_create([KeptAnswer(user=user, key=key, **facts)], ignore_conflicts=True)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") == "55P03":  # lock_not_available
            raise Waited(_("Another call with this key is still running.")) from error
        raise
    return KeptAnswer.objects.get(user=user, key=key)


class _waiting:  # noqa: N801  reads as a word
    """Wait for another transaction so long and no longer; SQLite has a bound of its own for every statement."""

    def __enter__(self) -> None:
        self._set(f"{policy.API.wait_for_twin_seconds}s")

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is None:  # else the savepoint takes it back
            self._set("0")

    def _set(self, bound: str) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [bound])


def _oldest(at: datetime) -> datetime:
    return at - timedelta(hours=policy.API.answers_kept_hours)


def forget_old(*, at: datetime) -> int:
    """Delete answers that are kept long enough."""
    return KeptAnswer.objects.filter(made_at__lt=_oldest(at)).delete()[0]
