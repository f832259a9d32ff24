"""What opens a job-change signal and what does not, and what later facts settle."""

from datetime import date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from abm import job_changes
from abm.errors import WrongStatus
from abm.models import JobChangeSignal
from crm.errors import Invalid
from crm.models import (
    Account,
    Contact,
    Delivery,
    DeliveryReport,
    FollowUp,
    User,
)
from tests.abm.signals import (
    DAY,
    HOUR,
    bounce,
    colleagues,
    everything,
    no_effect,
    open_tasks,
    refused,
    situation,
    statuses,
    stopped,
    suspected,
    worked,
)
from tests.conftest import AT
from tests.factories.crm import (
    AccountFactory,
    ActivityFactory,
    ContactFactory,
    DeliveryFactory,
    MembershipFactory,
    PersonFactory,
)


@pytest.mark.parametrize("outcome", ["person_gone", "mailbox_moved"])
def test_an_address_that_worked_and_now_fails_opens_a_signal(anna: Contact, rep: User, at: datetime, outcome: str) -> None:
    report = bounce(anna, outcome=outcome)
    signal = job_changes.assess(report.pk, at=at)
    anna.refresh_from_db()

    assert (signal.kind, signal.status, signal.contact, signal.account, signal.opened_at) == ("person", "open", anna, anna.account, at)
    assert list(signal.evidence.values_list("source", "key", "text", "seen_at")) == [
        ("bounce", f"report:{report.pk}", "550 5.1.1 no such user", report.reported_at)
    ]
    assert stopped() == ["anna@molen.example"]
    assert anna.departure_suspected_at == at
    (task,) = open_tasks("find_successor")
    assert (task.owner, task.account, task.contact, task.subject_key) == (rep, anna.account, anna, f"contact:{anna.pk}")
    assert (task.due_on, task.title) == (date(2026, 3, 15), "Find the successor of Anna de Wit, decider at Molen BV")


@pytest.mark.parametrize("outcome", ["mailbox_full", "temporary", "blocked_policy", "content", "other", "not_a_bounce", "domain_gone"])
def test_no_other_outcome_is_a_job_change(anna: Contact, outcome: str) -> None:
    no_effect(bounce(anna, outcome=outcome))


def test_a_report_of_a_mail_that_we_did_not_send_changes_nothing(anna: Contact) -> None:
    no_effect(bounce(anna, ours=False))


def test_a_report_that_is_gone_changes_nothing(anna: Contact) -> None:
    report = bounce(anna)
    report.delete()
    assert job_changes.assess(report.pk or 0, at=AT) is None


def test_a_role_address_suspects_nobody(account: Account) -> None:
    no_effect(bounce(worked(ContactFactory(account=account, email="info@molen.example"))))


def test_a_free_mail_address_suspects_nobody(account: Account) -> None:
    no_effect(bounce(worked(ContactFactory(account=account, email="anna@gmail.com"))))


def test_somebody_who_left_already_is_not_suspected_again(account: Account) -> None:
    no_effect(bounce(worked(ContactFactory(account=account, gone=True))))


def test_the_failure_of_an_address_that_was_corrected_since_changes_nothing(anna: Contact) -> None:
    report = bounce(anna)
    Contact.objects.filter(pk=anna.pk).update(email="a.dewit@molen.example")
    no_effect(report)


def test_an_address_that_never_worked_is_flagged_and_no_job_change(account: Account, rep: User, at: datetime) -> None:
    guessed = ContactFactory(account=account, person=PersonFactory(given_name="Gok", family_name="Je"))
    assert job_changes.assess(bounce(guessed).pk, at=at) is None
    guessed.refresh_from_db()
    assert (guessed.address_invalid_at, guessed.departure_suspected_at, stopped()) == (at, None, [])
    (task,) = open_tasks("address_invalid")
    assert (task.owner, task.subject_key, task.due_on) == (rep, f"contact:{guessed.pk}", date(2026, 3, 17))
    assert task.title == "The address of Gok Je at Molen BV never worked: correct it"
    assert not JobChangeSignal.objects.exists()

    job_changes.assess(bounce(guessed).pk, at=at + DAY)
    guessed.refresh_from_db()
    assert (guessed.address_invalid_at, len(open_tasks("address_invalid"))) == (at, 1)


def test_a_guessed_role_address_is_flagged_too(account: Account, at: datetime) -> None:
    contact = ContactFactory(account=account, email="info@molen.example")
    job_changes.assess(bounce(contact).pk, at=at)
    contact.refresh_from_db()
    assert contact.address_invalid_at == at


