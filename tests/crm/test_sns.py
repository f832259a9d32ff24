"""Messages of SNS: which certificate vouches for one, and what makes a signature wrong."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from crm.bounce_providers import sns
from tests.crm.sns import CERTIFICATE, CERTIFICATE_URL, CONFIRM_URL, RUN_OUT, certificate, signed

AT = datetime(2026, 3, 10, tzinfo=UTC)
MESSAGE = {
    "Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t", "Message": "{}",
    "Timestamp": "2026-03-10T09:00:00.000Z",
}  # fmt: skip
SUBSCRIPTION = MESSAGE | {"Type": "SubscriptionConfirmation", "Token": "2336", "SubscribeURL": CONFIRM_URL}


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("message", [MESSAGE, MESSAGE | {"Subject": "Bounce"}, SUBSCRIPTION])
def test_both_versions_of_the_signature_are_checked(version, message):
    assert sns.is_signed(signed(message, version=version), CERTIFICATE, at=AT)


@pytest.mark.parametrize(
    "change",
    [
        {"Message": '{"changed": 1}'}, {"MessageId": "2"}, {"TopicArn": "arn:aws:sns:eu-west-1:999:t"}, {"Subject": "added"},
        {"Timestamp": "2026-03-11T09:00:00.000Z"}, {"SignatureVersion": "2"}, {"SignatureVersion": "3"}, {"SignatureVersion": 1},
        {"Signature": ""}, {"Signature": "no base64"}, {"Signature": "AAAA"}, {"Signature": None}, {"Type": "Other"}, {"Message": 5},
        {"Message": None}, {"Type": "SubscriptionConfirmation"},
    ],
)  # fmt: skip
def test_whatever_is_changed_makes_the_signature_wrong(change):
    assert not sns.is_signed(signed(MESSAGE) | change, CERTIFICATE, at=AT)


@pytest.mark.parametrize("certificate", [RUN_OUT, b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_ran_out_or_is_none_vouches_for_nothing(certificate):
    assert not sns.is_signed(signed(MESSAGE), certificate, at=AT)


def test_a_certificate_cut_anywhere_is_refused():
    for length in range(0, len(CERTIFICATE) - 30, 50):
        assert not sns.is_signed(signed(MESSAGE), CERTIFICATE[:length], at=AT)


def test_a_certificate_of_another_key_or_of_a_short_one_vouches_for_nothing():
    other, short = (rsa.generate_private_key(public_exponent=65537, key_size=bits) for bits in (2048, 1024))

    assert sns.is_signed(signed(MESSAGE, key=other), certificate(other, until=2100), at=AT)
    assert not sns.is_signed(signed(MESSAGE), certificate(other, until=2100), at=AT)
    assert not sns.is_signed(signed(MESSAGE, key=short), certificate(short, until=2100), at=AT)


@pytest.mark.parametrize("changed", [0, 1, 100, 255])
def test_a_signature_with_one_bit_changed_is_wrong(changed):
    message = signed(MESSAGE)
    signature = bytearray(base64.b64decode(message["Signature"]))
    signature[changed] ^= 1

    assert not sns.is_signed(message | {"Signature": base64.b64encode(signature).decode()}, CERTIFICATE, at=AT)


@pytest.mark.parametrize(
    ("url", "is_theirs"),
    [
        (CERTIFICATE_URL, True),
        (CERTIFICATE_URL.replace("eu-west-1", "us-gov-west-1"), True),
        (CERTIFICATE_URL.replace("https", "http"), False),
        (CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com.evil.example"), False),
        (CERTIFICATE_URL.replace("sns.", "evil.example/sns."), False),
        (CERTIFICATE_URL.replace("sns.", "user@sns."), False),
        (CERTIFICATE_URL.replace("sns.eu-west-1", "s3.eu-west-1"), False),
        (CERTIFICATE_URL.replace("eu-west-1", "eu-west-1.evil"), False),
        (CERTIFICATE_URL.replace(".com/", ".com:8443/"), False),
        (CERTIFICATE_URL + "?x=https://evil.example", False),
        (CERTIFICATE_URL + "\n", False),
        (CERTIFICATE_URL.replace("/Simple", "/bucket/Simple"), False),
        ("", False),
        (None, False),
    ],
)
def test_a_certificate_comes_from_sns_by_https_and_from_nowhere_else(url, is_theirs):
    assert sns.is_certificate_url(url) is is_theirs


@pytest.mark.parametrize(
    ("url", "is_theirs"),
    [
        (CONFIRM_URL, True),
        (CONFIRM_URL.replace("https", "http"), False),
        (CONFIRM_URL.replace("sns.eu", "169.254.169.254/sns.eu"), False),
        (CONFIRM_URL.replace("ConfirmSubscription", "DeleteTopic"), False),
        (CONFIRM_URL.replace("amazonaws.com/", "amazonaws.com.evil.example/"), False),
        (None, False),
    ],
)
def test_a_subscription_is_confirmed_at_sns_and_nowhere_else(url, is_theirs):
    assert sns.is_confirmation_url(url) is is_theirs
