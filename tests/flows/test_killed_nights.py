"""Nights that are killed without warning, or started twice: real processes on a real database."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from abm import nightly, policy
from abm.models import AccountFit, AccountStanding, EngagementScore, NightlyChunk, NightlyRun
from crm.models import FollowUp
from crm.policy import day_of
from tests.factories.abm import ProfileFactory
from tests.factories.crm import ActivityFactory, ContactFactory, MembershipFactory

pytestmark = pytest.mark.slow


def active_account(number, on):
    """An account with a decider who did something lately, more than the last account's did."""
    contact = ContactFactory(account__employees=[5, 100, 400][number % 3])
    MembershipFactory(contact=contact, role="decider", is_assumed=bool(number % 2))
    for kind, days_ago in (("meeting", number % 40), ("page_view", number % 7), ("email_click", 8)):
        ActivityFactory(account=contact.account, contact=contact, kind=kind, day=on - timedelta(days=days_ago))
    return contact.account


def results():
    """Everything that a run writes about accounts, without the moment it was written."""
    score = ("account", "day", "weighted_points", "breadth", "x", "score", "active_roles", "parameters")
    standing = ("account", "as_of", "fit", "score", "momentum", "coverage_percent", "coverage_states", "is_single_threaded")
    return (
        list(EngagementScore.objects.order_by("account", "day").values_list(*score)),
        list(AccountStanding.objects.order_by("account").values_list(*standing)),
        list(AccountFit.objects.order_by("account").values_list("account", "points", "reasons")),
        list(FollowUp.objects.order_by("subject_key").values_list("reason", "subject_key", "facts", "closed_at")),
    )


def forget_results():
    for model in (NightlyRun, EngagementScore, AccountStanding, AccountFit, FollowUp):
        model.objects.all().delete()


class Elsewhere:
    """A database that other processes can reach: PostgreSQL's own, or a file with what is in memory."""

    def __init__(self, folder):
        self.started = []
        self.file = None if connection.vendor == "postgresql" else folder / "quorum.sqlite3"
        where = connection.settings_dict
        self.url = f"sqlite:///{self.file}" if self.file else "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**where)

    def push(self):
        """Let the others see what we wrote."""
        if self.file:
            connection.ensure_connection()
            with closing(sqlite3.connect(self.file)) as there:
                connection.connection.backup(there)

    def pull(self):
        """See what the others wrote."""
        if self.file:
            with closing(sqlite3.connect(self.file)) as there:
                there.backup(connection.connection)

    def start(self, day, folder):
        """Start `manage.py nightly` as a process of its own, five accounts per chunk."""
        numbers = json.dumps({"abm": {"NIGHTLY": {"accounts_per_chunk": 5}}})
        env = os.environ | {"DATABASE_URL": self.url, "QUORUM_POLICY": numbers, "VAR_DIR": str(folder)}
        command = [sys.executable, Path(settings.BASE_DIR) / "manage.py", "nightly", day.isoformat()]
        self.started.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return self.started[-1]

    def chunks_done(self):
        self.pull()
        return NightlyChunk.objects.exclude(done_at=None).count()


@pytest.fixture
def elsewhere(transactional_db, tmp_path, monkeypatch):
    monkeypatch.setattr(policy, "NIGHTLY", policy.Nightly(accounts_per_chunk=5))
    ProfileFactory(industries=[], employees_from=50)
    there = Elsewhere(tmp_path)
    yield there
    for process in there.started:
        process.kill()
        process.communicate()


def undisturbed(day, accounts):
    """Make accounts, and give what a run in peace writes about them; then forget it."""
    for number in range(accounts):
        active_account(number, day)
    nightly.run(day, clock=timezone.now)
    expected = results()
    assert len(expected[0]) == len(expected[1]) == accounts
    forget_results()
    return expected


def kill_when(process, elsewhere, done):
    """Kill a run without warning as soon as so many chunks are done."""
    deadline = time.monotonic() + 120
    while elsewhere.chunks_done() < done:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def test_a_run_that_is_killed_twice_ends_where_an_undisturbed_one_ends(elsewhere, tmp_path):
    day = day_of(timezone.now())
    expected = undisturbed(day, accounts=60)
    elsewhere.push()

    for done in (3, 6):
        kill_when(elsewhere.start(day, tmp_path), elsewhere, done)
        elsewhere.pull()
        run = NightlyRun.objects.get()
        in_done_chunks = sum(run.chunks.filter(step="accounts").exclude(done_at=None).values_list("items", flat=True))
        assert (run.chunks.filter(step="accounts").count(), run.finished_at) == (12, None)
        assert 0 < in_done_chunks < 60
        assert AccountStanding.objects.count() == EngagementScore.objects.count() == in_done_chunks
    last = elsewhere.start(day, tmp_path)
    said, _ = last.communicate(timeout=120)
    elsewhere.pull()

    assert (last.returncode, said.splitlines()[-1].split(",")[0]) == (0, f"Night of {day}: 60 accounts")
    assert results() == expected
    assert set(NightlyChunk.objects.values_list("times_done", "failures")) == {(1, 0)}
    assert NightlyRun.objects.get().finished_at is not None


def test_two_runs_at_once_do_each_chunk_once(elsewhere, tmp_path):
    day = day_of(timezone.now())
    expected = undisturbed(day, accounts=60)
    elsewhere.push()

    both = [elsewhere.start(day, tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    elsewhere.pull()

    assert [process.returncode for process in both] == [0, 0], said
    assert results() == expected
    assert set(NightlyChunk.objects.values_list("times_done", "failures")) == {(1, 0)}
    # Each chunk was told of by the one that did it.
    told = [line.split()[0] for text in said for line in text.splitlines() if not line.startswith("Night of")]
    assert sorted(map(int, told)) == list(range(1, NightlyChunk.objects.count() + 1))
    assert NightlyRun.objects.get().finished_at is not None
