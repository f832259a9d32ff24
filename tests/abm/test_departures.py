"""Who could come after, deciding many signals at once, and the figures on how roles and accounts lose people."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from abm import departures, job_changes, leavings
from abm.errors import WrongStatus
from abm.models import JobChangeSignal
from crm import contacts
from crm.errors import Invalid
from crm.models import Account, Contact, DetailsRequest, DmuMembership, FollowUp, User
from tests.abm.signals import DAY, everything, refused, suspected
from tests.conftest import AT
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory, PersonFactory

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 10)


@pytest.fixture
def account(rep: User) -> Account:
    return AccountFactory(owner=rep, team=rep.team)


@pytest.fixture
def gone(account: Account) -> Contact:
    return MembershipFactory(contact__account=account, contact__function="it", role="decider").contact


def roles_of(contact: Contact) -> list[tuple[str, bool]]:
    return list(DmuMembership.objects.current().filter(contact=contact).values_list("role", "is_assumed"))


# --- who comes after ---------------------------------------------------------------------------------


def test_named_successor_comes_before_the_same_function_before_the_newest(account: Account, gone: Contact) -> None:
    person = PersonFactory(given_name="Jan", family_name="Kok")
    named = ContactFactory(account=account, person=person)
    same = ContactFactory(account=account, function="it")
    newest = [ContactFactory(account=account, function="hr") for _ in range(4)]
    ContactFactory(account=account, gone=True)
    ContactFactory(function="it")

    found = departures.candidates(suspected(gone, successor_name="jan kok"))

    assert [(one.contact, one.why) for one in found] == [
        (named, "named"), (same, "same_function"), (newest[3], "newest"), (newest[2], "newest"), (newest[1], "newest"),
    ]  # fmt: skip


def test_account_with_nobody_else_offers_nobody(gone: Contact) -> None:
    assert departures.candidates(suspected(gone)) == []


def test_appointing_confirms_and_gives_the_roles_on_as_assumed_and_undoing_takes_them_back(
    account: Account, gone: Contact, rep: User
) -> None:
    other, signal = ContactFactory(account=account), suspected(gone)
    departures.appoint(signal, successor=other, at=AT, by=rep)

    assert (signal.status, roles_of(other)) == ("confirmed", [("decider", True)])
    assert not FollowUp.objects.open().filter(reason="find_successor").exists()
    job_changes.undo(signal, at=AT, by=rep)
    assert (signal.status, roles_of(other), roles_of(gone)) == ("open", [], [("decider", False)])


def test_successor_can_be_appointed_after_the_confirmation_once(account: Account, gone: Contact) -> None:
    other, signal = ContactFactory(account=account), suspected(gone)
    job_changes.confirm(signal, at=AT)
    for _ in range(2):
        departures.appoint(signal, successor=other, at=AT)

    assert roles_of(other) == [("decider", True)]
    job_changes.undo(signal, at=AT)
    assert roles_of(other) == []


@pytest.mark.parametrize("who", ["elsewhere", "left", "themselves"])
def test_only_somebody_else_at_the_account_can_come_after(account: Account, gone: Contact, who: str) -> None:
    successor = {"elsewhere": ContactFactory(), "left": ContactFactory(account=account, gone=True), "themselves": gone}[who]
    signal = suspected(gone)
    refused(Invalid, lambda: departures.appoint(signal, successor=successor, at=AT))
    refused(Invalid, lambda: job_changes.confirm(signal, successor=successor, at=AT))


def test_nobody_comes_after_who_did_not_leave(account: Account, gone: Contact) -> None:
    signal, other = suspected(gone), ContactFactory(account=account)
    job_changes.dismiss(signal, at=AT)
    refused(WrongStatus, lambda: departures.appoint(signal, successor=other, at=AT))


def test_confirming_takes_the_day_that_they_named_themselves(gone: Contact) -> None:
    request = DetailsRequest.objects.create(contact=gone, nonce="abc", asked_at=AT)
    leavings.announce(request, leaves_on=TODAY - timedelta(days=9), at=AT)
    job_changes.confirm(JobChangeSignal.objects.get(), at=AT)
    assert Contact.objects.get(pk=gone.pk).left_on == TODAY - timedelta(days=9)


# --- many at once ------------------------------------------------------------------------------------


def test_many_are_confirmed_as_if_each_were_the_only_one(account: Account, rep: User) -> None:
    mine = [suspected(ContactFactory(account=account)) for _ in range(2)]
    decided, foreign = suspected(ContactFactory(account=account)), suspected(ContactFactory())
    job_changes.dismiss(decided, at=AT)
    ids = [signal.pk for signal in [*mine, decided, foreign]]

    judged = departures.confirm_many([*ids, 999_999], at=AT, by=rep)

    assert (judged.chosen, judged.skipped) == ([signal.pk for signal in mine], {"decided": 1, "unseen": 2})
    assert [signal.status for signal in JobChangeSignal.objects.filter(pk__in=ids).order_by("pk")] == [
        "confirmed",
        "confirmed",
        "dismissed",
        "open",
    ]


def test_many_are_dismissed_and_a_second_time_left_out(account: Account, rep: User) -> None:
    signal = suspected(ContactFactory(account=account))
    assert departures.dismiss_many([signal.pk], at=AT, by=rep).chosen == [signal.pk]
    before = everything()
    assert departures.dismiss_many([signal.pk], at=AT, by=rep).skipped == {"decided": 1}
    assert everything() == before


def test_more_than_somebody_can_have_looked_at_are_refused(rep: User) -> None:
    refused(Invalid, lambda: departures.judge_many(range(201), by=rep))


# --- figures -----------------------------------------------------------------------------------------


def left(contact: Contact, day: date, *, filled_after: int | None = None) -> None:
    contacts.depart(contact, left_on=day, at=AT)
    if filled_after is not None:
        MembershipFactory(contact__account=contact.account, role="decider", since=day + filled_after * DAY)


def decider(account: Account) -> Contact:
    return MembershipFactory(contact__account=account, role="decider", since=date(2025, 1, 1)).contact


def test_time_to_a_successor_is_the_middle_of_the_days_until_a_role_was_held_again(rep: User, marketer: User) -> None:
    for days in (3, 10, 40, None):
        left(decider(AccountFactory(owner=rep, team=rep.team)), date(2025, 12, 1), filled_after=days)
    left(decider(AccountFactory()), date(2025, 12, 1), filled_after=1)
    left(decider(AccountFactory(owner=rep, team=rep.team)), date(2025, 2, 1), filled_after=1)

    with CaptureQueriesContext(connection) as seen:
        measured = departures.time_to_successor(rep, at=AT)
    assert (measured.ended, measured.filled, measured.empty, measured.median_days) == (4, 3, 1, 10)
    assert len(seen) <= 2
    assert departures.time_to_successor(marketer, at=AT).ended == 5


def test_nobody_left_gives_no_time(rep: User) -> None:
    assert departures.time_to_successor(rep, at=AT) == departures.Succession(0, 0, None)


def test_churn_is_who_left_in_a_year_of_all_who_were_known_in_it(account: Account) -> None:
    for day in (TODAY, TODAY - timedelta(days=364), TODAY - timedelta(days=365)):
        ContactFactory(account=account, left_on=day)
    ContactFactory(account=account, left_on=TODAY + timedelta(days=1))
    ContactFactory.create_batch(3, account=account)

    row = Account.objects.annotate(gone=departures.left_lately(TODAY), there=departures.at_work(TODAY)).get(pk=account.pk)
    assert (row.gone, row.there) == (2, 4)
    assert departures.Churn(2, 6).percent == 33
    assert departures.Churn(0, 0).percent == 0
