"""The numbers of the journey: by which signs an account enters a phase, and how long they count."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from abm import policy
from crm.policy.own import number, table


@dataclass(frozen=True)
class Sign:
    """Evidence of a journey phase: at least so many activities of these kinds within so many days.

    Without kinds those of every kind; with roles only what people in these roles did, without them also anonymous visitors.
    """

    phase: str
    at_least: int
    within_days: int
    kinds: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


# More than opening a mail or looking at a page.
_SERIOUS = ("pricing_view", "download", "email_reply", "call_answered", "meeting", "form_demo_request")


def _signs() -> dict[str, Sign]:
    return {
        "noticed": Sign("dream", 1, 90),
        "reading": Sign("research", 4, 45, kinds=("page_view", "email_click")),
        "material": Sign("research", 1, 60, kinds=("download",)),
        "events": Sign("research", 1, 90, kinds=("webinar_attended", "event_visit")),
        "users": Sign("research", 3, 60, roles=("user", "influencer")),
        "meetings": Sign("consider", 1, 90, kinds=("meeting", "form_demo_request")),
        "talks": Sign("consider", 2, 60, kinds=("email_reply", "call_answered")),
        "prices": Sign("compare", 3, 45, kinds=("pricing_view",)),
        "buyer": Sign("compare", 2, 45, kinds=_SERIOUS, roles=("buyer",)),
        "decider": Sign("compare", 2, 45, kinds=_SERIOUS, roles=("decider",)),
    }


def _own_sign(code: str, sign: Sign, row: Any) -> Sign:
    """Give a sign with an organisation's numbers; raise ValueError for anything else."""
    if isinstance(row, Sign):
        return row
    name = f"JOURNEY.signs.{code}"
    own = table(name, row, known={"at_least", "within_days"})
    return replace(
        sign,
        at_least=number(f"{name}.at_least", own.get("at_least", sign.at_least), 1, 10_000, whole=True),
        within_days=number(f"{name}.within_days", own.get("within_days", sign.within_days), 1, policy.SCORING.window_days, whole=True),
    )


@dataclass(frozen=True)
class Journey:
    """When an account enters a phase of its journey. Source: the table of the journey in the playbook; the numbers are judgement.

    A phase is entered with as many of its signs as it needs, or by the stage of a deal. It is left only when its signs are
    gone for `linger_days` more, so that it does not change from day to day.
    """

    signs: Mapping[str, Sign] | None = None
    # How many of the three signs of comparing must be there; of the phases before it one is enough.
    compare_needs_signs: int = 2
    # The share of what is enough, from which a phase shows as the next one.
    begun_share: float = 0.5
    linger_days: int = 14
    # A deal that stood still for longer says nothing; as long as a confirmation counts at its gate.
    deal_days: int = 180
    # Buying lasts so long after a deal is won; then they use what they bought.
    bought_days: int = 60
    # Who bought this lately buys again, also when nobody recorded them as customer.
    customer_days: int = 730

    def __post_init__(self) -> None:
        """Accept signs as an organisation writes them in JSON: by name, the numbers that differ."""
        signs = _signs()
        own = table("JOURNEY.signs", self.signs or {}, known=signs.keys())
        object.__setattr__(self, "signs", signs | {code: _own_sign(code, signs[code], row) for code, row in own.items()})

    def needed(self, phase: str) -> int:
        """Give how many signs a phase needs."""
        return self.compare_needs_signs if phase == "compare" else 1

    def of_phase(self, phase: str) -> dict[str, Sign]:
        """Give the signs of a phase by name."""
        return {code: sign for code, sign in (self.signs or {}).items() if sign.phase == phase}

    def begun_from(self, sign: Sign) -> int:
        """Give how many activities show that a phase begins."""
        return max(1, math.ceil(sign.at_least * self.begun_share))
