"""The door for files: what is too large is thrown away while it comes in, and never fills the disk."""

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest

from crm import policy

_TOO_LARGE = "upload_too_large"


class BoundedUploadHandler(FileUploadHandler):
    """Drop a file at the first byte too many; the page then says why nothing arrived. Stands before the handler that keeps files."""

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self.received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Count over all files of the request, so that many small ones do not pass either."""
        self.received += len(raw_data)
        if self.received > policy.UPLOADS.file_megabytes * 2**20:
            self.request.__dict__[_TOO_LARGE] = True
            raise SkipFile
        return raw_data

    def file_complete(self, file_size: int) -> Any:
        """Leave the file to the handler behind."""
        return None


def is_too_large(request: HttpRequest) -> bool:
    """Say whether files of a request were dropped; only reading them finds out."""
    return _TOO_LARGE in request.__dict__
