"""The weekly report and the monthly cohorts: made once per reader and period, kept word for word, and mailed."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import date, datetime, timedelta

from django.core.mail import EmailMessage
from django.db import transaction
from django.utils.translation import gettext as _

from abm import policy, reports
from abm.kept_reports import contents, mails, words
from abm.models import ReportSnapshot
from abm.models.reports import ReportSnapshot as Kept
from crm import policy as crm_policy
from crm.errors import Invalid
from crm.models import User

__all__ = ["contents", "definitions", "mail_waiting", "make", "make_due", "month_before", "readers", "week_before", "words"]

logger = logging.getLogger(__name__)


def week_before(day: date) -> tuple[date, date]:
    """Give Monday and Sunday of the last week that is over."""
    monday = day - timedelta(days=day.weekday() + 7)
    return monday, monday + timedelta(days=6)


def month_before(day: date) -> tuple[date, date]:
    """Give the first and the last day of the last month that is over."""
    last = day.replace(day=1) - timedelta(days=1)
    return last.replace(day=1), last


def definitions() -> str:
    """Name the numbers that judge figures by their content, so that a kept report tells which were in force."""
    numbers = [asdict(each) for each in (policy.BENCHMARKS, policy.FORECAST, policy.BUDGETS, policy.COHORTS)]
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:12]


def readers() -> Iterable[User]:
    """Give who reads reports: staff at work who may look at deals."""
    found = User.objects.filter(is_active=True, is_staff=True).order_by("pk")
    return [user for user in found if reports.open_to(user)]


def make(kind: str, *, user: User, first: date, at: datetime) -> ReportSnapshot:
    """Give a reader's report of the period that begins on a day; made the first time, and read again ever after.

    Raises Invalid for a period that is not over, or does not begin with its first day.
    """
    last = _end(kind, first)
    if last >= crm_policy.day_of(at):
        raise Invalid(_("This period is not over yet."))
    period = {"kind": kind, "user": user, "first_day": first}
    if there := ReportSnapshot.objects.filter(**period).first():
        return there
    facts = contents.of(kind, user=user, first=first, last=last, today=crm_policy.day_of(at), before=_before(kind, user, first))
    made = {"last_day": last, "content": contents.written(facts), "definitions": definitions(), "made_at": at}
    return ReportSnapshot.objects.get_or_create(**period, defaults=made)[0]


def _end(kind: str, first: date) -> date:
    if kind == Kept.Kind.WEEKLY:
        if first.weekday():
            raise Invalid(_("A week begins on a Monday."))
        return first + timedelta(days=6)
    if first.day != 1:
        raise Invalid(_("A month begins on its first day."))
    return month_before((first + timedelta(days=31)).replace(day=1))[1]


def _before(kind: str, user: User, first: date) -> ReportSnapshot | None:
    """Give the report of the period just before, to tell what is different."""
    return ReportSnapshot.objects.filter(kind=kind, user=user, last_day=first - timedelta(days=1)).first()


def make_due(*, at: datetime) -> int:
    """Make what is lacking of the last week and the last month; safe to repeat. Give the number of reports made."""
    day, made = crm_policy.day_of(at), 0
    for kind, first in ((Kept.Kind.WEEKLY, week_before(day)[0]), (Kept.Kind.MONTHLY, month_before(day)[0])):
        have = set(ReportSnapshot.objects.filter(kind=kind, first_day=first).values_list("user_id", flat=True))
        for user in readers():
            if user.pk not in have:
                make(kind, user=user, first=first, at=at)
                made += 1
    return made


def mail_waiting(*, link: Callable[[ReportSnapshot], str], at: datetime, language: str = "en") -> int:
    """Mail the reports of the last week and month that nobody was mailed yet; give how many went out.

    Run twice at once, each goes out once. One that the mail server refuses is tried again the next time; the others go on.
    """
    day, sent = crm_policy.day_of(at), 0
    firsts = (week_before(day)[0], month_before(day)[0])
    waiting = ReportSnapshot.objects.filter(mailed_at=None, first_day__in=firsts, user__is_active=True, user__report_mail=True)
    for snapshot in waiting.exclude(user__email="").select_related("user").order_by("pk"):
        try:
            sent += _mail(snapshot, mails.message(snapshot, link=link(snapshot), language=language), at)
        except OSError as error:
            logger.warning("The %s of %s was not sent: %s", snapshot.kind, snapshot.first_day, error)
    return sent


@transaction.atomic
def _mail(snapshot: ReportSnapshot, message: EmailMessage, at: datetime) -> bool:
    """Mark a report as mailed and mail it; a mail that is refused takes the mark along."""
    if not ReportSnapshot.objects.filter(pk=snapshot.pk, mailed_at=None).update(mailed_at=at):
        return False
    message.send()
    return True
