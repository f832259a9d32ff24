"""Keep a copy of contacts in step over HTTP while others create, change, merge, delete and hand over, and the server is killed.

./dev bench sync [CONTACTS] [--writes 4000]    DATABASE_URL names a PostgreSQL server; a database of its own is made and dropped.

Afterwards the copy must be what the database says, field by field. tests/flows/test_kept_in_step.py does the same with few.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()

import orjson
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from crm import accounts, contacts, merges, newcomers
from crm.api.contacts import ContactSerializer
from crm.errors import CrmError
from crm.models import Account, ApiKey, Contact, Person, Team, User
from crm.newcomers import NewContact
from tests.mirror import Mirror

ROOT = Path(__file__).resolve().parents[1]
WRITERS, PEOPLE_PER_ACCOUNT = 4, 5


class Server:
    """A web server on the database of this process, that can be killed and started again at the same address."""

    def __init__(self, key: str, *, workers: int = 1) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.key, self.workers = key, workers
        facts = connection.settings_dict
        where = f"{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT'] or 5432}"
        self.environment = os.environ | {"DATABASE_URL": f"postgres://{where}/{facts['NAME']}", "HTTPS": "off", "LOG_LEVEL": "ERROR"}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "config.wsgi",
            "--bind",
            f"127.0.0.1:{self.port}",
            "--threads",
            "2",
            "--log-level",
            "error",
        ]
        command += ["--workers", str(self.workers), "--timeout", "600", "--preload"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, start_new_session=True)
        for _try in range(600):
            if self.get("/api/v1/contacts?page_size=1")[0] == 200:
                return
            time.sleep(0.2)
        raise RuntimeError("the server does not answer")

    def kill(self) -> None:
        """Kill it without warning, with all its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_workers(self) -> None:
        """Kill whatever is answering, and leave the master to begin another: what a start costs is no matter of ours."""
        for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            os.kill(int(pid), signal.SIGKILL)

    def get(self, path: str) -> tuple[int, dict]:
        """Call it; 0 when it does not answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Token {self.key}"})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read() or b"{}")
        except OSError:
            return 0, {}


def make_world(count: int) -> tuple[User, str, list[Team]]:
    """Make people of two teams, and an integration that sees the one; give it with its key."""
    teams = [Team.objects.create(name=name) for name in ("Noord", "Zuid")]
    user = User.objects.create(username="copy", team=teams[0])
    user.groups.add(Group.objects.get(name="integration"))
    _, key = ApiKey.objects.create(user=user, name="copy")
    homes = Account.objects.bulk_create(Account(name=f"B {n}", team=teams[n % 8 == 7]) for n in range(-(-count // PEOPLE_PER_ACCOUNT)))
    at = timezone.now()
    for start in range(0, count, 5_000):
        rows = [
            NewContact(homes[n // PEOPLE_PER_ACCOUNT].pk, family_name=f"Smit {n}", email=f"jo{n}@b{n}.example")
            for n in range(start, min(count, start + 5_000))
        ]
        newcomers.add_many(rows, at=at)
    return user, key, teams


class Writer:
    """Somebody who creates, changes, merges, deletes and hands over, by the rules and past them."""

    def __init__(self, number: int, teams: list[Team]) -> None:
        self.rolls, self.number, self.teams, self.done = random.Random(number), number, teams, Counter[str]()
        self.deeds = {"add": 20, "correct": 35, "rename": 12, "merge": 8, "delete": 12, "hand_over": 5, "bulk_update": 3, "rolled_back": 5}

    def write(self, times: int) -> Counter[str]:
        """Do so many deeds; one that the rules or the database refuse is counted as such."""
        try:
            for name in self.rolls.choices([*self.deeds], [*self.deeds.values()], k=times):
                try:
                    getattr(self, name)()
                    self.done[name] += 1
                except (CrmError, DatabaseError, Contact.DoesNotExist, IndexError):
                    self.done["refused"] += 1
        finally:
            connection.close()
        return self.done

    def _some(self, count: int = 1) -> list[Contact]:
        highest = Contact.objects.order_by("-pk").values_list("pk", flat=True)[0]
        return list(Contact.objects.filter(pk__gte=self.rolls.randrange(1, highest + 1)).order_by("pk")[:count])

    def add(self) -> None:
        contacts.add(account=self._some()[0].account, at=timezone.now(), family_name=f"Nieuw {self.number} {self.rolls.random()}")

    def correct(self) -> None:
        contacts.correct(self._some()[0], at=timezone.now(), job_title=f"Werk {self.rolls.random()}")

    def rename(self) -> None:
        Person.objects.filter(pk=self._some()[0].person_id).update(family_name=f"Anders {self.rolls.random()}")

    def merge(self) -> None:
        first, second = self._some(2)
        if first.account_id == second.account_id:
            merges.merge(first, second, choices={}, by=None, at=timezone.now())

    def delete(self) -> None:
        self._some()[0].delete()

    def hand_over(self) -> None:
        accounts.hand_over(self._some()[0].account, owner=None, team=self.rolls.choice(self.teams), at=timezone.now())

    def bulk_update(self) -> None:
        Contact.objects.filter(pk__in=[one.pk for one in self._some(20)]).update(function="it")

    def rolled_back(self) -> None:
        """Take long over a change, or take it back: others commit meanwhile."""
        with transaction.atomic():
            Contact.objects.filter(pk=self._some()[0].pk).update(job_title=f"Lang {self.rolls.random()}")
            time.sleep(self.rolls.random() / 10)
            transaction.set_rollback(self.rolls.random() < 0.5)


def follow_through(mirror: Mirror, server: Server, writing: list, kills: list[float], *, whole: bool) -> int:
    """Follow until the writers are done, and kill the server at these shares of their time; give how often it was killed."""
    done, began = 0, time.monotonic()
    while not all(writer.done() for writer in writing) or done < len(kills):
        if done < len(kills) and (time.monotonic() - began > kills[done] or all(writer.done() for writer in writing)):
            if whole:
                server.kill()
                server.start()
            else:
                server.kill_workers()
            done += 1
        try:
            mirror.follow()
        except ConnectionError:
            time.sleep(0.1)
    return done


def truth(user: User) -> dict[int, dict]:
    """Say what the database holds for a caller, as the API would show it."""
    rows = Contact.objects.visible_to(user).select_related("person")
    return {row["id"]: row for row in json.loads(orjson.dumps(ContactSerializer(rows, many=True).data, default=str))}


def keep_in_step(count: int, writes: int, kills: list[float], *, page_size: int, whole: bool = True) -> dict[str, object]:
    """Mirror contacts while four write and the server is killed; give the figures, with what differs."""
    user, key, teams = make_world(count)
    server = Server(key)
    server.start()
    try:
        mirror, began = Mirror(server.get, "contacts", page_size=page_size), time.perf_counter()
        with ThreadPoolExecutor(WRITERS) as pool:
            writing = [pool.submit(Writer(number, teams).write, writes // WRITERS) for number in range(WRITERS)]
            killed = follow_through(mirror, server, writing, kills, whole=whole)
            done = sum((writer.result() for writer in writing), Counter[str]())
        took, real = time.perf_counter() - began, truth(user)
        is_equal = mirror.follow_until(lambda: mirror.rows == real, seconds=120)
    finally:
        server.kill()
    differ = [pk for pk in mirror.rows.keys() | real.keys() if mirror.rows.get(pk) != real.get(pk)]
    return {"equal": is_equal, "rows": len(real), "differ": differ, "killed": killed, "deeds": done, "calls": mirror.calls, "seconds": took}


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep a copy of contacts in step while others write and the server is killed.")
    parser.add_argument("contacts", nargs="?", type=int, default=50_000)
    parser.add_argument("--writes", type=int, default=4_000)
    wanted = parser.parse_args()
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        for name, figure in keep_in_step(wanted.contacts, wanted.writes, [10.0, 25.0], page_size=1_000).items():
            print(f"{name}: {figure}")
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


if __name__ == "__main__":
    main()
