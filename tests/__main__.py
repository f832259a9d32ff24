"""Judge the whole project, as `./dev test` does: linters, the tests on PostgreSQL and Redis, the rules again on SQLite."""

import contextlib
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

LINTERS = {
    "ruff check": "ruff check . dev",
    "ruff format": "ruff format --check . dev",
    "mypy": "mypy",
    "import contracts": "lint-imports",
    "missing migrations": "python manage.py makemigrations --check --dry-run",
}
RULE_TESTS = ("tests/crm", "tests/abm", "tests/flows")
# One worker more than there are processors, for they wait for servers and browsers; a file stays together, for what its tests share.
IN_PARALLEL = ("-n", str(len(os.sched_getaffinity(0)) + 1), "--dist", "loadfile", "--no-loadscope-reorder")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What a developer's shell may hold for `./dev up` and must not change the outcome of a test.
NOT_FOR_TESTS = {"SECRET_KEY_FILE", "DEBUG", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "TIME_ZONE", "QUORUM_POLICY"}
# Nor this, from images that are built once: each of a hundred processes would compile the project anew, a second every time.
NOT_FOR_TESTS |= {"PYTHONDONTWRITEBYTECODE"}
OUTCOMES = ("failed", "passed", "skipped", "deselected", "xfailed", "xpassed", "warning", "error")  # in pytest's order


class Step(NamedTuple):
    """One judged step, with everything it said."""

    label: str
    passed: bool
    seconds: float
    said: str


def interrupt(_number: int, _frame: object) -> NoReturn:
    """Turn the first signal into KeyboardInterrupt and ignore the next, so that nothing cuts the tidying up short."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """Return an environment that keeps a run off the developer's own data, with these changes."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_FOR_TESTS}
    (folder / "var").mkdir(exist_ok=True)
    own = {
        "VAR_DIR": f"{folder}/var",
        "DATABASE_URL": f"sqlite:///{folder}/var/quorum.sqlite3",
        "CELERY_BROKER_URL": "filesystem://localhost",
        "SECRET_KEY": "known-to-everybody-and-good-for-tests-only",
        "HTTPS": "off",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
    }
    return inherited | own | changes


