"""Take over the sales history of another CRM from a folder of CSV files."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from crm import sales_history
from crm.errors import CrmError
from crm.imports import Problem, Report

PROBLEMS_SHOWN = 50
FIGURES = ("read", "created", "unchanged", "differing", "corrected", "skipped")


class Command(BaseCommand):
    help = "Take over accounts, products, sales teams and deals from a folder of CSV files, as marked history; safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="the folder with accounts.csv, products.csv, sales_teams.csv and sales_pipeline.csv")
        parser.add_argument("--json", action="store_true", help="print the report as JSON, with every problem")

    def handle(self, *args: Any, path: Path, **options: Any) -> None:
        try:
            report = sales_history.load(path, at=timezone.now())
        except CrmError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(report.figures(), indent=1, ensure_ascii=False) if options["json"] else in_words(report))


def in_words(report: Report) -> str:
    """Lay a report out as a table, with what was corrected and the first problems below it."""
    heading = f"{'':22}" + "".join(f"{name:>11}" for name in FIGURES)
    rows = [f"{each.file:22}" + "".join(f"{getattr(each, name):>11,}" for name in FIGURES) for each in report.files]
    notes = [
        f"{each.file}: {count:,} × {what}"
        for each in report.files
        for what, count in [*each.corrections.most_common(), *each.remarks.most_common()]
    ]
    problems = [place(problem) for problem in report.problems[:PROBLEMS_SHOWN]]
    if more := len(report.problems) - len(problems):
        problems.append(_("… and %(count)d more problems; --json gives them all") % {"count": more})
    closing = [] if report.changed else [_("Nothing changed: everything was there already.")]
    return "\n".join([heading, *rows, *notes, *problems, *closing])


def place(problem: Problem) -> str:
    """Say where a problem is, as editors do: file:line: column: reason."""
    return ": ".join(filter(None, [f"{problem.file}:{problem.line}", problem.column, problem.reason]))
