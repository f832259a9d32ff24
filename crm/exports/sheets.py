"""Rows as a file: CSV for any program, XLSX with real numbers and dates; no cell is ever taken for a formula."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

from django.utils.translation import gettext as _
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from crm import policy

# What spreadsheets read as the beginning of a formula, or skip before one.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Excel's own limit on one cell.
CELL_CHARACTERS = 32_767
Chunks = Iterable[Sequence[Sequence[object]]]
# Called after each chunk with the number of rows so far; False stops the writing.
Progress = Callable[[int], bool]


def write_csv(stream: BinaryIO, headings: Sequence[str], chunks: Chunks, *, progress: Progress) -> bool:
    """Write comma-separated UTF-8 with ISO dates and plain numbers; False when it was stopped."""
    text, done, is_whole = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline=""), 0, True
    writer = csv.writer(text)
    writer.writerow([harmless(heading) for heading in headings])
    for chunk in chunks:
        writer.writerows([_csv_cell(value) for value in row] for row in chunk)
        done += len(chunk)
        if not (is_whole := progress(done)):
            break
    # Detached, it leaves the stream open to whoever gave it.
    text.detach()
    return is_whole


def harmless(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _csv_cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return _yes_or_no(value)
    if isinstance(value, int | float | Decimal):
        return value
    if isinstance(value, datetime):
        return value.astimezone(policy.ZONE).isoformat(sep=" ", timespec="seconds")
    return value.isoformat() if isinstance(value, date) else harmless(_text(value))


def _text(value: object) -> str:
    return str(ILLEGAL_CHARACTERS_RE.sub("", str(value)))


def _yes_or_no(value: bool) -> str:
    return _("yes") if value else _("no")


def write_xlsx(stream: BinaryIO, headings: Sequence[str], chunks: Chunks, *, progress: Progress) -> bool:
    """Write one sheet with a heading that stays in sight; False when it was stopped."""
    book = Workbook(write_only=True)
    sheet, done, is_whole = book.create_sheet(), 0, True
    sheet.freeze_panes = "A2"
    for number, heading in enumerate(headings, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = max(12, min(40, len(heading) + 8))
    cells = Cells(sheet)
    sheet.append([cells.heading(heading) for heading in headings])
    for chunk in chunks:
        for row in chunk:
            sheet.append([cells.cell(value) for value in row])
        done += len(chunk)
        if not (is_whole := progress(done)):
            break
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(headings))}{done + 1}"
    book.save(stream)
    return is_whole


class Cells:
    """Makes the cells of one sheet: a real number or date where there is one, else text that stays text."""

    def __init__(self, sheet: Any) -> None:
        self.sheet = sheet
        self.bold = Font(bold=True)

    def heading(self, text: str) -> Any:
        """Make a cell of the first row."""
        cell = self._as_text(text)
        cell.font = self.bold
        return cell

    def cell(self, value: object) -> Any:
        """Make a cell; Excel shows its date and number in the reader's own way."""
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return _yes_or_no(value)
        if isinstance(value, int | float | Decimal):
            return value
        if isinstance(value, datetime):
            return self._dated(value.astimezone(policy.ZONE).replace(tzinfo=None), "m/d/yy h:mm")
        if isinstance(value, date):
            return self._dated(value, "mm-dd-yy")
        text = _text(value)[:CELL_CHARACTERS]
        return self._as_text(text) if text.startswith(FORMULA_STARTS) else text

    def _dated(self, value: date, shown_as: str) -> Any:
        # These two formats are built in: Excel translates them into the reader's.
        cell = WriteOnlyCell(self.sheet, value)
        cell.number_format = shown_as
        return cell

    def _as_text(self, text: str) -> Any:
        cell = WriteOnlyCell(self.sheet, text)
        cell.data_type = "s"
        cell.quotePrefix = text.startswith(FORMULA_STARTS)
        return cell


WRITERS: dict[str, Callable[..., bool]] = {"csv": write_csv, "xlsx": write_xlsx}
