"""What confirming, dismissing and undoing a job-change signal do, and that everything is put back."""

from collections.abc import Callable
from datetime import date, datetime

import pytest

from abm import job_changes
from abm.errors import WrongStatus
from abm.models import JobChangeSignal
from crm import confirmations, deliverability, follow_ups
from crm import contacts as crm_contacts
from crm.errors import Conflict, Invalid
from crm.models import (
    Contact,
    Departure,
    DmuMembership,
    FollowUp,
    Opportunity,
    Suppression,
    User,
)
from tests.abm.signals import DAY, HOUR, bounce, open_tasks, refused, situation, stopped, suspected
from tests.factories.crm import (
    AccountFactory,
    ActivityFactory,
    ContactFactory,
    MembershipFactory,
    OpportunityFactory,
    PersonFactory,
)


def test_confirming_ends_the_job_and_the_roles(anna: Contact, rep: User, at: datetime) -> None:
    signal = job_changes.confirm(suspected(anna), at=at, by=rep, left_on=date(2026, 3, 1))
    anna.refresh_from_db()
    assert (signal.status, signal.decided_at, signal.decided_by, anna.left_on) == ("confirmed", at, rep, date(2026, 3, 1))
    assert list(anna.memberships.values_list("until", "end_reason")) == [(date(2026, 3, 1), "left")]
    assert stopped() == ["anna@molen.example"]
    assert len(open_tasks("find_successor")) == 1


def test_confirming_takes_today_unless_told_otherwise(anna: Contact, at: datetime) -> None:
    job_changes.confirm(suspected(anna), at=at)
    anna.refresh_from_db()
    assert anna.left_on == date(2026, 3, 10)


def test_a_named_successor_is_added_with_the_roles_as_assumed(anna: Contact, rep: User, at: datetime) -> None:
    deal, lost = OpportunityFactory(account=anna.account), OpportunityFactory(account=anna.account, stage="mql")
    MembershipFactory(contact=anna, role="buyer", opportunity=deal)
    MembershipFactory(contact=anna, role="user", opportunity=lost)
    Opportunity.objects.filter(pk=lost.pk).update(stage="lost", closed_on=date(2026, 3, 1), lost_reason="prijs")
    job_changes.confirm(suspected(anna, successor_name="Bea van den Bos", successor_email="bea@molen.example"), at=at, by=rep)

    bea = Contact.objects.get(email="bea@molen.example")
    assert (str(bea), bea.person.given_name, bea.person.family_name, bea.account) == ("Bea van den Bos", "Bea", "van den Bos", anna.account)
    assert set(bea.memberships.values_list("role", "opportunity", "is_assumed", "stance", "said_by")) == {
        ("decider", None, True, "neutral", rep.pk),
        ("buyer", deal.pk, True, "neutral", rep.pk),
    }
    task = FollowUp.objects.get(reason="find_successor")
    assert (task.closed_at, task.closed_by, task.result) == (at, rep, "The successor was named with the signal.")


def test_a_successor_who_is_a_contact_already_is_not_added_again(anna: Contact, at: datetime) -> None:
    bea = ContactFactory(account=anna.account, email="Bea@molen.example")
    held = MembershipFactory(contact=bea, role="decider", stance="supporter")
    MembershipFactory(contact=anna, role="buyer")
    job_changes.confirm(suspected(anna, successor_email="bea@MOLEN.example"), at=at)
    assert Contact.objects.count() == 2
    assert list(bea.memberships.order_by("pk").values_list("role", "is_assumed", "stance")) == [
        ("decider", False, "supporter"),
        ("buyer", True, "neutral"),
    ]
    assert held.history.count() == 1


def test_a_successor_named_without_an_address_is_found_by_name(anna: Contact, at: datetime) -> None:
    bea = ContactFactory(account=anna.account, person=PersonFactory(given_name="Bea", family_name="Bos"))
    job_changes.confirm(suspected(anna, successor_name="bea bos"), at=at)
    assert (Contact.objects.count(), bea.memberships.get().role) == (2, "decider")


def test_a_successor_known_by_address_alone_is_called_by_it(anna: Contact, at: datetime) -> None:
    job_changes.confirm(suspected(anna, successor_email="b.bos@molen.example"), at=at)
    assert str(Contact.objects.get(email="b.bos@molen.example")) == "b.bos"


def test_a_successor_who_left_gets_no_role_and_the_search_goes_on(anna: Contact, at: datetime) -> None:
    gone = ContactFactory(account=anna.account, email="weg@molen.example", gone=True)
    job_changes.confirm(suspected(anna, successor_email="weg@molen.example"), at=at)
    assert (gone.memberships.count(), len(open_tasks("find_successor"))) == (0, 1)


