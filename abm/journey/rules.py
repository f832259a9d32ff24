"""Which phase an account is in, from plain values: the furthest with enough evidence, and the next one when it has begun.

`abm.journey.statements` says the same for many accounts at once; a test compares the two.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

from abm import policy
from abm.models.journey import BY_CODE, PHASES, Phase
from abm.policy.journey import Sign
from crm.models import Account, Stage
from crm.models.opportunities import OPEN_STAGES

# Those that follow from what people do; buying and buying again follow from deals.
BY_SIGNS = (Phase.COMPARE, Phase.CONSIDER, Phase.RESEARCH, Phase.DREAM)


class Placed(NamedTuple):
    """A phase, and the one that overlaps with it; 0 stands for none."""

    phase: int = Phase.NONE
    overlap: int = Phase.NONE


class Done(NamedTuple):
    """How often somebody, or as 0 the anonymous visitors, did one kind of thing on a day."""

    contact_id: int
    day: date
    kind: str
    times: int


class Deal(NamedTuple):
    """A deal: its stage, since when, and whether somebody's confirmation of the authority stands."""

    stage: str
    since: date | None = None
    closed_on: date | None = None
    has_authority: bool = False


@dataclass(frozen=True)
class Facts:
    """What the phase of an account follows from."""

    # Per sign how often within its days, and within the days that it lingers, too.
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    status: str = Account.Status.PROSPECT
    # The furthest phase that an open deal shows; 0: none.
    deal: int = Phase.NONE
    is_signing: bool = False
    won_on: date | None = None
    first_won_on: date | None = None


def phase_of_deal(stage: str) -> Phase:
    """Give the phase that a deal of this stage shows; none of a lost one."""
    return BY_CODE[policy.PHASE_OF_STAGE.get(stage, "none")]


def facts(
    done: Iterable[Done],
    *,
    roles: Mapping[int, Collection[str]],
    left_on: Mapping[int, date],
    status: str,
    deals: Iterable[Deal],
    day: date,
) -> Facts:
    """Count what happened up to a day; who has left counts nothing, as in the score."""
    here = [one for one in done if one.day <= day and left_on.get(one.contact_id, date.max) > day]
    counts = {code: _counted(sign, here, roles, day) for code, sign in (policy.JOURNEY.signs or {}).items()}
    sold = list(deals)
    won = sorted(deal.closed_on for deal in sold if deal.stage == Stage.WON and deal.closed_on and deal.closed_on <= day)
    live = [deal for deal in sold if deal.stage in OPEN_STAGES and deal.since and 0 <= (day - deal.since).days < policy.JOURNEY.deal_days]
    return Facts(
        counts=counts,
        status=status,
        deal=max((phase_of_deal(deal.stage) for deal in live), default=Phase.NONE),
        is_signing=any(deal.stage == Stage.PROPOSAL and deal.has_authority for deal in live),
        won_on=won[-1] if won else None,
        first_won_on=won[0] if won else None,
    )


def _counted(sign: Sign, done: Iterable[Done], roles: Mapping[int, Collection[str]], day: date) -> tuple[int, int]:
    fitting = [
        one
        for one in done
        if (not sign.kinds or one.kind in sign.kinds) and (not sign.roles or set(sign.roles) & set(roles.get(one.contact_id, ())))
    ]
    first, earliest = latest_out(sign, day)
    return sum(one.times for one in fitting if one.day > first), sum(one.times for one in fitting if one.day > earliest)


def latest_out(sign: Sign, day: date) -> tuple[date, date]:
    """Give the last day that is too long ago for a sign, and the last one that is so also while it lingers."""
    first = day - timedelta(days=sign.within_days)
    return first, first - timedelta(days=policy.JOURNEY.linger_days)


def place(known: Facts, before: Placed, *, day: date) -> Placed:
    """Say where an account is that was somewhere before: it goes on at once, and back when nothing holds it there."""
    phase = _phase(known, before, day=day)
    return Placed(phase, _overlap(known, before, phase, day=day))


