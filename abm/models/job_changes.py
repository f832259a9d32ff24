"""Job-change signals with their evidence, and what each of them did, so that it can be undone."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models import Account, Contact, User
from crm.models.accounts import within_sight
from crm.models.changes import serial_field


class JobChangeSignalQuerySet(models.QuerySet["JobChangeSignal"]):
    """Signals as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those at accounts that the user may see."""
        return self.filter(within_sight(user, at="account__"))

    def open(self) -> Self:
        """Keep those that wait for a decision."""
        return self.filter(status=JobChangeSignal.Status.OPEN)

    def waiting(self) -> Self:
        """Keep those not decided: open, or held until the domain's incident is."""
        return self.filter(status__in=(JobChangeSignal.Status.OPEN, JobChangeSignal.Status.HELD))

    def of_persons(self) -> Self:
        """Keep those about one person."""
        return self.filter(kind=JobChangeSignal.Kind.PERSON)

    def of_domains(self) -> Self:
        """Keep those about a whole account's mail."""
        return self.filter(kind=JobChangeSignal.Kind.DOMAIN)


class JobChangeSignal(models.Model):
    """Evidence that a contact left the job, or that a whole account's mail moved; a guess until a person decides."""

    class Kind(models.TextChoices):
        """Whom it is about."""

        PERSON = "person", _("job change")
        DOMAIN = "domain", _("domain changed")

    class Status(models.TextChoices):
        """Where it stands."""

        OPEN = "open", _("open")
        HELD = "held", _("held: the whole domain fails")
        CONFIRMED = "confirmed", _("confirmed")
        DISMISSED = "dismissed", _("dismissed")
        WITHDRAWN = "withdrawn", _("withdrawn: it was disproved")

    kind = models.CharField(_("kind"), max_length=6, choices=Kind, default=Kind.PERSON)
    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="job_change_signals")
    contact = models.ForeignKey(
        Contact, verbose_name=_("contact"), null=True, blank=True, on_delete=models.CASCADE, related_name="job_change_signals"
    )
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.OPEN)
    opened_at = models.DateTimeField(_("opened"))
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decided_by = models.ForeignKey(User, verbose_name=_("decided by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    successor_name = models.CharField(_("successor's name"), max_length=200, blank=True)
    successor_email = models.EmailField(_("successor's address"), blank=True)
    # What the signal did, in order, as {"effect": name, ...ids}; undone in reverse.
    effects = models.JSONField(default=list, editable=False)
    change_serial = serial_field()

    objects = JobChangeSignalQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("job-change signal"), _("job-change signals")
        ordering = ["-opened_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["contact"], condition=Q(status__in=("open", "held"), kind="person"), name="signal_open_once_per_contact"
            ),
            models.UniqueConstraint(fields=["account"], condition=Q(status="open", kind="domain"), name="signal_domain_open_once"),
            models.CheckConstraint(
                condition=Q(kind="person", contact__isnull=False) | Q(kind="domain", contact=None), name="signal_about_person_or_domain"
            ),
        ]
        indexes = [
            models.Index(fields=["status", "-opened_at"], name="signal_by_status"),
            models.Index(fields=["account", "status"], name="signal_by_account"),
            models.Index(fields=["-opened_at", "-id"], name="signal_by_moment"),
            models.Index(fields=["change_serial", "id"], name="signal_by_serial"),
        ]

    def __str__(self) -> str:
        return f"{self.contact or self.account}: {self.get_status_display()}"


class SignalEvidence(models.Model):
    """One thing that spoke for a signal; kept short, because it is about a person."""

    class Source(models.TextChoices):
        """Where it came from."""

        BOUNCE = "bounce", _("bounced mail")
        AUTO_REPLY = "auto_reply", _("automatic reply")
        CONTACT = "contact", _("the contact's own word")
        REP = "rep", _("a colleague")
        API = "api", _("an integration")

    signal = models.ForeignKey(JobChangeSignal, verbose_name=_("signal"), on_delete=models.CASCADE, related_name="evidence")
    source = models.CharField(_("source"), max_length=10, choices=Source)
    # What makes it one piece of evidence, e.g. 'report:12'; the same one twice counts once.
    key = models.CharField(max_length=100)
    text = models.CharField(_("text"), max_length=500, blank=True)
    seen_at = models.DateTimeField(_("seen"))
    given_by = models.ForeignKey(User, verbose_name=_("given by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        verbose_name, verbose_name_plural = _("evidence"), _("evidence")
        ordering = ["seen_at", "id"]
        constraints = [models.UniqueConstraint(fields=["signal", "key"], name="signal_evidence_once")]

    def __str__(self) -> str:
        return self.text or self.get_source_display()
