"""Nightly runs and their chunks: who did what, and what is left after a crash; scoring all accounts anew is such a run, too."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from abm.models.engagement import ScoreChange


class NightlyRunQuerySet(models.QuerySet["NightlyRun"]):
    """Runs by what they are for."""

    def nights(self) -> Self:
        """Keep the runs of a night."""
        return self.filter(score_change=None)

    def rebuilds(self) -> Self:
        """Keep the runs that score every account with new numbers."""
        return self.filter(score_change__isnull=False)


class NightlyRun(models.Model):
    """The run of one day, or the one that scores all accounts with new numbers; there is one of each, however often it is started."""

    day = models.DateField(_("day"))
    # The change of the numbers after which all is scored anew; empty for the run of a night.
    score_change = models.OneToOneField(
        ScoreChange, verbose_name=_("numbers"), null=True, blank=True, on_delete=models.CASCADE, related_name="rebuild"
    )
    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = NightlyRunQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("nightly run"), _("nightly runs")
        ordering = ["-day", "-pk"]
        constraints = [models.UniqueConstraint(fields=["day"], condition=Q(score_change=None), name="nightly_run_day")]

    def __str__(self) -> str:
        return str(localize(self.day))


class NightlyChunkQuerySet(models.QuerySet["NightlyChunk"]):
    """Chunks by state."""

    def left(self) -> "NightlyChunkQuerySet":
        """Keep those not done."""
        return self.filter(done_at=None)


class NightlyChunk(models.Model):
    """One transaction of a run: a step over a range of accounts, or a step of its own.

    It is locked while somebody works on it and marked done in the same transaction as its work,
    so a kill at any point leaves it either wholly done or not begun.
    """

    run = models.ForeignKey(NightlyRun, verbose_name=_("run"), on_delete=models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField(_("number"))
    step = models.CharField(_("step"), max_length=30)
    first_account = models.BigIntegerField(_("from account"), null=True, blank=True)
    # Empty on the last range: accounts made meanwhile belong to it.
    last_account = models.BigIntegerField(_("up to account"), null=True, blank=True)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    times_done = models.PositiveSmallIntegerField(_("times done"), default=0)
    failures = models.PositiveSmallIntegerField(_("failures"), default=0)
    error = models.TextField(_("error"), blank=True)
    seconds = models.FloatField(_("seconds"), null=True, blank=True)
    items = models.PositiveIntegerField(_("items"), default=0)

    objects = NightlyChunkQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("chunk"), _("chunks")
        ordering = ["run", "number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="nightly_chunk_once"),
            models.CheckConstraint(condition=Q(times_done__lte=1), name="nightly_chunk_done_at_most_once"),
        ]
        indexes = [models.Index(fields=["run", "number"], condition=Q(done_at=None), name="nightly_chunk_left")]

    def __str__(self) -> str:
        return f"{self.run}, {self.number}"
