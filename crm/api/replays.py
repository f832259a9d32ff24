"""The same call twice: a write with an Idempotency-Key is done once, and answered alike as often as it comes."""

import re
import zlib
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.db import OperationalError, connection, transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import exceptions

from crm import kept_answers
from crm.api import bodies, tags
from crm.errors import Conflict
from crm.models import KeptAnswer
from crm.webhooks import signing

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
Deed = Callable[..., HttpResponseBase]
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = ("Cache-Control", "Content-Type", "ETag", "Location", "Retry-After")
_NO_STORE = "no-store"
# Deadlock, and a transaction that could not be put in an order: whoever comes second goes again.
_GO_AGAIN = {"40P01", "40001"}
_TRIES = 3


class OtherBody(exceptions.APIException):
    """The key was used for another call."""

    status_code, default_code = 409, "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__(_("This Idempotency-Key was used for another call; nothing was changed by this one."))


class StillRunning(exceptions.APIException):
    """The first call with this key has not ended."""

    status_code, default_code, wait = 409, "idempotency_running", 5

    def __init__(self) -> None:
        super().__init__(_("A call with this Idempotency-Key is still running; ask again."))


def guard(view: Any, deed: Deed) -> Deed:
    """Wrap a write: once per Idempotency-Key, and only while If-Match holds."""

    def guarded(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key, seen = _key_of(request), request.headers.get("If-Match")
        if not view.detail:
            seen = None

        def once() -> HttpResponseBase:
            with transaction.atomic():
                if seen is not None:
                    tags.hold_to(seen, view)
                return deed(request, *args, **kwargs)

        if key is None:
            return deed(request, *args, **kwargs) if seen is None else _again_on_deadlock(once)
        return _again_on_deadlock(lambda: _kept(view, request, key, once))

    return guarded


def _key_of(request: Any) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise exceptions.ValidationError({"Idempotency-Key": [_("Give 1 to 255 visible characters of ASCII.")]})
    return str(key) if key is not None else None


def _kept(view: Any, request: Any, key: str, once: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """Do a deed and keep its answer in one transaction, or give the answer that is kept."""
    at = timezone.now()
    with transaction.atomic():
        claim = _claim(request, key, at=at)
        if claim.status:
            return _again(claim)
        try:
            answer = once()
        except Exception as refusal:  # noqa: BLE001  what nobody expected is raised again by the view itself
            answer = view.handle_exception(refusal)
        if answer.status_code >= 500:
            transaction.set_rollback(True)
            return answer
        _keep(claim, view.finalize_response(request, answer, *view.args, **view.kwargs))
        return answer


def _claim(request: Any, key: str, *, at: datetime) -> KeptAnswer:
    digest = sha256(b"\n".join([request.method.encode(), request.get_full_path().encode(), bodies.fingerprint(request)])).hexdigest()
    try:
        claim = kept_answers.claim(user=request.user, key=key, digest=digest, at=at)
    except kept_answers.Waited as error:
        raise StillRunning from error
    except Conflict as error:
        raise OtherBody from error
    return claim


def _keep(claim: KeptAnswer, answer: Any) -> None:
    if hasattr(answer, "render"):
        answer.render()
    claim.status, claim.body = answer.status_code, _packed(answer)
    claim.headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    claim.save(update_fields=["status", "body", "headers"])


def _packed(answer: Any) -> bytes:
    """Pack a body; one that nobody on the way may keep holds a secret, and is sealed as secrets are."""
    if _NO_STORE in answer.headers.get("Cache-Control", ""):
        return signing.seal(answer.content.decode()).encode()
    return zlib.compress(answer.content, 1)


def _unpacked(kept: KeptAnswer) -> bytes:
    body = bytes(kept.body)
    if _NO_STORE in kept.headers.get("Cache-Control", ""):
        return signing.unseal(body.decode()).encode()
    return zlib.decompress(body)


def _again(kept: KeptAnswer) -> HttpResponse:
    headers = {**kept.headers, "Idempotent-Replayed": "true"}
    # Empty: somebody was erased since, whom the answer may have shown.
    body = _unpacked(kept) if kept.body else b""
    return HttpResponse(body, status=kept.status, headers=headers)


def _again_on_deadlock(deed: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """Do a deed that is one transaction again when the database chose it to make way for another one."""
    for tries_left in reversed(range(_TRIES)):
        try:
            return deed()
        except OperationalError as error:
            state = getattr(error.__cause__, "sqlstate", "")
            if connection.in_atomic_block or state not in _GO_AGAIN or not tries_left:
                raise
    raise AssertionError("unreachable")
