"""Reports whose event was lost: the night judges them, each once, and a bounded number."""

from datetime import datetime

import pytest
from pytest_django import DjangoAssertNumQueries

from abm import job_changes, nightly, policy
from abm.models import JobChangeSignal, NightlyChunk, SignalEvidence
from crm.models import Account, Contact, DeliveryReport
from tests.abm.signals import DAY, HOUR, bounce, colleagues, worked
from tests.factories.crm import AccountFactory, ContactFactory


def missed(at: datetime, *, limit: int = 500) -> int:
    return job_changes.assess_missed(since=at - 3 * DAY, at=at, limit=limit)


def person(email: str, **facts: object) -> Contact:
    return worked(ContactFactory(email=email, **facts))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """List the reports that are judged, in their order, without judging them."""
    heard: list[int] = []
    monkeypatch.setattr(job_changes, "assess", lambda report_id, **_facts: heard.append(report_id))
    return heard


def test_a_report_that_was_never_judged_is_judged_once(anna: Contact, at: datetime) -> None:
    report = bounce(anna)
    assert (missed(at), missed(at)) == (1, 0)
    assert SignalEvidence.objects.get().key == f"report:{report.pk}"
    assert JobChangeSignal.objects.get().contact == anna


def test_a_report_that_a_decided_signal_counts_is_not_judged_again(anna: Contact, at: datetime, judged: list[int]) -> None:
    signal = JobChangeSignal.objects.create(contact=anna, account=anna.account, status="dismissed", opened_at=at, decided_at=at)
    SignalEvidence.objects.create(signal=signal, source="bounce", key=f"report:{bounce(anna).pk}", seen_at=at)
    assert (missed(at), judged) == (0, [])


@pytest.mark.parametrize(("status", "count"), [("open", 1), ("dismissed", 1), ("confirmed", 0)])
def test_a_report_that_only_a_domain_signal_names_is_judged_unless_the_domain_did_change(
    anna: Contact, at: datetime, judged: list[int], status: str, count: int
) -> None:
    decided_at = None if status == "open" else at
    signal = JobChangeSignal.objects.create(kind="domain", account=anna.account, status=status, opened_at=at, decided_at=decided_at)
    SignalEvidence.objects.create(signal=signal, source="bounce", key=f"report:{bounce(anna).pk}", seen_at=at)
    assert (missed(at), len(judged)) == (count, count)


def test_a_report_that_another_contacts_signal_names_is_judged(anna: Contact, account: Account, at: datetime, judged: list[int]) -> None:
    (colleague,) = colleagues(account, 1)
    signal = JobChangeSignal.objects.create(contact=colleague, account=account, status="open", opened_at=at)
    report = bounce(anna)
    SignalEvidence.objects.create(signal=signal, source="bounce", key=f"report:{report.pk}", seen_at=at)
    assert (missed(at), judged) == (1, [report.pk])


def test_reports_are_judged_in_the_order_of_their_accounts(db: None, at: datetime, judged: list[int]) -> None:
    first, second = AccountFactory(name="Zon BV"), AccountFactory(name="Aarde BV")
    late, early, again = (bounce(person(f"mens{n}@een.example", account=account)) for n, account in enumerate([second, first, second]))
    assert missed(at) == 3
    assert judged == [early.pk, late.pk, again.pk]


def test_a_night_judges_the_newest_reports_up_to_its_bound(
    db: None, at: datetime, judged: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[DeliveryReport] = [bounce(person(f"mens{n}@een.example"), at=at - HOUR) for n in range(3)]
    monkeypatch.setattr(policy, "NIGHTLY", policy.Nightly(bounces_per_night=2))
    nightly.run(at.date(), clock=lambda: at)
    assert judged == [report.pk for report in reports[1:]]
    assert NightlyChunk.objects.get(step="bounces").items == 2


def test_reports_that_are_counted_already_cost_no_query_each(
    account: Account, at: datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for contact in colleagues(account, 2):
        job_changes.suspect(contact, source="bounce", key=f"report:{bounce(contact).pk}", text="550", at=at)
    with django_assert_num_queries(1):
        assert missed(at) == 0
