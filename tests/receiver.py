"""A receiver of webhooks on this machine, which does as it is told: takes, fails, sleeps, hangs up."""

import json
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

from standardwebhooks.webhooks import Webhook as Verifier

from crm.webhooks import targets

HANG_UP = -1
# Gives the status of an answer: the how-manieth call it is, and the call.
Behave = Callable[[int, dict[str, Any]], int]


class Receiver:
    """What came in, in the order in which it did; `taken` holds what was answered with success."""

    def __init__(self, behave: Behave, headers: dict[str, str], body: bytes) -> None:
        self.behave, self.headers, self.body = behave, headers, body
        self.calls: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.address, self.server_name = "", ""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        call = {"path": path, "headers": headers, "body": body, "event": json.loads(body)}
        with self._lock:
            self.calls.append(call)
            number = len(self.calls)
        status = self.behave(number, call)
        with self._lock:
            if 200 <= status < 300:
                self.taken.append(call)
        return status

    def by_subject(self, name: str) -> dict[int, list[Any]]:
        """Give what was taken, by what it was about, without repetitions."""
        seen: dict[int, list[Any]] = defaultdict(list)
        for call in self.taken:
            told = call["event"]["data"]
            if told not in seen[told[name]]:
                seen[told[name]].append(told)
        return seen

    def verify(self, secret: str) -> None:
        """Have the specification's own library verify all that came in."""
        for call in self.calls:
            Verifier(secret).verify(call["body"], call["headers"])


def always(status: int = 204) -> Behave:
    return lambda _number, _call: status


ALWAYS_FINE = always()


@contextmanager
def receiver(
    behave: Behave = ALWAYS_FINE, *, headers: dict[str, str] | None = None, body: bytes = b"", context: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Run a receiver, to which webhooks may lead as long as it runs."""
    found = Receiver(behave, headers or {}, body)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            status = found.take(self.path, {name.lower(): value for name, value in self.headers.items()}, sent)
            if status == HANG_UP:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {"Content-Length": str(len(found.body)), **found.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, *_words: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 128

        def handle_error(self, *_words: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if context:
        context.sni_callback = lambda _plug, name, _context: setattr(found, "server_name", name)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    found.address = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}/hooks"
    before = targets.ALLOWED
    targets.use(networks=[ip_network("127.0.0.0/8")], http=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        targets.ALLOWED = before
