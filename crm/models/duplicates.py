"""Duplicates: keys under which like records stand together, and the pairs that were found by them."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.accounts import Account, within_sight
from crm.models.contacts import Contact
from crm.models.users import User


class AccountKey(models.Model):
    """One way to find an account by what it is called: only accounts that share a key are ever compared."""

    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="duplicate_keys")
    key = models.CharField(max_length=40)

    objects = models.Manager["AccountKey"]()

    class Meta:
        verbose_name, verbose_name_plural = _("account key"), _("account keys")
        constraints = [models.UniqueConstraint(fields=["account", "key"], name="account_key_once")]
        indexes = [models.Index(fields=["key", "account"], name="account_key_by_key")]

    def __str__(self) -> str:
        return self.key


class DuplicateSweep(models.Model):
    """How far the search for duplicates has come: everything changed before this was looked at."""

    what = models.CharField(max_length=10, primary_key=True)
    seen_until = models.DateTimeField(null=True)
    seen_id = models.BigIntegerField(default=0)
    swept_at = models.DateTimeField(null=True)

    objects = models.Manager["DuplicateSweep"]()

    class Meta:
        verbose_name, verbose_name_plural = _("search for duplicates"), _("searches for duplicates")

    def __str__(self) -> str:
        return self.what


class PairQuerySet(models.QuerySet[models.Model]):
    """Pairs as sales people speak of them."""

    # What leads from either of the pair to its account.
    to_account = ""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep pairs of which the user may see both."""
        both = [within_sight(user, at=f"{side}__{self.to_account}") for side in ("one", "other")]
        return self.filter(*both)

    def open(self) -> Self:
        """Keep those that nobody decided on."""
        return self.filter(dismissed_at=None)


class AccountPairQuerySet(PairQuerySet):
    """Pairs of accounts."""


class ContactPairQuerySet(PairQuerySet):
    """Pairs of contacts."""

    to_account = "account__"


class Pair(models.Model):
    """Two records that look like one; 'not a duplicate' is remembered."""

    # Percent, and why: codes of crm.duplicates.REASONS.
    certainty = models.PositiveSmallIntegerField(_("certainty"))
    reasons = models.JSONField(_("why"), default=list)
    found_at = models.DateTimeField(_("found"))
    dismissed_at = models.DateTimeField(_("no duplicate since"), null=True, blank=True)
    dismissed_by = models.ForeignKey(User, verbose_name=_("decided by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.one} / {self.other}"  # type: ignore[attr-defined]


class AccountPair(Pair):
    """Two accounts that may be one company; the older record is `one`."""

    one = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="+")
    other = models.ForeignKey(Account, verbose_name=_("other account"), on_delete=models.CASCADE, related_name="+")

    objects = AccountPairQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("pair of accounts"), _("pairs of accounts")
        ordering = ["-certainty", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["one", "other"], name="account_pair_once"),
            models.CheckConstraint(condition=Q(one__lt=F("other")), name="account_pair_in_order"),
        ]
        indexes = [models.Index(fields=["-certainty", "-id"], condition=Q(dismissed_at=None), name="account_pair_open")]


class ContactPair(Pair):
    """Two contacts that may be one human being; the older record is `one`."""

    one = models.ForeignKey(Contact, verbose_name=_("contact"), on_delete=models.CASCADE, related_name="+")
    other = models.ForeignKey(Contact, verbose_name=_("other contact"), on_delete=models.CASCADE, related_name="+")

    objects = ContactPairQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("pair of contacts"), _("pairs of contacts")
        ordering = ["-certainty", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["one", "other"], name="contact_pair_once"),
            models.CheckConstraint(condition=Q(one__lt=F("other")), name="contact_pair_in_order"),
        ]
        indexes = [models.Index(fields=["-certainty", "-id"], condition=Q(dismissed_at=None), name="contact_pair_open")]
