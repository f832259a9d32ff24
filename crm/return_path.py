"""The return path of a mail: an address of ours with a token that only we can make, so that what comes back proves itself."""

import base64
import re
import secrets
from typing import NamedTuple

from django.utils.crypto import constant_time_compare, salted_hmac

_SALT = "crm.return_path"
# Ten bytes are sixteen letters of base32: a chance of one in 2**80, and a local part of 40 characters (RFC 5321 allows 64).
_BYTES, _LETTERS = 10, 16
# Mail servers may turn a local part into lower case, so upper and lower case mean the same.
_ADDRESS = re.compile(rf"\bbounces\+([a-z2-7]{{{2 * _LETTERS}}})@", re.IGNORECASE)


class Sender(NamedTuple):
    """In whose name mail goes out, to which domain it returns, and the key of the tokens."""

    address: str
    domain: str
    key: str


SENDER = Sender("quorum@localhost", "localhost", "")


def use_sender(*, address: str, domain: str, key: str) -> None:
    """Set who sends, as the settings say; called once at start."""
    global SENDER
    SENDER = Sender(address, domain, key)


def make_token(recipient: str) -> str:
    """Make the token of one mail to one recipient: chance, and a code over chance and recipient."""
    nonce = _letters(secrets.token_bytes(_BYTES))
    return nonce + _code(nonce, recipient)


def is_genuine(token: str, recipient: str) -> bool:
    """Say whether we made this token for a mail to this recipient."""
    token = token.lower()
    return constant_time_compare(token[_LETTERS:], _code(token[:_LETTERS], recipient))


def address_of(token: str) -> str:
    """Give the address to which a mail returns."""
    return f"bounces+{token}@{SENDER.domain}"


def token_in(addresses: str) -> str:
    """Find the first token in a text of addresses, e.g. a To header; empty if there is none."""
    found = _ADDRESS.search(addresses)
    return found[1].lower() if found else ""


def looks_like_ours(token: str) -> bool:
    """Say whether a token has the form of those that we make; others may have come from another mailer."""
    return bool(_ADDRESS.match(f"bounces+{token}@"))


def _code(nonce: str, recipient: str) -> str:
    said = f"{nonce}:{recipient.strip().lower()}"
    return _letters(salted_hmac(_SALT, said, secret=SENDER.key, algorithm="sha256").digest()[:_BYTES])


def _letters(raw: bytes) -> str:
    return base64.b32encode(raw).decode().lower()
