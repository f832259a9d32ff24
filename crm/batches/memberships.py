"""Roles by the thousand: who holds which, known by contact, role and deal; saying one again says no more than saying it once."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm import dmu
from crm.batches.upserting import Kind, Row, Wrong
from crm.errors import CrmError, Invalid
from crm.models import Contact, DmuMembership, Opportunity, Stance, User

_Key = tuple[Any, Any, Any]


def _key(row: Row) -> _Key | None:
    contact, opportunity = row.get("contact"), row.get("opportunity")
    # JSON's true and 1.0 equal 1, and are the id of nobody.
    is_key = type(contact) is int and (opportunity is None or type(opportunity) is int)
    return (contact, row.get("role"), opportunity) if is_key else None


def _ids(rows: Sequence[Row], name: str) -> set[int]:
    return {row[name] for row in rows if type(row.get(name)) is int}


def _match(rows: Mapping[int, Row]) -> dict[int, DmuMembership]:
    held = DmuMembership.objects.current().filter(contact__in=_ids(list(rows.values()), "contact")).select_related("contact", "opportunity")
    there = {(one.contact_id, one.role, one.opportunity_id): one for one in held}
    return {index: there[key] for index, row in rows.items() if (key := _key(row)) in there}


def _add(rows: Sequence[Row], by: User, at: datetime) -> list[tuple[int | None, Wrong]]:
    people = {one.pk: one for one in Contact.objects.visible_to(by).filter(pk__in=_ids(rows, "contact"))}
    deals = {one.pk: one for one in Opportunity.objects.visible_to(by).filter(pk__in=_ids(rows, "opportunity"))}
    return [_assigned(row, people, deals, by, at) for row in rows]


def _assigned(
    row: Row, people: Mapping[int, Contact], deals: Mapping[int, Opportunity], by: User, at: datetime
) -> tuple[int | None, Wrong]:
    """Give a role by the rule for one, which gives the same one back to who says it twice."""
    if wrong := {**_absent(row, "contact", people), **(_absent(row, "opportunity", deals) if row.get("opportunity") is not None else {})}:
        return None, wrong
    try:
        with transaction.atomic():
            deal = deals[row["opportunity"]] if row.get("opportunity") is not None else None
            facts = {"contact": people[row["contact"]], "opportunity": deal, **dict(_said(row))}
            return dmu.assign(role=row.get("role", ""), at=at, by=by, **facts).pk, {}
    except CrmError as error:
        return None, error.detail or {"row": error}


def _absent(row: Row, name: str, there: Mapping[int, object]) -> dict[str, object]:
    said = row.get(name)
    if said is None:
        return {name: _("This field is required.")}
    return {} if type(said) is int and said in there else {name: _("%(id)s not found.") % {"id": str(said)[:50]}}


def _said(row: Row) -> Iterator[tuple[str, Any]]:
    """Give the stance, and whether it is only assumed. Raise Invalid for what is neither yes nor no."""
    yield "stance", row.get("stance") or Stance.NEUTRAL
    assumed = row.get("is_assumed")
    if not isinstance(assumed, bool | None):
        raise Invalid(_("Say true or false."), detail={"is_assumed": _("Say true or false.")})
    yield "is_assumed", bool(assumed)


def _change(held: DmuMembership, row: Row, by: User | None, at: datetime) -> bool:
    """Say a role again: an assumption may become confirmed, and a stance known."""
    after = dmu.assign(contact=held.contact, role=held.role, opportunity=held.opportunity, at=at, by=by, **dict(_said(row)))
    after.refresh_from_db()
    return (after.is_assumed, after.stance) != (held.is_assumed, held.stance)


MEMBERSHIPS = Kind(
    texts=("role", "stance"), others=("contact", "opportunity", "is_assumed"), match=_match, add=_add, change=_change, model=DmuMembership,
)  # fmt: skip
