"""Reports that come back: stored first as they came, then read and given their effects, each exactly once."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from crm import activities, bounce_providers, deliverability, delivery_hooks, errors, policy, privacy, verdicts
from crm.bounce_providers.esp_events import Heard
from crm.models import Delivery, DeliveryReport, IncomingReport, Suppression
from crm.new_activities import NewActivity

MAIL = "mail"
ERROR_CHARACTERS = 500
logger = logging.getLogger(__name__)
Clock = Callable[[], datetime]


class _Left(TypedDict, total=False):
    """What an automatic reply adds to a report."""

    says_left: bool
    successor_name: str
    successor_email: str


# --- taking in -------------------------------------------------------------------------------------


def most_bytes() -> int:
    """Give how long a report may be."""
    return policy.MAIL.report_kilobytes * 1024


def refuse_too_large(size: int) -> None:
    """Raise TooLarge for a report of more bytes than are taken in."""
    if size > most_bytes():
        raise errors.TooLarge(_("A report may have %(bound)d kilobytes at most.") % {"bound": policy.MAIL.report_kilobytes})


def store(*, source: str, body: bytes, at: datetime, external_id: str = "") -> bool:
    """Keep a report until a worker reads it, and say whether it is new; without an id its digest is one.

    Raise TooLarge for one that is.
    """
    refuse_too_large(len(body))
    name = external_id if 0 < len(external_id) <= 250 else hashlib.sha256(body).hexdigest()
    _report, is_new = IncomingReport.objects.get_or_create(source=source, external_id=name, defaults={"body": body, "received_at": at})
    return is_new


# --- working off -----------------------------------------------------------------------------------


def work(*, clock: Clock, seconds: float = 20) -> bool:
    """Work off what waits, for so many seconds; say whether there is more to do.

    A worker claims a few, and writes the effects of each in one transaction with `done_at`: one that is killed loses and
    doubles nothing, and what it had claimed is somebody else's after `policy.MAIL.report_stalled_seconds`.
    """
    until = clock() + timedelta(seconds=seconds)
    while clock() < until:
        claimed_at = clock()
        claimed = _claim(at=claimed_at)
        if not claimed:
            return False
        for pk in claimed:
            _work_off(pk, claimed_at=claimed_at, at=clock())
    return _free(at=clock()).exists()


def _free(*, at: datetime) -> QuerySet[IncomingReport]:
    """Select what nobody is at, but for what was tried often enough."""
    silent = at - timedelta(seconds=policy.MAIL.report_stalled_seconds)
    unclaimed = Q(claimed_at=None) | Q(claimed_at__lt=silent)
    return IncomingReport.objects.waiting().filter(unclaimed, tries__lt=policy.MAIL.tries_per_report).exclude(body=b"")


@transaction.atomic
def _claim(*, at: datetime) -> list[int]:
    free = _free(at=at).select_for_update(skip_locked=True).order_by("pk")
    claimed = list(free.values_list("pk", flat=True)[: policy.MAIL.reports_per_chunk])
    IncomingReport.objects.filter(pk__in=claimed).update(claimed_at=at)
    return claimed


def _work_off(pk: int, *, claimed_at: datetime, at: datetime) -> None:
    """Give one report its effects; what one runs into is kept with it, the others go on, and it is tried again later."""
    mine = IncomingReport.objects.waiting().filter(pk=pk, claimed_at=claimed_at)
    # Counted before it begins: a report that no worker survives is given up in the end.
    if not mine.update(tries=F("tries") + 1):
        return
    try:
        with transaction.atomic():
            report = mine.select_for_update().first()
            if report is not None:
                _give_effect(report, at=at)
                mine.update(done_at=at, error="")
    except Exception as error:
        logger.exception("The incoming report %s cannot be worked off", pk)
        sentence = f"{type(error).__name__}: {error}".replace("\x00", "")[:ERROR_CHARACTERS]
        IncomingReport.objects.waiting().filter(pk=pk).update(error=sentence)


def try_again(report: IncomingReport) -> None:
    """Let a worker try again what was given up; raise Conflict for what is done, or was let go of."""
    again = IncomingReport.objects.waiting().filter(pk=report.pk).exclude(body=b"")
    if not again.update(tries=0, claimed_at=None, error=""):
        raise errors.Conflict(_("This report is worked off already, or too old."))
    report.refresh_from_db()


# --- effects ---------------------------------------------------------------------------------------


def _give_effect(report: IncomingReport, *, at: datetime) -> None:
    if report.source == MAIL:
        _hear_mail(report, at=at)
    else:
        _hear_events(report, delivery_hooks.read(report.source, bytes(report.body)), at=at)


def _hear_mail(report: IncomingReport, *, at: datetime) -> None:
    for said in bounce_providers.read(bytes(report.body)):
        record_mail(said, digest=report.external_id, at=at, incoming=report)


def record_mail(said: bounce_providers.Report, *, digest: str, at: datetime, incoming: IncomingReport | None = None) -> DeliveryReport:
    """Record what a mail says of one recipient, once, whichever way the mail came; `digest` is that of the mail.

    Where the mail was passed on, the address that we wrote to is the one that we know. An automatic reply that says
    who left speaks only of the mailbox that it came from.
    """
    return deliverability.record_report(
        source=MAIL,
        external_id=digest,
        recipient=said.sent_to or said.recipient,
        outcome=said.label,
        evidence=said.evidence,
        message_id=said.message_id,
        return_token=said.return_token,
        incoming=incoming,
        at=at,
        **_who_left(said),
    )


def _who_left(said: bounce_providers.Report) -> _Left:
    """Give what an automatic reply says of who left and who came instead; nothing of any other report."""
    if not (said.auto_reply and said.flag_job_change):
        return {}
    return {"says_left": True, "successor_name": said.successor_name, "successor_email": said.successor_email}


def _hear_events(report: IncomingReport, events: Sequence[Heard], *, at: datetime) -> None:
    """Give a provider's events their effects; of mail that we did not send, failures and complaints are kept, unverified."""
    # In one order: two batches at once then wait for each other, and not in a circle.
    in_order = sorted(enumerate(events), key=lambda pair: (pair[1].report.recipient, pair[1].provider_id, pair[0]))
    told = [(number, heard) for number, heard in in_order if heard.happened in _NEWS and heard.report.recipient]
    found = deliverability.find_sent([_named(heard) for _number, heard in told], at=at)
    news = [(number, heard, mail) for (number, heard), mail in zip(told, found, strict=True) if mail]
    verdicts.hold([delivery.account_id for *_heard, delivery in news], [delivery.contact_id for *_heard, delivery in news])
    deliverability.record_arrivals([(delivery, _moment(heard, at)) for _number, heard, delivery in news if heard.happened == "delivered"])
    reactions = [_reaction(report, *one, at) for one in news if one[1].happened != "delivered"]
    if reactions:
        activities.record_many(reactions, source=report.source, at=at)
    for number, heard in in_order:
        if not heard.happened or heard.happened in _ENDS:
            _record(report, heard, number, at)


