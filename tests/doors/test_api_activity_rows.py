"""Rows that are taken as they stand are those that the form takes, unchanged."""

import pytest
from rest_framework.exceptions import ValidationError

from crm.api.activities import ActivityRow
from crm.api.activity_rows import plainly_right
from crm.new_activities import NewActivity

GOOD = {"account": 1, "kind": "page_view", "occurred_at": "2026-03-01T10:00:00Z"}
VALUES = {
    "account": [1, 2**63 - 1, 0, -1, 2**63, True, "1", 1.0, None],
    "contact": [None, 5, 0, "5"],
    "opportunity": [None, 5, False],
    "kind": ["email_click", "coffee", None, 3, ["page_view"]],
    "occurred_at": [
        "2026-03-01T10:00:00+01:00", "2026-03-01 10:00:00.123456Z", "2026-03-01T10:00", "2026-03-01", "20260301T100000Z", "gisteren", "",
        None, 5, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-02-30T10:00:00Z",
    ],
    "external_id": ["", "v1", " v1 ", "x" * 100, "x" * 101, 12, None, "a\0b"],
    "subject": ["Prijzen", "\u00a0", "x" * 300, "x" * 301],
    "machine_reason": ["", "prefetch", "x" * 31],
    "message_id": ["<a@b>", "x" * 251],
    "link": ["https://www.example.nl/", "x" * 4_001],
    "user_agent": ["-", "x" * 4_000, {}],
    "colour": ["blue"],
}  # fmt: skip
ROWS = [GOOD, {}, [], "row", None, *({**GOOD, name: value} for name, values in VALUES.items() for value in values)]


def by_form(row):
    try:
        return NewActivity(**ActivityRow().run_validation(row))
    except ValidationError:
        return None


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_row_is_taken_as_it_stands_only_if_the_form_would_take_it_so(row):
    taken = plainly_right(row)

    assert taken is None or taken == by_form(row)


def test_the_usual_row_needs_no_form():
    assert plainly_right(GOOD | {"contact": 5, "external_id": "v1", "link": "https://www.example.nl/"}) is not None
