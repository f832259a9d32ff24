"""Follow-ups: a rep's work items; at most one open item per reason and subject."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _
from simple_history.utils import bulk_create_with_history

from crm import policy
from crm.errors import Conflict, Invalid
from crm.models import Account, Contact, FollowUp, Opportunity, User


@dataclass(frozen=True)
class NewFollowUp:
    """One of many to open for the same reason; `about` and `facts` as `open` has them."""

    about: str
    owner: User | None
    account: Account | None = None
    facts: dict[str, object] = field(default_factory=dict)


def due_after(at: datetime, days: int) -> date:
    """Give the local day that lies so many days after a moment."""
    return policy.day_of(at) + timedelta(days=days)


def open(
    *,
    reason: str,
    owner: User | None,
    due_on: date,
    at: datetime,
    account: Account | None = None,
    contact: Contact | None = None,
    opportunity: Opportunity | None = None,
    about: str = "",
    text: str = "",
    facts: dict[str, object] | None = None,
) -> FollowUp:
    """Open a follow-up, or give back the open one of this reason about the same subject.

    `about` names the subject, e.g. 'contact:12'; empty for work that a person adds by hand, which needs a `text`.
    `facts` fill the sentence of a reason that the system opens.
    """
    if reason == FollowUp.Reason.BY_HAND and not text.strip():
        raise Invalid(_("Say what is to be done."), detail={"text": str(_("This may not be empty."))})
    known = _open_about(reason, about) if about else None
    if known:
        return known
    new = FollowUp(
        reason=reason,
        owner=owner,
        due_on=due_on,
        opened_at=at,
        account=account,
        contact=contact,
        opportunity=opportunity,
        subject_key=about,
        text=text.strip(),
        facts=facts or {},
    )
    return _save_or_find(new)


def _open_about(reason: str, about: str) -> FollowUp | None:
    return FollowUp.objects.open().filter(reason=reason, subject_key=about).first()


def _save_or_find(new: FollowUp) -> FollowUp:
    """Save a follow-up; when somebody opened the same one a moment earlier, give theirs."""
    try:
        with transaction.atomic():
            new.save()
    except IntegrityError:
        theirs = _open_about(new.reason, new.subject_key) if new.subject_key else None
        if theirs is None:
            raise
        return theirs
    return new


def open_many(rows: Iterable[NewFollowUp], *, reason: str, due_on: date, at: datetime) -> list[FollowUp]:
    """Open a follow-up for each subject that has none open for this reason, in a few statements; give those opened.

    When somebody opens one of them at the same moment, the unique key refuses the lot; it is tried again without that one.
    """
    left = {row.about: row for row in rows}
    while left := {about: left[about] for about in left.keys() - _open_among(reason, left)}:
        # In one order for everybody: of two calls at once, one waits for the other, and never both.
        new = [_as_follow_up(left[about], reason=reason, due_on=due_on, at=at) for about in sorted(left)]
        try:
            with transaction.atomic():
                opened: list[FollowUp] = bulk_create_with_history(new, FollowUp, default_date=at)
        except IntegrityError:
            if not _open_among(reason, left):
                raise
        else:
            return opened
    return []


def _open_among(reason: str, subjects: Iterable[str]) -> set[str]:
    same = FollowUp.objects.open().filter(reason=reason, subject_key__in=subjects)
    return set(same.values_list("subject_key", flat=True))


def _as_follow_up(row: NewFollowUp, *, reason: str, due_on: date, at: datetime) -> FollowUp:
    return FollowUp(
        reason=reason, subject_key=row.about, owner=row.owner, account=row.account, facts=row.facts, due_on=due_on, opened_at=at
    )


@transaction.atomic
def close(follow_up: FollowUp, *, at: datetime, by: User | None = None, result: str = "") -> FollowUp:
    """Close a follow-up; one that is closed already raises Conflict and stays as it is."""
    if not FollowUp.objects.open().filter(pk=follow_up.pk).update(closed_at=at):
        raise Conflict(_("This task is closed already."))
    follow_up.closed_at, follow_up.closed_by, follow_up.result = at, by, result.strip()
    follow_up.save(update_fields=["closed_at", "closed_by", "result"])
    return follow_up


def close_about(reason: str, about: str, *, at: datetime, by: User | None = None, result: str = "") -> FollowUp | None:
    """Close the open follow-up of a reason about a subject, if there is one."""
    known = _open_about(reason, about)
    return close(known, at=at, by=by, result=result) if known else None


@transaction.atomic
def reopen(follow_up: FollowUp, *, at: datetime) -> FollowUp:
    """Put a closed follow-up back to work; refuse when the same one was opened anew meanwhile."""
    if follow_up.subject_key and _open_about(follow_up.reason, follow_up.subject_key):
        raise Conflict(_("There is an open task for this already."))
    follow_up.closed_at, follow_up.closed_by, follow_up.result = None, None, ""
    follow_up.opened_at = min(follow_up.opened_at, at)
    follow_up.save(update_fields=["closed_at", "closed_by", "result", "opened_at"])
    return follow_up


@transaction.atomic
def change(follow_up: FollowUp, *, owner: User | None, due_on: date, text: str) -> FollowUp:
    """Give a follow-up to somebody else, put it off, or word it better; a closed one raises Conflict and stays as it is."""
    if follow_up.reason == FollowUp.Reason.BY_HAND and not text.strip():
        raise Invalid(_("Say what is to be done."), detail={"text": str(_("This may not be empty."))})
    if not FollowUp.objects.open().filter(pk=follow_up.pk).update(due_on=due_on):
        raise Conflict(_("This task is closed already."))
    follow_up.owner, follow_up.due_on, follow_up.text = owner, due_on, text.strip()
    follow_up.save(update_fields=["owner", "due_on", "text"])
    return follow_up
