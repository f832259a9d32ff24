"""Job changes: the work list of open signals with their evidence, each decided by a person."""

from collections import Counter
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from abm import job_changes
from abm.models import JobChangeSignal, SignalEvidence
from crm import policy
from crm.admin import deeds
from crm.admin.lists import ChoicesFilter, Words, WorkFilter, chip, chips
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, RecordAdmin, doer
from crm.models import Account

DECIDED = (JobChangeSignal.Status.CONFIRMED, JobChangeSignal.Status.DISMISSED)
LATEST = SignalEvidence.objects.filter(signal=OuterRef("pk")).order_by("-seen_at", "-pk")
TONES = {"open": "assumed", "held": "missing", "confirmed": "engaged", "dismissed": "plain", "withdrawn": "plain"}


class Confirm(forms.Form):
    """Ask since when they are gone, and where they went if that is known."""

    left_on = deeds.day(_("left on"), required=False, help_text=_("Empty: today."))
    new_account = forms.ModelChoiceField(
        Account.objects.none(), label=_("New employer"), required=False, help_text=_("Only if it is an account of ours.")
    )
    new_email = deeds.address(_("address there"))
    new_job_title = deeds.line(_("job title there"), required=False, max_length=150)

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer_accounts(self, "new_account", request)


class StatusFilter(WorkFilter):
    """Show what waits for a decision, unless asked for more."""

    title, parameter_name, default = _("status"), "status", "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*JobChangeSignal.Status.choices, ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset if self.value() == "all" else queryset.filter(status=self.value())


class KindFilter(ChoicesFilter):
    """Filter by whom it is about."""

    title, parameter_name, field = _("kind"), "kind", "kind"

    def choices_of(self) -> Any:
        return JobChangeSignal.Kind.choices