@pytest.mark.parametrize("kind", ["email_open", "email_click", "email_reply", "meeting"])
def test_an_open_click_reply_or_meeting_proves_that_the_address_worked(account: Account, at: datetime, kind: str) -> None:
    contact = ContactFactory(account=account)
    ActivityFactory(account=account, contact=contact, kind=kind, occurred_at=at - 10 * DAY)
    assert job_changes.assess(bounce(contact).pk, at=at).status == "open"


def test_delivery_of_the_very_mail_that_came_back_proves_nothing(account: Account, at: datetime) -> None:
    contact = ContactFactory(account=account)
    report = bounce(contact)
    Delivery.objects.filter(pk=report.delivery_id).update(delivered_at=at - HOUR / 2)
    ActivityFactory(account=account, contact=contact, kind="email_delivered", occurred_at=at - HOUR / 2)
    assert job_changes.assess(report.pk, at=at) is None


def test_the_same_report_twice_counts_once(anna: Contact, at: datetime) -> None:
    report = bounce(anna)
    first = job_changes.assess(report.pk, at=at)
    before = everything()
    assert job_changes.assess(report.pk, at=at + HOUR) == first
    assert everything() == before


def test_the_same_report_after_the_decision_opens_nothing_anew(anna: Contact, at: datetime) -> None:
    report = bounce(anna)
    job_changes.dismiss(job_changes.assess(report.pk, at=at), at=at)
    before = everything()
    assert job_changes.assess(report.pk, at=at + HOUR).status == "dismissed"
    assert everything() == before


def test_further_evidence_joins_the_one_open_signal(anna: Contact, rep: User, at: datetime) -> None:
    signal = job_changes.assess(bounce(anna).pk, at=at)
    again = job_changes.assess(bounce(anna, at=at + 3 * DAY).pk, at=at + 3 * DAY)
    word = job_changes.suspect(anna, source="rep", key="klik", text="Is weg.", at=at + 4 * DAY, by=rep)
    assert signal == again == word
    assert list(signal.evidence.values_list("source", "given_by")) == [("bounce", None), ("bounce", None), ("rep", rep.pk)]
    assert (stopped(), len(open_tasks("find_successor"))) == (["anna@molen.example"], 1)


def test_a_new_failure_after_a_dismissal_opens_a_new_signal(anna: Contact, at: datetime) -> None:
    first = job_changes.dismiss(job_changes.assess(bounce(anna).pk, at=at), at=at)
    second = job_changes.assess(bounce(anna, at=at + 5 * DAY).pk, at=at + 5 * DAY)
    assert statuses([first, second]) == ["dismissed", "open"]


def test_evidence_is_cut_short(anna: Contact, at: datetime) -> None:
    report = bounce(anna)
    DeliveryReport.objects.filter(pk=report.pk).update(evidence="x" * 2_000)
    assert job_changes.assess(report.pk, at=at).evidence.get().text == "x" * 500


def test_two_machine_replies_with_one_key_count_once_even_after_the_decision(anna: Contact, at: datetime) -> None:
    given = {"source": "auto_reply", "key": "mail:7", "text": "No longer works here."}
    signal = job_changes.dismiss(job_changes.suspect(anna, **given, at=at), at=at)
    assert job_changes.suspect(anna, **given, at=at + DAY) == signal
    assert JobChangeSignal.objects.count() == 1


def test_a_colleague_may_say_the_same_again_after_a_dismissal(anna: Contact, at: datetime) -> None:
    first = job_changes.dismiss(suspected(anna), at=at)
    assert suspected(anna) != first


def test_a_word_about_somebody_who_left_is_refused(account: Account) -> None:
    gone = ContactFactory(account=account, gone=True)
    refused(WrongStatus, lambda: suspected(gone))


@pytest.mark.parametrize(("wrong", "field"), [({"source": "roddel"}, "source"), ({"successor_email": "bea bij molen"}, "successor_email")])
def test_evidence_that_cannot_be_right_is_refused(anna: Contact, at: datetime, wrong: dict[str, str], field: str) -> None:
    given = {"source": "api", "key": "1", "text": "Weg."} | wrong
    assert list(refused(Invalid, lambda: job_changes.suspect(anna, **given, at=at)).detail) == [field]


def test_the_last_successor_that_was_named_counts_and_nobody_is_added_yet(anna: Contact) -> None:
    suspected(anna, successor_name="Piet Puk")
    signal = suspected(anna, successor_name=" Bea Bos ", successor_email="bea@molen.example")
    assert (signal.successor_name, signal.successor_email) == ("Bea Bos", "bea@molen.example")
    assert suspected(anna).successor_name == "Bea Bos"
    assert Contact.objects.count() == 1


