"""Reading rows of activities by the ten thousand: what is plainly right is taken as it stands, all else is the form's to judge.

The form takes a hundred times as long for a row. Nothing is judged here: a row that is not plain goes to the form, which
takes it, or says in words what is wrong with it; a test holds the two against each other.
"""

from datetime import datetime
from typing import Any

from crm import activity_kinds
from crm.api.contract import LARGEST_ID
from crm.new_activities import NewActivity

# The most characters of each text, and the places, by the names in a body.
_TEXTS = {"external_id": 100, "subject": 300, "machine_reason": 30, "message_id": 250, "link": 4_000, "user_agent": 4_000}
_PLACES = {"account": "account_id", "contact": "contact_id", "opportunity": "opportunity_id"}


def plainly_right(row: Any) -> NewActivity | None:
    """Give a row as it stands if the form would take it without changing a letter of it; None: ask the form."""
    if type(row) is not dict or "account" not in row or not _is_known(row.get("kind")):
        return None
    values: dict[str, Any] = {}
    for name, value in row.items():
        if longest := _TEXTS.get(name):
            if not _is_plain(value, longest):
                return None
            values[name] = value
        elif place := _PLACES.get(name):
            if not _names_record(value, may_be_nobody=name != "account"):
                return None
            values[place] = value
        elif name not in ("kind", "occurred_at"):
            return None
    moment = _moment(row.get("occurred_at"))
    return NewActivity(kind=row["kind"], occurred_at=moment, **values) if moment else None


def _is_known(kind: Any) -> bool:
    return type(kind) is str and kind in activity_kinds.KINDS


def _is_plain(value: Any, longest: int) -> bool:
    return type(value) is str and len(value) <= longest and "\0" not in value and value == value.strip()


def _names_record(value: Any, *, may_be_nobody: bool) -> bool:
    return (type(value) is int and 1 <= value <= LARGEST_ID) or (value is None and may_be_nobody)


def _moment(text: Any) -> datetime | None:
    """Read a moment with its time zone; None for any other text."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo and 1990 <= moment.year <= 9000 else None
