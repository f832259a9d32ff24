"""Departures: who could come after, signals decided many at once, how long roles stayed empty, and how many people leave."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import Count, DateField, DurationField, ExpressionWrapper, F, Min, OuterRef, Q, Subquery, Window
from django.db.models.functions import Coalesce, RowNumber
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from abm import job_changes, policy, signal_effects
from abm.errors import WrongStatus
from abm.models import JobChangeSignal
from crm import handovers
from crm import policy as crm_policy
from crm.errors import CrmError, Invalid
from crm.handovers import Judged
from crm.models import Contact, DmuMembership, User
from crm.models.accounts import within_sight
from crm.models.contacts import ContactQuerySet

NAMED, SAME_FUNCTION, NEWEST = "named", "same_function", "newest"
WHY: dict[str, Promise] = {
    NAMED: gettext_lazy("named as the successor"),
    SAME_FUNCTION: gettext_lazy("has the same function"),
    NEWEST: gettext_lazy("among the newest at the account"),
}
REASONS = handovers.REASONS | {
    "decided": gettext_lazy("they were decided already"),
    "refused": gettext_lazy("what is on record forbids it: open them one by one"),
}


# --- who comes after -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """Somebody at the account who could come after, and why they are offered; one of WHY."""

    contact: Contact
    why: str


def candidates(signal: JobChangeSignal) -> list[Candidate]:
    """Offer who could come after, the likeliest first: who was named, who has the same function, who came last."""
    if signal.contact is None:
        return []
    others = Contact.objects.active().filter(account=signal.account_id, erased_at=None).exclude(pk=signal.contact.pk)
    found: dict[int, Candidate] = {}
    for why, contact in _offered(signal, signal.contact, others.select_related("person")):
        found.setdefault(contact.pk, Candidate(contact, why))
    return list(found.values())[: policy.JOB_CHANGES.candidates]


def _offered(signal: JobChangeSignal, gone: Contact, others: ContactQuerySet) -> Iterator[tuple[str, Contact]]:
    at_most, newest = policy.JOB_CHANGES.candidates, others.order_by("-created_at", "-pk")
    if named := signal_effects.named(signal, others):
        yield NAMED, named
    if gone.function:
        yield from ((SAME_FUNCTION, contact) for contact in newest.filter(function=gone.function)[:at_most])
    yield from ((NEWEST, contact) for contact in newest[:at_most])


@transaction.atomic
def appoint(signal: JobChangeSignal, *, successor: Contact, at: datetime, by: User | None = None) -> JobChangeSignal:
    """Let a colleague come after who left: the roles go to them as assumed, and a signal that waits is confirmed with it.

    Raise Invalid for somebody who cannot come after, WrongStatus for a signal that was dismissed.
    """
    signal_effects.refuse_successor(signal, successor)
    job_changes.claim(signal.account_id)
    row = JobChangeSignal.objects.select_related("contact").get(pk=signal.pk)
    if row.status in job_changes.WAITING:
        return job_changes.confirm(signal, at=at, by=by, successor=successor)
    if row.status != JobChangeSignal.Status.CONFIRMED:
        raise WrongStatus(_("Nobody left: there is nobody to come after."))
    row.effects = row.effects + signal_effects.succeeding(row, successor, at=at, by=by)
    row.save(update_fields=["effects"])
    signal.refresh_from_db()
    return signal


# --- many at once ----------------------------------------------------------------------------------


def judge_many(ids: Sequence[int], *, by: User) -> Judged:
    """Say which signals would be decided, and how many not for which of REASONS; raise Invalid for too many."""
    at_most = policy.JOB_CHANGES.decided_at_once
    if len(ids) > at_most:
        raise Invalid(_("At most %(count)d at once: filter for fewer.") % {"count": at_most})
    return handovers.judged(JobChangeSignal, ids, by, lambda row: "" if row["status"] in job_changes.WAITING else "decided", "status")


def confirm_many(ids: Sequence[int], *, at: datetime, by: User) -> Judged:
    """Confirm signals, each in a transaction of its own and as if it were the only one."""
    return _decide_many(job_changes.confirm, ids, at=at, by=by)


def dismiss_many(ids: Sequence[int], *, at: datetime, by: User) -> Judged:
    """Dismiss signals, each in a transaction of its own and as if it were the only one."""
    return _decide_many(job_changes.dismiss, ids, at=at, by=by)


def _decide_many(rule: Callable[..., JobChangeSignal], ids: Sequence[int], *, at: datetime, by: User) -> Judged:
    judged, done, skipped = judge_many(ids, by=by), list[int](), Counter[str]()
    for signal in JobChangeSignal.objects.filter(pk__in=judged.chosen).order_by("account_id", "pk"):
        try:
            done.append(rule(signal, at=at, by=by).pk)
        except CrmError as refusal:
            skipped["decided" if isinstance(refusal, WrongStatus) else "refused"] += 1
    return Judged(done, dict(Counter(judged.skipped) + skipped))


# --- figures ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Succession:
    """Of the roles that departures ended lately: how many somebody holds again, and the days within which half of those did."""

    ended: int
    filled: int
    median_days: int | None

    @property
    def empty(self) -> int:
        """Count the roles that nobody holds again."""
        return self.ended - self.filled


def time_to_successor(user: User | AnonymousUser, *, at: datetime) -> Succession:
    """Measure how long it took until roles were held again, from the day of leaving, where a user may see; one query.

    A role of an account or deal counts as held again when somebody else got the same one on that day or later.
    """
    took = ExpressionWrapper(F("again_on") - F("until"), output_field=DurationField())
    place = Window(RowNumber(), order_by=[F("took").asc(nulls_last=True), F("pk").asc()])
    counted = {"ended": Window(Count("pk")), "filled": Window(Count("again_on"))}
    ranked = _ended_lately(user, at=at).annotate(took=took, place=place, **counted)
    # The middle one of those held again; the first of all where none is.
    middle = ranked.filter(place=F("filled") / 2 + 1).values_list("ended", "filled", "took").first()
    ended, filled, days = middle or (0, 0, None)
    return Succession(ended, filled, days.days if days is not None else None)


def _ended_lately(user: User | AnonymousUser, *, at: datetime) -> Any:
    """Select the roles that departures of the last months ended, each with the day on which somebody held it again."""
    since = crm_policy.day_of(at) - timedelta(days=policy.JOB_CHANGES.churn_days)
    same = DmuMembership.objects.filter(account=OuterRef("account"), role=OuterRef("role"), since__gte=OuterRef("until"))
    same = same.filter(Q(opportunity=OuterRef("opportunity")) | Q(opportunity=None)).exclude(contact=OuterRef("contact"))
    again = same.exclude(end_reason=DmuMembership.EndReason.MISTAKEN).order_by().values("role").annotate(day=Min("since")).values("day")
    ended = DmuMembership.objects.filter(departure__undone_at=None, departure__isnull=False, until__gte=since)
    return ended.filter(within_sight(user, at="account__")).annotate(again_on=Subquery(again, output_field=DateField())).order_by()


@dataclass(frozen=True)
class Churn:
    """How many of the people we knew at an account in the last months have left it."""

    left: int
    known: int

    @property
    def percent(self) -> int:
        """Give the share that left, in percent; 0 where we knew nobody."""
        return round(100 * self.left / self.known) if self.known else 0


def left_lately(today: date) -> Coalesce:
    """Select how many people left an account in the last months; for a list of accounts or one of them."""
    since = today - timedelta(days=policy.JOB_CHANGES.churn_days)
    return _people(Q(left_on__gt=since, left_on__lte=today))


def at_work(today: date) -> Coalesce:
    """Select how many people we know to work at an account."""
    return _people(Q(left_on=None) | Q(left_on__gt=today))


def _people(which: Q) -> Coalesce:
    there = Contact.objects.filter(which, account=OuterRef("pk")).order_by().values("account")
    return Coalesce(Subquery(there.annotate(count=Count("pk")).values("count")), 0)
