"""Pilots: proofs of concept, which never start without success criteria and an end date."""

from datetime import date
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from crm.models.changes import serial_field
from crm.models.histories import WithKey
from crm.models.opportunities import Opportunity, deal_within_sight
from crm.models.users import User


class PilotQuerySet(models.QuerySet["Pilot"]):
    """Pilots as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of opportunities that the user may see."""
        return self.filter(deal_within_sight(user, at="opportunity__"))

    def running(self) -> Self:
        """Keep those without a verdict."""
        return self.filter(verdict="")

    def overdue(self, day: date) -> Self:
        """Keep those past their end without a verdict."""
        return self.running().filter(ends_on__lt=day)


class Pilot(models.Model):
    """A proof of concept on an opportunity."""

    class Verdict(models.TextChoices):
        """How it ended."""

        PASSED = "passed", _("passed")
        FAILED = "failed", _("failed")
        STOPPED = "stopped", _("stopped")

    opportunity = models.ForeignKey(Opportunity, verbose_name=_("opportunity"), on_delete=models.CASCADE, related_name="pilots")
    success_criteria = models.TextField(_("success criteria"))
    starts_on = models.DateField(_("starts on"))
    ends_on = models.DateField(_("ends on"))
    verdict = models.CharField(_("verdict"), max_length=10, choices=Verdict, blank=True, default="")
    verdict_on = models.DateField(_("verdict on"), null=True, blank=True)
    verdict_note = models.TextField(_("explanation"), blank=True)
    change_serial = serial_field()

    history = HistoricalRecords(excluded_fields=["change_serial"], bases=[WithKey])
    objects = PilotQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("pilot"), _("pilots")
        ordering = ["-ends_on", "-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(success_criteria=""), name="pilot_has_criteria"),
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="pilot_ends_after_start"),
            models.CheckConstraint(
                condition=Q(verdict="", verdict_on=None) | (~Q(verdict="") & Q(verdict_on__isnull=False)), name="pilot_verdict_has_day"
            ),
            models.UniqueConstraint(fields=["opportunity"], condition=Q(verdict=""), name="pilot_one_at_a_time"),
        ]
        indexes = [
            models.Index(fields=["ends_on"], condition=Q(verdict=""), name="pilot_running_by_end"),
            models.Index(fields=["-ends_on", "-id"], name="pilot_by_end"),
            models.Index(fields=["change_serial", "id"], name="pilot_by_serial"),
        ]

    def __str__(self) -> str:
        return f"{self.opportunity}: {localize(self.ends_on)}"
