"""The lists that can be taken out, and their columns: a register, to which every app adds its own."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model, Prefetch, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.errors import Invalid, NotAllowed
from crm.models import Export, User


@dataclass(frozen=True)
class Column:
    """One column of a list: what a record's cell holds, and what must be read along for it."""

    name: str
    label: str | Promise
    value: Callable[[Any], object]
    # Relations to join, and those to gather per chunk of records.
    joins: tuple[str, ...] = ()
    gathers: "tuple[str | Prefetch[Any], ...]" = ()
    # Chosen unless somebody chooses otherwise.
    is_usual: bool = True


def _all_visible(rows: QuerySet[Any], user: User) -> QuerySet[Any]:
    return rows.visible_to(user)  # type: ignore[attr-defined, no-any-return]


@dataclass(frozen=True)
class Listing:
    """One list: its records, the columns by name, and who may see which of the records."""

    model: type[Model]
    columns: dict[str, Column] = field(default_factory=dict)
    sight: Callable[[QuerySet[Any], User], QuerySet[Any]] = _all_visible

    @property
    def what(self) -> str:
        """Name the list by its model, e.g. 'crm.account'."""
        return self.model._meta.label_lower

    @property
    def label(self) -> str | Promise:
        """Name the list on screen."""
        return self.model._meta.verbose_name_plural or ""

    def is_open_to(self, user: User) -> bool:
        """Say whether the user may look at such records, and take lists out at all."""
        names = self.model._meta
        return user.has_perm(f"{names.app_label}.view_{names.model_name}") and user.has_perm("crm.add_export")

    def chosen(self, names: Iterable[str]) -> list[Column]:
        """Give these columns in the list's own order."""
        wanted = set(names)
        return [column for column in self.columns.values() if column.name in wanted]


# Gives a list as a user has it on screen, by its query string; raises Invalid for one that no list understands.
Narrow = Callable[[User, type[Model], str], QuerySet[Any]]
_LISTS: dict[str, Listing] = {}
_NARROW: list[Narrow] = []


def register(listing: Listing) -> None:
    """Let a list be taken out; the same model again replaces the former."""
    _LISTS[listing.what] = listing


def add_columns(what: str, columns: Iterable[Column], *, after: str) -> None:
    """Give a list the columns that another app knows of its records, behind one of its own."""
    listing, added = _LISTS[what], {column.name: column for column in columns}
    kept = {name: column for name, column in listing.columns.items() if name not in added}
    at = list(kept).index(after) + 1
    listing.columns.clear()
    listing.columns.update(dict(list(kept.items())[:at]) | added | dict(list(kept.items())[at:]))


def narrow_with(narrow: Narrow) -> None:
    """Say who understands the lists' query strings; the admin does, for they are its own."""
    _NARROW[:] = [narrow]


def lists_for(user: User) -> list[Listing]:
    """Give the lists that a user may take out."""
    return [listing for listing in _LISTS.values() if listing.is_open_to(user)]


def known(what: str) -> Listing | None:
    """Give a list whoever asks: for its name alone."""
    return _LISTS.get(what)


def listing_of(what: str, *, by: User) -> Listing:
    """Give a list; raise Invalid where there is none, NotAllowed for who may not see such records."""
    listing = _LISTS.get(what)
    if listing is None:
        raise Invalid(_("There is no such list."), detail={"what": what})
    if not listing.is_open_to(by):
        raise NotAllowed(_("You may not take this list out."))
    return listing


def rows_of(export: Export, *, by: User) -> QuerySet[Any]:
    """Give the records that an export means, of those that the user may see now."""
    listing = listing_of(export.what, by=by)
    if export.picked:
        return listing.sight(listing.model._default_manager.filter(pk__in=export.picked), by)
    return listing.sight(_NARROW[0](by, listing.model, export.query), by)


def with_needs(rows: QuerySet[Any], columns: Sequence[Column]) -> QuerySet[Any]:
    """Read along what the columns need, and nothing else."""
    joins = {join for column in columns for join in column.joins}
    gathers = list(dict.fromkeys(gather for column in columns for gather in column.gathers))
    rows = rows.select_related(None).prefetch_related(None)
    return (rows.select_related(*sorted(joins)) if joins else rows).prefetch_related(*gathers)


def plain(model: type[Model], names: str, *, is_usual: bool = True) -> list[Column]:
    """Make columns of fields by name; a choice shows its label, and a relation is joined."""
    return [_plain(model, name, is_usual=is_usual) for name in names.split()]


def _plain(model: type[Model], name: str, *, is_usual: bool) -> Column:
    found: Any = model._meta.get_field(name)
    shown = f"get_{name}_display" if getattr(found, "choices", None) else ""

    def value(record: Any) -> object:
        return getattr(record, shown)() if shown else getattr(record, name)

    return Column(name, found.verbose_name, value, joins=(name,) if found.is_relation else (), is_usual=is_usual)


def picked(column: str, label: str | Promise, path: str, *, joins: str = "", is_usual: bool = True) -> Column:
    """Make a column of what lies at a relation, e.g. 'account.domain'; empty where the relation is."""
    first, _dot, rest = path.partition(".")

    def value(record: Any) -> object:
        there = getattr(record, first)
        return getattr(there, rest) if there is not None else None

    return Column(column, label, value, joins=(joins or first,), is_usual=is_usual)
