"""Make a key with which an integration calls the API as its service user."""

from argparse import ArgumentParser
from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError

from crm.models import ApiKey, User


class Command(BaseCommand):
    help = "Make an API key for a user and print it; only its digest is kept, so it is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="Name with which the service user signs in.")
        parser.add_argument("name", help="What the key is for, e.g. 'marketing automation'.")
        parser.add_argument("--days", type=int, help="Days until the key expires; without it, it does not.")

    def handle(self, *, user: str, name: str, days: int | None, **_options: object) -> None:
        owner = User.objects.filter(username=user).first()
        if owner is None or not owner.is_active:
            raise CommandError(f"There is no active user '{user}'.")
        if days is not None and not 1 <= days <= _MOST_DAYS:
            raise CommandError(f"--days must be from 1 to {_MOST_DAYS}.")
        _, key = ApiKey.objects.create(user=owner, name=name, expiry=timedelta(days=days) if days else None)
        self.stdout.write(key)
        self.stderr.write(f"The key of {owner} for {name}. Send it as: Authorization: Token <key>. It is not shown again.")


_MOST_DAYS = 3650
