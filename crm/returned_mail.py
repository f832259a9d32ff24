"""Returned mail: what came back of the mail of the last days, per day and per domain; a statement each, whatever the amount."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Q, QuerySet, Value
from django.db.models.functions import Lower, StrIndex, Substr, TruncDate

from crm import policy
from crm.models import Delivery, DeliveryReport, User
from crm.models.accounts import within_sight
from crm.models.deliverability import Outcome
from crm.models.users import Sight, sight

# Outcomes that want the same answer, the worst first: find the successor, mend our sending, look later.
KINDS: dict[str, tuple[Outcome, ...]] = {
    "gone": (Outcome.PERSON_GONE, Outcome.MAILBOX_MOVED),
    "company": (Outcome.DOMAIN_GONE,),
    "blocked": (Outcome.BLOCKED_POLICY, Outcome.CONTENT),
    "passing": (Outcome.MAILBOX_FULL, Outcome.TEMPORARY),
    "other": (Outcome.OTHER, Outcome.NOT_A_BOUNCE),
}
_KIND_OF = {outcome: kind for kind, outcomes in KINDS.items() for outcome in outcomes}


@dataclass(frozen=True)
class Day:
    """One local day: how many mails went out, and how many reports of each of KINDS came in."""

    day: date
    sent: int
    arrived: int
    kinds: dict[str, int]

    @property
    def reports(self) -> int:
        """Count the reports of all kinds."""
        return sum(self.kinds.values())


@dataclass(frozen=True)
class Returned:
    """The last days, the oldest first; `unverified` reports speak of mail that we did not send, for who sees every record."""

    days: list[Day]
    domains: list[dict[str, Any]]
    unverified: int | None

    @property
    def sent(self) -> int:
        """Count the mails that went out."""
        return sum(day.sent for day in self.days)

    @property
    def arrived(self) -> int:
        """Count the mails of these days that are known to have arrived."""
        return sum(day.arrived for day in self.days)

    @property
    def kinds(self) -> dict[str, int]:
        """Count the reports of each of KINDS."""
        return {kind: sum(day.kinds.get(kind, 0) for day in self.days) for kind in KINDS}

    @property
    def reports(self) -> int:
        """Count the reports on mail of ours."""
        return sum(day.reports for day in self.days)


def lately(user: User | AnonymousUser, *, at: datetime) -> Returned:
    """Read what came back in the last policy.MAIL.looked_back_days of mail that a user may see; three statements."""
    today, since = policy.day_of(at), at - timedelta(days=policy.MAIL.looked_back_days)
    days = [today - timedelta(days=ago) for ago in reversed(range(policy.MAIL.looked_back_days))]
    seen = Delivery.objects.visible_to(user).filter(sent_at__gt=since).order_by()
    counts = {row["day"]: row for row in _per_day(seen)}
    kinds, unverified = _reports(user, since=since)
    rows = [Day(day, *_sent(counts.get(day)), dict(kinds.get(day, {}))) for day in days]
    return Returned(rows, _worst_domains(seen), unverified if sight(user) is Sight.ALL else None)


def _sent(row: dict[str, Any] | None) -> tuple[int, int]:
    return (row["sent"], row["arrived"]) if row else (0, 0)


def _per_day(seen: QuerySet[Delivery]) -> Iterable[Any]:
    arrived = Count("pk", filter=Q(delivered_at__isnull=False, failed_at=None))
    return seen.values(day=TruncDate("sent_at", tzinfo=policy.ZONE)).annotate(sent=Count("pk"), arrived=arrived)


def _reports(user: User | AnonymousUser, *, since: datetime) -> tuple[dict[date, Counter[str]], int]:
    """Count the reports by day and kind, and those on mail that is not ours."""
    ours = Q(delivery__isnull=False) & within_sight(user, at="delivery__account__")
    in_sight = Q() if sight(user) is Sight.ALL else ours
    rows = DeliveryReport.objects.filter(in_sight, reported_at__gt=since).order_by()
    per_day = rows.values("outcome", day=TruncDate("reported_at", tzinfo=policy.ZONE)).annotate(
        ours=Count("pk", filter=Q(delivery__isnull=False)), others=Count("pk", filter=Q(delivery=None))
    )
    kinds: dict[date, Counter[str]] = {}
    unverified = 0
    for row in per_day:
        kinds.setdefault(row["day"], Counter())[_KIND_OF[Outcome(row["outcome"])]] += row["ours"]
        unverified += row["others"]
    return kinds, unverified


def _worst_domains(seen: QuerySet[Delivery]) -> list[dict[str, Any]]:
    """Give the domains from which most mail came back, each with what was sent there and how much failed of each of KINDS."""
    failed: dict[str, Any] = {kind: Count("pk", filter=Q(outcome__in=outcomes)) for kind, outcomes in KINDS.items()}
    domain = Substr(Lower("address"), StrIndex("address", Value("@")) + 1)
    counted = seen.values(domain=domain).annotate(sent=Count("pk"), failed=Count("pk", filter=Q(failed_at__isnull=False)), **failed)
    worst: Any = counted.filter(failed__gt=0).order_by("-failed", "domain")[: policy.MAIL.domains_shown]
    return [{**row, "blocks_us": _blocks_us(row)} for row in worst]


def _blocks_us(row: dict[str, Any]) -> bool:
    """Say whether a domain refuses so much of our mail that somebody should look at how we send."""
    return bool(row["blocked"] >= policy.MAIL.blocked_alarm_mails and row["blocked"] >= row["sent"] * policy.MAIL.blocked_alarm_share)
