"""What the score is kept in between activities and scores: day counts and sums, so that a night costs what changed.

    activity -> change queue (crm) -> day counts -> contact states -> account states -> score

All sums are integers, so that adding and taking back in any order equals a rebuild bit for bit. The account is part of
every key: a database that is spread over machines by account keeps the rows of one together. Without foreign keys: each row
follows from others that have them, and rows of an account that is gone are swept up at night.
"""

from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _


class DayCountQuerySet(models.QuerySet["DayCount"]):
    """Day counts by what is behind them."""

    def without_activities(self) -> Self:
        """Keep those of days whose activities are gone: there they are all that is known."""
        return self.filter(Exists(StateMark.objects.filter(pk=OuterRef("account_id"), kept_from__gt=OuterRef("day"))))


class DayCount(models.Model):
    """How often one person, or as contact 0 the anonymous visitors, did one kind of thing on one local day; zero is no row."""

    pk = models.CompositePrimaryKey("account_id", "contact_id", "day", "kind")
    account_id = models.BigIntegerField()
    contact_id = models.BigIntegerField()
    day = models.DateField()
    kind = models.CharField(max_length=30)
    count = models.IntegerField()

    objects = DayCountQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("day count"), _("day counts")
        constraints = [models.CheckConstraint(condition=Q(count__gt=0), name="day_count_is_positive")]
        # What leaves the window, a day at a time.
        indexes = [models.Index(fields=["day", "account_id"], name="day_count_by_day")]

    def __str__(self) -> str:
        return f"{self.account_id}, {self.contact_id}, {self.day}: {self.count} × {self.kind}"


class DayWeight(models.Model):
    """What one kind of activity of one day weighs against an anchor, in fixed point; made by `abm.states.weights` alone."""

    version = models.CharField(max_length=12)
    anchor = models.DateField()
    kind = models.CharField(max_length=30)
    day = models.DateField()
    # Which of the three half-lives: 0 the shortest.
    term = models.PositiveSmallIntegerField()
    # Points of one, and at most in a day, in hundredths.
    points = models.IntegerField()
    cap = models.IntegerField()
    weight = models.BigIntegerField()

    objects = models.Manager["DayWeight"]()

    class Meta:
        verbose_name, verbose_name_plural = _("day weight"), _("day weights")
        constraints = [models.UniqueConstraint(fields=["version", "anchor", "kind", "day"], name="day_weight_once")]

    def __str__(self) -> str:
        return f"{self.kind}, {self.day}: {self.weight}"


class Sums(models.Model):
    """A sum for each of the three half-lives."""

    short = models.BigIntegerField()
    middle = models.BigIntegerField()
    long = models.BigIntegerField()

    class Meta:
        abstract = True


class ContactState(Sums):
    """What one person did lately, one sum for each half-life, and with which weight and roles it counts for the account."""

    pk = models.CompositePrimaryKey("account_id", "contact_id")
    account_id = models.BigIntegerField()
    contact_id = models.BigIntegerField()
    # In hundredths; 0 of who has left. Roles as bits, the first of DmuRole the lowest.
    weight = models.IntegerField()
    roles = models.PositiveSmallIntegerField()

    objects = models.Manager["ContactState"]()

    class Meta:
        verbose_name, verbose_name_plural = _("contact state"), _("contact states")

    def __str__(self) -> str:
        return f"{self.account_id}, {self.contact_id}"


class AccountState(Sums):
    """The sums of an account: without a role those of everybody, times their weight; with one those of who holds it."""

    pk = models.CompositePrimaryKey("account_id", "role")
    account_id = models.BigIntegerField()
    role = models.CharField(max_length=12, blank=True)

    objects = models.Manager["AccountState"]()

    class Meta:
        verbose_name, verbose_name_plural = _("account state"), _("account states")

    def __str__(self) -> str:
        return f"{self.account_id}, {self.role}"


class StateMark(models.Model):
    """How far the states of an account go: the numbers and the anchor of their weights, the first day they hold, the last day done.

    Who works on an account's states holds the lock of this row.
    """

    account_id = models.BigIntegerField(primary_key=True)
    # Empty: made, and never built.
    version = models.CharField(max_length=12, blank=True)
    anchor = models.DateField(null=True)
    first_day = models.DateField(null=True)
    last_day = models.DateField(null=True)
    # From this day on the scores that were kept are those that would be computed now: nothing of before it was changed since.
    settled_from = models.DateField(null=True)
    # Activities of days before this are let go of: their day counts cannot be made anew. Empty: none are.
    kept_from = models.DateField(null=True)

    objects = models.Manager["StateMark"]()

    class Meta:
        verbose_name, verbose_name_plural = _("state mark"), _("state marks")

    def __str__(self) -> str:
        return f"{self.account_id}, {self.last_day}"
