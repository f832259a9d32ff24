"""The ideal customer profile, and how well each account fits it."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from crm.models import Account


def list_of_words(value: object) -> None:
    """Refuse anything but a list of texts."""
    if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
        raise ValidationError(_('Give a list of words, e.g. ["retail", "software"].'), code="not_a_list")


class IdealCustomerProfile(models.Model):
    """What the accounts look like that buy from us and stay; one profile is in force."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    is_active = models.BooleanField(_("in force"), default=False)
    industries = models.JSONField(
        _("industries"), default=list, blank=True, validators=[list_of_words], help_text=_("Best first; empty: every industry fits.")
    )
    employees_from = models.PositiveIntegerField(_("employees from"), null=True, blank=True)
    employees_to = models.PositiveIntegerField(_("employees up to"), null=True, blank=True)
    revenue_from = models.DecimalField(_("revenue from"), max_digits=16, decimal_places=2, null=True, blank=True)
    revenue_to = models.DecimalField(_("revenue up to"), max_digits=16, decimal_places=2, null=True, blank=True)

    history = HistoricalRecords()

    class Meta:
        verbose_name, verbose_name_plural = _("ideal customer profile"), _("ideal customer profiles")
        ordering = ["-is_active", "name"]
        constraints = [
            models.UniqueConstraint(fields=["is_active"], condition=Q(is_active=True), name="icp_one_in_force"),
            models.CheckConstraint(
                condition=Q(employees_from=None) | Q(employees_to=None) | Q(employees_to__gte=F("employees_from")),
                name="icp_employees_in_order",
            ),
            models.CheckConstraint(
                condition=Q(revenue_from=None) | Q(revenue_to=None) | Q(revenue_to__gte=F("revenue_from")), name="icp_revenue_in_order"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class AccountFit(models.Model):
    """How well one account fits the profile in force, 0 to 100 points, with the reasons."""

    account = models.OneToOneField(Account, verbose_name=_("account"), on_delete=models.CASCADE, primary_key=True, related_name="fit")
    profile = models.ForeignKey(IdealCustomerProfile, verbose_name=_("profile"), null=True, on_delete=models.SET_NULL)
    points = models.PositiveSmallIntegerField(_("fit"))
    # [{"part": "industry", "points": 35, "of": 35, "code": "industry_first", "facts": {...}}]
    reasons = models.JSONField(_("reasons"), default=list)
    computed_at = models.DateTimeField(_("computed"))

    class Meta:
        verbose_name, verbose_name_plural = _("fit"), _("fits")
        constraints = [models.CheckConstraint(condition=Q(points__lte=100), name="fit_at_most_100")]
        indexes = [models.Index(fields=["-points", "account"], name="fit_by_points")]

    def __str__(self) -> str:
        return f"{self.account}: {self.points}"
