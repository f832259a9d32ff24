"""The account page of crm, with what abm knows: fit, score, momentum, and why."""

from collections import defaultdict
from itertools import islice
from typing import Any

from django.http import HttpRequest
from django.utils.timezone import now

from abm import engagement, icp
from abm.models import AccountStanding, JobChangeSignal
from crm import activity_kinds, policy
from crm.admin.account_page import AccountPage as CrmAccountPage
from crm.admin.lists import bar, change_arrow
from crm.models import Account, Contact, DmuRole

LINES_SHOWN = 30


class AccountPage(CrmAccountPage):
    """The page of one account with its figures."""

    change_form_outer_before_template = "abm/admin/account_page.html"

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


def standing_of(account: Account) -> AccountStanding | None:
    """Give where an account stands; none when it was never scored."""
    return getattr(account, "standing", None)


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
