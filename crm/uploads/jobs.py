"""What people do with an import: receive a file, say what its columns mean, try it, start, pause, resume, undo and discard it."""

import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import IO, Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm import policy
from crm.errors import Conflict, Invalid, NotAllowed
from crm.imports import ImportRefused
from crm.models import Contact, Upload, UploadProblem, User
from crm.uploads import layouts, spool, trial
from crm.uploads.fields import fields
from crm.uploads.reading import Row, read

State = Upload.State
_BLOCK = 1024 * 1024
_SAMPLE_SHOWN, _SAMPLE_JUDGED = 5, 100
# What a spreadsheet would run as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MAKES = {Upload.What.ACCOUNTS: ("account",), Upload.What.CONTACTS: ("account", "contact"), Upload.What.ACTIVITIES: ("activity",)}


def receive(file: IO[bytes], *, name: str, what: str, by: User, at: datetime, **choices: Any) -> Upload:
    """Take a file, whatever it is, read its rows once and guess what they mean; nothing is imported yet.

    `choices` are those of `map_columns`, where somebody knows the file already. Raise ImportRefused with a sentence for a
    file that cannot be read, NotAllowed for who may not add such records, Invalid for a wrong choice.
    """
    _refuse_unallowed(by, what)
    name = " ".join(name.split())[:200] or _("(no name)")
    upload = Upload(owner=by, team=by.team, what=what, file_name=name, created_at=at)
    with tempfile.TemporaryFile() as copy:
        upload.size = _bounded(file, copy, name=name)
        table = read(copy, name=name)
        upload.columns, upload.encoding = table.columns, table.read_as[:100]
        first = spool.keep(upload, table.rows, sample=_SAMPLE_JUDGED)
    try:
        if not upload.rows_total:
            raise ImportRefused(_("%(file)s has a row of names, and no rows below it.") % {"file": name})
        _guess(upload, first)
        for field, value in _chosen(upload, **choices).items():
            setattr(upload, field, value)
        upload.save()
    except Exception:
        _remove_file(upload)
        raise
    return upload


def _refuse_unallowed(by: User, what: str) -> None:
    if what not in Upload.What.values:
        raise Invalid(_("This cannot be imported."), detail={"what": _("This cannot be imported.")})
    if not by.has_perms([f"crm.add_{name}" for name in ("upload", *_MAKES[Upload.What(what)])]):
        raise NotAllowed(_("You may not import this."))


def _bounded(file: IO[bytes], copy: IO[bytes], *, name: str) -> int:
    """Copy a stream, and stop at the first byte too many."""
    most, size = policy.UPLOADS.file_megabytes, 0
    while block := file.read(_BLOCK):
        size += len(block)
        if size > most * _BLOCK:
            raise ImportRefused(_("%(file)s is larger than %(most)d MB. Import it in parts.") % {"file": name, "most": most})
        copy.write(block)
    return size


def _guess(upload: Upload, first: list[Row]) -> None:
    cells = [row.cells for row in first if not row.problem]
    layout = layouts.recognise(upload.columns, what=upload.what)
    upload.layout = layout.name if layout else ""
    upload.source = layout.source if layout else "import"
    upload.sample = cells[:_SAMPLE_SHOWN]
    upload.mapping = layouts.guess(upload.columns, cells, what=upload.what)


def map_columns(upload: Upload, *, mapping: Mapping[str, str], by: User, at: datetime, **choices: str | None) -> Upload:
    """Say which field each column is ('' for none), and what holds for all rows; what was tried before is void.

    A column is known by its number or its name; a key such as '=kind' gives a field one value for every row. `choices`:
    existing, legal_basis, source. Raise Invalid, naming what is wrong; Conflict once it has begun.
    """
    changes = _chosen(upload, mapping=mapping, **choices)
    return _move(upload, (State.RECEIVED, State.CHECKED), state=State.RECEIVED, report={}, **changes)


def _chosen(
    upload: Upload,
    *,
    mapping: Mapping[str, str] | None = None,
    existing: str | None = None,
    legal_basis: str | None = None,
    source: str | None = None,
) -> dict[str, Any]:
    """Give what was chosen as an import holds it; what is None was not."""
    changes: dict[str, object] = {} if mapping is None else {"mapping": _checked_mapping(upload, _by_number(upload, mapping))}
    for name, value, allowed in (
        ("existing", existing, Upload.Existing.values),
        ("legal_basis", legal_basis, Contact.LegalBasis.values),
        ("source", source, None),
    ):
        if value is None:
            continue
        chosen = value.strip()
        if (allowed is not None and chosen not in allowed) or not 0 < len(chosen) <= 50:
            raise Invalid(_("This cannot be chosen."), detail={name: _("This cannot be chosen.")})
        changes[name] = chosen
    return changes


def _by_number(upload: Upload, mapping: Mapping[str, str]) -> dict[str, str]:
    """Let a column be known by its name, too, if no other has it. Raise Invalid for one that is named in both ways."""
    numbers = {name: str(index) for index, name in enumerate(upload.columns) if upload.columns.count(name) == 1}
    indexes = set(map(str, range(len(upload.columns))))
    chosen = {key if key in indexes else numbers.get(key, key): name for key, name in mapping.items()}
    if len(chosen) < len(mapping):
        raise Invalid(_("A column is named twice."), detail={"mapping": _("A column is named twice.")})
    return chosen


