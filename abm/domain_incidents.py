"""Many addresses of one domain that fail together are one signal about the account, not a wave of job changes."""

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef
from django.db.models.functions import Lower

from abm import policy, signal_effects
from abm.models import JobChangeSignal, SignalEvidence
from abm.models.job_changes import JobChangeSignalQuerySet
from crm import deliverability
from crm.models import Account, Contact, DeliveryReport


def notice(account: Account, report: DeliveryReport, *, address: str, at: datetime) -> JobChangeSignal | None:
    """Give the account's open domain signal with this report as evidence; open it when this failure makes too many.

    The person signals of the same hours are held then. None while it is a matter of single persons.
    """
    signal = JobChangeSignal.objects.open().of_domains().filter(account=account).first()
    if signal is not None:
        _note(signal, [report])
        return signal
    failures = _failures(account, report, domain=deliverability.domain_of(address))
    if not _too_many(failures, account, domain=deliverability.domain_of(address)):
        return None
    signal = JobChangeSignal(kind=JobChangeSignal.Kind.DOMAIN, account=account, opened_at=at)
    signal.effects = signal_effects.opening(signal, at=at)
    signal.save()
    signal_effects.tell(signal, at=at)
    _note(signal, failures)
    for single in _of_these_hours(account, report):
        signal_effects.turn(single, JobChangeSignal.Status.HELD, at=at)
    return signal


def _failures(account: Account, report: DeliveryReport, *, domain: str) -> list[DeliveryReport]:
    """List the lasting failures of the domain's addresses in the hours up to a report, but for those decided on already."""
    failures = DeliveryReport.objects.failures_since(_since(report)).filter(
        delivery__account=account, delivery__address__iendswith=f"@{domain}", reported_at__lte=report.reported_at
    )
    decided = JobChangeSignal.objects.of_domains().filter(account=account, decided_at__isnull=False).order_by("-decided_at").first()
    if decided is not None and decided.decided_at is not None:
        failures = failures.filter(reported_at__gt=decided.decided_at)
    return list(failures.select_related("delivery").order_by("reported_at", "pk"))


def _since(report: DeliveryReport) -> datetime:
    return report.reported_at - timedelta(hours=policy.JOB_CHANGES.domain_incident_hours)


def _too_many(failures: list[DeliveryReport], account: Account, *, domain: str) -> bool:
    """Say whether so many of the domain's active addresses fail; one alone never does, or a second colleague would be no job change."""
    contacts = Contact.objects.active().filter(account=account, email__iendswith=f"@{domain}", address_invalid_at=None)
    active = set(contacts.values_list(Lower("email"), flat=True))
    failing = {failure.delivery.address.lower() for failure in failures if failure.delivery} & active
    numbers = policy.JOB_CHANGES
    return len(failing) >= min(numbers.domain_incident_addresses, max(2, numbers.domain_incident_share * len(active)))


def _note(signal: JobChangeSignal, failures: list[DeliveryReport]) -> None:
    SignalEvidence.objects.bulk_create([evidence_of(signal, failure) for failure in failures], ignore_conflicts=True)


def evidence_of(signal: JobChangeSignal, report: DeliveryReport) -> SignalEvidence:
    """Make a report into a piece of evidence, cut short because it is about a person."""
    return SignalEvidence(
        signal=signal,
        source=SignalEvidence.Source.BOUNCE,
        key=f"report:{report.pk}",
        text=report.evidence[:500],
        seen_at=report.reported_at,
    )


def _of_these_hours(account: Account, report: DeliveryReport) -> JobChangeSignalQuerySet:
    """Select the open person signals of the same hours that rest on bounced mail alone: a person's word is not held."""
    words = SignalEvidence.objects.filter(signal=OuterRef("pk")).exclude(source=SignalEvidence.Source.BOUNCE)
    return JobChangeSignal.objects.open().of_persons().filter(account=account, opened_at__gte=_since(report)).exclude(Exists(words))


def held(account: Account) -> JobChangeSignalQuerySet:
    """Select the person signals that wait for the end of the account's incident."""
    return JobChangeSignal.objects.of_persons().filter(account=account, status=JobChangeSignal.Status.HELD).order_by("pk")
