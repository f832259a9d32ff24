"""Where webhooks may lead, what an attempt sends, and how long one waits: all without a database."""

import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook as Verifier

from crm import policy
from crm.errors import Invalid
from crm.webhooks import delivering, sending, signing, targets
from crm.webhooks.sending import Parcel
from tests.receiver import HANG_UP, always, receiver

INTO_PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "192.0.0.8",
    "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "192.88.99.1",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1",
    "64:ff9b::a00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1", "2002:a00:1::1", "2001:0:1::1", "100::1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INTO_PRIVATE)
def test_nothing_goes_to_an_address_that_is_not_out_in_the_internet(address):
    assert not targets.is_permitted(ip_address(address))
    with pytest.raises(targets.Forbidden):
        targets.permitted("hooks.example.com", 443, resolve=lambda _host, _port: [address])


@pytest.mark.parametrize("address", ["8.8.8.8", "185.199.108.153", "2a00:1450:400e:80f::200e"])
def test_an_address_out_in_the_internet_is_permitted(address):
    assert targets.is_permitted(ip_address(address))


def test_of_the_addresses_of_a_name_only_those_that_may_be_are_tried():
    assert targets.permitted("x.example", 443, resolve=lambda _host, _port: ["10.0.0.1", "8.8.8.8", "::1"]) == ["8.8.8.8"]


def test_networks_that_the_operator_named_are_permitted_and_no_others(monkeypatch):
    monkeypatch.setattr(targets, "ALLOWED", targets.Allowed((ip_network("10.0.0.0/8"), ip_network("fd00::/8"))))

    assert targets.is_permitted(ip_address("10.9.9.9"))
    assert targets.is_permitted(ip_address("fd00::7"))
    assert not targets.is_permitted(ip_address("192.168.1.1"))
    assert not targets.is_permitted(ip_address("::ffff:10.9.9.9"))
    assert targets.target_of("https://10.9.9.9:8443/a?b=c") == targets.Target(True, "10.9.9.9", 8443, "/a?b=c")


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("http://example.com/x", "https://"),
        ("ftp://example.com/x", "https://"),
        ("example.com", "https://"),
        ("https://", "https://example.com"),
        ("https://user:pw@example.com/", "user"),
        ("https://example.com/#top", "user"),
        ("https://example.com:99999/", "address"),
        ("https://exa mple.com/", "blanks"),
        ("https://example.com/a b", "blanks"),
        ("https://example.com/a\nb", "blanks"),
        ("https://example.com/\r\nX-Evil: 1", "blanks"),
        ("https://localhost/x", "private"),
        ("https://[::1]/x", "private"),
        ("https://169.254.169.254/latest/meta-data", "private"),
        ("https://example.com/" + "a" * 500, "https://example.com"),
    ],
)
def test_an_address_that_nothing_can_be_delivered_to_is_refused_in_words(address, word):
    with pytest.raises(Invalid) as refused:
        targets.target_of(address)

    assert word in str(refused.value)
    assert set(refused.value.detail) == {"address"}


def test_a_name_in_other_letters_is_written_as_name_servers_know_it():
    assert targets.target_of("https://bücher.example/").host == "xn--bcher-kva.example"


def test_each_secret_signs_as_the_specification_says():
    at, secrets = datetime.now(UTC), [signing.new_secret(), signing.new_secret()]

    headers = signing.headers("evt_1", b'{"a": 1}', secrets=secrets, at=at)

    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in secrets:
        assert Verifier(secret).verify(b'{"a": 1}', headers) == {"a": 1}


def test_a_secret_is_kept_sealed_and_another_key_does_not_open_it(monkeypatch):
    secret = signing.new_secret()
    sealed = signing.seal(secret)

    assert secret.removeprefix("whsec_") not in sealed
    assert signing.unseal(sealed) == secret
    monkeypatch.setattr(signing, "_KEY", "another key of at least thirty-two characters")
    with pytest.raises(signing.Unreadable):
        signing.unseal(sealed)


def test_attempts_go_on_for_three_days_each_a_little_early_by_chance_and_then_end():
    latest = [delivering.pause(attempt, chance=0) for attempt in range(1, 11)]
    soonest = [delivering.pause(attempt, chance=1) for attempt in range(1, 10)]

    assert latest[:3] == [timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30)]
    assert latest[9] is None
    assert timedelta(days=2, hours=22) < sum(filter(None, latest), timedelta()) < timedelta(days=3)
    assert [early / late for early, late in zip(soonest, latest, strict=False)] == pytest.approx([0.8] * 9)


