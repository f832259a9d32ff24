"""Make a key with which an integration calls the API as its service user."""

from argparse import ArgumentParser
from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from crm import api_keys
from crm.errors import CrmError
from crm.models import SCOPES, User
from crm.models.users import every_scope


class Command(BaseCommand):
    help = "Make an API key for a user and print it; only its digest is kept, so it is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="Name with which the service user signs in.")
        parser.add_argument("name", help="What the key is for, e.g. 'marketing automation'.")
        parser.add_argument(
            "--scope",
            action="append",
            metavar="GROUP:VERB",
            help=f"What the key may do, as often as needed; without it, whatever its user may. Known are: {', '.join(SCOPES)}.",
        )
        parser.add_argument("--days", type=int, help="Days until the key expires; without it, it does not.")

    def handle(self, *, user: str, name: str, days: int | None, scope: list[str] | None = None, **_options: object) -> None:
        owner = User.objects.filter(username=user).first()
        if owner is None or not owner.is_active:
            raise CommandError(f"There is no active user '{user}'.")
        if days is not None and not 1 <= days <= _MOST_DAYS:
            raise CommandError(f"--days must be from 1 to {_MOST_DAYS}.")
        at = timezone.now()
        try:
            issued = api_keys.issue(
                user=owner, name=name, scopes=scope or every_scope(), at=at, expires_at=at + timedelta(days=days) if days else None
            )
        except CrmError as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(issued.secret)
        self.stderr.write(f"The key of {owner} for {name}. Send it as: Authorization: Token <key>. It is not shown again.")


_MOST_DAYS = 3650
