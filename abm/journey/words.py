"""Why an account is in a phase, in the reader's language: evidence is kept as codes and numbers."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.text import capfirst, get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

SIGNS: dict[str, Promise] = {
    "noticed": ngettext_lazy("%(count)d sign of life", "%(count)d signs of life", "count"),
    "reading": ngettext_lazy("%(count)d page read", "%(count)d pages read", "count"),
    "material": ngettext_lazy("%(count)d download", "%(count)d downloads", "count"),
    "events": ngettext_lazy("%(count)d event or webinar visited", "%(count)d events or webinars visited", "count"),
    "users": ngettext_lazy("%(count)d activity of users and influencers", "%(count)d activities of users and influencers", "count"),
    "meetings": ngettext_lazy("%(count)d meeting or demo request", "%(count)d meetings or demo requests", "count"),
    "talks": ngettext_lazy("%(count)d mail or call answered", "%(count)d mails or calls answered", "count"),
    "prices": ngettext_lazy("%(count)d look at prices", "%(count)d looks at prices", "count"),
    "buyer": ngettext_lazy("%(count)d serious step by the buyer", "%(count)d serious steps by the buyer", "count"),
    "decider": ngettext_lazy("%(count)d serious step by the decider", "%(count)d serious steps by the decider", "count"),
}
# What an open deal shows, by the phase.
_DEALS: dict[str, Promise] = {
    "research": gettext_lazy("an open deal, marketing qualified"),
    "consider": gettext_lazy("an open deal, sales qualified"),
    "compare": gettext_lazy("an open deal past the gate"),
}


def counted(code: str, count: int) -> str:
    """Say how often a sign was given."""
    return str(SIGNS[code] % {"count": count}) if code in SIGNS else f"{count} × {code}"


def in_words(row: Mapping[str, Any]) -> str:
    """Say one piece of evidence."""
    sign = row["sign"]
    if sign == "deal":
        return str(_DEALS.get(row["phase"], _("an open deal")))
    if sign == "signing":
        return _("a proposal whose authority is confirmed")
    if sign == "customer":
        return _("is a customer")
    if sign in ("won", "bought"):
        return _("a deal won on %(day)s") % {"day": date_format(date.fromisoformat(row["on"]), "SHORT_DATE_FORMAT")}
    days = ngettext("in %(days)d day", "in %(days)d days", row["days"]) % {"days": row["days"]}
    short = "" if row["count"] >= row["of"] else " " + _("of %(enough)d that are enough") % {"enough": row["of"]}
    return f"{counted(sign, row['count'])} {days}{short}"


def sentence(rows: Sequence[Mapping[str, Any]], *, phase: str = "") -> str:
    """Say the evidence in a line, of one phase or of all; empty when there is none."""
    said = [in_words(row) for row in rows if not phase or row["phase"] == phase]
    return capfirst(get_text_list(said, _("and"))) if said else ""