@pytest.mark.parametrize("pauses", [[], [0], ["5"], 5, [10**9]])
def test_pauses_that_cannot_be_are_refused(pauses):
    with pytest.raises(ValueError, match=r"WEBHOOKS\.pauses"):
        replace(policy.WEBHOOKS, pauses=pauses)


def parcel(address: str) -> Parcel:
    return Parcel(address, {"webhook-id": "evt_1"}, b'{"type": "x", "data": {}}')


def test_an_attempt_posts_the_body_and_reads_little_of_the_answer():
    with receiver(always(500), body=b"geheim " * 10_000) as there:
        answer = sending.post(parcel(there.address))

    assert (answer.status, answer.is_good) == (500, False)
    assert answer.error.startswith("500 Internal Server Error geheim")
    assert len(answer.error) <= policy.WEBHOOKS.error_characters
    assert there.calls[0]["body"] == b'{"type": "x", "data": {}}'
    assert there.calls[0]["headers"]["content-type"] == "application/json"


def test_nobody_is_followed_elsewhere():
    with receiver() as elsewhere, receiver(always(302), headers={"Location": "http://127.0.0.1:1/"}) as there:
        there.headers["Location"] = elsewhere.address
        answer = sending.post(parcel(there.address))

    assert (answer.status, answer.is_good, elsewhere.calls) == (302, False, [])


def test_what_a_receiver_asks_us_to_wait_is_heard_but_not_for_ever():
    with receiver(always(503), headers={"Retry-After": "120"}) as there:
        assert sending.post(parcel(there.address)).wait_seconds == 120
        there.headers["Retry-After"] = "999999999"
        assert sending.post(parcel(there.address)).wait_seconds == policy.WEBHOOKS.longest_wait_seconds
        there.headers["Retry-After"] = "Fri, 31 Dec 1999 23:59:59 GMT"
        assert sending.post(parcel(there.address)).wait_seconds == 0


def test_a_receiver_that_hangs_up_or_is_not_there_is_an_answer_too():
    with receiver(always(HANG_UP)) as there:
        hung_up = sending.post(parcel(there.address))
        nobody = sending.post(parcel("http://127.0.0.1:1/"))

    assert (hung_up.status, hung_up.error.partition(":")[0]) == (None, "RemoteDisconnected")
    assert (nobody.status, nobody.error.partition(":")[0]) == (None, "ConnectionRefusedError")


def test_a_receiver_that_sends_a_byte_now_and_then_keeps_nobody_busy():
    ours, theirs = socket.socketpair()

    def drip() -> None:
        with suppress(OSError):
            while True:
                theirs.sendall(b"H")
                time.sleep(0.02)

    threading.Thread(target=drip, daemon=True).start()
    with ours, theirs:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            sending._Timed(ours, sending._Deadline(0.2)).makefile("rb").readline()

    assert time.monotonic() - began < 1


def test_a_private_address_is_refused_at_every_attempt_and_nothing_is_sent():
    with receiver() as there:
        targets.ALLOWED = targets.Allowed((), http=True)
        port = there.address.rpartition(":")[2].partition("/")[0]
        answer = sending.post(parcel(f"http://hooks.example.com:{port}/"), resolve=lambda _host, _port: ["127.0.0.1"])

    assert answer.status is None
    assert "WEBHOOK_NETWORKS" in answer.error
    assert there.calls == []


def certificate(name: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    whose, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(whose).issuer_name(whose).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), key.private_bytes(*plain)


def test_the_connection_goes_to_the_address_that_was_judged_in_the_name_of_the_host(tmp_path):
    public, private = certificate("hooks.example.com")
    (tmp_path / "both.pem").write_bytes(public + private)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(tmp_path / "both.pem")
    ours = ssl.create_default_context(cadata=public.decode())
    with receiver(context=theirs) as there:
        port = there.address.rpartition(":")[2].partition("/")[0]
        asked: list[str] = []

        def resolve(host: str, _port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"]

        good = sending.post(parcel(f"https://hooks.example.com:{port}/x?y=1"), resolve=resolve, context=ours)
        wrong_name = sending.post(parcel(f"https://other.example.com:{port}/"), resolve=resolve, context=ours)

    assert good.is_good, good
    assert asked == ["hooks.example.com", "other.example.com"]
    assert [call["headers"]["host"] for call in there.calls] == [f"hooks.example.com:{port}"]
    assert [call["path"] for call in there.calls] == ["/x?y=1"]
    assert there.server_name == "other.example.com"
    assert "CERTIFICATE_VERIFY_FAILED" in wrong_name.error
