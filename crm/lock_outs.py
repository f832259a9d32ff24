"""Lock-outs: who gave too many wrong passwords or codes waits, by user name and address together."""

from datetime import datetime, timedelta
from math import ceil

from axes.models import AccessAttempt
from django.db import transaction
from django.db.models import Max, Sum

from crm import second_factors, sessions
from crm.models import SignInEvent, User


def minutes_left(username: str, *, address: str | None, pause: timedelta, at: datetime) -> int:
    """Say how many minutes a user name stays locked at an address, rounded up; at least 1, for it is asked of who is locked."""
    latest = AccessAttempt.objects.filter(username=username, ip_address=address).aggregate(at=Max("attempt_time"))["at"]
    return max(1, ceil(((latest or at) + pause - at) / timedelta(minutes=1)))


def is_locked(user: User, *, limit: int, pause: timedelta, at: datetime) -> bool:
    """Say whether a user is locked out anywhere; `limit` is the number of wrong attempts that lock."""
    recent = AccessAttempt.objects.filter(username=user.username, attempt_time__gte=at - pause).order_by()
    return bool(recent.values("ip_address").annotate(failures=Sum("failures_since_start")).filter(failures__gte=limit).exists())


def release(user: User, *, by: User, at: datetime) -> int:
    """Let a user try again at once, from every address."""
    with transaction.atomic():
        sessions.note(user, SignInEvent.Kind.RELEASED, by=by, at=at)
        second_factors.forgive(user)
        return forget_failures(user)


def forget_failures(user: User) -> int:
    """Forget a user's wrong attempts."""
    return int(AccessAttempt.objects.filter(username=user.username).delete()[0])
