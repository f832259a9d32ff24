"""With which weight and in which roles each person counts for an account today: roles change, people leave, deals close."""

from datetime import datetime

from django.db import connection

from abm.states.jobs import run
from abm.states.weights import Numbers
from crm import bulk
from crm.models import Contact, DmuMembership, DmuRole, Opportunity

BITS = {str(role): 1 << place for place, role in enumerate(DmuRole.values)}


def find_due(*, since: datetime) -> None:
    """Choose at which of the job's accounts people may sit otherwise than when they were last worked on.

    Where something moved, where a role or a job begins or ends by its date, and where the history tells of a change
    `since` then: whoever listens to events may have missed one.
    """
    here = "FROM {table} AS t JOIN job_account AS j ON j.account_id = t.account_id"
    dated = here + " JOIN abm_statemark AS k ON k.account_id = t.account_id WHERE "
    parts = ["SELECT account_id FROM job_moved", "SELECT account_id FROM job_stale"]
    parts += [f"SELECT t.account_id {dated.format(table='crm_dmumembership')} (t.since >= k.last_day OR t.until >= k.last_day)"]
    parts += [f"SELECT t.account_id {dated.format(table='crm_contact')} t.left_on >= k.last_day"]
    told = [model.history.model._meta.db_table for model in (DmuMembership, Contact, Opportunity)]
    parts += [f"SELECT t.account_id {here.format(table=table)} WHERE t.history_date >= %(since)s" for table in told]
    values = {"since": connection.ops.adapt_datetimefield_value(since)}
    run(f"INSERT INTO job_due {' UNION '.join(parts)}", values)
    bulk.look_at("job_due")
    # Another size asks for other roles, also of the score of a week ago.
    sizes = "SELECT id FROM crm_historicalaccount WHERE history_date >= %(since)s"
    run(f"INSERT INTO job_unsettled SELECT account_id FROM job_account WHERE account_id IN ({sizes})", values)


def hold(numbers: Numbers, *, at: str = "job_due") -> None:
    """Write down who holds which roles on the day at the accounts of a table of the job."""
    held = DmuMembership.objects.at_work().held_on(numbers.day).order_by()
    chosen = held.extra(where=[f"crm_dmumembership.account_id IN (SELECT account_id FROM {at})"])  # noqa: S610  a name of ours
    sql, values = chosen.values_list("account_id", "contact_id", "role").distinct().query.sql_with_params()
    weights = " ".join(f"WHEN '{role}' THEN {numbers.role_weight(role)}" for role in BITS)
    bits = " ".join(f"WHEN '{role}' THEN {bit}" for role, bit in BITS.items())
    run("DELETE FROM job_held")
    run(
        f"INSERT INTO job_held SELECT account_id, contact_id, MAX(CASE role {weights} END), SUM(CASE role {bits} END) "
        f"FROM ({sql}) AS held GROUP BY 1, 2",
        values,
    )
    bulk.look_at("job_held")


# Of contacts only those who are gone: they are few, and an index holds them.
SEATS = (
    "LEFT JOIN crm_contact AS c ON c.id = {of}.contact_id AND c.left_on <= %(day)s "
    "LEFT JOIN job_held AS h ON h.account_id = {of}.account_id AND h.contact_id = {of}.contact_id"
)


def seat_of(of: str) -> tuple[str, str]:
    """Write weight and roles of a person whose row is joined with SEATS; the statement gets the values of the numbers."""
    weight = f"CASE WHEN {of}.contact_id = 0 THEN %(anonymous_weight)s WHEN c.id IS NOT NULL THEN 0 ELSE COALESCE(h.weight, %(unknown_weight)s) END"
    roles = f"CASE WHEN {of}.contact_id = 0 OR c.id IS NOT NULL THEN 0 ELSE COALESCE(h.roles, 0) END"
    return weight, roles


def seat(numbers: Numbers) -> int:
    """Give those another weight and other roles who changed role, left or came back; give how many."""
    weight, roles = seat_of("s")
    changed = run(
        f"INSERT INTO job_seated SELECT s.account_id, s.contact_id, {weight}, {roles}, s.weight, s.roles FROM job_due AS j "
        f"JOIN abm_contactstate AS s ON s.account_id = j.account_id {SEATS.format(of='s')} "
        f"WHERE s.weight <> {weight} OR s.roles <> {roles}",
        numbers.values,
    )
    if changed:
        bulk.look_at("job_seated")
        run(
            "UPDATE abm_contactstate AS s SET weight = n.weight, roles = n.roles FROM job_seated AS n "
            "WHERE s.account_id = n.account_id AND s.contact_id = n.contact_id"
        )
    return changed
