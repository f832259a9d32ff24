"""Recording, correcting and deleting activities."""

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from crm import activities, events, policy
from crm.errors import Conflict, Invalid
from crm.models import Account, Activity, ActivityChange, Contact
from crm.new_activities import NewActivity
from tests.factories.crm import AccountFactory, ContactFactory, OpportunityFactory

pytestmark = pytest.mark.django_db


def rows(account, count, first=0, **facts):
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    return [NewActivity(account.pk, "page_view", moment, external_id=f"e{n:06}", **facts) for n in range(first, first + count)]


def queue():
    return sorted(ActivityChange.objects.values_list("account_id", "contact_id", "kind", "day", "delta"))


def test_an_activity_gets_the_local_day_of_its_moment(at):
    just_before_midnight_utc = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)

    row = activities.record(account=AccountFactory(), kind="meeting", occurred_at=just_before_midnight_utc, source="rep", at=at)

    assert row.day == date(2026, 3, 2)


def test_an_activity_and_its_change_are_written_together(at):
    contact = ContactFactory()

    row = activities.record(account=contact.account, contact=contact, kind="meeting", occurred_at=at, source="rep", at=at)

    assert queue() == [(contact.account_id, contact.pk, "meeting", row.day, 1)]


def test_the_same_source_and_external_id_gives_the_first_activity_back(at):
    account = AccountFactory()
    first = activities.record(account=account, kind="meeting", occurred_at=at, source="cal", external_id="7", at=at)

    again = activities.record(account=account, kind="page_view", occurred_at=at, source="cal", external_id="7", at=at)

    assert again == first
    assert again.kind == "meeting"
    assert len(queue()) == 1


def test_the_same_external_id_of_another_source_is_another_activity(at):
    account = AccountFactory()
    activities.record(account=account, kind="meeting", occurred_at=at, source="a", external_id="7", at=at)
    activities.record(account=account, kind="meeting", occurred_at=at, source="b", external_id="7", at=at)

    assert Activity.objects.count() == 2


def test_an_unknown_kind_is_refused_by_name_and_nothing_is_written(at):
    with pytest.raises(Invalid, match="Unknown kind 'telepathy'; known are page_view"):
        activities.record(account=AccountFactory(), kind="telepathy", occurred_at=at, source="rep", at=at)

    assert not Activity.objects.exists()
    assert not ActivityChange.objects.exists()


def test_a_moment_in_the_future_is_refused(at):
    with pytest.raises(Invalid, match="lies in the future"):
        activities.record(account=AccountFactory(), kind="meeting", occurred_at=at + timedelta(hours=1), source="rep", at=at)


def test_a_contact_of_another_account_is_refused(at):
    contact = ContactFactory()

    with pytest.raises(Invalid, match=f"There is no contact {contact.pk} at this account"):
        activities.record(account=AccountFactory(), contact=contact, kind="meeting", occurred_at=at, source="rep", at=at)


def test_a_bulk_call_answers_each_row_in_the_given_order(at):
    contact, deal = ContactFactory(), OpportunityFactory()
    good = NewActivity(contact.account_id, "meeting", at, external_id="z", contact_id=contact.pk)
    wrong = [
        NewActivity(0, "meeting", at, external_id="a"),
        NewActivity(contact.account_id, "meeting", datetime(2026, 3, 1), external_id="b"),
        NewActivity(contact.account_id, "meeting", at, external_id="c", opportunity_id=deal.pk),
        NewActivity(contact.account_id, "meeting", at, external_id="d" * 101),
        NewActivity(contact.account_id, "meeting", datetime.min.replace(tzinfo=UTC), external_id="e"),
        NewActivity(contact.account_id, "meeting", at, external_id="f", machine_reason="m" * 31),
        NewActivity(contact.account_id, "meeting", at, external_id="g", subject="a\x00b"),
    ]

    outcomes = activities.record_many([good, *wrong, good], source="esp", at=at)

    assert [done.error for done in outcomes] == [
        "",
        "There is no account 0.",
        "The moment has no time zone.",
        f"There is no opportunity {deal.pk} at this account.",
        "The id at the source is longer than 100 characters.",
        "The moment lies too far in the past or the future.",
        "The reason is longer than 30 characters.",
        "The text holds a character that cannot be kept.",
        "",
    ]
    assert [done.created for done in outcomes] == [True, *[False] * 8]
    assert outcomes[0].activity_id == outcomes[8].activity_id == Activity.objects.get().pk


def test_ten_thousand_rows_take_at_most_ten_times_the_statements_of_one_thousand(at):
    account = AccountFactory()

    with CaptureQueriesContext(connection) as one_chunk:
        activities.record_many(rows(account, 1_000), source="esp", at=at)
    with CaptureQueriesContext(connection) as ten_chunks:
        outcomes = activities.record_many(rows(account, 10_000, first=1_000), source="esp", at=at)

    assert len(ten_chunks) <= 10 * len(one_chunk)
    assert len(one_chunk) <= 30  # SQLite takes a few hundred rows in a statement, PostgreSQL all of them
    assert all(done.created for done in outcomes)
    assert Activity.objects.count() == ActivityChange.objects.count() == 11_000


def test_a_replay_of_a_bulk_call_changes_nothing(at):
    account = AccountFactory()
    first = activities.record_many(rows(account, 1_500), source="esp", at=at)

    again = activities.record_many(rows(account, 1_500), source="esp", at=at)

    assert [done.activity_id for done in again] == [done.activity_id for done in first]
    assert not any(done.created for done in again)
    assert ActivityChange.objects.count() == 1_500


