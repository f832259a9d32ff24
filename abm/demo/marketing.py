"""The demo's ideal customer profile, its past scores, two target lists, an experiment, and a few tasks."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import quantiles
from typing import Any

from django.db.models import Q, Sum

from abm import engagement, experiments, journey, policy, refresh, score_numbers, states, targets
from abm.models import IdealCustomerProfile, TargetList
from crm import follow_ups
from crm import policy as crm_policy
from crm.models import Account, FollowUp, User

INDUSTRIES = 5
# Days ago for which a score is kept, as if the nightly run had run then.
SCORED_DAYS_AGO = (*range(1, 15), *range(21, 85, 7))
# Days ago as of which journeys are told, the longest ago first.
PLACED_DAYS_AGO = (*range(175, 7, -7), *range(7, 0, -1))
LIST_DAYS = 84
TASKS = (
    ("rep", -2, "Send the case on store roll-outs, as promised on the phone"),
    ("rep", 0, "Call back about delivery times"),
    ("rep", 3, "Prepare the steering group: who must be in the room?"),
    ("rep", 9, "Ask for an introduction to whoever signs"),
    ("other rep", 0, "Send the security white paper to the architect"),
    ("other rep", 5, "Plan the visit to the plant"),
    ("lead", 1, "Look at the single-threaded accounts with the team"),
)


def write_profile() -> IdealCustomerProfile:
    """Put a profile in force that is fitted to the half of the accounts that bought most."""
    bought = Account.objects.annotate(bought=Sum("opportunities__amount", filter=Q(opportunities__stage="won"))).filter(bought__gt=0)
    best = bought.filter(employees__isnull=False, revenue__isnull=False).order_by("-bought", "pk")
    half = list(best[: best.count() // 2])
    sizes, revenues = quantiles([each.employees or 0 for each in half]), quantiles([float(each.revenue or 0) for each in half])
    sums = bought.order_by().values("industry").annotate(total=Sum("opportunities__amount", filter=Q(opportunities__stage="won")))
    return IdealCustomerProfile.objects.create(
        name="Where we win (demo)",
        is_active=True,
        industries=[row["industry"] for row in sums.order_by("-total")[:INDUSTRIES]],
        employees_from=round(sizes[0], -2),
        employees_to=round(sizes[2], -2),
        revenue_from=Decimal(round(revenues[0], -7)),
        revenue_to=Decimal(round(revenues[2], -7)),
    )


def score(*, at: datetime) -> int:
    """Score every account as of now, and as of the days before from which trends are read; return how many accounts."""
    numbers = score_numbers.in_force()
    ids, today = list(Account.objects.values_list("pk", flat=True)), crm_policy.day_of(at)
    days = [today - timedelta(days=days_ago) for days_ago in SCORED_DAYS_AGO]
    for day, scored in engagement.of_days(ids, days=days, numbers=numbers).items():
        engagement.store(scored, day=day, at=at, numbers=numbers)
    states.bring_up(ids, day=today, at=at)
    for days_ago in PLACED_DAYS_AGO:
        journey.store(ids, day=today - timedelta(days=days_ago), at=at)
    for first in range(0, len(ids), policy.NIGHTLY.accounts_per_chunk):
        refresh.accounts(ids[first : first + policy.NIGHTLY.accounts_per_chunk], at=at)
    return len(ids)


def make_lists(*, lead: User, other_rep: User, at: datetime) -> None:
    """Put a list of one team to work, and leave another team's as a draft that a person began to arrange."""
    targets.activate(_filled("Twenty for this quarter", lead, at=at), at=at, by=lead)
    draft = _filled("Next quarter, proposal", other_rep, at=at)
    first, second, *_others = draft.slots.select_related("account", "target_list").order_by("slot")
    targets.pin(first, at=at, by=other_rep)
    targets.reject(draft, account=second.account, reason="Their parent company decides.", at=at, by=other_rep)


def _filled(name: str, owner: User, *, at: datetime) -> TargetList:
    today = crm_policy.day_of(at)
    if owner.team is None:
        raise ValueError(f"{owner} has no team")
    until = today + timedelta(days=LIST_DAYS)
    made = targets.draft(name=name, team=owner.team, owner=owner, starts_on=today, ends_on=until, at=at, by=owner)
    targets.fill(made, at=at, by=owner)
    return made


# A test of a mail as marketing would do it: what both arms have in total after so many days.
EXPERIMENT: dict[str, Any] = {
    "name": "A question as subject line",
    "hypothesis": "Questions get more answers on our fair invitations, so a question as subject gets the mail opened more often.",
    "kpi": "mails opened of mails delivered",
    "variables": "subject line",
    "arm_a": "the announcement",
    "arm_b": "the question",
    "baseline_percent": Decimal(20),
    "uplift_percent": Decimal(20),
}
EXPERIMENT_COUNTS = ((2, (310, 61, 305, 74)), (5, (760, 152, 748, 187)), (8, (1_190, 238, 1_174, 296)))
EXPERIMENT_DAYS = 14


def make_experiment(*, lead: User, at: datetime) -> None:
    """Let a test run that has been counted three times: a verdict is there, and the plan asks for more."""
    begun = at - timedelta(days=EXPERIMENT_COUNTS[-1][0])
    if lead.team is None:
        raise ValueError(f"{lead} has no team")
    starts_on = crm_policy.day_of(begun)
    ends_on = starts_on + timedelta(days=EXPERIMENT_DAYS)
    made = experiments.draft(team=lead.team, owner=lead, starts_on=starts_on, ends_on=ends_on, at=begun, by=lead, **EXPERIMENT)
    experiments.start(made, at=begun, by=lead)
    for days, figures in EXPERIMENT_COUNTS:
        totals = dict(zip(("n_a", "successes_a", "n_b", "successes_b"), figures, strict=True))
        moment = begun + timedelta(days=days)
        experiments.count(made, counted_on=crm_policy.day_of(moment), at=moment, by=lead, **totals)


def open_tasks(people: Mapping[str, User], *, at: datetime) -> None:
    """Give the reps a few tasks, of which one is late."""
    for number, (who, due_in_days, text) in enumerate(TASKS):
        account = Account.objects.filter(team=people[who].team).order_by("name")[number]
        follow_ups.open(
            reason=FollowUp.Reason.BY_HAND,
            owner=people[who],
            due_on=follow_ups.due_after(at, due_in_days),
            at=at - timedelta(days=7),
            account=account,
            text=text,
        )
