"""Where each account stands now: one row per account, so that lists sort and filter without computing."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from crm.models import Account, User
from crm.models.accounts import within_sight


class AccountStandingQuerySet(models.QuerySet["AccountStanding"]):
    """Standings as marketers speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of accounts that the user may see."""
        return self.filter(within_sight(user, at="account__"))

    def warming_up(self, points: float) -> Self:
        """Keep accounts whose score rose by at least so many points in a week."""
        return self.filter(momentum__gte=points)


class AccountStanding(models.Model):
    """Fit, score, momentum and coverage of one account, as of a day; written by `abm.refresh` alone."""

    account = models.OneToOneField(Account, verbose_name=_("account"), on_delete=models.CASCADE, primary_key=True, related_name="standing")
    as_of = models.DateField(_("as of"))
    fit = models.PositiveSmallIntegerField(_("fit"))
    score = models.DecimalField(_("score"), max_digits=4, decimal_places=1)
    momentum = models.DecimalField(_("change in 7 days"), max_digits=4, decimal_places=1)
    coverage_percent = models.PositiveSmallIntegerField(_("coverage"))
    # role -> state, the required roles only
    coverage_states = models.JSONField(_("DMU"), default=dict)
    is_single_threaded = models.BooleanField(_("single-threaded"), default=False)
    refreshed_at = models.DateTimeField(_("refreshed"))

    objects = AccountStandingQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("standing"), _("standings")
        constraints = [models.CheckConstraint(condition=Q(fit__lte=100, coverage_percent__lte=100), name="standing_in_range")]
        indexes = [
            models.Index(fields=["-score", "account"], name="standing_by_score"),
            models.Index(fields=["-momentum", "account"], name="standing_by_momentum"),
            models.Index(fields=["-fit", "account"], name="standing_by_fit"),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {localize(self.score)}"
