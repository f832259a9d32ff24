"""How a target list comes along: its days, what happened since, and scores then and now."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from abm import target_progress, targets
from abm.models import TargetList
from abm.target_progress import Means, Period, Since
from crm.errors import Conflict
from crm.models import Team
from tests.abm.lists import refused, standing
from tests.conftest import AT
from tests.factories.crm import ActivityFactory, ContactFactory, OpportunityFactory

DAY = timedelta(days=1)


@pytest.fixture
def target_list(team: Team) -> TargetList:
    return targets.draft(name="Voorjaar", team=team, owner=None, starts_on=date(2026, 3, 2), ends_on=date(2026, 3, 31), at=AT)


@pytest.mark.parametrize(
    ("today", "day", "percent"), [((3, 1), 0, 0), ((3, 2), 1, 3), ((3, 10), 9, 30), ((3, 31), 30, 100), ((5, 1), 30, 100)]
)
def test_period_counts_its_days_from_one_and_ends(target_list, today, day, percent):
    found = target_progress.period(target_list, today=date(2026, *today))

    assert (found, found.percent) == (Period(day, 30), percent)


def test_closed_list_stopped_on_the_day_it_was_closed(target_list, team):
    targets.pick(target_list, account=standing(team=team), at=AT, by=None)
    targets.activate(target_list, at=AT, by=None)
    targets.close(target_list, at=AT + 2 * DAY, by=None)

    assert target_progress.period(target_list, today=date(2026, 5, 1)) == Period(11, 30)


def test_what_people_did_and_deals_begun_count_from_the_start_to_the_end(target_list, team, django_assert_num_queries):
    account = standing(team=team)
    targets.pick(target_list, account=account, at=AT, by=None)
    targets.activate(target_list, at=AT, by=None)
    contact = ContactFactory(account=account)
    for kind, moment in (
        ("meeting", AT + DAY),
        ("page_view", AT + DAY),
        ("meeting", AT - DAY),
        ("email_sent", AT + DAY),
        ("meeting", AT + 9 * DAY),
    ):
        ActivityFactory(account=account, contact=contact, kind=kind, occurred_at=moment)
    for days in (-1, 1, 9):
        deal = OpportunityFactory(account=account)
        type(deal).objects.filter(pk=deal.pk).update(created_at=AT + days * DAY)
    targets.close(target_list, at=AT + 5 * DAY, by=None)

    with django_assert_num_queries(2):
        assert target_progress.since_start(target_list, accounts=[account.pk], at=AT + 20 * DAY) == {account.pk: Since(2, 1, 1)}
    assert Since(1, 2, 3) + Since(4, 5, 6) == Since(5, 7, 9)


def test_draft_has_nothing_behind_it(target_list, team):
    account = standing(team=team)
    targets.pick(target_list, account=account, at=AT, by=None)

    assert target_progress.since_start(target_list, accounts=[account.pk], at=AT) == {}


def test_mean_scores_are_of_the_start_and_of_now_for_both_groups(target_list, team):
    listed, _other = standing(score=40, team=team), standing(score=30)
    targets.pick(target_list, account=listed, at=AT, by=None)
    targets.activate(target_list, at=AT, by=None)
    listed.standing.score = 60
    listed.standing.save()

    ours, theirs = target_progress.means(target_list)

    assert (ours, theirs) == (Means(Decimal(40), Decimal(60)), Means(Decimal(30), Decimal(30)))


def test_account_that_was_kept_off_can_be_proposed_again_once(target_list, team):
    account = standing(fit=80, team=team)
    targets.reject(target_list, account=account, reason="Te klein", at=AT, by=None)
    assert targets.propose(target_list, at=AT) == []

    targets.reinstate(target_list, account=account, at=AT, by=None)

    assert [one.account_id for one in targets.propose(target_list, at=AT)] == [account.pk]
    refused(Conflict, lambda: targets.reinstate(target_list, account=account, at=AT, by=None))
