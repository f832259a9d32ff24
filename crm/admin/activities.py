"""Activities: what happened at which account; logged, corrected and deleted through their rules alone."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Field, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from crm import activities, activity_kinds
from crm.admin import deeds
from crm.admin.bulk import BulkPage
from crm.admin.lists import ChoicesFilter, WorkFilter, chip
from crm.admin.saved_views import Tab
from crm.admin.sidebar import Place
from crm.admin.site import RecordAdmin, doer
from crm.models import Activity, Contact

BY_HAND = "admin"


class KindFilter(ChoicesFilter):
    """Filter by kind."""

    title, parameter_name, field = _("kind"), "kind", "kind"

    def choices_of(self) -> Any:
        return activity_kinds.choices()


class MakerFilter(WorkFilter):
    """Leave out what machines made, unless asked for."""

    title, parameter_name, default = _("made by"), "made_by", "people"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("people", _("people")), ("machines", _("machines")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        choice = self.value()
        if choice == "machines":
            return queryset.exclude(machine_reason="")
        return queryset.filter(machine_reason="") if choice == "people" else queryset


class ActivityForm(deeds.RuleForm):
    """An activity; what cannot happen without a person needs one when it is logged by hand, history from elsewhere may lack it."""

    def clean(self) -> Any:
        cleaned = super().clean() or {}
        if self.instance.pk is None or {"kind", "contact"} & set(self.changed_data):
            need_person(self, cleaned.get("kind"), cleaned.get("contact"))
        return cleaned


def need_person(form: forms.BaseForm, kind: str | None, contact: Contact | None) -> None:
    """Ask with whom it was, of a kind that no anonymous visitor can do."""
    if kind in activity_kinds.PERSONAL_KINDS and contact is None:
        form.add_error("contact", _("Say with whom: only visits of our site can be anonymous."))


@admin.register(Activity)
class ActivityAdmin(BulkPage, RecordAdmin):
    """Activities."""

    place = Place("events", 1, "timeline")
    form = ActivityForm
    deletable = True
    list_display = ["kind_label", "account", "contact", "subject", "occurred_at", "source"]
    list_display_links = ["kind_label"]
    list_filter = [KindFilter, MakerFilter]
    list_select_related = ["account", "contact__person"]
    # Not the subject: an index on the letters of millions of subjects would cost every call that is logged.
    search_fields = ["account__name", "account__domain"]
    actions = ["export_rows"]
    search_help_text = _("Account or web domain")
    tabs = (Tab(_("By people"), "made_by=people"), Tab(_("By machines"), "made_by=machines"), Tab(_("All"), "made_by=all"))
    everything = "?made_by=all"
    nothing_yet = _("Log the first call or meeting from an account's page, or here.")
    autocomplete_fields = ["account", "contact", "opportunity"]
    add_fieldsets = [(None, {"fields": ["kind", "account", "contact", "opportunity", "occurred_at", "subject"]})]
    fieldsets = [
        (None, {"fields": ["kind", "account", "contact", "opportunity", "occurred_at", "subject", "machine_reason"]}),
        (_("Origin"), {"fields": [("source", "external_id"), ("recorded_by", "recorded_at"), "day"]}),
    ]

    @display(description=_("kind"), ordering="kind")
    def kind_label(self, activity: Activity) -> str:
        if activity.machine_reason:
            return chip(activity.get_kind_display(), "missing", sign="⚙", title=activity.machine_reason)
        known = activity_kinds.KINDS.get(activity.kind)
        return chip(activity.get_kind_display(), "plain" if known is None or known.is_ours else "reachable")

    def get_readonly_fields(self, request: HttpRequest, obj: Activity | None = None) -> list[str]:
        """An activity keeps its account and its origin."""
        return ["account", "source", "external_id", "recorded_by", "recorded_at", "day"] if obj else []

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "kind":
            return deeds.choice(_("kind"), activity_kinds.choices)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        return {"kind": "call_answered", "occurred_at": now()} | super().get_changeform_initial_data(request)

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Activity:
        return activities.record(source=BY_HAND, at=now(), by=doer(request), **values)

    def correct(self, request: HttpRequest, record: Any, values: dict[str, Any]) -> Any:
        return activities.correct(record, at=now(), by=doer(request), **values) if values else record

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        activities.delete(obj, at=now(), by=doer(request))

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """Go back to the account on whose page the deletion was begun."""
        account = request.GET.get("account", "")
        return (
            redirect("admin:crm_account_change", account) if account.isdecimal() else super().response_delete(request, obj_display, obj_id)
        )

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self.response_post_save_add(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Activity]) -> None:
        """Delete one by one: each takes its own count back."""
        for activity in queryset:
            activities.delete(activity, at=now(), by=doer(request))
