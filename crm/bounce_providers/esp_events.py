"""Events of mail providers: what one says of one recipient, by the same classifier as returned mail.

The text of the receiving server decides; the provider's category is only a hint, because providers call greylisting,
full mailboxes and block lists 'bounced', and mailboxes that are gone 'deferred'. What a provider did not even try to
deliver is no new evidence.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parseaddr
from typing import Any, NamedTuple

from crm import policy, return_path
from crm.bounce_providers import auto_replies
from crm.bounce_providers.classifier import codes, judge
from crm.bounce_providers.contract import (
    BLOCKED_POLICY,
    CONTENT,
    JOB_CHANGES,
    MAILBOX_FULL,
    MAILBOX_MOVED,
    NOT_A_BOUNCE,
    OTHER,
    PERSON_GONE,
    TEMPORARY,
    Report,
)
from crm.bounce_providers.mime import open_mail


class Heard(NamedTuple):
    """What one event says: the report, and what a mail does not have.

    `happened` is '' for a failure or a refusal, else delivered, opened, clicked, complained, unsubscribed, ignored, or
    unknown for what the provider had not invented when this was written;
    `event_id` is unique at the provider, or empty; `by_machine` is set where the provider itself says so.
    """

    report: Report
    happened: str = ""
    provider_id: str = ""
    event_id: str = ""
    occurred_at: datetime | None = None
    link: str = ""
    user_agent: str = ""
    by_machine: bool = False


class Found(NamedTuple):
    """What a provider's event holds on a failure, in the words of the receiving server, and the provider's own verdict."""

    text: str = ""
    status: str = ""
    smtp_code: str = ""
    hint: str = ""
    # Set where no text can change it: suppressed, or no bounce at all.
    verdict: str = ""
    message_id: str = ""
    event_id: str = ""
    return_path: str = ""
    by_machine: bool = False
    # Set where anymail's word for what happened is not ours.
    happened: str | None = None
    # What a mailbox answered by itself: the whole mail, or only its words.
    answer: str = ""


# --- the providers' own words ----------------------------------------------------------------------

# https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html#bounce-types
_SES_HINTS = {
    ("Transient", "MailboxFull"): MAILBOX_FULL,
    ("Transient", "MessageTooLarge"): CONTENT,
    ("Transient", "ContentRejected"): CONTENT,
    ("Transient", "AttachmentRejected"): CONTENT,
    ("Transient", "CustomTimeoutExceeded"): TEMPORARY,
    # Usually an out-of-office reply, says the same page.
    ("Transient", "General"): OTHER,
}
_SES_NOT_TRIED = {"Suppressed", "OnAccountSuppressionList", "OnTenantSuppressionList", "UnsubscribedRecipient", "EmailValidationFailed"}
# https://www.twilio.com/docs/sendgrid/ui/analytics-and-reporting/bounce-and-block-classifications
_SENDGRID_HINTS = {
    "invalid address": PERSON_GONE,
    "technical": TEMPORARY,
    "content": CONTENT,
    "reputation": BLOCKED_POLICY,
    "frequency or volume too high": TEMPORARY,
    "frequency or volume": TEMPORARY,
    "mailbox unavailable": OTHER,
}
# https://documentation.mailgun.com/docs/mailgun/user-manual/events/events: 'reason' of a failed event
_MAILGUN_HINTS = {"greylisted": TEMPORARY, "old": TEMPORARY, "espblock": BLOCKED_POLICY}
_MAILGUN_NOT_TRIED = {605, 606, 607}
# https://postmarkapp.com/developer/api/bounce-api#bounce-types
_POSTMARK_HINTS = {
    "BadEmailAddress": PERSON_GONE,
    "Transient": TEMPORARY,
    "DnsError": TEMPORARY,
    "SoftBounce": OTHER,
    "SpamNotification": BLOCKED_POLICY,
    "VirusNotification": CONTENT,
    "Blocked": BLOCKED_POLICY,
    "DMARCPolicy": BLOCKED_POLICY,
}
_POSTMARK_VERDICTS = {
    "AddressChange": MAILBOX_MOVED,
    "AutoResponder": NOT_A_BOUNCE,
    "ChallengeVerification": NOT_A_BOUNCE,
    "OpenRelayTest": NOT_A_BOUNCE,
    "SpamComplaint": NOT_A_BOUNCE,
    "Subscribe": NOT_A_BOUNCE,
    "Unsubscribe": NOT_A_BOUNCE,
    "ManuallyDeactivated": OTHER,
    "ManualSuppression": OTHER,
    "Unconfirmed": OTHER,
    "SMTPApiError": OTHER,
    "InboundError": OTHER,
    "TemplateRenderingFailed": OTHER,
}
# https://developers.brevo.com/docs/transactional-webhooks
_BREVO_HINTS = {"invalid_email": PERSON_GONE, "soft_bounce": TEMPORARY, "deferred": TEMPORARY}
_BREVO_VERDICTS = {"blocked": OTHER, "error": OTHER, "spam": NOT_A_BOUNCE, "complaint": NOT_A_BOUNCE}

# What anymail calls an event, where it is no failure.
_HAPPENED = {
    "delivered": "delivered",
    "opened": "opened",
    "clicked": "clicked",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
    "sent": "ignored",
    "queued": "ignored",
    "subscribed": "ignored",
    "unknown": "unknown",
}


# --- one event -------------------------------------------------------------------------------------


def read(provider: str, event: Any) -> Heard:
    """Make one event, as django-anymail gives it, into what it says of its recipient; never raises for odd values."""
    raw = event.esp_event if isinstance(event.esp_event, Mapping) else {}
    found = _FINDERS[provider](raw, event)
    happened = _HAPPENED.get(event.event_type, "") if found.happened is None else found.happened
    if happened in ("opened", "clicked") and _is_of_several(provider, raw):
        happened = "ignored"
    told = _text(event.message_id)
    return Heard(
        report=_report(found, event, told, is_failure=not happened),
        happened=happened,
        provider_id=told,
        event_id=found.event_id,
        occurred_at=event.timestamp if isinstance(event.timestamp, datetime) and event.timestamp.tzinfo else None,
        link=_text(event.click_url),
        user_agent=_text(event.user_agent),
        by_machine=found.by_machine,
    )


def _report(found: Found, event: Any, told: str, *, is_failure: bool) -> Report:
    label = found.verdict or (_judged(found) if is_failure else NOT_A_BOUNCE)
    recipient = parseaddr(_text(event.recipient))[1].lower()
    report = Report(
        recipient=recipient,
        label=label,
        status=found.status,
        smtp_code=found.smtp_code,
        evidence=(found.text or _text(event.description))[: policy.MAIL.evidence_characters],
        message_id=found.message_id or (told if "@" in told else ""),
        return_token=return_path.token_in(found.return_path),
        flag_job_change=label in JOB_CHANGES,
    )
    return _with_answer(report, found.answer) if found.answer else report


def _with_answer(report: Report, answer: str) -> Report:
    """Add what a mailbox answered by itself: whether its owner left, and who took over; only what it says of itself counts."""
    answered = answer.encode("utf-8", "replace")
    mail = open_mail(answered)
    if "from" not in mail.headers:
        mail = mail._replace(headers={"from": report.recipient}, text=answered.decode())
    said = auto_replies.answered(mail)
    if said.recipient.lower() != report.recipient:
        return report._replace(auto_reply=True)
    return report._replace(
        evidence=said.evidence[: policy.MAIL.evidence_characters],
        auto_reply=True,
        flag_job_change=said.flag_job_change,
        successor_name=said.successor_name,
        successor_email=said.successor_email,
    )


def _judged(found: Found) -> str:
    """Ask the classifier; without a word of the receiving server the provider's category is all there is, and no proof."""
    if not (found.text or found.status):
        return found.hint if found.hint not in JOB_CHANGES | {""} else OTHER
    label = judge(found.text, status=found.status, smtp_code=found.smtp_code, hint=found.hint)
    # The provider goes on trying, and the server says 'not now': a server that verifies addresses first calls anybody unknown.
    is_held_up = found.hint == TEMPORARY and (found.smtp_code or codes(found.text)[0])[:1] == "4"
    return TEMPORARY if is_held_up and label in JOB_CHANGES else label


