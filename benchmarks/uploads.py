"""Measure an import of contacts against the floor: a raw COPY of the rows it wrote into the same indexed tables, in the same run.

./dev bench uploads [CONTACTS]    on SQLite, and on PostgreSQL when DATABASE_URL names one; databases of its own are made and dropped.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.core.files.storage import storages  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from crm import uploads  # noqa: E402
from crm.models import Account, Contact, DmuMembership, DmuRole, Person, Upload, UploadedRecord, User  # noqa: E402

PEOPLE_PER_ACCOUNT = 5
HISTORIES = [model.history.model for model in (Account, Person, Contact, DmuMembership)]
TABLES = [model._meta.db_table for model in (Account, Person, Contact, DmuMembership, *HISTORIES, UploadedRecord)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure an import of contacts as a ratio to a raw COPY.")
    parser.add_argument("contacts", nargs="?", type=int, default=50_000)
    parser.add_argument("--here", action="store_true", help="only on the database of DATABASE_URL")
    wanted = parser.parse_args()
    if not wanted.here:
        urls = ["sqlite:///:memory:", *filter(lambda url: url.startswith("postgres"), [os.environ.get("DATABASE_URL", "")])]
        for url in urls:
            command = [sys.executable, "-m", "benchmarks.uploads", "--here", str(wanted.contacts)]
            subprocess.run(command, check=True, env=os.environ | {"DATABASE_URL": url})
        return
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            storages["default"]._location = folder  # type: ignore[attr-defined]
            report(wanted.contacts)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


def report(count: int) -> None:
    at, by = timezone.now(), User.objects.create(username="bench", is_superuser=True)
    file, base = io.BytesIO(people(count)), resident()
    print(f"{connection.vendor}: {count} contacts at {count // PEOPLE_PER_ACCOUNT} accounts, {len(file.getvalue()) / 1e6:.1f} MB")
    with Peak() as peak:
        began = time.perf_counter()
        upload = uploads.receive(file, name="people.csv", what="contacts", by=by, at=at)
        uploads.map_columns(upload, mapping=upload.mapping, by=by, at=at, legal_basis="interest")
        received = time.perf_counter() - began
        tried = seconds(lambda: uploads.check(upload, at=at))
        uploads.start(upload, by=by, at=at)
        took = seconds(lambda: run(upload))
    upload.refresh_from_db()
    assert (upload.state, upload.created_count) == ("finished", count), upload.problems.first()
    print(f"received in {received:.2f} s, tried in {tried:.2f} s, imported in {took:.2f} s: {count / took:.0f} contacts a second")
    print(f"peak memory {peak.bytes / 2**20:.0f} MB, {(peak.bytes - base) / 2**20:.0f} MB above the base")
    if connection.vendor == "postgresql":
        rows, floor = raw_copy()
        print(f"floor, raw COPY of the same {rows} rows: {floor:.2f} s; ratio {floor / took:.2f}")
    undo = seconds(lambda: (uploads.undo(upload, by=by, at=at), run(upload)))
    assert not Contact.objects.exists()
    assert not Account.history.exists()
    print(f"undone in {undo:.2f} s")


def run(upload: Upload) -> None:
    while uploads.work(upload.pk, clock=timezone.now):
        pass


def people(count: int) -> bytes:
    """Write a file of people, five per company, with a role, an address and a phone number each."""
    lines = ["First name,Last name,Email,Phone,Job title,Company,Website,DMU role"]
    for n in range(count):
        company = n // PEOPLE_PER_ACCOUNT
        role = DmuRole.values[n % 5]
        phone = f"+31 20 {1_000_000 + n}"
        lines.append(f"Jo{n},Smit {n},jo{n}@company{company}.nl,{phone},{role} of {company},Company {company},company{company}.nl,{role}")
    return "\n".join(lines).encode()


def raw_copy() -> tuple[int, float]:
    """Take the rows that were written out, empty the tables, and time putting them back with COPY, binary, in one transaction."""
    names = ", ".join(TABLES)
    with connection.cursor() as cursor:
        taken = {}
        for table in TABLES:
            with cursor.copy(f"COPY {table} TO STDOUT (FORMAT BINARY)") as copy:
                taken[table] = b"".join(copy)
        cursor.execute("SELECT " + " + ".join(f"(SELECT count(*) FROM {table})" for table in TABLES))
        rows = cursor.fetchone()[0]
        cursor.execute(f"TRUNCATE {names} CASCADE")
        began = time.perf_counter()
        with transaction.atomic():
            for table in TABLES:
                with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                    copy.write(taken[table])
        return rows, time.perf_counter() - began


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Peak:
    """The largest resident memory while something runs, looked at fifty times a second."""

    def __enter__(self) -> "Peak":
        self.bytes, self._over = resident(), threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.bytes = max(self.bytes, resident())

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._watch.join()


if __name__ == "__main__":
    main()
