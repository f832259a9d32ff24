"""Who calls the API, and how often they may.

The REST framework loads this module while it loads itself: nothing here imports its views.
"""

from django.utils import timezone
from django.utils.translation import gettext as _
from knox.auth import TokenAuthentication
from rest_framework import exceptions
from structlog.contextvars import bind_contextvars

from crm import api_keys, limits, policy
from crm.models import ApiKey, User


class KeyAuthentication(TokenAuthentication):
    """Take a key by its digest: one query for key and user, where the package asks three."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiKey]:
        """Give the user and the key, or refuse: unknown, run out and revoked look the same from outside."""
        at = timezone.now()
        key = api_keys.find(token.decode("utf-8", "replace"), at=at)
        if key is None:
            raise exceptions.AuthenticationFailed(_("This key is unknown, ran out, or was revoked."))
        user, _key = self.validate_user(key)
        api_keys.note_use(key, at=at)
        bind_contextvars(api_key=str(key))
        return user, key


def spend(request) -> None:
    """Count one more call of a key, or of a browser's user; raise Throttled (429) when it is one too many. What is left stands in `request.spent`."""
    caller = f"key-{request.auth.digest[:32]}" if isinstance(request.auth, ApiKey) else f"user-{request.user.pk}"
    spent = limits.spend(caller, most=policy.API.calls_per_minute, at=timezone.now())
    request.spent = spent
    if spent.remaining < 0:
        raise exceptions.Throttled(wait=spent.reset_seconds)
