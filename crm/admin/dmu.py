"""DMU memberships: who holds which role, confirmed or assumed, and how they stand towards us."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from crm import dmu
from crm.admin import deeds
from crm.admin.lists import ChoicesFilter, WorkFilter, chip, label_of
from crm.admin.sidebar import Place
from crm.admin.site import RememberedAdmin, doer
from crm.models import DmuMembership, DmuRole, Stance

STANCES = {"champion": "engaged", "supporter": "reachable", "neutral": "plain", "sceptic": "assumed", "blocker": "lost"}


class StanceForm(forms.Form):
    """Ask how somebody stands towards us."""

    stance = deeds.choice(_("stance"), Stance.choices)


class EndForm(forms.Form):
    """Ask why a role ended."""

    reason = deeds.choice(_("why it ended"), DmuMembership.EndReason.choices)


class RoleFilter(ChoicesFilter):
    """Filter by role."""

    title, parameter_name, field = _("role"), "role", "role"

    def choices_of(self) -> Any:
        return DmuRole.choices


class HeldFilter(WorkFilter):
    """Show the roles held now, unless asked for more."""

    title, parameter_name, default = _("held"), "held", "now"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("now", _("now")), ("ended", _("ended")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return {"now": queryset.current(), "ended": queryset.exclude(until=None)}.get(self.value(), queryset)


@admin.register(DmuMembership)
class MembershipAdmin(RememberedAdmin):
    """DMU roles; ended, never deleted."""

    place = Place("selling", 3, "diversity_3", _("DMU roles"))
    list_display = ["contact", "account", "role", "stance_label", "certainty", "opportunity", "since", "until"]
    list_filter = [HeldFilter, RoleFilter]
    list_select_related = ["contact__person", "account", "opportunity"]
    search_fields = ["contact__person__family_name", "contact__person__given_name", "account__name"]
    autocomplete_fields = ["contact", "opportunity"]
    actions_detail = ["confirm", "set_stance", "end"]
    add_fieldsets = [(None, {"fields": ["contact", "role", "stance", "is_assumed", "opportunity"]})]
    fields = [
        ("contact", "account"), ("role", "opportunity"), ("stance", "is_assumed"), ("since", "said_by"), ("until", "end_reason"),
    ]  # fmt: skip

    @display(description=_("stance"), ordering="stance")
    def stance_label(self, membership: DmuMembership) -> str:
        return chip(label_of(membership, "stance"), STANCES.get(membership.stance, "plain"))

    @display(description=_("certainty"), ordering="is_assumed")
    def certainty(self, membership: DmuMembership) -> str:
        return chip(_("assumed"), "assumed", sign="?") if membership.is_assumed else chip(_("confirmed"), "reachable", sign="✓")

    def get_fieldsets(self, request: HttpRequest, obj: DmuMembership | None = None) -> Any:
        return super().get_fieldsets(request, obj) if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: DmuMembership | None = None) -> list[str]:
        """A role is changed by deeds: confirm, set the stance, end."""
        shown = ["contact", "account", "role", "opportunity", "stance", "is_assumed", "since", "said_by", "until", "end_reason"]
        return shown if obj else []

    def useless(self, record: DmuMembership) -> set[str]:
        if record.until:
            return {"confirm", "set_stance", "end"}
        return set() if record.is_assumed else {"confirm"}

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> DmuMembership:
        return dmu.assign(at=now(), by=doer(request), **values)

    @action(description=_("Confirm"), url_path="confirm", icon="verified", permissions=["change"])
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        deed = partial(dmu.confirm, row, by=doer(request))
        title, done = _("Confirm the role"), _("The role is confirmed.")
        return self.ask(request, row, deeds.Nothing(deeds.filled(request)), deed, title=title, done=done)

    @action(description=_("Set stance"), url_path="stance", icon="thumbs_up_down", permissions=["change"])
    def set_stance(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        form = StanceForm(deeds.filled(request), initial={"stance": row.stance})
        deed = partial(dmu.set_stance, row, by=doer(request))
        return self.ask(request, row, form, deed, title=_("Set the stance"), done=_("The stance is set."))

    @action(description=_("End"), url_path="end", icon="person_remove", permissions=["change"])
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        deed = partial(dmu.end, row, by=doer(request))
        return self.ask(request, row, EndForm(deeds.filled(request)), deed, title=_("End the role"), done=_("The role ended."))
