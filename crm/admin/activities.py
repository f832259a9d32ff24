"""Activities: what happened at which account; logged, corrected and deleted through their rules alone."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Field, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.formats import date_format
from django.utils.timezone import localtime, now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from crm import activities, activity_kinds, judgements, machine_agents
from crm.admin import deeds
from crm.admin.bulk import BulkPage, Deed
from crm.admin.lists import ChoicesFilter, WorkFilter, chip
from crm.admin.saved_views import Tab
from crm.admin.sidebar import Place
from crm.admin.site import RecordAdmin, doer
from crm.models import Activity, Contact, User

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


class ReasonFilter(ChoicesFilter):
    """Filter by why a machine is thought to have made it; a source's own reasons are in the export."""

    title, parameter_name, field = _("why a machine"), "machine_reason", "machine_reason"

    def choices_of(self) -> Any:
        return machine_agents.REASONS.items()


class NothingMore(forms.Form):
    """Ask for nothing but the click."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


STANDS = _("It stands, whatever the rules find later.")
PEOPLE_DID = Deed(
    _("These were people"), _("These were people"), NothingMore, judgements.judge_people_did, judgements.people_did, judgements.REASONS,
    note=STANDS,
)  # fmt: skip
MACHINES_DID = Deed(
    _("These were machines"), _("These were machines"), NothingMore, judgements.judge_machines_did, judgements.machines_did,
    judgements.REASONS, note=STANDS,
)  # fmt: skip


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
    list_display = ["kind_label", "account", "contact", "subject", "occurred_at", "made_by", "source"]
    list_display_links = ["kind_label"]
    list_filter = [KindFilter, MakerFilter, ReasonFilter]
    list_select_related = ["account", "contact__person"]
    # Not the subject: an index on the letters of millions of subjects would cost every call that is logged.
    search_fields = ["account__name", "account__domain"]
    actions = ["export_rows"]
    actions_detail = ["was_person", "was_machine"]
    bulk_deeds = {"were_people": PEOPLE_DID, "were_machines": MACHINES_DID}
    search_help_text = _("Account or web domain")
    tabs = (Tab(_("By people"), "made_by=people"), Tab(_("By machines"), "made_by=machines"), Tab(_("All"), "made_by=all"))
    everything = "?made_by=all"
    nothing_yet = _("Log the first call or meeting from an account's page, or here.")
    autocomplete_fields = ["account", "contact", "opportunity"]
    add_fieldsets = [(None, {"fields": ["kind", "account", "contact", "opportunity", "occurred_at", "subject"]})]
    fieldsets = [
        (None, {"fields": ["kind", "account", "contact", "opportunity", "occurred_at", "subject"]}),
        (_("Made by"), {"fields": ["made_by", "said", ("message_id", "link"), "user_agent"]}),
        (_("Origin"), {"fields": [("source", "external_id"), ("recorded_by", "recorded_at"), "day"]}),
    ]

    @display(description=_("kind"), ordering="kind")
    def kind_label(self, activity: Activity) -> str:
        if activity.machine_reason:
            return chip(activity.get_kind_display(), "missing", sign="⚙", title=activity.get_machine_reason_display())
        known = activity_kinds.KINDS.get(activity.kind)
        return chip(activity.get_kind_display(), "plain" if known is None or known.is_ours else "reachable")

    @display(description=_("made by"))
    def made_by(self, activity: Activity) -> str:
        """Say in words whether a person or a machine made it, and why it is thought so."""
        if activity.machine_reason:
            return _("machine: %(reason)s") % {"reason": activity.get_machine_reason_display()}
        known = activity_kinds.KINDS.get(activity.kind)
        return str(_("us") if known and known.is_ours else _("people"))

    @display(description=_("said of it"))
    def said(self, activity: Activity) -> str:
        """List who said that it was a person or a machine, the latest first."""
        rows = activity.verdicts.select_related("said_by")
        lines = (f"{row} ({row.said_by or '–'}, {date_format(localtime(row.said_at), 'SHORT_DATETIME_FORMAT')})" for row in rows)
        return "; ".join(lines) or "–"

    def useless(self, record: Activity) -> set[str]:
        """Offer the verdict that is not on record yet; whether we did something ourselves is no question."""
        known = activity_kinds.KINDS.get(record.kind)
        if known and known.is_ours and not record.machine_reason:
            return {"was_person", "was_machine"}
        return {"was_machine"} if record.machine_reason else {"was_person"}

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer no verdict to somebody who may only look."""
        record = self.get_object(request, str(object_id))
        return super().get_actions_detail(request, object_id) if record and self.may(request, "change", record) else []

    @action(description=_("This was a person"), url_path="was-person", icon="person_check", permissions=["change"])
    def was_person(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._judge(request, object_id, "", _("This was a person"), _("It counts again."))

    @action(description=_("This was a machine"), url_path="was-machine", icon="smart_toy", permissions=["change"])
    def was_machine(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._judge(request, object_id, judgements.BY_MACHINE, _("This was a machine"), _("It counts no more."))

    def _judge(self, request: HttpRequest, object_id: str, reason: str, title: Any, done: Any) -> HttpResponse:
        row = self.record(request, object_id)
        deed = partial(activities.judge, row, machine_reason=reason, by=doer(request))
        return self.ask(request, row, deeds.Nothing(deeds.filled(request)), deed, title=title, done=done, warning=STANDS)

    def get_readonly_fields(self, request: HttpRequest, obj: Activity | None = None) -> list[str]:
        """An activity keeps its account and its origin."""
        origin = ["account", "source", "external_id", "recorded_by", "recorded_at", "day"]
        return [*origin, "made_by", "said", "message_id", "link", "user_agent"] if obj else []

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
