"""The BANT gate: which confirmations open a stage, or what is missing; pure, the database repeats it in GATE."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from crm import policy

THREE = ("budget", "authority", "timing")
# What an open deal in a gated stage rests on.
ASKED = {"opportunity": THREE, "proposal": (*THREE, "need")}


@dataclass(frozen=True)
class Held:
    """A confirmation that stands: when it was given, and whether who gave it holds the decider role now."""

    confirmed_at: datetime
    by_decider: bool = False


def is_stale(confirmed_at: datetime, at: datetime) -> bool:
    """Say whether a confirmation is too old to open a gate; counted in local days, the last day still counts."""
    return (policy.day_of(at) - policy.day_of(confirmed_at)).days > policy.BANT.stale_after_days


def stands(stage: str, kinds: Collection[str]) -> bool:
    """Say whether the kinds still confirmed carry a deal in this stage; age closes the next gate, but breaks none."""
    if stage not in ASKED:
        return True
    enough = sum(kind in kinds for kind in THREE) >= policy.BANT.needed_of_three
    return enough and ("need" not in ASKED[stage] or "need" in kinds)


def has_gone_stale(stage: str, confirmed: Mapping[str, datetime], at: datetime) -> bool:
    """Say whether a deal stands in its stage on what was confirmed too long ago; `confirmed` maps kind to the moment."""
    fresh = [kind for kind, moment in confirmed.items() if not is_stale(moment, at)]
    return stands(stage, confirmed) and not stands(stage, fresh)


def missing(
    stage: str,
    *,
    confirmations: Mapping[str, Held],
    amount: Decimal | None,
    close_on: date | None,
    has_account: bool,
    gate_broken: bool,
    at: datetime,
) -> list[str]:
    """List what keeps a deal out of a stage, as keys of errors.MISSING_SENTENCES; an empty list opens the gate.

    `confirmations` maps kind to the one that stands. `close_on` is the expected day for a proposal, the actual one for a won deal.
    """
    stale = {kind for kind, held in confirmations.items() if is_stale(held.confirmed_at, at)}
    found = [] if has_account else ["account"]
    if stage in ("opportunity", "proposal"):
        found += _two_of_three(confirmations, stale)
    if stage == "proposal":
        found += _one("need", confirmations, stale)
    if stage == "won":
        found += _still_decided(confirmations, stale, gate_broken)
    if stage in ("proposal", "won"):
        found += ["amount"] * (amount is None) + ["close_date"] * (close_on is None)
    return found


def _two_of_three(confirmations: Collection[str], stale: Collection[str]) -> list[str]:
    held = [kind for kind in THREE if kind in confirmations]
    fresh = [kind for kind in held if kind not in stale]
    if len(fresh) >= policy.BANT.needed_of_three:
        return []
    return ["two_of_three", *(f"{kind}_stale" for kind in held if kind in stale)]


def _one(kind: str, confirmations: Collection[str], stale: Collection[str]) -> list[str]:
    if kind not in confirmations:
        return [kind]
    return [f"{kind}_stale"] if kind in stale else []


def _still_decided(confirmations: Mapping[str, Held], stale: Collection[str], gate_broken: bool) -> list[str]:
    """Judge a signature: the decider's word must be fresh; what opened the earlier gates must stand, at whatever age."""
    found = ["gate_broken"] if gate_broken else []
    found += _two_of_three(confirmations, ()) + _one("need", confirmations, ()) + _one("authority", confirmations, stale)
    authority = confirmations.get("authority")
    return found + ["decider"] * (authority is not None and not authority.by_decider)
