"""Many addresses of one domain that fail together: one signal about the account, and what its decision does."""

from datetime import date, datetime, timedelta

import pytest

from abm import job_changes
from abm.models import JobChangeSignal
from crm.models import (
    Account,
    Contact,
    FollowUp,
    User,
)
from tests.abm.signals import DAY, HOUR, bounce, colleagues, everything, situation, statuses, stopped, suspected, worked
from tests.factories.crm import (
    ContactFactory,
)


def test_three_addresses_that_fail_together_are_one_domain_signal(account: Account, rep: User, at: datetime) -> None:
    many = colleagues(account, 10)
    before = situation()
    signals = [job_changes.assess(bounce(contact).pk, at=at) for contact in many[:3]]
    domain = JobChangeSignal.objects.of_domains().get()

    assert statuses(signals) == ["held", "held", "held"]
    assert (domain.status, domain.account, domain.contact, domain.evidence.count()) == ("open", account, None, 3)
    (task,) = FollowUp.objects.open()
    assert (task.reason, task.owner, task.subject_key) == ("domain_changed", rep, f"account:{account.pk}")
    assert task.title == "Mail to the whole of Molen BV fails: has it moved or been renamed?"
    assert stopped() == []
    after = situation()
    assert (after["contacts"], after["memberships"]) == (before["contacts"], before["memberships"])


def test_further_failures_are_held_while_the_domain_signal_is_open(account: Account, at: datetime) -> None:
    many = colleagues(account, 10)
    for contact in many[:3]:
        job_changes.assess(bounce(contact).pk, at=at)
    late = job_changes.assess(bounce(many[3], at=at + 10 * DAY).pk, at=at + 10 * DAY)
    assert (late.status, JobChangeSignal.objects.of_domains().get().evidence.count()) == ("held", 4)


@pytest.mark.parametrize(
    ("active", "failing", "incident"), [(2, 1, False), (2, 2, True), (3, 2, True), (4, 2, True), (5, 2, False), (5, 3, True)]
)
def test_half_of_the_active_addresses_but_two_at_least_are_an_incident(
    account: Account, at: datetime, active: int, failing: int, incident: bool
) -> None:
    many = colleagues(account, active)
    ContactFactory(account=account, email="weg@molen.example", gone=True)
    ContactFactory(account=account, email="fout@molen.example", address_invalid_at=at)
    for contact in many[:failing]:
        job_changes.assess(bounce(contact).pk, at=at)
    assert JobChangeSignal.objects.of_domains().exists() is incident
    assert set(JobChangeSignal.objects.of_persons().values_list("status", flat=True)) == ({"held"} if incident else {"open"})


def test_failures_further_apart_than_48_hours_are_persons(account: Account, at: datetime) -> None:
    many = colleagues(account, 4)
    for day, contact in enumerate(many[:3]):
        moment = at + day * timedelta(hours=48, minutes=1)
        job_changes.assess(bounce(contact, at=moment).pk, at=moment)
    assert list(JobChangeSignal.objects.values_list("kind", "status")) == [("person", "open")] * 3


def test_failures_within_48_hours_are_together(account: Account, at: datetime) -> None:
    for contact, moment in zip(colleagues(account, 4), (at, at + 48 * HOUR), strict=False):
        job_changes.assess(bounce(contact, at=moment).pk, at=moment)
    assert JobChangeSignal.objects.of_domains().count() == 1


def test_one_address_that_fails_three_times_is_no_incident(account: Account, anna: Contact, at: datetime) -> None:
    for hours in range(3):
        moment = at + hours * HOUR
        signal = job_changes.assess(bounce(anna, at=moment).pk, at=moment)
    assert (signal.status, JobChangeSignal.objects.count()) == ("open", 1)


def test_addresses_of_several_domains_do_not_fail_together(account: Account, at: datetime) -> None:
    several = colleagues(account, 1) + colleagues(account, 1, domain="molen.test") + colleagues(account, 1, domain="gmail.com")
    several += colleagues(account, 1, domain="molen.invalid")
    for contact in several:
        job_changes.assess(bounce(contact).pk, at=at)
    assert list(JobChangeSignal.objects.values_list("kind", "status")) == [("person", "open")] * 3


def test_unverified_reports_make_no_incident(account: Account, at: datetime) -> None:
    many = colleagues(account, 6)
    for contact in many[1:]:
        job_changes.assess(bounce(contact, ours=False).pk, at=at)
    assert job_changes.assess(bounce(many[0]).pk, at=at).status == "open"


def test_a_domain_that_is_gone_suspects_nobody_but_counts(account: Account, at: datetime) -> None:
    many = colleagues(account, 3)
    assert job_changes.assess(bounce(many[0], outcome="domain_gone").pk, at=at) is None
    signal = job_changes.assess(bounce(many[1], outcome="domain_gone").pk, at=at)
    assert (signal.kind, JobChangeSignal.objects.count()) == ("domain", 1)


def test_a_role_address_counts_for_the_domain_and_suspects_nobody(account: Account, at: datetime) -> None:
    info, colleague = worked(ContactFactory(account=account, email="info@molen.example")), *colleagues(account, 1)
    assert job_changes.assess(bounce(colleague).pk, at=at).status == "open"
    assert job_changes.assess(bounce(info).pk, at=at).kind == "domain"
    assert list(JobChangeSignal.objects.of_persons().values_list("contact", "status")) == [(colleague.pk, "held")]


