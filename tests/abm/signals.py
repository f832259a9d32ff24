"""Reports, suspicions, and the whole situation before and after them; for the tests of job-change signals."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import pytest
from django.db import models

from abm import job_changes
from abm.models import JobChangeSignal, SignalEvidence
from crm.errors import CrmError
from crm.models import (
    Account,
    Confirmation,
    Contact,
    Delivery,
    DeliveryReport,
    Departure,
    DmuMembership,
    FollowUp,
    Opportunity,
    Person,
    Suppression,
)
from crm.models.deliverability import Outcome
from tests.conftest import AT
from tests.factories.crm import (
    ContactFactory,
    DeliveryFactory,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def worked(contact: Contact) -> Contact:
    """Put on record that a mail to this contact arrived."""
    DeliveryFactory(contact=contact, sent_at=AT - 30 * DAY, delivered_at=AT - 30 * DAY)
    return contact


def colleagues(account: Account, count: int, *, domain: str = "molen.example") -> list[Contact]:
    return [worked(ContactFactory(account=account, email=f"collega{n}@{domain}")) for n in range(count)]


def bounce(contact: Contact, *, outcome: str = Outcome.PERSON_GONE, at: datetime = AT, ours: bool = True) -> DeliveryReport:
    """Put a report on record of a mail that went out an hour before it."""
    delivery = DeliveryFactory(contact=contact, sent_at=at - HOUR, outcome=outcome, failed_at=at) if ours else None
    number = DeliveryReport.objects.count()
    return DeliveryReport.objects.create(
        source="test", external_id=f"r{number}", recipient=contact.email, outcome=outcome, evidence="550 5.1.1 no such user",
        reported_at=at, delivery=delivery,
    )  # fmt: skip


def suspected(contact: Contact, **facts: object) -> JobChangeSignal:
    return job_changes.suspect(contact, source="rep", key="klik", text="Zei een collega.", at=AT, **facts)


def open_tasks(*reasons: str) -> list[FollowUp]:
    return list(FollowUp.objects.open().filter(reason__in=reasons).order_by("pk"))


def stopped() -> list[str]:
    return list(Suppression.objects.current().order_by("pk").values_list("address", flat=True))


def records(rows: models.QuerySet, *without: str) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name not in {*without, "change_serial"}} for row in rows.order_by("pk").values()]


def situation() -> dict[str, list[dict[str, object]]]:
    """Read everything that a rep would see: current rows, without moments of writing."""
    return {
        "persons": records(Person.objects),
        "contacts": records(Contact.objects, "updated_at"),
        "memberships": records(DmuMembership.objects),
        "opportunities": records(Opportunity.objects, "updated_at", "revision"),
        "confirmations": records(Confirmation.objects),
        "suppressions": records(Suppression.objects.current()),
        "tasks": records(FollowUp.objects.open()),
        "deliveries": records(Delivery.objects),
        "reports": records(DeliveryReport.objects),
        "accounts": records(Account.objects, "updated_at"),
    }


def everything() -> dict[str, list[dict[str, object]]]:
    signals = {"signals": records(JobChangeSignal.objects), "evidence": records(SignalEvidence.objects)}
    return situation() | signals | {"departures": records(Departure.objects)}


def refused(error: type[CrmError], deed: Callable[[], object]) -> CrmError:
    """Check that a rule refuses with this error, and that nothing changed."""
    before = everything()
    with pytest.raises(error) as caught:
        deed()
    assert everything() == before
    return caught.value


def no_effect(report: DeliveryReport) -> None:
    """Check that a report gives no signal and changes nothing."""
    before = everything()
    assert job_changes.assess(report.pk, at=AT) is None
    assert everything() == before


def statuses(signals: Iterable[JobChangeSignal]) -> list[str]:
    return [JobChangeSignal.objects.get(pk=signal.pk).status for signal in signals]
