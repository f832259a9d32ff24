"""A kept report as a mail to a colleague, in the colleague's language."""

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation

from abm.kept_reports import words
from abm.models import ReportSnapshot


def message(snapshot: ReportSnapshot, *, link: str, language: str = "en") -> EmailMultiAlternatives:
    """Write the mail: text, and the same as HTML; the same snapshot always gives the same bytes of both.

    `language` is for who chose none.
    """
    with translation.override(snapshot.user.language or language):
        told = words.told(snapshot) | {"link": link, "language": translation.get_language()}
        text, html = (render_to_string(f"abm/mail/kept_report.{ending}", told) for ending in ("txt", "html"))
        # Auto-Submitted: no machine answers it (RFC 3834).
        mail = EmailMultiAlternatives(told["title"], text, to=[snapshot.user.email], headers={"Auto-Submitted": "auto-generated"})
        mail.attach_alternative(html, "text/html")
    return mail
