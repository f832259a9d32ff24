"""Leavings: what contacts say themselves about the day they leave and who comes after, kept until that day."""

from datetime import date, datetime, timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from abm import job_changes
from abm.models import AnnouncedLeaving, JobChangeSignal, SignalEvidence
from crm import details, follow_ups, policy
from crm.errors import Conflict, Invalid
from crm.models import Contact, DetailsRequest, FollowUp

WAITING = (JobChangeSignal.Status.OPEN, JobChangeSignal.Status.HELD)


def standing(contact: Contact) -> AnnouncedLeaving | None:
    """Give what a contact announced, as long as nobody took it back or decided on it."""
    said = AnnouncedLeaving.objects.filter(contact=contact, taken_back_at=None).select_related("signal")
    return next((row for row in said[:5] if row.signal is None or row.signal.status in WAITING), None)


@transaction.atomic
def announce(
    request: DetailsRequest, *, leaves_on: date, at: datetime, successor_name: str = "", successor_email: str = ""
) -> AnnouncedLeaving:
    """Keep that a contact leaves, on their own word; said twice, the last word counts.

    A day to come is a task for the account's owner and opens a signal when it comes; one that has come opens it at once.
    `leaves_on` is the first day on which they no longer work there. Raise Invalid, naming the fields.
    """
    said = {"leaves_on": leaves_on, "successor_name": successor_name.strip()[:200], "successor_email": successor_email.strip()}
    _refuse(leaves_on, str(said["successor_email"]), at=at)
    # Accounts are claimed before their contacts, as whoever decides a signal does.
    job_changes.claim(request.contact.account_id)
    details.answered(request, at=at)
    before = standing(request.contact)
    if before is not None:
        if all(getattr(before, name) == value for name, value in said.items()):
            return before
        _take_back(before, at=at)
    leaving = AnnouncedLeaving.objects.create(contact=request.contact, said_at=at, **said)
    if leaves_on <= policy.day_of(at):
        _open(leaving, at=at)
    else:
        _announce_to_owner(leaving, at=at)
    return leaving


def _refuse(leaves_on: date, successor_email: str, *, at: datetime) -> None:
    wrong: dict[str, object] = {}
    reach = timedelta(days=policy.DETAILS.leaving_within_days)
    if not policy.day_of(at) - reach <= leaves_on <= policy.day_of(at) + reach:
        wrong["leaves_on"] = _("This day is very far off. Is the year right?")
    try:
        validate_email(successor_email or "nobody@example.com")
    except ValidationError:
        wrong["successor_email"] = _("This is no address, such as name@company.com.")
    if wrong:
        raise Invalid(" ".join(map(str, wrong.values())), detail=wrong)


def _open(leaving: AnnouncedLeaving, *, at: datetime) -> None:
    """Open the signal of a leaving whose day has come, or add the word to the open one."""
    contact = leaving.contact
    with translation.override(_owners_language(contact)):
        day = date_format(leaving.leaves_on, "SHORT_DATE_FORMAT")
        text = _("Says on the details page: I leave on %(day)s.") % {"day": day}
        result = _("The day has come: the signal says the rest.")
    leaving.signal = job_changes.suspect(
        contact,
        source=SignalEvidence.Source.CONTACT,
        key=_key(leaving),
        text=text,
        at=at,
        successor_name=leaving.successor_name,
        successor_email=leaving.successor_email,
    )
    leaving.save(update_fields=["signal"])
    follow_ups.close_about(FollowUp.Reason.LEAVES_SOON, _about(contact), at=at, result=result)


def _owners_language(contact: Contact) -> str:
    """Give the language in which the account's owner reads; what is said goes on record once, in that one."""
    return getattr(contact.account.owner, "language", "") or "en"


def _key(leaving: AnnouncedLeaving) -> str:
    return f"leaving:{leaving.pk}"


def _about(contact: Contact) -> str:
    return f"contact:{contact.pk}"


def _announce_to_owner(leaving: AnnouncedLeaving, *, at: datetime) -> None:
    """Have the account's owner meet the successor while the contact is still there."""
    contact = leaving.contact
    follow_ups.open(
        reason=FollowUp.Reason.LEAVES_SOON,
        owner=contact.account.owner,
        due_on=min(leaving.leaves_on, follow_ups.due_after(at, policy.FOLLOW_UPS.details_days)),
        at=at,
        account=contact.account,
        contact=contact,
        about=_about(contact),
        facts={"leaves_on": leaving.leaves_on.isoformat()},
    )


@transaction.atomic
def take_back(request: DetailsRequest, *, at: datetime) -> bool:
    """Take back what a contact announced, on their own word; say whether there was something.

    A signal that rests on that word alone is withdrawn with all it did; what else speaks for one stays for a person to judge.
    """
    job_changes.claim(request.contact.account_id)
    details.answered(request, at=at)
    leaving = standing(request.contact)
    if leaving is None:
        return False
    _take_back(leaving, at=at)
    return True


def _take_back(leaving: AnnouncedLeaving, *, at: datetime) -> None:
    if not AnnouncedLeaving.objects.filter(pk=leaving.pk, taken_back_at=None).update(taken_back_at=at):
        raise Conflict(_("This was taken back already."))
    with translation.override(_owners_language(leaving.contact)):
        text = _("Says on the details page: it was a mistake, I stay.")
    follow_ups.close_about(FollowUp.Reason.LEAVES_SOON, _about(leaving.contact), at=at, result=text)
    signal = leaving.signal
    if signal is None:
        return
    if signal.evidence.exclude(key__startswith="leaving:").exists():
        SignalEvidence.objects.create(
            signal=signal, source=SignalEvidence.Source.CONTACT, key=f"{_key(leaving)}:back", text=text, seen_at=at
        )
    else:
        job_changes.withdraw(signal, at=at)


def act(*, at: datetime, limit: int) -> int:
    """Open the signals of leavings whose day has come, at most `limit` of them; give their number."""
    waiting = AnnouncedLeaving.objects.filter(signal=None, taken_back_at=None, leaves_on__lte=policy.day_of(at))
    here = waiting.filter(contact__left_on=None, contact__erased_at=None)
    # In the order in which accounts are claimed everywhere.
    ids = list(here.order_by("contact__account_id", "pk").values_list("pk", "contact__account_id")[:limit])
    return sum(_act_on(here, pk, account_id, at=at) for pk, account_id in ids)


@transaction.atomic
def _act_on(here: QuerySet[AnnouncedLeaving], pk: int, account_id: int, *, at: datetime) -> bool:
    """Open the signal of one of them, unless it was taken back before we had its account."""
    job_changes.claim(account_id)
    leaving = here.select_related("contact__account__owner", "contact__person").filter(pk=pk).first()
    if leaving is not None:
        _open(leaving, at=at)
    return leaving is not None
