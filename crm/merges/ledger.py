"""The ledger of a merge: changes rows, and writes down what it takes to change each of them back exactly."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from django.apps import apps
from django.db import IntegrityError, models, transaction
from django.db.models import Field, Max, Q, QuerySet

from crm.models import Account, Contact, Person

# Without these there is nothing to come back to; whatever else has lost its place is left out, and named.
MERGED: tuple[type[models.Model], ...] = (Account, Contact, Person)
# {"do": "moved" | "dropped" | "renewed" | "changed" | "added", "model": "crm.activity", ...}
Step = dict[str, Any]
ROWS_PER_STATEMENT = 2_000


class Ledger:
    """What one merge does, in order; the rows that go are kept whole."""

    def __init__(self) -> None:
        """Begin with an empty page."""
        self.steps: list[Step] = []
        self.moved: Counter[str] = Counter()
        # How often which rule settled a collision: codes of crm.merges.words.SETTLED.
        self.settled: Counter[str] = Counter()
        # (model label, folded id, kept id) of every record that something else took the place of.
        self.records: list[tuple[str, int, int]] = []

    def move(self, model: type[models.Model], column: str, old: object, new: object) -> int:
        """Point rows at another record; give their number."""
        rows = model._base_manager.filter(**{column: old})
        ids = list(rows.order_by("pk").values_list("pk", flat=True))
        if ids:
            last = model._base_manager.aggregate(last=Max("pk"))["last"]
            _update(model, ids, {column: old}, {column: new})
            self._write("moved", model, column=column, old=old, new=new, ids=ids, last=last)
            self.moved[model._meta.label_lower] += len(ids)
        return len(ids)

    def drop(self, rows: QuerySet[Any]) -> int:
        """Delete rows and keep them whole; give their number."""
        kept = snapshot(rows)
        if kept:
            delete(rows)
            self._write("dropped", rows.model, rows=kept)
        return len(kept)

    def renew(self, field: "Field[Any, Any]", kept_id: int, folded_id: int) -> None:
        """Keep the derived rows of both whole, and delete those of the folded one: they are computed anew."""
        rows = field.model._base_manager.filter(**{f"{field.attname}__in": (kept_id, folded_id)})
        self._write("renewed", field.model, column=field.attname, ids=[kept_id, folded_id], rows=snapshot(rows))
        delete(field.model._base_manager.filter(**{field.attname: folded_id}))

    def change(self, model: type[models.Model], pk: object, **values: object) -> None:
        """Write other values to one row; those that are so already are left out."""
        row = model._base_manager.filter(pk=pk).values(*values).get()
        before = {name: row[name] for name in values if row[name] != values[name]}
        if before:
            after = {name: values[name] for name in before}
            model._base_manager.filter(pk=pk).update(**after)
            self._write("changed", model, pk=pk, before=before, after=after)

    def add(self, rows: Iterable[models.Model]) -> None:
        """Write down rows that the merge itself made."""
        made = list(rows)
        if made:
            self._write("added", type(made[0]), ids=[row.pk for row in made])

    def _write(self, deed: str, model: type[models.Model], **facts: object) -> None:
        self.steps.append({"do": deed, "model": model._meta.label_lower, **facts})


def snapshot(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    """Give rows with all their columns, as the database has them."""
    return list(rows.order_by("pk").values(*(field.attname for field in rows.model._meta.concrete_fields)))


def delete(rows: QuerySet[Any]) -> None:
    """Delete rows and nothing else: no cascade into what was just moved, no 'deleted' in the history of what can come back."""
    rows._raw_delete(rows.db)


def _update(model: type[models.Model], ids: Collection[object], still: dict[str, Any], values: dict[str, Any]) -> int:
    """Write to rows by id that are still as they were, in bounded statements."""
    listed = list(ids)
    chunks = (listed[start : start + ROWS_PER_STATEMENT] for start in range(0, len(listed), ROWS_PER_STATEMENT))
    return sum(model._base_manager.filter(pk__in=chunk, **still).update(**values) for chunk in chunks)


# --- backwards -------------------------------------------------------------------------------------


def undo(steps: Iterable[Step]) -> Iterator[str]:
    """Undo steps, the last one first; yield the label of a model for each row that cannot come back as it was."""
    for step in reversed(list(steps)):
        # An upgrade may have taken a table away since.
        yield from _UNDO[step["do"]](step, apps.get_model(step["model"]))


def _move_back(step: Step, model: type[models.Model]) -> Iterator[str]:
    _update(model, step["ids"], {step["column"]: step["new"]}, {step["column"]: step["old"]})
    yield from ()


def _put_back(step: Step, model: type[models.Model]) -> Iterator[str]:
    rows = list(_restorable(model, step["rows"]))
    yield from [step["model"]] * (len(step["rows"]) - len(rows))
    if model in MERGED:
        insert(model, rows)
        return
    try:
        with transaction.atomic():
            insert(model, rows)
    except IntegrityError:
        yield from (step["model"] for row in rows if not _fits(model, row))


def _fits(model: type[models.Model], row: dict[str, Any]) -> bool:
    """Insert one row, unless somebody else has its place by now, e.g. its slot on a list."""
    try:
        with transaction.atomic():
            insert(model, [row])
    except IntegrityError:
        return False
    return True


def _as_before(step: Step, model: type[models.Model]) -> Iterator[str]:
    delete(model._base_manager.filter(**{f"{step['column']}__in": step["ids"]}))
    yield from _put_back(step, model)


def _change_back(step: Step, model: type[models.Model]) -> Iterator[str]:
    """Put values back; one that was changed again since stays as it is now."""
    names = step["before"]
    row = model._base_manager.filter(pk=step["pk"]).values(*names).first()
    if row is None:
        yield step["model"]
        return
    same = [name for name in names if row[name] == _read(model, name, step["after"][name])]
    model._base_manager.filter(pk=step["pk"]).update(**{name: _read(model, name, names[name]) for name in same})
    yield from [step["model"]] * (len(names) > len(same))


def _take_away(step: Step, model: type[models.Model]) -> Iterator[str]:
    delete(model._base_manager.filter(pk__in=step["ids"]))
    yield from ()


_UNDO: dict[str, Callable[[Step, type[models.Model]], Iterator[str]]] = {
    "moved": _move_back,
    "dropped": _put_back,
    "renewed": _as_before,
    "changed": _change_back,
    "added": _take_away,
}


def _columns(model: type[models.Model]) -> dict[str, "Field[Any, Any]"]:
    return {field.attname: field for field in model._meta.concrete_fields}


def _read(model: type[models.Model], name: str, value: object) -> Any:
    """Give a value out of JSON as the column has it."""
    field = _columns(model).get(name) or model._meta.get_field(name)
    return value if value is None or isinstance(field, models.JSONField) else field.to_python(value)  # type: ignore[union-attr]


def _restorable(model: type[models.Model], rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give rows that can stand again: a colleague or team that is gone since is left empty, a row without its record is left out."""
    kept = [dict(row) for row in rows]
    own = {row[model._meta.pk.attname] for row in kept}
    for column, field in _columns(model).items():
        gone = _gone(field, {row.get(column) for row in kept} - {None}, own=own) if isinstance(field, models.ForeignKey) else set()
        if gone and not field.null:
            kept = [row for row in kept if row.get(column) not in gone]
        elif gone:
            kept = [row | ({column: None} if row.get(column) in gone else {}) for row in kept]
    yield from kept


def _gone(field: "models.ForeignKey[Any, Any]", named: set[Any], *, own: set[Any]) -> set[Any]:
    """Give the ids among these that a column can no longer name; rows of one table come back together."""
    target = field.remote_field.model
    still = set(target._base_manager.filter(pk__in=named).values_list("pk", flat=True)) if named else set()
    return named - still - (own if target is field.model else set())


def insert(model: type[models.Model], rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows as they were, with their ids and moments; raw, so that nothing stamps or remembers them."""
    known = _columns(model)
    made = [model(**{name: _read(model, name, value) for name, value in row.items() if name in known}) for row in rows]
    if any(getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False) for field in known.values()):
        for row in made:
            row.save_base(raw=True, force_insert=True)
    else:
        model._base_manager.bulk_create(made)


def arrived(step: Step, *, within: Q | None = None) -> int:
    """Count the rows that came to the kept record after a move."""
    rows = apps.get_model(step["model"])._base_manager.filter(within or Q(), **{step["column"]: step["new"]})
    count: int = rows.filter(pk__gt=step["last"]).count()
    return count
