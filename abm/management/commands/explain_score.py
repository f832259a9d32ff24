"""Explain an account's score, line by line, so that a pocket calculator gives the same."""

import json
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from abm import engagement
from abm.engagement import Explanation
from crm.models import Account, Contact
from crm.policy import day_of

HEADING = f"{'who':24} {'what':18} {'day':10} {'points':>7} {'capped':>7} {'age':>4} {'decay':>9} {'role':>5} {'weighted':>10}"


class Command(BaseCommand):
    help = "Explain the engagement score of an account, from the activities up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="its id or its name")
        parser.add_argument("--as-of", type=date.fromisoformat, metavar="YYYY-MM-DD", help="default: today")
        parser.add_argument("--json", action="store_true", help="print one JSON object, with the ids of the activities")

    def handle(self, *, account: str, as_of: date | None, json: bool, **_options: Any) -> None:
        found = _find(account)
        explanation = engagement.explain(found, as_of=as_of or day_of(timezone.now()), with_activities=json)
        self.stdout.write(_as_json(found, explanation) if json else _as_text(found, explanation))


def _find(text: str) -> Account:
    by_id = Account.objects.filter(pk=int(text)) if text.isdecimal() else Account.objects.none()
    found = list(by_id) or list(Account.objects.filter(name__iexact=text)[:10])
    if len(found) == 1:
        return found[0]
    ids = ", ".join(str(row.pk) for row in found)
    raise CommandError(f"Several accounts have this name; give the id: {ids}." if found else f"There is no account {text!r}.")


def _as_json(account: Account, explanation: Explanation) -> str:
    scored = explanation.scored
    lines = [
        line._asdict() | {"contact": line.contact_id, "day": line.day.isoformat(), "activities": explanation.activity_ids[line.group]}
        for line in scored.lines
    ]
    answer = {
        "account": account.pk,
        "name": account.name,
        "as_of": explanation.as_of.isoformat(),
        "parameters": explanation.parameters_version,
        "lines": lines,
        "sum_weighted": scored.weighted_points,
        "active_roles": scored.active_roles,
        "required_roles": scored.required_roles,
        "breadth_factor": scored.breadth,
        "x": scored.x,
        "score": float(scored.score_1),
        "score_6": round(scored.score, 6),
        "points_of_score_by_contact": {contact_id or "anonymous": points for contact_id, points in scored.shares.items()},
        "missing_roles": [
            {"role": row.role, "breadth_factor": row.breadth, "score_6": round(row.score, 6)} for row in explanation.missing_roles
        ],
    }
    return json.dumps(answer, indent=1, ensure_ascii=False)


def _as_text(account: Account, explanation: Explanation) -> str:
    scored = explanation.scored
    people = Contact.objects.select_related("person").in_bulk([line.contact_id for line in scored.lines if line.contact_id])
    names = {None: "(anonymous visitor)"} | {pk: str(contact) for pk, contact in people.items()}
    lines = [
        f"{names[line.contact_id]:24.24} {line.kind:18} {line.day} {line.points:7g} {line.after_cap:7g} {line.age_days:4}"
        f" {line.decay:9.6f} {line.role_weight:5g} {line.weighted:10.6f}"
        for line in scored.lines
    ]
    shares = [f"  {points:5.1f} of it by {names[contact_id]}" for contact_id, points in scored.shares.items()]
    missing = [f"  {row.role}: F would be {row.breadth:.3f} and the score {row.score:.1f}" for row in explanation.missing_roles]
    active = ", ".join(scored.active_roles) or "none"
    return "\n".join(
        [
            f"{account}, as of {explanation.as_of}, parameters {explanation.parameters_version} (weights are judgement, not fitted)",
            HEADING,
            *lines,
            f"R = {scored.weighted_points:.6f} weighted points",
            f"F = {scored.breadth:.6f}: active {active}, of {', '.join(scored.required_roles)}",
            f"X = R x F = {scored.x:.6f}",
            f"score = {scored.score_1} ({scored.score:.6f})",
            *shares,
            *(["missing roles:", *missing] if missing else []),
        ]
    )
