"""One attempt: a POST to the very address that was judged, within seconds, following nobody's redirect; no database here."""

import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any

from crm import policy
from crm.errors import CrmError
from crm.webhooks import targets

AGENT = "Quorum-Webhooks/1"


@dataclass(frozen=True)
class Parcel:
    """What goes where."""

    address: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What came of it: the status, or without one only what went wrong; seconds that the receiver asked us to wait."""

    status: int | None = None
    error: str = ""
    wait_seconds: int = 0

    @property
    def is_good(self) -> bool:
        """Say whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


def post(parcel: Parcel, *, resolve: targets.Resolve = targets.look_up, context: ssl.SSLContext | None = None) -> Answer:
    """Deliver once; whatever goes wrong is the answer."""
    deadline = _Deadline(policy.WEBHOOKS.whole_seconds)
    try:
        return _post(parcel, deadline, resolve, context)
    except CrmError as refusal:
        return Answer(error=str(refusal))
    # ValueError: headers and addresses that the protocol cannot carry.
    except (OSError, HTTPException, ValueError) as error:
        return Answer(error=f"{type(error).__name__}: {error}"[: policy.WEBHOOKS.error_characters])


def _post(parcel: Parcel, deadline: "_Deadline", resolve: targets.Resolve, context: ssl.SSLContext | None) -> Answer:
    target = targets.target_of(parcel.address)
    with _connected(target, deadline, resolve, context) as plug:
        connection = (HTTPSConnection if target.is_tls else HTTPConnection)(target.host, target.port)
        # Connected already, to the address that was judged; from here on the connection only speaks.
        connection.sock = _Timed(plug, deadline)
        said = {"content-type": "application/json", "user-agent": AGENT, "connection": "close", **parcel.headers}
        connection.request("POST", target.path, body=parcel.body, headers=said)
        return _read(connection.getresponse())


def _read(response: HTTPResponse) -> Answer:
    """Read a little of an answer: enough to say what was wrong."""
    said = response.read(policy.WEBHOOKS.answer_bytes)
    if 200 <= response.status < 300:
        return Answer(response.status)
    words = " ".join(said.decode("utf-8", "replace").replace("\x00", "").split())
    error = f"{response.status} {response.reason} {words}".strip()[: policy.WEBHOOKS.error_characters]
    return Answer(response.status, error, _seconds(response.getheader("Retry-After", "")))


def _seconds(text: str) -> int:
    """Read how long a receiver asks us to wait; a date says nothing, for clocks differ."""
    return min(int(text), policy.WEBHOOKS.longest_wait_seconds) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _connected(target: targets.Target, deadline: "_Deadline", resolve: targets.Resolve, context: ssl.SSLContext | None) -> socket.socket:
    """Connect to the first address that answers of those allowed; the certificate must be the name's."""
    failed: OSError = OSError("no address")
    for address in targets.permitted(target.host, target.port, resolve=resolve):
        try:
            plain = socket.create_connection((address, target.port), timeout=min(policy.WEBHOOKS.connect_seconds, deadline.left()))
        except OSError as error:
            failed = error
            continue
        return _encrypted(plain, target.host, context or _trust()) if target.is_tls else plain
    raise failed


def _encrypted(plain: socket.socket, host: str, context: ssl.SSLContext) -> socket.socket:
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except (OSError, ValueError):
        plain.close()
        raise


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Deadline:
    """How much of the whole time is left."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._until = clock, clock() + seconds

    def left(self) -> float:
        """Give the seconds left; raise TimeoutError when there are none."""
        seconds = self._until - self._clock()
        if seconds <= 0:
            raise TimeoutError("the whole answer took too long")
        return seconds


class _Timed:
    """A socket whose every read and write ends with the whole time: a byte now and then keeps nobody busy."""

    def __init__(self, plug: socket.socket, deadline: _Deadline) -> None:
        self._plug, self._deadline = plug, deadline

    def sendall(self, data: bytes) -> None:
        """Write all of it."""
        self._plug.settimeout(self._deadline.left())
        self._plug.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Give what the protocol reads from."""
        return io.BufferedReader(_Reader(self._plug, self._deadline))

    def close(self) -> None:
        """Leave the socket open for the rest of the answer; who connected it closes it."""


class _Reader(io.RawIOBase):
    """The reading end of a timed socket."""

    def __init__(self, plug: socket.socket, deadline: _Deadline) -> None:
        self._plug, self._deadline = plug, deadline

    def readable(self) -> bool:
        """Say that one can read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, before the time is over."""
        self._plug.settimeout(self._deadline.left())
        return self._plug.recv_into(buffer)
