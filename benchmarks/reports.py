"""Measure each report against the bare SQL aggregate of what it counts: all stage moves, joined to their deals.

./dev bench reports [--accounts 20000] [--moves 100000] [--touches 0]    DATABASE_URL chooses the server; a database of its own
is made and dropped. Touches lie beside and are counted by attribution; here they make the database as large as it would be.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib.auth.models import Group  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from abm import reports  # noqa: E402
from abm.reports import Period, ask  # noqa: E402
from crm.models import Team, User  # noqa: E402
from crm.policy import day_of  # noqa: E402

TEAMS, MOVES_PER_DEAL = 8, 4
FLOOR = (
    "SELECT o.stage, count(DISTINCT o.id), min(m.moved_at), max(m.moved_at), sum(o.amount) "
    "FROM crm_opportunity o JOIN crm_stagemove m ON m.opportunity_id = o.id GROUP BY o.stage"
)
# What attribution counts: every touch of a closed deal's account before its close.
FLOOR_OF_TOUCHES = (
    "SELECT o.stage, a.kind, count(*), max(a.occurred_at) FROM crm_opportunity o JOIN crm_activity a ON a.account_id = o.account_id "
    "WHERE o.stage IN ('won', 'lost') AND a.day <= o.closed_on GROUP BY o.stage, a.kind"
)
# Every deal begins as MQL and is a proposal, won or lost now; which one follows from its number, as do days and amounts: two runs make the same.
DEAL_STAGE = "(ARRAY['won', 'lost', 'lost', 'lost', 'proposal', 'proposal', 'won', 'lost'])[1 + n %% 8]"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure each report as a ratio to one bare aggregate.")
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--moves", type=int, default=100_000)
    parser.add_argument("--touches", type=int, default=0)
    parser.add_argument("--times", type=int, default=3, help="of each report; the median counts")
    wanted = parser.parse_args()
    if connection.vendor != "postgresql":
        raise SystemExit("The data are made with PostgreSQL's own functions: set DATABASE_URL.")
    connection.creation.create_test_db(verbosity=0)
    try:
        report(wanted)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


def report(wanted: argparse.Namespace) -> None:
    took = seconds(lambda: make(wanted.accounts, wanted.moves, wanted.touches))
    counts = {table: one(f"SELECT count(*) FROM {table}") for table in ("crm_account", "crm_opportunity", "crm_stagemove", "crm_activity")}
    print(", ".join(f"{table.removeprefix('crm_')} {count:,}" for table, count in counts.items()), f"made in {took:.1f} s")
    floors = {sql: statistics.median(seconds(lambda sql=sql: one(sql)) for _ in range(wanted.times)) for sql in (FLOOR, FLOOR_OF_TOUCHES)}
    print(f"floors: moves {floors[FLOOR]:.3f} s, touches {floors[FLOOR_OF_TOUCHES]:.3f} s")
    everything, part = (User.objects.get(username=name) for name in ("bench-marketing", "bench-rep"))
    today = day_of(timezone.now())
    for each in reports.REPORTS.values():
        floor = floors[FLOOR_OF_TOUCHES if each.slug == "attribution" else FLOOR]
        asked = [("all", everything, {})] + [(f"by {value}", everything, {"by": value}) for value in _parts(each, everything)]
        asked += [("one team", part, {})] if each.is_open_to(part) else []
        for name, user, given in asked:
            run = lambda each=each, user=user, given=given: ask(each, period=Period(today), user=user, given=given)  # noqa: E731
            took = statistics.median(seconds(run) for _ in range(wanted.times))
            print(f"{each.slug:14} {name:12} {took:8.3f} s = {took / floor:6.2f} x floor", flush=True)


def _parts(report: reports.Report, user: User) -> list[str]:
    """Give one way in which a report may be parted, where it may; as reports do it, the last that it knows."""
    return [choice.values(user)[-1][0] for choice in report.choices if choice.name == "by"]


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def one(sql: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def make(accounts: int, moves: int, touches: int) -> None:
    teams = Team.objects.bulk_create(Team(name=f"Team {number}", office=f"Office {number % 3}") for number in range(TEAMS))
    for name, role, team in (("bench-marketing", "marketing", None), ("bench-rep", "sales rep", teams[0])):
        user = User.objects.create(username=name, team=team, is_staff=True)
        user.groups.add(Group.objects.get(name=role))
    deals = moves // MOVES_PER_DEAL
    first_team = teams[0].pk
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO crm_account (id, name, domain, status, industry, employees, revenue_currency, country, city, team_id, "
            "contract_conflict, source, external_id, created_at, updated_at) "
            "SELECT n, 'Bedrijf ' || n, 'b' || n || '.example', 'prospect', 'industry ' || n %% 12, n %% 600, 'EUR', 'NL', '', "
            "%s + n %% %s, false, '', '', now(), now() FROM generate_series(1, %s) n",
            [first_team, TEAMS, accounts],
        )
        cursor.execute(
            "INSERT INTO crm_opportunity (id, account_id, name, stage, amount, currency, closed_on, lost_reason, imported_stage, source, "
            "external_id, revision, created_at, updated_at, kind, origin, campaign, team_id) "
            f"SELECT n, 1 + n %% %s, 'Kans ' || n, {DEAL_STAGE}, 100 + n %% 9900, 'EUR', "
            f"CASE WHEN {DEAL_STAGE} IN ('won', 'lost') THEN date '2024-01-01' + (n %% 800)::int END, '', {DEAL_STAGE}, '', '', 0, now(), now(), "
            "'new', 'channel ' || n %% 6, 'campaign ' || n %% 20, %s + n %% %s FROM generate_series(1, %s) n",
            [accounts, first_team, TEAMS, deals],
        )
        way = "ARRAY['mql', 'sql', 'opportunity', 'proposal']"
        cursor.execute(
            "INSERT INTO crm_stagemove (opportunity_id, from_stage, to_stage, moved_at, reason, is_imported) "
            f"SELECT o.id, CASE step WHEN 1 THEN '' ELSE ({way})[step - 1] END, "
            f"CASE WHEN step = {MOVES_PER_DEAL} THEN o.stage ELSE ({way})[step] END, "
            "timestamptz '2023-06-01 12:00+00' + (o.id %% 800 + step * (5 + o.id %% 30)) * interval '1 day', '', true "
            "FROM crm_opportunity o, generate_series(1, %s) step",
            [MOVES_PER_DEAL],
        )
        cursor.execute(
            "INSERT INTO crm_activity (account_id, kind, occurred_at, day, subject, machine_reason, source, external_id, recorded_at) "
            "SELECT 1 + n %% %s, 'page_view', timestamptz '2024-01-01' + (n %% 700) * interval '1 day', date '2024-01-01' + (n %% 700)::int, "
            "'', '', 'bench', '', now() FROM generate_series(1, %s) n",
            [accounts, touches],
        )
        cursor.execute("ANALYZE")


if __name__ == "__main__":
    main()
