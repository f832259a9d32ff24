"""What became of the rows of one chunk."""

from collections import Counter
from dataclasses import dataclass, field

from crm.uploads.reading import Row


@dataclass(frozen=True)
class Failed:
    """A row that was left out, by which column and why."""

    row: Row
    column: str
    reason: str


@dataclass
class Outcome:
    """Every row is in one of these: created, changed, unchanged, or failed."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: list[Failed] = field(default_factory=list)
    # What else happened, in words, and to how many rows.
    remarks: Counter[str] = field(default_factory=Counter)
