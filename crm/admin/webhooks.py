"""Webhooks: who is told what, how each telling went, and telling it again."""

from functools import partial
from typing import Any

import orjson
from django import forms
from django.contrib import admin
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.timezone import localtime, now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from crm import policy, webhooks
from crm.admin import deeds
from crm.admin.lists import WorkFilter, chip
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, RememberedAdmin, doer, page_of
from crm.models import Webhook, WebhookDelivery
from crm.webhooks import outbox

SHOWN_DELIVERIES = 20


def _offered() -> list[tuple[str, Any]]:
    return [(name, format_html("<code>{}</code> – {}", name, kind.says)) for name, kind in sorted(webhooks.KINDS.items())]


class WebhookForm(deeds.RuleForm):
    """Where to, and what of."""

    event_types = forms.MultipleChoiceField(
        label=_("Events"),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        choices=_offered,
        error_messages={"required": _("Choose at least one event.")},
    )


class Range(forms.Form):
    """Ask for a stretch of time."""

    since = deeds.moment(_("from"))
    until = deeds.moment(_("until"), required=False, help_text=_("Empty: until now."))


@admin.register(Webhook)
class WebhookAdmin(RememberedAdmin):
    """Webhooks; a secret is shown once, on the page that answers its making."""

    place = Place("settings", 8, "webhook")
    deletable = True
    form = WebhookForm
    nothing_yet = _("No other system is told anything yet. A webhook sends what happens here to an address of yours, signed and in order.")
    list_display = ["name", "address", "owner", "state", "waiting", "dead"]
    list_select_related = ["owner"]
    search_fields = ["name", "address"]
    fieldsets = [
        (None, {"fields": ["name", "address", "event_types", "owner"]}),
        (_("State"), {"fields": [("state", "failing_since"), ("disabled_at", "disabled_because"), ("old_secret_until", "created_at")]}),
    ]
    add_fieldsets = [(None, {"fields": ["name", "address", "event_types", "owner"]})]
    readonly_fields = ["state", "failing_since", "disabled_at", "disabled_because", "old_secret_until", "created_at"]
    actions_detail = ["ping", "replay", "replay_dead", "rotate_secret", "switch_off", "switch_on"]
    change_form_outer_after_template = "crm/admin/webhook_log.html"

    # --- the list ----------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> Any:
        """Count what waits and what was given up; there are few webhooks."""
        counts = {f"{state.value}_count": _count_of(state) for state in (_WAITING, _DEAD)}
        return super().get_queryset(request).annotate(**counts)

    @display(description=_("state"))
    def state(self, webhook: Webhook) -> str:
        if not webhook.is_active:
            return chip(_("switched off"), "lost", sign="✕", title=webhook.get_disabled_because_display())
        if not webhook.owner.is_active:
            return chip(_("its owner has left"), "lost", sign="✕")
        return chip(_("fails"), "missing", sign="!") if webhook.failing_since else chip(_("on"), "engaged", sign="✓")

    @display(description=_("waiting"))
    def waiting(self, webhook: Any) -> int:
        return int(webhook.waiting_count)

    @display(description=_("given up"))
    def dead(self, webhook: Any) -> str | int:
        return chip(webhook.dead_count, "lost", sign="✕") if webhook.dead_count else 0

    # --- one webhook -------------------------------------------------------------------------------

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        return {"owner": request.user.pk} | super().get_changeform_initial_data(request)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        webhook = self.get_object(request, object_id)
        rows = webhook.deliveries.select_related("event").order_by("-pk")[:SHOWN_DELIVERIES] if webhook else []
        log = [(row, drawn(row)) for row in rows]
        every = f"{reverse('admin:crm_webhookdelivery_changelist')}?webhook={object_id}&progress=all"
        return super().change_view(request, object_id, form_url, (extra_context or {}) | {"log": log, "every_delivery": every})

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Webhook:
        webhook, request.__dict__["new_secret"] = webhooks.add(**values, at=now(), by=doer(request))
        return webhook

    def correct(self, request: HttpRequest, record: Webhook, values: dict[str, Any]) -> Webhook:
        return webhooks.change(record, **values, at=now(), by=doer(request))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name what goes, and count the deliveries that go with it: named one by one they would fill the page."""
        rows = list(objs)
        count = WebhookDelivery.objects.filter(webhook__in=rows).count()
        counts = {self.opts.verbose_name_plural: len(rows), WebhookDelivery._meta.verbose_name_plural: count}
        return [str(row) for row in rows], counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        webhooks.remove(obj, by=doer(request))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for webhook in queryset:
            webhooks.remove(webhook, by=doer(request))

    def response_add(self, request: HttpRequest, obj: Webhook, post_url_continue: str | None = None) -> HttpResponse:
        return self._show_secret(request, obj, request.__dict__["new_secret"], _("New webhook"))

    def _show_secret(self, request: HttpRequest, webhook: Webhook, secret: str, title: Promise | str) -> HttpResponse:
        """Show a secret in the answer itself: no message, no session and no second page holds it."""
        context = self.admin_site.each_context(request) | {
            "title": title,
            "secret": secret,
            "webhook": webhook,
            "hours": policy.WEBHOOKS.old_secret_hours if webhook.old_secret else 0,
            "back": page_of(webhook),
            "opts": self.opts,
            "media": self.media,
        }
        answer = TemplateResponse(request, "crm/admin/new_secret.html", context)
        add_never_cache_headers(answer)
        return answer

    # --- deeds -------------------------------------------------------------------------------------

    def useless(self, record: Webhook) -> set[str]:
        if not record.is_active:
            return {"ping", "replay", "replay_dead", "switch_off"}
        return {"switch_on"} if record.deliveries.dead().exists() else {"switch_on", "replay_dead"}

    @action(description=_("Send a test"), url_path="ping", icon="network_ping", permissions=["change"])
    def ping(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        title, done = _("Send a test"), _("A test event is on its way; the log below tells how it went.")
        return self.ask(request, row, deeds.Nothing(deeds.filled(request)), partial(webhooks.ping, row), title=title, done=done)

    @action(description=_("Tell a time again"), url_path="replay", icon="replay", permissions=["change"])
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)

        def deed(*, at: Any, since: Any, until: Any) -> object:
            return webhooks.replay_range(row, since=since, until=until or at, at=at)

        warning = _("Everything of that time is told once more, also what arrived already; the receiver knows it again by its id.")
        title, done = _("Tell a time again"), _("The events of that time are told again.")
        return self.ask(request, row, Range(deeds.filled(request)), deed, title=title, done=done, warning=warning)

    @action(description=_("Try again"), url_path="replay-dead", icon="restart_alt", permissions=["change"])
    def replay_dead(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        title, done = _("Try again what was given up"), _("What was given up is tried again.")
        return self.ask(request, row, deeds.Nothing(deeds.filled(request)), partial(webhooks.replay_dead, row), title=title, done=done)

    @action(description=_("New secret"), url_path="rotate-secret", icon="key", permissions=["change"])
    def rotate_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        if request.method == "POST":
            return self._show_secret(request, row, webhooks.rotate(row, at=now(), by=doer(request)), _("New secret"))
        warning = _("The former secret signs as well for a day, so that the receiver can change over without a gap.")
        return self.ask(request, row, deeds.Nothing(), partial(webhooks.rotate, row), title=_("New secret"), done="", warning=warning)

    @action(description=_("Switch off"), url_path="switch-off", icon="pause", permissions=["change"])
    def switch_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        warning = _("What waits goes on waiting. What happens meanwhile can be told later: tell that time again.")
        deed = partial(webhooks.switch_off, row, by=doer(request))
        title, done = _("Switch off"), _("The webhook is switched off.")
        return self.ask(request, row, deeds.Nothing(deeds.filled(request)), deed, title=title, done=done, warning=warning)

    @action(description=_("Switch on"), url_path="switch-on", icon="play_arrow", permissions=["change"])
    def switch_on(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        warning = _("What waits is told first. What happened while it was off is told when you tell that time again.")
        deed = partial(webhooks.switch_on, row, by=doer(request))
        title, done = _("Switch on"), _("The webhook is switched on.")
        return self.ask(request, row, deeds.Nothing(deeds.filled(request)), deed, title=title, done=done, warning=warning)


def _count_of(state: str) -> Coalesce:
    """Count the deliveries of a webhook in a state by its index: those that arrived may be millions."""
    rows = WebhookDelivery.objects.filter(webhook=OuterRef("pk"), state=state).order_by().values("webhook")
    return Coalesce(Subquery(rows.annotate(count=Count("pk")).values("count")), 0)


_WAITING, _DEAD = WebhookDelivery.State.WAITING, WebhookDelivery.State.DEAD
_CHIPS = {_WAITING: ("plain", "…"), WebhookDelivery.State.DELIVERED: ("engaged", "✓"), _DEAD: ("lost", "✕")}


def drawn(delivery: WebhookDelivery) -> str:
    """Draw where a delivery stands."""
    if delivery.state == _WAITING and delivery.attempts and delivery.last_at:
        return chip(_("will be tried again"), "missing", sign="!")
    tone, sign = _CHIPS[WebhookDelivery.State(delivery.state)]
    return chip(delivery.get_state_display(), tone, sign=sign)


class ProgressFilter(WorkFilter):
    """Show what waits or was given up, unless asked for more."""

    title, parameter_name, default = _("progress"), "progress", "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("waiting or given up")), ("dead", _("given up")), ("delivered", _("delivered")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        states = {"open": [_WAITING, _DEAD], "dead": [_DEAD], "delivered": [WebhookDelivery.State.DELIVERED]}.get(self.value())
        return queryset.filter(state__in=states) if states else queryset


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """Deliveries of events to webhooks."""

    place = Place("settings", 9, "outbox")
    list_display = [
        "event_type",
        "subject_shown",
        "webhook",
        "state_shown",
        "attempts",
        "last_at",
        "last_status",
        "last_error",
        "next_shown",
    ]
    list_display_links = ["event_type"]
    list_select_related = ["event", "webhook"]
    list_filter = [ProgressFilter, "webhook"]
    fields = [
        "event_type", "uid", "subject_shown", "webhook", "state_shown", "attempts", "next_shown", "last_at", "last_status", "last_error", "body",
    ]  # fmt: skip
    readonly_fields = fields
    actions_detail = ["replay"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("event", "webhook")

    @display(description=_("event"))
    def event_type(self, delivery: WebhookDelivery) -> str:
        return delivery.event.type

    @display(description=_("id for receivers"))
    def uid(self, delivery: WebhookDelivery) -> str:
        return delivery.event.uid

    @display(description=_("about"))
    def subject_shown(self, delivery: WebhookDelivery) -> str:
        return delivery.subject

    @display(description=_("state"))
    def state_shown(self, delivery: WebhookDelivery) -> str:
        return drawn(delivery)

    @display(description=_("next attempt"))
    def next_shown(self, delivery: WebhookDelivery) -> str:
        """Say when it is tried again: what has ended keeps the moment, and will not be."""
        return date_format(localtime(delivery.next_at), "SHORT_DATETIME_FORMAT") if delivery.state == _WAITING else "–"

    @display(description=_("what the receiver gets"))
    def body(self, delivery: WebhookDelivery) -> str:
        text = orjson.dumps(outbox.payload(delivery.event), option=orjson.OPT_INDENT_2).decode()
        return format_html('<pre class="q-as-it-came">{}</pre>', text)

    def useless(self, record: WebhookDelivery) -> set[str]:
        return {"replay"} if record.state == _WAITING or not record.webhook.is_active else set()

    def has_replay_permission(self, request: HttpRequest, _obj: object = None) -> bool:
        """Say whether the user may have an event told again; nobody changes one."""
        return self.may(request, "change")

    @action(description=_("Tell again"), url_path="replay", icon="replay", permissions=["replay"])
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        title, done = _("Tell this event again"), _("The event is told again.")
        return self.ask(request, row, deeds.Nothing(deeds.filled(request)), partial(webhooks.replay, row), title=title, done=done)
