"""Take a returned mail apart within bounds: headers once, what it tells people, its machine-readable parts, our own headers.

The parts are cut by hand and only decoded by the standard library: its parser recurses without a bound on hostile
nesting, and reads the returned original, which is most of the bytes, before anybody can leave it out.
"""

import binascii
import html
import quopri
import re
from collections.abc import Iterator, Mapping
from email.errors import HeaderParseError
from email.header import decode_header
from itertools import islice
from typing import NamedTuple

from crm import policy

# Bounds on what a mail may make us do; a real report has 3 to 5 parts, two levels deep.
MOST_PARTS, MOST_DEPTH, MOST_HEADERS = 40, 6, 300
HEADER_CHARACTERS, TEXT_CHARACTERS, ORIGINAL_BYTES = 4_000, 20_000, 16_000

Headers = Mapping[str, str]
# Python's own, for no mail: they take time that grows with the square of the length, or make up characters.
_SLOW_CODECS = {"punycode", "idna", "unicode_escape", "raw_unicode_escape"}

_ADDRESS = r"""(?:"[^"\s@]{1,64}"|[^\s<>()\[\]:;,"'`|=@\\]{1,64})@(?:\[[\d.:A-Fa-f]{3,45}\]|[^\s<>()\[\]:;,"'`|/@&?!=*\\]{1,190})"""
ADDRESS = re.compile(_ADDRESS)
_HEADER = re.compile(r"^([!-9;-~]{1,70})[ \t]*:[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE)
_HEADER_LINE = re.compile(r"^[!-9;-~]{1,70}:(?=[ \t\n]|\S)")
# Where a mail without parts begins to repeat ours: a run of header lines that starts with one of these.
_RETURNED = re.compile(
    r"^(?:[>|][ \t]?)?(?:Received|Return-Path|Message-ID|MIME-Version|DKIM-Signature|X-Mailer|Delivered-To|"
    r"(?:From|To|Date|Subject):[^\n]*\n[ \t>|]*(?:From|To|Date|Subject|Sender|Message-ID|Cc|Reply-To))[ \t]?:",
    re.IGNORECASE | re.MULTILINE,
)
_BREAKS = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h\d|/?table)\b[^>]{0,500}>", re.IGNORECASE)
_UNSEEN = re.compile(r"<(!--|(?:style|script|head|title)\b)", re.IGNORECASE)
_MAILTO = re.compile(r"<a\b[^>]{0,300}href=[\"']?mailto:([^\"'?>\s]{3,254})[^>]{0,300}>(.{0,300}?)</a>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>@]{0,2000}>")


class Mail(NamedTuple):
    """A mail taken apart: every text decoded, with LF line ends, and cut to what a reader needs."""

    headers: Headers
    text: str
    statuses: tuple[str, ...]
    feedback: str
    disposition: str
    original: Headers
    kind: str
    returned: bytes


class _Part(NamedTuple):
    kind: str
    headers: Headers
    body: bytes


def open_mail(raw: bytes) -> Mail:
    """Take a mail apart; whatever the bytes, it gives what can be had of them."""
    raw = raw[: policy.MAIL.read_bytes].replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"")
    head, body = _halves(raw.lstrip(b"\n"))
    headers = read_headers(head)
    parts = list(_leaves(_kind(headers, "text/plain"), headers, body, depth=0))
    told = _told(parts)
    text, returned = _without_original(told) if not _has_returned_part(parts) else (told, "")
    return Mail(
        headers=headers,
        text=text[:TEXT_CHARACTERS],
        statuses=tuple(_decoded(part) for part in parts if part.kind in _STATUS_KINDS),
        feedback="\n".join(_decoded(part) for part in parts if part.kind == "message/feedback-report"),
        disposition="\n".join(_decoded(part) for part in parts if part.kind in _DISPOSITION_KINDS),
        original=_original(parts) or parse_headers(_unquoted(returned[:ORIGINAL_BYTES]).partition("\n\n")[0]),
        kind=_kind(headers, ""),
        returned=next((part.body for part in parts if part.kind in _RETURNED_KINDS), returned.encode("utf-8", "replace")),
    )