def test_at_a_known_new_employer_the_person_is_a_contact_and_the_owner_hears_it(anna: Contact, outsider: User, at: datetime) -> None:
    new = AccountFactory(name="Nieuw BV", owner=outsider)
    job_changes.confirm(suspected(anna), at=at, new_account=new, new_email="anna@nieuw.example", new_job_title="Directeur")
    there = Contact.objects.get(account=new)
    assert (there.person, there.email, there.job_title, there.left_on) == (anna.person, "anna@nieuw.example", "Directeur", None)
    (task,) = open_tasks("champion_moved")
    assert (task.owner, task.account, task.contact, task.subject_key) == (outsider, new, there, f"contact:{there.pk}")
    assert task.title == "Anna de Wit now works at Nieuw BV: say hello"
    assert len(open_tasks("find_successor")) == 1


def test_who_is_a_contact_at_the_new_employer_already_is_not_added_again(anna: Contact, at: datetime) -> None:
    there = ContactFactory(person=anna.person)
    job_changes.confirm(suspected(anna), at=at, new_account=there.account)
    assert Contact.objects.filter(person=anna.person).count() == 2
    assert open_tasks("champion_moved")[0].contact == there


def test_the_new_employer_cannot_be_the_old_one(anna: Contact, at: datetime) -> None:
    signal = suspected(anna)
    refused(Invalid, lambda: job_changes.confirm(signal, at=at, new_account=anna.account))


def test_a_day_of_leaving_to_come_is_refused_and_the_signal_stays_open(anna: Contact, at: datetime) -> None:
    signal = suspected(anna)
    refused(Invalid, lambda: job_changes.confirm(signal, at=at, left_on=date(2026, 3, 11)))


def test_a_new_address_that_cannot_be_right_refuses_the_whole_confirmation(anna: Contact, at: datetime) -> None:
    signal = suspected(anna)
    new = AccountFactory()
    refused(Invalid, lambda: job_changes.confirm(signal, at=at, new_account=new, new_email="geen adres"))


def test_confirming_about_somebody_whom_a_colleague_recorded_as_gone_passes_the_roles_on(anna: Contact, at: datetime) -> None:
    signal = suspected(anna, successor_email="bea@molen.example")
    departure = crm_contacts.depart(anna, left_on=date(2026, 3, 9), at=at)
    job_changes.confirm(signal, at=at)
    assert Contact.objects.get(email="bea@molen.example").memberships.get().role == "decider"
    job_changes.undo(signal, at=at)
    departure.refresh_from_db()
    assert departure.undone_at is None  # it was not the signal that recorded it


@pytest.mark.parametrize("decision", [job_changes.confirm, job_changes.dismiss, job_changes.withdraw])
@pytest.mark.parametrize("before", [job_changes.confirm, job_changes.dismiss, job_changes.withdraw])
def test_a_signal_is_decided_once(anna: Contact, at: datetime, before: Callable, decision: Callable) -> None:
    signal = suspected(anna)
    stale = JobChangeSignal.objects.get(pk=signal.pk)
    before(signal, at=at)
    refused(WrongStatus, lambda: decision(stale, at=at))


# --- dismiss, withdraw, undo ------------------------------------------------------------------------


@pytest.fixture
def deal(anna: Contact, at: datetime) -> Opportunity:
    """A deal past the gate, on Anna's word."""
    deal = OpportunityFactory(account=anna.account, owner=anna.account.owner)
    for kind in ("budget", "authority"):
        confirmations.confirm(deal, kind=kind, contact=anna, evidence="Zei het.", at=at - DAY)
    rows = {f"entry_{given.kind}": given for given in deal.confirmations.all()}
    Opportunity.objects.filter(pk=deal.pk).update(stage="opportunity", **rows)
    return deal


@pytest.mark.parametrize("decision", [job_changes.dismiss, job_changes.withdraw])
def test_dismissing_and_withdrawing_put_everything_back(anna: Contact, deal: Opportunity, at: datetime, decision: Callable) -> None:
    report = bounce(anna)
    before = situation()
    signal = job_changes.assess(report.pk, at=at)
    assert situation() != before
    decision(signal, at=at + DAY)
    assert situation() == before
    assert signal.status == ("dismissed" if decision is job_changes.dismiss else "withdrawn")


@pytest.mark.parametrize(
    "named", [{}, {"successor_name": "Bea Bos", "successor_email": "bea@molen.example"}, {"successor_name": "Bea Bos"}], ids=len
)
@pytest.mark.parametrize("moved", [False, True], ids=["unknown employer", "known employer"])
def test_confirming_undoing_and_dismissing_put_everything_back(
    anna: Contact, deal: Opportunity, at: datetime, named: dict[str, str], moved: bool
) -> None:
    new = AccountFactory()
    MembershipFactory(contact=anna, role="buyer", opportunity=deal)
    before = situation()
    signal = suspected(anna, **named)
    opened = situation()
    job_changes.confirm(signal, at=at + HOUR, **({"new_account": new, "new_email": "a@nieuw.example"} if moved else {}))
    assert Opportunity.objects.get().gate_broken_at == at + HOUR
    job_changes.undo(signal, at=at + 2 * HOUR)
    assert situation() == opened
    assert (signal.status, signal.decided_at, signal.decided_by) == ("open", None, None)
    job_changes.dismiss(signal, at=at + 3 * HOUR)
    assert situation() == before


