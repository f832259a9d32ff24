"""What a job-change signal does when it opens and when it is confirmed, written down so that it can be undone exactly.

An effect is {"effect": name, "step": "opened" or "decided", "id": of what it touched}. Only what the signal itself changed
is written down: an address that was suppressed before stays suppressed after.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from abm.models import JobChangeSignal
from crm import contacts, deliverability, dmu, events, follow_ups, webhooks
from crm.errors import Invalid
from crm.models import (
    Account,
    Activity,
    Confirmation,
    Contact,
    Delivery,
    Departure,
    DmuMembership,
    DmuRole,
    FollowUp,
    Opportunity,
    Person,
    Suppression,
    User,
)
from crm.models.contacts import ContactQuerySet
from crm.policy import FOLLOW_UPS

Effect = dict[str, Any]
OPENED, DECIDED = "opened", "decided"
# What somebody without a role is called where a follow-up names the roles.
NO_ROLE = "contact"


def opening(signal: JobChangeSignal, *, at: datetime) -> list[Effect]:
    """Do what an open signal does, as far as it is not so already."""
    if signal.contact is None:
        return [_effect(name, OPENED, pk) for name, pk in _ask_about_domain(signal.account, at=at)]
    if signal.contact.left_on is not None:
        return []
    return [_effect(name, OPENED, pk) for name, pk in _suspect(signal.contact, at=at)]


def _effect(name: str, step: str, pk: int) -> Effect:
    return {"effect": name, "step": step, "id": pk}


def _suspect(contact: Contact, *, at: datetime) -> Iterator[tuple[str, int]]:
    """Stop mail to the address, show the roles at risk, have the successor looked for."""
    # A mailbox of a function stays when the person goes.
    if contact.email and not deliverability.is_role_address(contact.email):
        mine = {"address": contact.email.lower(), "reason": Suppression.Reason.JOB_CHANGE}
        if not Suppression.objects.current().filter(**mine).exists():
            yield "suppressed", deliverability.suppress(**mine, at=at).pk
    if contacts.suspect(contact, at=at):
        yield "suspected", contact.pk
    roles = DmuMembership.objects.current().filter(contact=contact).values_list("role", flat=True)
    yield from _follow_up(
        FollowUp.Reason.FIND_SUCCESSOR,
        contact.account,
        contact=contact,
        days=FOLLOW_UPS.find_successor_days,
        facts={"roles": sorted(set(roles), key=DmuRole.values.index) or [NO_ROLE]},
        at=at,
    )


def _ask_about_domain(account: Account, *, at: datetime) -> Iterator[tuple[str, int]]:
    yield from _follow_up(FollowUp.Reason.DOMAIN_CHANGED, account, days=FOLLOW_UPS.details_days, at=at)


def _follow_up(
    reason: str, account: Account, *, days: int, at: datetime, contact: Contact | None = None, facts: dict[str, object] | None = None
) -> Iterator[tuple[str, int]]:
    """Open a follow-up for the owner of an account, unless it is open already."""
    about = f"contact:{contact.pk}" if contact else f"account:{account.pk}"
    if not FollowUp.objects.open().filter(reason=reason, subject_key=about).exists():
        opened = follow_ups.open(
            reason=reason,
            owner=account.owner,
            due_on=follow_ups.due_after(at, days),
            at=at,
            account=account,
            contact=contact,
            about=about,
            facts=facts,
        )
        yield "follow_up", opened.pk


def departing(
    signal: JobChangeSignal,
    *,
    left_on: date,
    at: datetime,
    by: User | None,
    new_account: Account | None = None,
    new_email: str = "",
    new_job_title: str = "",
    successor: Contact | None = None,
) -> list[Effect]:
    """Do what a confirmed job change does: the contact leaves, a successor takes the roles, the person goes on at a new employer."""
    contact = signal.contact
    if contact is None:
        return []
    done = list(_depart(contact, left_on=left_on, at=at, by=by))
    for departure in Departure.objects.filter(contact=contact, undone_at=None):
        done += _succeed(signal, departure, successor, at=at, by=by)
    if new_account is not None:
        done += _carry_over(contact, new_account, email=new_email, job_title=new_job_title, at=at, by=by)
    return [_effect(name, DECIDED, pk) for name, pk in done]


def _depart(contact: Contact, *, left_on: date, at: datetime, by: User | None) -> Iterator[tuple[str, int]]:
    if contact.left_on is None:
        yield "departed", contacts.depart(contact, left_on=left_on, at=at, by=by, reason=_("job change confirmed")).pk


def refuse_successor(signal: JobChangeSignal, successor: Contact | None) -> None:
    """Raise Invalid for somebody who cannot come after: of another account, gone, or the very person."""
    if successor is None:
        return
    here = Contact.objects.active().filter(pk=successor.pk, account=signal.account_id, erased_at=None)
    if signal.contact_id is None or not here.exclude(pk=signal.contact_id).exists():
        sentence = _("Only somebody else who works at the account can come after.")
        raise Invalid(sentence, detail={"successor": sentence})


def succeeding(signal: JobChangeSignal, successor: Contact, *, at: datetime, by: User | None) -> list[Effect]:
    """Give the roles of who left to a colleague whom somebody chose later, as assumed."""
    departures = Departure.objects.filter(contact=signal.contact, undone_at=None)
    return [_effect(name, DECIDED, pk) for departure in departures for name, pk in _succeed(signal, departure, successor, at=at, by=by)]


def _succeed(
    signal: JobChangeSignal, departure: Departure, chosen: Contact | None, *, at: datetime, by: User | None
) -> Iterator[tuple[str, int]]:
    """Give the roles that the departure ended to the successor, if one was chosen or else named, as assumed."""
    if chosen is None and not (signal.successor_name or signal.successor_email):
        return
    successor = chosen or _colleague(signal, departure)
    if successor is None:
        successor = _add_successor(signal, at=at, by=by)
        yield "added", successor.pk
    elif successor.left_on is not None:
        return
    for role, opportunity in _passed_on(departure):
        held = DmuMembership.objects.current().filter(contact=successor, role=role, opportunity=opportunity)
        if not held.exists():
            yield "assigned", dmu.assign(contact=successor, role=role, opportunity=opportunity, is_assumed=True, at=at, by=by).pk
    # Without the name: the task is the departed one's, and would keep it when the successor is erased.
    result = _("The successor was named with the signal.")
    found = follow_ups.close_about(FollowUp.Reason.FIND_SUCCESSOR, f"contact:{departure.contact_id}", at=at, by=by, result=result)
    if found is not None:
        yield "follow_up_closed", found.pk


def _colleague(signal: JobChangeSignal, departure: Departure) -> Contact | None:
    """Find the named successor among the contacts of the account, also one who left since."""
    return named(signal, Contact.objects.filter(account=signal.account_id).exclude(pk=departure.contact_id).select_related("person"))


def named(signal: JobChangeSignal, others: ContactQuerySet) -> Contact | None:
    """Find who was named as the successor among these: by address, without one by name."""
    if signal.successor_email:
        return others.at_address(signal.successor_email).first()
    given, family = _names(signal)
    return others.filter(left_on=None, person__given_name__iexact=given, person__family_name__iexact=family).first() if given else None


def _names(signal: JobChangeSignal) -> tuple[str, str]:
    """Split a name as it was written down; without one the address has to do: j.devries."""
    name = signal.successor_name.strip() or signal.successor_email.partition("@")[0]
    given, _blank, family = name.partition(" ")
    return given, family.strip()


def _add_successor(signal: JobChangeSignal, *, at: datetime, by: User | None) -> Contact:
    given, family = _names(signal)
    return contacts.add(
        account=signal.account,
        given_name=given,
        family_name=family,
        email=signal.successor_email,
        source="job change",
        at=at,
        by=by,
    )


def _passed_on(departure: Departure) -> list[tuple[str, Opportunity | None]]:
    """List the roles that a departure ended: those for the account, and those for deals that are still open."""
    ended = DmuMembership.objects.filter(departure=departure).order_by("pk").select_related("opportunity")
    mattering = ended.filter(Q(opportunity=None) | Q(opportunity__in=Opportunity.objects.open()))
    return [(membership.role, membership.opportunity) for membership in mattering]


def _carry_over(
    contact: Contact, account: Account, *, email: str, job_title: str, at: datetime, by: User | None
) -> Iterator[tuple[str, int]]:
    """Make the person a contact at the new employer, if not one already, and have its owner say hello."""
    there = Contact.objects.active().filter(person=contact.person_id, account=account).first()
    if there is None:
        there = contacts.carry_over(contact, to_account=account, email=email, job_title=job_title, at=at, by=by)
        yield "added", there.pk
    yield from _follow_up(FollowUp.Reason.CHAMPION_MOVED, account, contact=there, days=FOLLOW_UPS.details_days, at=at)


def turn(signal: JobChangeSignal, status: str, *, at: datetime, by: User | None = None) -> bool:
    """Turn a signal held, open or dismissed, its effects following; say whether it still was as the caller read it."""
    is_over = status == JobChangeSignal.Status.DISMISSED
    values = {"status": status, "decided_at": at if is_over else None, "decided_by": by if is_over else None}
    if not JobChangeSignal.objects.filter(pk=signal.pk, status=signal.status).update(**values):
        return False
    undo(signal.effects, at=at, by=by)
    signal.refresh_from_db()
    signal.effects = opening(signal, at=at) if status == JobChangeSignal.Status.OPEN else []
    signal.save(update_fields=["effects"])
    tell(signal, at=at)
    return True


def tell(signal: JobChangeSignal, *, at: datetime) -> None:
    """Tell other systems of a signal that is open, or confirmed, now; nothing of what was said of whom."""
    if signal.status in _TOLD:
        facts = {"account_id": signal.account_id, "kind": signal.kind, "status": signal.status}
        webhooks.tell(_TOLD[signal.status], [webhooks.News(signal.pk, facts, contact_id=signal.contact_id)], at=at)


_TOLD: dict[str, str] = {
    JobChangeSignal.Status.OPEN: "job_change.opened",
    JobChangeSignal.Status.CONFIRMED: "job_change.confirmed",
}


def sort_out_held(signals: Iterable[JobChangeSignal], status: str, *, at: datetime, by: User | None) -> list[Effect]:
    """Open or dismiss the signals that were held, because their domain's signal was decided."""
    name = f"held_{status}"
    return [_effect(name, DECIDED, signal.pk) for signal in signals if turn(signal, status, at=at, by=by)]


