"""Deals by the way that they went: stage and day of each move, as an import would leave them."""

from datetime import date, datetime, time
from typing import Any

from crm import policy
from crm.models import Opportunity, StageMove
from tests.factories.crm import OpportunityFactory

CLOSED = ("won", "lost")


def midday(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(12), tzinfo=policy.ZONE)


def deal(*steps: tuple[str, str | None], **facts: Any) -> Opportunity:
    """Make a deal that moved into these stages on these days, e.g. deal(("mql", "2026-01-05"), ("sql", "2026-01-09"))."""
    stage, on = steps[-1]
    closed = {"closed_on": on} if stage in CLOSED else {}
    made = OpportunityFactory(stage=stage, imported_stage=stage, **({"amount": 1000, "currency": "EUR"} | closed | facts))
    before = ""
    for to, day in steps:
        moved_at = midday(day) if day else None
        StageMove.objects.create(opportunity=made, from_stage=before, to_stage=to, moved_at=moved_at, is_imported=True)
        before = to
    return made
