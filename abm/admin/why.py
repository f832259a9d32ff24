"""Why an account has its score, for a rep: a sentence, then the people, then what they did, down to the single activity."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import floor
from typing import Any

from django.utils.formats import number_format
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from abm import engagement
from crm import activity_kinds
from crm.dmu import Coverage
from crm.models import Account, Contact, DmuRole

PEOPLE_SHOWN, LINES_SHOWN, BEHIND_SHOWN = 6, 5, 5


def why(account: Account, explanation: engagement.Explanation, people: Sequence[Any], roles: Mapping[int, str]) -> dict[str, Any]:
    """Lay an explanation out: people by their share of the score, the first with what they did; of the others `did` tells it.

    What is not listed is said in one line each, so that shares add up to the score, and points to the weighted points.
    """
    scored, lines = explanation.scored, _by_person(explanation)
    shares = sorted(scored.shares.items(), key=lambda pair: -pair[1])
    shown, rest = shares[:PEOPLE_SHOWN], shares[PEOPLE_SHOWN:]
    known = _known(people, [who for who, _share in shown if who])
    rounded = add_up([share for _who, share in shown] + [sum(share for _who, share in rest)], to=float(scored.score_1))
    rows = [
        _person(known.get(who or 0), roles.get(who or 0, ""), share, lines[who])
        for (who, _share), share in zip(shown, rounded, strict=False)
    ]
    others = [line for who, _share in rest for line in lines[who]]
    return {
        "people": rows,
        "first": laid_out(account, lines[shown[0][0]]) if shown else None,
        "others": {"count": len(rest), "share": rounded[-1], "weighted": sum(line.weighted for line in others)} if rest else None,
        "scored": scored,
        "active": len(scored.active_roles),
        "required": len(scored.required_roles),
        "missing_roles": [{"label": DmuRole(row.role).label, "role": row.role, "score": row.score} for row in explanation.missing_roles],
        "as_of": explanation.as_of,
        "half_saturation": explanation.numbers.half_saturation,
        "window_days": explanation.numbers.window_days,
        "sentences": list(sentences(rows, explanation)),
    }


def _known(people: Iterable[Any], wanted: Collection[int]) -> dict[int, Any]:
    """Name the people of the explanation: those already read, and of a very large account the others."""
    known = {one.pk: one for one in people}
    left = [pk for pk in wanted if pk not in known]
    return known | (Contact.objects.select_related("person").in_bulk(left) if left else {})


def _person(contact: Any, roles: str, share: float, lines: Sequence[engagement.Line]) -> dict[str, Any]:
    return {
        "contact": contact,
        "name": str(contact) if contact else _("anonymous visitors"),
        "roles": roles,
        "share": share,
        "what": most(lines),
        "weighted": sum(line.weighted for line in lines),
    }


def did(account: Account, explanation: engagement.Explanation, who: int | None) -> dict[str, Any]:
    """Tell what one person did that counts; nobody means the anonymous visitors."""
    return laid_out(account, _by_person(explanation)[who])


def laid_out(account: Account, lines: Sequence[engagement.Line]) -> dict[str, Any]:
    """Give the heaviest lines of a person with the latest activities behind each, and the sum of the rest."""
    listed, rest = lines[:LINES_SHOWN], lines[LINES_SHOWN:]
    behind = engagement.behind(account, listed, at_most=BEHIND_SHOWN)
    return {
        "lines": [_line(line, behind[line.group]) for line in listed],
        "rest": {"count": len(rest), "weighted": sum(line.weighted for line in rest)} if rest else None,
        "weighted": sum(line.weighted for line in lines),
    }


def _by_person(explanation: engagement.Explanation) -> dict[int | None, list[engagement.Line]]:
    """Sort the lines of an explanation to the people, the heaviest first."""
    lines: dict[int | None, list[engagement.Line]] = defaultdict(list)
    for line in sorted(explanation.scored.lines, key=lambda line: -line.weighted):
        lines[line.contact_id].append(line)
    return lines


def roles_of(coverage: Coverage) -> dict[int, str]:
    """Name the roles that each person holds at the account."""
    held: dict[int, list[str]] = defaultdict(list)
    for role, holders in coverage.holders.items():
        for holder in holders:
            held[holder.contact_id].append(str(DmuRole(role).label))
    return {contact_id: ", ".join(roles) for contact_id, roles in held.items()}


def _line(line: engagement.Line, activities: list[Any]) -> dict[str, Any]:
    more = line.times - len(activities)
    return line._asdict() | {
        "kind": kind_label(line.kind),
        "activities": activities,
        "more": more,
        "is_capped": line.after_cap < line.points,
    }


def most(lines: Iterable[engagement.Line], *, at_most: int = 2) -> str:
    """Name the kinds that weigh most, with how often."""
    weights: dict[str, float] = defaultdict(float)
    times: dict[str, int] = defaultdict(int)
    for line in lines:
        weights[line.kind] += line.weighted
        times[line.kind] += line.times
    heaviest = sorted(weights, key=lambda kind: -weights[kind])[:at_most]
    return str(get_text_list([f"{kind_label(kind)} (× {times[kind]})" for kind in heaviest], _("and")))


def sentences(rows: Sequence[Mapping[str, Any]], explanation: engagement.Explanation) -> Iterable[str]:
    """Say in words where the score comes from, how broad it is, and what would raise it most."""
    scored = explanation.scored
    if not rows or not scored.score:
        return
    first, percent = rows[0], round(100 * rows[0]["share"] / float(scored.score_1)) if scored.score_1 else 0
    yield _("%(percent)d %% of it comes from %(name)s, mostly by %(what)s.") % {
        "percent": percent,
        "name": first["name"],
        "what": first["what"],
    }
    active, required = len(scored.active_roles), len(scored.required_roles)
    yield ngettext(
        "%(active)d of the %(required)d roles that decide is active now.",
        "%(active)d of the %(required)d roles that decide are active now.",
        active,
    ) % {"active": active, "required": required}
    if explanation.missing_roles:
        best = explanation.missing_roles[0]
        figures = {"role": DmuRole(best.role).label, "score": number_format(round(best.score, 1), 1)}
        yield _("With the %(role)s active, too, it would be %(score)s.") % figures


def add_up(values: Sequence[float], *, to: float) -> list[float]:
    """Round to one decimal so that the rounded values add up to a rounded total: the largest remainders are rounded up."""
    tenths = [floor(value * 10) for value in values]
    short = round(to * 10) - sum(tenths)
    by_remainder = sorted(range(len(values)), key=lambda place: values[place] * 10 - tenths[place], reverse=True)
    for place in by_remainder[: max(0, short)]:
        tenths[place] += 1
    return [tenth / 10 for tenth in tenths]


def kind_label(kind: str) -> str:
    """Name a kind of activity."""
    known = activity_kinds.KINDS.get(kind)
    return str(known.label) if known else kind
