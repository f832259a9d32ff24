"""With which weight and in which roles each person counts for an account today: roles change, people leave, deals close."""

from abm.states.jobs import look_at, run
from abm.states.weights import Numbers
from crm.models import DmuMembership, DmuRole

BITS = {str(role): 1 << place for place, role in enumerate(DmuRole.values)}


def hold(numbers: Numbers) -> None:
    """Write down who holds which roles at the job's accounts on the day."""
    held = DmuMembership.objects.at_work().held_on(numbers.day).order_by()
    chosen = held.extra(where=["crm_dmumembership.account_id IN (SELECT account_id FROM job_account)"])
    sql, values = chosen.values_list("account_id", "contact_id", "role").distinct().query.sql_with_params()
    weights = " ".join(f"WHEN '{role}' THEN {numbers.role_weight(role)}" for role in BITS)
    bits = " ".join(f"WHEN '{role}' THEN {bit}" for role, bit in BITS.items())
    run(
        f"INSERT INTO job_held SELECT account_id, contact_id, MAX(CASE role {weights} END), SUM(CASE role {bits} END) "
        f"FROM ({sql}) AS held GROUP BY 1, 2",
        values,
    )
    look_at("job_held")


SEATS = (
    "LEFT JOIN crm_contact AS c ON c.id = {of}.contact_id "
    "LEFT JOIN job_held AS h ON h.account_id = {of}.account_id AND h.contact_id = {of}.contact_id"
)


def seat_of(of: str) -> tuple[str, str]:
    """Write weight and roles of a person whose row is joined with SEATS; the statement gets the values of the numbers."""
    gone = f"{of}.contact_id > 0 AND c.left_on IS NOT NULL AND c.left_on <= %(day)s"
    weight = f"CASE WHEN {of}.contact_id = 0 THEN %(anonymous_weight)s WHEN {gone} THEN 0 ELSE COALESCE(h.weight, %(unknown_weight)s) END"
    roles = f"CASE WHEN {of}.contact_id = 0 OR {gone} THEN 0 ELSE COALESCE(h.roles, 0) END"
    return weight, roles


def seat(numbers: Numbers) -> int:
    """Give those another weight and other roles who changed role, left or came back; give how many."""
    run(
        "INSERT INTO job_candidate SELECT s.account_id, s.contact_id FROM abm_contactstate AS s JOIN job_account AS j ON j.account_id = s.account_id "
        "WHERE s.weight = 0 OR s.roles > 0 "
        "UNION SELECT account_id, contact_id FROM job_held "
        "UNION SELECT c.account_id, c.id FROM crm_contact AS c JOIN job_account AS j ON j.account_id = c.account_id WHERE c.left_on IS NOT NULL"
    )
    look_at("job_candidate")
    weight, roles = seat_of("s")
    changed = run(
        f"INSERT INTO job_seated SELECT s.account_id, s.contact_id, {weight}, {roles} FROM job_candidate AS o "
        f"JOIN abm_contactstate AS s ON s.account_id = o.account_id AND s.contact_id = o.contact_id {SEATS.format(of='s')} "
        f"WHERE s.weight <> {weight} OR s.roles <> {roles}",
        numbers.values,
    )
    if changed:
        look_at("job_seated")
        run(
            "UPDATE abm_contactstate AS s SET weight = n.weight, roles = n.roles FROM job_seated AS n "
            "WHERE s.account_id = n.account_id AND s.contact_id = n.contact_id"
        )
    return changed
