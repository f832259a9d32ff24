"""The states of the score: kept up with what changes, for one account or for all, by the same statements.

A job takes accounts, locks their marks in one order, claims what is in the queue, adds it to day counts and sums, seats
people by their roles of the day, adds accounts up, and writes their scores. All in the caller's transaction.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import transaction

from abm.models import AccountState, ContactState, DayCount, StateMark
from abm.states import counting, folding, jobs, scores, seating, summing, weights
from abm.states.jobs import OF_THE_JOB, one, row, run
from abm.states.weights import Numbers
from crm import bulk, policy
from crm.models import Account, ActivityChange

logger = logging.getLogger(__name__)


class Done(NamedTuple):
    """What a job did: rows of account sums that changed, and the accounts that became warm or stopped being so."""

    changed: int
    crossed: list[scores.Crossed]


@transaction.atomic
def bring_up(account_ids: Collection[int], *, day: date, at: datetime, everybody: bool = True, is_held: bool = False) -> Done:
    """Bring the states, scores and standings of these accounts to a day; `is_held` when the caller holds them already.

    Looks at where everybody sits; without `everybody` only where the dates or the history tell of a change, as is
    enough for a night.
    """
    if not is_held:
        account_ids = hold(account_ids)
    jobs.begin()
    jobs.choose(account_ids)
    return _work(weights.of_day(day, at=at).between(account_ids), everybody=everybody, at=at)


def bring_up_range(first: int, last: int | None, *, day: date, at: datetime) -> Done:
    """Bring every account with an id from first to last, or with any later one, to a day, as a night does."""
    here = Account.objects.filter(pk__gte=first, pk__lte=last or ENDLESS).order_by()
    return bring_up(list(here.values_list("pk", flat=True)), day=day, at=at, everybody=False)


def hold(account_ids: Collection[int], *, skip_locked: bool = False) -> list[int]:
    """Take the states of these accounts, and the accounts, until the transaction ends, in one order for everybody; give those taken.

    Whoever changes what is derived from activities takes this lock first. With `skip_locked` those that somebody else
    works on are left out.
    """
    marks = StateMark.objects.filter(pk__among=list(account_ids))
    missing = sorted(set(account_ids) - set(marks.values_list("pk", flat=True)))
    StateMark.objects.bulk_create([StateMark(account_id=pk, version="") for pk in missing], ignore_conflicts=True)
    taken = marks.select_for_update(skip_locked=skip_locked, no_key=True).order_by("pk")
    return Account.objects.filter(pk__among=list(taken.values_list("pk", flat=True))).held()


def forget(account_ids: Collection[int] | None = None) -> int:
    """Have these accounts, or all, counted anew from their activities the next time; give how many."""
    marks = StateMark.objects.exclude(version="")
    return marks.filter(pk__among=list(account_ids)).update(version="") if account_ids is not None else marks.update(version="")


def differing(first: int, last: int | None, *, day: date, at: datetime) -> int:
    """Count accounts with an id from first to last anew, compare with what was kept, and take it back; give the rows that differ.

    Nothing is written. Anything but 0 is an error of ours: what somebody records between the two counts is in one of them
    only, so that accounts that differ are looked at again, which takes so little time that it does not happen each time.
    """
    here = Account.objects.filter(pk__range=(first, last or ENDLESS)).order_by("pk")
    found = _differing(list(here.values_list("pk", flat=True)), day=day, at=at)
    for _once_more in range(LOOKED_AT_AGAIN):
        if not found:
            break
        found = _differing(sorted({account_id for account_id, *_others in found}), day=day, at=at)
    return len(found)


@transaction.atomic
def _differing(account_ids: Sequence[int], *, day: date, at: datetime) -> set[tuple[Any, ...]]:
    bring_up(account_ids, day=day, at=at, everybody=False)
    kept = _rows(account_ids)
    forget(account_ids)
    bring_up(account_ids, day=day, at=at, everybody=False)
    found = kept ^ _rows(account_ids)
    transaction.set_rollback(True)
    return found


def _rows(account_ids: Sequence[int]) -> set[tuple[Any, ...]]:
    here = {"account_id__among": account_ids}
    counts = DayCount.objects.filter(**here).values_list("account_id", "contact_id", "day", "kind", "count")
    people = ContactState.objects.filter(**here).values_list("account_id", "contact_id", "short", "middle", "long", "weight", "roles")
    accounts = AccountState.objects.filter(**here).values_list("account_id", "role", "short", "middle", "long")
    return {*counts.iterator(), *people.iterator(), *accounts.iterator()}


@transaction.atomic
def sweep(*, at: datetime) -> int:
    """Let go of the states of accounts that are gone; give how many accounts."""
    gone = list(StateMark.objects.exclude(pk__in=Account.objects.values("pk")).values_list("pk", flat=True)[:SWEPT_AT_ONCE])
    for model in (DayCount, ContactState, AccountState):
        model._base_manager.filter(account_id__in=gone).delete()
    StateMark.objects.filter(pk__in=gone).delete()
    return len(gone)


def _work(numbers: Numbers, *, everybody: bool, at: datetime) -> Done:
    numbers, last_told = _ahead(numbers, at=at)
    stale = _find_stale(numbers)
    stale += counting.claim(numbers) and _heal(numbers)
    if everybody:
        run("INSERT INTO job_due SELECT account_id FROM job_account")
        run("INSERT INTO job_unsettled SELECT account_id FROM job_account")
    else:
        seating.find_due(since=last_told)
    seating.hold(numbers)
    shifted = summing.shift(numbers)
    if stale:
        shifted += summing.rebuild(numbers)
        folding.let_go(numbers)
    if shifted:
        summing.write(numbers)
    changed = folding.fold(numbers) if seating.seat(numbers) + shifted else 0
    if shifted:
        summing.clear(numbers)
    _mark(numbers)
    scores.store(numbers)
    scores.compare(numbers)
    return Done(changed, scores.follow(numbers, at=at))


def _mark(numbers: Numbers) -> None:
    """Write down how far the job's accounts are, and from which day on their kept scores are those that would be computed now.

    That begins anew today when something of an earlier day came in, when people sit otherwise, and after a night that was skipped.
    """
    come_in = "SELECT account_id FROM job_moved WHERE day < %(day)s UNION SELECT account_id FROM job_seated"
    run(
        f"INSERT INTO job_unsettled SELECT account_id FROM ({come_in}) AS late WHERE true ON CONFLICT (account_id) DO NOTHING",
        numbers.values,
    )
    unsettled = "SELECT account_id FROM job_unsettled"
    values = numbers.values | {"yesterday": numbers.day - timedelta(days=1)}
    run(
        "UPDATE abm_statemark AS k SET version = %(version)s, anchor = %(anchor)s, first_day = %(first_day)s, last_day = %(day)s, "
        f"settled_from = CASE WHEN settled_from IS NULL OR version <> %(version)s OR last_day < %(yesterday)s OR account_id IN ({unsettled}) THEN %(day)s ELSE settled_from END "
        f"WHERE {OF_THE_JOB}",
        values,
    )


ENDLESS = 2**62
SWEPT_AT_ONCE = 10_000
LOOKED_AT_AGAIN = 3


def _ahead(numbers: Numbers, *, at: datetime) -> tuple[Numbers, datetime]:
    """Go on from where the accounts are: states of a day do not go back to the day before.

    Another worker's clock may be past midnight already; then its day is worked. Whoever is further ahead had a wrong
    clock, and is counted anew. Give also since when history is read: a day before the accounts were last worked on, for
    clocks differ.
    """
    built = "MIN(CASE WHEN version <> '' THEN last_day END)"
    found = row(f"SELECT MAX(last_day), {built} FROM abm_statemark AS k WHERE {OF_THE_JOB}", numbers.values)
    last_day, first_day = (date.fromisoformat(str(each)) if each else numbers.day for each in found)
    since = datetime.combine(first_day - timedelta(days=1), time.min, tzinfo=policy.ZONE)
    if last_day == numbers.day + timedelta(days=1):
        numbers = weights.of_day(last_day, at=at).between((numbers.first_account, numbers.last_account))
    elif last_day > numbers.day:
        run(f"UPDATE abm_statemark AS k SET version = '' WHERE last_day > %(day)s AND {OF_THE_JOB}", numbers.values)
    return numbers, since


def _find_stale(numbers: Numbers) -> int:
    """Choose whose sums are made anew: from activities where counts are missing or wrong, from counts where numbers or month are others.

    Give how many accounts that are.
    """
    _doubt(f"SELECT account_id FROM crm_activitychange WHERE kind = '{ActivityChange.COUNT_ANEW}'", numbers)
    others = f"FROM abm_statemark AS k WHERE {OF_THE_JOB} AND (version <> %(version)s OR anchor <> %(anchor)s)"
    if not one(f"SELECT 1 {others} LIMIT 1", numbers.values):
        return 0
    uncounted = run(f"INSERT INTO job_stale SELECT account_id FROM abm_statemark AS k WHERE version = '' AND {OF_THE_JOB}", numbers.values)
    if uncounted:
        bulk.look_at("job_stale")
        counting.recount(numbers)
    return uncounted + run(f"INSERT INTO job_stale SELECT account_id {others} ON CONFLICT (account_id) DO NOTHING", numbers.values)


def _heal(numbers: Numbers) -> int:
    """Count an account anew of which more was taken back than there was; that is an error of ours, and is logged as one."""
    wrong = "SELECT account_id FROM job_moved WHERE after_n < 0"
    healed = _doubt(wrong, numbers)
    if healed:
        run(f"INSERT INTO job_stale {wrong} GROUP BY 1 ON CONFLICT (account_id) DO NOTHING")
        logger.error("Accounts had day counts below zero and are counted anew")
        counting.recount(numbers)
    return healed


def _doubt(account_ids: str, numbers: Numbers) -> int:
    """Have those of the job's accounts counted anew that a query gives."""
    return run(f"UPDATE abm_statemark AS k SET version = '' WHERE {OF_THE_JOB} AND account_id IN ({account_ids})", numbers.values)
