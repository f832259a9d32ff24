"""Print the weekly report or the monthly cohorts of one reader, made now if it was not yet."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from abm import kept_reports
from abm.kept_reports import mails
from abm.models import ReportSnapshot
from abm.tasks import report_link
from crm.errors import CrmError
from crm.models import User
from crm.policy import day_of


class Command(BaseCommand):
    help = "Print a kept report, byte for byte as it was made: its mail as text, or its figures as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=ReportSnapshot.Kind.values)
        parser.add_argument("--user", required=True, help="sign-in name of the reader")
        parser.add_argument(
            "--from",
            dest="first",
            type=date.fromisoformat,
            metavar="YYYY-MM-DD",
            help="a Monday, or the first of a month; default: the last one over",
        )
        parser.add_argument("--json", action="store_true", help="print the figures as they are kept")

    def handle(self, *, kind: str, user: str, first: date | None, **options: Any) -> None:
        reader = User.objects.filter(username=user).first()
        if reader is None:
            raise CommandError(f"Nobody signs in as {user!r}.")
        at = timezone.now()
        usual = kept_reports.week_before if kind == ReportSnapshot.Kind.WEEKLY else kept_reports.month_before
        try:
            snapshot = kept_reports.make(kind, user=reader, first=first or usual(day_of(at))[0], at=at)
        except CrmError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(snapshot.content if options["json"] else str(mails.message(snapshot, link=report_link(snapshot)).body))
