"""Ask people whose details are old whether they are still right."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from crm import details, policy, tasks
from crm.errors import NotSent


class Command(BaseCommand):
    """Mail the next contacts a link to their details, those with the oldest details first; who was asked lately is left out."""

    help = "Ask contacts whose details are old to check them, by a link of their own."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only tell whom it would ask.")
        parser.add_argument("--limit", type=int, default=policy.DETAILS.asked_per_night, help="Ask at most so many.")

    def handle(self, *, dry_run: bool, limit: int, **_options: Any) -> None:
        if limit < 1:
            raise CommandError("--limit must be at least 1.")
        at = timezone.now()
        if dry_run:
            return self.tell(details.due(at=at)[:limit])
        try:
            asked = details.campaign(link=tasks.details_link, at=at, limit=limit)
        except NotSent as refusal:
            raise CommandError(f"{refusal} Who was not asked yet is asked the next time.") from refusal
        self.stdout.write(f"{asked} asked.")
        return None

    def tell(self, contacts: Any) -> None:
        """Name who would be asked, and since when their details are known."""
        rows = list(contacts)
        for contact in rows:
            self.stdout.write(f"{contact.known_since:%Y-%m-%d}  {contact.email}  {contact.person}, {contact.account}")
        self.stdout.write(f"{len(rows)} would be asked.")
