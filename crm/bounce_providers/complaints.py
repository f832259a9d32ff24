"""What is about a mail and no bounce: complaints (RFC 5965), receipts (RFC 8098), and senders who ask for proof."""

import re

from crm.bounce_providers.contract import NOT_A_BOUNCE, Report
from crm.bounce_providers.mime import ADDRESS, Headers, Mail, parse_headers, words

_CHALLENGE = re.compile(
    r"\b(confirm|verify|authenticate|release|approve)\b.{0,60}\b(your|this|the) (e-?mail|message|mail|address|identity|sender)"
    r".{0,400}\b(click|reply|link|visit)|\btmda\b|challenge[ -/]?response|spam ?arrest|boxbe|awaiting (your )?(verification|confirmation)",
    re.IGNORECASE | re.DOTALL,
)
_CHALLENGING = re.compile(
    r"please confirm (your|delivery)|confirm your (message|e-?mail)|sender (verification|confirmation)|verification required|"
    r"awaiting (confirmation|verification)|your (message|e-?mail).{0,40}(requires|awaits|needs) (verification|confirmation)|\btmda\b",
    re.IGNORECASE,
)
# Servers that filter for their users (RFC 5429) refuse a mail in the form of a receipt.
_REJECTED = re.compile(r"(automatically|was|been) rejected|could not be (delivered|displayed)|refused by", re.IGNORECASE)


def read(mail: Mail) -> list[Report]:
    """Give the report of a complaint, a receipt or a challenge; nothing for any other mail."""
    if mail.feedback or "feedback-report" in mail.headers.get("content-type", ""):
        return [_complaint(mail)]
    if (mail.disposition or "disposition-notification" in mail.headers.get("content-type", "").lower()) and not _REJECTED.search(
        mail.text[:1_000]
    ):
        fields = parse_headers(mail.disposition.lstrip("\n"))
        return [
            Report(
                _address(fields, "final-recipient", "original-recipient"), NOT_A_BOUNCE, evidence=mail.text, message_id=_message_id(fields)
            )
        ]
    if _CHALLENGING.search(words(mail.headers.get("subject", ""))) and _CHALLENGE.search(mail.text[:4_000]):
        sender = ADDRESS.search(words(mail.headers.get("from", "")))
        return [Report(sender[0] if sender else "", NOT_A_BOUNCE, evidence=mail.text)]
    return []


def _complaint(mail: Mail) -> Report:
    """Read a feedback report: who complained stands in it, or is who our mail went to."""
    fields = parse_headers(mail.feedback.lstrip("\n"))
    recipient = _address(fields, "original-rcpt-to", "redacted-address", "removal-recipient")
    return Report(
        recipient or _address(mail.original, "to", "x-original-to", "delivered-to"), NOT_A_BOUNCE, evidence=mail.text or mail.feedback
    )


def _address(fields: Headers, *names: str) -> str:
    return next((found[0] for name in names if (found := ADDRESS.search(fields.get(name, "")))), "")


def _message_id(fields: Headers) -> str:
    return fields.get("original-message-id", "").strip()
