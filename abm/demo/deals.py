"""Invented live deals, each moved by the rules through its own past, so that every stage and every kind of trouble can be seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import zip_longest

from abm.demo.people import SOURCE, Member
from crm import contacts, opportunities, pilots, policy
from crm.models import Account, Contact, DmuRole, Opportunity, Product, User
from crm.new_activities import NewActivity

CURRENCY = "USD"
# The deal of the rep whose gate breaks when the demo's newest job change is confirmed.
AT_RISK = "Design floor, second phase"
# A step: days ago, what was done, and with whom or how.
Step = tuple[int, str, str]
EVIDENCE = {
    "budget": "Showed the approved hardware budget for this year in our meeting.",
    "authority": "Said at the steering group: I sign this myself.",
    "need": "Walked us through the render queue: designers wait two hours a day.",
    "timing": "The lease of the present machines ends this quarter; they must be replaced before.",
}
CRITERIA = "Ten workstations on the design floor; render time at least 40 % shorter; no more than one service call."


@dataclass(frozen=True)
class Plan:
    """A deal and its past; what it is worth, and in how many days it should close."""

    name: str
    product: str
    amount: int
    closes_in_days: int
    steps: tuple[Step, ...]


_BEFORE_PROPOSAL: tuple[Step, ...] = ((80, "begin", "mql"), (70, "to", "sql"), (55, "budget", "buyer"), (48, "timing", "user"))
_BEFORE_WON: tuple[Step, ...] = (
    *_BEFORE_PROPOSAL, (45, "to", "opportunity"), (40, "need", "user"), (30, "authority", "decider"), (28, "to", "proposal"),
)  # fmt: skip
PLANS = (
    Plan("Replacement of 60 office machines", "MG Advanced", 61_000, 90, ((24, "begin", "mql"), (15, "to", "sql"), (9, "budget", "buyer"))),
    Plan("Workstations for the new studio", "GTX Basic", 11_000, 120, ((5, "begin", "mql"),)),
    Plan(AT_RISK, "GTX Plus Pro", 137_000, 60, (*_BEFORE_PROPOSAL, (45, "to", "opportunity"), (12, "pilot", "21"))),
    Plan(
        "Framework contract for stores", "MG Special", 44_000, 75,
        ((260, "begin", "sql"), (230, "budget", "buyer"), (225, "timing", "user"), (220, "to", "opportunity")),
    ),
    Plan("Render servers", "GTK 500", 214_000, 45, (*_BEFORE_PROPOSAL, (45, "to", "opportunity"), (2, "leaves", "buyer"))),
    Plan("Pilot for the laboratory", "GTX Plus Basic", 33_000, 40, (*_BEFORE_PROPOSAL, (45, "to", "opportunity"), (40, "pilot", "33"))),
    Plan("Data science workplaces", "GTX Pro", 96_000, 30, _BEFORE_WON),
    Plan("Head office refresh", "GTX Pro", 82_000, 0, (*_BEFORE_WON, (4, "win", ""))),
    Plan(
        "Workplaces for the service desks", "MG Advanced", 58_000, 80,
        ((250, "begin", "sql"), (215, "budget", "buyer"), (100, "timing", "user"), (95, "to", "opportunity")),
    ),
    Plan("Simulation cluster", "GTK 500", 160_000, 20, (*_BEFORE_PROPOSAL, (20, "lose", "Chose a lease from their present supplier."))),
)  # fmt: skip
# The deal of the rep's morning: nothing is confirmed yet, and its account lacks a buyer.
MORNING = Plan("Workstations for the design studio", "GTX Pro", 72_000, 70, ((18, "begin", "mql"), (6, "to", "sql")))


def make(members: Sequence[Member], sellers: Sequence[User], *, at: datetime) -> list[NewActivity]:
    """Make the deals at well-covered accounts of these sellers, in turn; give the meetings in which things were confirmed."""
    products = Product.objects.in_bulk(field_name="name")
    rooms = _rooms(members, sellers)
    morning = {member.seat.role: member.contact for member in members if member.story == "about to buy" and member.seat.has_role}
    played = [*((plan, next(rooms)) for plan in PLANS), (MORNING, morning)]
    return [meeting for plan, room in played for meeting in _play(plan, room, products, at=at)]


def _rooms(members: Sequence[Member], sellers: Sequence[User]) -> Iterator[dict[str, Contact]]:
    """Yield the people of one account after the other, by role: accounts with a decider, a buyer and a user who are there."""
    people: dict[int, dict[str, Contact]] = {}
    for member in members:
        if member.contact.left_on is None and member.seat.mark in ("", "+"):
            people.setdefault(member.account.pk, {}).setdefault(member.seat.role, member.contact)
    complete = [room for room in people.values() if {DmuRole.DECIDER, DmuRole.BUYER, DmuRole.USER} <= room.keys()]
    of_sellers = [[room for room in complete if _account_owner(room) == seller.pk] for seller in sellers]
    return (room for turn in zip_longest(*of_sellers) for room in turn if room)


def _account_owner(room: dict[str, Contact]) -> int | None:
    return room[DmuRole.DECIDER].account.owner_id


def _play(plan: Plan, room: dict[str, Contact], products: dict[str, Product], *, at: datetime) -> Iterator[NewActivity]:
    """Take the steps of a plan one by one, each at its own moment."""
    (begun_days_ago, _verb, stage), *steps = plan.steps
    deal = _begin(
        plan, room[DmuRole.DECIDER].account, products, stage=stage, at=at - timedelta(days=begun_days_ago), today=policy.day_of(at)
    )
    for days_ago, verb, how in steps:
        moment = at - timedelta(days=days_ago)
        if verb in EVIDENCE:
            opportunities.confirm(deal, kind=verb, contact=room[how], evidence=EVIDENCE[verb], at=moment, by=deal.owner)
            yield _meeting(deal, room[how], moment)
        else:
            _move(deal, room, verb, how, at=moment)


def _begin(plan: Plan, account: Account, products: dict[str, Product], *, stage: str, at: datetime, today: date) -> Opportunity:
    return opportunities.begin(
        account=account,
        name=plan.name,
        stage=stage,
        amount=Decimal(plan.amount),
        currency=CURRENCY,
        expected_close_on=today + timedelta(days=plan.closes_in_days),
        product=products[plan.product],
        source=SOURCE,
        external_id=plan.name,
        at=at,
        by=account.owner,
    )


def _move(deal: Opportunity, room: dict[str, Contact], verb: str, how: str, *, at: datetime) -> None:
    by = deal.owner
    if verb == "to":
        opportunities.advance(deal, to=how, at=at, by=by)
    elif verb == "win":
        opportunities.win(deal, at=at, by=by)
    elif verb == "lose":
        opportunities.lose(deal, reason=how, at=at, by=by)
    elif verb == "pilot":
        pilots.start(opportunity=deal, success_criteria=CRITERIA, ends_on=policy.day_of(at) + timedelta(days=int(how)), at=at, by=by)
    elif verb == "leaves":
        contacts.depart(room[how], left_on=policy.day_of(at), at=at, by=by, reason=SOURCE)


def _meeting(deal: Opportunity, contact: Contact, moment: datetime) -> NewActivity:
    return NewActivity(
        account_id=contact.account_id,
        kind="meeting",
        occurred_at=moment,
        contact_id=contact.pk,
        opportunity_id=deal.pk,
        subject=deal.name,
    )
