"""Whether clicks, opens and visits were made by a machine: the rule, on plain values, whatever the order they came in."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from crm import activity_kinds, machine_agents, policy
from crm.machine_agents import CLICK, MAIL, OPEN

# What an agent can be told of: not calls and meetings, and no reply, which somebody wrote.
BY_PROGRAM = MAIL | {name for name, kind in activity_kinds.KINDS.items() if kind.channel == "web"}
# A scanner loads pages; it fills in no form.
VISITS = frozenset({"page_view", "pricing_view", "download"})
ARRIVALS = frozenset({"email_sent", "email_delivered"})
# What can change the verdict on something near it.
WATCHED = MAIL | VISITS | ARRIVALS
_COMPANY = "scanner_company"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a recipient, or a machine in the recipient's name, did; `message_id` and `link` may be empty: not told."""

    id: int
    kind: str
    at: float  # seconds since 1970
    message_id: str = ""
    link: str = ""
    user_agent: str = ""
    machine_reason: str = ""
    # Said by the source or by a person: it stands.
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail that was sent or delivered to a recipient, with every name that events may give it; none: it may be any mail."""

    at: float
    names: frozenset[str] = frozenset()


def judge(events: Iterable[Event], arrivals: Iterable[Arrival] = ()) -> dict[int, str]:
    """Give for each event of one recipient why a machine made it, or an empty text; what is settled keeps its reason.

    An event depends on others within `policy.MACHINE_MADE.reach_seconds` only.
    """
    return _Case(events, arrivals).verdicts()


class _Case:
    """The events of one recipient, judged step by step; each reads what the steps before found, and none is undone."""

    def __init__(self, events: Iterable[Event], arrivals: Iterable[Arrival]) -> None:
        self.numbers = policy.MACHINE_MADE
        self.arrived = _Moments((name, each.at) for each in arrivals for name in each.names or {""})
        self.events = sorted(events, key=lambda event: (event.at, event.id))
        self.found = {event.id: self._alone(event) for event in self.events}
        self.clicks = self._of({CLICK})
        self.opens = self._of({OPEN})

    def verdicts(self) -> dict[int, str]:
        numbers = self.numbers
        # Every step from here on asks what a click says of it or of its neighbours.
        if not self.clicks:
            return self.found
        self._mark(_sweeps([click for click in self.clicks if not self._is_persons(click)], numbers), "link_scanner")
        self._mark(_near(self.opens, self._machines(self.clicks), before=numbers.company_seconds, after=numbers.company_seconds), _COMPANY)
        self._mark(_same_program(self.opens, self._machines(self.clicks), before=0, after=numbers.picture_seconds), _COMPANY)
        read = _Moments((event.message_id, event.at) for event in self.opens if not self.found[event.id])
        instant = [click for click in self.clicks if not self.found[click.id] and self._is_instant(click, read)]
        self._mark(instant, "instant_click")
        self._mark(_near(self.opens, self._machines(instant), before=numbers.reading_seconds, after=numbers.reading_seconds), _COMPANY)
        tail = numbers.same_program_seconds
        self._mark(_same_program(self.clicks, self._machines(self.clicks), before=tail, after=tail), _COMPANY)
        self._mark(_near(self._of(VISITS), self._machines(self.clicks), before=numbers.landing_seconds, after=0), _COMPANY)
        return self.found

    def _of(self, kinds: Iterable[str]) -> list[Event]:
        return [event for event in self.events if event.kind in kinds]

    def _mark(self, events: Iterable[Event], reason: str) -> None:
        for event in events:
            if not event.is_settled and not self.found[event.id]:
                self.found[event.id] = reason

    def _is_persons(self, event: Event) -> bool:
        return event.is_settled and not event.machine_reason

    def _machines(self, events: Iterable[Event]) -> list[Event]:
        return [event for event in events if self.found[event.id]]

    def _alone(self, event: Event) -> str:
        """Judge an event by its agent, and an open by how soon it came."""
        if event.is_settled:
            return event.machine_reason
        if not event.user_agent and event.machine_reason in machine_agents.BY_AGENT:
            return event.machine_reason  # the agent was let go since
        if event.kind in BY_PROGRAM and (reason := machine_agents.reason(event.kind, event.user_agent)):
            return reason
        if event.kind == OPEN and self._arrival(event, self.numbers.instant_open_seconds) is not None:
            return "instant_open"
        by_proxy = machine_agents.is_shown_by_proxy(event.kind, event.user_agent)
        return "mail_proxy" if by_proxy and self._arrival(event, self.numbers.proxy_open_seconds) is not None else ""

    def _arrival(self, event: Event, seconds: int) -> float | None:
        """Give the first arrival of an event's mail in so many seconds before it.

        Of a mail that is known by name also a little after it: gateways scan before they accept, and nobody reads before that.
        """
        after = self.numbers.before_delivery_seconds
        named = self.arrived.first(event.message_id, event.at - seconds, event.at + after) if event.message_id else None
        return named if named is not None else self.arrived.first(event.message_id, event.at - seconds, event.at, is_vague=True)

    def _is_instant(self, click: Event, read: "_Moments") -> bool:
        """Say whether a click came within seconds of delivery, and nobody had opened the mail long enough to read."""
        seconds = self.numbers.instant_click_seconds
        arrived = self._arrival(click, seconds)
        if arrived is None:
            return False
        opened = read.first(click.message_id, min(arrived, click.at) - seconds, click.at - self.numbers.reading_seconds, is_vague=True)
        return opened is None


class _Moments:
    """Moments per mail, found by bisection."""

    def __init__(self, pairs: Iterable[tuple[str, float]]) -> None:
        of: dict[str, list[float]] = defaultdict(list)
        for message_id, at in pairs:
            of[message_id].append(at)
        self._of = {message_id: sorted(moments) for message_id, moments in of.items()}
        self._all = sorted(at for moments in of.values() for at in moments)

    def first(self, message_id: str, low: float, high: float, *, is_vague: bool = False) -> float | None:
        """Give the first moment of a mail from low to high; vague: also where either side does not tell which mail."""
        lists = [self._of.get(message_id, [])]
        if is_vague:
            lists = [self._of.get(message_id, []), self._of.get("", [])] if message_id else [self._all]
        found = [moments[place] for moments in lists if (place := bisect_left(moments, low)) < len(moments) and moments[place] <= high]
        return min(found, default=None)


def _same_program(events: Iterable[Event], clicks: Sequence[Event], *, before: int, after: int) -> list[Event]:
    """Give the events that the same program made as one of these clicks, in a mail known to be the same, within so many seconds."""
    moments = _Moments((f"{click.message_id} {click.user_agent}", click.at) for click in clicks if click.user_agent)
    named = ((event, f"{event.message_id} {event.user_agent}") for event in events)
    return [event for event, name in named if moments.first(name, event.at - before, event.at + after) is not None]


def _near(events: Iterable[Event], clicks: Sequence[Event], *, before: int, after: int) -> list[Event]:
    """Give the events that have one of these clicks, in the same mail, at most so many seconds before or after them."""
    moments = _Moments((click.message_id, click.at) for click in clicks)
    return [each for each in events if moments.first(each.message_id, each.at - before, each.at + after, is_vague=True) is not None]


def _sweeps(clicks: Sequence[Event], numbers: policy.MachineMade) -> Iterator[Event]:
    """Give the clicks, in order of time, that went through several links of one mail faster than people do."""
    mails: dict[str, list[Event]] = defaultdict(list)
    for click in clicks:
        mails[click.message_id].append(click)
    for mail in mails.values():
        # Two clicks on links that nobody named may be a double click.
        yield from _dense([click for click in mail if click.link], links=2, seconds=numbers.two_links_seconds)
        yield from _dense(mail, links=3, seconds=numbers.three_links_seconds)
        yield from _dense(mail, links=5, seconds=numbers.five_links_seconds)


def _dense(clicks: Sequence[Event], *, links: int, seconds: int) -> Iterator[Event]:
    """Give the clicks of every stretch of so many seconds with at least so many different links."""
    first, done = 0, 0
    seen: dict[object, int] = defaultdict(int)
    for last, click in enumerate(clicks):
        seen[click.link or click.id] += 1
        while click.at - clicks[first].at > seconds:
            gone = clicks[first].link or clicks[first].id
            seen[gone] -= 1
            if not seen[gone]:
                del seen[gone]
            first += 1
        if len(seen) >= links:
            yield from clicks[max(first, done) : last + 1]
            done = last + 1


def moment(at: datetime) -> float:
    """Give a moment as the rule reckons with it."""
    return at.timestamp()
