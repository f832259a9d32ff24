"""Two reports or two decisions about one account at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import pytest

from abm import job_changes, refresh
from abm.errors import WrongStatus
from abm.models import JobChangeSignal
from crm.models import (
    Account,
    Contact,
    Departure,
    FollowUp,
    Suppression,
)
from tests.abm.signals import HOUR, bounce, statuses, suspected, worked
from tests.conftest import AT
from tests.factories.crm import (
    AccountFactory,
    ActivityFactory,
    ContactFactory,
)
from tests.overlap import in_own_transaction, outcome, wait_until_waited_for


def person_at(account: Account, email: str = "anna@molen.example") -> Contact:
    return worked(ContactFactory(account=account, email=email))


@pytest.mark.postgres
@pytest.mark.parametrize("second", [job_changes.confirm, job_changes.dismiss, job_changes.withdraw])
def test_of_two_decisions_at_once_the_second_hears_so(two_at_once: Callable, second: Callable) -> None:
    anna = person_at(AccountFactory())
    signal = suspected(anna)
    stale = JobChangeSignal.objects.get(pk=signal.pk)
    failures = two_at_once(lambda: job_changes.confirm(signal, at=AT), lambda: second(stale, at=AT))
    assert [type(failure) for failure in failures] == [type(None), WrongStatus]
    assert (statuses([signal]), Departure.objects.count()) == (["confirmed"], 1)


@pytest.mark.postgres
def test_two_reports_about_one_contact_at_once_open_one_signal(two_at_once: Callable) -> None:
    anna = person_at(AccountFactory())
    reports = [bounce(anna), bounce(anna)]
    assert two_at_once(*(partial(job_changes.assess, report.pk, at=AT) for report in reports)) == [None, None]
    assert JobChangeSignal.objects.get().evidence.count() == 2
    assert (Suppression.objects.count(), FollowUp.objects.count()) == (1, 1)


@pytest.mark.postgres
def test_one_report_assessed_twice_at_once_counts_once(two_at_once: Callable) -> None:
    report = bounce(person_at(AccountFactory()))
    assert two_at_once(*[partial(job_changes.assess, report.pk, at=AT)] * 2) == [None, None]
    assert JobChangeSignal.objects.get().evidence.count() == 1


@pytest.mark.postgres
def test_two_reports_at_once_that_together_are_an_incident_leave_no_person_signal_open(two_at_once: Callable) -> None:
    account = AccountFactory()
    reports = [bounce(person_at(account, f"{name}@molen.example")) for name in ("anna", "bea")]
    assert two_at_once(*(partial(job_changes.assess, report.pk, at=AT) for report in reports)) == [None, None]
    assert list(JobChangeSignal.objects.order_by("kind", "pk").values_list("kind", "status")) == [
        ("domain", "open"),
        ("person", "held"),
        ("person", "held"),
    ]


@pytest.mark.postgres
def test_a_report_that_waits_for_the_dismissal_of_the_domain_signal_is_not_held_for_ever(two_at_once: Callable) -> None:
    account = AccountFactory()
    for name in ("anna", "bea"):
        job_changes.assess(bounce(person_at(account, f"{name}@molen.example")).pk, at=AT)
    late = bounce(person_at(account, "cor@molen.example"), at=AT + HOUR)
    domain = JobChangeSignal.objects.of_domains().get()
    failures = two_at_once(lambda: job_changes.dismiss(domain, at=AT + HOUR / 2), lambda: job_changes.assess(late.pk, at=AT + HOUR))
    assert failures == [None, None]
    assert set(JobChangeSignal.objects.of_persons().values_list("status", flat=True)) == {"open"}


def disproved(account: Account, email: str) -> JobChangeSignal:
    """Open a signal on bounced mail at an account, and have the person answer since."""
    person = person_at(account, email)
    signal = job_changes.assess(bounce(person).pk, at=AT)
    ActivityFactory(account=account, contact=person, kind="email_reply", occurred_at=AT + HOUR)
    return signal


@pytest.mark.postgres
def test_a_night_that_judges_reports_beside_a_refresh_that_withdraws_signals_never_deadlocks(committed: None) -> None:
    accounts = [AccountFactory(), AccountFactory()]
    signals = [disproved(account, f"anna@een{account.pk}.example") for account in accounts]
    reports = [bounce(person_at(account, f"bea@twee{account.pk}.example"), at=AT + HOUR) for account in accounts]
    has_claimed = Event()

    def judge_one_after_the_other() -> None:
        job_changes.assess(reports[0].pk, at=AT + HOUR)
        has_claimed.set()
        wait_until_waited_for()
        job_changes.assess(reports[1].pk, at=AT + HOUR)

    with ThreadPoolExecutor(2) as pool:
        judging = pool.submit(in_own_transaction, judge_one_after_the_other)
        assert has_claimed.wait(10)
        refreshing = pool.submit(in_own_transaction, partial(refresh.accounts, [row.pk for row in accounts], at=AT + 2 * HOUR))
        assert [outcome(judging), outcome(refreshing)] == [None, None]

    assert statuses(signals) == ["withdrawn", "withdrawn"]
    assert JobChangeSignal.objects.open().count() == 2


@pytest.mark.postgres
def test_a_refresh_that_meets_a_decision_leaves_the_signal_as_it_was_decided(two_at_once: Callable) -> None:
    account = AccountFactory()
    signal = disproved(account, "anna@molen.example")
    deeds = partial(job_changes.confirm, signal, at=AT + HOUR), partial(refresh.account, account.pk, at=AT + 2 * HOUR)
    assert two_at_once(*deeds) == [None, None]
    assert statuses([signal]) == ["confirmed"]
