"""Excel files of others: looked at from outside before anything is unpacked, then read row by row."""

import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import IO, Any
from xml.etree.ElementTree import ParseError

import openpyxl
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
from django.utils.translation import gettext as _
from openpyxl.utils.exceptions import InvalidFileException

from crm import policy
from crm.imports import ImportRefused

_ZIP, _OLE = b"PK", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# What else is given the name of a table: by its first bytes.
_FOREIGN = {
    b"%PDF": "PDF",
    b"\x1f\x8b": "gzip",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
    b"{\\rtf": "RTF",
}
_PARTS = 2_000
# Texts are kept in one part, which is read into memory whole.
_TEXTS, _TEXTS_MEGABYTES = "xl/sharedStrings.xml", 60
_SMALL = 1024 * 1024
_MACROS = "vbaproject.bin"
_UNREADABLE = (
    zipfile.BadZipFile, InvalidFileException, ParseError, DefusedXmlException,
    KeyError, ValueError, TypeError, IndexError, AttributeError, EOFError, OSError, NotImplementedError, RuntimeError,
)  # fmt: skip


def is_workbook(start: bytes) -> bool:
    """Say whether a file begins as an .xlsx does, whatever it is called."""
    return start.startswith(_ZIP)


def refuse_foreign(start: bytes, file: IO[bytes], *, name: str) -> None:
    """Refuse what is neither text nor .xlsx, saying what to do instead."""
    if start == _OLE:
        file.seek(0)
        if "EncryptedPackage".encode("utf-16-le") in file.read(policy.UPLOADS.file_megabytes * _SMALL):
            raise ImportRefused(_("%(file)s is protected with a password. Save it without one.") % {"file": name})
        raise ImportRefused(_("%(file)s is an old Excel file (.xls). Save it as .xlsx or CSV.") % {"file": name})
    for mark, kind in _FOREIGN.items():
        if start.startswith(mark):
            raise ImportRefused(_("%(file)s is a %(kind)s file, not CSV or Excel.") % {"file": name, "kind": kind})


def sheet_rows(file: IO[bytes], *, name: str) -> tuple[str, Iterator[list[str]]]:
    """Give the title and the rows of the first sheet that is shown; raise ImportRefused before a bomb goes off."""
    _refuse_bombs(file, name=name)
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheet = next((each for each in book.worksheets if each.sheet_state == "visible"), None)
    except _UNREADABLE as error:
        raise _damaged(name) from error
    if sheet is None:
        raise ImportRefused(_("%(file)s holds no sheet.") % {"file": name})
    # What the file says of its own size is not believed.
    sheet.reset_dimensions()
    return sheet.title, _rows(sheet, name=name)


def _refuse_bombs(file: IO[bytes], *, name: str) -> None:
    """Judge the directory of the zip: what kind of file it is, and how large it becomes."""
    file.seek(0)
    try:
        parts = zipfile.ZipFile(file).infolist()
    except _UNREADABLE as error:
        raise _damaged(name) from error
    names = {part.filename.lower() for part in parts}
    if "xl/workbook.xml" not in names:
        raise ImportRefused(_("%(file)s is a zip file, and no Excel file (.xlsx).") % {"file": name})
    if any(each.endswith(_MACROS) for each in names):
        raise ImportRefused(_("%(file)s holds macros. Save it as .xlsx without macros.") % {"file": name})
    if any(part.flag_bits & 1 for part in parts):
        raise ImportRefused(_("%(file)s is protected with a password. Save it without one.") % {"file": name})
    if len(parts) > _PARTS or _too_large(parts):
        sentence = _("%(file)s becomes too large when it is unpacked (more than %(most)d MB, or one part more than %(times)d times).")
        bounds = {"most": policy.UPLOADS.unpacked_megabytes, "times": policy.UPLOADS.unpacked_times}
        raise ImportRefused(sentence % {"file": name, **bounds})


def _too_large(parts: list[zipfile.ZipInfo]) -> bool:
    return (
        sum(part.file_size for part in parts) > policy.UPLOADS.unpacked_megabytes * _SMALL
        or any(part.file_size > _SMALL and part.file_size > part.compress_size * policy.UPLOADS.unpacked_times for part in parts)
        or any(part.filename == _TEXTS and part.file_size > _TEXTS_MEGABYTES * _SMALL for part in parts)
    )


def _rows(sheet: Any, *, name: str) -> Iterator[list[str]]:
    try:
        for cells in sheet.iter_rows(max_col=policy.UPLOADS.columns + 1, max_row=policy.UPLOADS.rows + 12, values_only=True):
            yield [written(cell) for cell in cells]
    except _UNREADABLE as error:
        raise _damaged(name) from error


def written(cell: object) -> str:  # noqa: PLR0911  one kind of cell, one line
    """Write a cell's value as a text file would hold it."""
    match cell:
        case None:
            return ""
        case str():
            return cell
        case bool():
            return "true" if cell else "false"
        case float() if cell.is_integer() and abs(cell) < 1e15:
            return str(int(cell))
        case datetime():
            return cell.isoformat(sep=" ", timespec="seconds")
        case date() | time():
            return cell.isoformat()
    return str(cell)


def _damaged(name: str) -> ImportRefused:
    return ImportRefused(_("%(file)s is damaged, or no Excel file (.xlsx).") % {"file": name})
