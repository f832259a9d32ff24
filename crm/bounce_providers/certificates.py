"""RSA signatures and the certificates they are checked with: as much of X.509 (RFC 5280) and RSA (RFC 8017) as SNS needs.

Only public numbers are handled here, so nothing has to be kept from anybody who measures time.
"""

import hashlib
from datetime import UTC, datetime
from hmac import compare_digest
from typing import NamedTuple

_INTEGER, _BITS, _SEQUENCE, _UTC_TIME, _TIME, _VERSION = 0x02, 0x03, 0x30, 0x17, 0x18, 0xA0
_RSA = bytes.fromhex("06092a864886f70d010101")
# What stands before a digest in a signature (RFC 8017, 9.2, note 1).
_DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
}
_LEAST_BITS = 2048


class Key(NamedTuple):
    """The public key of a certificate, and when it may be used."""

    modulus: int
    exponent: int
    valid_from: datetime
    valid_until: datetime


def is_signed(said: bytes, signature: bytes, key: Key, *, algorithm: str) -> bool:
    """Say whether the owner of a key signed these bytes (RSASSA-PKCS1-v1_5, RFC 8017, 8.2.2).

    The whole padded block is made anew and compared, never taken apart: what could hide in it is not looked at.
    """
    size = (key.modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= key.modulus:
        return False
    digest = _DIGEST_INFO[algorithm] + hashlib.new(algorithm, said, usedforsecurity=False).digest()
    expected = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    return compare_digest(pow(number, key.exponent, key.modulus).to_bytes(size, "big"), expected)


def read(der: bytes) -> Key:
    """Read the RSA key of a certificate and the days it is valid; raise ValueError for anything else."""
    outer = _only(der, _SEQUENCE)
    parts = _parts(_parts(outer)[0][1])
    if parts and parts[0][0] == _VERSION:
        parts = parts[1:]
    # serial number, algorithm, issuer, validity, subject, key
    if len(parts) < 6:
        raise ValueError("This is no certificate.")
    times = [_moment(*part) for part in _parts(parts[3][1])]
    modulus, exponent = _numbers(_parts(parts[5][1]))
    if len(times) != 2 or modulus.bit_length() < _LEAST_BITS or exponent < 3 or exponent % 2 == 0:
        raise ValueError("This is no key to trust.")
    return Key(modulus, exponent, times[0], times[1])


def _numbers(parts: list[tuple[int, bytes]]) -> tuple[int, int]:
    if len(parts) != 2 or not parts[0][1].startswith(_RSA) or parts[1][0] != _BITS or parts[1][1][:1] != b"\x00":
        raise ValueError("This is no RSA key.")
    numbers = _parts(_only(parts[1][1][1:], _SEQUENCE))
    if [kind for kind, _value in numbers] != [_INTEGER, _INTEGER]:
        raise ValueError("This is no RSA key.")
    return int.from_bytes(numbers[0][1], "big"), int.from_bytes(numbers[1][1], "big")


def _moment(kind: int, value: bytes) -> datetime:
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _TIME: "%Y%m%d%H%M%SZ"}.get(kind)
    if form is None:
        raise ValueError("This is no moment.")
    return datetime.strptime(value.decode("ascii"), form).replace(tzinfo=UTC)


def _only(der: bytes, kind: int) -> bytes:
    parts = _parts(der)
    if len(parts) != 1 or parts[0][0] != kind:
        raise ValueError("This is no certificate.")
    return parts[0][1]


def _parts(der: bytes) -> list[tuple[int, bytes]]:
    """Cut DER into its values, each with its tag; raise ValueError where a length leads outside."""
    found, at = [], 0
    while at < len(der):
        if at + 2 > len(der):
            raise ValueError("This value is cut.")
        kind, size, begin = der[at], der[at + 1], at + 2
        if size & 0x80:
            begin += size & 0x7F
            size = int.from_bytes(der[at + 2 : begin], "big")
        at = begin + size
        if at > len(der):
            raise ValueError("This value is cut.")
        found.append((kind, der[begin:at]))
    return found
