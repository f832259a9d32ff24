"""Score a file of contacts and events without touching the data."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from abm import policy, score_numbers, trials
from crm.errors import Invalid


class Command(BaseCommand):
    help = "Score a file of contacts and events; of the database at most the numbers in force are read, and nothing is written to it."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "cases", type=Path, metavar="CASES.json", help='{"params": file or object, "cases": [{"id", "as_of", "contacts", "events"}]}'
        )
        parser.add_argument(
            "--params", type=Path, metavar="PARAMS.json", help="default: what the file of cases names, or the numbers in force"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object with every line of every case")

    def handle(self, *, cases: Path, params: Path | None, json: bool, **_options: Any) -> None:
        given = _load(cases)
        listed = given.get("cases") if isinstance(given, dict) else given
        try:
            own = _params(given, cases, params)
            scored = trials.score_all(listed, own, in_force=policy.SCORING if own else _in_force())
        except Invalid as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_as_json(scored) if json else "\n".join(map(_as_line, scored)))


def _in_force() -> policy.Scoring:
    """Give the numbers in force; without a database those of the settings."""
    try:
        return score_numbers.in_force()
    except DatabaseError:
        return policy.SCORING


def _params(given: Any, cases: Path, params: Path | None) -> Any:
    """Give the numbers to score with: of the file that was asked for, or that the cases name, or that stand with them."""
    named = given.get("params") if isinstance(given, dict) else None
    if params is None and isinstance(named, str):
        params = cases.parent / named
    found = _load(params) if params else named
    return found.get("params", found) if isinstance(found, dict) else None


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.") from error
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}.") from error


def _as_json(scored: list[dict[str, Any]]) -> str:
    return json.dumps({"cases": scored}, indent=1, ensure_ascii=False)


def _as_line(one: dict[str, Any]) -> str:
    return f"{one['score']:5.1f}  {one['sum_weighted']:10.4f} points x {one['breadth_factor']:.2f} = {one['x']:10.4f}  case {one['id']}"