_STATUS_KINDS = {"message/delivery-status", "message/global-delivery-status", "message/delivery_status"}
_DISPOSITION_KINDS = {"message/disposition-notification", "message/global-disposition-notification"}
_RETURNED_KINDS = {
    "message/rfc822",
    "text/rfc822-headers",
    "message/global",
    "message/global-headers",
    "message/rfc822-headers",
    "text/rfc822",
}


def _halves(raw: bytes) -> tuple[bytes, bytes]:
    head, _gap, body = raw.partition(b"\n\n")
    return head, body


def read_headers(head: bytes) -> Headers:
    """Give the headers of a block, names in lower case, the first of each name; encoded words stay as they are."""
    return parse_headers(_text_of(head, "utf-8"))


def parse_headers(block: str) -> Headers:
    """Give the headers of a block of text, folded lines joined."""
    found: dict[str, str] = {}
    for name, value in islice(_HEADER.findall(block), MOST_HEADERS):
        if (key := name.lower()) not in found:
            found[key] = " ".join(value[:HEADER_CHARACTERS].split())
    return found


def _kind(headers: Headers, default: str) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower() or default


def parameter(value: str, name: str) -> str:
    """Give one parameter of a header such as Content-Type; empty if it is not there."""
    found = re.search(rf"(?:^|[;\s]){name}\*?\s*=\s*(?:\"([^\"]*)\"|([^\s;]+))", value, re.IGNORECASE)
    return (found[1] if found[1] is not None else found[2]) if found else ""


def _leaves(kind: str, headers: Headers, body: bytes, *, depth: int) -> Iterator[_Part]:
    """Walk the parts in order, never into a returned mail, and no deeper or longer than the bounds."""
    boundary = parameter(headers["content-type"], "boundary").encode("utf-8", "ignore") if kind.startswith("multipart/") else b""
    chunks = _cut(body, boundary) if boundary and depth < MOST_DEPTH else []
    if not chunks:
        yield _Part("text/plain" if kind.startswith("multipart/") else kind, headers, body)
        return
    for count, chunk in enumerate(chunks):
        if count >= MOST_PARTS:
            return
        head, inner = _halves(chunk) if not chunk.startswith(b"\n") else (b"", chunk[1:])
        own = read_headers(head)
        default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        yield from _leaves(_kind(own, default), own, inner, depth=depth + 1)


def _cut(body: bytes, boundary: bytes) -> list[bytes]:
    """Cut a body at its boundary lines; one that only begins like the boundary belongs to a part within."""
    chunks: list[bytes] = []
    for piece in (b"\n" + body).split(b"\n--" + boundary, 4 * MOST_PARTS)[:]:
        ending, _newline, rest = piece.partition(b"\n")
        if not ending.strip():
            chunks.append(rest)
        elif ending.strip() == b"--":
            chunks.append(b"")
            break
        elif chunks:
            chunks[-1] += b"\n--" + boundary + piece
        else:
            chunks.append(b"")
    return [chunk for chunk in chunks if chunk.strip()]


