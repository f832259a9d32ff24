"""What we mailed, what came back, and which addresses get no mail."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from crm import deliverability, incoming_reports, policy
from crm.admin import deeds
from crm.admin.lists import ChoicesFilter, WorkFilter, chip, label_of
from crm.admin.returned_mail import ReturnedMailPage
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, RecordAdmin
from crm.models import Delivery, DeliveryReport, IncomingReport, Mailbox, Suppression
from crm.models.deliverability import Outcome
from crm.models.users import Sight, sight

SHOWN_BYTES = 4_000


class OutcomeFilter(ChoicesFilter):
    """Filter by what the report says."""

    title, parameter_name, field = _("outcome"), "outcome", "outcome"

    def choices_of(self) -> Any:
        return Outcome.choices


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Deliveries: written by whatever sends mail."""

    place = Place("events", 2, "outgoing_mail")
    list_display = ["address", "account", "contact", "subject", "sent_at", "arrival"]
    list_filter = [OutcomeFilter]
    list_select_related = ["account", "contact__person"]
    search_fields = ["address", "account__name"]

    @display(description=_("arrival"))
    def arrival(self, delivery: Delivery) -> str:
        if delivery.failed_at:
            return chip(label_of(delivery, "outcome") or _("failed"), "lost", sign="✕")
        return chip(_("arrived"), "engaged", sign="✓") if delivery.delivered_at else chip(_("on its way"), "plain")


@admin.register(DeliveryReport)
class DeliveryReportAdmin(ReturnedMailPage):
    """Reports: kept as they came."""

    place = Place("events", 3, "inbox", _("Delivery reports"))
    list_display = ["recipient", "outcome", "source", "reported_at", "verified"]
    list_filter = [OutcomeFilter]
    list_select_related = ["delivery"]
    search_fields = ["recipient"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Keep reports on mail to contacts in sight; unverified ones are for who sees every record."""
        seen = Q(delivery__in=Delivery.objects.visible_to(request.user))
        return super().get_queryset(request).filter(Q() if sight(request.user) is Sight.ALL else seen)

    @display(description=_("our mail?"))
    def verified(self, report: DeliveryReport) -> str:
        return chip(_("ours"), "reachable", sign="✓") if report.delivery_id else chip(_("unverified"), "missing", sign="?")


class InForceFilter(WorkFilter):
    """Show what is in force, unless asked for more."""

    title, parameter_name, default = _("in force"), "in_force", "now"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("now", _("now")), ("released", _("released")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return {"now": queryset.current(), "released": queryset.exclude(released_at=None)}.get(self.value(), queryset)


@admin.register(Suppression)
class SuppressionAdmin(RecordAdmin):
    """Suppressions: set and released, never edited."""

    place = Place("events", 4, "block")
    list_display = ["address", "reason", "note", "since", "released_at"]
    list_filter = [InForceFilter]
    search_fields = ["address"]
    add_fieldsets = [(None, {"fields": ["address", "reason", "note"]})]
    fields = ["address", "reason", "note", "since", "released_at"]
    actions_detail = ["release"]

    def get_readonly_fields(self, request: HttpRequest, obj: Suppression | None = None) -> list[str]:
        return ["address", "reason", "note", "since", "released_at"] if obj else []

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        return {"reason": Suppression.Reason.BY_HAND} | super().get_changeform_initial_data(request)

    def useless(self, record: Suppression) -> set[str]:
        return {"release"} if record.released_at else set()

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Suppression:
        return deliverability.suppress(at=now(), **values)

    @action(description=_("Release"), url_path="release", icon="lock_open", permissions=["change"])
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        deed = partial(deliverability.release, row)
        title, done = _("Mail may go there again"), _("The address is released.")
        return self.ask(request, row, deeds.Nothing(deeds.filled(request)), deed, title=title, done=done)


class ProgressFilter(WorkFilter):
    """Show what waits or cannot be read, unless asked for more."""

    title, parameter_name, default = _("progress"), "progress", "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("waiting", _("waiting or failed")), ("done", _("worked off")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return {"waiting": queryset.waiting(), "done": queryset.exclude(done_at=None)}.get(self.value(), queryset)


@admin.register(IncomingReport)
class IncomingReportAdmin(ReadOnlyAdmin):
    """Incoming reports: as they came, until they are worked off."""

    place = Place("events", 5, "move_to_inbox")
    list_display = ["source", "received_at", "progress", "error"]
    list_filter = [ProgressFilter]
    fields = ["source", "external_id", "received_at", "done_at", "tries", "error", "as_it_came"]
    readonly_fields = fields
    actions_detail = ["try_again"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the bodies out of the list: the page of one reads its own."""
        return super().get_queryset(request).defer("body")

    @display(description=_("progress"))
    def progress(self, report: IncomingReport) -> str:
        if report.done_at:
            return chip(_("worked off"), "engaged", sign="✓")
        if report.tries >= policy.MAIL.tries_per_report:
            return chip(_("given up"), "lost", sign="✕")
        return chip(_("will be tried again"), "missing", sign="!") if report.error else chip(_("waiting"), "plain", sign="…")

    @display(description=_("as it came"))
    def as_it_came(self, report: IncomingReport) -> str:
        """Show the beginning; a mail is text of strangers, so it is shown as text and nothing else."""
        return (
            format_html('<pre class="q-as-it-came">{}</pre>', bytes(report.body)[:SHOWN_BYTES].decode(errors="replace"))
            if report.body
            else str(_("let go of"))
        )

    def useless(self, record: IncomingReport) -> set[str]:
        return {"try_again"} if record.done_at or not record.body else set()

    def has_try_permission(self, request: HttpRequest, _obj: object = None) -> bool:
        """Say whether the user may have reports read again; nobody changes one."""
        return self.may(request, "change")

    @action(description=_("Try again"), url_path="try-again", icon="refresh", permissions=["try"])
    def try_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        title, done = _("Read this report again"), _("A worker tries it within a minute.")
        return self.ask(
            request, row, deeds.Nothing(deeds.filled(request)), lambda at: incoming_reports.try_again(row), title=title, done=done
        )


@admin.register(Mailbox)
class MailboxAdmin(ReadOnlyAdmin):
    """The mailbox of returned mail: whether it can be reached."""

    place = Place("events", 6, "mark_email_unread")
    list_display = ["name", "state", "reached_at", "tried_at", "error"]

    @display(description=_("state"))
    def state(self, mailbox: Mailbox) -> str:
        if mailbox.error:
            return chip(_("cannot be read"), "lost", sign="✕")
        return chip(_("reached"), "engaged", sign="✓") if mailbox.reached_at else chip(_("not tried yet"), "plain", sign="…")
