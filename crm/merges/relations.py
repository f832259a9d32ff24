"""What points at a record, and what becomes of it in a merge: read from the models, so that a new table follows by itself."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

from django.db import models
from django.db.models import F, Field, Q, UniqueConstraint

from crm.models import Account, Contact, Person


class Way(Enum):
    """What becomes of the rows that point at the folded record."""

    # They point at the kept record; what then stands there twice is folded, too.
    MOVES = "moves"
    # They go, and come back with an unmerge.
    GOES = "goes"
    # Both records' rows are computed anew, and come back as they were with an unmerge.
    RENEWED = "renewed"


# Every relation that somebody has thought about; a test fails for one that is missing. Others move.
_WAYS: dict[str, Way] = {}
MERGED = (Account, Contact, Person)


def decide(way: Way, *relations: str) -> None:
    """Say what becomes of relations, e.g. 'crm.activity.account'; apps above crm do so at start."""
    _WAYS.update(dict.fromkeys(relations, way))


def label(field: "Field[Any, Any]") -> str:
    """Name a relation: the model's label and the field."""
    return f"{field.model._meta.label_lower}.{field.name}"


def way(field: "Field[Any, Any]") -> Way:
    """Say what becomes of a relation's rows."""
    return _WAYS.get(label(field), Way.MOVES)


def undecided() -> list[str]:
    """List the relations to mergeable records that nobody has thought about."""
    return sorted({label(field) for model in MERGED for field in relations(model)} - _WAYS.keys())


def unknown() -> list[str]:
    """List decisions on relations that do not exist (any more)."""
    return sorted(_WAYS.keys() - {label(field) for model in MERGED for field in relations(model)})


def relations(model: type[models.Model]) -> Iterator["Field[Any, Any]"]:
    """Give every column that points at a model's rows; histories tell of the past and stay as they are."""
    for relation in model._meta.get_fields(include_hidden=True):
        if isinstance(relation, models.ForeignObjectRel) and relation.field.concrete and not hasattr(relation.field.model, "instance_type"):
            yield relation.field


def collisions(field: "Field[Any, Any]", kept_id: object, folded_id: object) -> Iterator[tuple[Any, Any]]:
    """Give pairs of rows, the kept record's and the folded one's, that a unique constraint would refuse side by side.

    Looked up anew for each constraint: settling one pair may settle another.
    """
    for expressions, condition in _unique(field.model):
        others = [one for one in expressions if _names(one) != {field.name}]
        if len(others) == len(expressions):
            continue
        mine, theirs = (_keys(field, pk, others, condition) for pk in (kept_id, folded_id))
        yield from [(mine[key], pk) for key, pk in theirs.items() if key in mine]


def _unique(model: type[models.Model]) -> Iterator[tuple[list[Any], Q]]:
    for constraint in model._meta.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield [*constraint.expressions, *map(F, constraint.fields)], constraint.condition or Q()
    for names in model._meta.unique_together:
        yield list(map(F, names)), Q()
    for field in model._meta.concrete_fields:
        if field.unique:
            yield [F(field.name)], Q()


def _names(expression: Any) -> set[str]:
    parts: list[Any] = [expression] if isinstance(expression, F) else list(expression.flatten())
    return {str(part.name) for part in parts if isinstance(part, F)}  # type: ignore[attr-defined]


def _keys(field: "Field[Any, Any]", owner: object, expressions: list[Any], condition: Q) -> dict[tuple[Any, ...], Any]:
    """Map what must be unique beside the relation to the row; what is empty never collides."""
    rows = field.model._base_manager.filter(condition, **{field.attname: owner})
    named = {f"unique_{number}": expression for number, expression in enumerate(expressions)}
    found = rows.annotate(**named).order_by("pk").values_list("pk", *named)
    return {tuple(key): pk for pk, *key in found if None not in key}
