"""Follow-ups ('tasks' on screen): the user's own open ones first, the oldest due at the top."""

from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from crm import follow_ups, policy
from crm.admin import bulk, deeds
from crm.admin.bulk import BulkPage
from crm.admin.lists import ChoicesFilter, WorkFilter, chip
from crm.admin.saved_views import Tab
from crm.admin.sidebar import Place
from crm.admin.site import RememberedAdmin, doer
from crm.models import FollowUp


class MineFilter(WorkFilter):
    """Show the user's own, unless asked for more."""

    title, parameter_name, default = _("whose"), "whose", "mine"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("mine", _("mine")), ("nobody", _("nobody's")), ("all", _("everybody's"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = {"mine": Q(owner=request.user.pk), "nobody": Q(owner=None)}
        return queryset.filter(wanted.get(self.value(), Q()))


class OpenFilter(WorkFilter):
    """Show what is still to do, unless asked for more."""

    title, parameter_name, default = _("state"), "state", "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("to do")), ("overdue", _("overdue")), ("closed", _("done")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        choice = self.value()
        if choice == "overdue":
            return queryset.overdue(policy.day_of(now()))
        if choice == "closed":
            return queryset.exclude(closed_at=None)
        return queryset if choice == "all" else queryset.open()


class ReasonFilter(ChoicesFilter):
    """Filter by why the task was opened."""

    title, parameter_name, field = _("reason"), "reason", "reason"

    def choices_of(self) -> Any:
        return FollowUp.Reason.choices


class Result(forms.Form):
    """Ask how it went."""

    result = deeds.line(_("result"), required=False)


@admin.register(FollowUp)
class FollowUpAdmin(BulkPage, RememberedAdmin):
    """Tasks."""

    place = Place("selling", 5, "task_alt")
    deletable = True
    list_display = ["title", "account", "owner", "due", "do"]
    list_display_links = ["title"]
    list_filter = [MineFilter, OpenFilter, ReasonFilter]
    list_select_related = ["account", "contact__person", "opportunity", "owner"]
    search_fields = ["text", "account__name"]
    search_help_text = _("Task or account")
    tabs = (
        Tab(_("My tasks"), "whose=mine"),
        Tab(_("My overdue ones"), "state=overdue&whose=mine"),
        Tab(_("Nobody's"), "whose=nobody"),
        Tab(_("Everybody's"), "whose=all"),
        Tab(_("Done"), "state=closed&whose=all"),
    )
    everything = "?whose=all&state=all"
    nothing_yet = _("No work is waiting for you. Add a task for what you promised somebody.")
    autocomplete_fields = ["account", "contact", "opportunity"]
    actions = ["export_rows"]
    bulk_deeds = {"give_many": bulk.FOLLOW_UPS}
    actions_detail = ["close", "reopen"]
    add_fieldsets = [(None, {"fields": ["text", ("due_on", "owner"), "account", "contact", "opportunity"]})]
    fieldsets = [
        (None, {"fields": ["title", "text", ("due_on", "owner"), ("account", "contact"), ("opportunity", "reason")]}),
        (_("History"), {"fields": [("opened_at", "closed_at"), ("closed_by", "result")]}),
    ]

    @display(description=_("task"), ordering="text")
    def title(self, follow_up: FollowUp) -> str:
        return follow_up.title

    @display(description=_("due"), ordering="due_on")
    def due(self, follow_up: FollowUp) -> str:
        shown, today = date_format(follow_up.due_on, "SHORT_DATE_FORMAT"), policy.day_of(now())
        if follow_up.closed_at or follow_up.due_on > today:
            return shown
        late = follow_up.due_on < today
        return chip(shown, "lost" if late else "assumed", sign="!" if late else "", title=_("overdue") if late else _("today"))

    @display(description=_("do"))
    def do(self, follow_up: FollowUp) -> str:
        deed, label = ("reopen", _("Reopen")) if follow_up.closed_at else ("close", _("Done"))
        return format_html('<a class="q-button" href="{}">{}</a>', reverse(f"admin:crm_followup_{deed}", args=[follow_up.pk]), label)

    def get_readonly_fields(self, request: HttpRequest, obj: FollowUp | None = None) -> list[str]:
        """Whom it is about, and why, stays as it was opened."""
        fixed = ["title", "account", "contact", "opportunity", "reason", "opened_at", "closed_at", "closed_by", "result"]
        return fixed if obj else []

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "owner":
            kwargs["queryset"] = deeds.owners(request, FollowUp)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        return {"owner": request.user.pk, "due_on": policy.day_of(now())} | super().get_changeform_initial_data(request)

    def useless(self, record: FollowUp) -> set[str]:
        return {"close"} if record.closed_at else {"reopen"}

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> FollowUp:
        return follow_ups.open(reason=FollowUp.Reason.BY_HAND, at=now(), **values)

    def correct(self, request: HttpRequest, record: Any, values: dict[str, Any]) -> Any:
        stored = {"owner": record.owner, "due_on": record.due_on, "text": record.text}
        return follow_ups.change(record, **(stored | values))

    @action(description=_("Done"), url_path="close", icon="check_circle", permissions=["change"])
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        deed = partial(follow_ups.close, row, by=doer(request))
        back = self.list_address()
        return self.ask(request, row, Result(deeds.filled(request)), deed, title=_("Done"), done=_("The task is done."), back=back)

    @action(description=_("Reopen"), url_path="reopen", icon="replay", permissions=["change"])
    def reopen(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        deed = partial(follow_ups.reopen, row)
        return self.ask(request, row, deeds.Nothing(deeds.filled(request)), deed, title=_("Reopen"), done=_("The task is open again."))

    def close_at_once(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Do what 'done' in a list asks."""
        row = self.record(request, object_id)
        deed = partial(follow_ups.close, row, by=doer(request))
        return self.on_post(request, row, deed, done=_("Done: %(task)s") % {"task": row}, back=self.list_address())

    def put_off(self, request: HttpRequest, object_id: str, days: int) -> HttpResponse:
        """Let a task be due so many days from today."""
        row = self.record(request, object_id)

        def deed(*, at: datetime) -> FollowUp:
            return follow_ups.change(row, owner=row.owner, due_on=follow_ups.due_after(at, days), text=row.text)

        day = date_format(follow_ups.due_after(now(), days), "SHORT_DATE_FORMAT")
        done = _("Put off to %(day)s: %(task)s") % {"day": day, "task": row}
        return self.on_post(request, row, deed, done=done, back=self.list_address())

    def get_urls(self) -> list[URLPattern]:
        close, put_off = self.admin_site.admin_view(self.close_at_once), self.admin_site.admin_view(self.put_off)
        own = [path("<path:object_id>/close-at-once/", close, name="crm_followup_close_at_once")]
        own += [path(f"<path:object_id>/put-off/{days}/", put_off, {"days": days}, name=f"crm_followup_put_off_{days}") for days in (1, 7)]
        return [*own, *super().get_urls()]