def run(command: Sequence[object], **options: Any) -> None:
    """Run a server's own command quietly; when it fails, show all it said and stop."""
    done = subprocess.run(
        [str(word) for word in command], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nThis failed with exit code {done.returncode}: {' '.join(map(str, command))}")


@contextlib.contextmanager
def child(command: Sequence[object], polite: signal.Signals, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command beside us; when the block ends, so does its process group: politely first, then for certain."""
    process = subprocess.Popen([str(word) for word in command], start_new_session=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, polite)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def unprivileged(folder: Path) -> dict[str, Any]:
    """As root give the folder to an ordinary user and return who that is: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    folder.parent.chmod(0o711)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a throw-away PostgreSQL and yield its URL."""
    data, port = folder / "postgres", free_port()
    data.mkdir()
    options = {"cwd": data, **unprivileged(data)}
    control = Path(shutil.which("postgres") or "").resolve().with_name("pg_ctl")
    run([control, "initdb", "-D", data, "-o", "-U quorum -A trust -E UTF8 --locale=C.UTF-8 --no-sync"], **options)
    # -F: no fsync; -k: no socket, because its path must be short
    flags = f"-h 127.0.0.1 -p {port} -F -k ''"
    run([control, "start", "-w", "-D", data, "-l", data / "log", "-o", flags], **options)
    address = f"postgres://quorum@127.0.0.1:{port}"
    try:
        # Each new database is a copy of this one, and need not be migrated again.
        migrate(folder, f"{address}/template1")
        yield f"{address}/postgres"
    finally:
        run([control, "stop", "-D", data, "-m", "immediate"], **options)


def migrate(folder: Path, url: str) -> None:
    """Bring a database to the present state."""
    run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], env=environment(folder, DATABASE_URL=url))


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a throw-away Redis, which keeps nothing, and yield its URL."""
    port, log = free_port(), folder / "redis.log"
    place = ["--bind", "127.0.0.1", "--port", port, "--dir", folder, "--logfile", log]
    with child(["redis-server", *place, "--save", ""], signal.SIGTERM) as server:
        deadline = time.monotonic() + 30
        while not listens(port):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"Redis did not start:\n{log.read_text() if log.exists() else ''}")
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def judge(label: str, command: Sequence[str], env: dict[str, str]) -> Step:
    """Run one step in the open."""
    say(f"\n--- {label}")
    begun, said = time.monotonic(), bytearray()
    with child(command, signal.SIGINT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for chunk in output(process):
            said += chunk
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        passed = process.wait() == 0
    return Step(label, passed, time.monotonic() - begun, said.decode(errors="replace"))


def output(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Yield what a process says until it ends; something it left behind may hold the pipe open longer."""
    assert process.stdout
    while True:
        ready = select.select([process.stdout], [], [], 0.5)[0]
        chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
        if chunk:
            yield chunk
        elif ready or process.poll() is not None:
            return


def lint(folder: Path) -> list[Step]:
    """Run every linter, whatever the others say."""
    return [judge(label, command.split(), environment(folder)) for label, command in LINTERS.items()]


def run_tests(folder: Path, arguments: list[str]) -> list[Step]:
    """Run the suite on PostgreSQL and Redis, then the rules and flows on SQLite and files."""
    pytest = [sys.executable, "-m", "pytest"]
    with contextlib.ExitStack() as stack:
        services = {
            "DATABASE_URL": os.environ.get("TEST_DATABASE_URL") or stack.enter_context(postgres(folder)),
            "CELERY_BROKER_URL": os.environ.get("TEST_REDIS_URL") or stack.enter_context(redis(folder)),
            "CHROMIUM": chromium(),
        }
        steps = [
            judge("tests on PostgreSQL and Redis", [*pytest, *(arguments or [*IN_PARALLEL, "tests"])], environment(folder, **services))
        ]
    chosen = rule_arguments(arguments)
    if chosen:
        ready = folder / "migrated.sqlite3"
        migrate(folder, f"sqlite:///{ready}")
        command = [*pytest, "-m", "not postgres", *chosen]
        env = environment(folder, CHROMIUM=chromium(), MIGRATED_SQLITE=str(ready))
        steps.append(judge("rules and flows on SQLite and files", command, env))
    return steps


def chromium() -> str:
    """Return the path of the browser."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")


def rule_arguments(arguments: list[str]) -> list[str]:
    """Return what the pass on SQLite runs: of the paths given, those among the rule tests; nothing if there are only others."""
    if not arguments:
        return [*IN_PARALLEL, *RULE_TESTS]
    paths = [word for word in arguments if Path(word.partition("::")[0]).exists()]
    options = [word for word in arguments if word not in paths]
    chosen = [path for path in paths if path.startswith(RULE_TESTS)] if paths else list(RULE_TESTS)
    return [*options, *chosen] if chosen else []


def counts(said: str) -> tuple[Counter[str], float]:
    """Read counts and seconds from pytest's closing line; a run that ended without one counts as an error."""
    closing = re.findall(r"^(?:=+ )?((?:\d+ [a-z ]+(?:, )?)+|no tests ran) in ([\d.]+)s", said, re.MULTILINE)
    if not closing:
        return Counter(error=1), 0.0
    words, seconds = closing[-1]
    found = re.findall(r"(\d+) ([a-z ]+)", words)
    return Counter({re.sub("^(warning|error)s$", r"\1", name): int(number) for number, name in found}), float(seconds)


def closing_line(passes: Sequence[Step]) -> str:
    """Sum the passes in the form of pytest's own closing line."""
    total: Counter[str] = Counter()
    seconds = 0.0
    for step in passes:
        found, took = counts(step.said)
        if not step.passed and not found["failed"] + found["error"]:
            found["error"] += 1  # it died after its closing line, or found nothing to run
        total, seconds = total + found, seconds + took
    names = sorted(total, key=lambda name: OUTCOMES.index(name) if name in OUTCOMES else len(OUTCOMES))
    words = [f"{total[name]} {name}{'s' if name in {'warning', 'error'} and total[name] > 1 else ''}" for name in names]
    clock = f" ({timedelta(seconds=int(seconds))})" if seconds >= 60 else ""
    return f"==== {', '.join(words) or 'no tests ran'} in {seconds:.2f}s{clock} ===="


def versions() -> None:
    """Say with which servers and browser the tests run."""
    named = {"postgres": "TEST_DATABASE_URL", "redis-server": "TEST_REDIS_URL", chromium(): ""}
    for program, variable in named.items():
        if os.environ.get(variable):
            say(f"{program}: the one that {variable} names")
        else:
            say(subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip())


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run what is asked for, sum up, and return the exit code."""
    tests_too = arguments != ["--linters-only"]
    if tests_too:
        versions()
    with tempfile.TemporaryDirectory(prefix="quorum-") as name:
        steps = lint(Path(name))
        passes = run_tests(Path(name), arguments) if tests_too else []
    say("")
    for step in [*steps, *passes]:
        say(f"{step.seconds:8.1f} s  {'ok    ' if step.passed else 'FAILED'}  {step.label}")
    if passes:
        say(closing_line(passes))
    return 0 if all(step.passed for step in [*steps, *passes]) else 1


if __name__ == "__main__":
    for number in SIGNALS:
        signal.signal(number, interrupt)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("\nStopped.")
        sys.exit(130)
