"""What every list and record of the API shares: who may, how a list is paged and filtered, and which fields it shows.

The REST framework loads this module while it loads itself: nothing here imports its views.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence, Set
from typing import Any

import orjson
from django import forms
from django.core.exceptions import ValidationError as FieldRefusal
from django.db.models import IntegerField, Model
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from django_filters.utils import get_model_field
from drf_spectacular.utils import extend_schema_field
from rest_framework import exceptions, pagination, permissions
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from crm import api_keys
from crm.api import prepared_lists, rows
from crm.api.rows import Plan
from crm.models import ApiKey

LARGEST_ID = 2**63 - 1


# --- who may ---------------------------------------------------------------------------------------
_VERBS = {"GET": "view", "HEAD": "view", "OPTIONS": "view", "PATCH": "change", "DELETE": "delete"}


class ScopeMissing(exceptions.PermissionDenied):
    """The key was not made for this."""

    default_code = "scope_missing"

    def __init__(self, scopes: Sequence[str]) -> None:
        super().__init__(_("This key lacks the scope %(scopes)s.") % {"scopes": ", ".join(scopes)})
        self.facts = {"scopes": list(scopes)}


def scopes_for(method: str, view: Any) -> list[str]:
    """List what a key must have been made for: the scope of the resource, and of what else the answer shows."""
    verb = api_keys.READ if method in permissions.SAFE_METHODS else api_keys.WRITE
    return [f"{getattr(view, 'scope', 'all')}:{verb}", *getattr(view, "also_shows", {}).get(getattr(view, "action", None), ())]


def refuse_without_scope(request: Any, view: Any) -> None:
    """Raise ScopeMissing for a key that was not made for this."""
    if isinstance(request.auth, ApiKey) and (missing := request.auth.missing(scopes_for(request.method, view))):
        raise ScopeMissing(missing)


class RecordPermissions(permissions.BasePermission):
    """Ask for the verb's permission on the view's model, and again for the very record.

    POST to a list adds; POST to something under a record changes that record. A view names exceptions in `verbs`.
    """

    def has_permission(self, request, view) -> bool:
        if not request.user.is_authenticated:
            return False
        # A method that the resource does not have is nobody's to use: the framework answers 405.
        if view.action is None:
            return True
        refuse_without_scope(request, view)
        return bool(request.user.has_perm(_permission(request, view)))

    def has_object_permission(self, request, view, record) -> bool:
        return bool(request.user.has_perm(_permission(request, view), record))


def _permission(request, view) -> str:
    usual = _VERBS.get(request.method) or ("change" if view.detail else "add")
    verb, meta = view.verbs.get(view.action, usual), view.queryset.model._meta
    return f"{meta.app_label}.{verb}_{meta.model_name}"


# --- lists -----------------------------------------------------------------------------------------
OF_PAGES = frozenset({"cursor", "page_size", "ordering", "fields"})


class KeysetPagination(pagination.BasePagination):
    """Page by position instead of by number: the hundredth page costs what the first one does.

    The view's `orderings` maps the names that a caller may ask for to columns, the first being the usual one;
    the columns must be of the model itself or annotated by the view, never empty, and end with a unique one.
    """

    page_size, max_page_size = 50, 200

    def paginate_queryset(self, queryset, request, view=None, *, plan: Plan | None = None) -> list[Any]:
        size, position = self._take_in(queryset, request, view)
        if plan:
            queryset = plan.read(queryset, also=_order_columns(self.columns, self.fields))
        if position:
            queryset = queryset.filter(rows.after(self.columns, position))
        return self._cut(list(queryset.order_by(*self.columns)[: size + 1]), size)

    def plain_page(self, request: Any, view: Any, plan: Plan) -> list[Any] | None:
        """Give a page that nothing narrows by SQL that is written already; None: this one has to be asked the long way."""
        if not view.is_prepared or request.query_params.keys() - OF_PAGES:
            return None
        size, position = self._take_in(view.queryset, request, view)
        if not prepared_lists.takes(position):
            return None
        also = tuple(_order_columns(self.columns, self.fields))
        asked = prepared_lists.Asked(type(view), plan, self.columns, also, size + 1)
        return self._cut(prepared_lists.page(asked, request.user, after=position), size)

    def _take_in(self, queryset: Any, request: Any, view: Any) -> tuple[int, list[Any]]:
        """Read what is asked: rows on a page, and the position after which it begins."""
        self.request, self.name = request, self._asked_ordering(request, view)
        self.columns = view.orderings[self.name]
        self.fields = [_field(queryset, column.removeprefix("-")) for column in self.columns]
        size, cursor = self._asked_size(request), request.query_params.get("cursor")
        return size, self._read(cursor) if cursor else []

    def _cut(self, rows: list[Any], size: int) -> list[Any]:
        """Keep a page of rows, and of the one too many only that there is more."""
        self.last = rows[size - 1] if len(rows) > size else None
        return rows[:size]

    def _asked_ordering(self, request, view) -> str:
        name = str(request.query_params.get("ordering", next(iter(view.orderings))))
        if name not in view.orderings:
            raise _wrong("ordering", _("Known are: %(names)s.") % {"names": ", ".join(view.orderings)})
        return name

    def _asked_size(self, request) -> int:
        text = request.query_params.get("page_size", str(self.page_size))
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

    def _write(self, row: Any) -> str:
        names = _order_columns(self.columns, self.fields)
        texts = [str(row[name] if isinstance(row, dict) else getattr(row, name)) for name in names]
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


def _order_columns(columns: Sequence[str], fields: Sequence[Any]) -> list[str]:
    """Name what of a row the place in an order is read from."""
    return [getattr(field, "attname", column.removeprefix("-")) for field, column in zip(fields, columns, strict=True)]


def _field(queryset: Any, name: str) -> Any:
    annotation = queryset.query.annotations.get(name)
    return annotation.output_field if annotation else queryset.model._meta.get_field(name)


def _wrong(name: str, sentence: str) -> exceptions.ValidationError:
    return exceptions.ValidationError({name: [sentence]})


class StrictFilterBackend(filters.DjangoFilterBackend):
    """Filter a list; a parameter that it does not have is refused instead of quietly giving every row."""

    def filter_queryset(self, request, queryset, view):
        known = self.get_filterset_class(view, queryset).base_filters
        refuse_unknown(request, known.keys() | OF_PAGES)
        given = {name: value for name, value in request.query_params.items() if name in known}
        if not given:
            # To build the form of every filter takes a tenth of a call.
            return queryset
        model = queryset.model
        if wrong := {name: reasons for name, value in given.items() if (reasons := _no_value(known[name], value, model))}:
            raise exceptions.ValidationError(wrong)
        return super().filter_queryset(request, queryset, view)


def _no_value(one: filters.Filter, value: str, model: type[Model]) -> list[str]:
    """Say what is wrong with a value that the filter would pass over in silence, or take for another."""
    if isinstance(one, filters.BooleanFilter) and value not in ("true", "false"):
        return [_("Give true or false.")]
    if value and _is_whole(one, model) and not _WHOLE.fullmatch(value):
        return [_("Enter a whole number.")]
    return [] if value or isinstance(one, filters.CharFilter) else [_("Give a value.")]


_WHOLE = re.compile("-?[0-9]+")


def _is_whole(one: filters.Filter, model: type[Model]) -> bool:
    """Say whether a filter takes whole numbers: ids, and what its column holds."""
    column = get_model_field(model, one.field_name) if isinstance(one, filters.NumberFilter) else None
    return isinstance(one, IdFilter) or isinstance(column, IntegerField)


def refuse_unknown(request: Any, known: Set[str]) -> None:
    """Refuse parameters that an address does not have."""
    if unknown := request.query_params.keys() - known:
        raise exceptions.ValidationError({name: [_("There is no such parameter.")] for name in sorted(unknown)})


def asked_fields(request: Any, known: Sequence[str]) -> list[str]:
    """List the fields that a caller wants to see, in their usual order; every one unless `fields` names some."""
    asked = request.query_params.get("fields")
    if asked is None:
        return list(known)
    names = {name.strip() for name in asked.split(",")}
    if unknown := sorted(names - set(known)):
        sentence = _("There is no field '%(name)s'; known are: %(names)s.") % {"name": unknown[0][:50], "names": ", ".join(known)}
        raise _wrong("fields", sentence)
    return [name for name in known if name in names]


class SuchFilter(filters.BooleanFilter):
    """Keep what the QuerySet method of this name selects (true), or all the rest (false)."""

    def filter(self, queryset, value):
        if value is None:
            return queryset
        if value:
            return getattr(queryset, self.field_name)()
        return queryset.exclude(pk__in=getattr(queryset.model._default_manager, self.field_name)().values("pk"))


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": LARGEST_ID})
class IdFilter(filters.NumberFilter):
    """Keep rows that point at a record; one that the caller may not see gives no rows, as does one that is not there."""

    field_class = forms.IntegerField

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, min_value=1, max_value=LARGEST_ID, **kwargs)
