"""What the database itself refuses on target lists: a 21st account, one twice, one on two active lists; also at the same moment."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from functools import partial
from importlib import import_module
from threading import Barrier, Event
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import Count, F, Q
from pytest_django import DjangoDbBlocker

from abm import targets
from abm.errors import AccountTaken, TargetListFull, WrongStatus
from abm.models import ComparisonAccount, TargetAccount, TargetList
from crm.models import Account, Team
from tests.conftest import AT
from tests.factories.crm import AccountFactory, TeamFactory

TRIGGERS = {
    "postgresql": {("abm_slot_takes_team", "abm_targetaccount"), ("abm_list_gives_team", "abm_targetlist")},
    "sqlite": {
        ("abm_slot_takes_team_insert", "abm_targetaccount"),
        ("abm_slot_takes_team_update", "abm_targetaccount"),
        ("abm_list_gives_team", "abm_targetlist"),
    },
}


def a_list(team: Team, *, active: bool = False, name: str = "Twintig") -> TargetList:
    status = {"status": "active", "activated_at": AT} if active else {}
    return TargetList.objects.create(name=name, team=team, starts_on=date(2026, 3, 1), ends_on=date(2026, 6, 1), **status)


def put(target_list: TargetList, account: Account, slot: int = 1) -> None:
    """Put an account into a slot with plain SQL, past every rule."""
    statement = (
        "INSERT INTO abm_targetaccount (target_list_id, slot, account_id, is_pinned, reasons, added_at)"
        f" VALUES (%s, %s, %s, {'false' if connection.vendor == 'postgresql' else '0'}, '[]', %s)"
    )
    run(statement, target_list.pk, slot, account.pk, AT)


def run(statement: str, *values: object) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.rowcount


def start(target_list: TargetList) -> None:
    """Set a list to work with plain SQL, past every rule."""
    run("UPDATE abm_targetlist SET status = 'active', activated_at = %s WHERE id = %s", AT, target_list.pk)


def teams_of(target_list: TargetList) -> list[int | None]:
    return list(TargetAccount.objects.filter(target_list=target_list).order_by("slot").values_list("active_team", flat=True))


def refused(deed: Callable[[], object]) -> None:
    """Check that the database refuses, and that it changed nothing."""
    before = list(TargetAccount.objects.order_by("pk").values()), list(TargetList.objects.order_by("pk").values())
    with pytest.raises(IntegrityError), transaction.atomic():
        deed()
    assert (list(TargetAccount.objects.order_by("pk").values()), list(TargetList.objects.order_by("pk").values())) == before


# --- one connection --------------------------------------------------------------------------------


def installed_triggers() -> set[tuple[str, str]]:
    catalogue = {
        "postgresql": "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal",
        "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
    }
    with connection.cursor() as cursor:
        cursor.execute(catalogue[connection.vendor])
        return {(name, table) for name, table in cursor.fetchall() if name.startswith("abm_")}


def test_the_triggers_are_there_after_all_migrations(db: None) -> None:
    assert installed_triggers() == TRIGGERS[connection.vendor]


def test_a_later_migration_can_take_the_triggers_away_and_put_them_back(db: None) -> None:
    slots = import_module("abm.migrations.0003_active_slots")
    editor = SimpleNamespace(connection=connection, execute=lambda statement, params: run(statement))
    slots.without_triggers().code(None, editor)
    assert installed_triggers() == set()
    slots.with_triggers().code(None, editor)
    assert installed_triggers() == TRIGGERS[connection.vendor]


@pytest.mark.parametrize("slot", [0, 21, 32_000])
def test_the_database_has_twenty_slots(team: Team, slot: int) -> None:
    target_list, account = a_list(team), AccountFactory()
    refused(lambda: put(target_list, account, slot))
    refused(lambda: TargetAccount.objects.bulk_create([TargetAccount(target_list=target_list, slot=slot, account=account, added_at=AT)]))


def test_the_database_refuses_two_accounts_in_one_slot(team: Team) -> None:
    target_list = a_list(team)
    put(target_list, AccountFactory(), 20)
    other = AccountFactory()
    refused(lambda: put(target_list, other, 20))


def test_the_database_refuses_an_account_twice_on_a_list(team: Team) -> None:
    target_list, account = a_list(team), AccountFactory()
    put(target_list, account, 1)
    refused(lambda: put(target_list, account, 2))


def test_a_slot_carries_the_team_exactly_while_its_list_is_active(team: Team) -> None:
    target_list = a_list(team)
    put(target_list, AccountFactory(), 1)
    assert teams_of(target_list) == [None]

    start(target_list)
    assert teams_of(target_list) == [team.pk]
    put(target_list, AccountFactory(), 2)
    assert teams_of(target_list) == [team.pk, team.pk]

    TargetList.objects.filter(pk=target_list.pk).update(status="closed")
    assert teams_of(target_list) == [None, None]


def test_an_active_list_that_goes_to_another_team_takes_its_slots_along(team: Team) -> None:
    target_list = a_list(team, active=True)
    put(target_list, AccountFactory())
    other = TeamFactory()
    TargetList.objects.filter(pk=target_list.pk).update(team=other)
    assert teams_of(target_list) == [other.pk]


def test_a_slot_that_is_moved_to_another_list_takes_over_its_team(team: Team) -> None:
    ours, theirs = a_list(team, active=True), a_list(TeamFactory(), active=True)
    put(ours, AccountFactory())
    TargetAccount.objects.filter(target_list=ours).update(target_list=theirs)
    assert teams_of(theirs) == [theirs.team_id]
    TargetAccount.objects.filter(target_list=theirs).update(target_list=a_list(team))
    assert list(TargetAccount.objects.values_list("active_team", flat=True)) == [None]


def test_nobody_can_write_the_team_of_a_slot_by_hand(team: Team) -> None:
    active, draft = a_list(team, active=True), a_list(team)
    put(active, AccountFactory())
    put(draft, AccountFactory())
    TargetAccount.objects.update(active_team=TeamFactory())
    assert (teams_of(active), teams_of(draft)) == ([team.pk], [None])
    TargetAccount.objects.update(active_team=None)
    assert (teams_of(active), teams_of(draft)) == ([team.pk], [None])


def test_a_record_read_before_activation_and_saved_after_it_does_no_harm(team: Team) -> None:
    target_list = a_list(team)
    put(target_list, AccountFactory())
    stale = TargetAccount.objects.get()
    start(target_list)
    stale.is_pinned = True
    stale.save()
    assert teams_of(target_list) == [team.pk]


def on_an_active_list(team: Team) -> Account:
    account = AccountFactory()
    put(a_list(team, active=True), account)
    return account


def test_the_database_refuses_an_account_of_an_active_list_on_another_active_list(team: Team) -> None:
    account, second = on_an_active_list(team), a_list(team, active=True)
    refused(lambda: put(second, account))


@pytest.mark.parametrize("how", ["sql", "update", "save", "bulk_update"])
def test_the_database_refuses_to_activate_a_list_that_shares_an_account(team: Team, how: str) -> None:
    account, second = on_an_active_list(team), a_list(team)
    put(second, account)

    def save() -> None:
        second.status, second.activated_at = "active", AT
        second.save()

    def bulk_update() -> None:
        second.status, second.activated_at = "active", AT
        TargetList.objects.bulk_update([second], ["status", "activated_at"])

    ways = {
        "sql": lambda: start(second),
        "update": lambda: TargetList.objects.filter(pk=second.pk).update(status="active", activated_at=AT),
        "save": save,
        "bulk_update": bulk_update,
    }
    refused(ways[how])


def test_the_database_refuses_to_move_an_active_list_to_a_team_that_works_its_account(team: Team) -> None:
    account, second = on_an_active_list(team), a_list(TeamFactory(), active=True)
    put(second, account)
    refused(lambda: TargetList.objects.filter(pk=second.pk).update(team=team))


def test_the_database_refuses_to_change_the_account_of_an_active_slot_to_one_that_is_taken(team: Team) -> None:
    account, second = on_an_active_list(team), a_list(team, active=True)
    put(second, AccountFactory())
    refused(lambda: TargetAccount.objects.filter(target_list=second).update(account=account))


def test_one_account_may_be_on_active_lists_of_two_teams_and_on_many_drafts_and_closed_lists(team: Team) -> None:
    account = on_an_active_list(team)
    put(a_list(TeamFactory(), active=True), account)
    put(a_list(team), account)
    closed = a_list(team, active=True)
    TargetList.objects.filter(pk=closed.pk).update(status="closed")
    put(closed, account)
    assert TargetAccount.objects.filter(account=account).count() == 4


def test_rows_that_may_be_left_out_never_slip_past_the_rule(team: Team) -> None:
    account, second = on_an_active_list(team), a_list(team, active=True)
    row = TargetAccount(target_list=second, slot=1, account=account, added_at=AT)
    try:
        with transaction.atomic():
            TargetAccount.objects.bulk_create([row], ignore_conflicts=True)
    except IntegrityError:
        assert connection.vendor == "sqlite"
    assert teams_of(second) == []


@pytest.mark.parametrize("policy", ["IGNORE", "REPLACE"])
def test_an_update_that_ignores_or_replaces_on_sqlite_changes_nothing(team: Team, policy: str) -> None:
    account, second = on_an_active_list(team), a_list(team)
    put(second, account)
    if connection.vendor == "sqlite":
        statement = f"UPDATE OR {policy} abm_targetlist SET status = 'active', activated_at = %s WHERE id = %s"
        refused(lambda: run(statement, AT, second.pk))
    refused(lambda: start(second))


# --- two connections at the same moment -------------------------------------------------------------


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let a test commit, and take away afterwards what it committed; the groups and permissions of the migrations stay."""
    with django_db_blocker.unblock():
        yield
        for model in (TargetList, Account, Team):
            model.objects.all().delete()
        for model in (TargetList, TargetAccount, Account):
            model.history.all().delete()
        connection.close()


