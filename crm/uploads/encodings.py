"""How the bytes of a text file are read: by its byte order mark, else as UTF-8, else as Windows-1252, and said so."""

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from django.utils.translation import gettext as _

from crm.imports import ImportRefused

# A longer line is no line of a table; reading on would take the whole file into memory.
_LINE_CHARACTERS = 1024 * 1024
_BLOCK = 1024 * 1024
# The longer mark first: UTF-32 begins as UTF-16 does.
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, ""), (codecs.BOM_UTF32_BE, ""), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


@dataclass(frozen=True)
class Encoding:
    """What Python calls it, and what people are told."""

    codec: str
    label: str


def text_lines(file: IO[bytes], *, name: str) -> tuple[Encoding, Iterator[str]]:
    """Give the encoding and the lines of a text file; bytes that do not fit in show as lone surrogates."""
    encoding = _encoding(file, name=name)
    file.seek(0)
    errors = "surrogateescape" if encoding.codec in ("utf-8", "utf-8-sig", "cp1252") else "replace"
    text = io.TextIOWrapper(file, encoding=encoding.codec, errors=errors, newline=None)
    return encoding, _lines(text, name=name)


def _lines(text: io.TextIOWrapper, *, name: str) -> Iterator[str]:
    while line := text.readline(_LINE_CHARACTERS):
        if len(line) == _LINE_CHARACTERS:
            raise ImportRefused(_("%(file)s is no CSV file: it has a line of more than a million characters.") % {"file": name})
        yield line


def _encoding(file: IO[bytes], *, name: str) -> Encoding:
    file.seek(0)
    start = file.read(4096)
    for mark, codec in _MARKS:
        if start.startswith(mark):
            if not codec:
                raise ImportRefused(_("%(file)s is written in UTF-32. Save it as CSV UTF-8.") % {"file": name})
            return Encoding(codec, "UTF-8" if codec == "utf-8-sig" else "UTF-16")
    if (unmarked := _unmarked_utf16(start)) is not None:
        return Encoding(unmarked, _("UTF-16 (assumed)"))
    return _by_content(file)


def _unmarked_utf16(start: bytes) -> str | None:
    """Recognise UTF-16 without a mark: of Latin text every second byte is zero."""
    even, odd = start[::2], start[1::2]
    if len(odd) > 8 and odd.count(0) > 0.8 * len(odd) and even.count(0) < 0.1 * len(even):
        return "utf-16-le"
    return "utf-16-be" if len(even) > 8 and even.count(0) > 0.8 * len(even) and odd.count(0) < 0.1 * len(odd) else None


def _by_content(file: IO[bytes]) -> Encoding:
    """Tell UTF-8 from Windows-1252 by the lines that are not plain ASCII; in a mixture UTF-8 counts, the rest shows as wrong."""
    good = bad = 0
    file.seek(0)
    while block := file.readlines(_BLOCK):
        together = b"".join(block)
        if together.isascii():
            continue
        for line in block:
            if not line.isascii():
                fits = _is_utf8(line)
                good, bad = good + fits, bad + (not fits)
    if not bad:
        return Encoding("utf-8", "UTF-8")
    if not good:
        return Encoding("cp1252", _("Windows-1252 (assumed: it is not UTF-8)"))
    return Encoding("utf-8", _("UTF-8 (but for %(count)d lines)") % {"count": bad})


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
