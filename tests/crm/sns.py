"""Messages of SNS, signed with a key that is made for the tests, and certificates of it."""

import base64
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from crm.bounce_providers import sns

CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
CONFIRM_URL = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:111122223333:t&Token=2336"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(key: rsa.RSAPrivateKey, *, until: int) -> bytes:
    """Make a certificate of a key that is valid from 2020 until a year begins."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    valid = made.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(datetime(until, 1, 1, tzinfo=UTC))
    return valid.sign(key, SHA256()).public_bytes(Encoding.PEM)


CERTIFICATE, RUN_OUT = certificate(_KEY, until=2100), certificate(_KEY, until=2021)


def signed(message: dict[str, Any], *, version: str = "1", key: rsa.RSAPrivateKey = _KEY) -> dict[str, Any]:
    """Give a message as SNS would send it."""
    message = message | {"SignatureVersion": version, "SigningCertURL": CERTIFICATE_URL}
    said = sns._said(message)
    assert said is not None
    signature = key.sign(said, padding.PKCS1v15(), sns._HASHES[version])
    return message | {"Signature": base64.b64encode(signature).decode()}
