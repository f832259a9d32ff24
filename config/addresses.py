"""The address that a request comes from: of the client, also behind our own proxy."""

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """Give the address that our own proxy saw, when there is one; what clients claim stands further left in the header."""
    claimed: str = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.BEHIND_PROXY else ""
    return claimed.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR")
