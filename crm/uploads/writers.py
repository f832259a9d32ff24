"""Rows of any import, written or only tried: read by its mapping, then made into accounts, contacts or activities."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from crm.imports import WrongValue
from crm.models import Upload
from crm.uploads.accounts import AccountWriter
from crm.uploads.activities import ActivityWriter
from crm.uploads.contacts import ContactWriter
from crm.uploads.outcomes import Outcome, keep_records
from crm.uploads.parsing import Parser
from crm.uploads.reading import Row

_WRITERS: dict[str, type[AccountWriter | ContactWriter | ActivityWriter]] = {
    Upload.What.ACCOUNTS: AccountWriter,
    Upload.What.CONTACTS: ContactWriter,
    Upload.What.ACTIVITIES: ActivityWriter,
}


class Rows:
    """Takes the rows of one upload chunk by chunk; a trial remembers across chunks what it would have written."""

    def __init__(self, upload: Upload, *, is_trial: bool, day_first: bool | None) -> None:
        self.parser = Parser(upload, day_first=day_first)
        self.writer = _WRITERS[upload.what](upload, self.parser.headers, is_trial=is_trial)

    def write(self, rows: Sequence[Row], *, at: datetime) -> Outcome:
        """Write a chunk, or say what would become of it."""
        outcome, facts = Outcome(), list[Any]()
        for row in rows:
            try:
                facts.append(self.parser.read(row))
            except WrongValue as wrong:
                outcome.fail(row, wrong.column, wrong.reason)
        self.writer.write(facts, outcome, at=at)
        return outcome


def write(upload: Upload, rows: Sequence[Row], *, at: datetime) -> Outcome:
    """Write a chunk and what undo needs of it, in the caller's transaction."""
    outcome = Rows(upload, is_trial=False, day_first=upload.report.get("day_first")).write(rows, at=at)
    keep_records(upload, outcome, at=at)
    return outcome