def test_a_guessed_address_is_not_flagged_while_the_domain_fails(account: Account, at: datetime) -> None:
    for contact in colleagues(account, 3):
        job_changes.assess(bounce(contact).pk, at=at)
    guessed = ContactFactory(account=account, email="gok@molen.example")
    assert job_changes.assess(bounce(guessed).pk, at=at).kind == "domain"
    guessed.refresh_from_db()
    assert guessed.address_invalid_at is None


def test_a_signal_on_a_colleagues_word_is_not_held(account: Account, at: datetime) -> None:
    many = colleagues(account, 3)
    told = suspected(many[0])
    for contact in many[1:]:
        job_changes.assess(bounce(contact).pk, at=at)
    assert statuses([told]) == ["open"]


def test_a_colleagues_word_opens_a_held_signal(account: Account, at: datetime) -> None:
    many = colleagues(account, 3)
    held = [job_changes.assess(bounce(contact).pk, at=at) for contact in many]
    signal = suspected(many[0])
    assert (signal, statuses(held)) == (held[0], ["open", "held", "held"])
    assert stopped() == [many[0].email]


def incident(account: Account, at: datetime) -> tuple[JobChangeSignal, list[JobChangeSignal]]:
    held = [job_changes.assess(bounce(contact).pk, at=at) for contact in colleagues(account, 3)]
    return JobChangeSignal.objects.of_domains().get(), held


def test_dismissing_the_domain_signal_opens_the_held_ones_with_their_effects(account: Account, rep: User, at: datetime) -> None:
    domain, held = incident(account, at)
    job_changes.dismiss(domain, at=at + DAY, by=rep)
    assert statuses([domain, *held]) == ["dismissed", "open", "open", "open"]
    assert stopped() == [signal.contact.email for signal in held]
    assert {task.reason for task in FollowUp.objects.open()} == {"find_successor"}
    assert Contact.objects.filter(departure_suspected_at=at + DAY).count() == 3


def test_failures_after_a_dismissed_outage_are_counted_afresh(account: Account, at: datetime) -> None:
    domain, _held = incident(account, at)
    (late,) = [worked(ContactFactory(account=account, email="laat@molen.example"))]
    job_changes.dismiss(domain, at=at + HOUR)
    assert job_changes.assess(bounce(late, at=at + 2 * HOUR).pk, at=at + 2 * HOUR).status == "open"


def test_undoing_the_dismissal_of_the_domain_signal_holds_again_what_is_still_open(account: Account, at: datetime) -> None:
    domain, held = incident(account, at)
    before = everything()
    job_changes.dismiss(domain, at=at)
    job_changes.confirm(held[0], at=at)
    job_changes.undo(domain, at=at)
    assert statuses([domain, *held]) == ["open", "confirmed", "held", "held"]
    job_changes.undo(held[0], at=at)
    job_changes.dismiss(held[0], at=at)
    assert {task.reason for task in FollowUp.objects.open()} == {"domain_changed"}
    assert everything()["contacts"] == before["contacts"]


def test_a_report_that_waited_its_turn_is_held_with_the_others(account: Account, at: datetime) -> None:
    reports = [bounce(contact) for contact in colleagues(account, 3)]
    signals = [job_changes.assess(report.pk, at=at) for report in reports]
    assert statuses(signals) == ["held", "held", "held"]
    assert JobChangeSignal.objects.of_domains().get().evidence.count() == 3


def test_a_report_that_waited_for_the_dismissal_opens_a_signal_and_for_a_confirmation_none(account: Account, at: datetime) -> None:
    reports = [bounce(contact) for contact in colleagues(account, 4)]
    job_changes.assess(reports[0].pk, at=at)
    domain = JobChangeSignal.objects.of_domains().get()
    job_changes.dismiss(domain, at=at)
    assert job_changes.assess(reports[1].pk, at=at).status == "open"
    job_changes.undo(domain, at=at)
    job_changes.confirm(domain, at=at)
    assert job_changes.assess(reports[2].pk, at=at) == domain


def test_confirming_the_domain_signal_dismisses_the_held_ones(account: Account, rep: User, at: datetime) -> None:
    domain, held = incident(account, at)
    job_changes.confirm(domain, at=at + DAY, by=rep)
    assert statuses([domain, *held]) == ["confirmed", "dismissed", "dismissed", "dismissed"]
    assert {(signal.decided_by, signal.decided_at) for signal in JobChangeSignal.objects.all()} == {(rep, at + DAY)}
    assert (stopped(), [task.reason for task in FollowUp.objects.open()]) == ([], ["domain_changed"])


def test_undoing_the_confirmation_of_the_domain_signal_holds_them_again(account: Account, at: datetime) -> None:
    domain, held = incident(account, at)
    before = everything()
    job_changes.confirm(domain, at=at)
    job_changes.undo(domain, at=at)
    assert statuses([domain, *held]) == ["open", "held", "held", "held"]
    assert situation() == {name: rows for name, rows in before.items() if name in situation()}


def test_a_held_signal_can_be_confirmed(account: Account, at: datetime) -> None:
    _domain, held = incident(account, at)
    signal = job_changes.confirm(held[0], at=at)
    signal.contact.refresh_from_db()
    assert (signal.status, signal.contact.left_on, stopped()) == ("confirmed", date(2026, 3, 10), [signal.contact.email])
