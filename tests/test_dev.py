"""The front door's own decisions: what it starts, what it calls missing, and how it sums up two test runs."""

import importlib.machinery
import importlib.util
import os
import socket
import stat
from pathlib import Path
from types import ModuleType

import pytest

from tests import __main__ as judge

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def dev(tmp_path, monkeypatch) -> ModuleType:
    """Load ./dev, which has no .py ending, with its data in a folder of its own."""
    loader = importlib.machinery.SourceFileLoader("dev", str(ROOT / "dev"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("dev", loader))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.setattr(module, "VAR", tmp_path / "var")
    return module


def step(said: str, *, passed: bool = True) -> judge.Step:
    return judge.Step("tests", passed, 1.0, said)


def test_two_green_passes_close_with_their_sum():
    first = step("....\n==== 700 passed, 1 warning in 500.34s (0:08:20) ====\n")
    second = step("..\n112 passed, 2 deselected, 1 warning in 12.00s\n")

    assert judge.closing_line([first, second]) == "==== 812 passed, 2 deselected, 2 warnings in 512.34s (0:08:32) ===="


def test_failures_come_first_as_in_pytest():
    first = step("1 failed, 3 passed in 1.50s", passed=False)
    second = step("2 passed, 1 skipped in 0.25s")

    assert judge.closing_line([first, second]) == "==== 1 failed, 5 passed, 1 skipped in 1.75s ===="


def test_a_pass_that_died_without_a_closing_line_is_an_error():
    assert (
        judge.closing_line([step("3 passed in 1.00s"), step("Segmentation fault", passed=False)]) == "==== 3 passed, 1 error in 1.00s ===="
    )


def test_a_failed_pass_never_closes_green():
    assert judge.closing_line([step("3 passed in 1.00s", passed=False)]) == "==== 3 passed, 1 error in 1.00s ===="


def test_errors_of_both_passes_take_the_plural():
    passes = [step("1 error in 0.10s", passed=False), step("2 passed, 1 error in 0.20s", passed=False)]

    assert judge.closing_line(passes) == "==== 2 passed, 2 errors in 0.30s ===="


def test_only_the_last_line_of_that_form_counts():
    said = "E   assert '1 passed in 0.01s'\n1 passed in 0.01s\n==== 4 passed, 3 subtests passed in 2.00s ===="

    assert judge.closing_line([step(said)]) == "==== 4 passed, 3 subtests passed in 2.00s ===="


def test_a_run_that_found_nothing_is_an_error():
    assert judge.closing_line([step("no tests ran in 0.01s", passed=False)]) == "==== 1 error in 0.01s ===="


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ([], [*judge.IN_PARALLEL, "tests/crm", "tests/abm", "tests/flows"]),
        (["-x"], ["-x", "tests/crm", "tests/abm", "tests/flows"]),
        (["tests/crm/__init__.py::test_it", "-x"], ["-x", "tests/crm/__init__.py::test_it"]),
        (["tests/doors"], []),
        (["tests/doors", "tests/abm", "-q"], ["-q", "tests/abm"]),
    ],
)
def test_sqlite_pass_keeps_to_rules_and_flows(monkeypatch, given, chosen):
    monkeypatch.chdir(ROOT)

    assert judge.rule_arguments(given) == chosen


