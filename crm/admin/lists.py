"""What lists share: filters that read no whole table, and cells."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from django.db.models import Aggregate, CharField, Model
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, RadioFilter

from crm.admin import choices
from crm.models import DmuRole, Opportunity
from crm.models.users import Sight, sight

# People are sorted as their names are written, not as they were registered.
BY_NAME = ("first_name", "last_name", "username")


class OwnerFilter(DropdownFilter):
    """Filter by owner; the first choice is the user."""

    title = _("owner")
    parameter_name = "owner"
    lookup = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Promise | str]]:
        return [("me", _("mine")), ("nobody", _("nobody")), *choices.people(request, model_admin.model)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if value == "me":
            return queryset.filter(**{self.lookup: request.user.pk})
        if value == "nobody":
            return queryset.filter(**{f"{self.lookup}__isnull": True})
        return queryset.filter(**{self.lookup: int(value)}) if value and value.isdigit() else queryset


class MineFirst(OwnerFilter):
    """Show a seller's own records as long as nothing is asked for; who sees every record sees all."""

    all_option = None

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        is_asked = bool(model_admin.known_parameters(request) & set(request.GET))
        self.default = "all" if is_asked or request.resolver_match is None or sight(request.user) is Sight.ALL else "me"
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Promise | str]]:
        return [("all", _("all that I may see")), *super().lookups(request, model_admin)]

    def value(self) -> str:
        return super().value() or self.default


class TeamFilter(DropdownFilter):
    """Filter by team; who sees only the own one still tells it from accounts of others where a deal is worked."""

    title = _("team")
    parameter_name = "team"
    lookup = "team"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Promise | str]]:
        own: list[tuple[str, Promise | str]] = [("mine", _("my team"))] if getattr(request.user, "team_id", None) else []
        return [*own, *(choices.teams(request, model_admin.model) if sight(request.user) is Sight.ALL else [])]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if value == "mine":
            return queryset.filter(**{self.lookup: getattr(request.user, "team_id", None)})
        return queryset.filter(**{self.lookup: int(value)}) if value and value.isdigit() else queryset


class ChoicesFilter(DropdownFilter):
    """Filter a field by a fixed vocabulary; `choices_of` gives it."""

    field = ""

    def choices_of(self) -> Iterable[tuple[str, Promise | str]]:
        """Give the vocabulary as pairs of value and label."""
        return ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Promise | str]]:
        return list(self.choices_of())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(**{self.field: self.value()}) if self.value() else queryset


class WorkFilter(RadioFilter):
    """Show what needs work unless asked for more: `default` names the choice that holds when none is made."""

    default = ""
    all_option = None

    def value(self) -> str:
        return super().value() or self.default


class BandFilter(DropdownFilter):
    """Filter a number by ranges; `bands` holds (key, label, lower bound included, upper bound not included)."""

    field = ""
    bands: tuple[tuple[str, Promise | str, float | None, float | None], ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Promise | str]]:
        return [(key, label) for key, label, _low, _high in self.bands]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        for key, _label, low, high in self.bands:
            if key == self.value():
                bounds = {f"{self.field}__gte": low, f"{self.field}__lt": high}
                return queryset.filter(**{name: bound for name, bound in bounds.items() if bound is not None})
        return queryset


# --- cells -------------------------------------------------------------------------------------------

STATES = {
    "engaged": (_("engaged"), "✓✓"),
    "reachable": (_("reachable"), "✓"),
    "known": (_("known"), "•"),
    "assumed": (_("assumed"), "?"),
    "missing": (_("missing"), "–"),
    "lost": (_("lost"), "✕"),
}


def chip(label: object, tone: str, *, sign: str = "", title: object = "") -> SafeString:
    """Draw a small label; the sign tells the same as the colour."""
    drawn = format_html('<span class="q-sign" aria-hidden="true">{}</span>', sign) if sign else ""
    return format_html('<span class="q-chip q-{}" title="{}">{}{}</span>', tone, title, drawn, label)


def label_of(record: Model, name: str) -> object:
    """Give the label of a choice; Django's own way translates and hashes all of them each time."""
    field, value = record._meta.get_field(name), getattr(record, name)
    return dict(getattr(field, "flatchoices", ())).get(value, value)


def role_chip(role: object, state: str) -> SafeString:
    """Draw a DMU role with its state in words."""
    word, sign = STATES.get(state, (state, ""))
    return chip(format_html("{} <b>{}</b>", role, word), state, sign=sign, title=word)


def role_cells(states: Mapping[str, str]) -> SafeString:
    """Draw the five roles side by side, each in its own column, so that a list can be scanned downwards; others than required stay empty."""
    language = get_language()
    cells = (_role_cell(role, states.get(role.value, ""), language) for role in DmuRole)
    return SafeString(f'<span class="q-cells">{"".join(cells)}</span>')


@cache
def _role_cell(role: DmuRole, state: str, _language: str | None) -> SafeString:
    """Draw one cell; there are a few dozen different ones, and a list shows a hundred."""
    if not state:
        return format_html('<span class="q-cell q-unneeded">{}</span>', "")
    word, sign = STATES.get(state, (state, ""))
    drawn = '<span class="q-cell q-{}" title="{}: {}"><small>{}</small><b>{}</b><i aria-hidden="true">{}</i></span>'
    return format_html(drawn, state, role.label, word, role.label, word, sign)


class Words(Aggregate):
    """Join words with spaces, in any order: what hangs on a row, read with the row and not by a query more."""

    function, template, output_field = "GROUP_CONCAT", "%(function)s(%(expressions)s, ' ')", CharField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, function="STRING_AGG", **context)


def chips(drawn: Iterable[SafeString]) -> SafeString:
    """Draw labels in a row that wraps."""
    return format_html('<span class="q-chips">{}</span>', format_html_join("", "{}", ((one,) for one in drawn)))


def bar(value: float | Decimal, *, shown: object = None) -> SafeString:
    """Draw a number of 0 to 100 with a bar behind it."""
    tone = "high" if value >= 60 else "middle" if value >= 30 else "low"
    return format_html(
        '<span class="q-score q-{}"><b>{}</b><span class="q-bar"><i style="width:{}%"></i></span></span>',
        tone,
        number_format(value) if shown is None else shown,
        round(max(0, min(100, value))),
    )


def change_arrow(points: float, *, still: float = 0.05) -> SafeString:
    """Draw a rise or a fall with its sign; nothing moved is a dash."""
    if abs(points) < still:
        return format_html('<span class="q-still">{}</span>', "–")
    arrow, tone = ("▲", "up") if points > 0 else ("▼", "down")
    return format_html('<span class="q-change q-{}">{} {}{}</span>', tone, arrow, "+" if points > 0 else "−", number_format(abs(points), 1))


STAGE_TONES = {"mql": "plain", "sql": "known", "opportunity": "reachable", "proposal": "reachable", "won": "engaged", "lost": "lost"}


def stage_chips(deal: Opportunity) -> str:
    """Draw the stage, with what a rep must know of it."""
    drawn = chip(label_of(deal, "stage"), STAGE_TONES.get(deal.stage, "plain"))
    if deal.gate_broken_at:
        drawn += chip(_("gate broken"), "lost", sign="!", title=_("A confirmation it rested on was withdrawn."))
    if deal.is_imported_history:
        drawn += chip(_("imported"), "assumed", title=_("History from an import: never judged by the gate."))
    return drawn


def money(deal: Opportunity) -> str | None:
    """Give the amount with its currency."""
    return None if deal.amount is None else f"{number_format(deal.amount, 0, use_l10n=True, force_grouping=True)} {deal.currency}"
