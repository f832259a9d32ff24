"""Print a report, as the page and the API give it."""

import json
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from abm import reports
from abm.reports import Table
from crm.errors import CrmError
from crm.models import User
from crm.policy import day_of


class Command(BaseCommand):
    help = "Print a report as a table or as JSON: everything, or what one user sees."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="the report; without it, the names of all")
        parser.add_argument("--from", dest="first", type=date.fromisoformat, metavar="YYYY-MM-DD", help="first day of the period")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="YYYY-MM-DD", help="last day of the period")
        parser.add_argument("--choose", action="append", default=[], metavar="NAME=VALUE", help="e.g. by=industry; repeat for several")
        parser.add_argument("--by", help="the same as --choose by=…")
        parser.add_argument("--user", help="sign-in name of somebody; what he or she may not see does not count")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, name: str | None, **options: Any) -> None:
        user = _reader(options["user"])
        if not name:
            self.stdout.write("\n".join(f"{report.slug:16} {report.title}" for report in reports.open_to(user)))
            return
        try:
            period = reports.period_of(options["first"], options["last"], today=day_of(timezone.now()))
            table = reports.ask(reports.find(name, user), period=period, user=user, given=_given(options))
        except CrmError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(table.as_json(), indent=1, ensure_ascii=False) if options["json"] else _as_text(table))


def _reader(name: str | None) -> User:
    """Give whose eyes to look through; an administrator's, who sees all, unless somebody is named."""
    if name is None:
        return User(username="", is_active=True, is_superuser=True)
    user = User.objects.filter(username=name).first()
    if user is None:
        raise CommandError(f"Nobody signs in as {name!r}.")
    return user


def _given(options: dict[str, Any]) -> dict[str, str]:
    pairs = [each.partition("=") for each in options["choose"]]
    if wrong := [name for name, sign, _value in pairs if not sign]:
        raise CommandError(f"--choose takes NAME=VALUE, not {wrong[0]!r}.")
    return {name: value for name, _sign, value in pairs} | ({"by": options["by"]} if options["by"] else {})


def _as_text(table: Table) -> str:
    columns = [column.name for column in table.report.columns]
    cells = [columns, *([_cell(row[name]) for name in columns] for row in table.rows)]
    widths = [max(len(row[number]) for row in cells) for number in range(len(columns))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([str(table.report.title), *lines, *map(str, table.notes)])


def _cell(value: object) -> str:
    return "" if value is None else str(value)
