"""From day counts to the sums of each person: by what moved and what left the window, or anew."""

from abm.states.jobs import look_at, run
from abm.states.weights import Numbers

_CURRENT = "k.version = %(version)s AND k.anchor = %(anchor)s"
_WEIGHT = "JOIN abm_dayweight AS w ON w.version = %(version)s AND w.anchor = %(anchor)s AND w.kind = {of}.kind AND w.day = {of}.day"
_SUMS = ", ".join(f"CAST(SUM(CASE WHEN term = {term} THEN worth ELSE 0 END) AS bigint)" for term in range(3))


def _worth(times: str) -> str:
    """Write what a group is worth: points times how often, at most the cap, times the weight of its day."""
    return f"CASE WHEN w.points * {times} < w.cap THEN w.points * {times} ELSE w.cap END * w.weight"


def shift(numbers: Numbers) -> int:
    """Add to the sums of the job's accounts what moved, and take away what left the window; give how many people changed."""
    moved = (
        f"SELECT m.account_id, m.contact_id, w.term, {_worth('m.after_n')} - {_worth('m.before_n')} AS worth "
        f"FROM job_moved AS m JOIN abm_statemark AS k ON k.account_id = m.account_id AND m.day >= k.first_day AND {_CURRENT} "
        + _WEIGHT.format(of="m")
    )
    expired = (
        f"SELECT d.account_id, d.contact_id, w.term, -({_worth('d.count')}) AS worth "
        f"FROM abm_daycount AS d JOIN job_account AS j ON j.account_id = d.account_id "
        f"JOIN abm_statemark AS k ON k.account_id = d.account_id AND d.day >= k.first_day AND {_CURRENT} {_WEIGHT.format(of='d')} "
        "WHERE d.day < %(first_day)s AND d.day >= (SELECT MIN(first_day) FROM abm_statemark WHERE account_id IN (SELECT account_id FROM job_account))"
    )
    changed = run(
        f"INSERT INTO job_shifted SELECT account_id, contact_id, {_SUMS} FROM ({moved} UNION ALL {expired}) AS groups GROUP BY 1, 2",
        numbers.values,
    )
    if changed:
        look_at("job_shifted")
        run(
            "INSERT INTO abm_contactstate (account_id, contact_id, short, middle, long, weight, roles) "
            "SELECT account_id, contact_id, short, middle, long, -1, 0 FROM job_shifted WHERE true ORDER BY 1, 2 "
            "ON CONFLICT (account_id, contact_id) DO UPDATE SET short = abm_contactstate.short + excluded.short, "
            "middle = abm_contactstate.middle + excluded.middle, long = abm_contactstate.long + excluded.long"
        )
        _drop_empty("SELECT account_id FROM job_shifted")
    return changed


def rebuild(numbers: Numbers) -> int:
    """Make the sums of the job's stale accounts anew from their day counts; give the number of people."""
    run("DELETE FROM abm_contactstate WHERE account_id IN (SELECT account_id FROM job_stale)")
    groups = (
        f"SELECT d.account_id, d.contact_id, w.term, {_worth('d.count')} AS worth FROM abm_daycount AS d "
        f"JOIN job_stale AS j ON j.account_id = d.account_id {_WEIGHT.format(of='d')} WHERE d.day BETWEEN %(first_day)s AND %(day)s"
    )
    made = run(
        "INSERT INTO abm_contactstate (account_id, contact_id, short, middle, long, weight, roles) "
        f"SELECT account_id, contact_id, {_SUMS}, -1, 0 FROM ({groups}) AS groups GROUP BY 1, 2",
        numbers.values,
    )
    _drop_empty("SELECT account_id FROM job_stale")
    return made


def _drop_empty(accounts: str) -> None:
    """Keep no row of who did nothing in the window that weighs anything."""
    run(f"DELETE FROM abm_contactstate WHERE short = 0 AND middle = 0 AND long = 0 AND account_id IN ({accounts})")