@pytest.fixture
def two_at_once(committed: None) -> Iterator[Callable[..., list[BaseException | None]]]:
    """Give a function that runs two deeds in overlapping transactions: the first commits only when the second waits for it."""
    with ThreadPoolExecutor(2) as pool:

        def both(first: Callable[[], object], second: Callable[[], object]) -> list[BaseException | None]:
            written = Event()
            futures = [pool.submit(in_own_transaction, first, then=lambda: written.set() or waits_for_lock())]
            assert written.wait(10)
            futures.append(pool.submit(in_own_transaction, second))
            return [outcome(future) for future in futures]

        yield both


def in_own_transaction(deed: Callable[[], object], then: Callable[[], object] = bool) -> None:
    try:
        with transaction.atomic():
            deed()
            then()
    finally:
        connection.close()


def waits_for_lock() -> None:
    """Hold this transaction open until another one waits for what it wrote."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    for _try in range(200):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_sleep(0.02), pg_stat_clear_snapshot(), ({statement})")
            if cursor.fetchone()[2]:
                return
    raise AssertionError("nobody waited")


def outcome(future: Future[None]) -> BaseException | None:
    return future.exception(timeout=20)


def healthy() -> bool:
    """Say whether the three invariants hold over the whole database."""
    slots = TargetAccount.objects.order_by()
    full = slots.values("target_list").annotate(rows=Count("*")).filter(rows__gt=20)
    twice = slots.values("target_list", "account").annotate(rows=Count("*")).filter(rows__gt=1)
    active = slots.filter(target_list__status="active")
    shared = active.values("target_list__team", "account").annotate(rows=Count("*")).filter(rows__gt=1)
    astray = slots.filter(Q(target_list__status="active") & ~Q(active_team=F("target_list__team")))
    stray = slots.exclude(target_list__status="active").exclude(active_team=None)
    return not any(
        (full.exists(), twice.exists(), shared.exists(), astray.exists(), stray.exists(), active.filter(active_team=None).exists())
    )


pg = pytest.mark.postgres
both_ways = pytest.mark.parametrize("by_rule", [True, False], ids=["rule", "sql"])


@pg
@both_ways
def test_of_two_accounts_for_the_last_slot_one_is_refused(two_at_once: Callable, by_rule: bool) -> None:
    target_list = a_list(TeamFactory())
    for slot in range(1, 20):
        put(target_list, AccountFactory(), slot)
    one, other = AccountFactory(), AccountFactory()

    def take() -> None:
        if by_rule:
            targets.pick(target_list, account=other, at=AT, by=None)
        else:
            put(target_list, other, 20)

    assert [type(failure) for failure in two_at_once(lambda: put(target_list, one, 20), take)] == [
        type(None),
        TargetListFull if by_rule else IntegrityError,
    ]
    assert TargetAccount.objects.get(target_list=target_list, slot=20).account == one
    assert TargetAccount.objects.count() == 20 and healthy()


@pg
def test_of_two_picks_for_the_last_slot_the_second_finds_the_list_full(two_at_once: Callable) -> None:
    target_list = a_list(TeamFactory())
    for slot in range(1, 20):
        put(target_list, AccountFactory(), slot)
    one, other = AccountFactory(), AccountFactory()
    failures = two_at_once(
        lambda: targets.pick(target_list, account=one, at=AT, by=None), lambda: targets.pick(target_list, account=other, at=AT, by=None)
    )
    assert [type(failure) for failure in failures] == [type(None), TargetListFull]
    assert TargetAccount.objects.count() == 20 and healthy()


@pg
def test_of_two_picks_of_different_accounts_both_find_a_slot(two_at_once: Callable) -> None:
    target_list, one, other = a_list(TeamFactory()), AccountFactory(), AccountFactory()
    failures = two_at_once(
        lambda: targets.pick(target_list, account=one, at=AT, by=None), lambda: targets.pick(target_list, account=other, at=AT, by=None)
    )
    assert failures == [None, None]
    assert dict(TargetAccount.objects.values_list("account", "slot")) == {one.pk: 1, other.pk: 2}


@pg
@both_ways
def test_of_two_that_list_one_account_the_second_is_refused(two_at_once: Callable, by_rule: bool) -> None:
    target_list, account = a_list(TeamFactory()), AccountFactory()

    def second() -> None:
        if by_rule:
            targets.pick(target_list, account=account, at=AT, by=None)
        else:
            put(target_list, account, 2)

    failures = two_at_once(lambda: put(target_list, account, 1), second)
    assert [type(failure) for failure in failures] == [type(None), AccountTaken if by_rule else IntegrityError]
    assert TargetAccount.objects.get().slot == 1


@pg
def test_two_picks_of_one_account_list_it_once(two_at_once: Callable) -> None:
    target_list, account = a_list(TeamFactory()), AccountFactory()

    def pick() -> None:
        targets.pick(target_list, account=account, at=AT, by=None)

    assert [type(failure) for failure in two_at_once(pick, pick)] == [type(None), AccountTaken]
    assert TargetAccount.objects.get().slot == 1


@pg
@both_ways
@pytest.mark.parametrize("first_by_rule", [True, False], ids=["after rule", "after sql"])
def test_of_two_lists_that_share_an_account_one_becomes_active(two_at_once: Callable, by_rule: bool, first_by_rule: bool) -> None:
    team = TeamFactory()
    accounts = AccountFactory.create_batch(3)
    lists = [a_list(team), a_list(team)]
    for slot, account in enumerate(accounts, start=1):
        put(lists[0], account, slot)
        put(lists[1], account, 4 - slot)

    def work(target_list: TargetList, rule: bool) -> None:
        if rule:
            targets.activate(target_list, at=AT, by=None)
        else:
            start(target_list)

    failures = two_at_once(lambda: work(lists[0], first_by_rule), lambda: work(lists[1], by_rule))
    assert [type(failure) for failure in failures] == [type(None), AccountTaken if by_rule else IntegrityError]
    assert list(TargetList.objects.order_by("pk").values_list("status", flat=True)) == ["active", "draft"]
    assert ComparisonAccount.objects.filter(target_list=lists[1]).count() == 0
    assert healthy()


@pg
def test_lists_that_share_no_account_do_not_wait_for_each_other(committed: None) -> None:
    team = TeamFactory()
    lists = [a_list(team), a_list(team)]
    put(lists[0], AccountFactory())
    put(lists[1], AccountFactory())
    together = Barrier(2, timeout=10)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(in_own_transaction, partial(start, one), then=together.wait) for one in lists]
        assert [outcome(future) for future in futures] == [None, None]
    assert teams_of(lists[0]) == teams_of(lists[1]) == [team.pk]


@pg
def test_of_two_who_activate_one_list_the_second_hears_so(two_at_once: Callable) -> None:
    target_list = a_list(TeamFactory())
    put(target_list, AccountFactory())
    AccountFactory()

    def activate() -> None:
        targets.activate(target_list, at=AT, by=None)

    assert [type(failure) for failure in two_at_once(activate, activate)] == [type(None), WrongStatus]
    assert ComparisonAccount.objects.count() == 1


@pg
def test_an_account_put_on_a_list_while_it_is_being_activated_gets_its_team(two_at_once: Callable) -> None:
    team = TeamFactory()
    target_list, one, other = a_list(team), AccountFactory(), AccountFactory()
    put(target_list, one, 1)
    assert two_at_once(lambda: start(target_list), lambda: put(target_list, other, 2)) == [None, None]
    assert teams_of(target_list) == [team.pk, team.pk] and healthy()


@pg
def test_a_list_activated_while_an_account_is_being_put_on_it_gives_it_its_team(two_at_once: Callable) -> None:
    team = TeamFactory()
    target_list, account = a_list(team), AccountFactory()
    assert two_at_once(lambda: put(target_list, account), lambda: start(target_list)) == [None, None]
    assert teams_of(target_list) == [team.pk] and healthy()


@pg
def test_a_pick_that_waits_for_the_activation_finds_no_draft(two_at_once: Callable) -> None:
    target_list, one, other = a_list(TeamFactory()), AccountFactory(), AccountFactory()
    put(target_list, one)
    failures = two_at_once(
        lambda: targets.activate(target_list, at=AT, by=None), lambda: targets.pick(target_list, account=other, at=AT, by=None)
    )
    assert [type(failure) for failure in failures] == [type(None), WrongStatus]
    assert list(TargetAccount.objects.values_list("account", flat=True)) == [one.pk]


@pg
def test_an_insert_that_waits_for_an_activation_elsewhere_is_refused(two_at_once: Callable) -> None:
    team = TeamFactory()
    first, second, account = a_list(team), a_list(team, active=True), AccountFactory()
    put(first, account)
    failures = two_at_once(lambda: start(first), lambda: put(second, account))
    assert isinstance(failures[1], DatabaseError) and failures[0] is None
    assert teams_of(second) == [] and healthy()
