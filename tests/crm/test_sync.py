"""Keeping a copy in step by its changes: what is told to whom, and that nothing is lost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest
from django.db import connection, transaction
from django.utils import timezone

from abm.models import JobChangeSignal, SignalEvidence, TargetAccount, TargetList
from crm import accounts, contacts, deliverability, merges, privacy, sync
from crm.models import Account, Contact, SerialEra, SightChange
from crm.sync import followed
from tests.conftest import api_client, somebody
from tests.factories import crm as factories
from tests.mirror import Mirror


@pytest.fixture
def counted(db, monkeypatch):
    """Let each statement of a test count as a transaction of its own: PostgreSQL numbers the test as one, and as still at work."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("CREATE SEQUENCE test_serials MINVALUE 10")
            function = "CREATE OR REPLACE FUNCTION crm_serial() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('test_serials') $$"
            cursor.execute(function)
        monkeypatch.setattr(sync, "_now", next_number)


def next_number():
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('test_serials')")
        return "test", cursor.fetchone()[0]


def mirror_of(user, resource="contacts", **facts):
    client = api_client(user)

    def get(path):
        answer = client.get(path)
        return answer.status_code, answer.json()

    return Mirror(get, resource, **facts)


def in_step(mirror, ids):
    return mirror.follow_until(lambda: set(mirror.rows) == set(ids))


@pytest.fixture
def rep(counted):
    return somebody("sales rep", team=factories.TeamFactory())


@pytest.fixture
def account(rep):
    return factories.AccountFactory(team=rep.team)


def test_the_first_call_gives_everything_and_the_next_one_what_changed(rep, account, at):
    anna, bert = factories.ContactFactory.create_batch(2, account=account)
    mirror = mirror_of(rep, page_size=1)
    assert in_step(mirror, [anna.pk, bert.pk])

    contacts.correct(anna, at=at, job_title="Inkoper")
    assert mirror.follow_until(lambda: mirror.rows[anna.pk]["job_title"] == "Inkoper")
    assert mirror.follow() == 0


def test_a_name_is_the_persons_and_yet_changes_the_contact(rep, account):
    anna = factories.ContactFactory(account=account)
    mirror = mirror_of(rep)
    in_step(mirror, [anna.pk])

    type(anna.person).objects.update(family_name="Smit-Jansen")

    assert mirror.follow_until(lambda: mirror.rows[anna.pk]["family_name"] == "Smit-Jansen")


def test_what_is_deleted_by_whatever_way_is_gone(rep, account):
    anna, bert = factories.ContactFactory.create_batch(2, account=account)
    mirror = mirror_of(rep)
    in_step(mirror, [anna.pk, bert.pk])

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM crm_contact WHERE id = %s", [anna.pk])

    assert in_step(mirror, [bert.pk])


def test_a_handed_over_account_goes_with_all_that_lies_there_and_comes_to_the_other_team(rep, account, at):
    other = somebody("sales rep", team=factories.TeamFactory())
    anna = factories.ContactFactory(account=account)
    theirs, ours = [mirror_of(other, name) for name in ("contacts", "persons")], [mirror_of(rep, name) for name in ("contacts", "persons")]
    assert all(in_step(mirror, [pk]) for mirror, pk in zip(ours, (anna.pk, anna.person_id), strict=True))
    assert all(in_step(mirror, []) for mirror in theirs)

    accounts.hand_over(account, owner=other, team=other.team, at=at)

    assert all(in_step(mirror, []) for mirror in ours)
    assert all(in_step(mirror, [pk]) for mirror, pk in zip(theirs, (anna.pk, anna.person_id), strict=True))


def test_what_was_deleted_after_it_was_handed_over_is_gone_for_both_teams(rep, account, at):
    other = somebody("sales rep", team=factories.TeamFactory())
    anna = factories.ContactFactory(account=account)
    ours, theirs = mirror_of(rep), mirror_of(other)
    in_step(ours, [anna.pk])
    accounts.hand_over(account, owner=other, team=other.team, at=at)
    in_step(theirs, [anna.pk])

    anna.delete()

    assert in_step(ours, [])
    assert in_step(theirs, [])


def test_others_learn_nothing_of_what_they_never_saw(rep, account, outsider_mirror):
    anna = factories.ContactFactory(account=account)
    before = outsider_mirror.follow()
    anna.delete()
    Account.objects.filter(pk=account.pk).update(name="Anders")

    assert (before, outsider_mirror.follow()) == (0, 0)


@pytest.fixture
def outsider_mirror(counted):
    return mirror_of(somebody("sales rep", team=factories.TeamFactory()))


def test_who_gets_a_deal_elsewhere_sees_what_lies_there_until_it_is_closed(rep, account):
    other = somebody("sales rep", team=factories.TeamFactory())
    anna = factories.ContactFactory(account=account)
    mirror = mirror_of(other)
    in_step(mirror, [])

    deal = factories.OpportunityFactory(account=account, owner=other)
    assert in_step(mirror, [anna.pk])

    type(deal).objects.filter(pk=deal.pk).update(stage="lost", lost_reason="Prijs", closed_on="2026-03-01")
    assert in_step(mirror, [])


def test_a_contact_that_moves_to_an_account_out_of_sight_is_gone(rep, account):
    anna, elsewhere = factories.ContactFactory(account=account), factories.AccountFactory(team=factories.TeamFactory())
    mirror = mirror_of(rep)
    in_step(mirror, [anna.pk])

    Contact.objects.filter(pk=anna.pk).update(account=elsewhere)

    assert in_step(mirror, [])


def test_who_is_moved_to_another_team_begins_anew(rep, account):
    factories.ContactFactory(account=account)
    mirror = mirror_of(rep)
    mirror.follow_until(lambda: len(mirror.rows) == 1)

    rep.team = factories.TeamFactory()
    rep.save()

    assert in_step(mirror, [])
    assert mirror.restarts == 1


