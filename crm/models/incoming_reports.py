"""Reports as they came in, before anybody reads them; and how far the mailbox of returned mail was read."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _


class IncomingReportQuerySet(models.QuerySet["IncomingReport"]):
    """Incoming reports as those who run the mail speak of them."""

    def waiting(self) -> Self:
        """Keep those whose effects are not on record: not read yet, or not readable."""
        return self.filter(done_at=None)


class IncomingReport(models.Model):
    """What a provider or a mail server sent us, byte for byte; its effects are written together with `done_at`."""

    # "mail", or the provider's name as in /hooks/delivery/<provider>.
    source = models.CharField(_("source"), max_length=50)
    # What makes it one report: the provider's id, or a digest. The same one twice counts once.
    external_id = models.CharField(_("id at the source"), max_length=250)
    body = models.BinaryField(_("as it came"), blank=True)
    received_at = models.DateTimeField(_("received"))
    done_at = models.DateTimeField(_("worked off"), null=True, blank=True)
    # A worker's hold on it, which runs out; and how often one began with it.
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0, editable=False)
    error = models.CharField(_("what went wrong"), max_length=500, blank=True)

    objects = IncomingReportQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("incoming report"), _("incoming reports")
        ordering = ["-received_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["source", "external_id"], name="incoming_report_once")]
        indexes = [
            models.Index(fields=["id"], condition=Q(done_at=None), name="incoming_report_waiting"),
            models.Index(fields=["-received_at", "-id"], name="incoming_report_by_moment"),
        ]

    def __str__(self) -> str:
        return f"{self.source}, {date_format(localtime(self.received_at), 'DATETIME_FORMAT')}"


class Mailbox(models.Model):
    """How far the mailbox of returned mail was read, and whether it can be reached."""

    # user@host/folder; never a password.
    name = models.CharField(_("mailbox"), max_length=250, unique=True)
    # The server's number for this life of the folder (RFC 3501): with a new one, its messages are numbered anew.
    uid_validity = models.BigIntegerField(default=0, editable=False)
    last_uid = models.BigIntegerField(default=0, editable=False)
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    tried_at = models.DateTimeField(_("tried"), null=True, blank=True)
    reached_at = models.DateTimeField(_("reached"), null=True, blank=True)
    error = models.CharField(_("what went wrong"), max_length=300, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("mailbox"), _("mailboxes")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
