"""What the database itself refuses on target lists: a 21st account, one twice, one on two active lists of a team."""

from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import IntegrityError, connection, transaction

from abm.models import TargetAccount, TargetList
from crm.models import Account, Team
from tests.abm.slots import a_list, put, run, start, teams_of
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


def refused(deed: Callable[[], object]) -> None:
    """Check that the database refuses, and that it changed nothing."""
    before = list(TargetAccount.objects.order_by("pk").values()), list(TargetList.objects.order_by("pk").values())
    with pytest.raises(IntegrityError), transaction.atomic():
        deed()
    assert (list(TargetAccount.objects.order_by("pk").values()), list(TargetList.objects.order_by("pk").values())) == before


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
