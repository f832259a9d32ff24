"""The phases of many accounts in one statement, as `abm.journey.rules` says them of one; PostgreSQL and SQLite read the same."""

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import connection

from abm import policy
from abm.journey.rules import BY_SIGNS, Facts, Placed, latest_out, phase_of_deal
from abm.models import Phase
from abm.policy.journey import Sign
from crm import policy as crm_policy
from crm.models import Account, DmuMembership, Stage
from crm.models.opportunities import OPEN_STAGES


class Found(NamedTuple):
    """An account with its facts: where it was, where it is, and where it was when today's change began, if there was one."""

    account_id: int
    facts: Facts
    before: Placed
    # None: it was never placed.
    since: date | None
    now: Placed
    changed_from: Placed | None
    stayed_days: int | None


def changed(account_ids: Collection[int], *, day: date) -> list[Found]:
    """Find those of these accounts that are elsewhere than they were; one that changed on a later day already is left alone."""
    moved = "(phase <> before_phase OR overlap <> before_overlap) AND (changed_on IS NULL OR changed_on <= %(day)s)"
    return list(_read(f"{_placed()} WHERE {moved} ORDER BY account_id", account_ids, day=day))


def found(account_id: int, *, day: date) -> Found | None:
    """Give the facts of one account and where they put it; None if there is no such account."""
    return next(_read(_placed(), [account_id], day=day), None)


def _read(sql: str, account_ids: Collection[int], *, day: date) -> Iterator[Found]:
    held, values = _held(day)
    with connection.cursor() as cursor:
        cursor.execute(sql.replace("{held}", held), values | _values(account_ids, day))
        names = [column[0] for column in cursor.description]
        for row in cursor.fetchall():
            yield _found(dict(zip(names, row, strict=True)))


def _found(row: Mapping[str, Any]) -> Found:
    known = Facts(
        counts={code: (int(row[f"n_{code}"]), int(row[f"w_{code}"])) for code in policy.JOURNEY.signs or {}},
        status=row["status"],
        deal=int(row["deal"]),
        is_signing=bool(row["signing"]),
        won_on=_day(row["won_on"]),
        first_won_on=_day(row["first_won_on"]),
    )
    return Found(
        account_id=row["account_id"],
        facts=known,
        before=Placed(row["before_phase"], row["before_overlap"]),
        since=_day(row["since"]),
        now=Placed(row["phase"], row["overlap"]),
        changed_from=None if row["from_phase"] is None else Placed(row["from_phase"], row["from_overlap"]),
        stayed_days=row["stayed_days"],
    )


def _day(value: Any) -> date | None:
    """Read a day; SQLite gives what it computes as text."""
    return date.fromisoformat(str(value)) if value else None


# --- values ------------------------------------------------------------------------------------------


def _values(account_ids: Collection[int], day: date) -> dict[str, Any]:
    """Give what the statement asks for by name: the accounts as one value, days, and how many of a sign are enough."""
    ids = list(account_ids)
    signs = policy.JOURNEY.signs or {}
    values: dict[str, Any] = {"ids": ids if connection.vendor == "postgresql" else json.dumps(ids), "day": day}
    for code, sign in signs.items():
        values[f"n_{code}"], values[f"w_{code}"] = latest_out(sign, day)
    values["first"] = min((latest_out(sign, day)[1] for sign in signs.values()), default=day)
    values["bought_since"] = day - timedelta(days=policy.JOURNEY.bought_days)
    values["customer_since"] = day - timedelta(days=policy.JOURNEY.customer_days)
    values["deal_since"] = _start_of(day - timedelta(days=policy.JOURNEY.deal_days - 1))
    values["deal_until"] = _start_of(day + timedelta(days=1))
    return values


def _start_of(day: date) -> Any:
    """Give the first moment of a local day as the database compares moments."""
    moment = datetime.combine(day, time.min, tzinfo=crm_policy.ZONE).astimezone(UTC)
    return connection.ops.adapt_datetimefield_value(moment)


