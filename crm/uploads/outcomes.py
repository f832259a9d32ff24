"""What became of the rows of one chunk, and what undo must know of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Max, Model

from crm import bulk
from crm.models import Upload, UploadedRecord
from crm.uploads.reading import Row

Kind = UploadedRecord.Kind


@dataclass(frozen=True)
class Failed:
    """A row that was left out, by which column and why."""

    row: Row
    column: str
    reason: str


@dataclass
class Outcome:
    """Every row is in one of these: created, changed, unchanged, or failed."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: list[Failed] = field(default_factory=list)
    # Of each record that was made or changed: kind, id, line, former values (None: made), last line of its history.
    records: list[tuple[str, int, int, dict[str, Any] | None, int | None]] = field(default_factory=list)

    def made(self, kind: str, pk: int, line: int, *, fingerprint: int | None = None) -> None:
        """Note a record that was made."""
        self.records.append((kind, pk, line, None, fingerprint))

    def fail(self, row: Row, column: str, reason: object) -> None:
        """Note a row that was left out."""
        self.failed.append(Failed(row, column, str(reason)))

    def refuse(self, row: Row, wrong: Mapping[str, object], headers: Mapping[str, str]) -> None:
        """Note a row that a rule refused, by field; the column is the first one's."""
        self.fail(row, next((headers[name] for name in wrong if name in headers), ""), " ".join(map(str, wrong.values())))


def snapshot(record: Model, names: Iterable[str]) -> dict[str, Any]:
    """Give the values of these fields as JSON holds them, for undo to put back."""
    values = {}
    for name in names:
        column: Any = record._meta.get_field(name)
        values[column.name] = None if getattr(record, column.attname) is None else column.value_to_string(record)
    return values


def last_history(record: Any) -> int:
    """Give the number of the last line of a record's history."""
    return record.history.aggregate(last=Max("history_id"))["last"] or 0


def keep_records(upload: Upload, outcome: Outcome, *, at: datetime) -> None:
    """Write down what undo needs."""
    made = [(kind, pk, line, last) for kind, pk, line, before, last in outcome.records if before is None]
    bulk.insert(UploadedRecord, ("kind", "object_id", "line", "history_id"), made, at=at, upload=upload.pk)
    UploadedRecord.objects.bulk_create(
        UploadedRecord(upload=upload, kind=kind, object_id=pk, line=line, before=before, history_id=last)
        for kind, pk, line, before, last in outcome.records
        if before is not None
    )
