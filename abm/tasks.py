"""Celery doors of abm: each reads the clock and calls one rule; every one of them may run twice."""

from collections.abc import Sequence
from datetime import date

from celery import shared_task
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from abm import job_changes, kept_reports, refresh
from abm import nightly as nightly_run
from abm.models import ReportSnapshot
from crm import policy
from crm import tasks as queue


@shared_task
def refresh_changed() -> int:
    """Refresh the accounts whose activities changed."""
    return refresh.changed(at=timezone.now())


@shared_task
def refresh_accounts(account_ids: Sequence[int]) -> int:
    """Refresh these accounts."""
    return refresh.accounts(account_ids, at=timezone.now())


@shared_task
def assess_failure(delivery_report_id: int) -> str:
    """Judge whether a failed mail means that somebody left."""
    return str(job_changes.assess(delivery_report_id, at=timezone.now()) or "")


@shared_task
def rebuild_scores() -> bool:
    """Score all accounts with the numbers in force, as far as that is not done; say whether it is done now."""
    run = nightly_run.rebuild(clock=timezone.now)
    return bool(run and run.finished_at)


@shared_task
def nightly() -> str:
    """Do today's nightly run, and have every worker that has time do some of it."""
    day = policy.day_of(timezone.now())
    for _ in range(nightly_run.helpers_wanted(day, at=timezone.now())):
        queue.enqueue(share_night, day.isoformat())
    return share_night(day.isoformat())


@shared_task
def share_night(day: str) -> str:
    """Do chunks of a day's nightly run until there is none that nobody works on."""
    return nightly_run.run(date.fromisoformat(day), clock=timezone.now).day.isoformat()


@shared_task
def nightly_catch_up() -> str:
    """Do today's nightly run if its hour has passed without it."""
    return nightly() if nightly_run.is_due(at=timezone.now()) else ""


def report_link(snapshot: ReportSnapshot) -> str:
    """Give the address of a kept report's page."""
    return f"{settings.PUBLIC_URL}{reverse('admin:abm_reportsnapshot_change', args=[snapshot.pk])}"


@shared_task
def mail_reports() -> int:
    """Make the reports of the last week and month that are lacking, and mail those that were not."""
    at = timezone.now()
    kept_reports.make_due(at=at)
    return kept_reports.mail_waiting(link=report_link, at=at, language=settings.LANGUAGE_CODE)