def _among() -> str:
    """Write the accounts asked for as one value, however many."""
    return "= ANY(%(ids)s)" if connection.vendor == "postgresql" else "IN (SELECT value FROM json_each(%(ids)s))"


def _held(day: date) -> tuple[str, dict[str, Any]]:
    """Select who holds which role, by the rule that the score asks, too; give the statement and its values by name."""
    rows = DmuMembership.objects.at_work().held_on(day).order_by().values_list("account_id", "contact_id", "role")
    sql, values = rows.query.sql_with_params()
    named = {f"held_{number}": value for number, value in enumerate(values)}
    return sql % tuple(f"%({name})s" for name in named), named


# --- the statement -----------------------------------------------------------------------------------


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _roles() -> str:
    """Select for each person which signs count what the person does."""
    holds = [
        f"MAX(CASE WHEN m.role IN ({_listed(sign.roles)}) THEN 1 ELSE 0 END) AS as_{code}"
        for code, sign in (policy.JOURNEY.signs or {}).items()
        if sign.roles
    ]
    columns = ", ".join(["m.account_id", "m.contact_id", *holds])
    return f"SELECT {columns} FROM ({{held}}) AS m WHERE m.account_id {_among()} GROUP BY 1, 2"


def _did() -> str:
    """Select how often each sign was given, in its days and in those that it lingers."""
    columns = [f"{_sum(code, sign, days)} AS {days}_{code}" for code, sign in (policy.JOURNEY.signs or {}).items() for days in "nw"]
    return (
        f"SELECT d.account_id, {', '.join(columns)} FROM abm_daycount AS d LEFT JOIN crm_contact AS c ON c.id = d.contact_id "
        "LEFT JOIN roles AS h ON h.account_id = d.account_id AND h.contact_id = d.contact_id "
        f"WHERE d.account_id {_among()} AND d.day > %(first)s AND d.day <= %(day)s "
        "AND (d.contact_id = 0 OR c.left_on IS NULL OR c.left_on > %(day)s) GROUP BY 1"
    )


def _sum(code: str, sign: Sign, days: str) -> str:
    conditions = [f"d.day > %({days}_{code})s"]
    if sign.kinds:
        conditions.append(f"d.kind IN ({_listed(sign.kinds)})")
    if sign.roles:
        conditions.append(f"h.as_{code} = 1")
    return f"SUM(CASE WHEN {' AND '.join(conditions)} THEN d.count ELSE 0 END)"


def _deals() -> str:
    """Select what the open deals show that moved lately, and when deals were won."""
    live = f"o.stage IN ({_listed(OPEN_STAGES)}) AND o.stage_since >= %(deal_since)s AND o.stage_since < %(deal_until)s"
    stages = " ".join(f"WHEN '{stage}' THEN {phase_of_deal(stage).value}" for stage in OPEN_STAGES)
    authority = "SELECT 1 FROM crm_confirmation AS f WHERE f.opportunity_id = o.id AND f.kind = 'authority' AND f.withdrawn_at IS NULL"
    won = f"CASE WHEN o.stage = '{Stage.WON}' AND o.closed_on <= %(day)s THEN o.closed_on END"
    return (
        f"SELECT o.account_id, MAX(CASE WHEN {live} THEN CASE o.stage {stages} ELSE 0 END ELSE 0 END) AS deal, "
        f"MAX(CASE WHEN {live} AND o.stage = '{Stage.PROPOSAL}' AND EXISTS ({authority}) THEN 1 ELSE 0 END) AS signing, "
        f"MAX({won}) AS won_on, MIN({won}) AS first_won_on "
        f"FROM crm_opportunity AS o WHERE o.account_id {_among()} AND o.stage IN ({_listed((*OPEN_STAGES, Stage.WON))}) GROUP BY 1"
    )


