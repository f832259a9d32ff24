"""How a list finds what somebody typed: the keys first, by an index on each column, and never more than can be paged through."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.db import connections
from django.db.models import BigAutoField, Q, QuerySet
from django.db.models.sql.where import WhereNode

from crm.admin.paging import FOUND

WORDS = 5
# Shorter words begin a name; three letters are what the trigram indexes know.
LETTERS = 3


def words_of(term: str) -> list[str]:
    """Take what was typed apart; the longest word first, since it finds the fewest."""
    return sorted(term.replace("\x00", "").split()[:WORDS], key=len, reverse=True)


def keys(rows: QuerySet[Any], fields: Sequence[str], term: str) -> list[Any]:
    """Give the keys of rows in which every word stands somewhere in the fields: at most one more than can be paged through.

    An "or" over the columns of several tables follows no index; so each column is asked by itself, for rows of which no
    column before it tells: as soon as there are enough the database asks no further.
    """
    word = words_of(term)[0]
    parts = enumerate(by_column(rows.order_by(), fields, term))
    asked = [(part.exclude(anywhere(fields[:place], word)) if place else part).values_list("pk", flat=True) for place, part in parts]
    return list(united(asked, at_most=FOUND + 1, are_disjoint=True)[: FOUND + 1])


def of_keys(rows: QuerySet[Any], keys: Sequence[Any]) -> QuerySet[Any]:
    """Give the rows of keys that were found among these rows; what these were asked for was asked then, and is not asked again."""
    kept = rows.all()
    kept.query.where = WhereNode()
    return kept.filter(**{"pk__among" if isinstance(rows.model._meta.pk, BigAutoField) else "pk__in": keys})


def by_column(rows: QuerySet[Any], fields: Sequence[str], term: str) -> list[QuerySet[Any]]:
    """Give the rows that hold the longest word in one field, for each field; the other words may stand in any."""
    first, *others = words_of(term)
    for word in others:
        rows = rows.filter(anywhere(fields, word))
    return [rows.filter(_holds(field, first)) for field in fields]


def united(parts: Sequence[QuerySet[Any, Any]], *, at_most: int, are_disjoint: bool = False) -> QuerySet[Any, Any]:
    """Put rows of several questions together, so many of each at most; one question of the database."""
    # SQLite knows no LIMIT inside a union; there the union's own has to do. PostgreSQL would plan each part of a union as if
    # all its rows were wanted: of a common name it read all that a million people have before it gave a hundred.
    inside = connections[parts[0].db].features.supports_slicing_ordering_in_compound
    first, *others = [part[:at_most] for part in parts] if inside else parts
    return first.union(*others, all=are_disjoint)[: at_most * len(parts)] if others else first[:at_most]


def all_of(rows: QuerySet[Any], fields: Sequence[str], term: str) -> QuerySet[Any]:
    """Keep every row in which every word stands somewhere in the fields, however many there are."""
    for word in words_of(term):
        rows = rows.filter(anywhere(fields, word))
    return rows


def anywhere(fields: Sequence[str], word: str) -> Q:
    """Select rows that hold a word in any of the fields."""
    return reduce(or_, (_holds(field, word) for field in fields))


def _holds(field: str, word: str) -> Q:
    return Q(**{f"{field}__{'icontains' if len(word) >= LETTERS else 'istartswith'}": word})
