"""The journey of accounts: six steps on a page, a chip in a list, and every change of phase with how long accounts stay where."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from abm import journey
from abm.journey import rules, times, words
from abm.models import JourneyPlacement, Phase, PhaseChange
from abm.models.journey import BY_CODE, PHASES, in_phase
from crm.admin.lists import chip
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin
from crm.models import Account

CHANGES_SHOWN = 40
TONES = {Phase.NONE: "missing", Phase.DREAM: "plain", Phase.RESEARCH: "assumed", Phase.CONSIDER: "known", Phase.COMPARE: "reachable"}


def placement_of(account: Account) -> JourneyPlacement | None:
    """Give where an account is; none when nothing was ever known of it."""
    return getattr(account, "journey", None)


def steps(placement: JourneyPlacement | None, *, days: Mapping[Phase, int] | None = None, deal: Phase = Phase.NONE) -> list[dict[str, Any]]:
    """Give the six phases as steps: done, here, overlapping or to come; `deal` is the one that a deal shows."""
    at, overlap = (placement.phase, placement.overlap) if placement else (Phase.NONE, Phase.NONE)
    return [
        {
            "label": phase.label,
            "question": phase.question,
            "state": "here" if phase == at else "overlap" if phase == overlap else "done" if phase < at else "later",
            "days": (days or {}).get(phase),
            "is_deals": phase == deal,
        }
        for phase in PHASES
    ]


def panel(account: Account, *, today: date) -> dict[str, Any]:
    """Give what a page shows of an account's journey, from the placement that was read along with it."""
    placement = placement_of(account)
    found = {"placement": placement, "steps": steps(placement)}
    if placement is None:
        return found
    return found | {
        "phase": Phase(placement.phase),
        "overlap": Phase(placement.overlap),
        "days": (today - placement.since).days,
        "why": words.sentence(placement.evidence, phase=Phase(placement.phase).code),
        "why_overlap": words.sentence(placement.evidence, phase=Phase(placement.overlap).code) if placement.overlap else "",
    }


def unfolded(account: Account, *, today: date) -> dict[str, Any]:
    """Give the evidence of each phase as it is now, the time in each phase, and the changes; three queries."""
    position = journey.position(account.pk, day=today)
    changes = list(PhaseChange.objects.filter(account=account).order_by("-day"))
    spent = times.of_account(changes, placement_of(account), today=today)
    facts = position.facts if position else rules.Facts()
    return {
        "now": words.sentence(rules.evidence(facts, position.placed)) if position else "",
        "signs": [_signs(phase, readings) for phase, readings in rules.readings(facts).items()],
        "spent": [{"phase": phase.label, "days": spent[phase]} for phase in PHASES if phase in spent],
        "changes": [_told(change) for change in changes[:CHANGES_SHOWN]],
    }


def _signs(phase: Phase, readings: list[rules.Reading]) -> dict[str, Any]:
    return {
        "phase": phase.label,
        "question": phase.question,
        "rows": [{"reading": each, "words": words.counted(each.code, each.times)} for each in readings],
    }


def _told(change: PhaseChange) -> dict[str, Any]:
    """Say one change: where to, what overlaps, and why."""
    is_overlap = change.phase == change.from_phase
    return {
        "day": change.day,
        "from": "" if is_overlap or not change.from_phase else Phase(change.from_phase).label,
        "to": Phase(change.phase).label,
        "overlap": Phase(change.overlap).label if change.overlap else "",
        "is_overlap": is_overlap,
        "is_back": change.phase < change.from_phase,
        "days": None if is_overlap else change.stayed_days,
        "why": words.sentence(change.evidence),
    }


# --- in lists --------------------------------------------------------------------------------------


def phase_chip(placement: JourneyPlacement | None) -> str | None:
    """Draw the phase, with the one that overlaps with it."""
    if placement is None:
        return None
    phase = Phase(placement.phase)
    drawn = chip(phase.label, TONES.get(phase, "engaged"), title=phase.question)
    if not placement.overlap:
        return drawn
    overlap = Phase(placement.overlap)
    return format_html('<span class="q-chips">{}<span class="q-and">+ {}</span></span>', drawn, overlap.label)


class PhaseFilter(DropdownFilter):
    """Filter accounts by phase."""

    title, parameter_name = _("phase"), "phase"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*((phase.code, phase.label) for phase in PHASES), (Phase.NONE.code, Phase.NONE.label)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        phase = BY_CODE.get(self.value() or "")
        return queryset if phase is None else queryset.filter(in_phase(phase))


@admin.register(PhaseChange)
class PhaseChangeAdmin(ReadOnlyAdmin):
    """Changes of phase, the latest first, below how many accounts are in each phase and how long they stay there."""

    place = Place("marketing", 3, "route", _("Journey"))
    list_display = ["account", "day", "step", "stayed_days", "why"]
    fields = ["account", "day", "step", "stayed_days", "why"]
    readonly_fields = ["step", "why"]
    list_select_related = ["account"]
    search_fields = ["account__name", "account__domain"]
    ordering = ["-day", "-pk"]
    list_before_template = "abm/admin/journey_report.html"
    nothing_yet = _("No account changed its phase yet: the night's run places them by what their people do.")

    class Media:
        css = {"all": ["abm/journey.css"]}

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        stays = times.report(JourneyPlacement.objects.visible_to(request.user), PhaseChange.objects.visible_to(request.user))
        return super().changelist_view(request, {"stays": stays} | (extra_context or {}))

    @display(description=_("phase"), ordering="phase")
    def step(self, change: PhaseChange) -> str:
        told = _told(change)
        way = format_html("{} → <b>{}</b>", told["from"], told["to"]) if told["from"] else format_html("<b>{}</b>", told["to"])
        return format_html('{} <span class="q-and">+ {}</span>', way, told["overlap"]) if told["overlap"] else way

    @display(description=_("why"))
    def why(self, change: PhaseChange) -> str:
        return words.sentence(change.evidence)
