"""The paths of this database's closed deals, put together by the database: equal paths come as one, with a count."""

from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min, OuterRef, Q, QuerySet, Subquery

from abm.attribution.paths import Path
from crm import activity_kinds
from crm.models import DmuRole, Opportunity, Stage, StageMove

BY_CHANNEL, BY_KIND, BY_ROLE = "channel", "kind", "role"
UNKNOWN = "unknown"
# Of several roles the one that says most.
WEIGHTIEST = (DmuRole.DECIDER, DmuRole.BUYER, DmuRole.INFLUENCER, DmuRole.USER, DmuRole.INITIATOR)
NEXT, MOMENT = "|", "@"


def read(
    deals: QuerySet[Opportunity],
    *,
    model: str,
    by: str = BY_CHANNEL,
    currency: str = "EUR",
    first: date | None = None,
    last: date | None = None,
) -> list[Path]:
    """Give the paths of the deals that were closed in a period, in the detail that a model needs; one statement.

    A touch is what somebody did at the deal's account until it was closed: neither our own work nor a machine's, nor
    what belongs to another deal. Where it is only known on which day the deal was closed, that whole day counts.
    """
    inner, values = _closed(deals, currency, first, last).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_statement(inner, model, by), values)
        return [_path(row, timed=model == "time_decay") for row in cursor.fetchall()]


def currencies(deals: QuerySet[Opportunity]) -> list[str]:
    """Give the currencies of closed deals, the commonest first."""
    counted = deals.filter(stage__in=(Stage.WON, Stage.LOST)).order_by().values_list("currency").annotate(count=Count("pk"))
    return [currency for currency, _count in sorted(counted, key=lambda row: (-row[1], row[0]))]


def _closed(deals: QuerySet[Opportunity], currency: str, first: date | None, last: date | None) -> QuerySet[Opportunity, Any]:
    """Give id, account, stage, amount, day and moment of the close, and when lead and opportunity began."""
    moves = StageMove.objects.filter(opportunity=OuterRef("pk")).order_by().values("opportunity")
    within = Q(stage__in=(Stage.WON, Stage.LOST), account__isnull=False, currency=currency)
    within &= Q(closed_on__gte=first) if first else Q()
    within &= Q(closed_on__lte=last) if last else Q()
    return (
        deals.filter(within)
        .order_by()
        .values_list("pk", "account_id", "stage", "amount", "closed_on")
        .annotate(
            closed_at=Subquery(moves.filter(to_stage=OuterRef("stage")).annotate(at=Max("moved_at")).values("at")),
            lead_at=Subquery(moves.annotate(at=Min("moved_at")).values("at")),
            opportunity_at=Subquery(moves.filter(to_stage=Stage.OPPORTUNITY).annotate(at=Min("moved_at")).values("at")),
        )
    )


def _statement(deals: str, model: str, by: str) -> str:
    """Put the statement together, of names and numbers of our own; what a user gave stands in `deals` as parameters."""
    ours = ", ".join(f"'{kind}'" for kind in sorted(activity_kinds.OURS_KINDS))
    step = {BY_CHANNEL: _channel, BY_KIND: _kind, BY_ROLE: _role}[by]()
    if model == "time_decay":
        step = f"{step} || '{MOMENT}' || {_seconds()}"
    peaks = "lead, chance" if model == "w_shaped" else "1, 1"
    return f"""
        WITH deal (id, account_id, stage, amount, closed_on, closed_at, lead_at, chance_at) AS ({deals}),
        touch AS (
            SELECT d.id, a.occurred_at, a.id AS number, {step} AS step,
                CASE WHEN a.occurred_at <= d.lead_at THEN 1 ELSE 0 END AS lead,
                CASE WHEN a.occurred_at <= d.chance_at THEN 1 ELSE 0 END AS chance
            FROM deal AS d JOIN crm_activity AS a ON a.account_id = d.account_id
            WHERE a.machine_reason = '' AND a.kind NOT IN ({ours}) AND (a.opportunity_id IS NULL OR a.opportunity_id = d.id)
                AND (a.occurred_at <= d.closed_at OR (d.closed_at IS NULL AND a.day <= d.closed_on))
        ),
        way AS ({_ways()})
        SELECT w.steps, {peaks}, d.stage, COUNT(*), SUM(d.amount)
        FROM deal AS d LEFT JOIN way AS w ON w.id = d.id GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    """


def _ways() -> str:
    """Chain the touches of each deal in their order; older versions of SQLite keep an order in windows only."""
    if connection.vendor == "postgresql":
        chained = f"string_agg(step, '{NEXT}' ORDER BY occurred_at, number)"
        return f"SELECT id, {chained} AS steps, SUM(lead) AS lead, SUM(chance) AS chance FROM touch GROUP BY id"
    whole = "PARTITION BY id ORDER BY occurred_at, number ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
    columns = f"group_concat(step, '{NEXT}') OVER whole AS steps, SUM(lead) OVER whole AS lead, SUM(chance) OVER whole AS chance"
    numbered = "row_number() OVER (PARTITION BY id ORDER BY occurred_at, number) AS place"
    return (
        f"SELECT id, steps, lead, chance FROM (SELECT id, {columns}, {numbered} FROM touch WINDOW whole AS ({whole})) AS t WHERE place = 1"
    )


def _kind() -> str:
    return "a.kind"


def _channel() -> str:
    cases = " ".join(f"WHEN '{name}' THEN '{kind.channel}'" for name, kind in activity_kinds.KINDS.items() if not kind.is_ours)
    return f"CASE a.kind {cases} ELSE a.kind END"


def _role() -> str:
    """Give the weightiest role that the person held for this deal, or for the account, by the day of its close."""
    rank = " ".join(f"WHEN '{role}' THEN {place}" for place, role in enumerate(WEIGHTIEST))
    held = (
        "SELECT m.role FROM crm_dmumembership AS m WHERE m.contact_id = a.contact_id AND m.end_reason <> 'mistaken' "
        "AND (m.opportunity_id IS NULL OR m.opportunity_id = d.id) AND (d.closed_on IS NULL OR m.since <= d.closed_on) "
        f"ORDER BY CASE m.role {rank} END, m.id LIMIT 1"
    )
    return f"COALESCE(({held}), '{UNKNOWN}')"


def _seconds() -> str:
    if connection.vendor == "postgresql":
        return "EXTRACT(EPOCH FROM a.occurred_at)"
    return "((julianday(a.occurred_at) - 2440587.5) * 86400)"


def _path(row: tuple[Any, ...], *, timed: bool) -> Path:
    """Make a path of a row: the chain of its steps, touches until lead and opportunity began, stage, deals and their amount."""
    chain, leads, chances, stage, deals, amount = row
    steps = chain.split(NEXT) if chain else []
    moments = [float(step.rpartition(MOMENT)[2]) for step in steps] if timed else []
    return Path(
        steps=tuple(step.rpartition(MOMENT)[0] for step in steps) if timed else tuple(steps),
        is_won=stage == Stage.WON,
        deals=deals,
        value=round(Decimal(str(amount or 0)), 2),
        # Before the last touch, not the close: in shares of one whole that is the same.
        days_before=tuple((moments[-1] - moment) / 86_400 for moment in moments) if timed else None,
        lead=max((leads or 0) - 1, 0),
        opportunity=max((chances or 0) - 1, 0),
    )