def _is_of_several(provider: str, raw: Mapping[str, Any]) -> bool:
    """SES does not say which of a mail's recipients opened it."""
    return provider == "amazon_ses" and len(_list(_dict(raw.get("mail")).get("destination"))) > 1


# --- where each provider keeps it ------------------------------------------------------------------


def _ses(raw: Mapping[str, Any], event: Any) -> Found:
    mail, bounce = _dict(raw.get("mail")), _dict(raw.get("bounce"))
    headers = {_text(_dict(one).get("name")).lower(): _text(_dict(one).get("value")) for one in _list(mail.get("headers"))}
    common = Found(message_id=headers.get("message-id", ""), return_path=_text(mail.get("source")), event_id=_text(event.event_id))
    if raw.get("reject") or raw.get("failure"):
        return common._replace(verdict=CONTENT if raw.get("reject") else OTHER, happened="")
    if raw.get("deliveryDelay"):
        return _ses_delay(common, _dict(raw["deliveryDelay"]), event)
    if not bounce:
        return common
    kind, sub = _text(bounce.get("bounceType")), _text(bounce.get("bounceSubType"))
    mine = _ses_recipient(bounce.get("bouncedRecipients"), event) or {}
    return common._replace(
        text=_text(mine.get("diagnosticCode")),
        status=_text(mine.get("status")),
        hint=_SES_HINTS.get((kind, sub), OTHER),
        verdict=OTHER if sub in _SES_NOT_TRIED else "",
    )