def test_somebody_without_a_role_has_a_successor_looked_for_too(account: Account) -> None:
    suspected(ContactFactory(account=account, person=PersonFactory(given_name="Rol", family_name="Loos")))
    assert [task.title for task in open_tasks("find_successor")] == ["Find the successor of Rol Loos, contact at Molen BV"]


def test_the_word_about_a_role_address_stops_no_mail_to_it(account: Account) -> None:
    suspected(ContactFactory(account=account, email="inkoop@molen.example"))
    assert (stopped(), len(open_tasks("find_successor"))) == ([], 1)


def test_a_contact_without_an_address_can_be_suspected(account: Account) -> None:
    assert suspected(ContactFactory(account=account, unreachable=True)).status == "open"
    assert stopped() == []


# --- what later facts settle ------------------------------------------------------------------------


def test_mail_that_arrives_later_withdraws_the_suspicion(anna: Contact, account: Account, at: datetime) -> None:
    report = bounce(anna)
    before = situation()
    signal = job_changes.assess(report.pk, at=at)
    assert job_changes.withdraw_disproved([account.pk], at=at + DAY) == 0
    delivery = DeliveryFactory(contact=anna, sent_at=at + HOUR, delivered_at=at + 2 * HOUR)
    assert job_changes.withdraw_disproved([account.pk], at=at + DAY) == 1
    assert statuses([signal]) == ["withdrawn"]
    delivery.delete()
    assert situation() == before
    assert job_changes.withdraw_disproved([account.pk], at=at + DAY) == 0


@pytest.mark.parametrize(
    ("kind", "machine", "when", "withdrawn"),
    [
        ("email_open", "", HOUR, True),
        ("meeting", "", HOUR, True),
        ("email_open", "", -HOUR, False),
        ("email_open", "scanner", HOUR, False),
        ("page_view", "", HOUR, False),
    ],
)
def test_what_the_person_does_later_withdraws_it_too(
    anna: Contact, account: Account, at: datetime, kind: str, machine: str, when: timedelta, withdrawn: bool
) -> None:
    job_changes.assess(bounce(anna).pk, at=at)
    ActivityFactory(account=account, contact=anna, kind=kind, machine_reason=machine, occurred_at=at + when)
    assert job_changes.withdraw_disproved([account.pk], at=at + DAY) == int(withdrawn)


def test_a_colleagues_word_is_not_withdrawn_by_mail(anna: Contact, account: Account, at: datetime) -> None:
    suspected(anna)
    ActivityFactory(account=account, contact=anna, kind="email_open", occurred_at=at + HOUR)
    assert job_changes.withdraw_disproved([account.pk], at=at + DAY) == 0


def test_the_search_for_a_successor_ends_when_every_role_has_somebody_again(anna: Contact, account: Account, at: datetime) -> None:
    MembershipFactory(contact=anna, role="buyer")
    MembershipFactory(contact=ContactFactory(account=account), role="decider")  # was there all the time
    signal = suspected(anna)
    bea = ContactFactory(account=account)
    MembershipFactory(contact=bea, role="decider", since=date(2026, 3, 12))
    assert job_changes.close_found([account.pk], at=at) == 0
    MembershipFactory(contact=bea, role="buyer", since=date(2026, 3, 12))
    assert job_changes.close_found([account.pk], at=at) == 0  # Anna has not left yet
    job_changes.confirm(signal, at=at)
    assert job_changes.close_found([AccountFactory().pk], at=at) == 0
    assert job_changes.close_found([account.pk], at=at) == 1
    assert FollowUp.objects.get(reason="find_successor").result == "Every role has somebody again."


def test_the_search_for_somebody_without_a_role_never_ends_by_itself(account: Account, at: datetime) -> None:
    job_changes.confirm(suspected(ContactFactory(account=account)), at=at)
    assert job_changes.close_found([account.pk], at=at) == 0


def test_assessing_takes_as_many_queries_at_a_big_account_as_at_a_small_one(rep: User, at: datetime) -> None:
    def queries(size: int) -> int:
        report = bounce(colleagues(AccountFactory(owner=rep), size, domain=f"van{size}.example")[0])
        with CaptureQueriesContext(connection) as caught:
            job_changes.assess(report.pk, at=at)
        return len(caught)

    assert queries(60) == queries(5)
