"""How much of a decision-making unit is known, reachable and engaged: per required role, in one query per page."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db.models import Exists, F, FilteredRelation, OuterRef, Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm import policy
from crm.models import Account, Activity, Contact, DmuMembership, DmuRole, Opportunity, Person

MISSING, LOST, ASSUMED, KNOWN, REACHABLE, ENGAGED = "missing", "lost", "assumed", "known", "reachable", "engaged"
# From worst to best; the best holder speaks for the role.
LADDER = (ASSUMED, KNOWN, REACHABLE, ENGAGED)
COVERED = (REACHABLE, ENGAGED)

NEXT_STEPS: dict[str, Promise] = {
    MISSING: _("Find out who the %(role)s is"),
    LOST: _("Find the successor of %(person)s"),
    ASSUMED: _("Ask whether %(person)s really is the %(role)s"),
    KNOWN: _("Get an address or phone number of %(person)s"),
    REACHABLE: _("Get in touch with %(person)s"),
}
_OPTED_OUT = _("%(person)s wants no contact: find another way to the %(role)s")


@dataclass(frozen=True)
class Holder:
    """Somebody who holds a role now."""

    contact_id: int
    name: str
    stance: str
    is_assumed: bool
    is_reachable: bool
    is_engaged: bool
    at_risk: bool
    opted_out: bool = False
    membership_id: int | None = None

    @property
    def rung(self) -> str:
        """Name the state that this holder gives the role; an assumption stays one, whatever the person does."""
        if self.is_assumed:
            return ASSUMED
        if self.is_engaged:
            return ENGAGED
        return REACHABLE if self.is_reachable else KNOWN


@dataclass(frozen=True)
class RoleCoverage:
    """One required role: its state, who holds it, and who held it last if nobody does."""

    role: str
    state: str
    holders: tuple[Holder, ...] = ()
    last_holder: str = ""

    @property
    def at_risk(self) -> bool:
        """Say whether a holder may have left."""
        return any(holder.at_risk for holder in self.holders)

    @property
    def next_step(self) -> str:
        """Say what to do about the role, in the reader's language; empty when it is engaged."""
        best = next((holder for holder in self.holders if holder.rung == self.state), None)
        sentence = _OPTED_OUT if self.state == KNOWN and best and best.opted_out else NEXT_STEPS.get(self.state, "")
        return str(sentence) % {"role": DmuRole(self.role).label, "person": best.name if best else self.last_holder}


@dataclass(frozen=True)
class Coverage:
    """The required roles in the order of DmuRole; `people` counts and `holders` names every current member, whatever the role."""

    roles: tuple[RoleCoverage, ...]
    percent: int
    people: int
    required_people: int
    is_single_threaded: bool
    # role -> who holds it, best first
    holders: Mapping[str, tuple[Holder, ...]] = field(default_factory=dict)

    @property
    def states(self) -> dict[str, str]:
        """Map each required role to its state."""
        return {role.role: role.state for role in self.roles}


class _Row(NamedTuple):
    """One membership with its person; `id` is None on the single row of an account without any."""

    account_id: int
    employees: int | None
    id: int | None
    opportunity_id: int | None
    role: str
    until: date | None
    end_reason: str
    contact_id: int
    left_on: date | None
    given_name: str
    family_name: str
    stance: str
    is_assumed: bool
    suspected_at: datetime | None
    opted_out_at: datetime | None
    erased_at: datetime | None
    is_reachable: bool
    is_engaged: bool

    @property
    def is_current(self) -> bool:
        return self.until is None and self.left_on is None

    @property
    def name(self) -> str:
        return str(Person(given_name=self.given_name, family_name=self.family_name))

    def holder(self) -> Holder:
        opted_out = self.opted_out_at is not None or self.erased_at is not None
        facts = (self.stance, self.is_assumed, self.is_reachable, self.is_engaged, self.suspected_at is not None, opted_out)
        return Holder(self.contact_id, self.name, *facts, membership_id=self.id)


