"""Accounts, with what abm knows in the list: fit, score, momentum, journey phase and coverage."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, Q
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from abm import target_picks
from abm.admin.account_page import AccountPage, standing_of
from abm.admin.journey import PhaseFilter, phase_chip, placement_of
from abm.models import TargetList
from crm import access
from crm.admin import deeds
from crm.admin.accounts import AccountAdmin as CrmAccountAdmin
from crm.admin.accounts import IndustryFilter, StatusFilter
from crm.admin.bulk import Deed
from crm.admin.lists import BandFilter, MineFirst, TeamFilter, bar, change_arrow, role_cells
from crm.handovers import REASONS
from crm.models import Account, DmuRole, User


class ScoreFilter(BandFilter):
    """Filter by engagement."""

    title, parameter_name, field = _("score"), "score", "standing__score"
    bands = (
        ("hot", _("60 and more"), 60, None),
        ("warm", _("30 to 60"), 30, 60),
        ("cool", _("10 to 30"), 10, 30),
        ("cold", _("below 10"), None, 10),
    )


class FitFilter(BandFilter):
    """Filter by fit."""

    title, parameter_name, field = _("fit"), "fit", "standing__fit"
    bands = (
        ("high", _("70 and more"), 70, None),
        ("middle", _("40 to 70"), 40, 70),
        ("low", _("below 40"), None, 40),
    )


class MomentumFilter(BandFilter):
    """Filter by change in a week."""

    title, parameter_name, field = _("change in 7 days"), "change", "standing__momentum"
    bands = (
        ("up", _("rising by 5 and more"), 5, None),
        ("still", _("about the same"), -5, 5),
        ("down", _("falling by more than 5"), None, -5),
    )


class GapFilter(DropdownFilter):
    """Filter by what the DMU lacks."""

    title, parameter_name = _("DMU"), "dmu"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        gaps = [("lost", _("somebody left")), ("single", _("only one person engaged")), ("nobody", _("nobody reached"))]
        return [*gaps, ("decider", _("no decider known")), ("partly", _("partly reached")), ("complete", _("every role reached"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        gone = Q()
        for role in DmuRole.values:
            gone |= Q(**{f"standing__coverage_states__{role}": "lost"})
        conditions = {
            "lost": gone,
            "single": Q(standing__is_single_threaded=True),
            "nobody": Q(standing__coverage_percent=0),
            "decider": Q(standing__coverage_states__decider__in=["missing", "lost"]),
            "partly": Q(standing__coverage_percent__gt=0, standing__coverage_percent__lt=100),
            "complete": Q(standing__coverage_percent=100),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


def highest_first(name: str) -> Any:
    """Sort by a figure of the standing; an account without one comes after all that have one."""
    return F(f"standing__{name}").asc(nulls_first=True)


class Draft(forms.Form):
    """Ask on which draft the accounts go."""

    target_list = deeds.record(_("target list"), help_text=_("Drafts of yours; the warmest accounts go first while there is room."))

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        drafts = TargetList.objects.visible_to(user).filter(access.changeable(user, TargetList), status=TargetList.Status.DRAFT)
        deeds.offer(self, "target_list", drafts)


LEFT_OUT = REASONS | {
    "not_eligible": _("they may not be on this list: opted out, a competitor, in conflict, or another team's"),
    "taken": _("they are on this list or on another active one"),
    "full": _("the list is full"),
}
ADD_TO_LIST = Deed(
    _("Add to a target list…"), _("Add to the list"), Draft, target_picks.judge, target_picks.pick, LEFT_OUT,
    lambda user: bool(user.has_perm("abm.add_targetaccount")),
)  # fmt: skip

admin.site.unregister(Account)


@admin.register(Account)
class AccountAdmin(AccountPage, CrmAccountAdmin):
    """Accounts, the warmest first."""

    list_display = ["title", "score_shown", "momentum_shown", "fit_shown", "phase_shown", "dmu_shown", "owner"]
    list_filter = [MineFirst, ScoreFilter, MomentumFilter, FitFilter, PhaseFilter, GapFilter, TeamFilter, StatusFilter, IndustryFilter]
    list_select_related = ["owner", "standing", "journey"]
    sorted_part = "standing"
    bulk_deeds = CrmAccountAdmin.bulk_deeds | {"add_to_list": ADD_TO_LIST}
    ordering = [F("standing__score").desc(nulls_last=True), "pk"]
    list_before_template = "abm/admin/account_legend.html"

    @display(description=_("score"), ordering=highest_first("score"))
    def score_shown(self, account: Account) -> str | None:
        standing = standing_of(account)
        return bar(standing.score) if standing else None

    @display(description=_("7 days"), ordering=highest_first("momentum"))
    def momentum_shown(self, account: Account) -> str | None:
        standing = standing_of(account)
        return change_arrow(float(standing.momentum)) if standing else None

    @display(description=_("fit"), ordering=highest_first("fit"))
    def fit_shown(self, account: Account) -> str | None:
        standing = standing_of(account)
        return bar(standing.fit) if standing else None

    @display(description=_("phase"), ordering=F("journey__phase").asc(nulls_first=True))
    def phase_shown(self, account: Account) -> str | None:
        return phase_chip(placement_of(account))

    @display(description=_("DMU"), ordering=highest_first("coverage_percent"))
    def dmu_shown(self, account: Account) -> str | None:
        standing = standing_of(account)
        if standing is None:
            return None
        percent, cells = standing.coverage_percent, role_cells(standing.coverage_states)
        return format_html('<span class="q-dmu"><span class="q-percent">{} %</span>{}</span>', percent, cells)
