"""Merges: which record was taken into which other, and what it takes to undo that exactly."""

import json
from datetime import date
from decimal import Decimal
from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from phonenumber_field.phonenumber import PhoneNumber

from crm.models.accounts import Account, within_sight
from crm.models.users import User


class Exact(json.JSONEncoder):
    """Write moments to the microsecond and amounts to the cent: Django's own encoder cuts moments off."""

    def default(self, value: Any) -> Any:
        """Write what JSON does not know as its field reads it again."""
        if isinstance(value, date):
            return value.isoformat()
        return str(value) if isinstance(value, Decimal | PhoneNumber) else super().default(value)


class MergeQuerySet(models.QuerySet["Merge"]):
    """Merges as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those at accounts that the user may see."""
        return self.filter(within_sight(user, at="account__"))

    def standing(self) -> Self:
        """Keep those not undone."""
        return self.filter(undone_at=None)


class Merge(models.Model):
    """That one record was folded into another; the folded row itself, and what moved, is kept in `steps`."""

    class Kind(models.TextChoices):
        """What was merged."""

        ACCOUNT = "account", _("account")
        CONTACT = "contact", _("contact")

    kind = models.CharField(_("what"), max_length=7, choices=Kind)
    # Where it happened: the kept account, or that of the kept contact. It goes along when that one is folded, too.
    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="merges")
    kept_id = models.BigIntegerField()
    folded_id = models.BigIntegerField()
    kept_name = models.CharField(_("kept"), max_length=210)
    folded_name = models.CharField(_("taken in"), max_length=210)
    # What still leads to the kept account: mail and imports know the old domain.
    folded_domain = models.CharField(_("former web domain"), max_length=253, blank=True)
    # What was done, in order, as crm.merges.ledger writes it down; undone backwards.
    steps = models.JSONField(default=list, encoder=Exact, editable=False)
    # {"moved": {model label: rows}, "settled": {code: times}, "stayed": {...}, "followed": {...}}
    figures = models.JSONField(default=dict, editable=False)
    merged_at = models.DateTimeField(_("merged"))
    merged_by = models.ForeignKey(User, verbose_name=_("merged by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    undone_at = models.DateTimeField(_("undone"), null=True, blank=True)
    undone_by = models.ForeignKey(User, verbose_name=_("undone by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    objects = MergeQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("merge"), _("merges")
        ordering = ["-merged_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "folded_id"], condition=Q(undone_at=None), name="merge_once_at_a_time"),
            models.CheckConstraint(condition=~Q(kept_id=F("folded_id")), name="merge_of_two"),
        ]
        indexes = [
            models.Index(fields=["account", "-merged_at"], name="merge_by_account"),
            models.Index(fields=["-merged_at", "-id"], name="merge_by_moment"),
            models.Index(fields=["folded_domain"], condition=Q(undone_at=None) & ~Q(folded_domain=""), name="merge_by_former_domain"),
        ]

    def __str__(self) -> str:
        return f"{self.folded_name} → {self.kept_name}"


class MergedRecord(models.Model):
    """One record that is gone because of a merge, and the one that took its place: leads old ids on."""

    merge = models.ForeignKey(Merge, verbose_name=_("merge"), on_delete=models.CASCADE, related_name="records")
    model = models.CharField(max_length=40, help_text=_("As Django names it, e.g. crm.contact."))
    folded_id = models.BigIntegerField()
    kept_id = models.BigIntegerField()

    objects = models.Manager["MergedRecord"]()

    class Meta:
        verbose_name, verbose_name_plural = _("merged record"), _("merged records")
        constraints = [models.UniqueConstraint(fields=["merge", "model", "folded_id"], name="merged_record_once")]
        indexes = [
            models.Index(fields=["model", "folded_id"], name="merged_record_by_old_id"),
            models.Index(fields=["model", "kept_id"], name="merged_record_by_new_id"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.folded_id} → {self.kept_id}"
