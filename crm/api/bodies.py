"""What goes in and out of the API: JSON by orjson, packed or not, and never more than the settings allow.

The REST framework loads this module while it loads itself: nothing here imports its views.
"""

import zlib
from hashlib import sha256
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from rest_framework import exceptions, parsers, renderers

PROBLEM = "application/problem+json"
# What zlib calls a gzip header.
_GZIP = 16 + zlib.MAX_WBITS


class FastJSONRenderer(renderers.BaseRenderer):
    """Write JSON with orjson; what is not JSON (a Decimal, a lazy translation) becomes its text."""

    media_type, format, charset = "application/json", "json", None

    def render(self, data, accepted_media_type=None, renderer_context=None) -> bytes:
        return written(data)


def written(data: object) -> bytes:
    """Write a value as JSON; nothing at all for None."""
    return b"" if data is None else orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS)


class BoundedJSONParser(parsers.BaseParser):
    """Read JSON with orjson, which takes nothing that is not JSON; no body larger than the settings allow."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None) -> Any:
        length = (parser_context or {})["request"].META.get("CONTENT_LENGTH") or 0
        if int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise BodyTooLarge
        try:
            return orjson.loads(stream.read())
        except orjson.JSONDecodeError as error:
            raise exceptions.ParseError(_("This is no JSON: %(why)s.") % {"why": error}) from error


class FilesParser(parsers.MultiPartParser):
    """Read a form with files, each into a file of its own, as far as `crm.uploads.door` lets them in."""

    def parse(self, stream, media_type=None, parser_context=None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except SuspiciousOperation as error:
            raise exceptions.ParseError(_("This form has too many parts.")) from error


def fingerprint(request: Any) -> bytes:
    """Give what two calls with the same body have in common: of a form its parts, for each client draws other lines between them."""
    if not (request.content_type or "").startswith("multipart/"):
        return bytes(request._request.body)
    digest = sha256()
    for name in sorted(request.data):
        for value in request.data.getlist(name):
            named, parts = (value.name, value.chunks()) if isinstance(value, UploadedFile) else ("", [value.encode()])
            digest.update(f"\n{name!r} {named!r} ".encode())
            for part in parts:
                digest.update(part)
            if isinstance(value, UploadedFile):
                value.seek(0)
    return digest.digest()


class BodyTooLarge(exceptions.APIException):
    """The body is larger than one call may send."""

    status_code, default_code = 413, "body_too_large"

    def __init__(self, *, megabytes: int | None = None) -> None:
        megabytes = megabytes or settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20
        super().__init__(_("One call may send at most %(megabytes)d MB.") % {"megabytes": megabytes})


class UnknownEncoding(exceptions.APIException):
    """The body is packed in a way that nobody here can unpack."""

    status_code, default_code = 415, "unsupported_content_encoding"

    def __init__(self, encoding: str) -> None:
        super().__init__(_("A body may be sent as it is or with gzip, not with '%(encoding)s'.") % {"encoding": encoding[:30]})


def take_in(request: Any, *, megabytes: int | None = None) -> None:
    """Unpack a packed body, and put it where the parsers look; the bound is that of the settings, before and after.

    `megabytes`: the bound where files are sent, which are not held in memory; what is packed is.
    """
    plain, most = request._request, megabytes * 2**20 if megabytes else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if int(plain.META.get("CONTENT_LENGTH") or 0) > most:
        raise BodyTooLarge(megabytes=megabytes)
    encoding = plain.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        plain._body = _unpacked(plain.body)
        plain.META["CONTENT_LENGTH"] = str(len(plain._body))
    elif encoding not in ("", "identity"):
        raise UnknownEncoding(encoding)


def _unpacked(body: bytes) -> bytes:
    """Unpack no more than may come in: what would unpack to a thousand times its size is refused before it does."""
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    unpacking = zlib.decompressobj(_GZIP)
    try:
        plain = unpacking.decompress(body, most + 1)
    except zlib.error as error:
        raise exceptions.ParseError(_("The body is not packed with gzip, though its header says so.")) from error
    if len(plain) > most:
        raise BodyTooLarge
    if not unpacking.eof or unpacking.unused_data:
        raise exceptions.ParseError(_("The body is not packed with gzip, though its header says so."))
    return plain
