"""What we mailed, what came back of it, and the addresses that get no mail."""

from datetime import datetime
from typing import Self

from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from crm.models.accounts import Account, within_sight
from crm.models.changes import serial_field
from crm.models.incoming_reports import IncomingReport
from crm.models.users import Sight, User, sight


class Outcome(models.TextChoices):
    """What a report says of one recipient; only the first two can mean a job change."""

    PERSON_GONE = "person_gone", _("person gone")
    MAILBOX_MOVED = "mailbox_moved", _("mailbox moved")
    DOMAIN_GONE = "domain_gone", _("domain gone")
    MAILBOX_FULL = "mailbox_full", _("mailbox full")
    TEMPORARY = "temporary", _("temporary")
    BLOCKED_POLICY = "blocked_policy", _("blocked by policy")
    CONTENT = "content", _("refused for its content")
    OTHER = "other", _("other")
    NOT_A_BOUNCE = "not_a_bounce", _("not a bounce")


# The address will not work again; the rest may pass.
LASTING_OUTCOMES = (Outcome.PERSON_GONE, Outcome.MAILBOX_MOVED, Outcome.DOMAIN_GONE)


class SuppressionQuerySet(models.QuerySet["Suppression"]):
    """Suppressions as mailers speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of addresses that a contact has whom the user may see; all of them for who sees every record."""
        if sight(user) is Sight.ALL:
            return self.all()
        people = apps.get_model("crm", "Contact").objects.visible_to(user).annotate(lower=Lower("email"))
        return self.filter(Exists(people.filter(lower=OuterRef("address"))))

    def current(self) -> Self:
        """Keep those in force."""
        return self.filter(released_at=None)


class Suppression(models.Model):
    """An address that gets no mail; it lies on the address, not on the person."""

    class Reason(models.TextChoices):
        """Why no mail goes there."""

        BOUNCED = "bounced", _("bounced")
        JOB_CHANGE = "job_change", _("may have left")
        COMPLAINED = "complained", _("complained")
        OPTED_OUT = "opted_out", _("opted out")
        BY_HAND = "by_hand", _("by hand")

    address = models.EmailField(_("address"), help_text=_("In lower case."))
    reason = models.CharField(_("reason"), max_length=10, choices=Reason)
    note = models.CharField(_("note"), max_length=200, blank=True)
    since = models.DateTimeField(_("since"))
    released_at = models.DateTimeField(_("released"), null=True, blank=True)

    objects = SuppressionQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("suppression"), _("suppressions")
        ordering = ["-since", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["address", "reason"], condition=Q(released_at=None), name="suppression_once_per_reason"),
            models.CheckConstraint(condition=Q(address=Lower("address")), name="suppression_in_lower_case"),
        ]
        indexes = [
            models.Index(fields=["address"], name="suppression_by_address"),
            models.Index(fields=["-since", "-id"], name="suppression_by_moment"),
        ]

    def __str__(self) -> str:
        return f"{self.address} ({self.get_reason_display()})"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries as mailers speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those at accounts that the user may see."""
        return self.filter(within_sight(user, at="account__"))

    def proven(self) -> Self:
        """Keep those that arrived."""
        return self.exclude(delivered_at=None)


class Delivery(models.Model):
    """One mail to one recipient, with every name under which a report may speak of it."""

    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="deliveries")
    contact = models.ForeignKey("crm.Contact", verbose_name=_("contact"), on_delete=models.CASCADE, related_name="deliveries")
    address = models.EmailField(_("address"))
    subject = models.CharField(_("subject"), max_length=200, blank=True)
    message_id = models.CharField(_("Message-ID"), max_length=250, blank=True)
    provider_id = models.CharField(_("provider's id"), max_length=250, blank=True)
    return_token = models.CharField(_("return path token"), max_length=64, blank=True)
    sent_at = models.DateTimeField(_("sent"))
    delivered_at = models.DateTimeField(_("delivered"), null=True, blank=True)
    failed_at = models.DateTimeField(_("failed"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome, blank=True)
    change_serial = serial_field()

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("delivery"), _("deliveries")
        ordering = ["-sent_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["message_id", "address"], condition=~Q(message_id=""), name="delivery_once_per_message"),
            models.UniqueConstraint(fields=["return_token"], condition=~Q(return_token=""), name="delivery_token_once"),
        ]
        indexes = [
            models.Index(fields=["contact", "-sent_at"], name="delivery_by_contact"),
            models.Index(fields=["-sent_at", "-id"], name="delivery_by_moment"),
            models.Index(fields=["outcome", "-sent_at", "-id"], condition=~Q(outcome=""), name="delivery_by_outcome"),
            models.Index(fields=["account", "-sent_at"], name="delivery_by_account"),
            models.Index(fields=["provider_id"], name="delivery_by_provider_id"),
            models.Index(fields=["address", "delivered_at"], name="delivery_by_address"),
            models.Index(fields=["change_serial", "id"], name="delivery_by_serial"),
        ]

    def __str__(self) -> str:
        return f"{self.address}, {date_format(localtime(self.sent_at))}"


class DeliveryReportQuerySet(models.QuerySet["DeliveryReport"]):
    """Reports as mailers speak of them."""

    def verified(self) -> Self:
        """Keep those about a mail that we sent."""
        return self.exclude(delivery=None)

    def failures_since(self, moment: datetime) -> Self:
        """Keep verified reports of a gone person, mailbox or domain since a moment."""
        return self.verified().filter(outcome__in=LASTING_OUTCOMES, reported_at__gte=moment)

    def departures_since(self, moment: datetime) -> Self:
        """Keep verified reports since a moment that can mean that somebody left: lasting failures, and replies that say so."""
        return self.verified().filter(Q(outcome__in=LASTING_OUTCOMES) | Q(says_left=True), reported_at__gte=moment)


class DeliveryReport(models.Model):
    """What one source said of one recipient, stored once; without a delivery of ours it changes nothing."""

    source = models.CharField(_("source"), max_length=50)
    external_id = models.CharField(_("id at the source"), max_length=250)
    recipient = models.EmailField(_("recipient"), blank=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome)
    evidence = models.TextField(_("evidence"), blank=True)
    reported_at = models.DateTimeField(_("reported"))
    delivery = models.ForeignKey(
        Delivery, verbose_name=_("delivery"), null=True, blank=True, on_delete=models.SET_NULL, related_name="reports"
    )
    incoming = models.ForeignKey(
        IncomingReport, verbose_name=_("incoming report"), null=True, blank=True, on_delete=models.SET_NULL, related_name="reports"
    )
    # An automatic reply of the recipient's own says so, and may name who came instead: a proposal, until a person confirms.
    says_left = models.BooleanField(_("says that the person left"), default=False)
    successor_name = models.CharField(_("successor's name"), max_length=200, blank=True)
    successor_email = models.EmailField(_("successor's address"), blank=True)

    objects = DeliveryReportQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("delivery report"), _("delivery reports")
        ordering = ["-reported_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id", "recipient"], name="delivery_report_once"),
        ]
        indexes = [models.Index(fields=["reported_at"], name="delivery_report_by_moment")]

    def __str__(self) -> str:
        return f"{self.recipient}: {self.get_outcome_display()}"
