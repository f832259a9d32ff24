"""From the sums of accounts to their scores of a day, for all accounts of a job in one statement."""

from collections.abc import Iterator, Sequence
from itertools import chain, combinations

from django.db import connection

from abm import policy
from abm.engagement import breadth
from abm.states.jobs import run
from abm.states.seating import BITS
from abm.states.weights import HUNDREDTHS, Numbers
from crm.policy import DMU

# A hair below: what is a whole point in decimals may be a billionth less in fixed point.
HAIR = 1e-6


def _breadths(numbers: Numbers) -> str:
    """List for each set of required roles, as bits, each of its parts: the bits, the breadth, and the names as JSON."""
    rows = []
    for all_bits, required in {sum(BITS[role] for role in row.roles): row.roles for row in DMU.required}.items():
        for bits in {sum(part) for part in _parts([BITS[role] for role in required])}:
            names = [f'"{role}"' for role in required if BITS[role] & bits]
            factor = breadth(len(names), len(required), numbers=numbers.scoring)
            rows.append(
                f"SELECT {all_bits} AS required, {bits} AS active, CAST({factor!r} AS double precision) AS breadth, '[{', '.join(names)}]' AS names"
            )
    return " UNION ALL ".join(rows)


def _parts(bits: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(bits, size) for size in range(len(bits) + 1))


def _required() -> str:
    """Write which roles an account of its size needs, as bits."""
    size = f"COALESCE(a.employees, {DMU.unknown_size_as_employees})"
    rows = [(row.below_employees, sum(BITS[role] for role in row.roles)) for row in DMU.required]
    cases = " ".join(f"WHEN {'1 = 1' if below is None else f'{size} < {below}'} THEN {bits}" for below, bits in rows)
    return f"CASE {cases} END"


def _scored(numbers: Numbers) -> str:
    """Select R, F and X, the score to one decimal, and the active roles of the job's accounts."""
    factors = {name: f"CAST(%({name})s AS double precision)" for name in ("short", "middle", "long")}
    live = "(" + " + ".join(f"s.{name} * {factor}" for name, factor in factors.items()) + ")"
    bits = " ".join(f"WHEN '{role}' THEN {bit}" for role, bit in BITS.items())
    active = f"s.role <> '' AND {live} >= {numbers.scoring.role_counts_from_points - HAIR}"
    sums = (
        f"SELECT s.account_id, SUM(CASE WHEN s.role = '' THEN {live} / {HUNDREDTHS} ELSE 0 END) AS r, "
        f"SUM(CASE WHEN {active} THEN CASE s.role {bits} END ELSE 0 END) AS active "
        "FROM abm_accountstate AS s JOIN job_account AS j ON j.account_id = s.account_id GROUP BY 1"
    )
    facts = f"SELECT f.account_id, f.r, CAST(f.active AS integer) AS active, {_required()} AS required FROM ({sums}) AS f JOIN crm_account AS a ON a.id = f.account_id"
    parts = (
        f"SELECT f.account_id, f.r, b.breadth, f.r * b.breadth AS x, b.names FROM ({facts}) AS f "
        f"JOIN ({_breadths(numbers)}) AS b ON b.required = f.required AND b.active = (f.active & f.required)"
    )
    # Half up; in fixed point a half may be a billionth less.
    score = f"FLOOR(1000.0 * x / (x + {numbers.scoring.half_saturation}) + 0.5 + {HAIR}) / 10.0"
    return f"SELECT account_id, r, breadth, x, {score} AS score, names FROM ({parts}) AS parts"


def store(numbers: Numbers) -> int:
    """Write the scores of the job's accounts, and none of who has none; give how many."""
    short, middle, long = numbers.factors
    values = {"short": short, "middle": middle, "long": long, "day": numbers.day, "version": numbers.version}
    run("DELETE FROM abm_engagementscore WHERE day = %(day)s AND account_id IN (SELECT account_id FROM job_account)", values)
    names = "CAST(names AS jsonb)" if connection.vendor == "postgresql" else "names"
    return run(
        "INSERT INTO abm_engagementscore (account_id, day, weighted_points, breadth, x, score, active_roles, parameters_id) "
        f"SELECT account_id, %(day)s, r, breadth, x, score, {names}, %(version)s FROM ({_scored(numbers)}) AS scored "
        f"WHERE score >= {policy.NIGHTLY.history_from_score} ORDER BY account_id",
        values,
    )