def test_an_old_token_is_refused_and_what_nobody_can_ask_for_is_let_go(rep, account):
    factories.ContactFactory(account=account).delete()
    now, kind = timezone.now(), followed.of(Contact)
    token = str(sync.page(kind, user=rep, since="", size=10, at=now - timedelta(days=31)).token)

    with pytest.raises(sync.SyncExpired) as refused:
        sync.page(kind, user=rep, since=token, size=10, at=now)

    assert refused.value.code == "sync_expired"
    assert SightChange.objects.filter(kind="crm.contact").count() == 1
    assert sync.forget(at=now + timedelta(days=32)) == 1


@pytest.mark.parametrize("since", ["nonsense", "bnVsbA", "WzEsMl0"])
def test_what_is_no_token_is_refused_by_name(rep, since):
    answer = api_client(rep).get(f"/api/v1/contacts/changes?since={since}")

    assert (answer.status_code, [one["path"] for one in answer.json()["errors"]]) == (400, ["since"])


@pytest.mark.postgres
def test_who_commits_late_is_told_of_and_a_restored_database_refuses_old_tokens(committed):
    has_written, may_commit = Event(), Event()
    rep = somebody("sales rep", team=factories.TeamFactory())
    account = factories.AccountFactory(team=rep.team)

    def late():
        try:
            with transaction.atomic():
                pk = factories.ContactFactory(account=account).pk
                has_written.set()
                assert may_commit.wait(20)
            return pk
        finally:
            connection.close()

    mirror = mirror_of(rep)
    in_step(mirror, [])
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(late)
        assert has_written.wait(20)
        quick = factories.ContactFactory(account=account)
        # What is later than somebody still at work is told when that one is done.
        assert mirror.follow() == 0
        may_commit.set()
        assert in_step(mirror, [quick.pk, slow.result()])

    highest = Contact.objects.values_list("change_serial", flat=True).order_by("-change_serial").first()
    SerialEra.objects.update(place="another server")
    assert in_step(mirror, [quick.pk, slow.result()])
    quick.save()
    quick.refresh_from_db()
    assert (mirror.restarts, quick.change_serial > highest) == (1, True)
    assert in_step(mirror, [quick.pk, slow.result()])


def test_every_followed_resource_answers_with_its_records(rep, account):
    at_accounts = ("memberships", "opportunities", "pilots", "activities", "deliveries", "follow-ups", "job-changes")
    for name in ("accounts", "contacts", "persons", *at_accounts, "target-lists"):
        status, page = mirror_of(rep, name).get(f"/api/v1/{name}/changes")
        assert (status, sorted(page)) == (200, ["gone", "next", "results", "sync_token"])


def test_a_mail_is_followed_from_sending_to_its_end_into_another_account_and_through_an_erasure(rep, account, at):
    mail, foreign = factories.DeliveryFactory(contact__account=account, message_id="<m1@quorum.example>"), factories.DeliveryFactory()
    mirror = mirror_of(rep, "deliveries")
    assert in_step(mirror, [mail.pk])

    facts = {"source": "dsn", "external_id": "1", "outcome": "person_gone", "evidence": "5.1.1", "message_id": mail.message_id}
    deliverability.record_report(recipient=mail.address, at=at, **facts)
    assert mirror.follow_until(lambda: mirror.rows[mail.pk]["outcome"] == "person_gone")

    Account.objects.filter(pk=foreign.account_id).update(team=rep.team)
    assert in_step(mirror, [mail.pk, foreign.pk])
    kept = factories.AccountFactory(team=rep.team)
    merges.merge(kept, account, choices={}, by=None, at=at)
    assert mirror.follow_until(lambda: mirror.rows[mail.pk]["account"] == kept.pk)

    privacy.erase(mail.contact.person, at=at)
    assert mirror.follow_until(lambda: mirror.rows[mail.pk]["address"] == f"erased-{mail.pk}@invalid")
    foreign.delete()
    assert in_step(mirror, [mail.pk])


def test_an_opt_out_changes_the_contact(rep, account, at):
    anna = factories.ContactFactory(account=account)
    mirror = mirror_of(rep)
    in_step(mirror, [anna.pk])

    privacy.opt_out(anna.person, at=at)

    assert mirror.follow_until(lambda: mirror.rows[anna.pk]["opted_out_at"] is not None)


def test_a_merged_contact_is_gone_and_names_the_one_that_took_its_place(rep, account, at):
    kept, folded = factories.ContactFactory.create_batch(2, account=account)
    mirror = mirror_of(rep)
    in_step(mirror, [kept.pk, folded.pk])

    merges.merge(kept, folded, choices={}, by=None, at=at)

    assert in_step(mirror, [kept.pk])
    assert mirror.merged == {folded.pk: kept.pk}


def test_a_slot_changes_its_list_and_evidence_its_signal(rep, account, at):
    targets = TargetList.objects.create(name="Q2", team=rep.team, owner=rep, starts_on="2026-04-01", ends_on="2026-06-30")
    signal = JobChangeSignal.objects.create(contact=factories.ContactFactory(account=account), account=account, opened_at=at)
    lists, signals = mirror_of(rep, "target-lists"), mirror_of(rep, "job-changes")
    in_step(lists, [targets.pk])
    in_step(signals, [signal.pk])

    TargetAccount.objects.create(target_list=targets, slot=1, account=account, added_at=at)
    SignalEvidence.objects.create(signal=signal, source="rep", key="rep:1", text="Stond op LinkedIn", seen_at=at)

    assert (lists.follow(), signals.follow()) == (1, 1)
    assert len(signals.rows[signal.pk]["evidence"]) == 1
