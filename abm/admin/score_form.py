"""The form of the score's numbers: a field for each, judged as the policy judges them, and what they are called on screen."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from abm import policy
from abm.admin.why import kind_label
from crm import activity_kinds
from crm.admin import deeds
from crm.models import DmuRole

OF_A_KIND: dict[str, Promise] = {
    "points": _("points"),
    "daily_cap": _("most per person and day"),
    "half_life_days": _("days until half is left"),
}
NAMES: dict[str, Promise] = OF_A_KIND | {
    "role_weight": _("weight"),
    "half_saturation": _("weighted points that make a score of 50"),
    "breadth_floor": _("breadth without any active role"),
    "breadth_per_share": _("breadth that all roles add"),
    "role_counts_from_points": _("live points from which a role is active"),
    "window_days": _("days that are looked at"),
}
PLAIN = ("half_saturation", "breadth_floor", "breadth_per_share", "role_counts_from_points")
OTHER_ROLES: dict[str, Promise] = {"unknown": _("no known role"), "anonymous": _("anonymous visitors")}


@dataclass(frozen=True)
class Key:
    """Which number: of which kind or role, if of any, and its name in the policy."""

    about: str
    name: str

    @property
    def field(self) -> str:
        """Name the form's field."""
        return f"{self.name}-{self.about}" if self.about else self.name

    @property
    def label(self) -> str:
        """Name the number on screen."""
        about = about_label(self.about)
        return capfirst(f"{about}: {NAMES[self.name]}" if about else str(NAMES[self.name]))


def about_label(about: str) -> str:
    """Name a kind of activity or a role."""
    if about in OTHER_ROLES or about in DmuRole.values:
        return str(OTHER_ROLES.get(about) or DmuRole(about).label)
    return kind_label(about) if about else ""


def shown(value: float | None) -> str:
    """Write a number as short as it is exact; nothing as a dash."""
    return "–" if value is None else number_format(Decimal(str(value)).normalize() + 0, use_l10n=True)


def keys(numbers: policy.Scoring) -> Iterator[Key]:
    """List the numbers that a person may change, in the order of the page."""
    yield from (Key(kind, name) for kind in kinds(numbers) for name in OF_A_KIND)
    yield from (Key(role, "role_weight") for role in numbers.role_weight or {})
    yield from (Key("", name) for name in PLAIN)


def kinds(numbers: policy.Scoring) -> list[str]:
    """List the kinds that count or could, in the order of the vocabulary."""
    known = [kind for kind in activity_kinds.KINDS if kind not in policy.WORTH_NOTHING or kind in (numbers.kinds or {})]
    return [*known, *((numbers.kinds or {}).keys() - set(known))]


def value_of(numbers: policy.Scoring, key: Key) -> float:
    """Read one number; a kind that does not count is worth nothing."""
    if key.name == "role_weight":
        return float((numbers.role_weight or {})[key.about])
    if not key.about:
        return float(getattr(numbers, key.name))
    row = (numbers.kinds or {}).get(key.about) or policy.KindWeight(0, 0, numbers.half_lives[0])
    return float(getattr(row, key.name))


class NumbersForm(forms.Form):
    """Ask for every number of the score, beginning with those of `base`."""

    note = deeds.line(_("why"), required=False, help_text=_("For those who ask next year: what should get better?"))

    def __init__(self, *args: Any, base: policy.Scoring, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.base, self.numbers = base, base
        for key in keys(base):
            self.fields[key.field] = _field(key, value_of(base, key))

    def clean(self) -> dict[str, Any]:
        """Refuse what the policy refuses, at the fields that are to blame."""
        cleaned = super().clean() or {}
        if not self.errors:
            self._refuse_fourth_half_life(cleaned)
        if not self.errors:
            try:
                self.numbers = self._numbers(cleaned)
            except ValueError as error:
                raise ValidationError(str(error)) from error
        return cleaned

    def _refuse_fourth_half_life(self, cleaned: dict[str, Any]) -> None:
        fields = [Key(kind, "half_life_days") for kind in kinds(self.base)]
        found = sorted({int(cleaned[key.field]) for key in fields if self._counts(key.about, cleaned)})
        if len(found) <= policy.TERMS:
            return
        days = ", ".join(map(str, found))
        sentence = ngettext(
            "Only %(most)d half-life is kept; here are %(count)d: %(days)s days.",
            "Only %(most)d different half-lives are kept; here are %(count)d: %(days)s days.",
            policy.TERMS,
        ) % {"most": policy.TERMS, "count": len(found), "days": days}
        changed = [key for key in fields if cleaned[key.field] != value_of(self.base, key)] or fields[:1]
        for key in changed:
            self.add_error(key.field, sentence)

    def _counts(self, kind: str, cleaned: dict[str, Any]) -> bool:
        """Say whether a kind has numbers at all: one that had none and is worth nothing still has none."""
        return kind in (self.base.kinds or {}) or bool(cleaned[Key(kind, "points").field])

    def _numbers(self, cleaned: dict[str, Any]) -> policy.Scoring:
        counted = [kind for kind in kinds(self.base) if self._counts(kind, cleaned)]
        return policy.Scoring(
            window_days=self.base.window_days,
            kinds={kind: policy.KindWeight(*(_short(cleaned[Key(kind, name).field]) for name in OF_A_KIND)) for kind in counted},
            role_weight={role: float(cleaned[Key(role, "role_weight").field]) for role in self.base.role_weight or {}},
            **{name: float(cleaned[name]) for name in PLAIN},
        )

    def bound(self, key: Key, in_force: policy.Scoring) -> dict[str, Any]:
        """Give a field as the page draws it, with what is in force where that is something else."""
        field, before = self[key.field], value_of(in_force, key)
        return {"field": field, "was": shown(before) if self.entered(key) != before else ""}

    def entered(self, key: Key) -> float | None:
        entered = self.cleaned_data.get(key.field) if self.is_bound and self.errors is not None else value_of(self.base, key)
        return None if entered is None else float(entered)


def _short(value: Decimal | int) -> Any:
    """Give a number as the policy writes it, so that the same numbers always are the same version."""
    return int(value) if value == int(value) else float(value)


def _field(key: Key, value: float) -> forms.Field:
    least, most = (Decimal(str(bound)) for bound in policy.BOUNDS[key.name])
    widget = forms.TextInput({"class": f"{deeds.INPUT} q-number", "inputmode": "decimal", "autocomplete": "off", "aria-label": key.label})
    words: dict[str, Any] = {"label": key.label, "widget": widget, "localize": True, "min_value": least, "max_value": most}
    if key.name == "half_life_days":
        return forms.IntegerField(initial=int(value), **words)
    return forms.DecimalField(initial=Decimal(str(value)).normalize() + 0, decimal_places=2, **words)
