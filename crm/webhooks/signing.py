"""The secrets of webhooks, sealed where they are kept, and the signatures made with them (Standard Webhooks, v1)."""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from django.utils.translation import gettext as _
from standardwebhooks.webhooks import Webhook as Signer

from crm.errors import CrmError

# What keeps this use of the key apart from whatever else it serves for.
_SALT = b"crm.webhooks:"
# The specification asks for 24 to 64 bytes.
_BYTES, _PREFIX = 32, "whsec_"
_KEY = ""


class Unreadable(CrmError):
    """A secret that was sealed with another key."""

    code = "unreadable_secret"


def use_key(key: str) -> None:
    """Set the key that seals secrets; called once at start."""
    global _KEY
    _KEY = key


def new_secret() -> str:
    """Make a secret as receivers take it: whsec_ and base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def seal(secret: str) -> str:
    """Give a secret as it is kept."""
    return _box(_KEY).encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Give a secret back; raise Unreadable when the installation's key is another one now."""
    try:
        return _box(_KEY).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable(_("The key that seals the secrets has changed: make a new secret.")) from error


@lru_cache(maxsize=4)
def _box(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(_SALT + key.encode()).digest()))


def headers(uid: str, body: bytes, *, secrets: Sequence[str], at: datetime) -> dict[str, str]:
    """Give the three headers of the specification; several secrets sign side by side, at a moment in UTC."""
    signatures = [Signer(secret).sign(uid, at, body.decode()) for secret in secrets]
    return {"webhook-id": uid, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": " ".join(signatures)}