def _ses_delay(common: Found, delay: Mapping[str, Any], event: Any) -> Found:
    """Read what holds a mail up; SES goes on trying, and tells with a bounce when it gives up. Anymail names all recipients."""
    mine = _ses_recipient(delay.get("delayedRecipients"), event)
    if mine is None:
        return common._replace(happened="ignored")
    text, status = _text(mine.get("diagnosticCode")), _text(mine.get("status"))
    return common._replace(text=text, status=status, verdict=TEMPORARY, happened="")


def _ses_recipient(recipients: object, event: Any) -> Mapping[str, Any] | None:
    """Find what is said of the event's recipient; None where others are meant."""
    return next((one for one in map(_dict, _list(recipients)) if one.get("emailAddress") == event.recipient), None)


def _sendgrid(raw: Mapping[str, Any], event: Any) -> Found:
    is_blocked = _text(raw.get("type")) == "blocked"
    hint = _SENDGRID_HINTS.get(_text(raw.get("bounce_classification")).lower(), "")
    name = _text(raw.get("event"))
    fallback = {"deferred": TEMPORARY, "bounce": BLOCKED_POLICY if is_blocked else OTHER}.get(name, "")
    return Found(
        text=_text(raw.get("reason") or raw.get("response")) if name in ("bounce", "deferred") else "",
        status=_text(raw.get("status")) if name == "bounce" else "",
        hint=hint or fallback,
        verdict=OTHER if name == "dropped" else "",
        message_id=_text(raw.get("smtp-id")),
        event_id=_text(raw.get("sg_event_id")),
        by_machine=raw.get("sg_machine_open") is True,
    )


def _mailgun(raw: Mapping[str, Any], _event: Any) -> Found:
    data = _dict(raw.get("event-data"))
    status, reason = _dict(data.get("delivery-status")), _text(data.get("reason"))
    code = status.get("code")
    is_failure = data.get("event") in ("failed", "rejected")
    not_tried = is_failure and (reason.startswith("suppress-") or code in _MAILGUN_NOT_TRIED or data.get("event") == "rejected")
    words = dict.fromkeys(filter(None, [_text(status.get("message")), _text(status.get("description"))]))
    smtp_code = str(code) if isinstance(code, int) and 200 <= code < 560 and code not in (498, 499) else ""
    fallback = TEMPORARY if data.get("severity") == "temporary" else OTHER
    return Found(
        text=" ".join([smtp_code, *words]).strip() if is_failure and words else "",
        status=_text(status.get("enhanced-code") or status.get("bounce-code")) if is_failure else "",
        smtp_code=smtp_code if is_failure else "",
        hint=_MAILGUN_HINTS.get(reason, fallback),
        verdict=OTHER if not_tried else "",
        event_id=_text(data.get("id")),
        return_path=_text(_dict(data.get("envelope")).get("sender")),
    )


def _postmark(raw: Mapping[str, Any], _event: Any) -> Found:
    kind, name = _text(raw.get("Type")), _text(raw.get("RecordType"))
    if name not in ("Bounce", "SpamComplaint"):
        return Found()
    return Found(
        text=_text(raw.get("Details")),
        hint=_POSTMARK_HINTS.get(kind, OTHER),
        verdict=_POSTMARK_VERDICTS.get(kind, ""),
        # The hook carries the whole reply where it is set to include the content, else a line of it.
        answer=(_text(raw.get("Content")) or _text(raw.get("Details"))) if kind == "AutoResponder" else "",
        event_id=f"{name} {raw['ID']}" if isinstance(raw.get("ID"), int) else "",
        # The receiver took it for spam; that is no complaint of the person.
        happened="" if kind in ("SpamNotification", "Unknown") else None,
    )


def _brevo(raw: Mapping[str, Any], _event: Any) -> Found:
    name, text = _text(raw.get("event")), _text(raw.get("reason")).strip()
    # Brevo's own refusals have no reply of a server; one that has was refused there.
    is_own = not _REPLY.search(text)
    return Found(
        text=text,
        hint=_BREVO_HINTS.get(name, OTHER),
        verdict=_BREVO_VERDICTS.get(name, "") if is_own or name in ("spam", "complaint") else "",
        by_machine="proxy_open" in name,
    )


_REPLY = re.compile(r"\b[45]\d\d[ -]|\b[45]\.\d{1,3}\.\d{1,3}\b")
_FINDERS = {"amazon_ses": _ses, "sendgrid": _sendgrid, "mailgun": _mailgun, "postmark": _postmark, "brevo": _brevo}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
