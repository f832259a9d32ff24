"""Deliverability: what we mailed, the reports that come back, and the addresses that get no mail."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from crm import activity_changes, activity_kinds, bulk, errors, events, policy, return_path, verdicts
from crm.models import Activity, Contact, Delivery, DeliveryReport, IncomingReport, Suppression
from crm.models.deliverability import LASTING_OUTCOMES, Outcome

# Reports that say nothing final about the mail.
_PASSING = (Outcome.TEMPORARY, Outcome.NOT_A_BOUNCE)
_ID_LENGTH, _ADDRESS_LENGTH = 250, 254


@transaction.atomic
def record_sent(
    *, contact: Contact, at: datetime, message_id: str = "", provider_id: str = "", return_token: str = "", subject: str = ""
) -> Delivery:
    """Record a mail that went to a contact's present address; the same Message-ID or token gives the first row back."""
    if not contact.email:
        raise errors.Invalid(_("This contact has no address."), detail={"contact": _("This contact has no address.")})
    message_id = f"<{_bare(message_id)}>" if _bare(message_id) else ""
    to = {"account_id": contact.account_id, "contact": contact, "address": contact.email}
    facts = to | {"message_id": message_id, "provider_id": _id(provider_id), "return_token": return_token}
    facts |= {"subject": _text(subject, 200), "sent_at": at}
    same = {"return_token": return_token} if return_token else {"message_id": message_id, "address": contact.email}
    verdicts.hold([contact.account_id], [contact.pk])
    if not (return_token or message_id):
        delivery, is_new = Delivery.objects.create(**facts), True
    else:
        delivery, is_new = Delivery.objects.get_or_create(**same, defaults=facts)
    if is_new:
        _judge_again([(delivery, at)])
    return delivery


def name_sent(delivery: Delivery, *, provider_id: str) -> None:
    """Add the name under which a provider will report about a mail."""
    Delivery.objects.filter(pk=delivery.pk).update(provider_id=_id(provider_id))
    delivery.refresh_from_db()


def record_delivered(delivery: Delivery, *, at: datetime) -> Delivery:
    """Stamp a mail as arrived, the first time; a failure that was reported before stays on record."""
    record_arrivals([(delivery, at)])
    delivery.refresh_from_db()
    return delivery


@transaction.atomic
def record_arrivals(arrivals: Sequence[tuple[Delivery, datetime]]) -> None:
    """Stamp mails as arrived, as `record_delivered` does one; what that says of clicks and opens is judged once for all."""
    verdicts.hold([delivery.account_id for delivery, _at in arrivals], [delivery.contact_id for delivery, _at in arrivals])
    moments: dict[int, datetime] = {}
    for delivery, at in arrivals:
        moments.setdefault(delivery.pk, at)
    new = []
    for some in bulk.chunks(sorted(moments), policy.RECORDING.rows_per_statement):
        new += list(Delivery.objects.select_for_update().filter(pk__in=some, delivered_at=None).order_by("pk"))
    for mail in new:
        mail.delivered_at = moments[mail.pk]
    Delivery.objects.bulk_update(new, ["delivered_at"], batch_size=200)
    _judge_again([(mail, moments[mail.pk]) for mail in new])


def _judge_again(arrivals: Iterable[tuple[Delivery, datetime]]) -> None:
    """Have clicks and opens judged anew that came before we knew when their mail arrived."""
    touched = {verdicts.Touched(delivery.contact_id, moment) for delivery, at in arrivals for moment in (at, delivery.sent_at)}
    activity_changes.tell(verdicts.judge_again(touched))


