"""Rows of a list straight from the database: where every field of a serializer is a column, no record is built for it.

What a list shows is still said once, by its serializer; a field that needs more than its column takes the list the long way.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.utils.timezone import get_current_timezone
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
        self.paths = {name: _path(field, model) for name, field in fields.items()}
        self.converters = {name: _converter(field) for name, field in fields.items() if not _is_plain(field)}

    def read(self, queryset: Any, *, also: Iterable[str] = ()) -> Any:
        """Select what is shown, and the columns of the order, as rows of names and values."""
        return queryset.values(*{*self.paths.values(), *also})

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


def plan(serializer: serializers.Serializer, names: Iterable[str], model: Any) -> Plan | None:
    """Give the way to read these fields of a model's rows; None when one of them is more than a column."""
    try:
        return Plan({name: serializer.fields[name] for name in names}, model)
    except FieldDoesNotExist:
        return None


def _path(field: Any, model: Any) -> str:
    """Give the path to a field's column, as `values` takes it; raise FieldDoesNotExist when it has none."""
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
    return "__".join([*relations, column.attname])


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
