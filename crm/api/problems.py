"""Every refusal of the API in one shape, that of RFC 9457: whoever refuses, from the rule of a deal to the address that is not there."""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DataError, IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import resolve
from django.utils.translation import gettext as _
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response

from crm.api.bodies import PROBLEM, BodyTooLarge, written
from crm.errors import CrmError, Invalid, NotAllowed


def problem(
    status: int, code: str, message: object, *, errors: Iterable[Mapping[str, object]] = (), facts: object = None
) -> dict[str, object]:
    """Give the one shape of every refusal.

    `code` is for machines, `detail` a sentence in the caller's language (`message` says the same), `errors` what is wrong
    where, as path and reasons, and `facts` what a machine may want to know besides, e.g. what a gate misses.
    """
    sentence = str(message)
    return {
        "type": f"urn:quorum:problem:{code}", "title": HTTPStatus(status).phrase, "status": status, "code": code,
        "detail": sentence, "message": sentence, "errors": list(errors), "facts": facts or {},
    }  # fmt: skip


def answer_error(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turn a refusal into its answer; what nobody expected stays an error of ours."""
    if isinstance(error, CrmError):
        return _refused(problem(_status_of(error), error.code, error, **_where(error)))
    if isinstance(error, IntegrityError):
        return _refused(problem(409, "conflict", _("This contradicts what is stored already; nothing was changed.")))
    # OverflowError: a moment so near the ends of time that another time zone has no name for it.
    if isinstance(error, DataError | OverflowError):
        return _refused(problem(400, "invalid", _("A value is larger than can be stored; nothing was changed.")))
    return _answer_of_framework(_hinted(_translated(error), context))


def _refused(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status=body["status"], headers=headers, content_type=PROBLEM)


def _hinted(error: Exception, context: Mapping[str, Any]) -> Exception:
    """Tell who sends a key in another way than ours how to send it."""
    request = context.get("request")
    scheme = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")[0][:20] if request else ""
    if not isinstance(error, exceptions.NotAuthenticated) or scheme.lower() in ("", "token"):
        return error
    hinted: Any = exceptions.NotAuthenticated(_("Send the key as 'Authorization: Token KEY', not as '%(scheme)s'.") % {"scheme": scheme})
    hinted.auth_header = getattr(error, "auth_header", None)
    return hinted


def _status_of(error: CrmError) -> int:
    if isinstance(error, NotAllowed):
        return 403
    # 'Not eligible' is known by its code: crm does not know the errors of abm.
    return 400 if isinstance(error, Invalid) or error.code == "not_eligible" else 409


def _where(error: CrmError) -> dict[str, Any]:
    return {"errors": faults(error.detail)} if isinstance(error, Invalid) else {"facts": error.detail}


def faults(detail: Any, path: str = "") -> Iterator[dict[str, object]]:
    """Flatten what is wrong into paths and reasons, e.g. `rows/3/email`; an empty path is the body as a whole."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from faults(inner, path if name == "non_field_errors" else _below(path, name))
    elif isinstance(detail, list) and any(isinstance(one, Mapping | list) for one in detail):
        for place, inner in enumerate(detail):
            yield from faults(inner, _below(path, place)) if inner else ()
    else:
        yield {"path": path, "reasons": [str(one) for one in (detail if isinstance(detail, list) else [detail])]}


def _below(path: str, name: object) -> str:
    return f"{path}/{name}" if path else str(name)


def _translated(error: Exception) -> Exception:
    if isinstance(error, Http404):
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    return BodyTooLarge() if isinstance(error, RequestDataTooBig) else error


def _answer_of_framework(error: Exception) -> Response | None:
    if not isinstance(error, exceptions.APIException):
        return None
    headers = dict(_headers(error))
    if isinstance(error, exceptions.ValidationError):
        return _refused(problem(400, "invalid", _("Some values are not right."), errors=faults(error.detail)), headers)
    facts = getattr(error, "facts", None)
    return _refused(problem(error.status_code, error.default_code, error.detail, facts=facts), headers)


def _headers(error: Exception) -> Iterator[tuple[str, str]]:
    if way_in := getattr(error, "auth_header", None):
        yield "WWW-Authenticate", way_in
    if seconds := getattr(error, "wait", None):
        yield "Retry-After", str(ceil(seconds))


# --- where no view answers -------------------------------------------------------------------------
@csrf_exempt
def without_slash(request: HttpRequest, address: str) -> HttpResponse:
    """Answer an address with a slash behind it as the one without: a redirect would lose the body of a POST."""
    try:
        found = resolve(f"/api/v1/{address}")
    except Http404:
        return no_such_address(request)
    answer: HttpResponse = found.func(request, *found.args, **found.kwargs)
    return answer


@csrf_exempt
def no_such_address(_request: HttpRequest, **_parts: str) -> HttpResponse:
    """Answer an address that the API does not have in the shape of every refusal."""
    return _plain(problem(404, "not_found", _("There is nothing at this address.")))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django itself cannot read, e.g. a host that is not ours."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    return _plain(problem(400, "bad_request", _("The request cannot be read.")))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what a part of Django before the API refuses."""
    if not request.path.startswith("/api/"):
        return defaults.permission_denied(request, exception)
    return _plain(problem(403, "permission_denied", exceptions.PermissionDenied.default_detail))


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an error of ours: callers of the API get the shape of every refusal, browsers a page."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    return _plain(problem(500, "error", _("Something went wrong on our side; it was logged.")))


def _plain(body: dict[str, Any]) -> HttpResponse:
    return HttpResponse(written(body), status=body["status"], content_type=PROBLEM)
