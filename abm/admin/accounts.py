"""The account page of crm, with what abm knows: fit, score, momentum, coverage, and why."""

from collections import defaultdict
from itertools import islice
from typing import Any

from django.contrib import admin
from django.db.models import F, Q
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from abm import engagement, icp
from abm.models import AccountStanding, JobChangeSignal
from crm import activity_kinds, policy
from crm.admin.accounts import AccountAdmin as CrmAccountAdmin
from crm.admin.accounts import IndustryFilter, StatusFilter
from crm.admin.lists import BandFilter, OwnerFilter, TeamFilter, bar, change_arrow, role_cells
from crm.models import Account, Contact, DmuRole

LINES_SHOWN = 30


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


def standing_of(account: Account) -> AccountStanding | None:
    """Give where an account stands; none when it was never scored."""
    return getattr(account, "standing", None)


def highest_first(name: str) -> Any:
    """Sort by a figure of the standing; an account without one comes after all that have one."""
    return F(f"standing__{name}").asc(nulls_first=True)


admin.site.unregister(Account)


@admin.register(Account)
class AccountAdmin(CrmAccountAdmin):
    """Accounts, the warmest first."""

    list_display = ["title", "score_shown", "momentum_shown", "fit_shown", "dmu_shown", "owner"]
    list_filter = [OwnerFilter, ScoreFilter, MomentumFilter, FitFilter, GapFilter, TeamFilter, StatusFilter, IndustryFilter]
    list_select_related = ["owner", "standing"]
    ordering = [F("standing__score").desc(nulls_last=True), "pk"]
    change_form_outer_before_template = "abm/admin/account_page.html"
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

    @display(description=_("DMU"), ordering=highest_first("coverage_percent"))
    def dmu_shown(self, account: Account) -> str | None:
        standing = standing_of(account)
        if standing is None:
            return None
        percent, cells = standing.coverage_percent, role_cells(standing.coverage_states)
        return format_html('<span class="q-dmu"><span class="q-percent">{} %</span>{}</span>', percent, cells)

    def panels(self, request: HttpRequest, account: Account) -> dict[str, Any]:
        standing, today = standing_of(account), policy.day_of(now())
        fit = getattr(account, "fit", None)
        signals = JobChangeSignal.objects.visible_to(request.user).open().filter(account=account)
        return super().panels(request, account) | {
            "standing": standing,
            "score_bar": bar(standing.score) if standing else "",
            "fit_bar": bar(standing.fit) if standing else "",
            "coverage_bar": bar(standing.coverage_percent, shown=f"{standing.coverage_percent} %") if standing else "",
            "momentum": change_arrow(float(standing.momentum)) if standing else "",
            "fit_reasons": [{"words": icp.in_words(row), "points": row["points"], "of": row["of"]} for row in fit.reasons] if fit else [],
            "why": why(engagement.explain(account, as_of=today)),
            "signals": signals.select_related("contact__person").prefetch_related("evidence")[:10],
        }


def why(explanation: engagement.Explanation) -> dict[str, Any]:
    """Lay an explanation out for the page: people by their share of the score, each with their heaviest lines.

    At most LINES_SHOWN lines are listed; what the others come to is said in one line, so that the table adds up.
    """
    scored = explanation.scored
    heaviest = sorted(scored.lines, key=lambda line: -line.weighted)
    shown, rest = heaviest[:LINES_SHOWN], heaviest[LINES_SHOWN:]
    lines: dict[int | None, list[dict[str, Any]]] = defaultdict(list)
    for line in shown:
        lines[line.contact_id].append(line._asdict() | {"kind": kind_label(line.kind)})
    shares = sorted(scored.shares.items(), key=lambda pair: -pair[1])
    people = Contact.objects.select_related("person").in_bulk([pk for pk, _share in islice(shares, LINES_SHOWN) if pk])
    rows = [{"contact": people.get(pk) if pk else None, "share": share, "lines": lines[pk]} for pk, share in shares if pk in lines]
    return {
        "people": rows,
        "rest": {"count": len(rest), "weighted": sum(line.weighted for line in rest)} if rest else None,
        "scored": scored,
        "active": len(scored.active_roles),
        "required": len(scored.required_roles),
        "missing_roles": [{"label": DmuRole(row.role).label, "score": row.score} for row in explanation.missing_roles],
        "as_of": explanation.as_of,
    }


def kind_label(kind: str) -> str:
    """Name a kind of activity."""
    known = activity_kinds.KINDS.get(kind)
    return str(known.label) if known else kind
