"""From activities and their change queue to day counts."""

from django.db import connection

from abm.states.jobs import HERE, run
from abm.states.weights import Numbers
from crm import activity_kinds, bulk
from crm.models import ActivityChange

# What we did ourselves says nothing, and a change without a kind asks for a count.
NOT_COUNTED = ", ".join(f"'{kind}'" for kind in sorted({*activity_kinds.OURS_KINDS, ActivityChange.COUNT_ANEW}))
SAME_GROUP = "d.account_id = m.account_id AND d.contact_id = m.contact_id AND d.day = m.day AND d.kind = m.kind"


def claim(numbers: Numbers) -> int:
    """Take the changes of the job's accounts off the queue, up to the day, and write the day counts; give how many groups moved.

    A change of a writer who has not committed is not seen, and stays for the next job.
    """
    due = "q.account_id IN (SELECT account_id FROM job_account) AND q.day <= %(day)s"
    if connection.vendor == "postgresql":
        taken = f"DELETE FROM crm_activitychange AS q WHERE {due} RETURNING q.account_id, q.contact_id, q.day, q.kind, q.delta"
        moved = run(f"WITH taken AS ({taken}) " + _moved("taken"), {"day": numbers.day})
    else:
        moved = run(_moved(f"(SELECT * FROM crm_activitychange AS q WHERE {due}) AS taken"), {"day": numbers.day})
        run(f"DELETE FROM crm_activitychange AS q WHERE {due}", {"day": numbers.day})
    if moved:
        bulk.look_at("job_moved")
        run(
            "INSERT INTO abm_daycount (account_id, contact_id, day, kind, count) "
            "SELECT account_id, contact_id, day, kind, after_n FROM job_moved WHERE after_n > 0 ORDER BY 1, 2, 3, 4 "
            "ON CONFLICT (account_id, contact_id, day, kind) DO UPDATE SET count = excluded.count"
        )
        run(f"DELETE FROM abm_daycount AS d WHERE EXISTS (SELECT 1 FROM job_moved AS m WHERE m.after_n <= 0 AND {SAME_GROUP})")
    return moved


def _moved(source: str) -> str:
    """Insert the groups that moved, with how often before and after."""
    changes = f"SELECT account_id, COALESCE(contact_id, 0) AS contact_id, day, kind, SUM(delta) AS n FROM {source} WHERE kind NOT IN ({NOT_COUNTED})"
    return (
        "INSERT INTO job_moved SELECT m.account_id, m.contact_id, m.day, m.kind, COALESCE(d.count, 0), COALESCE(d.count, 0) + m.n "
        f"FROM ({changes} GROUP BY 1, 2, 3, 4 HAVING SUM(delta) <> 0) AS m LEFT JOIN abm_daycount AS d ON {SAME_GROUP}"
    )


# Of a stale account, and of a day whose activities are all there.
_COUNTABLE = (
    "EXISTS (SELECT 1 FROM job_stale AS j JOIN abm_statemark AS k ON k.account_id = j.account_id "
    "WHERE j.account_id = {of}.account_id AND (k.kept_from IS NULL OR {of}.day >= k.kept_from))"
)


def recount(numbers: Numbers) -> int:
    """Count the stale accounts of the job anew from their activities; give the number of day counts.

    The queue is emptied by the statement that counts: both see the same moment, so that what a writer commits in
    between is counted once, now or later. Days whose activities were let go of keep their counts; what is in the queue
    for such a day is left to `claim`.
    """
    run(f"DELETE FROM abm_daycount AS d WHERE {_COUNTABLE.format(of='d')} AND {HERE.format(of='d')}", numbers.values)
    asked = f"kind = '{ActivityChange.COUNT_ANEW}' AND account_id IN (SELECT account_id FROM job_stale)"
    due = f"DELETE FROM crm_activitychange AS q WHERE day <= %(day)s AND ({_COUNTABLE.format(of='q')} OR {asked})"
    counted = (
        "INSERT INTO abm_daycount (account_id, contact_id, day, kind, count) "
        "SELECT account_id, COALESCE(contact_id, 0), day, kind, COUNT(*) FROM crm_activity AS a "
        f"WHERE {_COUNTABLE.format(of='a')} AND {HERE.format(of='a')} AND day <= %(day)s AND machine_reason = '' AND kind NOT IN ({NOT_COUNTED}) "
        # In the order of the index that holds them, or all of them would be sorted.
        "GROUP BY account_id, day, contact_id, kind ORDER BY account_id, day, a.contact_id, kind"
    )
    if connection.vendor == "postgresql":
        number = run(f"WITH counted_already AS ({due}) {counted}", numbers.values)
        bulk.look_at_grown("abm_daycount", by=number)
        return number
    run(due, numbers.values)
    return run(counted, numbers.values)
