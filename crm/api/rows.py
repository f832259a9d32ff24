"""Rows of a list straight from the database: where every field of a serializer is a column, no record is built for it.

What a list shows is still said once, by its serializer; a field that needs more than its column takes the list the long way.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils.timezone import get_current_timezone
from phonenumber_field.modelfields import PhoneNumberField
from rest_framework import serializers

# Fields that show a column's value as it is; days are JSON's renderer's to write.
_AS_IT_IS = (
    serializers.IntegerField, serializers.BooleanField, serializers.CharField, serializers.FloatField,
    serializers.ChoiceField, serializers.DateField,
)  # fmt: skip
Shown = dict[str, Any]


class Plan:
    """How the fields of a serializer are read: a path to a column each, and what makes its value one of JSON."""

    def __init__(self, fields: Mapping[str, serializers.Field], model: Any) -> None:
        self.columns = {name: _column(field, model) for name, field in fields.items()}
        # A phone number is shown as it is stored; to read and write each of a page takes as long as all else.
        self.texts = {f"{name}_as_stored": path for name, (path, column) in self.columns.items() if isinstance(column, PhoneNumberField)}
        stored = {path: alias for alias, path in self.texts.items()}
        self.paths = {name: stored.get(path, path) for name, (path, _of) in self.columns.items()}
        self.converters = {name: _converter(field) for name, field in fields.items() if not _is_plain(field)}

    def read(self, queryset: Any, *, also: Iterable[str] = ()) -> Any:
        """Select what is shown, and the columns of the order, as rows of names and values."""
        casts = {alias: Cast(path, TextField()) for alias, path in self.texts.items()}
        return queryset.values(*(name for name in self.names(also) if name not in casts), **casts)

    def names(self, also: Iterable[str] = ()) -> list[str]:
        """Name what `read` selects, in its order."""
        names = dict.fromkeys([*self.paths.values(), *also])
        return [*(name for name in names if name not in self.texts), *self.texts]

    def show(self, rows: Iterable[Mapping[str, Any]]) -> list[Shown]:
        """Write rows as the serializer would."""
        pairs = list(self.paths.items())
        shown = [{name: row[path] for name, path in pairs} for row in rows]
        for name, converted in self.converters.items():
            write = converted()
            for row in shown:
                if row[name] is not None:
                    row[name] = write(row[name])
        return shown


@cache
def shown_by(form: type[serializers.Serializer]) -> tuple[str, ...]:
    """Name the fields that a form shows, in their order; to build them takes a tenth of a call, so they are built once."""
    return tuple(form().fields)


# Callers choose the names; so many choices are kept.
@lru_cache(maxsize=500)
def plan(form: type[serializers.Serializer], names: tuple[str, ...], model: Any) -> Plan | None:
    """Give the way to read these fields of a model's rows; None when one of them is more than a column."""
    fields = form().fields
    try:
        return Plan({name: fields[name] for name in names}, model)
    except FieldDoesNotExist:
        return None


def _column(field: Any, model: Any) -> tuple[str, Any]:
    """Give a field's column, with the path to it as `values` takes it; raise FieldDoesNotExist when it has none."""
    if not isinstance(field, (*_AS_IT_IS, serializers.DateTimeField, serializers.DecimalField, serializers.PrimaryKeyRelatedField)):
        raise FieldDoesNotExist(field.field_name)
    # A field with rules of its own on how a value is shown is not one of these, whatever it inherits.
    if not type(field).__module__.startswith("rest_framework."):
        raise FieldDoesNotExist(field.field_name)
    *relations, last = field.source_attrs
    for relation in relations:
        model = model._meta.get_field(relation).related_model
    column = model._meta.get_field(last)
    if not column.concrete:
        raise FieldDoesNotExist(last)
    return "__".join([*relations, column.attname]), column


def _is_plain(field: Any) -> bool:
    return isinstance(field, (*_AS_IT_IS, serializers.PrimaryKeyRelatedField))


def _converter(field: Any) -> Callable[[], Callable[[Any], Any]]:
    if isinstance(field, serializers.DateTimeField):
        return _moments
    return lambda: field.to_representation


def _moments() -> Callable[[Any], str]:
    """Write moments in the time zone that is set for this call, as the framework does."""
    zone = get_current_timezone()

    def write(moment: Any) -> str:
        text: str = moment.astimezone(zone).isoformat()
        return text[:-6] + "Z" if text.endswith("+00:00") else text

    return write


def after(columns: Sequence[str], position: Sequence[Any]) -> Q:
    """Select the rows that come after a position in an order."""
    later, level = Q(), Q()
    for column, value in zip(columns, position, strict=True):
        later |= level & Q(**{_beyond(column): value})
        level &= Q(**{column.removeprefix("-"): value})
    if len(columns) == 1:
        return later
    # The bound on the first column alone lets the database enter its index there.
    return Q(**{_beyond(columns[0]) + "e": position[0]}) & later


def _beyond(column: str) -> str:
    return column[1:] + "__lt" if column.startswith("-") else column + "__gt"