def test_tests_are_kept_off_the_developers_data(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://live/crm")
    monkeypatch.setenv("VAR_DIR", "/home/me/quorum/var")
    monkeypatch.setenv("DEBUG", "on")

    env = judge.environment(tmp_path)

    assert env["DATABASE_URL"] == f"sqlite:///{tmp_path}/var/quorum.sqlite3"
    assert env["VAR_DIR"] == f"{tmp_path}/var"
    assert "DEBUG" not in env


def test_newest_postgres_goes_first_by_number_not_by_letter(dev):
    folders = [Path(f"/usr/lib/postgresql/{version}/bin") for version in ("9.6", "15", "10", "17")]

    assert [folder.parent.name for folder in dev.newest_first(folders)] == ["17", "15", "10", "9.6"]


def test_missing_programs_are_named_by_their_package(dev, tmp_path, monkeypatch):
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.delenv("TEST_REDIS_URL", raising=False)
    browser = tmp_path / "google-chrome"
    browser.touch(mode=0o755)

    assert dev.missing_packages(str(tmp_path)) == ["postgresql", "redis-server"]


def test_a_server_named_by_url_is_not_missing(dev, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", "postgres://elsewhere/crm")
    monkeypatch.delenv("TEST_REDIS_URL", raising=False)

    assert dev.missing_packages(str(tmp_path)) == ["redis-server", "chromium"]


def test_without_root_missing_packages_stop_the_run_with_one_line(dev, monkeypatch):
    monkeypatch.setattr(dev.os, "geteuid", lambda: 1000)

    with pytest.raises(SystemExit) as stopped:
        dev.apt_install(["redis-server", "chromium"])

    assert stopped.value.code == (
        "Missing: redis-server, chromium. As root: apt-get update && apt-get install --no-install-recommends redis-server chromium"
    )


def test_secret_key_is_made_once_and_for_its_owner_only(dev):
    first = dev.secret_key_file().read_text()

    assert dev.secret_key_file().read_text() == first
    assert len(first) >= 32
    assert stat.S_IMODE(dev.secret_key_file().stat().st_mode) == 0o600


def test_a_secret_key_of_the_caller_is_left_alone(dev, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "x" * 40)
    monkeypatch.delenv("SECRET_KEY_FILE", raising=False)

    assert "SECRET_KEY_FILE" not in dev.environment()


def test_callers_database_and_queue_pass_through(dev, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://db/crm")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://queue/0")

    env = dev.environment()

    assert (env["DATABASE_URL"], env["CELERY_BROKER_URL"]) == ("postgres://db/crm", "redis://queue/0")


def test_product_runs_as_web_worker_and_beat_on_loopback_only(dev):
    lines = dev.procfile(8123).splitlines()

    assert [line.partition(":")[0] for line in lines] == ["web", "worker", "beat"]
    assert "--bind 127.0.0.1:8123 " in lines[0]


def test_procfile_survives_a_checkout_with_a_space_in_its_path(dev, monkeypatch):
    monkeypatch.setattr(dev, "BIN", Path("/home/me/my crm/.venv/bin"))

    assert dev.procfile(8000).startswith("web: exec '/home/me/my crm/.venv/bin'/gunicorn ")


def test_busy_port_is_refused_with_a_way_out(dev):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as stopped:
        port = taken.getsockname()[1]
        with dev.only_one(port):
            pass

    assert stopped.value.code == f"Port {port} cannot be used (Address already in use). Choose another: ./dev up --port {port + 1}"


def test_second_start_is_told_who_runs_already(dev):
    port = judge.free_port()

    with dev.only_one(port), pytest.raises(SystemExit) as stopped, dev.only_one(port + 1):
        pass

    assert stopped.value.code == f"Quorum runs already, as process {os.getpid()} on http://127.0.0.1:{port}/admin/. Stop that one first."


def test_the_lock_is_free_again_after_the_first_ends(dev):
    port = judge.free_port()
    with dev.only_one(port):
        pass

    with dev.only_one(port):
        assert (dev.VAR / "up.lock").read_text().endswith(f":{port}/admin/")


def test_nobody_answers_on_a_free_port(dev):
    assert dev.healthy(judge.free_port()) is False


def test_unknown_benchmark_lists_those_there_are(dev, tmp_path, monkeypatch):
    (tmp_path / "benchmarks").mkdir()
    for name in ("scoring.py", "_floors.py", "api.py"):
        (tmp_path / "benchmarks" / name).touch()
    monkeypatch.setattr(dev, "ROOT", tmp_path)

    with pytest.raises(SystemExit) as stopped:
        dev.bench(["speed"])

    assert stopped.value.code == "Usage: ./dev bench NAME. There are: api, scoring"


def test_unknown_command_prints_the_help_and_fails(dev, capsys):
    assert dev.main(["dance"]) == 2
    assert "./dev up [--port 8000]" in capsys.readouterr().out


@pytest.mark.parametrize("port", ["0", "99999", "-1", "http"])
def test_a_port_that_does_not_exist_is_refused_in_one_line(port, dev, capsys):
    with pytest.raises(SystemExit) as stopped:
        dev.up([f"--port={port}"])

    assert stopped.value.code == 2
    assert f"{port!r} is no port: give a number from 1 to 65535" in capsys.readouterr().err
