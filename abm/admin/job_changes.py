"""Job changes: the work list of open signals with their evidence, each decided by a person."""

from collections import Counter
from functools import cache, partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from abm import departures, job_changes
from abm.models import AnnouncedLeaving, JobChangeSignal, SignalEvidence
from crm import policy
from crm.admin import deeds, list_rows
from crm.admin.bulk import BulkPage, Deed, NothingMore
from crm.admin.lists import ChoicesFilter, Words, WorkFilter, chip, chips, label_of
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, RecordAdmin, doer
from crm.models import Account, Contact

DECIDED = (JobChangeSignal.Status.CONFIRMED, JobChangeSignal.Status.DISMISSED)
LATEST = SignalEvidence.objects.filter(signal=OuterRef("pk")).order_by("-seen_at", "-pk")
TONES = {"open": "assumed", "held": "missing", "confirmed": "engaged", "dismissed": "plain", "withdrawn": "plain"}


CONFIRM = Deed(
    _("Have left…"), _("Have left"), NothingMore, departures.judge_many, departures.confirm_many, departures.REASONS,
    note=_("They leave on the day they named themselves, else today: their roles end, and a named successor gets them as assumed."),
)  # fmt: skip
DISMISS = Deed(
    _("Are still there…"), _("Are still there"), NothingMore, departures.judge_many, departures.dismiss_many, departures.REASONS,
    note=_("Everything that the signals did is put back."),
)  # fmt: skip


class Confirm(forms.Form):
    """Ask since when they are gone, who comes after, and where they went if that is known."""

    left_on = deeds.day(_("left on"), required=False, help_text=_("Empty: the day they named themselves, else today."))
    successor = deeds.record(
        _("who comes after"), required=False, help_text=_("Gets the roles as assumed. Empty: who was named, if anybody.")
    )
    new_account = forms.ModelChoiceField(
        Account.objects.none(), label=_("New employer"), required=False, help_text=_("Only if it is an account of ours.")
    )
    new_email = deeds.address(_("address there"))
    new_job_title = deeds.line(_("job title there"), required=False, max_length=150)

    def __init__(self, *args: Any, request: HttpRequest, signal: JobChangeSignal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer_accounts(self, "new_account", request)
        there = Contact.objects.active().filter(account=signal.account_id, erased_at=None).exclude(pk=signal.contact_id or 0)
        deeds.offer(self, "successor", there.select_related("person"))


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
class JobChangeAdmin(BulkPage, RecordAdmin):
    """Job changes."""

    place = Place("selling", 6, "person_alert", _("Job changes"))
    list_display = ["who", "account", "evidence_shown", "successor", "opened_at", "status_label", "decide"]
    list_display_links = ["who"]
    list_filter = [StatusFilter, KindFilter]
    list_select_related = ["account", "contact__person"]
    search_fields = ["contact__person__family_name", "account__name"]
    list_before_template = "abm/admin/succession.html"
    change_form_outer_before_template = "abm/admin/signal_page.html"
    bulk_deeds = {"confirm_many": CONFIRM, "dismiss_many": DISMISS}
    nothing_yet = _("A signal opens when mail comes back, somebody answers that they left, or a colleague says so.")
    actions_detail = ["confirm", "dismiss", "undo"]
    fields = [("contact", "account"), ("kind", "status"), ("opened_at", "decided_at"), "decided_by", ("successor_name", "successor_email")]

    class Media:
        css = {"all": ["abm/job_changes.css"]}

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
        drawn = chips(chip(f"{name} × {times}" if times > 1 else name, "plain") for name, times in names)
        return format_html(
            '<div class="q-evidence">{}<span class="q-said" title="{}">{}</span></div>', drawn, signal.said or "", signal.said or ""
        )

    @display(description=_("successor"))
    def successor(self, signal: JobChangeSignal) -> str:
        return " ".join(filter(None, [signal.successor_name, signal.successor_email])) or "–"

    @display(description=_("status"), ordering="status")
    def status_label(self, signal: JobChangeSignal) -> str:
        return chip(label_of(signal, "status"), TONES.get(signal.status, "plain"))

    @display(description=_("decide"))
    def decide(self, signal: JobChangeSignal) -> str:
        """Draw the buttons; they post the list's own form to the deed."""
        return list_rows.with_key(_buttons(signal.status, get_language()), signal.pk)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show above the list how long roles stayed empty; where somebody searches only what is found, where rows were chosen only the deed."""
        is_looking = request.method == "GET" and SEARCH_VAR not in request.GET
        shown = {"succession": departures.time_to_successor(doer(request), at=now())} if is_looking else {}
        return super().changelist_view(request, shown | (extra_context or {}))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        signal = self.get_object(request, object_id) if request.method == "GET" else None
        panels = self.panels(request, signal) if signal else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | panels)

    def panels(self, request: HttpRequest, signal: JobChangeSignal) -> dict[str, Any]:
        """Collect the evidence, and who could come after as long as that can be decided here."""
        is_open = signal.status in (*job_changes.WAITING, JobChangeSignal.Status.CONFIRMED)
        return {
            "signal": signal,
            "evidence": signal.evidence.select_related("given_by"),
            "may_appoint": is_open and self.may(request, "change", signal),
            "candidates": departures.candidates(signal) if is_open and self.may(request, "change", signal) else [],
            "named": " ".join(filter(None, [signal.successor_name, signal.successor_email])),
            "why": departures.WHY,
            "is_waiting": signal.status in job_changes.WAITING,
            "leaving": AnnouncedLeaving.objects.filter(signal=signal).first(),
        }

    def appoint(self, request: HttpRequest, object_id: str, contact: int) -> HttpResponse:
        """Let one of the candidates come after."""
        signal = self.record(request, object_id)
        successor = Contact.objects.visible_to(request.user).filter(pk=contact).first()
        if successor is None:
            raise Http404
        deed = partial(departures.appoint, signal, successor=successor, by=doer(request))
        return self.on_post(request, signal, deed, done=_("%(name)s comes after: the roles are theirs, as assumed.") % {"name": successor})

    @action(description=_("Has left"), url_path="confirm", icon="person_off", permissions=["change"], variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        signal = self.record(request, object_id)
        form: forms.Form = deeds.Nothing(deeds.filled(request))
        if signal.kind == JobChangeSignal.Kind.PERSON:
            form = Confirm(deeds.filled(request), request=request, signal=signal, initial={"left_on": day_named(signal)})
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
        appoint = self.admin_site.admin_view(self.appoint)
        own.append(path("<path:object_id>/appoint/<int:contact>/", appoint, name="abm_jobchangesignal_appoint"))
        return [*own, *super().get_urls()]


def day_named(signal: JobChangeSignal) -> Any:
    """Give the day of leaving that the contact named, else today."""
    leaving = AnnouncedLeaving.objects.filter(signal=signal).first()
    return leaving.leaves_on if leaving else policy.day_of(now())


@cache
def _buttons(status: str, _language: str | None) -> str:
    if status == JobChangeSignal.Status.OPEN:
        return format_html("{} {}", _button("confirm", _("Has left")), _button("dismiss", _("Still there")))
    return _button("undo", _("Undo")) if status in DECIDED else ""


def _button(deed: str, label: object) -> str:
    address = reverse(f"admin:abm_jobchangesignal_{deed}_at_once", args=[list_rows.PLACE])
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
