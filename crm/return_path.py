"""The return path of a mail: an address of ours with a token that only we can make, so that what comes back proves itself."""

import base64
import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

from crm import policy

# What keeps these tokens apart from whatever else the same key signs.
_SALT = b"crm.return_path:"
# Ten bytes are sixteen letters of base32: a chance of one in 2**80, and a local part of 40 characters (RFC 5321 allows 64).
_BYTES, _LETTERS = 10, 16
# Mail servers may change the case of a local part, so upper and lower case mean the same.
_TOKEN = re.compile(rf"[a-z2-7]{{{2 * _LETTERS}}}", re.IGNORECASE)


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
    return hmac.compare_digest(token[_LETTERS:].encode(), _code(token[:_LETTERS], recipient).encode())


def address_of(token: str) -> str:
    """Give the address to which a mail returns."""
    return f"{policy.MAIL.return_path}+{token}@{SENDER.domain}"


def token_in(addresses: str) -> str:
    """Find the first token in a text of addresses, e.g. an envelope's sender; empty if there is none."""
    found = re.search(rf"(?<![^\s<,:\"]){re.escape(policy.MAIL.return_path)}\+({_TOKEN.pattern})@", addresses, re.IGNORECASE)
    return found[1].lower() if found else ""


def looks_like_ours(token: str) -> bool:
    """Say whether a token has the form of those that we make; others may have come from another mailer."""
    return bool(_TOKEN.fullmatch(token))


def _code(nonce: str, recipient: str) -> str:
    said = f"{nonce}:{recipient.strip().lower()}"
    key = hashlib.sha256(_SALT + SENDER.key.encode()).digest()
    return _letters(hmac.digest(key, said.encode("utf-8", "surrogatepass"), "sha256")[:_BYTES])


def _letters(raw: bytes) -> str:
    return base64.b32encode(raw).decode().lower()
