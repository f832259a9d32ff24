"""From day counts to the sums of each person: by what moved and what left the window, or anew."""

from abm.states.jobs import HERE, OF_THE_JOB, run
from abm.states.seating import SEATS, seat_of
from abm.states.weights import NAMES, Numbers
from crm import bulk

# Not d.day itself: PostgreSQL would rather look up each day of the table of weights than read the counts once.
_WEIGHT = (
    "JOIN abm_dayweight AS w ON w.version = %(version)s AND w.anchor = %(anchor)s "
    "AND w.kind = {of}.kind AND w.day = COALESCE({of}.day, {of}.day)"
)
_CURRENT = "JOIN abm_statemark AS k ON k.account_id = {of}.account_id AND k.account_id NOT IN (SELECT account_id FROM job_stale)"


def _worth(times: str) -> str:
    """Write what a group is worth: points times how often, at most the cap, times the weight of its day."""
    return f"CASE WHEN w.points * {times} < w.cap THEN w.points * {times} ELSE w.cap END * w.weight"


def _joined(of: str) -> str:
    return f"{_CURRENT} {_WEIGHT}".format(of=of)


def shift(numbers: Numbers) -> int:
    """Sum up per person what moved, and what left the window; give how many people that are."""
    moved = (
        f"SELECT m.account_id, m.contact_id, w.term, {_worth('m.after_n')} - {_worth('m.before_n')} AS worth "
        f"FROM job_moved AS m {_joined('m')} WHERE m.day >= k.first_day"
    )
    oldest = f"SELECT MIN(first_day) FROM abm_statemark AS k WHERE {OF_THE_JOB}"
    expired = (
        f"SELECT d.account_id, d.contact_id, w.term, -({_worth('d.count')}) AS worth FROM abm_daycount AS d "
        f"JOIN job_account AS j ON j.account_id = d.account_id {_joined('d')} "
        f"WHERE d.day >= k.first_day AND d.day < %(first_day)s AND d.day >= ({oldest}) AND {HERE.format(of='d')}"
    )
    return _sum_up(f"{moved} UNION ALL {expired}", numbers)


def rebuild(numbers: Numbers) -> int:
    """Sum up per person of the job's stale accounts all that is in the window; give how many people that are."""
    here = HERE.format(of="abm_contactstate")
    run(f"DELETE FROM abm_contactstate WHERE account_id IN (SELECT account_id FROM job_stale) AND {here}", numbers.values)
    return run(f"INSERT INTO job_shifted {people_of('job_stale')}", numbers.values)


def people_of(at: str) -> str:
    """Select, for the accounts of a table of the job, the sums of each person over the window."""
    groups = (
        f"SELECT d.account_id, d.contact_id, w.term, {_worth('d.count')} AS worth FROM abm_daycount AS d "
        f"JOIN {at} AS j ON j.account_id = d.account_id {_WEIGHT.format(of='d')} "
        f"WHERE d.day BETWEEN %(first_day)s AND %(day)s AND {HERE.format(of='d')}"
    )
    return _summed(groups)


def people_on(at: str) -> str:
    """Select the same for an earlier day: today's sums, without what came later and with what has left the window since.

    The accounts are up to date. The values are those of the earlier day, and today's last and first: `today`, `today_first`.
    """
    # Joined with the accounts before they are put together: a few of them are looked up, and of many the days are read.
    days = f"d.* FROM {at} AS j JOIN abm_daycount AS d ON d.account_id = j.account_id AND {HERE.format(of='d')}"
    later = f"SELECT -1 AS sign, {days} WHERE d.day > %(day)s AND d.day <= %(today)s"
    gone = f"SELECT 1 AS sign, {days} WHERE d.day >= %(first_day)s AND d.day < %(today_first)s"
    groups = (
        f"SELECT d.account_id, d.contact_id, w.term, d.sign * {_worth('d.count')} AS worth "
        f"FROM ({later} UNION ALL {gone}) AS d {_WEIGHT.format(of='d')}"
    )
    today = f"SELECT s.account_id, s.contact_id, {', '.join(NAMES)} FROM abm_contactstate AS s JOIN {at} AS j ON j.account_id = s.account_id WHERE {HERE.format(of='s')}"
    sums = ", ".join(f"CAST(SUM({name}) AS bigint) AS {name}" for name in NAMES)
    return f"SELECT account_id, contact_id, {sums} FROM ({today} UNION ALL {_summed(groups)}) AS parts GROUP BY 1, 2"


def _sum_up(groups: str, numbers: Numbers) -> int:
    return run(f"INSERT INTO job_shifted {_summed(groups)}", numbers.values)


def _summed(groups: str) -> str:
    sums = ", ".join(f"CAST(SUM(CASE WHEN term = {term} THEN worth ELSE 0 END) AS bigint) AS {name}" for term, name in enumerate(NAMES))
    return f"SELECT account_id, contact_id, {sums} FROM ({groups}) AS groups GROUP BY 1, 2"


def write(numbers: Numbers) -> None:
    """Add what was summed up to the sums that are kept; who is new gets a seat."""
    bulk.look_at("job_shifted")
    weight, roles = seat_of("n")
    run(
        "INSERT INTO abm_contactstate (account_id, contact_id, short, middle, long, weight, roles) "
        f"SELECT n.account_id, n.contact_id, n.short, n.middle, n.long, {weight}, {roles} FROM job_shifted AS n {SEATS.format(of='n')} "
        "WHERE true ORDER BY 1, 2 "
        "ON CONFLICT (account_id, contact_id) DO UPDATE SET short = abm_contactstate.short + excluded.short, "
        "middle = abm_contactstate.middle + excluded.middle, long = abm_contactstate.long + excluded.long",
        numbers.values,
    )


def clear(numbers: Numbers) -> None:
    """Let those go who did nothing that weighs anything any more; after their accounts were told."""
    run(
        "DELETE FROM abm_contactstate AS s WHERE short = 0 AND middle = 0 AND long = 0 "
        f"AND EXISTS (SELECT 1 FROM job_shifted AS n WHERE n.account_id = s.account_id AND n.contact_id = s.contact_id) AND {HERE.format(of='s')}",
        numbers.values,
    )
