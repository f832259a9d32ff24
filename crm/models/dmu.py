"""DMU memberships: who holds which role in a decision, at an account or for one opportunity."""

from datetime import date
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from crm.models.accounts import Account, within_sight
from crm.models.changes import serial_field
from crm.models.contacts import Contact, Departure
from crm.models.histories import WithKey
from crm.models.opportunities import OPEN_STAGES
from crm.models.users import User


class DmuRole(models.TextChoices):
    """The five roles of the people who decide together."""

    INITIATOR = "initiator", _("initiator")
    USER = "user", _("user")
    INFLUENCER = "influencer", _("influencer")
    BUYER = "buyer", _("buyer")
    DECIDER = "decider", _("decider")


class Stance(models.TextChoices):
    """How somebody stands towards us."""

    CHAMPION = "champion", _("champion")
    SUPPORTER = "supporter", _("supporter")
    NEUTRAL = "neutral", _("neutral")
    SCEPTIC = "sceptic", _("sceptic")
    BLOCKER = "blocker", _("blocker")


class DmuMembershipQuerySet(models.QuerySet["DmuMembership"]):
    """Memberships as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those at accounts that the user may see."""
        return self.filter(within_sight(user, at="account__"))

    def current(self) -> Self:
        """Keep those that have not ended."""
        return self.filter(until=None)

    def held_on(self, day: date) -> Self:
        """Keep those held on a day: begun by then, and not ended before or on it."""
        return self.filter(since__lte=day).filter(Q(until=None) | Q(until__gt=day))

    def standing(self) -> Self:
        """Keep those that stand for the account as a whole."""
        return self.filter(opportunity=None)

    def at_work(self) -> Self:
        """Keep those that matter at the account now: standing ones, and those for a deal that is open.

        The deal's stage is today's, also when the memberships asked for are those of a day long past.
        """
        return self.filter(Q(opportunity=None) | Q(opportunity__stage__in=OPEN_STAGES))


class DmuMembership(models.Model):
    """A contact in a role, standing for the account or for one opportunity, kept when it ends."""

    class EndReason(models.TextChoices):
        """Why a membership ended."""

        LEFT = "left", _("left the company")
        MOVED = "moved", _("role passed to somebody else")
        MISTAKEN = "mistaken", _("was a mistake")

    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="memberships")
    contact = models.ForeignKey(Contact, verbose_name=_("contact"), on_delete=models.CASCADE, related_name="memberships")
    opportunity = models.ForeignKey(
        "crm.Opportunity", verbose_name=_("opportunity"), null=True, blank=True, on_delete=models.CASCADE,
        related_name="memberships", help_text=_("Empty: for the account as a whole."),
    )  # fmt: skip
    role = models.CharField(_("role"), max_length=10, choices=DmuRole)
    stance = models.CharField(_("stance"), max_length=10, choices=Stance, default=Stance.NEUTRAL)
    is_assumed = models.BooleanField(_("assumed"), default=True, help_text=_("Nobody confirmed it yet."))
    said_by = models.ForeignKey(User, verbose_name=_("said by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    since = models.DateField(_("since"))
    until = models.DateField(_("until"), null=True, blank=True)
    end_reason = models.CharField(_("why it ended"), max_length=10, choices=EndReason, blank=True)
    departure = models.ForeignKey(
        Departure, verbose_name=_("departure"), null=True, blank=True, on_delete=models.SET_NULL, related_name="ended_memberships"
    )
    change_serial = serial_field()

    history = HistoricalRecords(excluded_fields=["change_serial"], bases=[WithKey])
    objects = DmuMembershipQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("DMU membership"), _("DMU memberships")
        ordering = ["account", "role", "-since", "id"]
        constraints = [
            # Two constraints, because SQLite has no NULLS NOT DISTINCT.
            models.UniqueConstraint(fields=["contact", "role"], condition=Q(until=None, opportunity=None), name="dmu_role_held_once"),
            models.UniqueConstraint(
                fields=["contact", "role", "opportunity"], condition=Q(until=None), name="dmu_role_held_once_per_opportunity"
            ),
            models.CheckConstraint(condition=Q(role__in=DmuRole.values), name="dmu_role_known"),
            models.CheckConstraint(condition=Q(stance__in=Stance.values), name="dmu_stance_known"),
            models.CheckConstraint(condition=Q(until=None) | Q(until__gte=F("since")), name="dmu_ends_after_start"),
            models.CheckConstraint(
                condition=Q(until=None, end_reason="") | (Q(until__isnull=False) & ~Q(end_reason="")), name="dmu_end_has_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["account", "role"], name="dmu_by_account"),
            models.Index(fields=["contact", "id", "account"], condition=Q(until=None), name="dmu_current_by_contact"),
            models.Index(fields=["opportunity", "role"], name="dmu_by_opportunity"),
            models.Index(fields=["change_serial", "id"], name="dmu_by_serial"),
        ]

    def __str__(self) -> str:
        return f"{self.contact}: {self.get_role_display()}"