_COLUMNS = (
    "pk", "employees", "member__id", "member__opportunity_id", "member__role", "member__until", "member__end_reason",
    "member__contact_id", "member__contact__left_on", "member__contact__person__given_name", "member__contact__person__family_name",
    "member__stance", "member__is_assumed", "member__contact__departure_suspected_at", "member__contact__person__opted_out_at",
    "member__contact__person__erased_at", "is_reachable", "is_engaged",
)  # fmt: skip


def coverage(accounts: Iterable[Account], *, at: datetime) -> dict[int, Coverage]:
    """Cover each account by its standing memberships; one query, keyed by account id."""
    ids = [account.pk for account in accounts]
    rows = _rows(ids, (), at)
    return {account_id: _cover(rows[account_id], set()) for account_id in ids}


def coverage_of_opportunities(opportunities: Iterable[Opportunity], *, at: datetime) -> dict[int, Coverage]:
    """Cover each opportunity: who holds a role for it overrides, in that role, who holds it standing; one query, keyed by opportunity id."""
    deals = {deal.pk: deal.account_id for deal in opportunities}
    rows = _rows({account for account in deals.values() if account}, deals, at)
    return {deal: _cover(rows[account] if account else [], {deal}) for deal, account in deals.items()}


def _rows(account_ids: Collection[int], opportunity_ids: Collection[int], at: datetime) -> dict[int, list[_Row]]:
    """Fetch memberships ever held at these accounts, standing or for these opportunities, oldest first."""
    person = OuterRef("member__contact_id")
    since = at - timedelta(days=policy.DMU.engaged_within_days)
    engaged = Activity.objects.by_people().since(since).filter(contact=person, occurred_at__lte=at)
    wanted = Q(memberships__opportunity__isnull=True) | Q(memberships__opportunity__in=opportunity_ids)
    # From the account, not from the membership: an account without members has a size, too.
    found = (
        Account.objects.filter(pk__in=account_ids)
        .annotate(member=FilteredRelation("memberships", condition=wanted))
        .annotate(is_reachable=Exists(Contact.objects.reachable().filter(pk=person)), is_engaged=Exists(engaged))
        .order_by(F("member__id"))
        .values_list(*_COLUMNS)
    )
    rows = defaultdict(list)
    for row in map(_Row._make, found):
        rows[row.account_id].append(row)
    return rows


def _cover(rows: list[_Row], specific: set[int]) -> Coverage:
    required = policy.required_dmu(rows[0].employees if rows else None)
    ours = [row for row in rows if row.id is not None and (row.opportunity_id is None or row.opportunity_id in specific)]
    by_role = {role: [row for row in ours if row.role == role] for role in DmuRole.values}
    holders = {role: _holders(held) for role, held in by_role.items()}
    roles = tuple(_of_role(role, holders[role], by_role[role]) for role in DmuRole.values if role in required.roles)
    people = {holder.contact_id: holder.is_engaged for held in holders.values() for holder in held}
    is_single = sum(people.values()) == 1
    return Coverage(roles, _percent(roles), len(people), required.people, is_single_threaded=is_single, holders=holders)


def _holders(rows: list[_Row]) -> tuple[Holder, ...]:
    """List who holds a role now, best first; those of the opportunity alone where there are any."""
    current = [row for row in rows if row.is_current]
    effective = [row for row in current if row.opportunity_id is not None] or current
    return tuple(sorted((row.holder() for row in effective), key=lambda holder: -LADDER.index(holder.rung)))


def _of_role(role: str, holders: tuple[Holder, ...], rows: list[_Row]) -> RoleCoverage:
    if holders:
        return RoleCoverage(role, holders[0].rung, holders)
    # What was a mistake never was so, and says nothing about who held the role last.
    ended = [row for row in rows if row.end_reason != DmuMembership.EndReason.MISTAKEN]
    last = max(ended, key=lambda row: (row.until or row.left_on or date.max, row.id or 0), default=None)
    if last and (last.until is None or last.end_reason == DmuMembership.EndReason.LEFT):
        return RoleCoverage(role, LOST, last_holder=last.name)
    return RoleCoverage(role, MISSING)


def _percent(roles: tuple[RoleCoverage, ...]) -> int:
    return round(100 * sum(role.state in COVERED for role in roles) / len(roles)) if roles else 100
