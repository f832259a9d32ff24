"""DMU memberships: who holds which role in a decision; assigned, confirmed and ended here, covered in crm/coverage.py."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm import errors, events, policy
from crm.coverage import Coverage, Holder, RoleCoverage, coverage, coverage_of_opportunities
from crm.models import Contact, DmuMembership, DmuRole, Opportunity, Stance, User

__all__ = [
    "Coverage",
    "Holder",
    "RoleCoverage",
    "assign",
    "confirm",
    "coverage",
    "coverage_of_opportunities",
    "end",
    "holders",
    "holds",
    "set_stance",
    "wrong_role",
]

# Asking the enumeration makes its list anew each time.
_ROLES, _STANCES = frozenset(DmuRole.values), frozenset(Stance.values)


def assign(
    *,
    contact: Contact,
    role: str,
    at: datetime,
    by: User | None = None,
    opportunity: Opportunity | None = None,
    stance: str = Stance.NEUTRAL,
    is_assumed: bool = False,
) -> DmuMembership:
    """Give a contact a role at the account, or for one opportunity.

    Who holds it already keeps the one row: an assumption may become confirmed but not the reverse, and a
    stance other than neutral replaces the one on record.
    Raise Invalid for an unknown role or stance, somebody else's opportunity, or a person who has left.
    """
    facts = {"account_id": contact.account_id, "stance": stance, "is_assumed": is_assumed, "said_by": by, "since": policy.day_of(at)}
    with transaction.atomic():
        list(Contact.objects.claimed().filter(pk=contact.pk))
        _check(contact, role, stance, opportunity)
        membership, is_new = DmuMembership.objects.get_or_create(
            contact=contact, role=role, opportunity=opportunity, until=None, defaults=facts
        )
        if not is_new and membership.is_assumed and not is_assumed:
            confirm(membership, by=by, at=at)
        if not is_new and stance not in (Stance.NEUTRAL, membership.stance):
            set_stance(membership, stance=stance, by=by, at=at)
        events.tell(events.dmu_changed, account_ids=[contact.account_id])
    return membership


def _check(contact: Contact, role: str, stance: str, opportunity: Opportunity | None) -> None:
    wrong = wrong_role(role, stance, is_active=Contact.objects.active().filter(pk=contact.pk).exists())
    if opportunity is not None and opportunity.account_id != contact.account_id:
        wrong["opportunity"] = _("The opportunity is another account's.")
    if wrong:
        raise errors.Invalid(_("This role cannot be given."), detail=wrong)


def wrong_role(role: str, stance: str, *, is_active: bool) -> dict[str, object]:
    """Say, by field, why this role cannot be given to somebody who works at the account or has left."""
    wrong: dict[str, object] = {}
    if role not in _ROLES:
        wrong["role"] = _("No such role.")
    if stance not in _STANCES:
        wrong["stance"] = _("No such stance.")
    if not is_active:
        wrong["contact"] = _("Somebody who has left holds no role.")
    return wrong


def confirm(membership: DmuMembership, *, by: User | None, at: datetime) -> DmuMembership:
    """Turn an assumed role into a confirmed one, on the word of `by`; confirmed already, it stays as it is."""
    if not membership.is_assumed and membership.until is None:
        return membership
    return _change(membership, {"is_assumed": False, "said_by": by}, by=by)


def set_stance(membership: DmuMembership, *, stance: str, by: User | None, at: datetime) -> DmuMembership:
    """Record how somebody stands towards us in this role."""
    if stance not in Stance.values:
        raise errors.Invalid(_("No such stance."), detail={"stance": _("No such stance.")})
    return _change(membership, {"stance": stance}, by=by)


def end(membership: DmuMembership, *, reason: str, by: User | None, at: datetime) -> DmuMembership:
    """End a membership today; it stays in the history. For a person who left use `contacts.depart`, which ends them all."""
    if reason not in DmuMembership.EndReason.values:
        raise errors.Invalid(_("No such reason."), detail={"reason": _("No such reason.")})
    until = max(policy.day_of(at), membership.since)
    return _change(membership, {"until": until, "end_reason": reason}, by=by)


def _change(membership: DmuMembership, values: dict[str, object], *, by: User | None) -> DmuMembership:
    """Write to a current membership with its history row; raise Conflict if it ended meanwhile."""
    with transaction.atomic():
        if not DmuMembership.objects.current().filter(pk=membership.pk).update(**values):
            raise errors.Conflict(_("This role has ended already."))
        membership.refresh_from_db(fields=[field.attname for field in DmuMembership._meta.concrete_fields])
        DmuMembership.history.bulk_history_create([membership], update=True, default_user=by)
        events.tell(events.dmu_changed, account_ids=[membership.account_id])
    return membership


def holds(contact: Contact, role: str, *, opportunity: Opportunity | None) -> bool:
    """Say whether a contact holds a role now, for an opportunity or (None) for the account.

    Current members of that opportunity in that role override the standing ones. An assumed role counts:
    the evidence of a confirmation is what turns an assumption into knowledge.
    """
    if opportunity is not None:
        return contact.pk in holders(role, opportunities=[opportunity])[opportunity.pk]
    standing = DmuMembership.objects.current().standing().filter(role=role, contact__left_on=None)
    return standing.filter(account=contact.account_id, contact=contact).exists()


def holders(role: str, *, opportunities: Iterable[Opportunity]) -> dict[int, set[int]]:
    """Map each opportunity to the ids of the contacts who hold a role for it now, as `holds` counts them; one query."""
    deals = {deal.pk: deal.account_id for deal in opportunities}
    if not deals:
        return {}
    current = DmuMembership.objects.current().filter(account__in=set(deals.values()) - {None}, role=role, contact__left_on=None)
    rows = list(current.filter(Q(opportunity=None) | Q(opportunity__in=deals)).values_list("account_id", "opportunity_id", "contact_id"))
    specific: dict[int, set[int]] = defaultdict(set)
    standing: dict[int | None, set[int]] = defaultdict(set)
    for account_id, deal_id, contact_id in rows:
        (standing[account_id] if deal_id is None else specific[deal_id]).add(contact_id)
    return {deal: specific[deal] or standing[account] for deal, account in deals.items()}
