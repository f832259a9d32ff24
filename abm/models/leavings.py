"""Leavings that contacts announced themselves, until their day has come."""

from django.db import models
from django.db.models import Q
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from abm.models.job_changes import JobChangeSignal
from crm.models import Contact


class AnnouncedLeaving(models.Model):
    """A contact's own word on when they leave and who comes after; on the day it opens a signal."""

    contact = models.ForeignKey(Contact, verbose_name=_("contact"), on_delete=models.CASCADE, related_name="announced_leavings")
    leaves_on = models.DateField(_("leaves on"), help_text=_("The first day on which they no longer work there."))
    successor_name = models.CharField(_("successor's name"), max_length=200, blank=True)
    successor_email = models.EmailField(_("successor's address"), blank=True)
    said_at = models.DateTimeField(_("said"))
    taken_back_at = models.DateTimeField(_("taken back"), null=True, blank=True)
    signal = models.ForeignKey(
        JobChangeSignal, verbose_name=_("signal"), null=True, blank=True, on_delete=models.SET_NULL, related_name="announced_leavings"
    )

    class Meta:
        verbose_name, verbose_name_plural = _("announced leaving"), _("announced leavings")
        ordering = ["-said_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["contact"], condition=Q(taken_back_at=None, signal=None), name="leaving_waits_once_per_contact"
            ),
        ]
        indexes = [models.Index(fields=["leaves_on"], condition=Q(taken_back_at=None, signal=None), name="leaving_waits_for_day")]

    def __str__(self) -> str:
        return f"{self.contact}: {localize(self.leaves_on)}"
