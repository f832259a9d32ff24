"""Follow-ups: one open item per reason and subject."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import translation

from crm import follow_ups
from crm.errors import Conflict, Invalid
from crm.models import FollowUp
from tests.factories.crm import AccountFactory, ContactFactory, UserFactory

pytestmark = pytest.mark.django_db


def successor(contact, at, **facts):
    return follow_ups.open(
        reason="find_successor", about=f"contact:{contact.pk}", account=contact.account, contact=contact,
        owner=None, due_on=date(2026, 3, 15), facts={"roles": ["decider"]}, at=at, **facts,
    )  # fmt: skip


def test_the_same_reason_about_the_same_subject_opens_one_item(at):
    contact = ContactFactory()

    assert successor(contact, at) == successor(contact, at)
    assert FollowUp.objects.count() == 1


def test_the_database_refuses_a_second_open_item_about_the_same_subject(at):
    first = successor(ContactFactory(), at)
    first.pk = None

    with pytest.raises(IntegrityError), transaction.atomic():
        first.save(force_insert=True)


def test_once_closed_the_same_reason_may_come_up_again(at):
    contact = ContactFactory()
    first = successor(contact, at)
    follow_ups.close(first, at=at, by=UserFactory(), result=" gevonden ")

    assert successor(contact, at) != first
    assert first.result == "gevonden"


def warm(accounts, at):
    rows = [follow_ups.NewFollowUp(about=f"account:{row.pk}", owner=row.owner, account=row, facts={"score": "41.5"}) for row in accounts]
    return follow_ups.open_many(rows, reason="warming_up", due_on=date(2026, 3, 12), at=at)


def test_many_are_opened_at_once_each_with_its_history(at):
    accounts = AccountFactory.create_batch(3, owner=UserFactory())

    opened = warm(accounts, at)

    assert {(row.account, row.owner, row.subject_key, row.due_on) for row in opened} == {
        (account, account.owner, f"account:{account.pk}", date(2026, 3, 12)) for account in accounts
    }
    assert [(row.opened_at, row.facts) for row in FollowUp.objects.all()] == [(at, {"score": "41.5"})] * 3
    assert [(row.history_type, row.history_date, row.id) for row in FollowUp.history.order_by("id")] == [
        ("+", at, pk) for pk in sorted(row.pk for row in opened)
    ]


def test_of_many_those_open_already_stay_as_they_are_and_a_closed_one_is_opened_anew(at):
    fresh, known, done = AccountFactory.create_batch(3)
    first, closed = warm([known, done], at)
    follow_ups.close(closed, at=at)

    opened = warm([fresh, known, done, fresh], at + timedelta(days=1))

    assert {row.account for row in opened} == {fresh, done}
    assert FollowUp.objects.open().get(account=known) == first
    assert (FollowUp.objects.count(), warm([], at)) == (4, [])


def test_of_many_one_that_somebody_opens_at_this_moment_is_theirs_and_the_others_are_opened(at, monkeypatch):
    ours, theirs = AccountFactory.create_batch(2)
    first = warm([theirs], at)
    # The first look comes too early to see theirs.
    look, early = follow_ups._open_among, iter([set()])
    monkeypatch.setattr(follow_ups, "_open_among", lambda *asked: next(early, look(*asked)))

    opened = warm([ours, theirs], at)

    assert [row.account for row in opened] == [ours]
    assert (FollowUp.objects.count(), FollowUp.objects.get(account=theirs), FollowUp.history.count()) == (2, first[0], 2)


def test_many_that_the_database_refuses_for_another_reason_are_refused(at):
    row = follow_ups.NewFollowUp(about="account:1", owner=None)

    with pytest.raises(IntegrityError):
        follow_ups.open_many([row], reason="by_hand", due_on=date(2026, 3, 12), at=at)

    assert not FollowUp.objects.exists()


def test_closing_twice_is_a_conflict_and_keeps_the_first_result(at):
    item = successor(ContactFactory(), at)
    follow_ups.close(item, at=at, result="eerste")

    with pytest.raises(Conflict):
        follow_ups.close(item, at=at, result="tweede")

    item.refresh_from_db()
    assert item.result == "eerste"


def test_an_item_cannot_be_reopened_beside_its_double(at):
    contact = ContactFactory()
    first = successor(contact, at)
    follow_ups.close(first, at=at)
    successor(contact, at)

    with pytest.raises(Conflict, match="open task for this already"):
        follow_ups.reopen(first, at=at)


def test_work_added_by_hand_needs_words(at):
    with pytest.raises(Invalid, match="Say what is to be done"):
        follow_ups.open(reason="by_hand", owner=None, due_on=at.date(), text="  ", at=at)

    assert not FollowUp.objects.exists()


def test_the_title_names_people_and_role_in_the_readers_language(at):
    contact = ContactFactory(person__given_name="Anna", person__family_name="Bakker", account=AccountFactory(name="Jansen BV"))
    item = successor(contact, at)

    with translation.override("en"):
        assert item.title == "Find the successor of Anna Bakker, decider at Jansen BV"


def test_a_due_day_is_counted_from_the_local_day():
    late_evening_utc = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)

    assert follow_ups.due_after(late_evening_utc, 5) == date(2026, 3, 7)


def test_a_closed_item_is_not_changed(at):
    item = successor(ContactFactory(), at)
    as_read = FollowUp.objects.get(pk=item.pk)
    follow_ups.close(item, at=at, result="Gevonden")
    before = FollowUp.objects.values().get()

    with pytest.raises(Conflict):
        follow_ups.change(as_read, owner=UserFactory(), due_on=date(2027, 1, 1), text="Anders")

    assert FollowUp.objects.values().get() == before
    assert FollowUp.history.count() == 2


def test_an_open_item_is_changed_with_its_history(at):
    item, owner = successor(ContactFactory(), at), UserFactory()

    follow_ups.change(item, owner=owner, due_on=date(2027, 1, 1), text=" Anders ")

    item.refresh_from_db()
    assert (item.owner, item.due_on, item.text, item.closed_at) == (owner, date(2027, 1, 1), "Anders", None)
    assert list(FollowUp.history.order_by("history_id").values_list("due_on", flat=True)) == [date(2026, 3, 15), date(2027, 1, 1)]
