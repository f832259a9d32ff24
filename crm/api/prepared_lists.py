"""Pages of a list whose SQL is the same for everybody with the same rights: it is written once, for whoever asks first.

Only where nothing else decides what a page shows: no filter, every field a column, and a view that says so.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from crm.api import rows
from crm.api.rows import Plan
from crm.models import User
from crm.prepared import KINDS, Prepared

Rows = list[dict[str, Any]]


class Asked(NamedTuple):
    """What decides the SQL besides the rights of who asks."""

    viewset: Any
    plan: Plan
    # The order, and the columns that a place in it is read from.
    columns: tuple[str, ...]
    also: tuple[str, ...]
    most: int


def page(asked: Asked, user: User, *, after: Sequence[Any]) -> Rows:
    """Give up to `most` rows of a viewset's records, from after a position in their order."""
    team = [] if user.team_id is None else [user.team_id]
    rights = (user.is_active, user.is_superuser, frozenset(user.get_all_permissions()), bool(team))
    names, question = _question(asked, tuple(map(type, after)), rights)
    return [dict(zip(names, row, strict=True)) for row in question.rows(user.pk, *team, *after)]


def takes(position: Sequence[Any]) -> bool:
    """Say whether a position is made of values that can be filled in."""
    return all(type(value) in KINDS for value in position)


# Callers choose fields, order and size; so many choices are kept.
@lru_cache(maxsize=500)
def _question(asked: Asked, kinds: tuple[type, ...], rights: tuple[Any, ...]) -> tuple[list[str], Prepared]:
    *stands, permissions, has_team = rights

    def ask(pk: int, *more: Any) -> Any:
        user = _with_rights(pk, more[0] if has_team else None, stands, permissions)
        records = asked.viewset.queryset.visible_to(user)
        if position := more[has_team:]:
            records = records.filter(rows.after(asked.columns, position))
        return asked.plan.read(records, also=asked.also).order_by(*asked.columns)[: asked.most]

    return asked.plan.names(asked.also), Prepared(ask, *[int] * (1 + has_team), *kinds)


def _with_rights(pk: int, team_id: int | None, stands: Sequence[bool], permissions: frozenset[str]) -> User:
    """Give a user who stands for all that have these rights; what the rules ask of a user is nothing but this."""
    user = User(pk=pk, team_id=team_id, is_active=stands[0], is_superuser=stands[1])
    user._perm_cache = set(permissions)  # type: ignore[attr-defined]  # where Django keeps what it read
    return user
