"""Credit the wins of a file, or of this database, to what happened before them."""

import json
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path as FilePath
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from abm import attribution
from abm.attribution import Attribution, Path
from crm.errors import Invalid
from crm.models import Opportunity

ALL = "all"


class Command(BaseCommand):
    help = "Credit wins to channels and DMU roles; with --paths from a file, and no database is read."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        names = ", ".join(attribution.MODELS)
        parser.add_argument("--model", default=ALL, help=f"one of {names}, or all (default)")
        parser.add_argument(
            "--paths",
            type=FilePath,
            metavar="CSV",
            help="touches (touch_id, opportunity_id, touch_at, channel, dmu_role), or paths (path, conversions, nulls, value); "
            "default: this database",
        )
        parser.add_argument(
            "--opportunities", type=FilePath, metavar="CSV", help="the deals of the touches; default: opportunities.csv beside them"
        )
        parser.add_argument("--currency", default="EUR", help="of the deals of this database; default: EUR")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(
        self, *, model: str, paths: FilePath | None, opportunities: FilePath | None, currency: str, json: bool, **_options: Any
    ) -> None:
        try:
            models = attribution.MODELS if model == ALL else (attribution.model_called(model),)
            found = attribution.read_file(paths, opportunities=opportunities) if paths else None
            by_channel = [_credited(found.by_channel if found else None, one, attribution.BY_CHANNEL, currency) for one in models]
            by_role = [_credited(found.by_role if found else None, one, attribution.BY_ROLE, currency) for one in models]
        except Invalid as error:
            raise CommandError(str(error)) from error
        if json:
            facts = {"touches_after_close_ignored": found.touches_after_close} if found else {"currency": currency}
            self.stdout.write(_as_json(by_channel, by_role, facts=facts, is_one=model != ALL))
        else:
            self.stdout.write("\n".join(_as_text(one) for one in by_channel))


def _credited(paths: Iterable[Path] | None, model: str, by: str, currency: str) -> Attribution:
    """Credit the paths of a file, or those of the database."""
    every = Opportunity.objects.all()
    return attribution.attribute(attribution.read(every, model=model, by=by, currency=currency) if paths is None else paths, model=model)


def _as_json(by_channel: list[Attribution], by_role: list[Attribution], *, facts: dict[str, Any], is_one: bool) -> str:
    first = by_channel[0]
    known = {
        "won": first.won,
        "lost": first.lost,
        "won_value": float(first.won_value),
        "unattributed": {"opportunities": first.unattributed, "value": float(first.unattributed_value)},
        "attributed_value": float(first.attributed_value),
    } | facts
    told = {one.model: _credits(one) for one in by_channel}
    for one in (one for one in by_role if one.lines):
        told[one.model] |= {f"{name}_by_dmu_role": value for name, value in _credits(one).items()}
    answer = known | ({"model": first.model} | told[first.model] if is_one else {"models": told})
    return json.dumps(answer, indent=1, ensure_ascii=False)


def _credits(found: Attribution) -> dict[str, Any]:
    return {
        "opportunities_credit": {line.key: line.credit for line in found.lines},
        "value_credit": {line.key: line.value for line in found.lines},
        "value_to_the_cent": {line.key: str(line.amount) for line in found.lines},
        "deals": {line.key: line.deals for line in found.lines},
    }


def _as_text(found: Attribution) -> str:
    rows = [f"{line.key:24.24} {line.credit:10.4f} {line.amount:>16} {line.deals:7}" for line in found.lines]
    heading = f"{found.model:24} {'wins':>10} {'value':>16} {'deals':>7}"
    rest = f"{'(unattributed)':24} {found.unattributed:10.4f} {found.unattributed_value:>16} {found.unattributed:7}"
    return "\n".join([heading, *rows, rest, ""])
