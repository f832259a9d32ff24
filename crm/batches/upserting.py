"""Rows of any kind in chunks: read, matched, and made or changed, one result a row; what is known goes through the rule for one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import access, policy
from crm.errors import CrmError, Invalid
from crm.models import Account, Contact, DmuMembership, Opportunity, User

CREATED, UPDATED, UNCHANGED, FAILED, NOT_WRITTEN = "created", "updated", "unchanged", "failed", "not_written"
STATUSES = (CREATED, UPDATED, UNCHANGED, FAILED, NOT_WRITTEN)
# How often rows are looked at again when others write the same ones at the same moment.
TRIES = 3
_TAKEN = gettext_lazy("This is a record of another team.")
_MAY_NOT = gettext_lazy("You may not change this record.")
TWICE = gettext_lazy("An earlier row of this call names the same record.")
Row = Mapping[str, Any]
Wrong = Mapping[str, object]


@dataclass(frozen=True)
class Result:
    """What became of one row."""

    index: int
    status: str
    id: int | None = None
    errors: Wrong = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """How rows of one kind are read, matched, added and changed; each takes and gives whole chunks."""

    texts: tuple[str, ...]
    others: tuple[str, ...]
    # The records that rows mean, by the place of the row.
    match: Callable[[Mapping[int, Row]], dict[int, Any]]
    # For each row its new record, or what is wrong with it.
    add: Callable[[Sequence[Row], User, datetime], list[tuple[int | None, Wrong]]]
    change: Callable[[Any, Row, User, datetime], bool]
    model: type[Account | Contact | Opportunity | DmuMembership]

    @property
    def names(self) -> frozenset[str]:
        """Name what a row may hold."""
        return frozenset(self.texts + self.others)


def upsert(kind: Kind, rows: Sequence[object], *, at: datetime, by: User, atomic: bool = False, add_only: bool = False) -> list[Result]:
    """Make or change up to `policy.RECORDING.activities_per_call` records; results in the given order.

    `atomic`: all or nothing; of a call with a failed row the others are `not_written`. `add_only`: what is there already fails.
    """
    most = policy.RECORDING.activities_per_call
    if len(rows) > most:
        raise Invalid(_("At most %(bound)d rows in one call.") % {"bound": most})
    size = max(len(rows), 1) if atomic else policy.RECORDING.rows_per_statement
    results: list[Result] = []
    for start in range(0, len(rows), size):
        chunk = dict(enumerate(rows[start : start + size], start))
        results += _in_some_tries(partial(_chunk, kind, chunk, at=at, by=by, atomic=atomic, add_only=add_only))
    return sorted(results, key=lambda result: result.index)


def _in_some_tries(write: Callable[[], list[Result]]) -> list[Result]:
    """Write a chunk; look again at what is there when somebody else wrote one of its records since."""
    for _try in range(TRIES - 1):
        try:
            with transaction.atomic():
                return write()
        except IntegrityError:
            continue
    with transaction.atomic():
        return write()


def _chunk(kind: Kind, rows: Mapping[int, object], *, at: datetime, by: User, atomic: bool, add_only: bool) -> list[Result]:
    """Write one chunk in the caller's transaction."""
    results: list[Result] = []
    good: dict[int, Row] = {}
    for index, row in rows.items():
        if wrong := _unreadable(kind, row):
            results.append(Result(index, FAILED, errors=wrong))
        else:
            good[index] = _completed(kind, row)  # type: ignore[arg-type]
    there = kind.match(good)
    results += _change(kind, {index: (good[index], record) for index, record in there.items()}, at=at, by=by, add_only=add_only)
    fresh = {index: row for index, row in good.items() if index not in there}
    for index, (pk, wrong) in zip(fresh, kind.add(list(fresh.values()), by, at), strict=True):
        results.append(Result(index, CREATED, pk) if pk else Result(index, FAILED, errors=wrong))
    if atomic and any(result.status == FAILED for result in results):
        transaction.set_rollback(True)
        return [result if result.status == FAILED else Result(result.index, NOT_WRITTEN) for result in results]
    return results


def _unreadable(kind: Kind, row: object) -> Wrong:
    """Say what of a row is no value of its kind at all; whether it can be right is the rules' to say."""
    if not isinstance(row, Mapping):
        return {"row": _("A row is an object of names and values.")}
    wrong: dict[str, object] = {str(name)[:50]: _("This cannot be set here.") for name in row.keys() - kind.names}
    for name, value in row.items():
        if name in kind.texts and not isinstance(value, str | None):
            wrong[name] = _("This must be a text.")
        elif name in kind.others and not isinstance(value, str | int | float | None):
            wrong[name] = _("This must be a single value.")
    return wrong


def _completed(kind: Kind, row: Row) -> Row:
    """Give null the meaning of an empty text, and take off what stands around a text."""
    return {name: (value or "").strip() if name in kind.texts else value for name, value in row.items()}


def _change(kind: Kind, known: Mapping[int, tuple[Row, Any]], *, at: datetime, by: User, add_only: bool) -> Iterator[Result]:
    """Bring records that are there up to date, in the order of their ids, so that two calls at once wait for each other."""
    pks = {record.pk for _row, record in known.values()}
    seen = kind.model.objects.visible_to(by).filter(pk__in=pks)
    visible = set(seen.values_list("pk", flat=True))
    changeable = set(seen.filter(access.changeable(by, kind.model)).values_list("pk", flat=True))
    done: set[int] = set()
    for index, (row, record) in sorted(known.items(), key=lambda item: (item[1][1].pk, item[0])):
        if record.pk not in visible:
            yield Result(index, FAILED, errors={"external_id": _TAKEN})
        elif add_only:
            yield Result(index, FAILED, record.pk, {"external_id": _("There is such a record already.")})
        elif record.pk in done:
            yield Result(index, FAILED, record.pk, {"row": TWICE})
        else:
            done.add(record.pk)
            yield _changed(kind, index, row, record, at=at, by=by, may=record.pk in changeable)


def _changed(kind: Kind, index: int, row: Row, record: Any, *, at: datetime, by: User, may: bool) -> Result:
    try:
        with transaction.atomic():
            if not kind.change(record, row, by if may else None, at):  # type: ignore[arg-type]
                return Result(index, UNCHANGED, record.pk)
            if not may:
                transaction.set_rollback(True)
                return Result(index, FAILED, record.pk, {"row": _MAY_NOT})
    except CrmError as error:
        return Result(index, FAILED, record.pk, error.detail or {"row": error})
    return Result(index, UPDATED, record.pk)


def by_source_id(records: Any, rows: Mapping[int, Row]) -> dict[tuple[str, str], Any]:
    """Give those of the records that rows name by a source and an id there, by both."""
    ids = {row["external_id"] for row in rows.values() if row.get("external_id")}
    named = records.filter(source__in={row.get("source", "") for row in rows.values()}, external_id__among=ids)
    return {(one.source, one.external_id): one for one in named}


def homeless(row: Row) -> Wrong:
    """Say why a row has no account that the caller sees."""
    if row.get("account") is None:
        return {"account": _("This field is required.")}
    return {"account": _("There is no account %(id)s.") % {"id": str(row["account"])[:50]}}