def _decoded(part: _Part) -> str:
    """Give a part's text: transfer encoding undone as far as it goes, in its charset or the nearest that fits."""
    body, encoding = part.body[:200_000], part.headers.get("content-transfer-encoding", "").strip().lower()
    if encoding == "base64":
        body = _from_base64(body)
    elif encoding == "quoted-printable":
        body = quopri.decodestring(body)
    charset = parameter(part.headers.get("content-type", ""), "charset")
    return _text_of(body, charset).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _from_base64(body: bytes) -> bytes:
    """Decode what can be decoded: foreign characters are left out, a cut end too."""
    clean = re.sub(rb"[^A-Za-z0-9+/]", b"", body.partition(b"=")[0])
    try:
        return binascii.a2b_base64(clean[: len(clean) // 4 * 4] + _padded(clean[len(clean) // 4 * 4 :]))
    except binascii.Error:
        return body


def _padded(rest: bytes) -> bytes:
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _text_of(body: bytes, charset: str) -> str:
    """Decode bytes in the charset they claim, then UTF-8, then one that takes every byte."""
    for name in (charset, "utf-8"):
        try:
            if name and name.lower().replace("-", "_") not in _SLOW_CODECS:
                return body.decode(name)
        except (LookupError, ValueError):
            continue
    return body.decode("windows-1252", "replace")


def words(header: str) -> str:
    """Decode the encoded words of a header (RFC 2047); what cannot be decoded stays as it is."""
    if "=?" not in header:
        return header
    try:
        pieces = decode_header(header)
    except (HeaderParseError, ValueError, LookupError):
        return header
    return "".join(piece if isinstance(piece, str) else _text_of(piece, charset or "") for piece, charset in pieces)


def _told(parts: list[_Part]) -> str:
    """Give what the mail says to people: its plain texts; where there are none, its pages without the markup."""
    plain = "\n".join(_decoded(part) for part in parts if part.kind in {"text/plain", "text", "text/x-plain"})
    if plain.strip():
        return _plain(plain) if re.match(r"\s*<(?:!doctype|html)", plain, re.IGNORECASE) else plain
    return "\n".join(_plain(_decoded(part)) for part in parts if part.kind in {"text/html", "text/richtext", "text/enriched"})


def _plain(page: str) -> str:
    """Give the words of an HTML page, a line for each block; an address behind a name is kept beside it."""
    page = _seen(page[:100_000])
    page = _MAILTO.sub(lambda link: link[2] if "@" in link[2] else f"{link[2]} <{link[1]}>", page)
    page = _TAG.sub(" ", _BREAKS.sub("\n", re.sub(r"[ \t]*\n[ \t]*", " ", page)))
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in html.unescape(page).split("\n"))
    return "\n".join(lines)


def _seen(page: str) -> str:
    """Leave out comments, styles and scripts; where one never ends, the rest is shown."""
    small, kept, place = page.lower(), [], 0
    for found in _UNSEEN.finditer(page):
        closing = "-->" if found[1] == "!--" else f"</{found[1].lower()}"
        if found.start() < place:
            continue
        if (end := small.find(closing, found.end())) < 0:
            break
        kept.append(page[place : found.start()])
        place = end + len(closing)
    return " ".join([*kept, page[place:]])


def _has_returned_part(parts: list[_Part]) -> bool:
    return any(part.kind in _RETURNED_KINDS for part in parts)


def _original(parts: list[_Part]) -> Headers:
    """Give the headers of our mail as far as a part of its own repeats them."""
    for part in parts:
        if part.kind in _RETURNED_KINDS:
            encoded = part.headers.get("content-transfer-encoding", "").strip().lower() in {"base64", "quoted-printable"}
            start = _decoded(part._replace(body=part.body[:ORIGINAL_BYTES])) if encoded else _text_of(part.body[:ORIGINAL_BYTES], "")
            return parse_headers(start.lstrip("\n").partition("\n\n")[0])
    return {}


def _unquoted(text: str) -> str:
    return re.sub(r"^[>|][ \t]?", "", text, flags=re.MULTILINE)


def _without_original(text: str) -> tuple[str, str]:
    """Part what the mail server says from the mail it repeats below it."""
    for found in _RETURNED.finditer(text):
        block = _unquoted(text[found.start() : found.start() + 2_000])
        lines = [line for line in block.split("\n")[:12] if line[:1] not in {" ", "\t"}]
        # A notice may name subject and date of our mail; the mail itself has more to say.
        needed = 3 if "\n" in found[0] else 2
        if all(_HEADER_LINE.match(line) for line in lines[:needed]) and len(lines) >= needed:
            return text[: found.start()], text[found.start() :]
    return text, ""
