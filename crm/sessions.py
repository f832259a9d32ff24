"""Browsers in which somebody is signed in: they begin, are seen, and are ended; and what changed somebody's way in."""

from datetime import datetime

from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q, QuerySet

from crm.models import BrowserSession, SignInEvent, User

# The first that is found in a browser's agent string names it: those that call themselves by others' names come first.
BROWSERS = {"Edg": "Edge", "OPR/": "Opera", "Vivaldi": "Vivaldi", "SamsungBrowser": "Samsung Internet", "Firefox": "Firefox"} | {
    "FxiOS": "Firefox", "CriOS": "Chrome", "Chrom": "Chrome", "Safari": "Safari",
}  # fmt: skip
SYSTEMS = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows", "CrOS": "ChromeOS"} | {
    "Macintosh": "macOS", "Linux": "Linux",
}  # fmt: skip


def device(agent: str) -> tuple[str, str]:
    """Name the browser and the system of an agent string; '' for what nobody knows."""
    browser = next((name for sign, name in BROWSERS.items() if sign in agent), "")
    return browser, next((name for sign, name in SYSTEMS.items() if sign in agent), "")


def begin(user: User, *, session_key: str, agent: str, at: datetime) -> BrowserSession:
    """Write down that somebody signed in with a browser."""
    browser, system = device(agent)
    facts = {"user": user, "browser": browser, "system": system, "since": at, "seen_at": at}
    return BrowserSession.objects.update_or_create(session_key=session_key, defaults=facts)[0]


def seen(browser_id: int, *, session_key: str, at: datetime) -> bool:
    """Write down that a browser was used, and the key that its session has now; False when it was signed out elsewhere."""
    return bool(BrowserSession.objects.filter(pk=browser_id).update(session_key=session_key, seen_at=at))


def end(browser: BrowserSession) -> None:
    """Sign one browser out."""
    _end(BrowserSession.objects.filter(pk=browser.pk))


def end_others(user: User, *, but: int) -> int:
    """Sign a user out of every browser but this row's; say how many those were."""
    return _end(user.browsers.exclude(pk=but))


def end_every(user: User) -> int:
    """Sign a user out of every browser."""
    return _end(user.browsers.all())


def end_for(user: User, *, by: User, at: datetime) -> int:
    """Sign somebody out of every browser at an administrator's word."""
    with transaction.atomic():
        note(user, SignInEvent.Kind.SESSIONS_ENDED, by=by, at=at)
        return end_every(user)


def _end(browsers: QuerySet[BrowserSession]) -> int:
    with transaction.atomic():
        rows = list(browsers.values_list("pk", "session_key"))
        Session.objects.filter(session_key__in=[key for _pk, key in rows]).delete()
        BrowserSession.objects.filter(pk__in=[pk for pk, _key in rows]).delete()
    return len(rows)


def forget_ended(*, at: datetime) -> int:
    """Delete sessions that have run out, and the browsers whose session is gone."""
    with transaction.atomic():
        Session.objects.filter(expire_date__lt=at).delete()
        standing = Q(session_key__in=Session.objects.values("session_key"))
        return BrowserSession.objects.exclude(standing).delete()[0]


def note(user: User, kind: SignInEvent.Kind, *, at: datetime, by: User | None = None) -> SignInEvent:
    """Write down what changed somebody's way in; `by` is who did it when it was somebody else."""
    return SignInEvent.objects.create(user=user, kind=kind, by=by, happened_at=at)