@transaction.atomic
def record_report(
    *,
    source: str,
    external_id: str,
    recipient: str,
    outcome: str,
    evidence: str,
    at: datetime,
    message_id: str = "",
    provider_id: str = "",
    return_token: str = "",
    incoming: IncomingReport | None = None,
    says_left: bool = False,
    successor_name: str = "",
    successor_email: str = "",
) -> DeliveryReport:
    """Store what a source says of one recipient, once per source, id and recipient; a repetition gives the first row back.

    It counts only for a mail that we sent, named by token, Message-ID or provider's id, and only for the recipient
    we sent it to (a token alone may do without). Any other report stays unverified: no effect, no event. `says_left`: an
    automatic reply of the recipient's own says that the person left, and may name the successor.
    """
    if outcome not in Outcome.values:
        raise errors.Invalid(_("No such outcome."), detail={"outcome": _("No such outcome.")})
    recipient = _text(recipient.strip().lower(), _ADDRESS_LENGTH)
    (delivery,) = find_sent([Named(recipient, message_id, provider_id, return_token)], at=at)
    report, is_new = DeliveryReport.objects.get_or_create(
        source=source,
        external_id=_id(external_id),
        recipient=recipient,
        defaults={
            "outcome": outcome,
            "evidence": _text(evidence, policy.MAIL.evidence_characters),
            "reported_at": at,
            "delivery": delivery,
            "incoming": incoming,
            "says_left": says_left and bool(recipient),
            "successor_name": _text(successor_name.strip(), 200),
            "successor_email": _address(successor_email),
        },
    )
    if is_new and delivery:
        _apply(report, delivery, at=at)
    return report


class Named(NamedTuple):
    """The names by which a report may speak of a mail of ours, and whom it speaks of."""

    recipient: str
    message_id: str = ""
    provider_id: str = ""
    return_token: str = ""


def find_sent(named: Sequence[Named], *, at: datetime) -> list[Delivery | None]:
    """Find the mail of ours that each of these speaks of; the most telling name first, the newest mail of one name.

    A token proves it for ever, ids do for `policy.MAIL.proof_days`: whoever was sent a copy once knows them.
    """
    found: list[Delivery | None] = []
    for some in bulk.chunks([_comparable(one) for one in named], policy.RECORDING.rows_per_statement):
        found += _find_some(some, lately=at - timedelta(days=policy.MAIL.proof_days))
    return found


def _comparable(named: Named) -> Named:
    token = named.return_token.lower() if return_path.looks_like_ours(named.return_token) else _text(named.return_token, 64)
    recipient = _text(named.recipient.strip(), _ADDRESS_LENGTH).lower()
    return Named(recipient, _bare(named.message_id), _id(named.provider_id), token)


def _find_some(named: Sequence[Named], *, lately: datetime) -> list[Delivery | None]:
    bare = {one.message_id for one in named if one.recipient}
    by_token = _newest("return_token", {one.return_token for one in named})
    by_message = _newest("message_id", bare | {f"<{name}>" for name in bare if name}, sent_at__gte=lately)
    by_provider = _newest("provider_id", {one.provider_id for one in named if one.recipient}, sent_at__gte=lately)
    # A token alone may do without a recipient.
    tokens = by_token | {(token, ""): mail for (token, _address), mail in by_token.items()}

    def mail_of(one: Named) -> Delivery | None:
        names = ((tokens, one.return_token), (by_message, one.message_id), (by_provider, one.provider_id))
        mails = (mails.get((name, one.recipient)) for mails, name in names if name)
        return next((mail for mail in mails if mail and _is_proof(one.return_token, mail)), None)

    return [mail_of(one) for one in named]


def _newest(column: str, names: Collection[str], **more: object) -> dict[tuple[str, str], Delivery]:
    """Map each name and recipient to the newest mail that has both."""
    if not any(names):
        return {}
    # The index holds named mails only, and PostgreSQL does not see by itself that a long list names no empty one.
    rows = Delivery.objects.filter(**{f"{column}__in": names}, **more).exclude(**{column: ""})
    name_of = _bare if column == "message_id" else str
    return {(name_of(getattr(mail, column)), mail.address.lower()): mail for mail in reversed(rows)}


def _is_proof(token: str, delivery: Delivery) -> bool:
    """Refuse a token of our form, found on record, that our key did not make; other mailers' tokens stand as they were recorded."""
    is_named = bool(token) and delivery.return_token == token and return_path.looks_like_ours(token)
    return not is_named or return_path.is_genuine(token, delivery.address)


def _apply(report: DeliveryReport, delivery: Delivery, *, at: datetime) -> None:
    """Stamp the failed mail; a lasting outcome is never overwritten, and is told, as is a reply that says who left."""
    if report.says_left:
        events.tell(events.departure_told, delivery_report_id=report.pk)
    if report.outcome in _PASSING:
        return
    open_to_change = Delivery.objects.filter(pk=delivery.pk).exclude(outcome__in=LASTING_OUTCOMES)
    open_to_change.update(failed_at=Coalesce("failed_at", at), outcome=report.outcome)
    if report.outcome in LASTING_OUTCOMES:
        events.tell(events.delivery_failed, delivery_report_id=report.pk)