def undo(effects: Iterable[Effect], *, at: datetime, by: User | None) -> None:
    """Undo effects, the last one first; what a person changed since is left as the person wants it."""
    for effect in reversed(list(effects)):
        UNDO[effect["effect"]](effect["id"], at=at, by=by)


def _release(pk: int, *, at: datetime, by: User | None) -> None:
    for suppression in Suppression.objects.current().filter(pk=pk):
        deliverability.release(suppression, at=at)


def _clear(pk: int, *, at: datetime, by: User | None) -> None:
    for contact in Contact.objects.filter(pk=pk):
        contacts.clear_suspicion(contact, at=at)


def _close(pk: int, *, at: datetime, by: User | None) -> None:
    for follow_up in FollowUp.objects.open().filter(pk=pk):
        follow_ups.close(follow_up, at=at, by=by, result=_("No longer needed: the signal was taken back."))


def _reopen(pk: int, *, at: datetime, by: User | None) -> None:
    for follow_up in FollowUp.objects.filter(pk=pk, closed_at__isnull=False):
        if not FollowUp.objects.open().filter(reason=follow_up.reason, subject_key=follow_up.subject_key).exists():
            follow_ups.reopen(follow_up, at=at)


def _return(pk: int, *, at: datetime, by: User | None) -> None:
    for departure in Departure.objects.filter(pk=pk, undone_at=None):
        contacts.undo_departure(departure, at=at, by=by)


