"""The path of a closed deal: what happened at its account until then, in order; equal paths are one with a count."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Path:
    """The touches of closed deals that went the same way, the first one first; without steps nothing is known of them.

    `value` is that of all these deals together. `days_before` tells of each touch how many days before the close it was.
    `lead` and `opportunity` are the positions of the touches with which the lead and the opportunity began.
    """

    steps: tuple[str, ...]
    is_won: bool
    deals: int = 1
    value: Decimal = Decimal(0)
    days_before: tuple[float, ...] | None = None
    lead: int | None = None
    opportunity: int | None = None