def worked_before(contact: Contact, *, before: datetime) -> bool:
    """Say whether mail demonstrably reached this person's address before a moment.

    Proof is a delivery to the present address that did not come back after all, or an open, click, reply or meeting of
    the person; not what a machine did, because scanners open mail for mailboxes that never were.
    """
    arrived = Delivery.objects.proven().filter(contact=contact, address__iexact=contact.email, delivered_at__lt=before)
    if arrived.exclude(outcome__in=LASTING_OUTCOMES).exists():
        return True
    proof = Activity.objects.filter(contact=contact, kind__in=activity_kinds.PROOF_OF_ADDRESS, machine_reason="")
    return proof.filter(occurred_at__lt=before).exists()


@transaction.atomic
def suppress(address: str, *, reason: str, at: datetime, note: str = "") -> Suppression:
    """Let an address get no mail, for a reason; while it holds for that reason, the first row is given back."""
    address = address.strip().lower()
    if not domain_of(address) or len(address) > _ADDRESS_LENGTH:
        raise errors.Invalid(_("This is no address."), detail={"address": _("This is no address.")})
    if reason not in Suppression.Reason.values:
        raise errors.Invalid(_("No such reason."), detail={"reason": _("No such reason.")})
    facts = {"since": at, "note": _text(note, 200)}
    suppression, is_new = Suppression.objects.get_or_create(address=address, reason=reason, released_at=None, defaults=facts)
    if is_new:
        _tell_accounts_of(address)
    return suppression


@transaction.atomic
def release(suppression: Suppression, *, at: datetime) -> Suppression:
    """Let an address get mail again, as far as this reason goes; released already, it keeps its moment."""
    if Suppression.objects.current().filter(pk=suppression.pk).update(released_at=at):
        _tell_accounts_of(suppression.address)
    suppression.refresh_from_db()
    return suppression


def _tell_accounts_of(address: str) -> None:
    accounts = _having(address).values_list("account", flat=True).distinct()
    if ids := sorted(accounts):
        events.tell(events.dmu_changed, account_ids=ids)


def _having(address: str) -> QuerySet[Contact]:
    return Contact.objects.at_address(address).order_by()


def may_mail(contact: Contact) -> bool:
    """Say whether mail may go to a contact at this moment: active, not opted out, with a good address that is not suppressed."""
    return Contact.objects.mailable().filter(pk=contact.pk).exists()


def domain_of(address: str) -> str:
    """Give the domain of an address in lower case; empty if it has none."""
    _local, has_at, domain = address.strip().rpartition("@")
    return domain.lower().strip(".") if has_at else ""


def is_role_address(address: str) -> bool:
    """Say whether a mailbox belongs to a function (info@, sales+nl@), so that its failure says nothing of a person."""
    local = address.strip().lower().rpartition("@")[0]
    return local.partition("+")[0] in policy.MAIL.role_names


def is_free_mail(address: str) -> bool:
    """Say whether the domain gives mailboxes to anybody, so that it names no company."""
    return domain_of(address) in policy.MAIL.free_domains


def _bare(message_id: str) -> str:
    """Give a Message-ID without the angle brackets that some sources leave out."""
    return _id(message_id.strip().strip("<>"))


def _id(text: str) -> str:
    """Fit an id from outside into its column; a longer one by its digest, so that two never become one."""
    text = _text(text.strip(), 10_000)
    return text if len(text) <= _ID_LENGTH - 2 else hashlib.sha256(text.encode()).hexdigest()


def _address(text: str) -> str:
    """Give an address from outside if it is one, else nothing."""
    text = _text(text.strip(), 1_000)
    try:
        validate_email(text)
    except ValidationError:
        return ""
    return text if len(text) <= _ADDRESS_LENGTH else ""


def _text(text: str, length: int) -> str:
    """Cut a text from outside to what a column takes; PostgreSQL refuses NUL, and no database stores half a character."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:length]
