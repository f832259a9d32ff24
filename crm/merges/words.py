"""What a merge did, in words: how much moved, and how what stood there twice was settled."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext_lazy

# Lazy sentences with a count, by code; apps above crm add theirs at start.
_SETTLED: dict[str, Any] = {}
# What nobody but the machinery counts.
_BEHIND = {"crm.activitychange", "crm.merge", "crm.accountkey"}


def explain(code: str, sentence: Any) -> None:
    """Say how collisions of one kind are settled, as ngettext_lazy(..., 'count')."""
    _SETTLED[code] = sentence


def moved(figures: Mapping[str, int]) -> list[tuple[str, int]]:
    """Give what moves and how much of it, the most first."""
    shown = [(capfirst(_plural(label)), count) for label, count in figures.items() if label not in _BEHIND]
    return sorted(shown, key=lambda pair: (-pair[1], pair[0]))


def settled(figures: Mapping[str, int]) -> Iterator[str]:
    """Say how what stood there twice is settled."""
    for label, count in sorted(figures.items()):
        if count and label in _SETTLED:
            yield str(_SETTLED[label] % {"count": count})
        elif count:
            yield _("%(what)s: %(count)d stood at both; the kept record's stay.") % {"what": capfirst(_plural(label)), "count": count}


def _plural(label: str) -> str:
    return str(apps.get_model(label)._meta.verbose_name_plural)


def undone(figures: Mapping[str, Any]) -> Iterator[str]:
    """Say what an unmerge found to have changed since the merge."""
    for label, count in sorted(figures.get("followed", {}).items()):
        yield _("%(what)s that came since and went along with their person or deal: %(count)d.") % _named(label, count)
    for label, count in sorted(figures.get("stayed", {}).items()):
        if label not in _BEHIND:
            yield _("%(what)s that came since and stayed with the kept record: %(count)d.") % _named(label, count)
    if changed := figures.get("changed"):
        what = ", ".join(sorted(_plural(label) for label in changed))
        yield _("Changed by somebody since the merge, and left as they are now: %(what)s.") % {"what": what}


def _named(label: str, count: int) -> dict[str, object]:
    return {"what": capfirst(_plural(label)), "count": count}


explain(
    "crm.contact",
    ngettext_lazy(
        "%(count)d person is known at both and becomes one contact.",
        "%(count)d people are known at both and become one contact each.",
        "count",
    ),
)
explain(
    "shared_address",
    ngettext_lazy(
        "%(count)d person shares an address with somebody of another name: both stay, the address stays with the kept account's.",
        "%(count)d people share an address with somebody of another name: all stay, the addresses stay with the kept account's.",
        "count",
    ),
)
explain(
    "crm.dmumembership",
    ngettext_lazy(
        "%(count)d role is held twice and becomes one; confirmed counts before assumed.",
        "%(count)d roles are held twice and become one each; confirmed counts before assumed.",
        "count",
    ),
)
explain(
    "crm.departure",
    ngettext_lazy(
        "%(count)d departure no longer counts: the record that stays says whether they work there.",
        "%(count)d departures no longer count: the records that stay say whether they work there.",
        "count",
    ),
)
explain(
    "crm.followup",
    ngettext_lazy(
        "%(count)d open task is the same at both: one of the two is closed.",
        "%(count)d open tasks are the same at both: one of each two is closed.",
        "count",
    ),
)
