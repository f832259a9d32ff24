"""Why an account warms up: who did what since its score was last compared, weighted as the score weighs it, in words."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby

from django.db.models import Count
from django.utils.functional import Promise
from django.utils.text import capfirst, get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext_lazy

from abm import engagement, policy, score_numbers
from abm.models import EngagementScore
from crm import activity_kinds
from crm.models import Activity, Contact, DmuMembership, DmuRole

COUNTED: dict[str, Promise] = {
    "page_view": ngettext_lazy("a page view", "%(count)d page views", "count"),
    "pricing_view": ngettext_lazy("a pricing page view", "%(count)d pricing page views", "count"),
    "download": ngettext_lazy("a download", "%(count)d downloads", "count"),
    "form_demo_request": ngettext_lazy("a demo request", "%(count)d demo requests", "count"),
    "email_open": ngettext_lazy("a mail opened", "%(count)d mails opened", "count"),
    "email_click": ngettext_lazy("a link in a mail clicked", "%(count)d links in mails clicked", "count"),
    "email_reply": ngettext_lazy("a mail answered", "%(count)d mails answered", "count"),
    "webinar_attended": ngettext_lazy("a webinar", "%(count)d webinars", "count"),
    "event_visit": ngettext_lazy("a visit at an event", "%(count)d visits at events", "count"),
    "meeting": ngettext_lazy("a meeting", "%(count)d meetings", "count"),
    "call_answered": ngettext_lazy("a phone call", "%(count)d phone calls", "count"),
}
# A sentence names the people who explain this share of the new points, so many of them at most, and so many kinds of each.
EXPLAINS, PEOPLE_NAMED, KINDS_NAMED = 0.7, 2, 2

# A kind of activity and how often it happened, the heaviest first.
Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Mover:
    """What one person did since; `contact` is None for all anonymous visitors together, `weighted` in points of the score's R."""

    contact: Contact | None
    role: str
    did: Counts
    weighted: float

    def __str__(self) -> str:
        return _("%(what)s by %(who)s") % {"what": in_words(self.did), "who": self.name}

    @property
    def name(self) -> str:
        """Name the person, with the heaviest role held."""
        if self.contact is None:
            return _("anonymous visitors")
        return f"{self.contact.person} ({DmuRole(self.role).label})" if self.role else str(self.contact.person)


@dataclass(frozen=True)
class Rise:
    """What moved a score: people with the heaviest first, all that happened in as many days before, and roles that became active."""

    movers: tuple[Mover, ...] = ()
    before: Counts = ()
    new_roles: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[Mover, ...]:
        """Give the fewest people who explain most of the new points."""
        total, told, found = sum(mover.weighted for mover in self.movers), 0.0, []
        for mover in self.movers[:PEOPLE_NAMED]:
            if told < EXPLAINS * total:
                found.append(mover)
                told += mover.weighted
        return tuple(found)

    @property
    def lately(self) -> str:
        """Say in the reader's language who did what this week."""
        if not self.movers:
            return _("No new activity: the roles of active people changed.")
        done = get_text_list([str(mover) for mover in self.named], _("and"))
        return capfirst(_("%(done)s this week") % {"done": done})

    @property
    def earlier(self) -> str:
        """Say what there was the week before; empty when nothing is new."""
        if not self.movers:
            return ""
        return _("%(what)s the week before") % {"what": in_words(self.before)} if self.before else _("nothing the week before")

    @property
    def widened(self) -> str:
        """Say which roles became active; empty when none did."""
        roles = get_text_list([str(DmuRole(role).label) for role in self.new_roles], _("and"))
        return _("Newly active: %(roles)s.") % {"roles": roles} if roles else ""

    @property
    def sentence(self) -> str:
        """Say all of it in a line."""
        return " ".join(filter(None, ["; ".join(filter(None, [self.lately, self.earlier])) + "." * bool(self.movers), self.widened]))


def in_words(did: Counts) -> str:
    """Say how often which kinds happened, the heaviest few of them."""
    return get_text_list([_counted(kind, count) for kind, count in did[:KINDS_NAMED]], _("and"))


def _counted(kind: str, count: int) -> str:
    if phrase := COUNTED.get(kind):
        return str(phrase % {"count": count})
    known = activity_kinds.KINDS.get(kind)
    return f"{count} × {known.label if known else kind}"


