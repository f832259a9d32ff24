"""Engagement scores, one row per account and day, and the numbers that made them."""

from datetime import date
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from crm.models import Account, User
from crm.models.accounts import within_sight


class ScoreParameters(models.Model):
    """One version of the score's numbers, named by its content, so that an old score can be replayed."""

    version = models.CharField(_("version"), max_length=12, primary_key=True)
    numbers = models.JSONField(_("numbers"))
    first_used_at = models.DateTimeField(_("first used"))

    class Meta:
        verbose_name, verbose_name_plural = _("score parameters"), _("score parameters")
        ordering = ["-first_used_at"]

    def __str__(self) -> str:
        return self.version


class ScoreChange(models.Model):
    """That somebody put a version of the score's numbers in force, and why; the newest one holds, and none is ever changed.

    Numbered without gaps, so that of two people who save at once the database refuses one.
    """

    number = models.PositiveIntegerField(_("number"), unique=True)
    parameters = models.ForeignKey(ScoreParameters, verbose_name=_("version"), on_delete=models.PROTECT, related_name="changes")
    # What held before, so that the difference stays known also when that was the settings'.
    replaces = models.ForeignKey(ScoreParameters, verbose_name=_("version before"), on_delete=models.PROTECT, related_name="+")
    note = models.CharField(_("why"), max_length=300)
    made_by = models.ForeignKey(User, verbose_name=_("by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField(_("since"))

    objects = models.Manager["ScoreChange"]()

    class Meta:
        verbose_name, verbose_name_plural = _("change of the score's numbers"), _("changes of the score's numbers")
        ordering = ["-number"]
        constraints = [models.CheckConstraint(condition=~Q(note=""), name="score_change_says_why")]

    def __str__(self) -> str:
        return f"{self.number}. {self.note}"


class EngagementScoreQuerySet(models.QuerySet["EngagementScore"]):
    """Scores as marketers speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of accounts that the user may see."""
        return self.filter(within_sight(user, at="account__"))

    def on(self, day: date) -> Self:
        """Keep those of one day."""
        return self.filter(day=day)


class EngagementScore(models.Model):
    """How active an account's DMU was on a day: written again when the day is scored again, never added."""

    # Each index more is a tenth of the night; the one of account and day serves for the account.
    account = models.ForeignKey(
        Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="engagement_scores", db_index=False
    )
    day = models.DateField(_("day"))
    # R, F and X of the formula; the score follows from X, rounded half up to one decimal.
    weighted_points = models.FloatField(_("weighted points"))
    breadth = models.FloatField(_("breadth"))
    x = models.FloatField()
    score = models.DecimalField(_("score"), max_digits=4, decimal_places=1)
    active_roles = models.JSONField(_("active roles"), default=list)
    parameters = models.ForeignKey(
        ScoreParameters, verbose_name=_("parameters"), on_delete=models.PROTECT, related_name="+", db_index=False
    )

    objects = EngagementScoreQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("engagement score"), _("engagement scores")
        ordering = ["account", "-day"]
        constraints = [
            models.UniqueConstraint(fields=["account", "day"], name="engagement_score_once_a_day"),
            models.CheckConstraint(condition=Q(score__gte=0, score__lte=100), name="engagement_score_in_range"),
        ]
        indexes = [models.Index(fields=["-day", "-score"], name="engagement_score_by_day")]

    def __str__(self) -> str:
        return f"{self.account}, {localize(self.day)}: {localize(self.score)}"
