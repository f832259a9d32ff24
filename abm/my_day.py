"""What a rep should do first today: accounts that warm up, roles to fill, work that is due, gates to mend; reads only."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum

from abm import momentum, policy
from abm.models import AccountStanding, JobChangeSignal, NightlyRun, SignalEvidence, TargetAccount
from crm import bant, coverage
from crm import policy as crm_policy
from crm.coverage import LOST, MISSING, RoleCoverage
from crm.models import Account, Confirmation, Contact, FollowUp, Opportunity, Pilot, User
from crm.models.accounts import within_sight
from crm.models.opportunities import OpportunityQuerySet
from crm.models.users import Sight, owned_within_sight, sight

MINE, TEAM, ALL = "mine", "team", "all"


@dataclass(frozen=True)
class Warming:
    """An account whose score rose, why it did, and whom to call there; nobody when only strangers came by."""

    standing: AccountStanding
    rise: momentum.Rise
    call: momentum.Mover | None


@dataclass(frozen=True)
class Gap:
    """A role that decides and that nobody holds, at an account or for a deal there."""

    account: Account
    role: RoleCoverage
    deal: Opportunity | None = None


@dataclass(frozen=True)
class Letter:
    """A letter of BANT that carries a deal no longer: too old since a day, or withdrawn on it."""

    given: Confirmation
    since: date
    is_stale: bool


@dataclass(frozen=True)
class Gate:
    """A deal with the letters that must be confirmed anew."""

    deal: Opportunity
    letters: tuple[Letter, ...]


@dataclass(frozen=True)
class Night:
    """The last nightly run; `is_late` when it is longer ago than it may be, or did not finish."""

    run: NightlyRun | None
    accounts: int
    failures: int
    is_late: bool


@dataclass(frozen=True)
class Day:
    """Everything the start page shows; each list holds at most the lines of its section, `more_gaps` what did not fit."""

    reach: str
    reaches: tuple[str, ...]
    today: date
    warming: tuple[Warming, ...]
    tasks: tuple[FollowUp, ...]
    gaps: tuple[Gap, ...]
    more_gaps: int
    gates: tuple[Gate, ...]
    signals: tuple[JobChangeSignal, ...]
    pilots: tuple[Pilot, ...]
    night: Night
    is_new: bool

    @property
    def overdue(self) -> int:
        """Count the tasks shown that should have been done before today."""
        return sum(task.due_on < self.today for task in self.tasks)

    @property
    def due_today(self) -> int:
        """Count the tasks shown that are for today."""
        return sum(task.due_on == self.today for task in self.tasks)


def reaches(user: User) -> tuple[str, ...]:
    """List whose work a user may look at, the usual choice first: a lead the team's, who sees every record everybody's."""
    if sight(user) is Sight.ALL:
        return ALL, MINE
    leads = sight(user) is Sight.TEAM and user.has_perm("crm.assign_account")
    return (TEAM, MINE) if leads else (MINE,)


def of(user: User, *, at: datetime, reach: str = "") -> Day:
    """Collect a user's day in a fixed number of queries; a reach that is not the user's to choose gives the usual one."""
    choices = reaches(user)
    reach = reach if reach in choices else choices[0]
    today = crm_policy.day_of(at)
    deals = _deals(user, reach)
    gaps = _gaps(user, reach, deals, at=at)
    found: dict[str, Any] = {
        "warming": _warming(user, reach, today),
        "tasks": _tasks(user, reach, today),
        "gaps": gaps[: policy.MY_DAY.lines],
        "gates": _gates(deals, today),
        "signals": _signals(user, reach),
        "pilots": _pilots(deals, today),
    }
    is_new = not any(found.values()) and not Account.objects.visible_to(user).exists()
    more_gaps = max(0, len(gaps) - policy.MY_DAY.lines)
    return Day(reach=reach, reaches=choices, today=today, more_gaps=more_gaps, night=_night(at), is_new=is_new, **found)


def _owned(user: User, reach: str, *, at: str = "") -> Q:
    """Select what is the user's own, or everything in sight that is anybody's; `at` leads to the owned record."""
    return Q(**{f"{at}owner": user.pk}) if reach == MINE else owned_within_sight(user, at=at)


def _deals(user: User, reach: str) -> OpportunityQuerySet:
    """Give the open deals that went through the gate, at accounts whose people the user may see."""
    own = Opportunity.objects.open().judged_by_gate().filter(_owned(user, reach))
    return own.filter(within_sight(user, at="account__")).select_related("account", "owner")


def _warming(user: User, reach: str, today: date) -> tuple[Warming, ...]:
    risen = AccountStanding.objects.warming_up(policy.MY_DAY.warming_from_points).filter(_owned(user, reach, at="account__"))
    rows = list(risen.select_related("account__owner").order_by("-momentum", "account")[: policy.MY_DAY.lines])
    why = momentum.of_accounts([row.account_id for row in rows], as_of=today) if rows else {}
    return tuple(Warming(row, why[row.account_id], _whom_to_call(why[row.account_id])) for row in rows)


def _whom_to_call(rise: momentum.Rise) -> momentum.Mover | None:
    """Choose who moved the score most of those who may be called."""
    return next((mover for mover in rise.movers if mover.contact and _may_be_called(mover.contact)), None)


def _may_be_called(contact: Contact) -> bool:
    out = contact.left_on or contact.departure_suspected_at or contact.person.opted_out_at or contact.person.erased_at
    return not out


def _tasks(user: User, reach: str, today: date) -> tuple[FollowUp, ...]:
    """Give what is due within a week, the longest overdue first; in a team also what nobody owns at its accounts."""
    whose = {
        MINE: Q(owner=user.pk),
        TEAM: Q(owner=user.pk) | Q(owner__team=user.team_id) | Q(owner=None, account__team=user.team_id),
        ALL: Q(),
    }
    due = FollowUp.objects.visible_to(user).open().filter(whose[reach], due_on__lt=today + timedelta(days=policy.MY_DAY.tasks_days))
    named = due.select_related("account", "contact__person", "opportunity", "owner")
    return tuple(named.order_by("due_on", "id")[: policy.MY_DAY.tasks])


def _gaps(user: User, reach: str, deals: OpportunityQuerySet, *, at: datetime) -> tuple[Gap, ...]:
    """Give roles lost or missing on deals and on listed accounts: lost ones first, deals before accounts, each role of an account once."""
    looked_at = policy.MY_DAY.looked_at
    own_deals = list(deals.order_by(F("expected_close_on").asc(nulls_last=True), "id")[:looked_at])
    accounts = _listed(user, reach)[:looked_at]
    of_deals = coverage.coverage_of_opportunities(own_deals, at=at) if own_deals else {}
    of_accounts = coverage.coverage(accounts, at=at) if accounts else {}
    found = [Gap(deal.account, role, deal) for deal in own_deals if deal.account for role in of_deals[deal.pk].roles]
    found += [Gap(account, role) for account in accounts for role in of_accounts[account.pk].roles]
    open_ones = [gap for gap in found if gap.role.state in (LOST, MISSING)]
    open_ones.sort(key=lambda gap: (gap.role.state != LOST, gap.deal is None))
    once: dict[tuple[int, str], Gap] = {}
    for gap in open_ones:
        once.setdefault((gap.account.pk, gap.role.role), gap)
    return tuple(once.values())


def _listed(user: User, reach: str) -> list[Account]:
    """Give the accounts on lists at work whose roles are not all covered, the most engaged first."""
    on_list = TargetAccount.objects.filter(active_team__isnull=False).values("account")
    partly = Q(standing__coverage_percent__lt=100) | Q(standing=None)
    accounts = Account.objects.filter(_owned(user, reach), partly, pk__in=on_list).select_related("owner")
    return list(accounts.order_by(F("standing__score").desc(nulls_last=True), "id")[: policy.MY_DAY.looked_at])


def _gates(deals: OpportunityQuerySet, today: date) -> tuple[Gate, ...]:
    """Give deals that rest on what was withdrawn or is too old, broken gates first; two queries."""
    stale = Confirmation.objects.stale_on(today).values("opportunity")
    doubtful = deals.filter(Q(gate_broken_at__isnull=False) | Q(pk__in=stale))
    rows = list(doubtful.order_by(F("gate_broken_at").asc(nulls_last=True), "expected_close_on", "id")[: policy.MY_DAY.lines])
    given = Confirmation.objects.filter(opportunity__in=rows).select_related("contact__person").order_by("confirmed_at", "id")
    latest: dict[int, dict[str, Confirmation]] = defaultdict(dict)
    for one in given:
        known = latest[one.opportunity_id].get(one.kind)
        if known is None or known.withdrawn_at is not None:
            latest[one.opportunity_id][one.kind] = one
    return tuple(Gate(deal, _letters(deal, latest[deal.pk].values(), today)) for deal in rows)


def _letters(deal: Opportunity, given: Iterable[Confirmation], today: date) -> tuple[Letter, ...]:
    """Give the letters that carry a deal no longer; what was withdrawn matters only while the gate is broken."""
    found = []
    for one in given:
        too_old_from = crm_policy.day_of(one.confirmed_at) + timedelta(days=crm_policy.BANT.stale_after_days + 1)
        if one.withdrawn_at is None and too_old_from <= today:
            found.append(Letter(one, too_old_from, is_stale=True))
        elif one.withdrawn_at and deal.gate_broken_at and one.kind in bant.ASKED.get(deal.stage, ()):
            found.append(Letter(one, crm_policy.day_of(one.withdrawn_at), is_stale=False))
    return tuple(found)


def _signals(user: User, reach: str) -> tuple[JobChangeSignal, ...]:
    """Give who may have left, at the user's accounts and where a deal of the user's is open; each with its latest evidence as `said`."""
    where = _owned(user, reach, at="account__")
    if reach == MINE:
        where |= Q(account__in=Opportunity.objects.open().filter(owner=user.pk).values("account"))
    latest = SignalEvidence.objects.filter(signal=OuterRef("pk")).order_by("-seen_at", "-id")
    open_ones = JobChangeSignal.objects.open().filter(where).select_related("account__owner", "contact__person")
    said = open_ones.annotate(said=Subquery(latest.values("text")[:1]), said_by=Subquery(latest.values("source")[:1]))
    return tuple(said.order_by("-opened_at", "-id")[: policy.MY_DAY.lines])


def _pilots(deals: OpportunityQuerySet, today: date) -> tuple[Pilot, ...]:
    until = today + timedelta(days=policy.MY_DAY.pilots_days)
    ending: QuerySet[Pilot] = Pilot.objects.running().filter(opportunity__in=deals.values("pk"), ends_on__lte=until)
    return tuple(ending.select_related("opportunity__account", "opportunity__owner").order_by("ends_on", "id")[: policy.MY_DAY.lines])


def _night(at: datetime) -> Night:
    """Judge the last nightly run: how much it did, and whether the figures on the page are fresh."""
    of_accounts = Sum("chunks__items", filter=Q(chunks__step="accounts"), default=0)
    nights: QuerySet[Any] = NightlyRun.objects.nights()
    run = nights.annotate(accounts=of_accounts, failures=Sum("chunks__failures", default=0)).order_by("-day").first()
    if run is None:
        return Night(None, 0, 0, is_late=True)
    too_long_ago = at - (run.finished_at or run.started_at) > timedelta(hours=policy.MY_DAY.night_hours)
    return Night(run, run.accounts, run.failures, is_late=too_long_ago)