def test_a_confirmation_can_be_undone_and_confirmed_again(anna: Contact, at: datetime) -> None:
    signal = suspected(anna, successor_email="bea@molen.example")
    job_changes.confirm(signal, at=at)
    once = situation()
    job_changes.undo(signal, at=at)
    job_changes.confirm(signal, at=at)
    again = situation()
    for name in ("suppressions", "opportunities", "confirmations", "tasks"):
        assert again[name] == once[name]
    assert Contact.objects.get(email="bea@molen.example").memberships.get().role == "decider"


def test_undoing_a_dismissal_opens_the_signal_with_its_effects(anna: Contact, at: datetime) -> None:
    signal = suspected(anna)
    job_changes.dismiss(signal, at=at)
    job_changes.undo(signal, at=at)
    anna.refresh_from_db()
    assert (signal.status, stopped(), anna.departure_suspected_at) == ("open", ["anna@molen.example"], at)
    assert len(open_tasks("find_successor")) == 1


@pytest.mark.parametrize("status", ["open", "withdrawn"])
def test_what_nobody_decided_cannot_be_undone(anna: Contact, at: datetime, status: str) -> None:
    signal = suspected(anna)
    if status == "withdrawn":
        job_changes.withdraw(signal, at=at)
    refused(WrongStatus, lambda: job_changes.undo(signal, at=at))


def test_an_old_dismissal_cannot_be_undone_while_a_newer_signal_waits(anna: Contact, at: datetime) -> None:
    old = job_changes.dismiss(suspected(anna), at=at)
    suspected(anna)
    refused(Conflict, lambda: job_changes.undo(old, at=at))


def test_what_was_so_before_the_signal_stays_so_after_it(anna: Contact, at: datetime) -> None:
    deliverability.suppress(anna.email, reason="job_change", at=at - DAY)
    crm_contacts.suspect(anna, at=at - DAY)
    follow_ups.open(reason="find_successor", owner=None, due_on=date(2026, 4, 1), at=at - DAY, about=f"contact:{anna.pk}", contact=anna)
    before = situation()
    job_changes.dismiss(suspected(anna), at=at)
    assert situation() == before


def test_what_a_person_changed_since_is_left_as_it_is(anna: Contact, rep: User, at: datetime) -> None:
    signal = suspected(anna)
    (task,) = open_tasks("find_successor")
    follow_ups.close(task, at=at, by=rep, result="gebeld")
    deliverability.release(Suppression.objects.get(), at=at)
    job_changes.dismiss(signal, at=at + DAY)
    task.refresh_from_db()
    assert (task.result, task.closed_at, Suppression.objects.get().released_at) == ("gebeld", at, at)


def test_undoing_keeps_a_successor_whom_somebody_worked_with_without_the_assumed_role(anna: Contact, at: datetime) -> None:
    signal = suspected(anna, successor_email="bea@molen.example")
    job_changes.confirm(signal, at=at)
    bea = Contact.objects.get(email="bea@molen.example")
    ActivityFactory(account=bea.account, contact=bea, kind="call_answered")
    job_changes.undo(signal, at=at + DAY)
    assert list(bea.memberships.values_list("role", "until", "end_reason")) == [("decider", date(2026, 3, 11), "mistaken")]


def test_undoing_keeps_a_successor_whose_role_was_confirmed(anna: Contact, rep: User, at: datetime) -> None:
    signal = suspected(anna, successor_email="bea@molen.example")
    job_changes.confirm(signal, at=at)
    DmuMembership.objects.filter(is_assumed=True).update(is_assumed=False)
    job_changes.undo(signal, at=at)
    assert DmuMembership.objects.current().filter(role="decider").count() == 2


def test_undoing_takes_only_its_own_roles_from_a_successor_who_was_there_before(anna: Contact, at: datetime) -> None:
    bea = ContactFactory(account=anna.account, email="bea@molen.example")
    MembershipFactory(contact=bea, role="user")
    signal = suspected(anna, successor_email="bea@molen.example")
    job_changes.confirm(signal, at=at)
    job_changes.undo(signal, at=at)
    assert list(bea.memberships.order_by("pk").values_list("role", "end_reason")) == [("user", ""), ("decider", "mistaken")]


def test_a_departure_that_was_undone_by_hand_does_not_hinder_the_undo(anna: Contact, at: datetime) -> None:
    signal = job_changes.confirm(suspected(anna), at=at)
    crm_contacts.undo_departure(Departure.objects.get(), at=at)
    job_changes.undo(signal, at=at)
    anna.refresh_from_db()
    assert (signal.status, anna.left_on) == ("open", None)


def test_undoing_is_refused_while_the_person_works_there_as_a_new_contact(anna: Contact, at: datetime) -> None:
    signal = job_changes.confirm(suspected(anna), at=at)
    ContactFactory(person=anna.person, account=anna.account)
    refused(Conflict, lambda: job_changes.undo(signal, at=at))