def _checked_mapping(upload: Upload, mapping: Mapping[str, str]) -> dict[str, str]:
    """Refuse fields that are unknown, given twice or missing, and columns that are not there."""
    known = {field.name for field in fields(upload.what)}
    chosen = [name for name in mapping.values() if name in known] + [key[1:] for key in mapping if key.startswith(layouts.CONSTANT)]
    columns = {str(index) for index in range(len(upload.columns))}
    for key, name in mapping.items():
        is_constant = key.startswith(layouts.CONSTANT)
        if (is_constant and key[1:] not in known) or (not is_constant and (key not in columns or (name and name not in known))):
            raise Invalid(_("This file has no such column, or this import no such field."), detail={"mapping": f"{key}: {name}"})
    if twice := sorted({name for name in chosen if chosen.count(name) > 1}):
        raise Invalid(_("Two columns cannot be the same field: %(names)s.") % {"names": _labels(upload, twice)}, detail={"mapping": twice})
    if missing := missing_fields(upload.what, chosen):
        sentence = _("No column gives: %(names)s.") % {"names": _labels(upload, missing)}
        raise Invalid(sentence, detail={"mapping": missing})
    return dict(mapping)


def missing_fields(what: str, chosen: list[str]) -> list[str]:
    """List the fields without which no row of this can be right."""
    missing = [field.name for field in fields(what) if field.required and field.name not in chosen]
    if what == Upload.What.ACCOUNTS and "domain" in chosen:
        missing = []
    if what == Upload.What.CONTACTS and not {"given_name", "family_name", "full_name"} & {*chosen}:
        missing = ["family_name"]
    return missing


def missing_of(upload: Upload) -> list[str]:
    """List the fields that an import's columns, as they are mapped now, still lack."""
    constants = {key.removeprefix(layouts.CONSTANT): key for key in upload.mapping if key.startswith(layouts.CONSTANT)}
    columns = [name for key, name in upload.mapping.items() if name and key not in constants.values()]
    return missing_fields(upload.what, [*columns, *constants])


def _labels(upload: Upload, names: list[str]) -> str:
    labels = {field.name: str(field.label) for field in fields(upload.what)}
    return ", ".join(labels[name] for name in names)


def check(upload: Upload, *, at: datetime) -> Upload:
    """Try every row and write nothing: `report` says what a run would do, and shows the first problems.

    Raise Invalid for a mapping that lacks what every row needs; Conflict once the import has begun.
    """
    _checked_mapping(upload, upload.mapping)
    report = trial.run(upload, at=at)
    return _move(upload, (State.RECEIVED, State.CHECKED), state=State.CHECKED, report=report, error="")


def start(upload: Upload, *, by: User, at: datetime) -> Upload:
    """Let a worker begin with an import that was tried; raise Invalid for contacts without a legal basis, Conflict if it has begun."""
    _refuse_unallowed(by, upload.what)
    if (
        upload.what == Upload.What.CONTACTS
        and upload.legal_basis == Contact.LegalBasis.UNKNOWN
        and "legal_basis" not in upload.mapping.values()
    ):
        raise Invalid(_("Say on which legal basis these people may be kept."), detail={"legal_basis": _("This may not be empty.")})
    return _move(upload, (State.CHECKED,), state=State.RUNNING, started_at=at, heartbeat_at=at)


def pause(upload: Upload, *, by: User, at: datetime) -> Upload:
    """Let the worker stop after the chunk it is at."""
    return _move(upload, (State.RUNNING,), state=State.PAUSED)


def resume(upload: Upload, *, by: User, at: datetime) -> Upload:
    """Let a worker go on where it stopped, also after it gave up."""
    return _move(upload, (State.PAUSED, State.FAILED), state=State.RUNNING, tries=0, error="", heartbeat_at=at, finished_at=None)


def undo(upload: Upload, *, by: User, at: datetime) -> Upload:
    """Let a worker take back what an import did; it stops for good where it is."""
    if not upload.file.name:
        raise Conflict(_("This import ended too long ago to be undone."))
    begun = (State.RUNNING, State.PAUSED, State.FINISHED, State.FAILED)
    return _move(upload, begun, state=State.UNDOING, tries=0, error="", heartbeat_at=at, finished_at=None)


def _move(upload: Upload, states: tuple[str, ...], **values: object) -> Upload:
    """Write values to an import in one of these states; raise Conflict for any other."""
    moved = Upload.objects.filter(pk=upload.pk, state__in=states).update(**values)
    upload.refresh_from_db()
    if not moved:
        raise Conflict(_("This import is %(state)s by now.") % {"state": upload.get_state_display()})
    return upload


def failed_rows(upload: Upload) -> Iterator[list[str]]:
    """Give the header and the rows that failed, each with its line and the reason, safe to open in a spreadsheet."""
    yield [_safe(name) for name in (*upload.columns, _("line"), _("what is wrong"))]
    for problem in UploadProblem.objects.filter(upload=upload).order_by("line").iterator():
        cells = [*problem.values, *[""] * (len(upload.columns) - len(problem.values))]
        why = f"{problem.column}: {problem.reason}" if problem.column else problem.reason
        yield [_safe(cell) for cell in (*cells, str(problem.line), why)]


def _safe(cell: str) -> str:
    """Keep a spreadsheet from taking a text for a formula; a number stays one."""
    return f"'{cell}" if cell.startswith(_FORMULA) and not cell[1:].replace(".", "", 1).isdigit() else cell


@transaction.atomic
def discard(upload: Upload, *, by: User, at: datetime) -> None:
    """Delete an import with its file and problems; the records stay, and it can no longer be undone. Raise Conflict while it works."""
    gone, _each = Upload.objects.filter(pk=upload.pk).exclude(state__in=Upload.AT_WORK).delete()
    if not gone:
        raise Conflict(_("This import is %(state)s by now.") % {"state": upload.get_state_display()})
    transaction.on_commit(lambda: _remove_file(upload))


def _remove_file(upload: Upload) -> None:
    if upload.file.name:
        upload.file.storage.delete(upload.file.name)
