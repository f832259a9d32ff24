"""CSV files of others, read without trust: each line becomes values, or a problem that names file, line and column."""

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TypeVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from crm.errors import Invalid

# A larger file is not what a person exports; reading it takes about four times its size in memory.
FILE_BYTES = 32 * 1024 * 1024
# A quoted value may run over line ends; one that runs further was never closed.
LINES_PER_RECORD = 20
DELIMITERS = (",", ";", "\t", "|")
# A file with more lines that cannot be split is no CSV file, and finding that out line by line takes long.
UNREADABLE_LINES = 10_000
HEADER_CHARACTERS = 10_000
YEARS = range(1900, 2101)
_ISO_DAY = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?)?")
_SLASHED_DAY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_GROUPED_NUMBER = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")
_PLAIN_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?")
_COMMA_NUMBER = re.compile(r"-?(\d{1,18}|\d{1,3}(\.\d{3})+),\d{1,2}")
Fact = TypeVar("Fact")


class ImportRefused(Invalid):
    """A file that cannot be read at all; nothing was written."""

    code = "import_refused"


class WrongValue(Exception):
    """A value that cannot be right; only its own line suffers."""

    def __init__(self, column: str, reason: str | Promise) -> None:
        super().__init__(column, reason)
        self.column, self.reason = column, str(reason)


@dataclass(frozen=True)
class Problem:
    """What is wrong in one place of a file, and whether the whole line was skipped for it or only the value left out."""

    file: str
    line: int
    column: str
    reason: str
    is_skipped: bool = True


@dataclass
class FileReport:
    """What became of the lines of one file: read = created + unchanged + differing + skipped."""

    file: str
    read: int = 0
    created: int = 0
    unchanged: int = 0
    # There already, and not as the file says: left as it is, for somebody may have worked on it since.
    differing: int = 0
    skipped: int = 0
    # What was corrected, in words, and how many times.
    corrections: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    @property
    def corrected(self) -> int:
        """Count the values that were corrected."""
        return self.corrections.total()

    def correct(self, column: str, written: str, meant: str) -> None:
        """Note that a value was read as another one."""
        self.corrections[_("%(column)s: '%(written)s' read as '%(meant)s'") % {"column": column, "written": written, "meant": meant}] += 1

    def wrong(self, line: int, column: str, reason: str, *, is_skipped: bool = True) -> None:
        """Note a problem; a skipped line is counted."""
        self.problems.append(Problem(self.file, line, column, reason, is_skipped))
        self.skipped += is_skipped

    def figures(self) -> dict[str, object]:
        """Give the report as plain values, without the problems."""
        figures = asdict(self) | {"corrected": self.corrected, "corrections": dict(self.corrections), "remarks": dict(self.remarks)}
        del figures["problems"]
        return figures


@dataclass(frozen=True)
class Report:
    """What an import did, file by file."""

    files: list[FileReport]

    @property
    def problems(self) -> list[Problem]:
        """List the problems of every file."""
        return [problem for each in self.files for problem in each.problems]

    @property
    def changed(self) -> bool:
        """Say whether anything was written."""
        return any(each.created for each in self.files)

    def figures(self) -> dict[str, object]:
        """Give the report as plain values, for JSON."""
        return {"files": [each.figures() for each in self.files], "problems": [asdict(problem) for problem in self.problems]}


@dataclass(frozen=True)
class Line:
    """One line's values by column; whoever asks for one gets it whole and plausible, or WrongValue."""

    number: int
    values: Mapping[str, str]

    def text(self, column: str, *, most: int, required: bool = False) -> str:
        """Give a text of at most so many characters."""
        value = self.values[column]
        if required and not value:
            raise WrongValue(column, _("missing"))
        if len(value) > most:
            raise WrongValue(column, _("longer than %(most)d characters") % {"most": most})
        if not value.isprintable() or "\ufffd" in value:
            raise WrongValue(column, _unprintable(value))
        return value

    def amount(self, column: str, *, below: Decimal, places: int = 2) -> Decimal | None:
        """Give a number of at least 0 with at most so many decimals; None where it is empty."""
        value = self.values[column]
        if not value:
            return None
        number = _number(value)
        if number is None:
            raise WrongValue(column, _("not a number: '%(value)s'") % {"value": shown(value)})
        if number < 0:
            raise WrongValue(column, _("negative: %(value)s") % {"value": shown(value)})
        if number >= below or number != round(number, places):
            raise WrongValue(column, _("too large or too precise: %(value)s") % {"value": shown(value)})
        return number

    def whole(self, column: str, *, below: int) -> int | None:
        """Give a whole number of at least 0; None where it is empty."""
        number = self.amount(column, below=Decimal(below), places=0)
        return None if number is None else int(number)

    def day(self, column: str, *, slashes_are_clear: bool = True) -> date | None:
        """Give a day written as 2017-03-01 or, American, 3/1/2017; None where it is empty."""
        value = self.values[column]
        if not value:
            return None
        iso, slashed = _ISO_DAY.fullmatch(value), _SLASHED_DAY.fullmatch(value)
        if slashed and not slashes_are_clear:
            raise WrongValue(column, _("month and day cannot be told apart in this file: '%(value)s'") % {"value": shown(value)})
        year, month, day = (int(part) for part in iso.groups()) if iso else _american(slashed)
        try:
            found = date(year, month, day)
        except ValueError as error:
            raise WrongValue(column, _("not a date: '%(value)s'") % {"value": shown(value)}) from error
        if found.year not in YEARS:
            raise WrongValue(column, _("not a plausible date: '%(value)s'") % {"value": shown(value)})
        return found


