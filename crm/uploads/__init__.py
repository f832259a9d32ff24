"""Imports of accounts, contacts and activities from CSV and Excel files: received, mapped, tried, run in chunks, undone."""

from crm.uploads.fields import Field, fields
from crm.uploads.jobs import check, discard, failed_rows, map_columns, missing_fields, missing_of, pause, receive, resume, start, undo
from crm.uploads.running import stalled, work

__all__ = [
    "Field",
    "check",
    "discard",
    "failed_rows",
    "fields",
    "map_columns",
    "missing_fields",
    "missing_of",
    "pause",
    "receive",
    "resume",
    "stalled",
    "start",
    "undo",
    "work",
]
