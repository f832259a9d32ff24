"""From the sums of people to those of accounts: everybody by weight, and each role by who holds it."""

from abm.states.jobs import HERE, run, table
from abm.states.seating import BITS
from abm.states.weights import NAMES, Numbers

ROLES = table("role, bit", (f"'{role}', {bit}" for role, bit in {"": 0, **BITS}.items()))
_SUMS = ", ".join(f"CAST(SUM({name}) AS bigint) AS {name}" for name in NAMES)


def _times(factor: str, of: str) -> str:
    return ", ".join(f"{of}.{name} * {factor} AS {name}" for name in NAMES)


# What a person's new activities add, in the seat that the person had.
_ADDED = (
    "SELECT n.account_id, r.role, " + _times("CASE WHEN r.bit = 0 THEN COALESCE(z.was_weight, s.weight) ELSE 1 END", "n") + " "
    "FROM job_shifted AS n JOIN abm_contactstate AS s ON s.account_id = n.account_id AND s.contact_id = n.contact_id "
    "LEFT JOIN job_seated AS z ON z.account_id = n.account_id AND z.contact_id = n.contact_id "
    f"JOIN {ROLES} AS r ON r.bit = 0 OR (COALESCE(z.was_roles, s.roles) & r.bit) <> 0"
)  # fmt: skip
# What all that a person did is worth more in another seat.
_MOVED = (
    "SELECT z.account_id, r.role, "
    + _times("CASE WHEN r.bit = 0 THEN z.weight - z.was_weight WHEN (z.roles & r.bit) <> 0 THEN 1 ELSE -1 END", "s") + " "
    "FROM job_seated AS z JOIN abm_contactstate AS s ON s.account_id = z.account_id AND s.contact_id = z.contact_id "
    f"JOIN {ROLES} AS r ON r.bit = 0 OR (z.roles & r.bit) <> (z.was_roles & r.bit)"
)  # fmt: skip


def accounts_of(people: str) -> str:
    """Select the sums of accounts, and of each role, from those of people with their seats."""
    sums = _times("CASE WHEN r.bit = 0 THEN s.weight ELSE 1 END", "s")
    return f"SELECT account_id, role, {_SUMS} FROM (SELECT s.account_id, r.role, {sums} FROM ({people}) AS s JOIN {ROLES} AS r ON r.bit = 0 OR (s.roles & r.bit) <> 0) AS all_of_them GROUP BY 1, 2"


def let_go(numbers: Numbers) -> None:
    """Take away the sums of stale accounts, which are made anew."""
    here = HERE.format(of="abm_accountstate")
    run(f"DELETE FROM abm_accountstate WHERE account_id IN (SELECT account_id FROM job_stale) AND {here}", numbers.values)


def fold(numbers: Numbers) -> int:
    """Add to the sums of accounts what people did and where they sit now; give the rows of sums that changed.

    What is left of nothing goes, so that sums that were added to and sums made anew are the same rows.
    """
    here = HERE.format(of="abm_accountstate")
    added = ", ".join(f"{name} = abm_accountstate.{name} + excluded.{name}" for name in NAMES)
    changed = run(
        "INSERT INTO abm_accountstate (account_id, role, short, middle, long) "
        f"SELECT account_id, role, {_SUMS} FROM ({_ADDED} UNION ALL {_MOVED}) AS more GROUP BY 1, 2 ORDER BY 1, 2 "
        f"ON CONFLICT (account_id, role) DO UPDATE SET {added}"
    )
    if changed:
        touched = "SELECT account_id FROM job_shifted UNION SELECT account_id FROM job_seated"
        run(
            f"DELETE FROM abm_accountstate WHERE short = 0 AND middle = 0 AND long = 0 AND account_id IN ({touched}) AND {here}",
            numbers.values,
        )
    return changed
