"""Measure whole nights of the product: one worker against two, two that are killed, and one beside four writers.

./dev bench nights [--activities 1000000] [--kills 3]    DATABASE_URL chooses the server; a database of its own is made and dropped.

A night here is all of it: fit, coverage and phases of who is due, scores, standings, retention. After each part the sums
are compared with a count anew, which must find no difference.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import OperationalError, connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from abm import nightly, states  # noqa: E402
from abm.models import EngagementScore, NightlyRun  # noqa: E402
from benchmarks import scoring  # noqa: E402
from crm import activities  # noqa: E402
from crm.models import Account, Activity, Contact  # noqa: E402
from crm.new_activities import NewActivity  # noqa: E402
from crm.policy import day_of  # noqa: E402

WRITERS, ROWS_PER_CALL = 4, 5


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure whole nights: one worker, two, two that are killed, one beside writers.")
    parser.add_argument("--activities", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=3, help="how often each of two workers is killed")
    parser.add_argument("--worker", metavar="DAY", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.worker:
        work(date.fromisoformat(wanted.worker))
        return
    if connection.vendor != "postgresql":
        parser.error("DATABASE_URL must name a PostgreSQL server.")
    connection.creation.create_test_db(verbosity=0)
    try:
        report(wanted.activities, kills=wanted.kills)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


def work(day: date) -> None:
    """Do what is left of a night, as a worker does, when told to begin."""
    sys.stdin.readline()
    begun = time.perf_counter()
    moment = datetime.combine(day, clock_time(3), tzinfo=UTC)
    run = nightly.run(day, clock=lambda: moment)
    sys.stdout.write(f"{time.perf_counter() - begun:.2f} {run.finished_at}\n")


def report(number: int, *, kills: int) -> None:
    accounts, today = max(10, number // scoring.PER_ACCOUNT), day_of(timezone.now())
    scoring.make(accounts, number, today=today)
    print(f"{accounts} accounts, {Activity.objects.count()} activities", flush=True)
    day = today + timedelta(days=1)
    # The only night that finds no standings, and has to judge every account's fit, coverage and phase.
    print(f"first night of all, two workers: {_night(day, workers=2):.1f} s", flush=True)
    for title, whole, new in (("full rebuild", True, 0), ("night, 0.27 % new", False, round(number * 0.0027))):
        taken = []
        for workers in (1, 2):
            day += timedelta(days=1)
            if whole:
                states.forget()
            else:
                scoring.news(accounts, new, day=day, days=1)
            taken.append(_night(day, workers=workers))
        print(f"{title}: {taken[0]:.1f} s with one worker, {taken[1]:.1f} s with two: {taken[0] / taken[1]:.2f} x", flush=True)
    day = _killed(day + timedelta(days=1), kills=kills)
    _beside_writers(accounts, day)


def _start(day: date, workers: int) -> list[subprocess.Popen[str]]:
    server = connection.settings_dict
    url = f"postgres://{server['USER']}:{server['PASSWORD']}@{server['HOST']}:{server['PORT']}/{server['NAME']}"
    command = [sys.executable, "-m", "benchmarks.nights", "--worker", day.isoformat()]
    environment = os.environ | {"DATABASE_URL": url}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return [subprocess.Popen(command, env=environment, **pipes) for _ in range(workers)]  # type: ignore[call-overload]


def _night(day: date, *, workers: int) -> float:
    """Have so many workers do a night; give the seconds from the beginning until the last has ended."""
    started = _start(day, workers)
    time.sleep(8)  # until all of them have started up, and wait
    begun = time.perf_counter()
    for worker in started:
        assert worker.stdin
        worker.stdin.write("\n")
        worker.stdin.flush()
    for worker in started:
        assert worker.wait() == 0
    taken = time.perf_counter() - begun
    assert NightlyRun.objects.filter(day=day, finished_at__isnull=False).exists(), "the night did not end"
    return taken


def _killed(day: date, *, kills: int) -> date:
    """Kill each of two workers so often at random, start it again, and compare with the same night undisturbed."""
    states.forget()
    _night(day, workers=1)
    expected = _scores(day)
    NightlyRun.objects.filter(day=day).delete()
    EngagementScore.objects.filter(day=day).delete()
    states.forget()
    chance, ended = random.Random(2026), 0

    def live() -> None:
        for _ in range(kills):
            (worker,) = _start(day, 1)
            assert worker.stdin
            worker.stdin.write("\n")
            worker.stdin.flush()
            time.sleep(5 + 5 * chance.random())
            worker.kill()
            worker.wait()

    threads = [threading.Thread(target=live) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = NightlyRun.objects.get(day=day).chunks.exclude(done_at=None)
    ended = done.count()
    _night(day, workers=2)
    twice = done.filter(times_done__gt=1).count()
    same = _scores(day) == expected
    print(
        f"two workers, each killed {kills} times ({ended} chunks done by then): same scores {same}, chunks done twice {twice}", flush=True
    )
    return day + timedelta(days=1)


def _scores(day: date) -> list[tuple[object, ...]]:
    rows = EngagementScore.objects.filter(day=day).order_by("account_id")
    return list(rows.values_list("account_id", "weighted_points", "breadth", "x", "score", "active_roles"))


def _beside_writers(accounts: int, day: date) -> None:
    """Write from four sides, first alone and then beside a night; compare all sums with a count anew afterwards."""
    scoring.news(accounts, accounts, day=day, days=1)
    for title, beside in (("alone", False), ("beside a night", True)):
        writers = [_Writer(day, number) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        if beside:
            print(f"night beside {WRITERS} writers: {_night(day, workers=1):.1f} s", flush=True)
        else:
            time.sleep(15)
        for writer in writers:
            writer.stopped.set()
        for writer in writers:
            writer.join()
        print(
            _line(title, [taken for writer in writers for taken in writer.taken], sum(writer.deadlocks for writer in writers)), flush=True
        )
    last = Account.objects.order_by("pk").values_list("pk", flat=True).last() or 0
    at = datetime.combine(day, clock_time(23), tzinfo=UTC)
    found = sum(states.differing(first, first + 1999, day=day, at=at) for first in range(1, last + 1, 2000))
    print(f"rows that differ from a count anew: {found}", flush=True)


def _line(title: str, taken: Sequence[float], deadlocks: int) -> str:
    ordered = sorted(taken)
    p95, p99 = (1000 * ordered[int(share * (len(ordered) - 1))] for share in (0.95, 0.99))
    return f"writers {title}: {len(ordered)} transactions, {1000 * statistics.median(ordered):.1f} ms at the median, {p95:.1f} p95, {p99:.1f} p99, {deadlocks} deadlocks"


class _Writer(threading.Thread):
    """Records, corrects and deletes activities of people at random, through the product's rules."""

    def __init__(self, day: date, number: int) -> None:
        super().__init__()
        self.chance, self.number, self.at = random.Random(number), number, datetime.combine(day, clock_time(23), tzinfo=UTC)
        self.stopped, self.taken, self.deadlocks = threading.Event(), [], 0  # type: ignore[var-annotated]
        self.people = Contact.objects.count()

    def run(self) -> None:
        while not self.stopped.is_set():
            begun = time.perf_counter()
            try:
                self.chance.choice((self.record, self.record, self.record, self.correct, self.delete))()
            except OperationalError as error:
                if "deadlock" not in str(error):
                    raise
                self.deadlocks += 1
            self.taken.append(time.perf_counter() - begun)
        connection.close()

    def record(self) -> None:
        who = [self.chance.randint(1, self.people) for _ in range(ROWS_PER_CALL)]
        moments = [self.at - timedelta(minutes=self.chance.randint(0, 1440 * (30 if self.chance.random() < 0.03 else 1))) for _ in who]
        kinds = [self.chance.choice(("page_view", "pricing_view", "meeting", "email_reply")) for _ in who]
        rows = [
            NewActivity(account_id=(pk + 19) // 20, contact_id=pk, kind=kind, occurred_at=moment)
            for pk, kind, moment in zip(who, kinds, moments, strict=True)
        ]
        activities.record_many(rows, source=f"writer {self.number}", at=self.at)

    def _mine(self) -> Activity | None:
        first = Activity.objects.filter(contact=self.chance.randint(1, self.people)).order_by("pk").first()
        return first if first and first.pk % WRITERS == self.number else None

    def correct(self) -> None:
        if row := self._mine():
            activities.correct(row, kind="download", at=self.at)

    def delete(self) -> None:
        if row := self._mine():
            activities.delete(row, at=self.at)


if __name__ == "__main__":
    main()
