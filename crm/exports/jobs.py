"""One export from asking to removal: handed over at once, or written by a worker, kept a week, and then only remembered."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO

from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models import F, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from crm import policy
from crm.errors import Conflict, CrmError, Invalid, NotAllowed
from crm.exports.lists import Column, Listing, listing_of, rows_of, with_needs
from crm.exports.sheets import WRITERS
from crm.models import Export, User

FOLDER = "exports"
# A worker that writes gives a sign of life with every chunk.
SILENCE = timedelta(seconds=60)
ATTEMPTS = 3


def waiting_for(what: str, *, query: str, picked: Sequence[int], by: User) -> int:
    """Count the rows that an export would hold, up to one more than are handed over at once."""
    rows = rows_of(Export(what=what, query=query, picked=list(picked)), by=by)
    return rows.order_by().values("pk")[: policy.EXPORTS.at_once_rows + 1].count()


def begin(
    *, what: str, query: str, picked: Sequence[int], columns: Sequence[str], file_format: str, language: str, by: User, at: datetime
) -> Export:
    """Ask for a list; few rows are to be handed over at once, many wait for a worker.

    Raise Invalid for a list, a column or filters that do not exist, or too many rows for Excel; NotAllowed for who may not see it.
    """
    listing = listing_of(what, by=by)
    if not columns or not set(columns) <= set(listing.columns):
        raise Invalid(_("Choose at least one column."), detail={"columns": _("Choose at least one column.")})
    if file_format not in Export.Format.values:
        raise Invalid(_("Choose CSV or Excel."), detail={"format": _("Choose CSV or Excel.")})
    export = Export(what=what, query=query, picked=list(picked), columns=list(columns), format=file_format, owner=by, created_at=at)
    export.language = language
    export.rows_total = rows_of(export, by=by).order_by().values("pk").count()
    if file_format == Export.Format.XLSX and export.rows_total > policy.EXPORTS.xlsx_rows:
        raise Invalid(_("Excel files hold at most %(most)d rows here. Choose CSV.") % {"most": policy.EXPORTS.xlsx_rows})
    if export.rows_total <= policy.EXPORTS.at_once_rows:
        export.state, export.started_at, export.finished_at = Export.State.HANDED_OVER, at, at
    export.save()
    return export


def hand_over(export: Export, *, stream: BinaryIO) -> None:
    """Write an export that was asked for just now into an open file, in the order of the list."""
    owner = _owner(export)
    rows = list(_needed(export, owner)[: policy.EXPORTS.at_once_rows])
    _write(export, stream, [rows], progress=lambda _done: True)
    Export.objects.filter(pk=export.pk).update(rows_total=len(rows), rows_done=len(rows))


def work(export_id: int, *, clock: Callable[[], datetime]) -> bool:
    """Write one export that waits, or whose worker has died; False when somebody else is at it, or it is done.

    Safe when two try at once: the row's count of attempts is the claim, and who lost it stops at the next chunk.
    """
    export = _claim(export_id, at=clock())
    if export is None:
        return False
    try:
        return _fill(export, clock)
    except CrmError as refusal:
        _fail(export, str(refusal), at=clock())
        return False


def _claim(export_id: int, *, at: datetime) -> Export | None:
    free = Q(state=Export.State.QUEUED) | Q(state=Export.State.RUNNING, heartbeat_at__lt=at - SILENCE)
    export = Export.objects.filter(free, pk=export_id).select_related("owner").first()
    if export is None or not Export.objects.filter(free, pk=export_id, attempts=export.attempts).update(
        state=Export.State.RUNNING, attempts=F("attempts") + 1, started_at=at, heartbeat_at=at, rows_done=0
    ):
        return None
    export.attempts += 1
    return export


def _mine(export: Export) -> QuerySet[Export]:
    return Export.objects.filter(pk=export.pk, state=Export.State.RUNNING, attempts=export.attempts)


def _fill(export: Export, clock: Callable[[], datetime]) -> bool:
    """Write the rows into a file beside the finished ones; it counts once it is whole and still wanted."""
    owner = _owner(export)
    rows = _needed(export, owner)
    _mine(export).update(rows_total=rows.order_by().values("pk").count(), heartbeat_at=clock())
    with NamedTemporaryFile(dir=_folder(), suffix=".part") as part:
        is_whole = _write(export, part, _by_key(rows), progress=partial(_told, export, clock))
        if not is_whole:
            return False
        part.flush()
        part.seek(0)
        name = default_storage.save(f"{FOLDER}/{secrets.token_urlsafe(24)}.{export.format}", File(part))
    done = _mine(export).update(state=Export.State.FINISHED, file=name, rows_total=F("rows_done"), finished_at=clock())
    if not done:
        default_storage.delete(name)
    return bool(done)


def _told(export: Export, clock: Callable[[], datetime], done: int) -> bool:
    """Note how far it is; rows that came after the count make the total larger. False when the export is ours no longer."""
    _mine(export).filter(rows_total__lt=done).update(rows_total=done)
    return bool(_mine(export).update(rows_done=done, heartbeat_at=clock()))


def _owner(export: Export) -> User:
    if export.owner is None or not export.owner.is_active:
        raise NotAllowed(_("Who asked for this file does not work here any more."))
    return export.owner


def _needed(export: Export, owner: User) -> QuerySet[Any]:
    return with_needs(rows_of(export, by=owner), _columns(export, listing_of(export.what, by=owner)))


def _columns(export: Export, listing: Listing) -> list[Column]:
    return listing.chosen(export.columns)


def _by_key(rows: QuerySet[Any]) -> Iterator[list[Any]]:
    """Read in chunks by primary key: each begins where the last ended, however far that is."""
    rows, last = rows.order_by("pk"), None
    while chunk := list((rows if last is None else rows.filter(pk__gt=last))[: policy.EXPORTS.rows_per_chunk]):
        yield chunk
        last = chunk[-1].pk


def _write(export: Export, stream: Any, chunks: Any, *, progress: Callable[[int], bool]) -> bool:
    columns = _columns(export, listing_of(export.what, by=_owner(export)))
    with override(export.language):
        headings = [_heading(column.label) for column in columns]
        cells = ([[column.value(record) for column in columns] for record in chunk] for chunk in chunks)
        return WRITERS[export.format](stream, headings, cells, progress=progress)


def _heading(label: str | Promise) -> str:
    words = str(label)
    return words[:1].upper() + words[1:]


def _folder() -> str:
    folder = Path(default_storage.path(FOLDER))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return str(folder)


def _fail(export: Export, why: str, *, at: datetime) -> None:
    _mine(export).update(state=Export.State.FAILED, error=why[:300], finished_at=at)


def opened(export: Export, *, by: User) -> "File[bytes]":
    """Open the file for who asked for it; nobody else reads it, for it holds what its owner may see."""
    if export.owner_id != by.pk:
        raise NotAllowed(_("Only who asked for this file may download it."))
    if not export.file:
        raise Conflict(_("The file is not there any more."))
    return default_storage.open(str(export.file))


def remove(export: Export, *, at: datetime) -> None:
    """Delete the file, or stop the writing; that somebody took the list out stays on record, without its filters."""
    _remove(Export.objects.filter(pk=export.pk).exclude(state__in=(Export.State.HANDED_OVER, Export.State.REMOVED)), at=at)


def _remove(exports: QuerySet[Export], *, at: datetime) -> int:
    gone = list(exports.values_list("pk", "file"))
    forgotten = {"query": "", "picked": [], "file": "", "state": Export.State.REMOVED, "finished_at": at}
    count = Export.objects.filter(pk__in=[pk for pk, _file in gone]).update(**forgotten)
    for _pk, name in gone:
        if name:
            default_storage.delete(name)
    return count


def stalled(*, at: datetime) -> list[int]:
    """List exports that no worker is at, and note that they were handed to the queue again; three attempts are enough."""
    silent = Export.objects.filter(Q(heartbeat_at=None, created_at__lt=at - SILENCE) | Q(heartbeat_at__lt=at - SILENCE)).unfinished()
    stopped = _("The work was broken off %(times)d times. Ask for fewer rows, or tell an administrator.") % {"times": ATTEMPTS}
    silent.filter(attempts__gte=ATTEMPTS).update(state=Export.State.FAILED, error=str(stopped), finished_at=at)
    waiting = list(silent.values_list("pk", flat=True))
    # A running one keeps its silence: that is what lets the next worker claim it.
    Export.objects.filter(pk__in=waiting, state=Export.State.QUEUED).update(heartbeat_at=at)
    return waiting


def expire(*, at: datetime) -> int:
    """Remove files that have been there long enough, forget the filters of what was handed over, and sweep what a crash left."""
    before = at - timedelta(days=policy.RETENTION.export_file_days)
    old = Export.objects.filter(finished_at__lt=before)
    handed_over = old.filter(state=Export.State.HANDED_OVER).exclude(query="", picked=[]).update(query="", picked=[])
    removed = _remove(old.filter(state__in=(Export.State.FINISHED, Export.State.FAILED)), at=at)
    return handed_over + removed + _sweep(before=before)


def _sweep(*, before: datetime) -> int:
    """Delete files that no export knows of."""
    known = set(Export.objects.filter(state=Export.State.FINISHED).values_list("file", flat=True))
    lost = [
        path for path in Path(_folder()).iterdir() if f"{FOLDER}/{path.name}" not in known and path.stat().st_mtime < before.timestamp()
    ]
    for path in lost:
        path.unlink(missing_ok=True)
    return len(lost)
