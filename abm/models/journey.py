"""Where accounts are on their journey to a purchase: the phase now, and each change of it."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.formats import localize
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.models import Account, User
from crm.models.accounts import within_sight


class Phase(models.IntegerChoices):
    """The six phases in their order; the number is how far."""

    NONE = 0, _("no phase")
    DREAM = 1, _("dream")
    RESEARCH = 2, _("research")
    CONSIDER = 3, _("consider")
    COMPARE = 4, _("compare")
    BUY = 5, _("buy")
    REPEAT = 6, _("repeat")

    @property
    def code(self) -> str:
        """Name the phase as addresses and the API do."""
        return self.name.lower()

    @property
    def question(self) -> Promise | str:
        """Give what people ask themselves in this phase."""
        return _QUESTIONS.get(self, "")


def in_phase(phase: Phase) -> Q:
    """Select the accounts of a phase; in none are also those of which nothing was ever known."""
    return Q(journey__phase=phase) if phase else Q(journey=None) | Q(journey__phase=Phase.NONE)


_QUESTIONS: dict[Phase, Promise] = {
    Phase.DREAM: _("Could this be better with us?"),
    Phase.RESEARCH: _("What exists for this?"),
    Phase.CONSIDER: _("A or B, and what do others say?"),
    Phase.COMPARE: _("Which of the two offers?"),
    Phase.BUY: _("We choose this one."),
    Phase.REPEAT: _("It works: what next?"),
}
PHASES = tuple(phase for phase in Phase if phase is not Phase.NONE)
BY_CODE = {phase.code: phase for phase in Phase}


def _known(*names: str) -> Q:
    return Q(**{f"{name}__{bound}": value for name in names for bound, value in (("gte", Phase.NONE), ("lte", Phase.REPEAT))})


# A phase overlaps with the next one; who buys again may be anywhere on the way to the next purchase.
OVERLAPS = Q(overlap=0) | Q(phase__lt=Phase.REPEAT, overlap=F("phase") + 1)
OVERLAPS |= Q(phase=Phase.REPEAT, overlap__gte=Phase.RESEARCH, overlap__lte=Phase.BUY)


class JourneyPlacementQuerySet(models.QuerySet["JourneyPlacement"]):
    """Placements as marketers speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of accounts that the user may see."""
        return self.filter(within_sight(user, at="account__"))


class JourneyPlacement(models.Model):
    """The phase of an account, and the one that overlaps with it; written by `abm.journey` alone, when one of them changes."""

    account = models.OneToOneField(Account, verbose_name=_("account"), on_delete=models.CASCADE, primary_key=True, related_name="journey")
    phase = models.PositiveSmallIntegerField(_("phase"), choices=Phase)
    # 0: none
    overlap = models.PositiveSmallIntegerField(_("overlaps with"), choices=Phase, default=Phase.NONE)
    since = models.DateField(_("since"))
    # As of that day; what shows it now is computed where it is asked for.
    evidence = models.JSONField(_("evidence"), default=list)
    changed_on = models.DateField(_("changed on"))

    objects = JourneyPlacementQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("journey phase"), _("journey phases")
        constraints = [
            models.CheckConstraint(condition=_known("phase", "overlap"), name="placement_phase_known"),
            models.CheckConstraint(condition=OVERLAPS, name="placement_overlaps_with_next"),
            models.CheckConstraint(condition=Q(changed_on__gte=F("since")), name="placement_changed_since"),
        ]
        indexes = [
            models.Index(fields=["-phase", "account"], name="placement_by_phase"),
            models.Index(fields=["overlap", "account"], condition=Q(overlap__gt=0), name="placement_by_overlap"),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.get_phase_display()}"


class PhaseChangeQuerySet(models.QuerySet["PhaseChange"]):
    """Changes as marketers speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of accounts that the user may see."""
        return self.filter(within_sight(user, at="account__"))

    def ended(self) -> Self:
        """Keep those that ended a phase; the others are of an overlap alone."""
        return self.filter(from_phase__gt=Phase.NONE, stayed_days__isnull=False).exclude(phase=F("from_phase"))


class PhaseChange(models.Model):
    """That an account's phase, or what overlaps with it, changed on a day; never written again, but on the day itself."""

    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="phase_changes")
    day = models.DateField(_("day"))
    from_phase = models.PositiveSmallIntegerField(_("from"), choices=Phase)
    from_overlap = models.PositiveSmallIntegerField(_("overlapped with"), choices=Phase, default=Phase.NONE)
    phase = models.PositiveSmallIntegerField(_("to"), choices=Phase)
    overlap = models.PositiveSmallIntegerField(_("overlaps with"), choices=Phase, default=Phase.NONE)
    # In the phase that it came from, by that day; empty: it had none before.
    stayed_days = models.PositiveIntegerField(_("days there"), null=True, blank=True)
    evidence = models.JSONField(_("evidence"), default=list)

    objects = PhaseChangeQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("change of phase"), _("changes of phase")
        ordering = ["account", "-day"]
        constraints = [
            models.UniqueConstraint(fields=["account", "day"], name="phase_change_once_a_day"),
            models.CheckConstraint(condition=_known("phase", "overlap", "from_phase", "from_overlap"), name="phase_change_known"),
            models.CheckConstraint(condition=OVERLAPS, name="phase_change_overlaps_with_next"),
            models.CheckConstraint(condition=~Q(phase=F("from_phase"), overlap=F("from_overlap")), name="phase_change_goes_somewhere"),
        ]
        indexes = [models.Index(fields=["-day", "-id"], name="phase_change_by_day")]

    def __str__(self) -> str:
        return f"{self.account}, {localize(self.day)}: {self.get_phase_display()}"
