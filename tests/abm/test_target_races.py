"""Two who write to target lists at the same moment: one of them is refused, by the rule or by the database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from django.db import DatabaseError, IntegrityError
from django.db.models import Count, F, Q

from abm import targets
from abm.errors import AccountTaken, TargetListFull, WrongStatus
from abm.models import ComparisonAccount, TargetAccount, TargetList
from tests.abm.slots import a_list, put, start, teams_of
from tests.conftest import AT
from tests.factories.crm import AccountFactory, TeamFactory
from tests.overlap import in_own_transaction, outcome


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
