"""Alerts: an account that becomes warm is told once, to its owner."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from abm import policy, refresh, sales_alerts
from abm.models import AccountStanding
from crm import activities, follow_ups
from crm.models import FollowUp
from tests.factories.crm import AccountFactory, ContactFactory, UserFactory


def stands(account, at):
    """Give an account a standing that is warm: a score of 41.5, of which 20.1 in the last week."""
    values = {
        "as_of": at.date(),
        "score": Decimal("41.5"),
        "momentum": Decimal("20.1"),
        "fit": 0,
        "coverage_percent": 0,
        "refreshed_at": at,
    }
    AccountStanding.objects.update_or_create(account=account, defaults=values)
    return account.pk


def test_an_account_is_warm_from_a_score_and_a_rise(db, at, monkeypatch):
    """A stranger at a small account met us today: 20 weighted points, half of them for want of a decider, a score of 16.7."""
    for number, (score, rise, told) in enumerate([(16.7, 16.7, 1), (16.8, 10.0, 0), (10.0, 16.8, 0), (10.0, -5.0, 1)]):
        monkeypatch.setattr(policy, "ALERTS", policy.Alerts(warming_up_from_score=score, warming_up_points=rise))
        contact = ContactFactory(account__employees=5, account__name=f"Account {number}")
        activities.record(account=contact.account, contact=contact, kind="meeting", occurred_at=at, source="test", at=at)

        refresh.account(contact.account_id, at=at)

        standing = AccountStanding.objects.get(account=contact.account)
        assert (standing.score, standing.momentum) == (Decimal("16.7"), Decimal("16.7"))
        assert FollowUp.objects.filter(account=contact.account).count() == told
        assert sales_alerts.is_warm(standing.score, standing.momentum) is bool(told)


@pytest.mark.django_db
def test_an_account_that_becomes_warm_opens_a_follow_up_for_its_owner(at):
    owner = UserFactory()
    account = AccountFactory(name="Bakker BV", owner=owner)

    assert sales_alerts.warming_up([stands(account, at)], at=at) == 1

    opened = FollowUp.objects.get()
    assert (opened.owner, opened.account, opened.reason, opened.subject_key) == (owner, account, "warming_up", f"account:{account.pk}")
    assert (opened.due_on, opened.opened_at, opened.facts) == (date(2026, 3, 12), at, {"score": "41.5", "before": "21.4"})
    assert opened.title == "Bakker BV warms up: score 41.5, was 21.4 a week ago"


@pytest.mark.django_db
def test_an_account_that_is_warm_the_first_time_we_look_is_told(at, monkeypatch):
    monkeypatch.setattr(policy, "ALERTS", policy.Alerts(warming_up_from_score=15.0))
    contact = ContactFactory(account__employees=5, account__owner=None)
    activities.record(account=contact.account, contact=contact, kind="meeting", occurred_at=at, source="test", at=at)
    assert not AccountStanding.objects.exists()

    refresh.account(contact.account_id, at=at)

    assert FollowUp.objects.get().owner is None


@pytest.mark.django_db
def test_an_account_that_stays_warm_is_not_told_again_also_when_the_rep_has_dealt_with_it(at):
    contact = ContactFactory(account__employees=5)
    for name in ("meeting", "form_demo_request"):
        activities.record(account=contact.account, contact=contact, kind=name, occurred_at=at, source="test", at=at)
    account_id = contact.account_id
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy, "ALERTS", policy.Alerts(warming_up_from_score=20.0))
        refresh.account(account_id, at=at)
        follow_ups.close(FollowUp.objects.get(), at=at)

        activities.record(account=contact.account, contact=contact, kind="pricing_view", occurred_at=at, source="test", at=at)
        refresh.account(account_id, at=at)
        refresh.night(1, None, day=at.date() + timedelta(days=1), at=at + timedelta(days=1))

    assert AccountStanding.objects.get().momentum > 10
    assert (FollowUp.objects.count(), FollowUp.objects.open().count()) == (1, 0)


@pytest.mark.django_db
def test_an_account_that_warms_up_again_is_told_again_but_once_at_a_time(at):
    account_id = stands(AccountFactory(), at)
    assert sales_alerts.warming_up([account_id], at=at) == 1

    assert sales_alerts.warming_up([account_id], at=at) == 0
    follow_ups.close(FollowUp.objects.get(), at=at)
    assert sales_alerts.warming_up([account_id], at=at) == 1

    assert (FollowUp.objects.count(), FollowUp.objects.open().count()) == (2, 1)


@pytest.mark.django_db
def test_only_accounts_that_cross_cost_a_query(at, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert sales_alerts.warming_up([], at=at) == 0


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 40])
def test_many_accounts_that_cross_cost_no_more_queries_than_one(count, at, django_assert_max_num_queries):
    owner = UserFactory()
    account_ids = [stands(account, at) for account in AccountFactory.create_batch(count, owner=owner)]

    with django_assert_max_num_queries(6):
        told = sales_alerts.warming_up(account_ids, at=at)

    assert told == FollowUp.objects.open().filter(owner=owner, reason="warming_up").count() == count
