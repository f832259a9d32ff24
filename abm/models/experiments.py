"""Experiments: one thing changed between A and B, and what was counted on which day."""

from datetime import date, timedelta
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from crm.models import Team, User
from crm.models.users import owned_within_sight

PERCENT = [MinValueValidator(0), MaxValueValidator(100)]


class ExperimentQuerySet(models.QuerySet["Experiment"]):
    """Experiments as marketers speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep the user's own experiments and those of the team."""
        return self.filter(owned_within_sight(user))

    def running(self) -> Self:
        """Keep those that count."""
        return self.filter(status=Experiment.Status.RUNNING)

    def over(self, *, day: date, waited: timedelta) -> Self:
        """Keep the running ones whose period ended before a day: with their last day counted, or after waiting for it so long."""
        is_counted = Exists(ExperimentCount.objects.filter(experiment=OuterRef("pk"), counted_on=OuterRef("ends_on")))
        return self.running().filter(Q(is_counted) | Q(ends_on__lt=day - waited), ends_on__lt=day)


class Experiment(models.Model):
    """A test of one change; what it must hold to start, the database keeps too."""

    class Status(models.TextChoices):
        """Where an experiment stands."""

        DRAFT = "draft", _("draft")
        RUNNING = "running", _("running")
        CLOSED = "closed", _("closed")

    class Arm(models.TextChoices):
        """The two variants; A is the one as it was."""

        NONE = "", _("neither")
        A = "a", _("A")
        B = "b", _("B")

    name = models.CharField(_("name"), max_length=100)
    team = models.ForeignKey(Team, verbose_name=_("team"), on_delete=models.PROTECT, related_name="experiments")
    owner = models.ForeignKey(User, verbose_name=_("owner"), null=True, blank=True, on_delete=models.SET_NULL, related_name="experiments")
    hypothesis = models.TextField(_("hypothesis"), blank=True, help_text=_("Because we see this, we expect that this change does that."))
    kpi = models.CharField(
        _("KPI"), max_length=200, blank=True, help_text=_("The one rate that decides, e.g. mails answered of mails sent.")
    )
    variables = models.TextField(
        _("what differs"), blank=True, help_text=_("What differs between A and B, one thing a line; to start, exactly one.")
    )
    arm_a = models.CharField(_("A: as it was"), max_length=200, blank=True)
    arm_b = models.CharField(_("B: with the change"), max_length=200, blank=True)
    baseline_percent = models.DecimalField(
        _("expected rate of A, %"), max_digits=5, decimal_places=2, null=True, blank=True, validators=PERCENT,
        help_text=_("From what it was so far."),
    )  # fmt: skip
    uplift_percent = models.DecimalField(
        _("smallest uplift worth seeing, %"), max_digits=6, decimal_places=1, null=True, blank=True, validators=[MinValueValidator(0)],
        help_text=_("Relative: 20 % over a rate of 5 % is 6 %."),
    )  # fmt: skip
    starts_on = models.DateField(_("starts on"))
    ends_on = models.DateField(_("ends on"))
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.DRAFT, editable=False)
    started_at = models.DateTimeField(_("started"), null=True, blank=True, editable=False)
    # How many each arm needs by the plan; fixed when it starts, so that nobody moves the goal.
    planned_per_arm = models.PositiveIntegerField(_("planned per arm"), null=True, blank=True, editable=False)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True, editable=False)
    # The verdict of the day on which it was closed.
    winner = models.CharField(_("winner"), max_length=1, choices=Arm, blank=True, default="", editable=False)
    indication = models.CharField(_("indication"), max_length=1, choices=Arm, blank=True, default="", editable=False)
    p_value = models.FloatField(_("p value"), null=True, blank=True, editable=False)
    learned = models.TextField(_("what we learned"), blank=True, editable=False)

    history = HistoricalRecords()
    objects = ExperimentQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("experiment"), _("experiments")
        ordering = ["-starts_on", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=("draft", "running", "closed")), name="experiment_status_known"),
            models.CheckConstraint(condition=Q(ends_on__gt=F("starts_on")), name="experiment_period_in_order"),
            models.CheckConstraint(
                condition=Q(status="draft")
                | (
                    ~Q(hypothesis="")
                    & ~Q(kpi="")
                    & ~Q(variables="")
                    & ~Q(variables__contains="\n")
                    & Q(started_at__isnull=False, planned_per_arm__isnull=False)
                ),
                name="experiment_starts_with_one_variable",
            ),
            models.CheckConstraint(
                condition=Q(status="closed", closed_at__isnull=False) | (~Q(status="closed") & Q(closed_at=None)),
                name="experiment_closed_at_a_moment",
            ),
            models.CheckConstraint(condition=Q(winner__in=("", "a", "b"), indication__in=("", "a", "b")), name="experiment_winner_known"),
        ]
        indexes = [models.Index(fields=["team", "status"], name="experiment_by_team")]

    def __str__(self) -> str:
        return self.name


class ExperimentCount(models.Model):
    """What both arms had together by the end of a day: how many were reached, and how many of them did it."""

    experiment = models.ForeignKey(Experiment, verbose_name=_("experiment"), on_delete=models.CASCADE, related_name="counts")
    counted_on = models.DateField(_("counted on"))
    n_a = models.PositiveIntegerField(_("reached with A"))
    successes_a = models.PositiveIntegerField(_("successes of A"))
    n_b = models.PositiveIntegerField(_("reached with B"))
    successes_b = models.PositiveIntegerField(_("successes of B"))
    recorded_by = models.ForeignKey(User, verbose_name=_("recorded by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    recorded_at = models.DateTimeField(_("recorded"))

    objects = models.Manager["ExperimentCount"]()

    class Meta:
        verbose_name, verbose_name_plural = _("count"), _("counts")
        ordering = ["experiment", "-counted_on"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "counted_on"], name="experiment_counted_once_a_day"),
            models.CheckConstraint(
                condition=Q(successes_a__lte=F("n_a"), successes_b__lte=F("n_b")), name="experiment_successes_at_most_all"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.experiment}, {localize(self.counted_on)}"
