"""What every answer of the API shares: who may, how a list is paged and filtered, and how a refusal looks.

The REST framework loads this module while it loads itself: nothing here imports its views.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

import orjson
from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as FieldRefusal
from django.db import DataError, IntegrityError
from django.db.models import Model, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import resolve
from django.utils.translation import gettext as _
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from django_filters import rest_framework as filters
from rest_framework import exceptions, pagination, parsers, permissions, renderers
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from crm.errors import CrmError, Invalid, NotAllowed

LARGEST_ID = 2**63 - 1


# --- in and out ------------------------------------------------------------------------------------
class FastJSONRenderer(renderers.BaseRenderer):
    """Write JSON with orjson; what is not JSON (a Decimal, a lazy translation) becomes its text."""

    media_type, format, charset = "application/json", "json", None

    def render(self, data, accepted_media_type=None, renderer_context=None) -> bytes:
        return b"" if data is None else orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS)


class BoundedJSONParser(parsers.BaseParser):
    """Read JSON with orjson, which takes nothing that is not JSON; no body larger than the settings allow."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None) -> Any:
        length = (parser_context or {})["request"].META.get("CONTENT_LENGTH") or 0
        if int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise BodyTooLarge
        try:
            return orjson.loads(stream.read())
        except orjson.JSONDecodeError as error:
            raise exceptions.ParseError(_("This is no JSON: %(why)s.") % {"why": error}) from error


class BodyTooLarge(exceptions.APIException):
    """The body is larger than one call may send."""

    status_code, default_code = 413, "body_too_large"

    def __init__(self) -> None:
        megabytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20
        super().__init__(_("One call may send at most %(megabytes)d MB.") % {"megabytes": megabytes})


# --- refusals --------------------------------------------------------------------------------------
def envelope(code: str, message: object, detail: object = None) -> dict[str, object]:
    """Give the one shape of every refusal: a code for machines, a sentence for people, and what is wrong where."""
    return {"code": code, "message": str(message), "detail": {} if detail is None else detail}


