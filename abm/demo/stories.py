"""What happened at the demo's accounts: who sits in the DMU, and how much they did in each of the last 26 weeks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from crm.models import Account, DmuRole

WEEKS = 26
Visits = Callable[[int], float]


@dataclass(frozen=True)
class Seat:
    """One person's part in a story, by the role and a mark behind it."""

    role: str
    mark: str

    @property
    def is_active(self) -> bool:
        """Say whether the person does anything that we see."""
        return self.mark in ("+", "^", "!")

    @property
    def has_role(self) -> bool:
        """Say whether it is on record which role the person plays."""
        return bool(self.role) and self.mark != "*"

    @property
    def is_assumed(self) -> bool:
        """Say whether nobody confirmed the role."""
        return self.mark == "?"


@dataclass(frozen=True)
class Story:
    """One kind of account.

    A cast names roles with a mark: `+` active, none: reachable, `?` assumed, `~` known but without address or number,
    `-` opted out, `!` left the company, `^` active and perhaps leaving, `*` whose role nobody wrote down yet.
    A dot is somebody without a role.
    `visits` is how often an active person shows up in a week, by the number of weeks ago; `anonymous` the same for unknown visitors.
    """

    casts: tuple[str, ...]
    visits: Visits
    anonymous: float = 0.3
    # A company is this much quieter or busier than its story, at random between the two.
    paces: tuple[float, float] = (0.3, 1.1)


def _warming(weeks_ago: int) -> float:
    return 2.6 if weeks_ago == 0 else 0.6 if weeks_ago == 1 else 0.12


def _cooling(weeks_ago: int) -> float:
    return 1.6 if weeks_ago >= 12 else 0.5 if weeks_ago >= 7 else 0.04


STORIES = {
    "steady": Story(
        ("decider+ buyer+ user+ influencer+ initiator . user", "decider+ buyer user+ influencer+ initiator+ user~"), lambda weeks_ago: 0.9
    ),
    "warming up": Story(
        ("decider? user+ influencer+ initiator+ buyer . user+", "decider buyer? user+ influencer+ initiator+ user"),
        _warming,
        paces=(0.8, 1.5),
    ),
    # The rep's morning: the decider is known and confirmed, the buyer is missing, and somebody there could be it.
    "about to buy": Story(("decider+ user+ influencer+ initiator+ buyer* . user+",), _warming, paces=(1.6, 1.9)),
    "cooling": Story(
        (
            "decider! buyer+ user+ influencer initiator? .",
            "decider^ buyer- user! influencer+ initiator user",
            "decider^ user+ buyer influencer~",
        ),
        _cooling,
    ),
    "single-threaded": Story(("user+ decider~ buyer? influencer-", "initiator+ decider? user~ buyer~ ."), lambda weeks_ago: 1.4),
    "dormant": Story(
        ("decider~ buyer user+ influencer? .", "decider buyer! user+ initiator-"),
        lambda weeks_ago: 1.2 if weeks_ago >= 15 else 0.0,
        anonymous=0.05,
    ),
    "anonymous visitors": Story(("decider? user?", "buyer? initiator? decider~"), lambda weeks_ago: 0.0, anonymous=3.0),
    "silent": Story(("decider? .", "user~ decider?"), lambda weeks_ago: 0.0, anonymous=0.0),
}
# Handed out in this order along each owner's accounts, so that every rep meets most of them.
ORDER = (
    "steady", "warming up", "single-threaded", "steady", "cooling", "dormant", "steady",
    "anonymous visitors", "warming up", "cooling", "silent", "steady", "single-threaded",
)  # fmt: skip
# One of the rep's accounts plays a part of its own: a rep's morning can be played through there.
MORNING = {"Toughzap": "about to buy"}
STATUSES = {
    "dormant": Account.Status.FORMER,
    "silent": Account.Status.FORMER,
    # To be won back: their journey is one of their own, while that of a customer is to buy again.
    "warming up": Account.Status.FORMER,
    "anonymous visitors": Account.Status.PROSPECT,
    "about to buy": Account.Status.PROSPECT,
}
MORE_SEATS = ("user", "influencer?", ".", "user~")


def tell(accounts: Iterable[Account]) -> dict[int, str]:
    """Give each account its story, by account id; always the same one for the same accounts and owners."""
    by_owner: dict[str, list[int]] = {}
    accounts = list(accounts)
    fixed = {account.pk: MORNING[account.name] for account in accounts if account.name in MORNING}
    for account in sorted(accounts, key=lambda each: each.name):
        by_owner.setdefault(account.owner.username if account.owner else "", []).append(account.pk)
    return {
        account_id: fixed.get(account_id) or ORDER[(first + position) % len(ORDER)]
        for first, owner in enumerate(sorted(by_owner))
        for position, account_id in enumerate(by_owner[owner])
    }


def cast(story: str, *, employees: int | None, dice: Random) -> list[Seat]:
    """Choose who is in the DMU: two people at the smallest companies, up to nine at the largest."""
    words = dice.choice(STORIES[story].casts).split()
    size = employees or 0
    words = words[: 2 if size < 10 else 4 if size < 250 else 7]
    if size >= 5000 and len(words) > 2:
        words += MORE_SEATS[: 9 - len(words)][: dice.randint(1, 3)]
    return [_seat(word) for word in words]


def _seat(word: str) -> Seat:
    role = word.rstrip("+?~-!^*.")
    return Seat(role if role in DmuRole.values else "", word[-1] if word[-1] in "+?~-!^*" else "")
