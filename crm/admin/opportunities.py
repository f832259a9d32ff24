"""Opportunities: the list, the open deals first; the page of one lies in opportunity_page.py."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from crm import pipeline, policy
from crm.admin import bulk, choices
from crm.admin.board import PipelineBoard
from crm.admin.board_filters import PERIODS, board_link
from crm.admin.bulk import BulkPage
from crm.admin.lists import ChoicesFilter, MineFirst, TeamFilter, WorkFilter, money, stage_chips
from crm.admin.saved_views import Tab
from crm.admin.sidebar import Place
from crm.models import Opportunity, Stage


class WorkedFilter(WorkFilter):
    """Show open deals, unless asked for more."""

    title, parameter_name, default = _("state"), "state", "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        states = [("open", _("open")), ("broken", _("gate broken")), ("overdue", _("close date passed"))]
        return [*states, ("won", _("won")), ("lost", _("lost")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        choice = self.value()
        if choice == "overdue":
            return queryset.open().filter(expected_close_on__lt=policy.day_of(now()))
        chosen = {"open": queryset.open, "broken": queryset.gate_broken, "won": queryset.won, "lost": queryset.lost}
        return chosen.get(choice, queryset.all)()


class StageFilter(ChoicesFilter):
    """Filter by stage."""

    title, parameter_name, field = _("stage"), "stage", "stage"

    def choices_of(self) -> Any:
        return Stage.choices


class OriginFilter(WorkFilter):
    """Tell deals that went through the gate from imported history."""

    title, parameter_name, default = _("origin"), "origin", "all"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("all", _("all")), ("ours", _("judged by the gate")), ("imported", _("imported history"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return {"ours": queryset.filter(imported_stage=""), "imported": queryset.exclude(imported_stage="")}.get(self.value(), queryset)


class ProductFilter(ChoicesFilter):
    """Filter by product."""

    title, parameter_name, field = _("product"), "product", "product"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*choices.products(request, Opportunity)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return super().queryset(request, queryset) if (self.value() or "").isdecimal() else queryset


class CloseFilter(ChoicesFilter):
    """Filter by when the deal is expected to close."""

    title, parameter_name = _("expected close"), "close"

    def choices_of(self) -> Any:
        return PERIODS.items()

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(pipeline.closing(self.value() or "", day=policy.day_of(now())))


@admin.register(Opportunity)
class OpportunityAdmin(BulkPage, PipelineBoard):
    """Opportunities."""

    place = Place("selling", 4, "handshake")
    list_display = ["title", "account", "stage_label", "amount_shown", "expected_close_on", "owner"]
    list_filter = [WorkedFilter, StageFilter, MineFirst, TeamFilter, ProductFilter, CloseFilter, OriginFilter]
    list_before_template = "crm/admin/board/beside.html"
    list_select_related = ["account", "owner", "product"]
    actions = ["export_rows"]
    bulk_deeds = {"give_many": bulk.OPPORTUNITIES}
    search_fields = ["name", "account__name"]
    search_help_text = _("Opportunity or account")
    tabs = (
        Tab(_("My open deals"), "owner=me"),
        Tab(_("My team's"), "team=mine"),
        Tab(_("All that I may see"), "owner=all"),
        Tab(_("Gate broken"), "state=broken"),
        Tab(_("Close date passed"), "state=overdue"),
    )
    everything = "?owner=all&state=all"
    nothing_yet = _("A deal begins at an account: open one and add what they might buy.")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, {"board": board_link(request.GET)} | (extra_context or {}))

    @display(description=_("opportunity"), ordering="name", header=True)
    def title(self, opportunity: Opportunity) -> list[str]:
        return [opportunity.name, str(opportunity.product or "")]

    @display(description=_("stage"), ordering="stage")
    def stage_label(self, opportunity: Opportunity) -> str:
        return stage_chips(opportunity)

    @display(description=_("amount"), ordering="amount")
    def amount_shown(self, opportunity: Opportunity) -> str | None:
        return money(opportunity)
