"""Messages of Amazon SNS: which certificate may vouch for one, and whether its signature is right.

Source: Amazon Simple Notification Service, Developer Guide, 'Verifying the signatures of Amazon SNS messages'.
"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_REGION = r"[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-\d{1,2}"
_HOST = rf"https://sns\.{_REGION}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE = re.compile(rf"{_HOST}/SimpleNotificationService-[0-9a-f]{{16,64}}\.pem")
_CONFIRMATION = re.compile(rf"{_HOST}/\?Action=ConfirmSubscription&[\x21-\x7e]{{1,2000}}")
# Version 1 is made with SHA-1, version 2 with SHA-256.
_HASHES: dict[object, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303  theirs
_LEAST_BITS = 2048
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_SIGNED["UnsubscribeConfirmation"] = _SIGNED["SubscriptionConfirmation"]


def is_certificate_url(url: object) -> bool:
    """Say whether a certificate may be fetched there: from SNS itself, by https, and nowhere else."""
    return isinstance(url, str) and bool(_CERTIFICATE.fullmatch(url))


def is_confirmation_url(url: object) -> bool:
    """Say whether calling an address confirms a subscription at SNS, and does nothing else."""
    return isinstance(url, str) and bool(_CONFIRMATION.fullmatch(url))


def is_signed(message: Mapping[str, object], certificate: bytes, *, at: datetime) -> bool:
    """Say whether a message was signed by the owner of a certificate (PEM) that is valid at this moment."""
    algorithm, said = _HASHES.get(message.get("SignatureVersion")), _said(message)
    if algorithm is None or said is None:
        return False
    try:
        owner = x509.load_pem_x509_certificate(certificate)
        key, signature = owner.public_key(), base64.b64decode(str(message.get("Signature")), validate=True)
        if (
            not isinstance(key, RSAPublicKey)
            or key.key_size < _LEAST_BITS
            or not owner.not_valid_before_utc <= at <= owner.not_valid_after_utc
        ):
            return False
        key.verify(signature, said, PKCS1v15(), algorithm)
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def _said(message: Mapping[str, object]) -> bytes | None:
    """Put together what was signed; None for a message that cannot have been."""
    names = _SIGNED.get(str(message.get("Type")), ())
    pairs = [(name, message[name]) for name in names if message.get(name) is not None]
    if (
        not names
        or {name for name, _value in pairs} < set(names) - {"Subject"}
        or not all(isinstance(value, str) for _name, value in pairs)
    ):
        return None
    return "".join(f"{name}\n{value}\n" for name, value in pairs).encode("utf-8", "surrogatepass")
