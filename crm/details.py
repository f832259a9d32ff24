"""Details: contacts are asked whether theirs are right, and answer by a signed link that is theirs alone.

The link names the contact and a secret of one request. It runs out, opens nothing but that contact's own details, and is
worth nothing once the request or the contact is gone, merged, erased or has left.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core import signing
from django.core.mail import get_connection
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Value
from django.db.models.functions import Coalesce, Lower, StrIndex, Substr
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from crm import contacts, deliverability, handovers, outgoing_mail, policy, privacy
from crm.errors import Conflict, CrmError, Invalid, LinkClosed, NotAllowed, NotSent
from crm.handovers import Judged
from crm.models import Contact, Delivery, DetailsRequest, MergedRecord, User

SALT = "crm.details"
# What the history says of a change that the person made: no user of ours did it.
SAID_SO = gettext_noop("said so by the link to their own details")
# What a person may correct by the link.
CORRECTABLE = ("given_name", "family_name", "job_title", "phone", "email")
REASONS = handovers.REASONS | {
    "unmailable": gettext_lazy("no mail may go to them"),
    "asked": gettext_lazy("they were asked a short while ago"),
    "shared": gettext_lazy("their address is shared by several people"),
}
# Makes the address of a page out of a token.
Link = Callable[[str], str]


# --- the link --------------------------------------------------------------------------------------


def token(request: DetailsRequest) -> str:
    """Make the secret part of a link."""
    return signing.dumps([request.contact_id, request.nonce], salt=SALT)


def opened(token: str, *, at: datetime) -> DetailsRequest:
    """Give the request that a link belongs to, with contact, person and account; raise LinkClosed for any other link."""
    contact_id, nonce = _read(token)
    request = DetailsRequest.objects.select_related("contact__person", "contact__account__owner").filter(nonce=nonce).first()
    if MergedRecord.objects.filter(model="crm.contact", folded_id=contact_id, merge__undone_at=None).exists():
        raise LinkClosed(_("Your details were brought together with another entry of yours."), code="merged")
    if request is None or request.contact_id != contact_id:
        raise LinkClosed(_("This link is not known to us."))
    if request.contact.erased_at or request.contact.person.erased_at:
        raise LinkClosed(_("Your details were erased."), code="erased")
    if at >= ends_at(request):
        raise LinkClosed(_("This link has run out."), code="expired")
    if request.contact.left_on is not None:
        raise LinkClosed(_("You no longer work there, as far as we know."), code="left")
    return request


def _read(token: str) -> tuple[int, str]:
    try:
        contact_id, nonce = signing.loads(token, salt=SALT)
        return int(contact_id), str(nonce)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise LinkClosed(_("This link is not known to us.")) from error


def ends_at(request: DetailsRequest) -> datetime:
    """Give the moment from which a link opens nothing any more."""
    return request.asked_at + timedelta(days=policy.DETAILS.link_days)


def language_of(contact: Contact) -> str:
    """Give the language in which we write to a contact: their own where we speak it, else English."""
    try:
        return translation.get_supported_language_variant(contact.person.language)
    except LookupError:
        return "en"


# --- the answers -----------------------------------------------------------------------------------


@transaction.atomic
def confirm(request: DetailsRequest, *, at: datetime) -> bool:
    """Record that the contact said the details are right; say whether it is the first time by this link."""
    answered(request, at=at)
    is_first = bool(DetailsRequest.objects.filter(pk=request.pk, confirmed_at=None).update(confirmed_at=at))
    if is_first:
        contacts.confirm_details(request.contact, at=at, because=SAID_SO)
    return is_first


@transaction.atomic
def correct(request: DetailsRequest, *, at: datetime, **changes: str) -> list[str]:
    """Write what the contact corrected, which confirms the rest; give the names of what changed.

    Raise Invalid, naming the fields, without a word on what others have.
    """
    contact = request.contact
    changed: dict[str, Any] = {
        name: value for name, value in changes.items() if name in CORRECTABLE and value.strip() != present(contact)[name]
    }
    if changed:
        try:
            contacts.correct(contact, at=at, because=SAID_SO, **changed)
        except Invalid as refusal:
            raise _discreet(refusal) from refusal
        # What they see now is what they say.
        DetailsRequest.objects.filter(pk=request.pk).update(confirmed_at=None)
    confirm(request, at=at)
    return sorted(changed)


def present(contact: Contact) -> dict[str, str]:
    """Give what a contact may correct as it is now, as text."""
    of = {"given_name": contact.person, "family_name": contact.person}
    return {name: str(getattr(of.get(name, contact), name) or "") for name in CORRECTABLE}


def _discreet(refusal: Invalid) -> Invalid:
    """Say nothing of who else has an address: it is nobody's business here."""
    if refusal.detail.get("email") != contacts.ADDRESS_TAKEN:
        return refusal
    sentence = _("We cannot take this address here. Answer our mail, and we change it for you.")
    return Invalid(sentence, detail=refusal.detail | {"email": sentence})