def _american(slashed: re.Match[str] | None) -> tuple[int, int, int]:
    return (int(slashed[3]), int(slashed[1]), int(slashed[2])) if slashed else (0, 0, 0)


def _number(value: str) -> Decimal | None:
    written = value.strip("$€£").replace(" ", "")
    if _GROUPED_NUMBER.fullmatch(written):
        written = written.replace(",", "")
    elif _COMMA_NUMBER.fullmatch(written):
        written = written.replace(".", "").replace(",", ".")
    return Decimal(written) if _PLAIN_NUMBER.fullmatch(written) else None


def _unprintable(value: str) -> str:
    broken = any("\udc80" <= character <= "\udcff" or character == "\ufffd" for character in value)
    return _("not UTF-8") if broken else _("holds a character that cannot be shown")


def shown(value: str) -> str:
    """Shorten what somebody wrote, for a message."""
    printable = "".join(character if character.isprintable() else "�" for character in value)
    return printable if len(printable) <= 40 else f"{printable[:39]}…"


def slashes_are_clear(lines: Iterable[Line], columns: Iterable[str]) -> bool:
    """Say whether dates with slashes can be read month first: not where some must be day first and none month first."""
    found = [_SLASHED_DAY.fullmatch(line.values[column]) for line in lines for column in columns]
    pairs = [(int(match[1]), int(match[2])) for match in found if match]
    return any(second > 12 for first, second in pairs) or not any(first > 12 for first, second in pairs)


def read_lines(path: Path, *, columns: Iterable[str]) -> tuple[list[Line], FileReport]:
    """Read a CSV file with at least these columns; lines that cannot be split are in the report.

    Takes a byte order mark, any line end, `,` `;` tab or `|` between values, headers in any case and order.
    Raises ImportRefused for a file that is missing, too large, empty, no CSV at all, or lacks a column.
    """
    report = FileReport(path.name)
    rows = io.StringIO(_text(path), newline=None).readlines()
    if not rows:
        raise ImportRefused(_("%(file)s is empty.") % {"file": path.name})
    delimiter, header = _header(rows[0][:HEADER_CHARACTERS], list(columns), path.name)
    lines = []
    for number, fields in records(rows[1:], delimiter=delimiter, width=len(header)):
        report.read += 1
        if isinstance(fields, str):
            report.wrong(number, "", fields)
            if report.skipped > UNREADABLE_LINES:
                raise ImportRefused(_("%(file)s is no CSV file: too many lines cannot be read.") % {"file": path.name})
        else:
            lines.append(Line(number, {name: " ".join(value.split()) for name, value in zip(header, fields, strict=True)}))
    return lines, report


def keep(lines: Iterable[Line], report: FileReport, parse: Callable[[Line], Fact]) -> Iterator[Fact]:
    """Yield what `parse` makes of each line; a wrong value costs its line alone."""
    for line in lines:
        try:
            yield parse(line)
        except WrongValue as wrong:
            report.wrong(line.number, wrong.column, wrong.reason)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise ImportRefused(_("%(file)s is missing in %(folder)s.") % {"file": path.name, "folder": path.parent})
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES + 1)
    except OSError as error:
        raise ImportRefused(_("%(file)s cannot be read: %(why)s.") % {"file": path.name, "why": error.strerror}) from error
    if len(raw) > FILE_BYTES:
        raise ImportRefused(_("%(file)s is larger than %(most)d MB.") % {"file": path.name, "most": FILE_BYTES // 2**20})
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    return raw.decode("utf-8-sig", errors="surrogateescape")


def _header(line: str, columns: list[str], file: str) -> tuple[str, list[str]]:
    """Find the delimiter under which most of the columns are there, and the names in order."""

    def names(delimiter: str) -> list[str]:
        fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        return ["_".join(name.casefold().split()) for name in fields]

    delimiter = max(DELIMITERS, key=lambda each: len(set(columns) & set(names(each))))
    header = names(delimiter)
    for column in columns:
        if header.count(column) != 1:
            problem = (
                _("%(file)s: the column '%(column)s' is missing.") if column not in header else _("%(file)s: '%(column)s' is there twice.")
            )
            raise ImportRefused(problem % {"file": file, "column": column})
    return delimiter, header


def records(lines: Iterable[str], *, delimiter: str, width: int, first: int = 2) -> Iterator[tuple[int, list[str] | str]]:
    """Yield line number and values, or what is wrong, below the header; lines without any value are left out.

    `first` is the number of the first of these lines. No more of them than one record may have are held at a time.
    """
    ahead, rest, at = deque[str](), iter(lines), first
    while True:
        ahead.extend(islice(rest, LINES_PER_RECORD - len(ahead)))
        if not ahead:
            return
        fields, used = _record(ahead, delimiter=delimiter, width=width)
        if isinstance(fields, str) or any(value.strip() for value in fields):
            yield at, fields
        for _line in range(used):
            ahead.popleft()
        at += used


def _record(ahead: deque[str], *, delimiter: str, width: int) -> tuple[list[str] | str, int]:
    """Read one record and say how many lines it took; a quote that is never closed costs its own line only."""
    reason = _("not CSV: a quote stands in the wrong place, or is not closed")
    for used in range(1, len(ahead) + 1):
        try:
            fields = next(csv.reader(islice(ahead, used), delimiter=delimiter, strict=True, skipinitialspace=True), [])
        except csv.Error:
            continue
        if len(fields) == width or not any(fields):
            return fields, used
        reason = _("%(count)d values, and %(width)d columns") % {"count": len(fields), "width": width}
        break
    return reason, 1
