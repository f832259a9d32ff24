"""Pilots: started from their deal, judged here."""

from functools import partial

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from crm import pilots, policy
from crm.admin import deeds
from crm.admin.lists import chip
from crm.admin.site import RememberedAdmin, doer, page_of
from crm.models import Pilot


class StartPilot(forms.Form):
    """Ask what makes the pilot a success, and when it ends."""

    success_criteria = deeds.paragraph(_("success criteria"))
    starts_on = deeds.day(_("starts on"), required=False, help_text=_("Empty: today."))
    ends_on = deeds.day(_("ends on"))


class Verdict(forms.Form):
    """Ask how a pilot ended."""

    verdict = deeds.choice(_("verdict"), Pilot.Verdict.choices)
    note = deeds.paragraph(_("explanation"), required=False)


@admin.register(Pilot)
class PilotAdmin(RememberedAdmin):
    """Pilots: started from the deal, judged here."""

    list_display = ["opportunity", "starts_on", "ends_on", "verdict_label"]
    list_select_related = ["opportunity"]
    search_fields = ["opportunity__name"]
    readonly_fields = ["opportunity", "success_criteria", "starts_on", "ends_on", "verdict", "verdict_on", "verdict_note"]
    fields = ["opportunity", "success_criteria", ("starts_on", "ends_on"), ("verdict", "verdict_on"), "verdict_note"]
    actions_detail = ["judge"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: a pilot starts on its deal's page."""
        return False

    @display(description=_("verdict"), ordering="verdict")
    def verdict_label(self, pilot: Pilot) -> str:
        if not pilot.verdict:
            late = pilot.ends_on < policy.day_of(now())
            return chip(_("overdue"), "lost", sign="!") if late else chip(_("running"), "known")
        return chip(pilot.get_verdict_display(), "engaged" if pilot.verdict == Pilot.Verdict.PASSED else "plain")

    def useless(self, record: Pilot) -> set[str]:
        return {"judge"} if record.verdict else set()

    @action(description=_("Give the verdict"), url_path="judge", icon="gavel", permissions=["change"])
    def judge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        pilot = self.record(request, object_id)
        deed = partial(pilots.judge, pilot, by=doer(request))
        form, back = Verdict(deeds.filled(request)), page_of(pilot.opportunity)
        return self.ask(request, pilot, form, deed, title=_("Give the verdict"), done=_("The verdict is given."), back=back)