def test_more_rows_than_the_bound_are_refused_whole(at):
    with pytest.raises(Invalid, match="At most 10000"):
        activities.record_many(rows(AccountFactory(), policy.RECORDING.activities_per_call + 1), source="esp", at=at)

    assert not Activity.objects.exists()


def test_rows_without_a_source_are_refused(at):
    with pytest.raises(Invalid, match="Name the source"):
        activities.record_many(rows(AccountFactory(), 1), source=" ", at=at)


def test_a_correction_takes_back_the_old_count_and_adds_the_new_one(at):
    contact = ContactFactory()
    row = activities.record(account=contact.account, kind="page_view", occurred_at=at, source="web", at=at)

    activities.correct(row, kind="download", contact=contact, occurred_at=at - timedelta(days=2), at=at)

    counts = {}
    for _account, person, kind, day, delta in ActivityChange.objects.values_list("account_id", "contact_id", "kind", "day", "delta"):
        counts[person, kind, day] = counts.get((person, kind, day), 0) + delta
    assert counts == {(None, "page_view", date(2026, 3, 10)): 0, (contact.pk, "download", date(2026, 3, 8)): 1}


def test_a_correction_that_cannot_be_right_changes_nothing(at):
    row = activities.record(account=AccountFactory(), kind="page_view", occurred_at=at, source="web", at=at)

    with pytest.raises(Invalid, match="Unknown kind"):
        activities.correct(row, kind="telepathy", at=at)
    with pytest.raises(Invalid, match="cannot be corrected: source"):
        activities.correct(row, source="rep", at=at)

    row.refresh_from_db()
    assert (row.kind, row.source, len(queue())) == ("page_view", "web", 1)


def test_a_machine_made_activity_counts_nowhere_and_the_verdict_can_be_taken_back(at):
    row = activities.record(account=AccountFactory(), kind="email_click", occurred_at=at, source="esp", at=at)

    judged = activities.judge(row, machine_reason="link scanner", at=at)
    assert sum(delta for *_key, delta in queue()) == 0

    activities.judge(judged, machine_reason="", at=at)
    assert sum(delta for *_key, delta in queue()) == 1


def test_a_deleted_activity_takes_its_count_back_and_cannot_be_deleted_twice(at):
    row = activities.record(account=AccountFactory(), kind="email_click", occurred_at=at, source="esp", at=at)

    activities.delete(row, at=at)
    row.pk = row.pk or 1
    with pytest.raises(Conflict, match="deleted meanwhile"):
        activities.delete(row, at=at)

    assert [delta for *_key, delta in queue()] == [-1, 1]


def test_recording_tells_the_world_once_with_the_accounts_that_changed(at, django_capture_on_commit_callbacks):
    first, second, heard = AccountFactory(), AccountFactory(), []

    def listen(account_ids, **_rest):
        heard.append(account_ids)

    events.activity_recorded.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            activities.record_many(rows(second, 2) + rows(first, 2, first=5), source="esp", at=at)
    finally:
        events.activity_recorded.disconnect(listen)

    assert heard == [sorted([first.pk, second.pk])]


def test_a_roll_back_leaves_neither_activity_nor_change(at):
    account = AccountFactory()
    with pytest.raises(RuntimeError), transaction.atomic():
        activities.record(account=account, kind="meeting", occurred_at=at, source="rep", at=at)
        raise RuntimeError

    assert not Activity.objects.exists()
    assert not ActivityChange.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_parallel_overlapping_retries_store_each_activity_once_and_never_deadlock(at):
    account = AccountFactory()
    batches = [rows(account, 400, first=n * 100) for n in range(6)]
    trouble: list[DatabaseError] = []

    def send(own):
        try:
            for batch in own:
                activities.record_many(batch, source="esp", at=at)
        except DatabaseError as error:
            trouble.append(error)
        finally:
            connection.close()

    senders = [threading.Thread(target=send, args=(batches[n:] + batches[:n],)) for n in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert trouble == []
    assert Activity.objects.count() == ActivityChange.objects.count() == 900


@pytest.mark.postgres
def test_what_is_known_is_looked_up_in_the_index_however_many_are_asked_for(db):
    """The index leaves empty ids out, and of more than a hundred values PostgreSQL does not see for itself that none is empty."""
    many = [f"e{n}" for n in range(500)]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        # Of a table that was looked at when it was empty, any index is as good as another.
        cursor.execute("UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE relname IN ('crm_account', 'crm_activity', 'crm_contact')")
    for model in (Account, Activity, Contact):
        index = f"{model._meta.model_name}_once_per_source"
        assert index in model.objects.filter(source="sync", external_id__among=many).explain()


def test_an_empty_id_is_among_no_ids(db):
    AccountFactory(source="sync", external_id="")
    known = AccountFactory(source="sync", external_id="a")
    assert list(Account.objects.filter(source="sync", external_id__among=["", "a", "b"])) == [known]


@pytest.mark.django_db
@pytest.mark.parametrize("model", [Activity, Contact])
def test_no_index_of_what_comes_by_the_thousand_is_only_the_beginning_of_another(model: type[Activity | Contact]) -> None:
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, model._meta.db_table)
    special = {index.name for index in model._meta.indexes if index.condition or index.expressions}
    indexes = {name: facts["columns"] for name, facts in found.items() if facts["index"] and name not in special}

    short = [
        name
        for name, columns in indexes.items()
        for other in indexes.values()
        if len(other) > len(columns) > 0 and other[: len(columns)] == columns
    ]
    assert short == []
