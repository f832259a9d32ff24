"""From a file that nobody vouches for to its header and rows: what it is, how it is encoded, and where its table begins."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import IO

from django.utils.translation import gettext as _

from crm import policy
from crm.imports import DELIMITERS, ImportRefused, records, shown
from crm.uploads.encodings import Encoding, text_lines
from crm.uploads.sheets import is_workbook, refuse_foreign, sheet_rows

# The header stands in one of the first rows: above it there may be a title.
_HEADER_WITHIN = 10
_HEADER_CHARACTERS = 100_000
# Of a file of which that many rows, and half of them all, cannot be split, the rest is not tried.
_HOPELESS_ROWS = 1_000
# What no cell holds but by accident; spaces of any kind have become one space by then.
_BROKEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffd]")
_INVISIBLE = str.maketrans("", "", "\ufeff\u200b\u200e\u200f\u2060\u00ad")
_ADDRESS = re.compile(r"\S+@\S+\.\S+")
_NUMBER = re.compile(r"[-+]?[\d.,/: -]*\d[\d.,/: -]*")


@dataclass(frozen=True)
class Row:
    """One row: its line in the file, its cells, and what is wrong with it as a whole."""

    line: int
    cells: list[str]
    problem: str = ""


@dataclass
class Table:
    """The columns of a file and its rows, which can be gone through once; `read_as` says what was assumed."""

    read_as: str
    columns: list[str]
    rows: Iterator[Row] = field(repr=False)


def read(file: IO[bytes], *, name: str) -> Table:
    """Find the table in a file, whatever its name claims; raise ImportRefused with a sentence for what holds none."""
    file.seek(0)
    start = file.read(8)
    if not start.strip():
        raise ImportRefused(_("%(file)s is empty.") % {"file": name})
    refuse_foreign(start, file, name=name)
    if is_workbook(start):
        title, found = sheet_rows(file, name=name)
        return _table(_("Excel, sheet '%(title)s'") % {"title": shown(title)}, found, name=name)
    encoding, lines = text_lines(file, name=name)
    return _of_text(encoding, lines, name=name)


def _of_text(encoding: Encoding, lines: Iterator[str], *, name: str) -> Table:
    """Find delimiter and header among the first lines; the rest is split as it is asked for."""
    first = list(islice(lines, _HEADER_WITHIN))
    skipped = 1 if first and first[0].strip().lower().startswith("sep=") else 0
    delimiter = first[0].strip()[4:5] or ";" if skipped else _delimiter(first)
    at, header = _header([_split(line, delimiter) for line in first[skipped:]], name=name)
    at += skipped
    below = chain(first[at + 1 :], lines)
    columns = _columns(header, name=name)
    rows = (_row(line, found) for line, found in records(below, delimiter=delimiter, width=len(columns), first=at + 2))
    return Table(encoding.label, columns, _plausible(rows, name=name))


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line[:_HEADER_CHARACTERS]], delimiter=delimiter, skipinitialspace=True), [])


def _delimiter(lines: list[str]) -> str:
    """Give the delimiter that splits the first lines into most values, where most of them have the same number."""

    def evenness(delimiter: str) -> tuple[int, int]:
        widths = [len(_split(line, delimiter)) for line in lines if line.strip()]
        most = max(widths, default=1)
        return (widths.count(most) if most > 1 else 0, most)

    return max(DELIMITERS, key=evenness)


def _table(read_as: str, found: Iterator[list[str]], *, name: str) -> Table:
    """Find the header among the first rows of a sheet; rows are numbered as the sheet shows them."""
    first = list(islice(found, _HEADER_WITHIN))
    at, header = _header(first, name=name)
    columns = _columns(header, name=name)
    below = enumerate(chain(first[at + 1 :], found), at + 2)
    return Table(read_as, columns, (_padded(line, cells, len(columns)) for line, cells in below if any(cells)))


def _padded(line: int, cells: list[str], width: int) -> Row:
    if any(cells[width:]):
        return _row(line, _("%(count)d values, and %(width)d columns") % {"count": len(cells), "width": width})
    return _row(line, cells[:width] + [""] * (width - len(cells)))


def _header(rows: list[list[str]], *, name: str) -> tuple[int, list[str]]:
    """Find the first row that fills at least half as many cells as the fullest: what stands above it is a title."""
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    most = max(filled, default=0)
    if not most:
        raise ImportRefused(_("%(file)s holds no table.") % {"file": name})
    at = next(index for index, count in enumerate(filled) if count * 2 >= most)
    return at, rows[at]


def _columns(header: list[str], *, name: str) -> list[str]:
    """Give the names of the columns; refuse what is no header, or wider than anybody means it to be."""
    while header and not header[-1].strip():
        header = header[:-1]
    if len(header) > policy.UPLOADS.columns:
        raise ImportRefused(_("%(file)s has more than %(most)d columns.") % {"file": name, "most": policy.UPLOADS.columns})
    names = [_clean(cell)[:200] for cell in header]
    if any(_BROKEN.search(cell) for cell in names):
        raise ImportRefused(_("The first row of %(file)s cannot be read as text: it is no CSV or Excel file.") % {"file": name})
    data = next((cell for cell in names if _ADDRESS.fullmatch(cell)), None) or _numbers(names)
    if data:
        sentence = _("The first row of %(file)s looks like data ('%(cell)s'), not like names of columns. Put a row of names above it.")
        raise ImportRefused(sentence % {"file": name, "cell": shown(data)})
    return _told_apart(names)


def _numbers(names: list[str]) -> str:
    """Give the first number or date, where these are half of the names."""
    found = [name for name in names if _NUMBER.fullmatch(name)]
    return found[0] if found and len(found) * 2 >= len(names) else ""


def _told_apart(names: list[str]) -> list[str]:
    """Number the names that are there more than once, and name those that are empty."""
    seen: dict[str, int] = {}
    told = []
    for number, given in enumerate(names, 1):
        name = given or _("(column %(number)d)") % {"number": number}
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return told


def _row(line: int, found: list[str] | str) -> Row:
    if isinstance(found, str):
        return Row(line, [], found)
    cells = [_clean(cell) if cell else "" for cell in found]
    return Row(line, *_judged(cells))


def _clean(cell: str) -> str:
    return " ".join(cell.translate(_INVISIBLE).split()) if not cell.isalnum() else cell


def _judged(cells: list[str]) -> tuple[list[str], str]:
    """Say what makes a whole row unusable, and give cells that can be kept in any case."""
    together = "".join(cells)
    if _BROKEN.search(together):
        return [shown(cell) for cell in cells], _unreadable(together)
    if len(together) > policy.UPLOADS.cell_characters and max(map(len, cells)) > policy.UPLOADS.cell_characters:
        sentence = _("a value is longer than %(most)d characters") % {"most": policy.UPLOADS.cell_characters}
        return [shown(cell) for cell in cells], sentence
    return cells, ""


def _unreadable(text: str) -> str:
    if any("\udc80" <= character <= "\udcff" for character in text):
        return _("holds bytes that are not in the encoding of the rest of the file")
    return _("holds a character that cannot be shown")


def _plausible(rows: Iterable[Row], *, name: str) -> Iterator[Row]:
    """Pass rows on; give up on a file most of which cannot be split, for it is no CSV file."""
    wrong = 0
    for count, row in enumerate(rows, 1):
        wrong += bool(row.problem)
        if wrong > _HOPELESS_ROWS and wrong * 2 > count:
            raise ImportRefused(_("%(file)s is no CSV file: too many lines cannot be read.") % {"file": name})
        yield row
