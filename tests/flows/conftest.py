"""A whole installation in processes of its own: a fresh database, web, worker and beat."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]


class Installation:
    """Quorum as an ops person runs it; the broker and the database are those of the current test pass."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.port = free_port()
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environment = os.environ | {"VAR_DIR": str(folder), "DATABASE_URL": database_url, "HTTPS": "off", "LOG_LEVEL": "WARNING"}
        broker = os.environ.get("CELERY_BROKER_URL", "filesystem://localhost")
        if broker.startswith("redis://"):
            # A Redis database of its own: neither other tests nor an installation beside this one may take our messages.
            number = 1 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
            self.environment["CELERY_BROKER_URL"] = urlsplit(broker)._replace(path=f"/{number}").geturl()

    def manage(self, *words: str) -> str:
        """Run a management command to its end and give what it printed."""
        command = [str(BIN / "python"), "manage.py", *words]
        done = subprocess.run(command, check=False, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a process that goes on until the test ends."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(words, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        return process

    def start_all(self) -> None:
        """Start web, worker and beat, and wait until the web answers."""
        self.start(str(BIN / "gunicorn"), "config.wsgi", "--bind", f"127.0.0.1:{self.port}", "--threads", "2")
        self.start(str(BIN / "celery"), "-A", "config", "worker", "--pool", "threads", "--concurrency", "2", "--loglevel", "WARNING")
        self.start(str(BIN / "celery"), "-A", "config", "beat", "--loglevel", "WARNING", "--pidfile", "")
        self.wait_for(lambda: self.call("GET", "/healthz")[0] == 200, seconds=60)

    def wait_for(self, condition, *, seconds: float) -> float:
        """Wait until a condition holds; give the seconds it took, or fail with the processes' log."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if condition():
                return time.monotonic() - began
            time.sleep(0.3)
        pytest.fail(f"not within {seconds} s; the log says:\n{(self.folder / 'log').read_text()[-4000:]}")

    def call(self, method: str, path: str, body: object = None, key: str = "") -> tuple[int, dict]:
        """Call the installation over HTTP; give the status and the JSON."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if key:
            request.add_header("Authorization", f"Token {key}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                said = answer.read()
                return answer.status, json.loads(said) if said.startswith((b"{", b"[")) else {}
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read() or b"{}")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return 0, {}

    def stop(self) -> None:
        """Stop every process, the hard way when it will not listen."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def installation(tmp_path: Path, transactional_db: None) -> Iterator[Installation]:
    """A migrated installation with an empty database of its own; nothing runs yet."""
    name = f"quorum_live_{os.getpid()}"
    if connection.vendor == "postgresql":
        database = settings.DATABASES["default"]
        where = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
        url = f"postgres://{where}/{name}"
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {name}")
    else:
        url = f"sqlite:///{tmp_path}/live.sqlite3"
        if ready := os.environ.get("MIGRATED_SQLITE"):
            shutil.copy(ready, tmp_path / "live.sqlite3")
    running = Installation(tmp_path, url)
    try:
        running.manage("migrate", "--verbosity", "0")
        yield running
    finally:
        running.stop()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
