"""Automatic replies (RFC 3834): whether a person left, and who took over; anything else is an absence."""

import re

from crm.bounce_providers.contract import NOT_A_BOUNCE, Report
from crm.bounce_providers.mime import ADDRESS, Mail, words
from crm.bounce_providers.texts import from_mail_server

_SUBJECT = re.compile(
    r"^\W*(?:(?:re|aw|antw?|sv|tr)\s*:\s*)?(?:auto(?:matic|mated|matische[rs]?|matisch|matisk|m[aá]tica?|matica|response|[- ]?reply|[- ]?responder|[- ]?antwoord|[- ]?re)?\b|"
    r"out of (?:the )?office|ooo\b|away\b|on (?:vacation|holiday|leave)|vacation|absent|abwesen|afwezig|absence|r[eé]ponse automatique|"
    r"respuesta autom|risposta autom|resposta autom|fuera de|fuori|odpowied|自動)",
    re.IGNORECASE,
)


def read(mail: Mail) -> list[Report]:
    """Give the report of an automatic reply: its recipient is the person in whose name it comes; nothing for other mail."""
    if not is_automatic(mail):
        return []
    found = ADDRESS.search(words(mail.headers.get("from", "")))
    return [Report(found[0] if found else "", NOT_A_BOUNCE, evidence=mail.text, auto_reply=True)]


def is_automatic(mail: Mail) -> bool:
    """Say whether a mailbox answered by itself, and not a mail server about a mail that failed."""
    headers = mail.headers
    if from_mail_server(mail):
        return False
    submitted = headers.get("auto-submitted", "").partition(";")[0].strip().lower()
    return (
        submitted not in {"", "no"}
        or "auto" in headers.get("precedence", "").lower()
        or any(
            name in headers
            for name in ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply", "x-autoreply-from", "x-auto-replied")
        )
        or bool(_SUBJECT.search(words(headers.get("subject", ""))))
    )
