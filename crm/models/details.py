"""The times that a contact was asked whether the details are right; each of them is one link."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from crm.models.accounts import within_sight
from crm.models.contacts import Contact
from crm.models.users import User


class DetailsRequestQuerySet(models.QuerySet["DetailsRequest"]):
    """Requests as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those to contacts at accounts that the user may see."""
        return self.filter(within_sight(user, at="contact__account__"))


class DetailsRequest(models.Model):
    """One mail that asks a contact whether the details are right, and whether they answered it."""

    contact = models.ForeignKey(Contact, verbose_name=_("contact"), on_delete=models.CASCADE, related_name="details_requests")
    # Makes the link one that nobody can count up to, and worthless once this row is gone.
    nonce = models.CharField(max_length=32, unique=True, editable=False)
    asked_at = models.DateTimeField(_("asked"))
    asked_by = models.ForeignKey(User, verbose_name=_("asked by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    answered_at = models.DateTimeField(_("answered"), null=True, blank=True, help_text=_("First, by whatever they said."))
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, blank=True)

    objects = DetailsRequestQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("request for details"), _("requests for details")
        ordering = ["-asked_at", "-id"]
        indexes = [models.Index(fields=["contact", "-asked_at"], name="details_request_by_contact")]

    def __str__(self) -> str:
        return f"{self.contact}: {localize(self.asked_at)}"
