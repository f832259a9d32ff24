"""Target lists: twenty slots, the proposal with its reasons, and the deeds that fill, change and close a list."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from abm import policy, targets
from abm.models import ComparisonAccount, TargetAccount, TargetList, TargetRejection
from crm import access
from crm.admin import deeds
from crm.admin.lists import OwnerFilter, TeamFilter, WorkFilter, bar, chip
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, RememberedAdmin, doer, page_of
from crm.models import Account

TONES = {"draft": "assumed", "active": "engaged", "closed": "plain"}
PROPOSED = 20


class Pick(forms.Form):
    """Ask for an account."""

    account = forms.ModelChoiceField(Account.objects.none(), label=_("Account"))

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer_accounts(self, "account", request)


class Reject(Pick):
    """Ask for an account, and why it is kept off the list."""

    reason = deeds.line(_("why"))


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

    place = Place("selling", 7, "format_list_numbered")
    list_display = ["name", "status_label", "filled", "team", "owner", "starts_on", "ends_on"]
    list_filter = [StatusFilter, OwnerFilter, TeamFilter]
    list_select_related = ["team", "owner"]
    search_fields = ["name"]
    change_form_outer_before_template = "abm/admin/target_list_page.html"
    actions_detail = ["activate", "fill", "pick", {"title": _("More"), "icon": "more_horiz", "items": ["reject", "close"]}]
    fields = ["name", ("team", "owner"), ("starts_on", "ends_on")]

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
        panels = self.panels(request, row) if row else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | panels)

    def panels(self, request: HttpRequest, row: TargetList) -> dict[str, Any]:
        """Collect the slots with where their accounts stand, the proposal, and what was kept off."""
        slots = {slot.slot: slot for slot in row.slots.select_related("account__standing", "account__owner")}
        is_draft = row.status == TargetList.Status.DRAFT
        proposal = [one for one in targets.propose(row, at=now()) if one.slot is None][:PROPOSED] if is_draft else []
        return {
            "target_list": row,
            "is_draft": is_draft,
            "may_change": access.may(request.user, "change", row),
            "taken": len(slots),
            "slots": [_slot(number, slots.get(number)) for number in range(1, policy.TARGETS.slots + 1)],
            "proposal": [{"one": one, "words": [targets.reason_in_words(part) for part in one.reasons]} for one in proposal],
            "rejections": row.rejections.select_related("account")[:20],
            "comparison": _compared(request, row),
        }

    # --- deeds -------------------------------------------------------------------------------------

    @action(description=_("Fill"), url_path="fill", icon="auto_awesome", permissions=["change"])
    def fill(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        deed = partial(targets.fill, row, by=doer(request))
        warning = _("The best of the proposal take the slots. Pinned accounts stay where they are; others may make way.")
        form = deeds.Nothing(deeds.filled(request))
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

    def at_once(self, request: HttpRequest, object_id: str, slot_id: int, deed: str) -> HttpResponse:
        """Do what a button of a slot asks: pin, unpin, remove."""
        row = self.record(request, object_id)
        slot = get_object_or_404(row.slots.select_related("target_list", "account"), pk=slot_id)
        rules = {
            "pin": (targets.pin, _("The account is pinned.")),
            "unpin": (targets.unpin, _("The account is no longer pinned.")),
            "remove": (targets.remove, _("The slot is free.")),
        }
        rule, done = rules[deed]
        return self.on_post(request, row, partial(rule, slot, by=doer(request)), done=done)

    def swap(self, request: HttpRequest, object_id: str, slot_id: int) -> HttpResponse:
        """Put another account into a slot."""
        row = self.record(request, object_id)
        slot = get_object_or_404(row.slots.select_related("target_list", "account"), pk=slot_id)
        deed = partial(targets.swap, slot, by=doer(request))
        title = _("Another account instead of %(account)s") % {"account": slot.account}
        form = Pick(deeds.filled(request), request=request)
        return self.ask(request, row, form, deed, title=title, done=_("The account is swapped."), back=page_of(row))

    def get_urls(self) -> list[URLPattern]:
        at_once, swap = self.admin_site.admin_view(self.at_once), self.admin_site.admin_view(self.swap)
        slot = "<path:object_id>/slots/<int:slot_id>"
        own = [path(f"{slot}/{name}/", at_once, {"deed": name}, name=f"abm_targetlist_{name}") for name in ("pin", "unpin", "remove")]
        return [path(f"{slot}/swap/", swap, name="abm_targetlist_swap"), *own, *super().get_urls()]


def _slot(number: int, slot: TargetAccount | None) -> dict[str, Any]:
    """Give one of the twenty slots as the page shows it, also when it is free."""
    if slot is None:
        return {"number": number, "slot": None}
    standing = getattr(slot.account, "standing", None)
    args = [slot.target_list_id, slot.pk]
    names = ("pin", "unpin", "remove", "swap")
    return {
        "number": number,
        "slot": slot,
        "standing": standing,
        "score": bar(standing.score) if standing else "",
        "fit": bar(standing.fit) if standing else "",
        "words": [targets.reason_in_words(reason) for reason in slot.reasons],
        "links": {name: reverse(f"admin:abm_targetlist_{name}", args=args) for name in names},
    }


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
        return with_names_for(request, super().get_queryset(request))

    @display(description=_("account"))
    def account_shown(self, row: Any) -> str:
        return _name(row.account, row.sees_account)

    @display(description=_("resembles"))
    def resembles_shown(self, row: Any) -> str:
        return _name(row.resembles, row.sees_resembles)


def with_names_for(request: HttpRequest, rows: QuerySet[ComparisonAccount]) -> QuerySet[Any]:
    """Note beside each row which of its two accounts the reader may see."""
    seen = Account.objects.visible_to(request.user)
    return rows.annotate(
        sees_account=Exists(seen.filter(pk=OuterRef("account"))), sees_resembles=Exists(seen.filter(pk=OuterRef("resembles")))
    )


def _name(account: Account, is_seen: bool) -> str:
    return str(account) if is_seen else str(_("an account of another team"))


def _compared(request: HttpRequest, row: TargetList) -> list[dict[str, Any]]:
    """Give the comparison group as the list's page shows it."""
    rows = with_names_for(request, row.comparison.select_related("account", "resembles"))[:20]
    return [
        {"account": _name(one.account, one.sees_account), "resembles": _name(one.resembles, one.sees_resembles), "distance": one.distance}
        for one in rows
    ]
