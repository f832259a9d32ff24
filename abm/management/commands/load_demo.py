"""Load the demo once, and print who signs in with which password and what to look at first."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from abm import demo
from abm.demo import logins, tour
from crm.errors import CrmError


class Command(BaseCommand):
    help = "Load the demo into an empty database: a public sales history with invented people and activity; safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            demo.load(at=timezone.now(), say=self.stderr.write)
        except CrmError as error:
            raise CommandError(str(error)) from error
        password, is_fresh = find_password(Path(settings.VAR_DIR) / "demo_password")
        if is_fresh or not logins.are_open() or (os.environ.get("DEMO_PASSWORD") and not logins.have(password)):
            logins.give(password)
        self.stdout.write("\n".join(welcome(password)))


def find_password(path: Path) -> tuple[str, bool]:
    """Give the password from DEMO_PASSWORD or from the file, which is made when there is none, and whether it was made now."""
    if given := os.environ.get("DEMO_PASSWORD"):
        return given, False
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:  # noqa: PTH123
            stream.write(password := secrets.token_urlsafe(12))
    except FileExistsError:
        return path.read_text().strip(), False
    return password, True


def welcome(password: str) -> list[str]:
    """List the logins, where the data comes from, and what to look at first."""
    people = [f"  {login.username:18}{login.role:15}{login.team}".rstrip() for login in logins.every()]
    return [
        _("Demo logins, all with the password %(password)s") % {"password": password},
        *people,
        _(
            "Accounts and 8,800 past deals: public data set of Maven Analytics. People, mail, visits, live deals, channels and budgets are invented."
        ),
        _("Look first at:"),
        *(f"  - {sight}" for sight in tour.sights()),
    ]
