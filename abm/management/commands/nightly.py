"""Do the nightly run by hand or from cron: the same function as the task of beat."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count, Q, Sum
from django.utils import timezone

from abm import nightly
from abm.models import NightlyChunk
from crm.errors import CrmError
from crm.policy import day_of


def day_named(text: str) -> date:
    """Read a day of the calendar as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day of the calendar, such as 2026-03-09.") from error


class Command(BaseCommand):
    help = "Do what is left of a day's nightly run; exit with 1 if chunks failed. Start it again to try those again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("day", nargs="?", type=day_named, metavar="YYYY-MM-DD", help="default: today")

    def handle(self, *, day: date | None, **_options: Any) -> None:
        begun = monotonic()
        try:
            run = nightly.run(day or day_of(timezone.now()), clock=timezone.now, told=self.tell)
        except CrmError as error:
            raise CommandError(str(error)) from error
        failed = Count("pk", filter=Q(done_at=None, failures__gt=0))
        accounts = Sum("items", filter=Q(step="accounts"), default=0)
        sums = run.chunks.aggregate(all=Count("pk"), done=Count("done_at"), failed=failed, accounts=accounts)
        self.stdout.write(
            f"Night of {run.day}: {sums['accounts']} accounts, {sums['done']} of {sums['all']} chunks done,"
            f" {monotonic() - begun:.1f} s, {sums['failed']} failed."
        )
        if sums["failed"]:
            raise CommandError(f"{sums['failed']} chunks failed; start this again to try them again.", returncode=1)

    def tell(self, chunk: NightlyChunk) -> None:
        """Print what became of a chunk."""
        accounts = f" from {chunk.first_account}" if chunk.first_account else ""
        if chunk.done_at:
            self.stdout.write(f"{chunk.number + 1:5}  {chunk.step}{accounts}: {chunk.items} in {chunk.seconds:.2f} s")
        else:
            self.stderr.write(f"{chunk.number + 1:5}  {chunk.step}{accounts} failed: {chunk.error}")
