"""Imports and their undo, killed without warning or worked on by two at once: real processes on a real database."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from crm import policy, uploads
from crm.models import Account, Contact, DmuMembership, Person, Upload, UploadedRecord
from tests.conftest import somebody
from tests.crm.test_uploads_contacts import checksums, received
from tests.factories.crm import TeamFactory
from tests.flows.test_killed_nights import Elsewhere, kill_when

pytestmark = pytest.mark.slow
ROWS, CHUNK = 200, 5
WORK = """
import sys, django
django.setup()
from django.utils import timezone
from crm import uploads
while uploads.work(int(sys.argv[1]), clock=timezone.now):
    pass
"""


class Importing(Elsewhere):
    """A database that workers in processes of their own reach, with the files of this test."""

    def start_worker(self, upload):
        numbers = json.dumps({"crm": {"UPLOADS": {"rows_per_chunk": CHUNK}, "RECORDING": {"rows_per_statement": CHUNK}}})
        env = os.environ | {
            "DATABASE_URL": self.url,
            "QUORUM_POLICY": numbers,
            "VAR_DIR": str(Path(upload.file.storage.location).parent),
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        command = [sys.executable, "-c", WORK, str(upload.pk)]
        self.started.append(
            subprocess.Popen(command, env=env, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return self.started[-1]

    def chunks_done(self):
        self.pull()
        upload = Upload.objects.get()
        if upload.state == Upload.State.UNDOING:
            return (upload.report["records"] - UploadedRecord.objects.count()) // CHUNK
        return upload.rows_done // CHUNK


@pytest.fixture
def elsewhere(transactional_db, tmp_path, monkeypatch):
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(rows_per_chunk=CHUNK))
    there = Importing(tmp_path)
    yield there
    for process in there.started:
        process.kill()
        process.communicate()


@pytest.fixture
def started(elsewhere, at):
    """An import of 200 people at 40 accounts, one in ten of them wrong."""
    rep = somebody("sales rep", team=TeamFactory())
    rows = [f"Jo;Smit {n};jo{n}@bedrijf{n // 5}.nl;{'12' if n % 10 == 9 else ''};bedrijf{n // 5}.nl;user" for n in range(ROWS)]
    upload = received("\n".join(["First name;Last name;E-mail;Phone;Website;Role", *rows]), rep, at)
    uploads.check(upload, at=at)
    return uploads.start(upload, by=rep, at=at)


def finish(elsewhere, upload):
    last = elsewhere.start_worker(upload)
    said, _ = last.communicate(timeout=120)
    assert last.returncode == 0, said
    elsewhere.pull()
    upload.refresh_from_db()


def counted():
    return [model.objects.count() for model in (Account, Contact, Person, DmuMembership, Contact.history.model)]


def test_an_import_that_is_killed_twice_loses_and_doubles_nothing(elsewhere, started):
    elsewhere.push()
    for done in (3, 20):
        kill_when(elsewhere.start_worker(started), elsewhere, done)
        elsewhere.pull()
        started.refresh_from_db()
        assert 0 < started.rows_done < ROWS
        assert started.created_count == Contact.objects.count()
        assert started.failed_count == started.problems.count()

    finish(elsewhere, started)

    assert (started.state, started.created_count, started.failed_count) == ("finished", 180, 20)
    assert counted() == [40, 180, 180, 180, 180]
    assert sorted(started.problems.values_list("line", flat=True)) == list(range(11, 202, 10))


def test_two_workers_at_once_do_each_chunk_once(elsewhere, started):
    elsewhere.push()

    both = [elsewhere.start_worker(started) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    elsewhere.pull()

    assert [process.returncode for process in both] == [0, 0], said
    started.refresh_from_db()
    assert (started.state, started.created_count, started.failed_count) == ("finished", 180, 20)
    assert counted() == [40, 180, 180, 180, 180]


def test_an_undo_that_is_killed_goes_on_and_leaves_nothing(elsewhere, started, at):
    before = checksums()
    while uploads.work(started.pk, clock=lambda: at):
        pass
    uploads.undo(started, by=started.owner, at=at)
    Upload.objects.filter(pk=started.pk).update(report=started.report | {"records": UploadedRecord.objects.count()})
    elsewhere.push()

    kill_when(elsewhere.start_worker(started), elsewhere, 10)
    elsewhere.pull()
    assert 0 < Contact.objects.count() < 180
    finish(elsewhere, started)

    assert started.state == "undone"
    assert checksums() == before
