"""Alerts: an account that becomes warm is told once, to its owner."""

from datetime import date
from decimal import Decimal

import pytest

from abm import sales_alerts
from abm.models import AccountStanding
from crm import follow_ups
from crm.models import FollowUp
from tests.factories.crm import AccountFactory, UserFactory


def standing(account, score, momentum):
    return AccountStanding(account_id=account.pk, score=Decimal(score), momentum=Decimal(momentum))


def warn(account, *, now, before=None, at):
    old = {account.pk: standing(account, *before)} if before else {}
    return sales_alerts.warming_up({account.pk: account}, [standing(account, *now)], before=old, at=at)


@pytest.mark.parametrize(
    ("score", "momentum", "warm"),
    [("30.0", "10.0", True), ("29.9", "10.0", False), ("30.0", "9.9", False), ("80.0", "-5.0", False)],
)
def test_an_account_is_warm_from_a_score_and_a_rise(score, momentum, warm):
    assert sales_alerts.is_warm(Decimal(score), Decimal(momentum)) is warm


@pytest.mark.django_db
def test_an_account_that_becomes_warm_opens_a_follow_up_for_its_owner(at):
    owner = UserFactory()
    account = AccountFactory(name="Bakker BV", owner=owner)

    assert warn(account, now=("41.5", "20.1"), before=("22.0", "0.6"), at=at) == 1

    opened = FollowUp.objects.get()
    assert (opened.owner, opened.account, opened.reason, opened.subject_key) == (owner, account, "warming_up", f"account:{account.pk}")
    assert (opened.due_on, opened.opened_at, opened.facts) == (date(2026, 3, 12), at, {"score": "41.5", "before": "21.4"})
    assert opened.title == "Bakker BV warms up: score 41.5, was 21.4 a week ago"


@pytest.mark.django_db
def test_an_account_that_is_warm_the_first_time_we_look_is_told(at):
    assert warn(AccountFactory(), now=("41.5", "20.1"), at=at) == 1
    assert FollowUp.objects.get().owner is None


@pytest.mark.django_db
def test_an_account_that_stays_warm_is_not_told_again_also_when_the_rep_has_dealt_with_it(at):
    account = AccountFactory()
    warn(account, now=("41.5", "20.1"), before=("22.0", "0.6"), at=at)
    follow_ups.close(FollowUp.objects.get(), at=at)

    assert warn(account, now=("44.0", "22.6"), before=("41.5", "20.1"), at=at) == 0
    assert FollowUp.objects.open().count() == 0


@pytest.mark.django_db
def test_an_account_that_warms_up_again_is_told_again_but_once_at_a_time(at):
    account = AccountFactory()
    warn(account, now=("41.5", "20.1"), before=("22.0", "0.6"), at=at)

    warn(account, now=("40.0", "11.0"), before=("30.0", "9.0"), at=at)
    assert FollowUp.objects.count() == 1
    follow_ups.close(FollowUp.objects.get(), at=at)
    warn(account, now=("40.0", "11.0"), before=("30.0", "9.0"), at=at)

    assert (FollowUp.objects.count(), FollowUp.objects.open().count()) == (2, 1)


@pytest.mark.django_db
def test_only_accounts_that_cross_cost_a_query(at, django_assert_num_queries):
    accounts = {account.pk: account for account in AccountFactory.create_batch(5)}

    with django_assert_num_queries(0):
        told = sales_alerts.warming_up(accounts, [standing(row, "29.0", "20.0") for row in accounts.values()], before={}, at=at)

    assert told == 0


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 40])
def test_many_accounts_that_cross_cost_no_more_queries_than_one(count, at, django_assert_max_num_queries):
    owner = UserFactory()
    accounts = {account.pk: account for account in AccountFactory.create_batch(count, owner=owner)}

    with django_assert_max_num_queries(5):
        told = sales_alerts.warming_up(accounts, [standing(row, "41.5", "20.1") for row in accounts.values()], before={}, at=at)

    assert told == FollowUp.objects.open().filter(owner=owner, reason="warming_up").count() == count
