"""From facts to meaning: fit, score, momentum, coverage, journey phase and alerts of accounts; the single path, for one or for many."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from abm import engagement, icp, job_changes, journey, sales_alerts, score_numbers, states
from abm.models import AccountStanding, DayCount, IdealCustomerProfile, JobChangeSignal
from crm import dmu
from crm import policy as crm_policy
from crm.models import Account, ActivityChange, Contact, DmuMembership, FollowUp, Opportunity

LEARNED_AT_ONCE, SEVENTH = 500, 7
# Days of history that a night reads: its own, the last night's, and one for clocks that differ.
LOOKED_BACK = 2


def account(account_id: int, *, at: datetime) -> int:
    """Refresh one account; give 0 if it does not exist."""
    return accounts([account_id], at=at)


def accounts(account_ids: Collection[int], *, at: datetime, day: date | None = None, everybody: bool = True) -> int:
    """Refresh accounts as of the day of `at`, in a fixed number of queries for each 500; return how many there were.

    With an earlier `day`, only that day's scores are written again: fit, coverage and standing are of now. Without
    `everybody` people are taken to sit where they sat, unless the history tells otherwise.
    """
    today = crm_policy.day_of(at)
    with transaction.atomic():
        found = {row.pk: row for row in Account.objects.filter(pk__in=account_ids).select_related("owner").order_by("pk")}
        if day is not None and day < today:
            numbers = score_numbers.in_force()
            for some in _parts(list(found)):
                engagement.store(engagement.of_accounts(some, as_of=day, numbers=numbers), day=day, at=at, numbers=numbers)
        else:
            _bring_up_to_date(found, today=today, everybody=everybody, at=at)
    return len(found)


def _bring_up_to_date(found: Mapping[int, Account], *, today: date, everybody: bool, at: datetime) -> None:
    # Facts are read after this. Otherwise a refresh that began before an activity was recorded could end after the
    # refresh that counted it, and put the older score back.
    here = {pk: found[pk] for pk in states.hold(found)}
    for some in _parts(list(here)):
        _learn({pk: here[pk] for pk in some}, today=today, at=at)
    done = states.bring_up(here, day=today, everybody=everybody, is_held=True, at=at)
    journey.store(here.keys(), day=today, at=at)
    sales_alerts.crossed(done.crossed, at=at)


def night(first: int, last: int | None, *, day: date, at: datetime) -> int:
    """Bring all accounts with an id from first to last, or with any later one, to today; give how many.

    Scores of all of them; fit and coverage of those where something happened, and of a seventh of the others each night, for
    whoever listens to events may have missed one; phases of these and of those that days alone may have moved.
    """
    ends = (first, last or states.ENDLESS)
    here = Account.objects.filter(pk__range=ends).order_by("pk")
    with transaction.atomic():
        ids = states.hold(list(here.values_list("pk", flat=True)))
        moving = due(ends, day=day).intersection(ids)
        for some in _parts(sorted(moving)):
            _learn(here.select_related("owner").in_bulk(some), today=day, at=at)
        done = states.bring_up(ids, day=day, everybody=False, is_held=True, at=at)
        faded = journey.fading(ends, after=day - timedelta(days=LOOKED_BACK), day=day).intersection(ids)
        journey.store(moving | faded, day=day, at=at)
        sales_alerts.crossed(done.crossed, at=at)
    return len(ids)


def _parts(account_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (account_ids[start : start + LEARNED_AT_ONCE] for start in range(0, len(account_ids), LEARNED_AT_ONCE))


def due(ends: tuple[int, int], *, day: date) -> set[int]:
    """Choose the accounts with ids between two ends of which fit and coverage may differ from what was written last."""
    since = datetime.combine(day - timedelta(days=LOOKED_BACK), time.min, tzinfo=crm_policy.ZONE)
    here = Account.objects.filter(pk__range=ends).order_by()
    if IdealCustomerProfile.history.filter(history_date__gte=since).exists():
        return set(here.values_list("pk", flat=True))
    turn = here.annotate(turn=F("pk") % SEVENTH).filter(turn=day.toordinal() % SEVENTH)
    # After a night that was skipped, so short a history does not tell all that happened.
    unknown = here.filter(Q(standing=None) | Q(fit=None) | Q(standing__as_of__lt=day - timedelta(days=1)))
    changed = Account.history.filter(id__range=ends, history_date__gte=since)
    found = {pk for rows in (turn, unknown, changed) for pk in rows.values_list("id", flat=True)}
    return found.union(*(set(rows.values_list("account_id", flat=True)) for rows in _moving(ends, since=since, day=day)))


def _moving(ends: tuple[int, int], *, since: datetime, day: date) -> Iterator[QuerySet[Any]]:
    """Give what moves an account: people, roles, deals, dates, activities new or too old to be called engaged, what waits for a successor."""
    at_these = {"account_id__gte": ends[0], "account_id__lte": ends[1]}
    aged, lately = day - timedelta(days=crm_policy.DMU.engaged_within_days), (day - timedelta(days=LOOKED_BACK), day)
    for model in (Contact, DmuMembership, Opportunity):
        yield model.history.filter(**at_these, history_date__gte=since)
    yield ActivityChange.objects.filter(**at_these)
    yield DayCount.objects.filter(**at_these, day__range=(aged - timedelta(days=LOOKED_BACK), aged))
    # A role or a job that begins or ends by a date that was written down before.
    yield DmuMembership.objects.filter(**at_these).filter(Q(since__range=lately) | Q(until__range=lately))
    yield Contact.objects.filter(**at_these, left_on__range=lately)
    yield JobChangeSignal.objects.waiting().filter(**at_these)
    yield FollowUp.objects.open().filter(**at_these, reason=FollowUp.Reason.FIND_SUCCESSOR)


def _learn(found: Mapping[int, Account], *, today: date, at: datetime) -> None:
    """Settle what is open, and write fit and coverage of accounts; score and momentum stay as they are."""
    job_changes.settle(found.keys(), at=at)
    fits, coverage = icp.of_accounts(found), dmu.coverage(found.values(), at=at)
    icp.store(fits, at=at)
    standings = [
        AccountStanding(
            account_id=pk,
            as_of=today,
            fit=fits[pk].points,
            score=0,
            momentum=0,
            coverage_percent=coverage[pk].percent,
            coverage_states=coverage[pk].states,
            is_single_threaded=coverage[pk].is_single_threaded,
            refreshed_at=at,
        )
        for pk in found
        if pk in fits
    ]
    AccountStanding.objects.bulk_create(
        standings,
        update_conflicts=True,
        unique_fields=["account"],
        update_fields=["fit", "coverage_percent", "coverage_states", "is_single_threaded"],
    )


def changed(*, at: datetime, limit: int = 1000) -> int:
    """Refresh every account whose activities changed, up to `limit` per transaction; return how many there were.

    The changes of writers who have not committed stay for the next call, and those that another call works on are
    left to it: two calls at once share the work, and meet only over an account that changed again meanwhile.
    """
    total, last = 0, 0
    while waiting := _waiting(after=last, today=crm_policy.day_of(at), limit=limit):
        total, last = total + _refresh_waiting(waiting, at=at), waiting[-1]
    return total


def _waiting(*, after: int, today: date, limit: int) -> list[int]:
    rows = ActivityChange.objects.filter(account_id__gt=after, day__lte=today).order_by("account_id")
    return list(rows.values_list("account_id", flat=True).distinct()[:limit])


@transaction.atomic
def _refresh_waiting(account_ids: Collection[int], *, at: datetime) -> int:
    """Refresh those of the accounts that nobody else works on; that takes their changes off the queue."""
    there = set(Account.objects.filter(pk__in=account_ids).values_list("pk", flat=True))
    ActivityChange.objects.filter(account_id__in=set(account_ids) - there).delete()
    held = states.hold(there, skip_locked=True)
    # Looked up again: somebody may have done it a moment earlier.
    waiting = ActivityChange.objects.filter(account_id__in=held, day__lte=crm_policy.day_of(at))
    return accounts(sorted(set(waiting.values_list("account_id", flat=True))), everybody=False, at=at)
