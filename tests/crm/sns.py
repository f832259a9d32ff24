"""Messages of SNS, signed with the key that the tests have a certificate of."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from crm.bounce_providers import certificates, sns

DATA = Path(__file__).resolve().parents[1] / "data" / "sns"
CERTIFICATE, RUN_OUT = ((DATA / name).read_bytes() for name in ("certificate.pem", "run_out.pem"))
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
CONFIRM_URL = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:111122223333:t&Token=2336"
_KEY = {name: int(value, 16) for name, value in json.loads((DATA / "key.json").read_text()).items()}


def signed(message: dict[str, Any], *, version: str = "1") -> dict[str, Any]:
    """Give a message as SNS would send it."""
    message = message | {"SignatureVersion": version, "SigningCertURL": CERTIFICATE_URL}
    said = sns._said(message)
    assert said is not None
    algorithm = {"1": "sha1", "2": "sha256"}[version]
    digest = certificates._DIGEST_INFO[algorithm] + hashlib.new(algorithm, said).digest()
    block = b"\x00\x01" + b"\xff" * (256 - 3 - len(digest)) + b"\x00" + digest
    number = pow(int.from_bytes(block, "big"), _KEY["private_exponent"], _KEY["modulus"])
    return message | {"Signature": base64.b64encode(number.to_bytes(256, "big")).decode()}