def _phase(known: Facts, before: Placed, *, day: date) -> Phase:
    if known.status == Account.Status.COMPETITOR:
        return Phase.NONE
    if _has_won(known, day, policy.JOURNEY.bought_days):
        return Phase.BUY
    is_prospect = known.status == Account.Status.PROSPECT
    if known.status == Account.Status.CUSTOMER or (is_prospect and _has_won(known, day, policy.JOURNEY.customer_days)):
        return Phase.REPEAT
    shown = (phase for phase in BY_SIGNS if known.deal >= phase or _is_there(known, phase, lingers=before.phase >= phase))
    return next(shown, Phase.NONE)


def _has_won(known: Facts, day: date, within_days: int) -> bool:
    return known.won_on is not None and known.won_on > day - timedelta(days=within_days)


def _is_there(known: Facts, phase: Phase, *, lingers: bool) -> bool:
    signs = policy.JOURNEY.of_phase(phase.code)
    found = [code for code, sign in signs.items() if known.counts.get(code, (0, 0))[lingers] >= sign.at_least]
    return len(found) >= policy.JOURNEY.needed(phase.code)


def _overlap(known: Facts, before: Placed, phase: Phase, *, day: date) -> Phase:
    if known.status == Account.Status.COMPETITOR:
        return Phase.NONE
    if phase == Phase.REPEAT:
        return Phase.BUY if known.is_signing else Phase(known.deal)
    if phase == Phase.BUY:
        return Phase.REPEAT if known.status == Account.Status.CUSTOMER or _bought_before(known, day) else Phase.NONE
    if phase == Phase.COMPARE:
        return Phase.BUY if known.is_signing else Phase.NONE
    following = Phase(phase + 1)
    lingers = before.overlap == following or before.phase >= following
    return following if _has_begun(known, following, lingers=lingers) else Phase.NONE


def _bought_before(known: Facts, day: date) -> bool:
    return known.first_won_on is not None and known.first_won_on <= day - timedelta(days=policy.JOURNEY.bought_days)


def _has_begun(known: Facts, phase: Phase, *, lingers: bool) -> bool:
    signs = policy.JOURNEY.of_phase(phase.code)
    return any(known.counts.get(code, (0, 0))[lingers] >= policy.JOURNEY.begun_from(sign) for code, sign in signs.items())


def evidence(known: Facts, placed: Placed) -> list[dict[str, Any]]:
    """Give what shows a phase and its overlap, as codes and numbers; `abm.journey.words` says them."""
    return [row for phase in placed if phase for row in (*_of_deals(known, Phase(phase)), *_of_signs(known, Phase(phase)))]


def _of_signs(known: Facts, phase: Phase) -> Iterable[dict[str, Any]]:
    """Give the signs of a phase that say something: in the days of the sign, else in those that it lingers."""
    for code, sign in policy.JOURNEY.of_phase(phase.code).items():
        lately, longer = known.counts.get(code, (0, 0))
        count, days = (lately, sign.within_days) if lately else (longer, sign.within_days + policy.JOURNEY.linger_days)
        if count >= policy.JOURNEY.begun_from(sign):
            yield {"phase": phase.code, "sign": code, "count": count, "days": days, "of": sign.at_least}


def _of_deals(known: Facts, phase: Phase) -> Iterable[dict[str, Any]]:
    if phase == Phase.BUY and known.won_on and not known.is_signing:
        yield {"phase": phase.code, "sign": "won", "on": known.won_on.isoformat()}
    if phase == Phase.REPEAT:
        is_customer = known.status == Account.Status.CUSTOMER
        yield {"phase": phase.code, "sign": "customer" if is_customer else "bought", "on": known.won_on.isoformat() if known.won_on else ""}
    if phase == Phase.BUY and known.is_signing:
        yield {"phase": phase.code, "sign": "signing"}
    elif phase == known.deal:
        yield {"phase": phase.code, "sign": "deal"}


class Reading(NamedTuple):
    """One sign of a phase as it stands: how often, of how many that are enough, within how many days."""

    code: str
    times: int
    enough: int
    days: int

    @property
    def is_there(self) -> bool:
        """Say whether it is enough."""
        return self.times >= self.enough


def readings(known: Facts) -> dict[Phase, list[Reading]]:
    """Give every sign of the phases that follow from signs, also those of which there is nothing."""
    return {
        phase: [Reading(code, known.counts.get(code, (0, 0))[0], sign.at_least, sign.within_days) for code, sign in signs.items()]
        for phase in PHASES
        if (signs := policy.JOURNEY.of_phase(phase.code))
    }