def _facts() -> str:
    """Select one row for each account: what is known of it, where it was, and today's change if there was one."""
    counts = ", ".join(f"COALESCE(did.{days}_{code}, 0) AS {days}_{code}" for code in policy.JOURNEY.signs or {} for days in "nw")
    return (
        f"SELECT a.id AS account_id, a.status, {counts}, COALESCE(deals.deal, 0) AS deal, COALESCE(deals.signing, 0) AS signing, "
        "deals.won_on, deals.first_won_on, COALESCE(p.phase, 0) AS before_phase, COALESCE(p.overlap, 0) AS before_overlap, "
        "p.since, p.changed_on, t.from_phase, t.from_overlap, t.stayed_days "
        "FROM crm_account AS a LEFT JOIN did ON did.account_id = a.id LEFT JOIN deals ON deals.account_id = a.id "
        "LEFT JOIN abm_journeyplacement AS p ON p.account_id = a.id "
        f"LEFT JOIN abm_phasechange AS t ON t.account_id = a.id AND t.day = %(day)s WHERE a.id {_among()}"
    )


def _placed() -> str:
    """Select the facts with the phase and its overlap."""
    with_phase = f"SELECT f.*, {_phase()} AS phase FROM ({_facts()}) AS f"
    return (
        f"WITH roles AS ({_roles()}), did AS ({_did()}), deals AS ({_deals()}) "
        f"SELECT * FROM (SELECT g.*, {_overlap()} AS overlap FROM ({with_phase}) AS g) AS placed"
    )


def _is_there(phase: Phase, days: str) -> str:
    signs = policy.JOURNEY.of_phase(phase.code)
    found = " + ".join(f"CASE WHEN {days}_{code} >= {sign.at_least} THEN 1 ELSE 0 END" for code, sign in signs.items())
    return f"({found}) >= {policy.JOURNEY.needed(phase.code)}"


def _has_begun(phase: Phase, days: str) -> str:
    signs = policy.JOURNEY.of_phase(phase.code)
    return "(" + " OR ".join(f"{days}_{code} >= {policy.JOURNEY.begun_from(sign)}" for code, sign in signs.items()) + ")"


def _phase() -> str:
    by_signs = " ".join(
        f"WHEN deal >= {phase.value} OR {_is_there(phase, 'n')} OR (before_phase >= {phase.value} AND {_is_there(phase, 'w')}) THEN {phase.value}"
        for phase in BY_SIGNS
    )
    customer, prospect = Account.Status.CUSTOMER, Account.Status.PROSPECT
    return (
        f"CASE WHEN status = '{Account.Status.COMPETITOR}' THEN {Phase.NONE.value} "
        f"WHEN won_on > %(bought_since)s THEN {Phase.BUY.value} "
        f"WHEN status = '{customer}' OR (status = '{prospect}' AND won_on > %(customer_since)s) THEN {Phase.REPEAT.value} "
        f"{by_signs} ELSE {Phase.NONE.value} END"
    )


def _overlap() -> str:
    buys_again = f"CASE WHEN status = '{Account.Status.CUSTOMER}' OR first_won_on <= %(bought_since)s THEN {Phase.REPEAT.value} ELSE 0 END"
    signing = f"CASE WHEN signing = 1 THEN {Phase.BUY.value} ELSE"
    following = " ".join(
        f"WHEN phase = {phase.value - 1} THEN CASE WHEN {_has_begun(phase, 'n')} "
        f"OR ((before_overlap = {phase.value} OR before_phase >= {phase.value}) AND {_has_begun(phase, 'w')}) THEN {phase.value} ELSE 0 END"
        for phase in BY_SIGNS
    )
    return (
        f"CASE WHEN status = '{Account.Status.COMPETITOR}' THEN 0 WHEN phase = {Phase.REPEAT.value} THEN {signing} deal END "
        f"WHEN phase = {Phase.BUY.value} THEN {buys_again} WHEN phase = {Phase.COMPARE.value} THEN {signing} 0 END {following} ELSE 0 END"
    )
