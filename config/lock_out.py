"""Refuse who is locked out before any password is looked at."""

from typing import Any

from axes.backends import AxesStandaloneBackend
from django.http import HttpRequest


class LockOutBackend(AxesStandaloneBackend):
    """Stop a sign-in at the door; who asks without a request (a command, a test) comes through no door."""

    def authenticate(self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **more: Any) -> None:
        """Refuse when this user name is locked at this address."""
        if request is not None:
            super().authenticate(request, username, password, **more)