@transaction.atomic
def opt_out(request: DetailsRequest, *, at: datetime) -> None:
    """Send the contact no more mail, on their own word."""
    answered(request, at=at)
    privacy.opt_out(request.contact.person, at=at, because=SAID_SO)


@transaction.atomic
def opt_in(request: DetailsRequest, *, at: datetime) -> None:
    """Take the opt-out back, on the contact's own word."""
    answered(request, at=at)
    privacy.opt_in(request.contact.person, at=at, because=SAID_SO)


def answered(request: DetailsRequest, *, at: datetime) -> None:
    """Note that a request was answered, the first time; raise LinkClosed when the contact was erased or left meanwhile."""
    contact = Contact.objects.claimed().select_related("person").filter(pk=request.contact_id).first()
    if contact is None or contact.erased_at or contact.left_on:
        raise LinkClosed(_("This link opens nothing any more."))
    DetailsRequest.objects.filter(pk=request.pk, answered_at=None).update(answered_at=at)


# --- asking ----------------------------------------------------------------------------------------


def due(*, at: datetime) -> QuerySet[Contact]:
    """Give the contacts whose details are old, who may be mailed and were not lately, the oldest details first."""
    numbers = policy.DETAILS
    known_since = Coalesce("details_confirmed_at", "created_at")
    mailed = Delivery.objects.filter(contact=OuterRef("pk"), sent_at__gt=at - timedelta(days=numbers.after_mail_days))
    old = Contact.objects.mailable().annotate(known_since=known_since, role_name=_role_name())
    old = old.filter(known_since__lte=at - timedelta(days=numbers.unconfirmed_days), erased_at=None, departure_suspected_at=None)
    fresh = old.exclude(role_name__in=policy.MAIL.role_names).filter(~Exists(_asked_lately(at)), ~Exists(mailed))
    return fresh.select_related("person", "account").order_by("known_since", "pk")


def _asked_lately(at: datetime) -> QuerySet[DetailsRequest]:
    since = at - timedelta(days=policy.DETAILS.ask_every_days)
    return DetailsRequest.objects.filter(contact=OuterRef("pk"), asked_at__gt=since)


def _role_name() -> Substr:
    """Select what stands before the @, to which the names of functions are compared."""
    return Substr(Lower("email"), 1, StrIndex("email", Value("@")) - 1)


def ask(contact: Contact, *, link: Link, at: datetime, by: User | None = None, connection: Any = None) -> DetailsRequest:
    """Mail a contact the link to their details.

    Raise NotAllowed for who may not be mailed or shares an address, Conflict for who was asked a short while ago, NotSent
    when the mail server does not take it.
    """
    request = _begin(contact, at=at, by=by)
    try:
        _send(request, link(token(request)), at=at, connection=connection)
    except Exception:
        # Nothing went out: the next try may ask again. A worker that is killed here leaves the row, and nobody is asked twice.
        request.delete()
        raise
    return request


