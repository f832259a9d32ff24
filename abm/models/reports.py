"""Reports as they were on a day: kept word for word, so that whoever looks again reads the same."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from crm.models import User
from crm.models.users import Sight, sight


class ReportSnapshotQuerySet(models.QuerySet["ReportSnapshot"]):
    """Kept reports as their readers speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep the user's own, for they hold what this user could see then; who sees every record reads those of all."""
        reach = sight(user)
        return self.none() if reach is Sight.NOTHING else self if reach is Sight.ALL else self.filter(user=user.pk)


class ReportSnapshot(models.Model):
    """The weekly or monthly report of one reader; one per period, however often it is made."""

    class Kind(models.TextChoices):
        """How often it is made."""

        WEEKLY = "weekly", _("weekly report")
        MONTHLY = "monthly", _("monthly cohorts")

    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    user = models.ForeignKey(User, verbose_name=_("reader"), on_delete=models.CASCADE, related_name="report_snapshots")
    # The period that it tells of, both days included.
    first_day = models.DateField(_("from"))
    last_day = models.DateField(_("to"))
    # JSON as text: a JSON column of PostgreSQL would give it back in another order.
    content = models.TextField(_("content"))
    definitions = models.CharField(_("version of the definitions"), max_length=12)
    made_at = models.DateTimeField(_("made"))
    mailed_at = models.DateTimeField(_("mailed"), null=True, blank=True)

    objects = ReportSnapshotQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("kept report"), _("kept reports")
        ordering = ["-last_day", "kind", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "user", "first_day"], name="report_snapshot_once"),
            models.CheckConstraint(condition=Q(kind__in=("weekly", "monthly")), name="report_snapshot_kind_known"),
            models.CheckConstraint(condition=Q(last_day__gte=models.F("first_day")), name="report_snapshot_days_in_order"),
        ]
        indexes = [models.Index(fields=["mailed_at"], condition=Q(mailed_at=None), name="report_snapshot_unmailed")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {localize(self.first_day)}"
