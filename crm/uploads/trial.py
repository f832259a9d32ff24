"""A trial run: every row is judged by the same rules as in a run, and nothing is written."""

from datetime import datetime
from typing import Any

from crm import policy
from crm.models import Upload
from crm.uploads import layouts, spool
from crm.uploads.writers import Rows


def run(upload: Upload, *, at: datetime) -> dict[str, Any]:
    """Go through all rows in bounded memory; give the figures and the first problems as JSON takes them."""
    first = day_first(upload)
    rows = Rows(upload, is_trial=True, day_first=first)
    figures = dict.fromkeys(("created", "changed", "unchanged", "failed"), 0)
    problems: list[dict[str, Any]] = []
    for chunk in spool.chunks(upload):
        done = rows.write(chunk.rows, at=at)
        counts = {"created": done.created, "changed": done.changed, "unchanged": done.unchanged, "failed": len(done.failed)}
        figures = {name: count + counts[name] for name, count in figures.items()}
        room = policy.UPLOADS.first_problems - len(problems)
        for wrong in sorted(done.failed, key=lambda each: each.row.line)[:room]:
            problems.append({"line": wrong.row.line, "column": wrong.column, "reason": wrong.reason, "values": wrong.row.cells})
    return figures | {"accounts_created": rows.writer.companies.made, "problems": problems, "day_first": first}


def day_first(upload: Upload) -> bool | None:
    """Say whether in dates such as 3/4/2024 the day comes first: by those that can be only one; None if nothing tells."""
    place = next((int(index) for index, name in upload.mapping.items() if name == "occurred_at" and index.isdigit()), None)
    if place is None:
        return None
    is_day = is_month = False
    for chunk in spool.chunks(upload):
        for row in chunk.rows:
            first, _slash, rest = row.cells[place].partition("/") if len(row.cells) > place else ("", "", "")
            second = rest.partition("/")[0]
            if first.isdecimal() and second.isdecimal():
                is_day, is_month = is_day or int(first) > 12, is_month or int(second) > 12
    if is_day == is_month:
        # The products that we know write the month first.
        return False if not is_day and layouts.named(upload) else None
    return is_day
