"""From facts to meaning: fit, score, momentum, coverage, journey phase and alerts of accounts; the single path, for one or for many."""

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import transaction

from abm import engagement, icp, job_changes, journey, policy, sales_alerts, states
from abm.models import AccountStanding, EngagementScore
from crm import dmu
from crm import policy as crm_policy
from crm.models import Account, ActivityChange


def account(account_id: int, *, at: datetime) -> int:
    """Refresh one account; give 0 if it does not exist."""
    return accounts([account_id], at=at)


def accounts(account_ids: Collection[int], *, at: datetime, day: date | None = None) -> int:
    """Refresh accounts as of the day of `at`, in a fixed number of queries; return how many there were.

    With an earlier `day`, only that day's scores are written again: fit, coverage and standing are of now.
    """
    today = crm_policy.day_of(at)
    with transaction.atomic():
        found = {row.pk: row for row in Account.objects.filter(pk__in=account_ids).select_related("owner").order_by("pk")}
        if day is not None and day < today:
            engagement.store(engagement.of_accounts(found, as_of=day), day=day, at=at)
        else:
            _bring_up_to_date(found, today=today, at=at)
    return len(found)


def _bring_up_to_date(found: Mapping[int, Account], *, today: date, at: datetime) -> None:
    states.hold(found)
    before = _claim(found, today=today, at=at)
    job_changes.settle(found.keys(), at=at)
    states.bring_up(found, day=today, at=at)
    journey.store(found.keys(), day=today, at=at)
    # Computed, not looked up: what came in late, as an import does, is no rise of this week.
    week_ago = engagement.of_accounts(found, as_of=today - timedelta(days=policy.ALERTS.compared_with_days_ago))
    standings = _standings(found, _scores(found, today), then=week_ago, today=today, at=at)
    sales_alerts.warming_up(found, standings, before=before, at=at)


def _claim(account_ids: Collection[int], *, today: date, at: datetime) -> dict[int, AccountStanding]:
    """Lock the standings of accounts, in one order for everybody, making those that lack; give them as they were.

    Facts are read after this. Otherwise a refresh that began before an activity was recorded could end after the
    refresh that counted it, and put the older score back. (SQLite has one writer at a time and needs no lock.)
    """
    # By the column: "account" would join the accounts for their names, lock those, too, and hold up whoever records.
    lock = AccountStanding.objects.select_for_update(of=("self",)).order_by("account_id")
    before = {row.account_id: row for row in lock.filter(account__in=account_ids)}
    if new := [pk for pk in account_ids if pk not in before]:
        empty = {"as_of": today, "fit": 0, "score": 0, "momentum": 0, "coverage_percent": 0, "refreshed_at": at}
        AccountStanding.objects.bulk_create([AccountStanding(account_id=pk, **empty) for pk in new], ignore_conflicts=True)
        # Somebody may have made one of them a moment earlier; lock that, too.
        list(lock.filter(account__in=new).values_list("pk"))
    return before


def _scores(account_ids: Collection[int], day: date) -> dict[int, Decimal]:
    """Give the scores of a day; who has none has nothing."""
    kept = EngagementScore.objects.on(day).filter(account__in=account_ids).order_by()
    return dict.fromkeys(account_ids, Decimal(0)) | dict(kept.values_list("account_id", "score"))


def _standings(
    found: Mapping[int, Account], now: Mapping[int, Decimal], *, then: Mapping[int, engagement.Scored], today: date, at: datetime
) -> list[AccountStanding]:
    """Write the standing of each account, from its score now and then, its fit and its coverage."""
    fits, coverage = icp.of_accounts(found), dmu.coverage(found.values(), at=at)
    icp.store(fits, at=at)
    standings = [
        AccountStanding(
            account_id=pk,
            as_of=today,
            fit=fits[pk].points,
            score=now[pk],
            momentum=now[pk] - then[pk].score_1,
            coverage_percent=coverage[pk].percent,
            coverage_states=coverage[pk].states,
            is_single_threaded=coverage[pk].is_single_threaded,
            refreshed_at=at,
        )
        for pk in found
        if pk in then and pk in fits
    ]
    AccountStanding.objects.bulk_create(
        standings,
        update_conflicts=True,
        unique_fields=["account"],
        update_fields=[
            "as_of", "fit", "score", "momentum", "coverage_percent", "coverage_states", "is_single_threaded", "refreshed_at",
        ],
    )  # fmt: skip
    return standings


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
    return accounts(sorted(set(waiting.values_list("account_id", flat=True))), at=at)
