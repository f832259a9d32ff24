"""Every request has an id: the caller's own, if it is one, else a new one; the answer and every line of the log carry it."""

import re
from collections.abc import Callable
from uuid import uuid4

from django.http import HttpRequest, HttpResponse

_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class RequestIdMiddleware:
    """Stand before all others, so that what they refuse has an id as well."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Name the request for those who write the log, and the answer for the caller."""
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        name = request.META["HTTP_X_REQUEST_ID"] = given if _ID.fullmatch(given) else str(uuid4())
        answer = self.get_response(request)
        answer.headers["X-Request-ID"] = name
        return answer