@transaction.atomic
def _begin(contact: Contact, *, at: datetime, by: User | None) -> DetailsRequest:
    row = Contact.objects.claimed().select_related("person", "account__owner").get(pk=contact.pk)
    if reason := _why_not([row.pk], at=at).get(row.pk):
        refusal = Conflict if reason == "asked" else NotAllowed
        raise refusal(_("%(contact)s is not asked: %(why)s.") % {"contact": row, "why": REASONS[reason]})
    return DetailsRequest.objects.create(contact=row, nonce=secrets.token_urlsafe(16), asked_at=at, asked_by=by)


def _why_not(ids: Sequence[int], *, at: datetime) -> dict[int, str]:
    """Map those of these contacts that are not to be asked to one of REASONS, in three queries."""
    contacts_ = Contact.objects.filter(pk__in=ids).order_by()
    mailable = set(contacts_.mailable().filter(erased_at=None).values_list("pk", flat=True))
    asked = set(contacts_.filter(Exists(_asked_lately(at))).values_list("pk", flat=True))
    shared = {pk for pk, email in contacts_.values_list("pk", "email") if deliverability.is_role_address(email)}
    reasons = {pk: "unmailable" for pk in ids if pk not in mailable}
    return dict.fromkeys(asked, "asked") | dict.fromkeys(shared, "shared") | reasons


def _send(request: DetailsRequest, address: str, *, at: datetime, connection: Any) -> None:
    """Write the mail in the contact's language, and send it; an answer reaches who asked, or else the account's owner."""
    contact = request.contact
    with translation.override(language_of(contact)):
        facts = {
            "contact": contact,
            "address": address,
            "by": request.asked_by,
            "until": date_format(policy.day_of(ends_at(request)), "j F Y"),
        }
        subject, text = (render_to_string(f"crm/mail/{name}.txt", facts).strip() for name in ("details_subject", "details"))
        html = render_to_string("crm/mail/details.html", facts)
    answers_to = request.asked_by or contact.account.owner
    outgoing_mail.send(
        contact,
        subject=subject,
        text=text,
        html=html,
        at=at,
        reply_to=answers_to.email if answers_to else "",
        # Mail programs offer this as their own button; they take nothing but https.
        unsubscribe_url=f"{address}/stop" if address.startswith("https://") else "",
        connection=connection,
    )


def judge_many(ids: Sequence[int], *, at: datetime, by: User) -> Judged:
    """Say which contacts would be asked, and how many not for which of REASONS; raise Invalid for too many."""
    at_most = policy.DETAILS.asked_at_once
    if len(ids) > at_most:
        raise Invalid(_("At most %(count)d at once: filter for fewer.") % {"count": at_most})
    reasons = _why_not(ids, at=at)
    return handovers.judged(Contact, ids, by, lambda row: reasons.get(row["pk"], ""))


def ask_many(ids: Sequence[int], *, link: Link, at: datetime, by: User) -> int:
    """Ask those of these contacts whom a user may ask, each judged again as it is mailed; give their number.

    Safe to repeat: who was asked is not asked again. Raise NotSent when the mail server takes nothing.
    """
    return _ask_each(judge_many(ids, at=at, by=by).chosen, link=link, at=at, by=by)


def campaign(*, link: Link, at: datetime, limit: int | None = None) -> int:
    """Ask the next contacts whose details are old, at most policy.DETAILS.asked_per_night of them; give their number.

    Raise NotSent when the mail server takes nothing; the rest waits for the next time.
    """
    at_most = policy.DETAILS.asked_per_night if limit is None else limit
    return _ask_each([contact.pk for contact in due(at=at)[:at_most]], link=link, at=at, by=None)


def _ask_each(ids: Sequence[int], *, link: Link, at: datetime, by: User | None) -> int:
    """Ask contacts over one connection; one that is refused by now is left out."""
    asked = 0
    with get_connection() as connection:
        for pk in ids:
            try:
                ask(Contact(pk=pk), link=link, at=at, by=by, connection=connection)
            except NotSent:
                raise
            except CrmError:
                continue
            asked += 1
    return asked
