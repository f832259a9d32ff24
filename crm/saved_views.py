"""Saved views: keep the way one looks at a list, rename it, share it with the team, move it, delete it."""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from crm.errors import Conflict, Invalid
from crm.models import SavedView, Team, User

# Tabs stand in one row; who needs more than this uses the filters.
AT_MOST = 20


def keep(*, page: str, name: str, query: str, at: datetime, by: User) -> SavedView:
    """Keep a list's query under a name; an own view of that name gets the new query instead.

    `query` is that of the address, 'score=hot&o=2', and holds only what the caller knows of this list.
    """
    name, query = _named(name), _bounded(query)
    own = SavedView.objects.of(page).filter(owner=by)
    if own.filter(name=name).update(query=query):
        return own.get(name=name)
    last = own.aggregate(last=Max("position"))["last"] or 0
    if own.count() >= AT_MOST:
        raise Conflict(_("There are %(count)d views on this list already: delete one first.") % {"count": AT_MOST})
    return _write(SavedView(owner=by, page=page, name=name, query=query, position=last + 1, created_at=at))


def rename(view: SavedView, *, name: str, by: User) -> SavedView:
    """Give a view another name; refuse one that another own view has."""
    _refuse_stranger(view, by)
    view.name = _named(name)
    return _write(view)


def change(view: SavedView, *, query: str, by: User) -> SavedView:
    """Give a view another query."""
    _refuse_stranger(view, by)
    view.query = _bounded(query)
    return _write(view)


def share(view: SavedView, *, by: User) -> SavedView:
    """Show a view to everybody in the own team."""
    _refuse_stranger(view, by)
    if by.team is None:
        raise Conflict(_("You are in no team to share it with."))
    return _shared(view, by.team)


def unshare(view: SavedView, *, by: User) -> SavedView:
    """Take a view back to its owner alone."""
    _refuse_stranger(view, by)
    return _shared(view, None)


def move(view: SavedView, *, steps: int, by: User) -> None:
    """Move a view so many places to the right, or to the left when negative, among the owner's views of that list."""
    _refuse_stranger(view, by)
    own = list(SavedView.objects.of(view.page).filter(owner=view.owner_id))
    here = next(place for place, row in enumerate(own) if row.pk == view.pk)
    own.insert(max(0, min(len(own) - 1, here + steps)), own.pop(here))
    for position, row in enumerate(own, start=1):
        row.position = position
    SavedView.objects.bulk_update(own, ["position"])


def delete(view: SavedView, *, by: User) -> None:
    """Delete a view, for everybody whom it was shared with, too."""
    _refuse_stranger(view, by)
    view.delete()


def may_change(view: SavedView, user: User) -> bool:
    """Say whether a user may change a view: the owner, and who leads the team that it is shared with."""
    leads = view.team_id is not None and view.team_id == user.team_id and user.has_perm("crm.assign_account")
    return view.owner_id == user.pk or leads


def _refuse_stranger(view: SavedView, user: User) -> None:
    if not may_change(view, user):
        raise Conflict(_("This view is %(owner)s's: keep one of your own.") % {"owner": view.owner})


def _named(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= 40:
        sentence = _("Give the view a name of at most 40 letters.")
        raise Invalid(sentence, detail={"name": sentence})
    return name


def _bounded(query: str) -> str:
    if len(query) > 500:
        sentence = _("This is too much to keep: search for less.")
        raise Invalid(sentence, detail={"name": sentence})
    return query


def _shared(view: SavedView, team: Team | None) -> SavedView:
    view.team = team
    view.save(update_fields=["team"])
    return view


def _write(view: SavedView) -> SavedView:
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError as refusal:
        raise Conflict(_("You have a view of this name already.")) from refusal
    return view
