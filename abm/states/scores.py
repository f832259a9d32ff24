"""From the sums of accounts to their scores of a day, for all accounts of a job in one statement, and to their standings."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain, combinations
from typing import NamedTuple

from django.db import connection

from abm import policy
from abm.engagement import breadth
from abm.states import folding, seating, summing
from abm.states.jobs import HERE, OF_THE_JOB, run, table
from abm.states.seating import BITS
from abm.states.weights import HUNDREDTHS, NAMES, Numbers
from crm import bulk
from crm.policy import DMU

# A hair below: what is a whole point in decimals may be a billionth less in fixed point.
HAIR = 1e-6


def _breadths(numbers: Numbers) -> str:
    """List for each set of required roles each of its parts: one key made of the bits of both, the breadth, and the names as JSON."""
    rows = []
    for all_bits, required in {sum(BITS[role] for role in row.roles): row.roles for row in DMU.required}.items():
        for bits in {sum(part) for part in _parts([BITS[role] for role in required])}:
            names = [f'"{role}"' for role in required if BITS[role] & bits]
            factor = breadth(len(names), len(required), numbers=numbers.scoring)
            rows.append(f"{all_bits * 32 + bits}, CAST({factor!r} AS double precision), '[{', '.join(names)}]'")
    return table("bits, breadth, names", rows)


def _parts(bits: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(bits, size) for size in range(len(bits) + 1))


def _required() -> str:
    """Write which roles an account of its size needs, as bits."""
    size = f"COALESCE(a.employees, {DMU.unknown_size_as_employees})"
    rows = [(row.below_employees, sum(BITS[role] for role in row.roles)) for row in DMU.required]
    cases = " ".join(f"WHEN {'1 = 1' if below is None else f'{size} < {below}'} THEN {bits}" for below, bits in rows)
    return f"CASE {cases} END"


def _scored(numbers: Numbers, sums_of_accounts: str) -> str:
    """Select R, F and X, the score to one decimal, and the active roles of accounts, from their sums and those of their roles."""
    factors = {name: f"CAST(%({name})s AS double precision)" for name in NAMES}
    live = "(" + " + ".join(f"s.{name} * {factor}" for name, factor in factors.items()) + ")"
    bits = " ".join(f"WHEN '{role}' THEN {bit}" for role, bit in BITS.items())
    active = f"s.role <> '' AND {live} >= {numbers.scoring.role_counts_from_points - HAIR}"
    sums = (
        f"SELECT s.account_id, SUM(CASE WHEN s.role = '' THEN {live} / {HUNDREDTHS} ELSE 0 END) AS r, "
        f"SUM(CASE WHEN {active} THEN CASE s.role {bits} END ELSE 0 END) AS active "
        f"FROM ({sums_of_accounts}) AS s GROUP BY 1"
    )
    facts = f"SELECT f.account_id, f.r, CAST(f.active AS integer) AS active, {_required()} AS required FROM ({sums}) AS f JOIN crm_account AS a ON a.id = f.account_id"
    parts = (
        f"SELECT f.account_id, f.r, b.breadth, f.r * b.breadth AS x, b.names FROM ({facts}) AS f "
        f"JOIN {_breadths(numbers)} AS b ON b.bits = f.required * 32 + (f.active & f.required)"
    )
    # Half up; in fixed point a half may be a billionth less.
    score = f"FLOOR(1000.0 * x / (x + {numbers.scoring.half_saturation}) + 0.5 + {HAIR}) / 10.0"
    return f"SELECT account_id, r, breadth, x, {score} AS score, names FROM ({parts}) AS parts"


def store(numbers: Numbers) -> int:
    """Score the job's accounts, keep the scores of the day, and none of who has none; give how many.

    What is kept is found by account and day of the job's own table. By a day in plain words PostgreSQL would rather read
    all rows of that day: of today it knows none yet.
    """
    values = numbers.values | dict(zip(NAMES, numbers.factors, strict=True)) | {"then": _then(numbers).day}
    sums = f"SELECT s.* FROM abm_accountstate AS s JOIN job_account AS j ON j.account_id = s.account_id WHERE {HERE.format(of='s')}"
    run(
        "INSERT INTO job_scored SELECT j.account_id, %(day)s, %(then)s, COALESCE(s.r, 0), COALESCE(s.breadth, 0), COALESCE(s.x, 0), "
        f"CASE WHEN s.score >= {policy.NIGHTLY.history_from_score} THEN s.score ELSE 0 END, COALESCE(s.names, '[]') "
        f"FROM job_account AS j LEFT JOIN ({_scored(numbers, sums)}) AS s ON s.account_id = j.account_id",
        values,
    )
    run("DELETE FROM abm_engagementscore WHERE (account_id, day) IN (SELECT account_id, day FROM job_scored WHERE score = 0)")
    names = "CAST(names AS jsonb)" if connection.vendor == "postgresql" else "names"
    kept = ("weighted_points", "breadth", "x", "score", "active_roles", "parameters_id")
    return run(
        f"INSERT INTO abm_engagementscore (account_id, day, {', '.join(kept)}) "
        f"SELECT account_id, day, r, breadth, x, score, {names}, %(version)s FROM job_scored WHERE score > 0 ORDER BY account_id "
        f"ON CONFLICT (account_id, day) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in kept)}",
        values,
    )


def _then(numbers: Numbers) -> Numbers:
    """Give the numbers of the day that scores are compared with."""
    return numbers.ago(policy.ALERTS.compared_with_days_ago)


def compare(numbers: Numbers) -> None:
    """Write down what the job's accounts are compared with: the score of a week ago, as it would be computed now.

    What was kept then is that, unless something of before that day was changed since; then it is computed from the sums of today.
    """
    then = _then(numbers)
    run(
        "INSERT INTO job_then SELECT e.account_id, e.score FROM job_scored AS s JOIN abm_statemark AS k ON k.account_id = s.account_id "
        "JOIN abm_engagementscore AS e ON e.account_id = s.account_id AND e.day = s.then_day "
        f"WHERE k.settled_from <= s.then_day AND {HERE.format(of='k')} AND {HERE.format(of='e')}",
        then.values,
    )
    run("DELETE FROM job_unsettled")
    marks = f"FROM abm_statemark AS k WHERE {OF_THE_JOB}"
    if run(f"INSERT INTO job_unsettled SELECT k.account_id {marks} AND k.settled_from > %(day)s", then.values):
        bulk.look_at("job_unsettled")
        seating.hold(then, at="job_unsettled")
        weight, roles = seating.seat_of("s")
        people = f"SELECT s.*, {weight} AS weight, {roles} AS roles FROM ({summing.people_on('job_unsettled')}) AS s {seating.SEATS.format(of='s')}"
        values = then.values | dict(zip(NAMES, then.factors, strict=True)) | {"today": numbers.day, "today_first": numbers.first_day}
        run(f"INSERT INTO job_then SELECT account_id, score FROM ({_scored(then, folding.accounts_of(people))}) AS scored", values)


class Crossed(NamedTuple):
    """An account that became warm, or stopped being so."""

    account_id: int
    is_warm: bool
    score: Decimal
    momentum: Decimal


def follow(numbers: Numbers, *, at: datetime) -> list[Crossed]:
    """Bring score and momentum of the job's standings to the day; give the accounts that crossed the threshold just now."""
    values = {"day": numbers.day, "at": connection.ops.adapt_datetimefield_value(at)}
    now = (
        "SELECT s.account_id, s.score, ROUND(s.score - COALESCE(t.score, 0), 1) AS momentum "
        "FROM job_scored AS s LEFT JOIN job_then AS t ON t.account_id = s.account_id"
    )
    warm = f"{{of}}.score >= {policy.ALERTS.warming_up_from_score} AND {{of}}.momentum >= {policy.ALERTS.warming_up_points}"
    is_warm = f"CASE WHEN {warm.format(of='n')} THEN 1 ELSE 0 END"
    query = (
        f"SELECT n.account_id, {is_warm}, n.score, n.momentum FROM ({now}) AS n JOIN abm_accountstanding AS a ON a.account_id = n.account_id "
        f"WHERE {is_warm} <> CASE WHEN {warm.format(of='a')} THEN 1 ELSE 0 END ORDER BY 1"
    )
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        crossed = [Crossed(int(pk), bool(state), _tenths(score), _tenths(rise)) for pk, state, score, rise in cursor.fetchall()]
    run(
        f"UPDATE abm_accountstanding AS a SET as_of = %(day)s, score = n.score, momentum = n.momentum, refreshed_at = %(at)s "
        f"FROM ({now}) AS n WHERE a.account_id = n.account_id",
        values,
    )
    return crossed


def _tenths(number: float | Decimal) -> Decimal:
    """Read a figure as either database gives it."""
    return Decimal(str(number)).quantize(Decimal("0.1"))
