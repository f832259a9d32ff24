"""From the sums of people to those of accounts: everybody by weight, and each role by who holds it."""

from abm.states.jobs import run
from abm.states.seating import BITS
from crm import bulk

_ROLES = " UNION ALL ".join(f"SELECT '{role}' AS role, {bit} AS bit" for role, bit in {"": 0, **BITS}.items())
_SUM = "CAST(SUM(s.{name} * CASE WHEN r.bit = 0 THEN s.weight ELSE 1 END) AS bigint)"
_SUMS = ", ".join(_SUM.format(name=name) for name in ("short", "middle", "long"))


def fold() -> int:
    """Add up anew the accounts of the job of which a person's sums, weight or roles changed; give how many."""
    touched = run(
        "INSERT INTO job_touched SELECT account_id FROM job_shifted UNION SELECT account_id FROM job_seated UNION SELECT account_id FROM job_stale"
    )
    if touched:
        bulk.look_at("job_touched")
        run("DELETE FROM abm_accountstate WHERE account_id IN (SELECT account_id FROM job_touched)")
        run(
            "INSERT INTO abm_accountstate (account_id, role, short, middle, long) "
            f"SELECT s.account_id, r.role, {_SUMS} FROM job_touched AS t JOIN abm_contactstate AS s ON s.account_id = t.account_id "
            f"JOIN ({_ROLES}) AS r ON r.bit = 0 OR (s.roles & r.bit) <> 0 WHERE s.weight > 0 OR r.bit = 0 GROUP BY 1, 2"
        )
    return touched
