"""Ideal customer profiles: what the accounts look like that we want; one is in force."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import TEXTAREA_CLASSES

from abm.models import IdealCustomerProfile
from crm.admin.lists import chip
from crm.admin.sidebar import Place
from crm.admin.site import RememberedAdmin


class OnePerLine(forms.CharField):
    """A list of words as people write one: each on its own line, best first."""

    widget = forms.Textarea({"class": " ".join(TEXTAREA_CLASSES), "rows": 6})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        words = [word.strip() for word in (super().to_python(value) or "").splitlines() if word.strip()]
        if len({word.casefold() for word in words}) < len(words):
            raise ValidationError(_("An industry is named twice."))
        return words

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


class ProfileForm(forms.ModelForm):
    """A profile, with its industries as lines."""

    industries = OnePerLine(label=_("industries"), required=False, help_text=_("One per line, best first; empty: every industry fits."))


@admin.register(IdealCustomerProfile)
class ProfileAdmin(RememberedAdmin):
    """Ideal customer profiles."""

    place = Place("marketing", 1, "target", _("Ideal customer profile"))
    form = ProfileForm
    deletable = True
    list_display = ["name", "in_force", "industries_shown", "employees_from", "employees_to"]
    fields = [
        ("name", "is_active"), "industries", ("employees_from", "employees_to"), ("revenue_from", "revenue_to"),
    ]  # fmt: skip

    @display(description=_("in force"), ordering="is_active")
    def in_force(self, profile: IdealCustomerProfile) -> str:
        return chip(_("in force"), "engaged", sign="✓") if profile.is_active else chip(_("kept"), "plain")

    @display(description=_("industries"))
    def industries_shown(self, profile: IdealCustomerProfile) -> str:
        return ", ".join(profile.industries) or str(_("every industry"))

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse to delete the one in force: put another one in force first."""
        return super().has_delete_permission(request, obj) and not getattr(obj, "is_active", False)