def answer_error(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turn a refusal into its answer; what nobody expected stays an error of ours."""
    if isinstance(error, CrmError):
        return Response(envelope(error.code, error, _detail_of(error)), status=_status_of(error))
    if isinstance(error, IntegrityError):
        return Response(envelope("conflict", _("This contradicts what is stored already; nothing was changed.")), status=409)
    # OverflowError: a moment so near the ends of time that another time zone has no name for it.
    if isinstance(error, DataError | OverflowError):
        return Response(envelope("invalid", _("A value is larger than can be stored; nothing was changed.")), status=400)
    return _answer_of_framework(_hinted(_translated(error), context))


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


def _detail_of(error: CrmError) -> dict[str, object]:
    """Give a wrong value's reasons as lists per field, like those of a serializer."""
    if isinstance(error, Invalid):
        return {name: reason if isinstance(reason, list) else [str(reason)] for name, reason in error.detail.items()}
    return error.detail


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
        detail = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
        return Response(envelope("invalid", _("Some values are not right."), detail), status=400, headers=headers)
    return Response(envelope(error.default_code, error.detail), status=error.status_code, headers=headers)


def _headers(error: Exception) -> Iterator[tuple[str, str]]:
    if way_in := getattr(error, "auth_header", None):
        yield "WWW-Authenticate", way_in
    if seconds := getattr(error, "wait", None):
        yield "Retry-After", str(ceil(seconds))


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
def no_such_address(request: HttpRequest, **_parts: str) -> HttpResponse:
    """Answer an address that the API does not have in the shape of every refusal."""
    body = envelope("not_found", _("There is nothing at this address."))
    return HttpResponse(orjson.dumps(body), status=404, content_type="application/json")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an error of ours: callers of the API get the shape of every refusal, browsers a page."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    body = envelope("error", _("Something went wrong on our side; it was logged."))
    return HttpResponse(orjson.dumps(body), status=500, content_type="application/json")


# --- who may ---------------------------------------------------------------------------------------
_VERBS = {"GET": "view", "HEAD": "view", "OPTIONS": "view", "PATCH": "change", "DELETE": "delete"}


class RecordPermissions(permissions.BasePermission):
    """Ask for the verb's permission on the view's model, and again for the very record.

    POST to a list adds; POST to something under a record changes that record. A view names exceptions in `verbs`.
    """

    def has_permission(self, request, view) -> bool:
        if not request.user.is_authenticated:
            return False
        # A method that the resource does not have is nobody's to use: the framework answers 405.
        return view.action is None or bool(request.user.has_perm(_permission(request, view)))

    def has_object_permission(self, request, view, record) -> bool:
        return bool(request.user.has_perm(_permission(request, view), record))


def _permission(request, view) -> str:
    usual = _VERBS.get(request.method) or ("change" if view.detail else "add")
    verb, meta = view.verbs.get(view.action, usual), view.queryset.model._meta
    return f"{meta.app_label}.{verb}_{meta.model_name}"


# --- lists -----------------------------------------------------------------------------------------
class KeysetPagination(pagination.BasePagination):
    """Page by position instead of by number: the hundredth page costs what the first one does.

    The view's `orderings` maps the names that a caller may ask for to columns, the first being the usual one;
    the columns must be of the model itself or annotated by the view, never empty, and end with a unique one.
    """

    page_size, max_page_size = 50, 200

    def paginate_queryset(self, queryset, request, view=None) -> list[Any]:
        self.request, self.name = request, self._asked_ordering(request, view)
        self.columns = view.orderings[self.name]
        self.fields, size = [_field(queryset, column.removeprefix("-")) for column in self.columns], self._asked_size(request)
        if cursor := request.query_params.get("cursor"):
            queryset = queryset.filter(_after(self.columns, self._read(cursor)))
        rows = list(queryset.order_by(*self.columns)[: size + 1])
        self.last = rows[size - 1] if len(rows) > size else None
        return rows[:size]

    def _asked_ordering(self, request, view) -> str:
        name = str(request.query_params.get("ordering") or next(iter(view.orderings)))
        if name not in view.orderings:
            raise _wrong("ordering", _("Known are: %(names)s.") % {"names": ", ".join(view.orderings)})
        return name

    def _asked_size(self, request) -> int:
        text = request.query_params.get("page_size") or str(self.page_size)
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= self.max_page_size):
            raise _wrong("page_size", _("Give a number from 1 to %(most)d.") % {"most": self.max_page_size})
        return int(text)

    def _read(self, cursor: str) -> list[Any]:
        """Give the position that a cursor of ours names; a cursor of another ordering, or no cursor of ours, is refused."""
        try:
            name, *texts = orjson.loads(urlsafe_b64decode(cursor.encode()))
            if name != self.name or any("\0" in text for text in texts):
                raise ValueError(name)
            return [field.to_python(text) for field, text in zip(self.fields, texts, strict=True)]
        except (ValueError, TypeError, FieldRefusal) as error:
            raise _wrong("cursor", _("This cursor is not one of this list in this order.")) from error

    def _write(self, row: Model) -> str:
        names = [getattr(field, "attname", column.removeprefix("-")) for field, column in zip(self.fields, self.columns, strict=True)]
        texts = [str(getattr(row, name)) for name in names]
        return urlsafe_b64encode(orjson.dumps([self.name, *texts])).decode()

    def get_paginated_response(self, data) -> Response:
        here = self.request.build_absolute_uri()
        following = replace_query_param(here, "cursor", self._write(self.last)) if self.last else None
        return Response({"next": following, "results": data})

    def get_paginated_response_schema(self, schema) -> dict[str, object]:
        following = {"type": ["string", "null"], "format": "uri", "description": "Address of the next page; null on the last one."}
        return {"type": "object", "required": ["next", "results"], "properties": {"next": following, "results": schema}}

    def get_schema_operation_parameters(self, view) -> list[dict[str, object]]:
        def parameter(name: str, description: str, **schema: object) -> dict[str, object]:
            return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}

        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        return [
            parameter("cursor", "Where to go on: part of `next`.", type="string"),
            parameter("page_size", "Rows per page.", **size),
            parameter("ordering", "The order of the list.", type="string", enum=list(view.orderings)),
        ]


def _field(queryset: Any, name: str) -> Any:
    annotation = queryset.query.annotations.get(name)
    return annotation.output_field if annotation else queryset.model._meta.get_field(name)


def _after(columns: Sequence[str], position: Sequence[Any]) -> Q:
    """Select the rows that come after a position in an order."""
    later, level = Q(), Q()
    for column, value in zip(columns, position, strict=True):
        later |= level & Q(**{_beyond(column): value})
        level &= Q(**{column.removeprefix("-"): value})
    # The bound on the first column alone lets the database enter its index there.
    return Q(**{_beyond(columns[0]) + "e": position[0]}) & later


def _beyond(column: str) -> str:
    return column[1:] + "__lt" if column.startswith("-") else column + "__gt"


def _wrong(name: str, sentence: str) -> exceptions.ValidationError:
    return exceptions.ValidationError({name: [sentence]})


class StrictFilterBackend(filters.DjangoFilterBackend):
    """Filter a list; a parameter that it does not have is refused instead of quietly giving every row."""

    def filter_queryset(self, request, queryset, view):
        known = self.get_filterset_class(view, queryset).base_filters.keys() | {"cursor", "page_size", "ordering"}
        if unknown := request.query_params.keys() - known:
            raise exceptions.ValidationError({name: [_("There is no such parameter.")] for name in sorted(unknown)})
        return super().filter_queryset(request, queryset, view)


class SuchFilter(filters.BooleanFilter):
    """Keep what the QuerySet method of this name selects (true), or all the rest (false)."""

    def filter(self, queryset, value):
        if value is None:
            return queryset
        if value:
            return getattr(queryset, self.field_name)()
        return queryset.exclude(pk__in=getattr(queryset.model._default_manager, self.field_name)().values("pk"))


class IdFilter(filters.NumberFilter):
    """Keep rows that point at a record; one that the caller may not see gives no rows, as does one that is not there."""

    field_class = forms.IntegerField

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, min_value=1, max_value=LARGEST_ID, **kwargs)