def _hold_opened(pk: int, *, at: datetime, by: User | None) -> None:
    for signal in JobChangeSignal.objects.open().filter(pk=pk):
        turn(signal, JobChangeSignal.Status.HELD, at=at, by=by)


def _hold_dismissed(pk: int, *, at: datetime, by: User | None) -> None:
    waiting = JobChangeSignal.objects.waiting().filter(contact=OuterRef("contact"))
    for signal in JobChangeSignal.objects.filter(~Exists(waiting), pk=pk, status=JobChangeSignal.Status.DISMISSED):
        turn(signal, JobChangeSignal.Status.HELD, at=at, by=by)


def _take_role(pk: int, *, at: datetime, by: User | None) -> None:
    """End a role that was assumed; one that a person confirmed since stays."""
    for membership in DmuMembership.objects.current().filter(pk=pk, is_assumed=True):
        dmu.end(membership, reason=DmuMembership.EndReason.MISTAKEN, at=at, by=by)


def _take_away(pk: int, *, at: datetime, by: User | None) -> None:
    """Delete a contact that was added, with its history, unless somebody has worked with it since."""
    contact = Contact.objects.filter(pk=pk).first()
    if contact is None or _is_touched(contact):
        return
    contact.delete()
    DmuMembership.history.filter(contact_id=pk).delete()
    Contact.history.filter(id=pk).delete()
    if Person.objects.filter(pk=contact.person_id, contacts=None).delete()[0]:
        Person.history.filter(id=contact.person_id).delete()
    events.tell(events.dmu_changed, account_ids=[contact.account_id])


def _is_touched(contact: Contact) -> bool:
    """Say whether anything hangs on a contact but what the signal hung there, or somebody edited it."""
    used = (
        Activity.objects.filter(contact=contact),
        Delivery.objects.filter(contact=contact),
        Confirmation.objects.filter(contact=contact),
        Departure.objects.filter(contact=contact),
        JobChangeSignal.objects.filter(contact=contact),
        FollowUp.objects.open().filter(contact=contact),
        DmuMembership.objects.filter(contact=contact).exclude(end_reason=DmuMembership.EndReason.MISTAKEN),
    )
    return contact.history.count() > 1 or any(rows.exists() for rows in used)


UNDO: dict[str, Callable[..., None]] = {
    "suppressed": _release,
    "suspected": _clear,
    "follow_up": _close,
    "follow_up_closed": _reopen,
    "departed": _return,
    "assigned": _take_role,
    "added": _take_away,
    "held_open": _hold_opened,
    "held_dismissed": _hold_dismissed,
}
