"""Take over the leads of another system, and the deals they became, from two CSV files."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from crm import lead_funnels
from crm.errors import CrmError
from crm.management.commands.import_sales_history import in_words


class Command(BaseCommand):
    help = "Take over leads with their origin and first contact, and the deals they became, as marked history; safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("leads", type=Path, help="CSV file of the leads")
        parser.add_argument("deals", type=Path, nargs="?", help="CSV file of the deals won")
        parser.add_argument("--source", default="lead-funnel", help="name under which they are known, so that a repeat finds them")
        parser.add_argument("--currency", default="EUR", help="of amounts and revenue")
        fields = ", ".join([*lead_funnels.LEADS, *lead_funnels.DEALS, lead_funnels.AMOUNT])
        parser.add_argument("--column", action="append", default=[], metavar="FIELD=COLUMN", help=f"where a field stands; fields: {fields}")
        parser.add_argument("--json", action="store_true", help="print the report as JSON, with every problem")

    def handle(self, *args: Any, leads: Path, deals: Path | None, **options: Any) -> None:
        pairs = [each.partition("=") for each in options["column"]]
        columns = {field: column for field, _sign, column in pairs}
        facts = {"source": options["source"], "currency": options["currency"], "columns": columns}
        try:
            report = lead_funnels.load(leads, deals, at=timezone.now(), **facts)
        except CrmError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(report.figures(), indent=1, ensure_ascii=False) if options["json"] else in_words(report))
