"""Mail that we send to contacts: with a return path that proves what comes back, and on record before it goes.

Nothing here answers mail that came in: an automatic reply is never replied to, so no two machines can talk in circles.
"""

from datetime import datetime
from email.utils import make_msgid, parseaddr
from typing import Any
from urllib.parse import urlsplit

from django.core.mail import EmailMultiAlternatives
from django.utils.translation import gettext_lazy as _

from crm import deliverability, errors, return_path
from crm.models import Contact, Delivery

# What a mail server that is down, refuses, or does not exist raises; smtplib's own errors are among them.
_NOT_TAKEN = (OSError, ValueError)


def send(
    contact: Contact,
    *,
    subject: str,
    text: str,
    at: datetime,
    html: str = "",
    sender: str = "",
    reply_to: str = "",
    unsubscribe_url: str = "",
    is_automatic: bool = True,
    connection: Any = None,
) -> Delivery:
    """Send a mail to a contact's present address and give its record, by which whatever comes back is known.

    `sender` stands in From, the organisation's own unless given; it returns to an address of ours all the same.
    `unsubscribe_url` is a https address that takes a POST (RFC 8058): with it the mail may be one of many.
    `is_automatic`: no person wrote it just now (RFC 3834). Raise NotAllowed for who may not be mailed, Invalid for an
    address or a subject that cannot be, NotSent when the mail server does not take it; nothing is on record then.
    """
    if not deliverability.may_mail(contact):
        raise errors.NotAllowed(_("No mail may go to %(contact)s: opted out, gone, or no good address.") % {"contact": contact})
    # Somebody may have corrected the address since the caller read it.
    contact.refresh_from_db(fields=["email"])
    _refuse_url(unsubscribe_url)
    _refuse_breaks(subject, sender, reply_to)
    token = return_path.make_token(contact.email)
    message_id = make_msgid(domain=return_path.SENDER.domain)
    delivery = deliverability.record_sent(contact=contact, at=at, message_id=message_id, return_token=token, subject=subject)
    mail = EmailMultiAlternatives(
        subject=subject,
        body=text,
        # The envelope's sender; what people see is the header.
        from_email=return_path.address_of(token),
        to=[contact.email],
        reply_to=[reply_to] if reply_to else None,
        headers={"From": sender or return_path.SENDER.address, "Message-ID": message_id}
        | _marks(unsubscribe_url, is_automatic=is_automatic),
        connection=connection,
    )
    if html:
        mail.attach_alternative(html, "text/html")
    return _hand_over(mail, delivery)


def _marks(unsubscribe_url: str, *, is_automatic: bool) -> dict[str, str]:
    """Give the headers by which other machines know what this is, so that they do not answer and people can end it."""
    marks = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "OOF, DR, RN, NRN"} if is_automatic else {}
    if unsubscribe_url:
        marks |= {"List-Unsubscribe": f"<{unsubscribe_url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return marks


def _hand_over(mail: EmailMultiAlternatives, delivery: Delivery) -> Delivery:
    """Give a mail to the mail server; on record first, because a bounce may be faster than our commit."""
    try:
        taken = mail.send()
    except _NOT_TAKEN as error:
        delivery.delete()
        raise errors.NotSent(_("The mail server did not take the mail: %(error)s") % {"error": error}) from error
    if not taken:
        delivery.delete()
        raise errors.NotSent(_("The mail server did not take the mail."))
    # A provider that anymail talks to gives the mail a name of its own, by which it reports.
    status = getattr(mail, "anymail_status", None)
    if status is not None and isinstance(status.message_id, str):
        deliverability.name_sent(delivery, provider_id=status.message_id)
    return delivery


def _refuse_url(url: str) -> None:
    if url and (urlsplit(url).scheme != "https" or any(sign in url for sign in "<> \r\n\t")):
        raise errors.Invalid(
            _("The address to unsubscribe must begin with https://."), detail={"unsubscribe_url": _("This is no address.")}
        )


def _refuse_breaks(*headers: str) -> None:
    """Refuse a header that would end early and begin another."""
    if any("\n" in header or "\r" in header for header in headers):
        raise errors.Invalid(_("A subject or an address has one line."))
    for address in headers[1:]:
        if address and not deliverability.domain_of(parseaddr(address)[1]):
            raise errors.Invalid(_("This is no address."))