def _named(heard: Heard) -> deliverability.Named:
    said = heard.report
    return deliverability.Named(said.recipient, said.message_id, heard.provider_id, said.return_token)


def _record(report: IncomingReport, heard: Heard, number: int, at: datetime) -> None:
    """Record a failure or a complaint; who complains of a mail of ours, or unsubscribes, gets no more."""
    said = heard.report
    recorded = deliverability.record_report(
        source=report.source,
        external_id=_id_of(report, heard, number),
        recipient=said.recipient,
        outcome=said.label,
        evidence=said.evidence,
        message_id=said.message_id,
        provider_id=heard.provider_id,
        return_token=said.return_token,
        incoming=report,
        at=at,
        **_who_left(said),
    )
    if recorded.delivery and heard.happened in _ENDS:
        deliverability.suppress(recorded.delivery.address, reason=_ENDS[heard.happened], at=_moment(heard, at), note=report.source)


def _reaction(report: IncomingReport, number: int, heard: Heard, delivery: Delivery, at: datetime) -> NewActivity:
    """Make an open or a click into an activity; whether a machine made it is judged as for any other."""
    return NewActivity(
        account_id=delivery.account_id,
        contact_id=delivery.contact_id,
        kind=_NEWS[heard.happened],
        occurred_at=_moment(heard, at),
        external_id=hashlib.sha256(_id_of(report, heard, number).encode("utf-8", "replace")).hexdigest(),
        subject=delivery.subject,
        message_id=delivery.message_id,
        link=heard.link.replace("\x00", ""),
        user_agent=heard.user_agent.replace("\x00", ""),
        machine_reason="mail_proxy" if heard.by_machine else "",
    )


# What tells that a mail arrived, and as which kind of activity it is recorded.
_NEWS = {"delivered": "", "opened": "email_open", "clicked": "email_click"}
# What ends our mail to an address.
_ENDS = {"complained": Suppression.Reason.COMPLAINED, "unsubscribed": Suppression.Reason.OPTED_OUT}


def _id_of(report: IncomingReport, heard: Heard, number: int) -> str:
    """Give what makes one event of a batch one event, however often the provider tells of it."""
    return heard.event_id or f"{report.external_id}#{number}"


def _moment(heard: Heard, at: datetime) -> datetime:
    """Give when it happened, by the provider's clock; never later than now."""
    return min(heard.occurred_at or at, at)


# --- letting go ------------------------------------------------------------------------------------


def let_go(*, at: datetime) -> int:
    """Forget the bodies of old reports, worked off or not, and in the end the reports; give how many."""
    raw_before = at - timedelta(days=policy.RETENTION.raw_report_days)
    old = IncomingReport.objects.filter(received_at__lt=at - timedelta(days=policy.RETENTION.delivery_report_days))
    bodies = IncomingReport.objects.filter(received_at__lt=raw_before).exclude(body=b"")
    return privacy.in_batches(bodies, lambda ids: _rows(ids).update(body=b"", error="")) + privacy.in_batches(
        old, lambda ids: _rows(ids).delete()
    )


def _rows(ids: Iterable[int]) -> QuerySet[IncomingReport]:
    return IncomingReport.objects.filter(pk__in=ids)


def _about(contact_ids: Sequence[int]) -> QuerySet[IncomingReport]:
    """Select the reports that speak of these contacts: by our mail to them, or by their addresses."""
    theirs = Q(delivery__contact__in=contact_ids) | Q(recipient__in=privacy.addresses_of(contact_ids))
    return IncomingReport.objects.filter(pk__in=DeliveryReport.objects.filter(theirs).exclude(incoming=None).values("incoming"))


def _export(contact_ids: Sequence[int], /) -> list[dict[str, Any]]:
    """Give what came in about these contacts; of a batch, which speaks of others too, only that it came: `delivery_reports` holds theirs."""
    rows = _about(contact_ids).values("id", "source", "received_at", "body")
    return [row | {"body": bytes(row["body"]).decode(errors="replace") if row["source"] == MAIL else ""} for row in rows]


def _erase(contact_ids: Sequence[int], /, *, at: datetime) -> None:
    _about(contact_ids).update(body=b"", error="")


def register() -> None:
    """Have what is kept here exported, erased and let go of; called once at start, after crm's own registrations."""
    privacy.register("incoming_reports", export=_export, erase=_erase)
    privacy.retain_also("incoming_reports", let_go)
