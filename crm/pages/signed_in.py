"""What every request of somebody signed in goes through: no session without the second factor, and when it was last seen.

A session carries what was decided at sign-in, so that a request costs no query for it.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.timezone import now

from crm import access, second_factors, sessions
from crm.models import User

MARK = "sign_in"
# Whether the code was given, is not asked of this user, or must be set up before anything else; 'missing' is no session.
GIVEN, FREE, DUE, MISSING = "given", "free", "due", "missing"
SEEN_EVERY_SECONDS = 60
# What somebody may open who must set the second factor up first: names of addresses.
OPEN_WHILE_DUE = {"second_factor", "admin:logout", "set_language", "admin:jsi18n"}


class SignedInMiddleware:
    """Treat a session without its second factor as none, lead who must set one up to that page, and note that a browser was seen."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Judge the session, then answer."""
        if SESSION_KEY not in request.session:
            return self.get_response(request)
        if _factor(request) == MISSING:
            request.session.flush()
            request.user = AnonymousUser()
        elif request.session[MARK]["factor"] == DUE and (refused := _held_back(request)):
            return refused
        answer = self.get_response(request)
        _note(request)
        return answer


def _factor(request: HttpRequest) -> str:
    """Give what this session has of the second factor; judged anew when the organisation's rule is another one by now."""
    mark: dict[str, Any] = request.session.get(MARK) or {}
    if not mark or mark["rule"] != settings.REQUIRE_SECOND_FACTOR:
        if not request.user.is_authenticated:
            return FREE
        mark = _mark(request, request.user, given=bool(mark) and mark["factor"] == GIVEN)
    return str(mark["factor"])


def _mark(request: HttpRequest, user: User, *, given: bool) -> dict[str, Any]:
    factor = GIVEN if given else MISSING if second_factors.is_enrolled(user) else DUE if must_enrol(user) else FREE
    mark = {"factor": factor, "rule": settings.REQUIRE_SECOND_FACTOR, **({} if factor == MISSING else _browser(request, user))}
    request.session[MARK] = mark
    return mark


def _browser(request: HttpRequest, user: User) -> dict[str, int]:
    # Who signs in where somebody else was signed in begins a session that has no key until it is saved.
    if not request.session.session_key:
        request.session.save()
    key = str(request.session.session_key)
    cache.set(_seen_key(key), 1, SEEN_EVERY_SECONDS)
    return {"browser": sessions.begin(user, session_key=key, agent=request.META.get("HTTP_USER_AGENT", ""), at=now()).pk}


def must_enrol(user: User) -> bool:
    """Say whether the organisation asks a second factor of this user."""
    rule = settings.REQUIRE_SECOND_FACTOR
    if rule == "administrators":
        return user.is_superuser or user.groups.filter(name=access.ADMINISTRATOR).exists()
    return bool(rule == "everybody")


def begin(request: HttpRequest, user: User, **_signal: object) -> None:
    """Mark a session as it begins; Django calls this at every sign-in."""
    if hasattr(request, "session"):
        _mark(request, user, given=getattr(request, "second_factor_given", False))


def enrolled(request: HttpRequest) -> None:
    """Mark a session in which the second factor was set up just now."""
    request.session[MARK] = {**request.session[MARK], "factor": GIVEN}


def left_off(request: HttpRequest, user: User) -> None:
    """Mark a session in which the second factor was switched off just now."""
    request.session[MARK] = {**request.session[MARK], "factor": DUE if must_enrol(user) else FREE}


def browser(request: HttpRequest) -> int:
    """Give the id of the row of the browser that asks; its session's key changes with the password."""
    return int(request.session.get(MARK, {}).get("browser", 0))


def _held_back(request: HttpRequest) -> HttpResponse | None:
    """Lead to the page where the second factor is set up; for the API the session is none."""
    if request.path.startswith("/api/"):
        request.user = AnonymousUser()
        return None
    allowed = {reverse(name) for name in OPEN_WHILE_DUE}
    return None if request.path in allowed else redirect("second_factor")


def _note(request: HttpRequest) -> None:
    """Note when this browser was last seen, at most once a minute; one that was signed out elsewhere ends here."""
    key, mark = request.session.session_key, request.session.get(MARK) or {}
    if not key or SESSION_KEY not in request.session or not cache.add(_seen_key(key), 1, SEEN_EVERY_SECONDS):
        return
    if not sessions.seen(mark.get("browser", 0), session_key=key, at=now()):
        request.session.flush()


def _seen_key(session_key: str) -> str:
    return f"browser-seen:{session_key}"