@admin.register(JobChangeSignal)
class JobChangeAdmin(RecordAdmin):
    """Job changes."""

    place = Place("selling", 6, "person_alert", _("Job changes"))
    list_display = ["who", "account", "evidence_shown", "opened_at", "status_label", "decide"]
    list_display_links = ["who"]
    list_filter = [StatusFilter, KindFilter]
    list_select_related = ["account", "contact__person"]
    search_fields = ["contact__person__family_name", "account__name"]
    change_form_outer_before_template = "abm/admin/signal_page.html"
    actions_detail = ["confirm", "dismiss", "undo"]
    fields = [("contact", "account"), ("kind", "status"), ("opened_at", "decided_at"), "decided_by", ("successor_name", "successor_email")]

    def get_queryset(self, request: HttpRequest) -> Any:
        evidence = SignalEvidence.objects.filter(signal=OuterRef("pk")).order_by()
        sources = evidence.values("signal").annotate(words=Words("source")).values("words")
        return super().get_queryset(request).annotate(sources=Subquery(sources), said=Subquery(LATEST.values("text")[:1]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: a signal comes from evidence; a rep marks the contact as left."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: JobChangeSignal | None = None) -> list[str]:
        return ["contact", "account", "kind", "status", "opened_at", "decided_at", "decided_by", "successor_name", "successor_email"]

    def useless(self, record: JobChangeSignal) -> set[str]:
        decided = record.status in DECIDED
        return (set() if record.status == JobChangeSignal.Status.OPEN else {"confirm", "dismiss"}) | (set() if decided else {"undo"})

    @display(description=_("who"), ordering="contact__person__family_name", header=True)
    def who(self, signal: JobChangeSignal) -> list[str]:
        if signal.contact is None:
            return [str(_("everybody at %(account)s") % {"account": signal.account}), ""]
        return [str(signal.contact.person), signal.contact.job_title]

    @display(description=_("evidence"))
    def evidence_shown(self, signal: Any) -> str:
        given = Counter((signal.sources or "").split())
        names = ((SignalEvidence.Source(source).label, times) for source, times in sorted(given.items()))
        return chips(chip(f"{name} × {times}" if times > 1 else name, "plain", title=signal.said or "") for name, times in names)

    @display(description=_("status"), ordering="status")
    def status_label(self, signal: JobChangeSignal) -> str:
        return chip(signal.get_status_display(), TONES.get(signal.status, "plain"))

    @display(description=_("decide"))
    def decide(self, signal: JobChangeSignal) -> str:
        """Draw the buttons; they post the list's own form to the deed."""
        if signal.status == JobChangeSignal.Status.OPEN:
            return format_html("{} {}", _button("confirm", signal, _("Has left")), _button("dismiss", signal, _("Still there")))
        return _button("undo", signal, _("Undo")) if signal.status in DECIDED else ""

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        signal = self.get_object(request, object_id) if request.method == "GET" else None
        panels = {"signal": signal, "evidence": signal.evidence.select_related("given_by")} if signal else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | panels)

    @action(description=_("Has left"), url_path="confirm", icon="person_off", permissions=["change"], variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        signal = self.record(request, object_id)
        form: forms.Form = deeds.Nothing(deeds.filled(request))
        if signal.kind == JobChangeSignal.Kind.PERSON:
            form = Confirm(deeds.filled(request), request=request, initial={"left_on": policy.day_of(now())})
        deed = partial(job_changes.confirm, signal, by=doer(request))
        warning = _("Their roles end, what they confirmed is withdrawn, and a named successor gets the roles as assumed. It can be undone.")
        return self.ask(request, signal, form, deed, title=_("Has left"), done=_("The job change is confirmed."), warning=warning)

    @action(description=_("Still there"), url_path="dismiss", icon="person_check", permissions=["change"])
    def dismiss(self, request: HttpRequest, object_id: str) -> HttpResponse:
        signal = self.record(request, object_id)
        deed = partial(job_changes.dismiss, signal, by=doer(request))
        title, done = _("Still there"), _("The signal is dismissed; everything it did is restored.")
        return self.ask(request, signal, deeds.Nothing(deeds.filled(request)), deed, title=title, done=done)

    @action(description=_("Undo"), url_path="undo", icon="undo", permissions=["change"])
    def undo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        signal = self.record(request, object_id)
        deed = partial(job_changes.undo, signal, by=doer(request))
        title, done = _("Undo the decision"), _("The signal waits for a decision again.")
        return self.ask(request, signal, deeds.Nothing(deeds.filled(request)), deed, title=title, done=done)

    def at_once(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        """Do what a button in the list asks."""
        rules = {
            "confirm": (job_changes.confirm, _("The job change is confirmed.")),
            "dismiss": (job_changes.dismiss, _("The signal is dismissed.")),
            "undo": (job_changes.undo, _("The signal waits for a decision again.")),
        }
        rule, done = rules[deed]
        signal = self.record(request, object_id)
        return self.on_post(request, signal, partial(rule, signal, by=doer(request)), done=done, back=self.list_address())

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.at_once)
        known = ("confirm", "dismiss", "undo")
        own = [
            path(f"<path:object_id>/{name}-at-once/", view, {"deed": name}, name=f"abm_jobchangesignal_{name}_at_once") for name in known
        ]
        return [*own, *super().get_urls()]


def _button(deed: str, signal: JobChangeSignal, label: object) -> str:
    address = reverse(f"admin:abm_jobchangesignal_{deed}_at_once", args=[signal.pk])
    return format_html('<button type="submit" formaction="{}" class="q-button q-{}">{}</button>', address, deed, label)


@admin.register(SignalEvidence)
class EvidenceAdmin(ReadOnlyAdmin):
    """Evidence: short, because it is about a person."""

    list_display = ["signal_shown", "source", "text", "seen_at", "given_by"]
    fields = ["signal", "source", "text", "seen_at", "given_by"]
    list_select_related = ["signal__contact__person", "signal__account", "given_by"]
    ordering = ["-seen_at", "-id"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(signal__in=JobChangeSignal.objects.visible_to(request.user))

    @display(description=_("signal"))
    def signal_shown(self, row: SignalEvidence) -> str:
        return str(row.signal)
