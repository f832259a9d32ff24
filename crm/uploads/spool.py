"""The rows of an import as they are kept: one JSON line each in a private file, so that a worker can go on at any byte."""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.core.files import File
from django.utils.translation import gettext as _

from crm import policy
from crm.imports import ImportRefused
from crm.models import Upload
from crm.uploads.reading import Row


@dataclass(frozen=True)
class Chunk:
    """Some rows, how many lines of the file they are (an erased one is no row), and where the next begin."""

    rows: list[Row]
    lines: int
    end: int


def keep(upload: Upload, rows: Iterable[Row], *, sample: int) -> list[Row]:
    """Write the rows to the upload's file, count them, and give the first."""
    first: list[Row] = []
    with tempfile.TemporaryFile() as stream:
        for count, row in enumerate(rows, 1):
            if count > policy.UPLOADS.rows:
                sentence = _("%(file)s has more than %(most)d rows. Import it in parts.")
                raise ImportRefused(sentence % {"file": upload.file_name, "most": policy.UPLOADS.rows})
            first += [row] if len(first) < sample else []
            stream.write(json.dumps([row.line, row.cells, row.problem], ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            upload.rows_total = count
        upload.file.save("", File(stream), save=False)
    return first


def chunks(upload: Upload, *, begin: int = 0, end: int | None = None) -> Iterator[Chunk]:
    """Give the rows from one byte to another, so many at a time as go into one transaction."""
    with upload.file.storage.open(str(upload.file.name), "rb") as stream:
        stream.seek(begin)
        while (end is None or stream.tell() < end) and (chunk := _chunk(stream)).lines:
            yield chunk


def _chunk(stream: Any) -> Chunk:
    rows, lines = [], 0
    while lines < policy.UPLOADS.rows_per_chunk and (text := stream.readline()):
        lines += 1
        rows.append(_row(text))
    return Chunk(rows, lines, stream.tell())


def _row(text: bytes) -> Row:
    return Row(*json.loads(text))


def blank(upload: Upload, is_meant: Callable[[Row], bool], *, because: str) -> int:
    """Overwrite the rows that are meant where they stand, byte for byte, so that no position moves; give their number."""
    count = 0
    with upload.file.storage.open(str(upload.file.name), "r+b") as stream:
        at = 0
        while text := stream.readline():
            row = _row(text)
            if is_meant(row):
                count += 1
                stream.seek(at)
                stream.write(_blanked(row, len(text), because))
            at += len(text)
            stream.seek(at)
    return count


def _blanked(row: Row, size: int, because: str) -> bytes:
    """Write a row that says nothing in exactly so many bytes; the reason only where there is room for it."""
    full = json.dumps([row.line, [], because], separators=(",", ":")).encode()
    bare = json.dumps([row.line, [], "-"], separators=(",", ":")).encode()
    return (full if len(full) < size else bare).ljust(size - 1) + b"\n"
