"""Read a mail that came back: which kind it is, whom it is about, and which mail of ours it answers."""

import re
from collections.abc import Callable

from crm import policy
from crm.bounce_providers import auto_replies, complaints, statuses, texts
from crm.bounce_providers.contract import JOB_CHANGES, NOT_A_BOUNCE, Report
from crm.bounce_providers.mime import ADDRESS, Mail, open_mail, words

# Machine-readable parts say for sure what a mail is; words come after them.
_KINDS: tuple[Callable[[Mail], list[Report]], ...] = (complaints.read, statuses.read, auto_replies.read, texts.read)
_MESSAGE_ID = re.compile(r"<[^<>\s]{3,248}>")
_FROM_SERVER = re.compile(
    r"(mailer-daemon|postmaster)\b[^\n]*\n.{0,60}(undeliver|deliver|failure|returned|fail(ed|ure) notice)", re.IGNORECASE
)
_TO_HEADERS = ("x-original-to", "delivered-to", "envelope-to", "x-envelope-to", "x-rcpt-to", "to", "received")


def read(raw: bytes) -> list[Report]:
    """Give what a mail says of each recipient it names, as many as 200; one report without a recipient where it names none.

    Takes any bytes and raises nothing: what cannot be read is left out.
    """
    mail = _innermost(open_mail(raw))
    found = next(filter(None, (kind(mail) for kind in _KINDS)), [Report(label=NOT_A_BOUNCE)])
    message_id, token = _our_message_id(mail), return_token(mail)
    return [_finished(report, message_id=message_id, token=token) for report in found[:200]]


def _innermost(mail: Mail) -> Mail:
    """Give the report itself where a mailing list or a person passed it on whole: what it returns is a report."""
    if mail.statuses or mail.feedback or not mail.original:
        return mail
    if mail.original.get("content-type", "").partition(";")[0].strip().lower() != "multipart/report" and not _FROM_SERVER.search(
        mail.original.get("from", "") + "\n" + words(mail.original.get("subject", ""))
    ):
        return mail
    inner = open_mail(mail.returned)
    return inner._replace(headers={**inner.headers, **{name: value for name, value in mail.headers.items() if name in _TO_HEADERS}})


def _finished(report: Report, *, message_id: str, token: str) -> Report:
    return report._replace(
        recipient=_whole(report.recipient),
        sent_to=_whole(report.sent_to),
        message_id=_whole(report.message_id or message_id),
        return_token=_whole(token),
        evidence=_whole(" ".join(report.evidence[: 2 * policy.MAIL.evidence_characters].split())[: policy.MAIL.evidence_characters]),
        flag_job_change=report.flag_job_change or report.label in JOB_CHANGES,
        successor_name=_whole(report.successor_name),
        successor_email=_whole(report.successor_email),
    )


def _whole(text: str) -> str:
    """Replace halves of characters, which some encodings can smuggle in and nothing can write down."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _our_message_id(mail: Mail) -> str:
    """Find the Message-ID of ours: in the mail that was returned, else among those that this mail answers."""
    sources = (
        mail.original.get("message-id", ""),
        mail.headers.get("in-reply-to", ""),
        mail.headers.get("x-failed-message-id", ""),
        mail.headers.get("x-original-message-id", ""),
    )
    found = next((id_[0] for source in sources if (id_ := _MESSAGE_ID.search(source))), "")
    threads = _MESSAGE_ID.findall(mail.headers.get("references", ""))
    return found or (threads[-1] if threads else "")


def return_token(mail: Mail) -> str:
    """Find the token of our return path, bounces+<token>@domain: among the addresses that the mail came to, else in our own mail."""
    begins = f"{policy.MAIL.return_path}+"
    for value in (*(mail.headers.get(name, "") for name in _TO_HEADERS), mail.original.get("return-path", "")):
        for address in ADDRESS.findall(words(value)) if begins in value.lower() else ():
            local, _plus, token = address.rpartition("@")[0].partition("+")
            if token and local.lower() == policy.MAIL.return_path:
                return str(token)
    return ""
