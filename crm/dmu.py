"""DMU memberships: who holds which role in a decision; assigned, confirmed and ended here, covered in crm/coverage.py."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from crm import errors, events, policy, webhooks
from crm.coverage import Coverage, Holder, RoleCoverage, coverage, coverage_of_opportunities
from crm.models import Contact, DmuMembership, DmuRole, Opportunity, Stance, User

__all__ = [
    "Coverage",
    "Holder",
    "Moved",
    "RoleCoverage",
    "assign",
    "confirm",
    "coverage",
    "coverage_of_opportunities",
    "end",
    "holders",
    "holds",
    "move",
    "set_stance",
    "take_back",
    "tell_lost",
    "wrong_role",
]

# Asking the enumeration makes its list anew each time.
_ROLES, _STANCES = frozenset(DmuRole.values), frozenset(Stance.values)


@dataclass(frozen=True)
class Moved:
    """What a move ended and began, so that it can be taken back; `began` is None where the person held that role already."""

    ended: DmuMembership | None = None
    began: DmuMembership | None = None


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
    with transaction.atomic():
        ended = _change(membership, {"until": until, "end_reason": reason}, by=by)
        tell_lost(DmuMembership.objects.filter(pk=membership.pk), at=at)
    return ended


def tell_lost(ended: QuerySet[DmuMembership], *, at: datetime) -> None:
    """Tell other systems of the roles whose last holder left, now that these memberships have ended."""
    webhooks.tell("role.lost", _lost(ended), at=at)


def _lost(ended: QuerySet[DmuMembership]) -> Iterator[webhooks.News]:
    others = DmuMembership.objects.current().filter(account=OuterRef("account"), role=OuterRef("role"), contact__left_on=None)
    # Nothing equals 'no deal' in SQL, so the standing roles are asked about apart.
    of_account = Q(opportunity=None) & ~Exists(others.filter(opportunity=None))
    of_deal = Q(opportunity__isnull=False) & ~Exists(others.filter(opportunity=OuterRef("opportunity")))
    lost = ended.filter(of_account | of_deal, end_reason=DmuMembership.EndReason.LEFT).order_by("pk")
    for account_id, deal_id, contact_id, role in lost.values_list("account_id", "opportunity_id", "contact_id", "role"):
        yield webhooks.News(account_id, {"role": role, "opportunity_id": deal_id}, contact_id=contact_id)


@transaction.atomic
def move(membership: DmuMembership, *, role: str, by: User | None, at: datetime, stance: str = "", is_assumed: bool | None = None) -> Moved:
    """Give somebody this role instead of the one they hold: the old membership ends and the new one begins, or nothing changes.

    Stance and certainty come along unless given. To the role held already it only sets those. Refusals are those of `assign` and `end`.
    """
    stance = stance or membership.stance
    is_assumed = membership.is_assumed if is_assumed is None else is_assumed
    if role == membership.role:
        return _keep_role(membership, stance=stance, is_assumed=is_assumed, by=by, at=at)
    list(Contact.objects.claimed().filter(pk=membership.contact_id))
    same = DmuMembership.objects.current().filter(contact=membership.contact_id, role=role, opportunity=membership.opportunity_id)
    held_already = same.exists()
    ended = end(membership, reason=DmuMembership.EndReason.MOVED, by=by, at=at)
    began = assign(
        contact=membership.contact, role=role, opportunity=membership.opportunity, stance=stance, is_assumed=is_assumed, by=by, at=at
    )
    return Moved(ended, None if held_already else began)


def _keep_role(membership: DmuMembership, *, stance: str, is_assumed: bool, by: User | None, at: datetime) -> Moved:
    if stance != membership.stance:
        set_stance(membership, stance=stance, by=by, at=at)
    if not is_assumed:
        confirm(membership, by=by, at=at)
    return Moved()


@transaction.atomic
def take_back(*, ended: DmuMembership | None, began: DmuMembership | None, by: User | None, at: datetime) -> None:
    """Undo a change of roles on its own day: what began was a mistake, and what ended goes on; both, or nothing.

    Raise Conflict when one of them is no longer as the change left it, or the person left.
    """
    if began is not None:
        end(began, reason=DmuMembership.EndReason.MISTAKEN, by=by, at=at)
    if ended is not None:
        _resume(ended, by=by, at=at)


def _resume(membership: DmuMembership, *, by: User | None, at: datetime) -> None:
    list(Contact.objects.claimed().filter(pk=membership.contact_id))
    same = DmuMembership.objects.filter(contact=membership.contact_id, role=membership.role, opportunity=membership.opportunity_id)
    ended_today = Q(until__gte=policy.day_of(at)) & ~Q(end_reason=DmuMembership.EndReason.LEFT)
    goes_on = DmuMembership.objects.filter(ended_today, pk=membership.pk, contact__in=Contact.objects.active())
    if same.current().exists() or not goes_on.update(until=None, end_reason=""):
        raise errors.Conflict(_("This cannot be taken back any more: the role has changed since."))
    _remember(membership, by=by)


def _change(membership: DmuMembership, values: dict[str, object], *, by: User | None) -> DmuMembership:
    """Write to a current membership with its history row; raise Conflict if it ended meanwhile."""
    with transaction.atomic():
        if not DmuMembership.objects.current().filter(pk=membership.pk).update(**values):
            raise errors.Conflict(_("This role has ended already."))
        _remember(membership, by=by)
    return membership


def _remember(membership: DmuMembership, *, by: User | None) -> None:
    """Read a membership as it is now, keep that in the history, and tell."""
    membership.refresh_from_db(fields=[field.attname for field in DmuMembership._meta.concrete_fields])
    DmuMembership.history.bulk_history_create([membership], update=True, default_user=by)
    events.tell(events.dmu_changed, account_ids=[membership.account_id])


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
