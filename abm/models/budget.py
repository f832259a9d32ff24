"""Budget lines and sales targets: what marketing spends on a channel each month, and what is to be sold each quarter."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from crm.models import Team, User
from crm.models.users import Sight, sight


class BudgetLine(models.Model):
    """What one channel may cost, and cost, in one month."""

    class Purpose(models.TextChoices):
        """What the money is for; the budget is shared out among the three."""

        PROVEN = "proven", _("what is proven")
        SCALING = "scaling", _("what is being scaled up")
        EXPERIMENT = "experiment", _("experiments")

    channel = models.CharField(_("channel"), max_length=50, help_text=_("As in the deals, e.g. paid_search."))
    month = models.DateField(_("month"), help_text=_("Its first day."))
    purpose = models.CharField(_("purpose"), max_length=10, choices=Purpose, default=Purpose.PROVEN)
    planned = models.DecimalField(_("planned"), max_digits=14, decimal_places=2, default=0)
    actual = models.DecimalField(_("actual"), max_digits=14, decimal_places=2, null=True, blank=True, help_text=_("Empty: not known yet."))
    currency = models.CharField(_("currency"), max_length=3, default="EUR")

    objects = models.Manager["BudgetLine"]()

    class Meta:
        verbose_name, verbose_name_plural = _("budget line"), _("budget lines")
        ordering = ["-month", "channel"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "month", "purpose", "currency"], name="budget_line_once"),
            models.CheckConstraint(condition=Q(month__day=1), name="budget_line_month_begins"),
            models.CheckConstraint(condition=~Q(channel=""), name="budget_line_has_channel"),
            models.CheckConstraint(condition=Q(planned__gte=0) & (Q(actual=None) | Q(actual__gte=0)), name="budget_line_not_negative"),
            models.CheckConstraint(condition=Q(purpose__in=("proven", "scaling", "experiment")), name="budget_line_purpose_known"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}, {date_format(self.month, 'YEAR_MONTH_FORMAT')}"


class SalesTargetQuerySet(models.QuerySet["SalesTarget"]):
    """Sales targets as sales people speak of them."""

    def of(self, user: User | AnonymousUser) -> Self:
        """Keep those that a user's figures are held against: the organisation's for who sees all, else the own team's."""
        if sight(user) is Sight.ALL:
            return self.filter(team=None)
        team = getattr(user, "team_id", None)
        return self.filter(team=team) if team else self.none()


class SalesTarget(models.Model):
    """What a team, or the whole organisation, is to sell in one quarter."""

    team = models.ForeignKey(
        Team, verbose_name=_("team"), null=True, blank=True, on_delete=models.CASCADE, related_name="sales_targets",
        help_text=_("Empty: the whole organisation."),
    )  # fmt: skip
    quarter = models.DateField(_("quarter"), help_text=_("Its first day."))
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=2)
    currency = models.CharField(_("currency"), max_length=3, default="EUR")

    objects = SalesTargetQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("sales target"), _("sales targets")
        ordering = ["-quarter", "team"]
        constraints = [
            models.UniqueConstraint(fields=["team", "quarter", "currency"], name="sales_target_once"),
            models.UniqueConstraint(fields=["quarter", "currency"], condition=Q(team=None), name="sales_target_of_all_once"),
            models.CheckConstraint(condition=Q(quarter__day=1, quarter__month__in=(1, 4, 7, 10)), name="sales_target_quarter_begins"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="sales_target_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.team or _('whole organisation')}, {date_format(self.quarter, 'YEAR_MONTH_FORMAT')}"
