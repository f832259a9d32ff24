"""Confirmations of BANT and the stage moves they allow: shown here, made on the deal's page."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from crm import bant, policy
from crm.admin import deeds
from crm.admin.lists import chip
from crm.admin.site import ReadOnlyAdmin
from crm.models import Confirmation, ConfirmationKind, Contact, Opportunity, StageMove


class Confirm(forms.Form):
    """Ask who confirmed which letter of BANT, and how we know."""

    kind = deeds.choice(_("what"), ConfirmationKind.choices)
    contact = deeds.record(_("confirmed by"), help_text=_("Only a decider can confirm authority."))
    evidence = deeds.paragraph(_("evidence"), help_text=_("In words: what was said or shown, and where."))
    confirmed_at = deeds.moment(_("when"), required=False, help_text=_("Empty: now."))

    def __init__(self, *args: Any, opportunity: Opportunity, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer(self, "contact", Contact.objects.active().filter(account=opportunity.account_id).select_related("person"))


class Withdraw(forms.Form):
    """Ask why a confirmation no longer holds."""

    because = deeds.line(_("why it no longer holds"))


def bant_row(kind: ConfirmationKind, given: Iterable[Confirmation], at: datetime) -> dict[str, Any]:
    """Give one letter of BANT: confirmed and fresh, too old, withdrawn, or not confirmed."""
    standing = next((row for row in given if row.kind == kind and row.withdrawn_at is None), None)
    if standing:
        stale = bant.is_stale(standing.confirmed_at, at)
        mark = chip(_("too old"), "assumed", sign="!") if stale else chip(_("confirmed"), "engaged", sign="✓")
        until = standing.confirmed_at + timedelta(days=policy.BANT.stale_after_days)
        return {"kind": kind, "mark": mark, "given": standing, "until": until, "is_stale": stale}
    was = next((row for row in given if row.kind == kind), None)
    mark = chip(_("withdrawn"), "lost", sign="✕") if was else chip(_("not confirmed"), "missing", sign="–")
    return {"kind": kind, "mark": mark, "given": None, "until": None, "is_stale": False, "was": was}


@admin.register(Confirmation)
class ConfirmationAdmin(ReadOnlyAdmin):
    """Confirmations: given and withdrawn on the deal's page, kept for good."""

    list_display = ["opportunity", "kind", "contact", "confirmed_day", "recorded_by", "withdrawn_at"]
    list_select_related = ["opportunity", "contact__person", "recorded_by"]
    search_fields = ["opportunity__name"]

    @display(description=_("confirmed"), ordering="confirmed_at")
    def confirmed_day(self, row: Confirmation) -> str:
        return date_format(localtime(row.confirmed_at), "SHORT_DATE_FORMAT")


@admin.register(StageMove)
class StageMoveAdmin(ReadOnlyAdmin):
    """Stage moves: written by the rules, one for each step."""

    list_display = ["opportunity", "from_stage", "to_stage", "moved_at", "moved_by", "is_imported"]
    list_select_related = ["opportunity", "moved_by"]
    search_fields = ["opportunity__name"]
    ordering = ["-id"]
