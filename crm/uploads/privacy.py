"""What imports hold on people: rows in files, rows that failed, samples and former values; exported, erased, let go of."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField, Q
from django.db.models.functions import Cast, Lower

from crm import policy, privacy
from crm.models import Contact, Upload, UploadedRecord, UploadProblem
from crm.uploads import spool
from crm.uploads.reading import Row

State, Kind = Upload.State, UploadedRecord.Kind


class Meant:
    """Knows which rows speak of some contacts: those that made or changed them, and those with an address of theirs."""

    def __init__(self, contact_ids: Sequence[int]) -> None:
        self.addresses = privacy.addresses_of(contact_ids)
        self.records = _records(contact_ids)
        self.lines: dict[int, set[int]] = defaultdict(set)
        for upload_id, line in self.records.values_list("upload_id", "line"):
            self.lines[upload_id].add(line)

    def in_cells(self, cells: Sequence[str]) -> bool:
        """Say whether one of the addresses stands in a row."""
        return any("@" in cell and any(address in cell.casefold() for address in self.addresses) for cell in cells)

    def row(self, upload: Upload, row: Row) -> bool:
        """Say whether a row of an import is meant."""
        return row.line in self.lines[upload.pk] or self.in_cells(row.cells)

    def problems(self) -> Iterator[UploadProblem]:
        """Give the rows that failed and are meant."""
        somewhere = Q(pk__in=[])
        for address in self.addresses:
            somewhere |= Q(text__contains=address)
        found = UploadProblem.objects.annotate(text=Lower(Cast("values", CharField()))).filter(somewhere)
        return (problem for problem in found if self.in_cells(problem.values))


def _records(contact_ids: Sequence[int]) -> Any:
    persons = Contact.objects.filter(pk__in=contact_ids).values("person_id")
    of_them = Q(kind=Kind.CONTACT, object_id__in=contact_ids) | Q(kind=Kind.PERSON, object_id__in=persons)
    return UploadedRecord.objects.filter(of_them)


def _with_files() -> Iterator[Upload]:
    return Upload.objects.exclude(file="").iterator()


def export(contact_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Give the rows of files that speak of these contacts, and the values that an import wrote over."""
    meant = Meant(contact_ids)
    rows = [
        {"import": upload.pk, "file": upload.file_name, "line": row.line, "values": row.cells}
        for upload in _with_files()
        for chunk in spool.chunks(upload)
        for row in chunk.rows
        if meant.row(upload, row)
    ]
    former = meant.records.exclude(before=None).exclude(before={})
    return rows + [{"import": each.upload_id, "line": each.line, "before": each.before} for each in former]


def erase(contact_ids: Sequence[int], /, *, at: datetime) -> None:
    """Blank these rows where they stand, so that neither a run nor an undo brings anybody back."""
    # What else an import holds on people goes with its file.
    if not Upload.objects.exclude(file="").exists():
        return
    meant = Meant(contact_ids)
    for upload in _with_files():
        if spool.blank(upload, lambda row, upload=upload: meant.row(upload, row), because=str(privacy.ERASED)):  # type: ignore[misc]
            _scrub(upload, meant)
    for problem in meant.problems():
        UploadProblem.objects.filter(pk=problem.pk).update(values=[], reason=privacy.ERASED, column="")
    meant.records.exclude(before=None).update(before={}, kept_because=privacy.ERASED)
    meant.records.update(kept_because=privacy.ERASED)


def _scrub(upload: Upload, meant: Meant) -> None:
    report = dict(upload.report)
    report["problems"] = [each for each in report.get("problems", []) if not meant.in_cells(each["values"])]
    sample = [cells for cells in upload.sample if not meant.in_cells(cells)]
    Upload.objects.filter(pk=upload.pk).update(report=report, sample=sample)


def let_go(*, at: datetime) -> int:
    """Delete what imports hold once they ended so long ago, and those that were never run; the figures stay."""
    long_ago = at - timedelta(days=policy.UPLOADS.kept_days)
    never_run = Q(state__in=(State.RECEIVED, State.CHECKED), created_at__lt=long_ago)
    ended = Q(state__in=(State.FINISHED, State.FAILED, State.UNDONE), finished_at__lt=long_ago)
    paused = Q(state=State.PAUSED, heartbeat_at__lt=long_ago)
    found = list(Upload.objects.filter(never_run | ended | paused).exclude(file=""))
    for upload in found:
        _let_go(upload)
    return len(found)


def _let_go(upload: Upload) -> None:
    upload.file.storage.delete(str(upload.file.name))
    UploadProblem.objects.filter(upload=upload).delete()
    UploadedRecord.objects.filter(upload=upload).delete()
    kept = {name: figure for name, figure in upload.report.items() if name != "problems"}
    Upload.objects.filter(pk=upload.pk).update(file="", sample=[], report=kept)
    Upload.objects.filter(pk=upload.pk, state__in=(State.RECEIVED, State.CHECKED)).delete()


def register() -> None:
    """Let export, erasure and retention reach imports; called once at start."""
    privacy.register("imports", export=export, erase=erase)
    privacy.retain_also("imports", let_go)
