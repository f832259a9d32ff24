"""Target lists: twenty slots, the proposal with its reasons, and the deeds that fill, change and close a list."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from abm import comparison_groups, policy, targets
from abm.admin import target_list_page
from abm.models import ComparisonAccount, TargetAccount, TargetList, TargetRejection
from crm.admin import deeds
from crm.admin.lists import OwnerFilter, TeamFilter, WorkFilter, bar, chip
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, RememberedAdmin, doer, page_of
from crm.models import Account

TONES = {"draft": "assumed", "active": "engaged", "closed": "plain"}


class Pick(forms.Form):
    """Ask for an account."""

    account = forms.ModelChoiceField(Account.objects.none(), label=_("Account"))

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer_accounts(self, "account", request)


class Reject(Pick):
    """Ask for an account, and why it is kept off the list."""

    reason = deeds.line(_("why"))


class Fill(forms.Form):
    """Ask whether chance decides between accounts that are as good."""

    hold_out = forms.BooleanField(
        label=_("Toss a coin"), required=False,
        help_text=_("Of every two that are as good one is listed and the other held out, so that the comparison is a fair one. All that are not pinned make way."),
    )  # fmt: skip


def filled_list(row: TargetList, *, hold_out: bool, **facts: Any) -> object:
    """Fill a draft, by a fair coin if it is asked for."""
    return targets.fill(row, toss=comparison_groups.fair_coin if hold_out else None, **facts)


class StatusFilter(WorkFilter):
    """Show drafts and active lists, unless asked for more."""

    title, parameter_name, default = _("status"), "status", "live"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("live", _("draft and active")), ("closed", _("closed")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        choice = self.value()
        if choice == "closed":
            return queryset.filter(status=TargetList.Status.CLOSED)
        return queryset if choice == "all" else queryset.exclude(status=TargetList.Status.CLOSED)


@admin.register(TargetList)
class TargetListAdmin(RememberedAdmin):
    """Target lists."""

    class Media:
        css = {"all": ["abm/target_list.css", "abm/figures.css"]}

    place = Place("selling", 7, "format_list_numbered")
    list_display = ["name", "status_label", "filled", "team", "owner", "starts_on", "ends_on"]
    list_filter = [StatusFilter, OwnerFilter, TeamFilter]
    list_select_related = ["team", "owner"]
    search_fields = ["name"]
    change_form_outer_before_template = "abm/admin/target_list_page.html"
    actions_detail = ["activate", "fill", "pick", {"title": _("More"), "icon": "more_horiz", "items": ["reject", "close"]}]
    fields = ["name", ("team", "owner"), ("starts_on", "ends_on")]

    def may(self, request: HttpRequest, verb: str, record: Any = None) -> bool:
        """Ask once per page: each of its buttons wants to know the same."""
        known = request.__dict__.setdefault("list_rights", {})
        key = (verb, record.pk if isinstance(record, TargetList) else None)
        if key not in known:
            known[key] = super().may(request, verb, record)
        return bool(known[key])

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(taken=Count("slots"))

    @display(description=_("status"), ordering="status")
    def status_label(self, row: Any) -> str:
        return chip(row.get_status_display(), TONES.get(row.status, "plain"))

    @display(description=_("slots"))
    def filled(self, row: Any) -> str:
        return bar(100 * row.taken / policy.TARGETS.slots, shown=f"{row.taken}/{policy.TARGETS.slots}")

    def get_readonly_fields(self, request: HttpRequest, obj: TargetList | None = None) -> list[str]:
        """Only a draft may still get another name, team or period."""
        is_fixed = obj is not None and obj.status != TargetList.Status.DRAFT
        return ["name", "team", "owner", "starts_on", "ends_on"] if is_fixed else ["team"] if obj else []

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        return {"owner": request.user.pk, "team": doer(request).team_id} | super().get_changeform_initial_data(request)

    def useless(self, record: TargetList) -> set[str]:
        of_drafts = {"fill", "pick", "reject", "activate"}
        return {"draft": {"close"}, "active": of_drafts}.get(record.status, of_drafts | {"close"})

    def too_late(self, record: TargetList) -> Any:
        if record.status == TargetList.Status.DRAFT:
            return super().too_late(record)
        return _("The list is no draft any more: what is on it stays as it is.")

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> TargetList:
        return targets.draft(at=now(), by=doer(request), **values)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id) if request.method == "GET" else None
        panels = target_list_page.panels(request, row) if row else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | panels)

    # --- deeds -------------------------------------------------------------------------------------

    @action(description=_("Fill"), url_path="fill", icon="auto_awesome", permissions=["change"])
    def fill(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        deed = partial(filled_list, row, by=doer(request))
        warning = _("The best of the proposal take the slots. Pinned accounts stay where they are; others may make way.")
        form = Fill(deeds.filled(request))
        return self.ask(request, row, form, deed, title=_("Fill from the proposal"), done=_("The list is filled."), warning=warning)

    @action(description=_("Pick an account"), url_path="pick", icon="add_circle", permissions=["change"])
    def pick(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        form = Pick(deeds.filled(request), request=request, initial={"account": request.GET.get("account")})
        deed = partial(targets.pick, row, by=doer(request))
        return self.ask(request, row, form, deed, title=_("Pick an account"), done=_("The account is on the list, pinned."))

    @action(description=_("Keep off"), url_path="reject", icon="do_not_disturb_on", permissions=["change"])
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        form = Reject(deeds.filled(request), request=request, initial={"account": request.GET.get("account")})
        deed = partial(targets.reject, row, by=doer(request))
        return self.ask(request, row, form, deed, title=_("Keep an account off the list"), done=_("It is not proposed again."))

    @action(description=_("Activate"), url_path="activate", icon="rocket_launch", permissions=["change"], variant=ActionVariant.PRIMARY)
    def activate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        deed = partial(targets.activate, row, by=doer(request))
        warning = _("What is on the list is fixed from now on, and a comparison group is frozen beside it.")
        form = deeds.Nothing(deeds.filled(request))
        return self.ask(request, row, form, deed, title=_("Activate the list"), done=_("The list is at work."), warning=warning)

    @action(description=_("Close"), url_path="close", icon="lock", permissions=["change"])
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        deed = partial(targets.close, row, by=doer(request))
        form = deeds.Nothing(deeds.filled(request))
        return self.ask(request, row, form, deed, title=_("Close the list"), done=_("The list is closed."))

    def at_slot(self, request: HttpRequest, object_id: str, slot_id: int, deed: str) -> HttpResponse:
        """Do at once what a button of a slot asks: pin, unpin, remove."""
        row = self.record(request, object_id)
        slot = get_object_or_404(row.slots.select_related("target_list", "account"), pk=slot_id)
        rules = {
            "pin": (targets.pin, _("%(account)s is pinned.")),
            "unpin": (targets.unpin, _("%(account)s is no longer pinned.")),
            "remove": (targets.remove, _("%(account)s is off the list; the slot is free.")),
        }
        rule, done = rules[deed]
        return self.on_post(request, row, partial(rule, slot, by=doer(request)), done=done % {"account": slot.account}, back=slots_of(row))

    def at_account(self, request: HttpRequest, object_id: str, account_id: int, deed: str) -> HttpResponse:
        """Do at once what a button of a proposed account asks: take it, keep it off, let it be proposed again."""
        row = self.record(request, object_id)
        account = get_object_or_404(self.eligible(row), pk=account_id)
        rules: dict[str, tuple[Any, Any]] = {
            "take": (targets.pick, _("%(account)s is on the list, pinned.")),
            "keep_off": (partial(targets.reject, reason=""), _("%(account)s is kept off: undo it under 'Kept off this list'.")),
            "reinstate": (targets.reinstate, _("%(account)s may be proposed again.")),
        }
        rule, done = rules[deed]
        deed_of = partial(rule, row, account=account, by=doer(request))
        return self.on_post(request, row, deed_of, done=done % {"account": account}, back=proposals_of(row))

    def swap_in(self, request: HttpRequest, object_id: str, slot_id: int, account_id: int) -> HttpResponse:
        """Put a proposed account into a slot at once."""
        row = self.record(request, object_id)
        slot = get_object_or_404(row.slots.select_related("target_list", "account"), pk=slot_id)
        account = get_object_or_404(self.eligible(row), pk=account_id)
        done = _("%(new)s takes the slot of %(old)s.") % {"new": account, "old": slot.account}
        deed = partial(targets.swap, slot, account=account, by=doer(request))
        return self.on_post(request, row, deed, done=done, back=proposals_of(row))

    def eligible(self, row: TargetList) -> QuerySet[Account]:
        """Give the accounts that a proposal may name: the team's and nobody's; the rule judges the rest."""
        return Account.objects.filter(Q(team=row.team_id) | Q(team=None))

    def swap(self, request: HttpRequest, object_id: str, slot_id: int) -> HttpResponse:
        """Put another account into a slot."""
        row = self.record(request, object_id)
        slot = get_object_or_404(row.slots.select_related("target_list", "account"), pk=slot_id)
        deed = partial(targets.swap, slot, by=doer(request))
        title = _("Another account instead of %(account)s") % {"account": slot.account}
        form = Pick(deeds.filled(request), request=request)
        return self.ask(request, row, form, deed, title=title, done=_("The account is swapped."), back=page_of(row))

    def get_urls(self) -> list[URLPattern]:
        view, slot, account = self.admin_site.admin_view, "<path:object_id>/slots/<int:slot_id>", "<int:account_id>"
        own = [
            path(f"{slot}/swap/{account}/", view(self.swap_in), name="abm_targetlist_swap_in"),
            path(f"{slot}/swap/", view(self.swap), name="abm_targetlist_swap"),
        ]
        own += [
            path(f"{slot}/{deed}/", view(self.at_slot), {"deed": deed}, name=f"abm_targetlist_{deed}")
            for deed in ("pin", "unpin", "remove")
        ]
        own += [
            path(f"<path:object_id>/{deed}/{account}/", view(self.at_account), {"deed": deed}, name=f"abm_targetlist_{deed}")
            for deed in ("take", "keep_off", "reinstate")
        ]
        return [*own, *super().get_urls()]


def slots_of(row: TargetList) -> str:
    """Give the place of the slots on a list's page."""
    return f"{page_of(row)}#slots"


