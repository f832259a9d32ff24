"""How a list finds what somebody typed: the keys first, by an index on each column, and never more than can be paged through."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.db import connections
from django.db.models import Q, QuerySet

from crm.admin.paging import REACHABLE

WORDS = 5
# Shorter words begin a name; three letters are what the trigram indexes know.
LETTERS = 3


def words_of(term: str) -> list[str]:
    """Take what was typed apart; the longest word first, since it finds the fewest."""
    return sorted(term.replace("\x00", "").split()[:WORDS], key=len, reverse=True)


def keys(rows: QuerySet[Any], fields: Sequence[str], term: str) -> list[Any]:
    """Give the keys of rows in which every word stands somewhere in the fields: at most one more than can be paged through.

    An "or" over the columns of several tables follows no index; so each column is asked by itself.
    """
    first, *others = words_of(term)
    for word in others:
        rows = rows.filter(_anywhere(fields, word))
    parts = [_some(rows.order_by().filter(_holds(field, first)).values_list("pk", flat=True)) for field in fields]
    found = parts[0].union(*parts[1:]) if len(parts) > 1 else parts[0]
    return list(found[: REACHABLE + 1])


def all_of(rows: QuerySet[Any], fields: Sequence[str], term: str) -> QuerySet[Any]:
    """Keep every row in which every word stands somewhere in the fields, however many there are."""
    for word in words_of(term):
        rows = rows.filter(_anywhere(fields, word))
    return rows


def _anywhere(fields: Sequence[str], word: str) -> Q:
    return reduce(or_, (_holds(field, word) for field in fields))


def _some(rows: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    # SQLite knows no LIMIT inside a union; there the union's own has to do.
    return rows[: REACHABLE + 1] if connections[rows.db].features.supports_slicing_ordering_in_compound else rows


def _holds(field: str, word: str) -> Q:
    return Q(**{f"{field}__{'icontains' if len(word) >= LETTERS else 'istartswith'}": word})
