"""Target lists: twenty slots for accounts that get personal treatment, and the group they are compared with."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from crm.models import Account, Team, User
from crm.models.changes import serial_field
from crm.models.users import owned_within_sight

SLOTS = 20


class TargetListQuerySet(models.QuerySet["TargetList"]):
    """Target lists as marketers speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep the user's own lists and those of the team."""
        return self.filter(owned_within_sight(user))

    def active(self) -> Self:
        """Keep those at work."""
        return self.filter(status=TargetList.Status.ACTIVE)


class TargetList(models.Model):
    """Twenty accounts of one team, for a period."""

    class Status(models.TextChoices):
        """Where a list stands."""

        DRAFT = "draft", _("draft")
        ACTIVE = "active", _("active")
        CLOSED = "closed", _("closed")

    name = models.CharField(_("name"), max_length=100)
    team = models.ForeignKey(Team, verbose_name=_("team"), on_delete=models.PROTECT, related_name="target_lists")
    owner = models.ForeignKey(User, verbose_name=_("owner"), null=True, blank=True, on_delete=models.SET_NULL, related_name="target_lists")
    starts_on = models.DateField(_("starts on"))
    ends_on = models.DateField(_("ends on"))
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.DRAFT, editable=False)
    activated_at = models.DateTimeField(_("activated"), null=True, blank=True, editable=False)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True, editable=False)
    change_serial = serial_field()
    # How alike list and comparison group were when it was activated:
    # [{"trait": "fit", "listed": 82.1, "compared": 79.0, "smd": 0.21, "about": ""}]; smd null: neither varies, but they differ.
    # Empty for a draft, and for lists activated before this was kept.
    balance = models.JSONField(_("balance at the start"), null=True, editable=False)

    history = HistoricalRecords(excluded_fields=["balance", "change_serial"])
    objects = TargetListQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("target list"), _("target lists")
        ordering = ["-starts_on", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gt=F("starts_on")), name="target_list_period_in_order"),
            models.CheckConstraint(condition=Q(status__in=("draft", "active", "closed")), name="target_list_status_known"),
            models.CheckConstraint(condition=Q(status="draft") | Q(activated_at__isnull=False), name="target_list_activated_at_a_moment"),
        ]
        indexes = [
            models.Index(fields=["team", "status"], name="target_list_by_team"),
            models.Index(fields=["change_serial", "id"], name="target_list_by_serial"),
        ]

    def __str__(self) -> str:
        return self.name


class TargetAccount(models.Model):
    """One account in one slot; the slot's bounds and uniqueness are what refuses a 21st."""

    target_list = models.ForeignKey(TargetList, verbose_name=_("target list"), on_delete=models.CASCADE, related_name="slots")
    slot = models.PositiveSmallIntegerField(_("slot"))
    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="target_slots")
    is_pinned = models.BooleanField(_("pinned"), default=False, help_text=_("A new proposal leaves it where it is."))
    # Why it was proposed: [{"part": "fit", "value": 82, "weight": 0.4, "points": 32.8}]; empty when a person picked it.
    reasons = models.JSONField(_("reasons"), default=list, editable=False)
    added_by = models.ForeignKey(User, verbose_name=_("added by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    added_at = models.DateTimeField(_("added"))
    fit_at_start = models.PositiveSmallIntegerField(_("fit at the start"), null=True, editable=False)
    score_at_start = models.DecimalField(_("score at the start"), max_digits=4, decimal_places=1, null=True, editable=False)
    # The list's team while the list is active, else empty. Database triggers keep it so, whoever writes;
    # its unique constraint is what refuses an account on two active lists of one team.
    active_team = models.ForeignKey(Team, null=True, editable=False, on_delete=models.DO_NOTHING, related_name="+")

    history = HistoricalRecords(excluded_fields=["active_team"])
    objects = models.Manager["TargetAccount"]()

    class Meta:
        verbose_name, verbose_name_plural = _("target account"), _("target accounts")
        ordering = ["target_list", "slot"]
        constraints = [
            models.CheckConstraint(condition=Q(slot__gte=1, slot__lte=SLOTS), name="target_slot_1_to_20"),
            models.UniqueConstraint(fields=["target_list", "slot"], name="target_slot_once"),
            models.UniqueConstraint(fields=["target_list", "account"], name="target_account_once"),
            models.UniqueConstraint(
                fields=["account", "active_team"], condition=Q(active_team__isnull=False), name="target_account_on_one_active_list"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slot}. {self.account}"


class TargetRejection(models.Model):
    """That a person kept an account off a list, so that it is not proposed again."""

    target_list = models.ForeignKey(TargetList, verbose_name=_("target list"), on_delete=models.CASCADE, related_name="rejections")
    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="+")
    rejected_by = models.ForeignKey(User, verbose_name=_("rejected by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    rejected_at = models.DateTimeField(_("rejected"))
    reason = models.CharField(_("why"), max_length=300, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("rejection"), _("rejections")
        ordering = ["-rejected_at"]
        constraints = [models.UniqueConstraint(fields=["target_list", "account"], name="target_rejection_once")]

    def __str__(self) -> str:
        return str(self.account)


class HeldOutAccount(models.Model):
    """A proposed account that lost the toss against a listed one as good: it is left alone, so that the two can be compared."""

    target_list = models.ForeignKey(TargetList, verbose_name=_("target list"), on_delete=models.CASCADE, related_name="held_out")
    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="+")
    paired_with = models.ForeignKey(Account, verbose_name=_("paired with"), on_delete=models.CASCADE, related_name="+")

    class Meta:
        verbose_name, verbose_name_plural = _("held-out account"), _("held-out accounts")
        ordering = ["target_list", "id"]
        constraints = [
            models.UniqueConstraint(fields=["target_list", "account"], name="held_out_once"),
            models.UniqueConstraint(fields=["target_list", "paired_with"], name="held_out_pair_once"),
        ]

    def __str__(self) -> str:
        return str(self.target_list)


class ComparisonAccount(models.Model):
    """A non-listed account that looked like a listed one when the list was activated; frozen."""

    target_list = models.ForeignKey(TargetList, verbose_name=_("target list"), on_delete=models.CASCADE, related_name="comparison")
    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="+")
    resembles = models.ForeignKey(Account, verbose_name=_("resembles"), on_delete=models.CASCADE, related_name="+")
    # 0 is alike in size, industry, fit and engagement; 1 is unlike in all four.
    distance = models.FloatField(_("distance"))
    fit_at_start = models.PositiveSmallIntegerField(_("fit at the start"))
    score_at_start = models.DecimalField(_("score at the start"), max_digits=4, decimal_places=1)
    is_random = models.BooleanField(_("held out at random"), default=False, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("comparison account"), _("comparison accounts")
        ordering = ["target_list", "distance"]
        constraints = [models.UniqueConstraint(fields=["target_list", "account"], name="comparison_account_once")]

    def __str__(self) -> str:
        # Without the account's name: who sees the list may not see the account.
        return f"{self.target_list} ({number_format(self.distance, 2)})"
