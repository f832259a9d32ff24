"""Exports: lists that somebody took out as a file; the row outlives the file and says who took what."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from crm.models.users import User


class ExportQuerySet(models.QuerySet["Export"]):
    """Exports as their owners speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep the user's own; who answers for the data sees everybody's."""
        return self.all() if user.has_perm("crm.see_every_export") else self.filter(owner=user.pk)

    def unfinished(self) -> Self:
        """Keep those that wait or are being written."""
        return self.filter(state__in=(Export.State.QUEUED, Export.State.RUNNING))


class Export(models.Model):
    """One list that one person took out; its rows are those that the owner might see while it was written."""

    class State(models.TextChoices):
        """How far it is."""

        QUEUED = "queued", _("waiting")
        RUNNING = "running", _("running")
        FINISHED = "finished", _("ready")
        HANDED_OVER = "handed_over", _("downloaded at once")
        FAILED = "failed", _("failed")
        REMOVED = "removed", _("file removed")

    class Format(models.TextChoices):
        """What the file is."""

        CSV = "csv", _("CSV (any program)")
        XLSX = "xlsx", _("Excel (XLSX)")

    owner = models.ForeignKey(User, verbose_name=_("who"), null=True, on_delete=models.SET_NULL, related_name="exports")
    # The list, by its model: 'crm.account'.
    what = models.CharField(_("list"), max_length=60)
    # What narrowed the list: its query string, or the rows that were picked. Both are emptied with the file: they may name people.
    query = models.TextField(_("filters"), blank=True)
    picked = models.JSONField(_("picked rows"), default=list, blank=True)
    columns = models.JSONField(_("columns"), default=list)
    format = models.CharField(_("format"), max_length=4, choices=Format)
    # In which the headings and choices are written.
    language = models.CharField(_("language"), max_length=8)
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.QUEUED)
    rows_total = models.PositiveIntegerField(_("rows"), default=0)
    rows_done = models.PositiveIntegerField(_("rows written"), default=0)
    # How often somebody began to write it: also the claim of whoever writes now.
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    file = models.FileField(_("file"), upload_to="exports", blank=True)
    error = models.CharField(_("error"), max_length=300, blank=True)
    created_at = models.DateTimeField(_("asked for"))
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    heartbeat_at = models.DateTimeField(_("last sign of life"), null=True, blank=True)

    objects = ExportQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("export"), _("exports")
        ordering = ["-created_at", "-id"]
        permissions = [("see_every_export", _("Can see who exported what"))]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=("queued", "running", "finished", "handed_over", "failed", "removed")), name="export_state_known"
            ),
            models.CheckConstraint(condition=Q(format__in=("csv", "xlsx")), name="export_format_known"),
            models.CheckConstraint(condition=Q(rows_done__lte=F("rows_total")), name="export_rows_within_total"),
            models.CheckConstraint(
                condition=(Q(state="finished") & ~Q(file="")) | (~Q(state="finished") & Q(file="")), name="export_file_when_ready"
            ),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="export_by_owner"),
            models.Index(fields=["-created_at", "-id"], name="export_by_moment"),
            models.Index(fields=["state", "finished_at"], name="export_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.what}, {date_format(localtime(self.created_at), 'DATETIME_FORMAT')}"