@dataclass
class _Facts:
    """What happened lately at one account, and what its people weigh."""

    counts: dict[engagement.Group, int] = field(default_factory=dict)
    roles: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    left_on: dict[int, date] = field(default_factory=dict)


def of_accounts(account_ids: Collection[int], *, as_of: date) -> dict[int, Rise]:
    """Say for each account what moved its score in the days before `as_of`; five queries however many accounts."""
    numbers = score_numbers.in_force()
    facts = _facts(account_ids, as_of=as_of, numbers=numbers)
    people = Contact.objects.select_related("person").in_bulk({who for known in facts.values() for who, _kind, _day in known.counts if who})
    for known in facts.values():
        known.left_on = {who: left for who, _kind, _day in known.counts if who and (left := people[who].left_on)}
    active = _newly_active(account_ids, as_of=as_of)
    return {pk: _rise(known, people, new_roles=active.get(pk, ()), as_of=as_of, numbers=numbers) for pk, known in facts.items()}


def _facts(account_ids: Collection[int], *, as_of: date, numbers: policy.Scoring) -> dict[int, _Facts]:
    facts = {pk: _Facts() for pk in account_ids}
    first = as_of - timedelta(days=2 * policy.ALERTS.compared_with_days_ago - 1)
    counted = Activity.objects.by_people().filter(account__in=facts, kind__in=list(numbers.kinds or {})).on_days(first, as_of)
    groups = counted.values_list("account_id", "contact_id", "kind", "day").annotate(count=Count("pk")).order_by()
    for account_id, contact_id, kind, day, count in groups:
        facts[account_id].counts[contact_id, kind, day] = count
    held = DmuMembership.objects.filter(account__in=facts).at_work().held_on(as_of).order_by()
    for account_id, contact_id, role in held.values_list("account_id", "contact_id", "role"):
        facts[account_id].roles[contact_id].add(role)
    return facts


def _newly_active(account_ids: Collection[int], *, as_of: date) -> dict[int, tuple[str, ...]]:
    """Give the roles that count as active now and did not when the score was last compared; they widen the score's breadth.

    None where the two scores were made with different numbers: then it may be the numbers that changed.
    """
    before = as_of - timedelta(days=policy.ALERTS.compared_with_days_ago)
    kept = EngagementScore.objects.filter(account__in=account_ids, day__in=(before, as_of))
    rows = {(account_id, day): rest for account_id, day, *rest in kept.values_list("account_id", "day", "active_roles", "parameters_id")}
    found = {}
    for pk in account_ids:
        if (pk, as_of) in rows:
            roles, version = rows[pk, as_of]
            roles_before, version_before = rows.get((pk, before), ((), version))
            found[pk] = tuple(role for role in roles if role not in roles_before) if version == version_before else ()
    return found


def _rise(known: _Facts, people: Mapping[int, Contact], *, new_roles: tuple[str, ...], as_of: date, numbers: policy.Scoring) -> Rise:
    """Score what happened lately by the score's own formula, and divide it over the people and the two weeks."""
    scored = engagement.score(known.counts, roles=known.roles, left_on=known.left_on, required=(), as_of=as_of, numbers=numbers)
    since = policy.ALERTS.compared_with_days_ago
    new = sorted((line for line in scored.lines if line.age_days < since), key=lambda line: (line.contact_id is None, line.contact_id or 0))
    movers = []
    for who, lines in groupby(new, key=lambda line: line.contact_id):
        theirs = list(lines)
        held = known.roles.get(who, set()) if who else set()
        role = max(held, key=lambda each: ((numbers.role_weight or {})[each], each), default="")
        movers.append(Mover(people[who] if who else None, role, _heaviest(theirs), sum(line.weighted for line in theirs)))
    movers.sort(key=lambda mover: -mover.weighted)
    return Rise(tuple(movers), _heaviest([line for line in scored.lines if line.age_days >= since]), new_roles)


def _heaviest(lines: Iterable[engagement.Line]) -> Counts:
    """Add lines up per kind, the kind first that weighs most."""
    by_kind: dict[str, list[engagement.Line]] = defaultdict(list)
    for line in lines:
        by_kind[line.kind].append(line)
    ordered: Sequence[tuple[str, list[engagement.Line]]] = sorted(
        by_kind.items(), key=lambda pair: (-sum(line.weighted for line in pair[1]), pair[0])
    )
    return tuple((kind, sum(line.times for line in theirs)) for kind, theirs in ordered)