def proposals_of(row: TargetList) -> str:
    """Give the place of the proposal on a list's page."""
    return f"{page_of(row)}#proposed"


class OfList(ReadOnlyAdmin):
    """What hangs on a list is seen by who sees the list."""

    list_select_related = ["target_list", "account"]
    search_fields = ["account__name", "target_list__name"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(target_list__in=TargetList.objects.visible_to(request.user))


@admin.register(TargetAccount)
class TargetAccountAdmin(OfList):
    """Slots: changed on their list's page."""

    list_display = ["target_list", "slot", "account", "is_pinned", "added_at"]


@admin.register(TargetRejection)
class TargetRejectionAdmin(OfList):
    """Accounts that a person kept off a list."""

    list_display = ["target_list", "account", "reason", "rejected_at"]


@admin.register(ComparisonAccount)
class ComparisonAccountAdmin(OfList):
    """Comparison groups: frozen when their list was activated; other teams' accounts stay unnamed in them."""

    list_display = fields = ["target_list", "account_shown", "resembles_shown", "distance"]
    list_display_links = ["target_list"]
    list_select_related = ["target_list", "account", "resembles"]
    search_fields = ["target_list__name"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return target_list_page.with_names_for(request, super().get_queryset(request))

    @display(description=_("account"))
    def account_shown(self, row: Any) -> str:
        return target_list_page.name_of(row.account, row.sees_account)

    @display(description=_("resembles"))
    def resembles_shown(self, row: Any) -> str:
        return target_list_page.name_of(row.resembles, row.sees_resembles)
