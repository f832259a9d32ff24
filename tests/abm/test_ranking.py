"""Who is proposed for a target list, in what order, and why."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils.translation import override

from abm import policy, ranking, targets
from abm.errors import NotEligible
from abm.models import TargetList
from crm.models import Team, User
from tests.abm.lists import refused, standing
from tests.conftest import AT
from tests.factories.crm import AccountFactory, OpportunityFactory, TeamFactory


def test_a_proposal_weighs_fit_engagement_value_and_coverage(twenty: TargetList, at: datetime) -> None:
    small = standing(fit=80, score=10, coverage=50, revenue=100)
    rich = standing(fit=40, score=60.5, coverage=100, revenue=900)
    talking = standing(fit=60, score=0, coverage=0, revenue=1)
    OpportunityFactory(account=talking, amount=500)
    OpportunityFactory(account=talking, amount=250)
    OpportunityFactory(account=rich, stage="lost", amount=9_000, closed_on=date(2026, 2, 1), lost_reason="prijs")

    proposals = targets.propose(twenty, at=at)
    assert [(one.rank, one.account_id, one.name, one.points) for one in proposals] == [
        (1, rich.pk, rich.name, 54.15),  # .4 x 40 + .3 x 60.5 + .2 x 50 + .1 x 100
        (2, talking.pk, talking.name, 44.0),  # .4 x 60 + .2 x 100
        (3, small.pk, small.name, 40.0),  # .4 x 80 + .3 x 10 + .1 x 50
    ]
    assert proposals[0].reasons == [
        {"part": "fit", "value": 40, "weight": 0.4, "points": 16.0},
        {"part": "engagement", "value": 60.5, "weight": 0.3, "points": 18.15},
        {"part": "value", "value": 50.0, "weight": 0.2, "points": 10.0},
        {"part": "coverage", "value": 100, "weight": 0.1, "points": 10.0},
    ]


def test_the_weights_of_the_proposal_make_a_hundred_points(twenty: TargetList, at: datetime) -> None:
    standing()
    best = standing(fit=100, score=100, coverage=100, revenue=1)
    first = targets.propose(twenty, at=at)[0]
    assert (first.account_id, first.points, [part.points for part in first.parts]) == (best.pk, 100.0, [40, 30, 20, 10])


def test_the_numbers_of_the_policy_decide_the_order(twenty: TargetList, at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    fitting, active = standing(fit=90), standing(score=80)
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [fitting.pk, active.pk]
    monkeypatch.setattr(policy, "TARGETS", policy.Targets(fit_weight=0.1, engagement_weight=0.6))
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [active.pk, fitting.pk]


def test_equals_are_proposed_in_the_order_of_their_ids(twenty: TargetList, at: datetime) -> None:
    accounts = [standing(fit=50, name=name) for name in "ZYX"]
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [account.pk for account in accounts]


def test_an_account_that_was_never_scored_is_proposed_last(twenty: TargetList, at: datetime) -> None:
    new, scored = AccountFactory(), standing(fit=1)
    assert [(one.account_id, one.points, one.days_old) for one in targets.propose(twenty, at=at)] == [
        (scored.pk, 0.4, 9),
        (new.pk, 0.0, None),
    ]


@pytest.mark.parametrize(
    "facts",
    [{"status": "competitor"}, {"contract_conflict": True}, {"opted_out_at": AT - timedelta(days=1)}],
    ids=lambda facts: next(iter(facts)),
)
def test_who_may_not_be_approached_is_never_proposed_and_cannot_be_picked(
    twenty: TargetList, at: datetime, rep: User, facts: dict[str, object]
) -> None:
    account = standing(fit=100, name="Nee BV", **facts)
    assert targets.propose(twenty, at=at) == []
    assert targets.fill(twenty, at=at, by=rep) == []
    refusal = refused(NotEligible, lambda: targets.pick(twenty, account=account, at=at, by=rep))
    sentences = {
        "status": "Nee BV is a competitor.",
        "contract_conflict": "Nee BV is in a contract conflict with us.",
        "opted_out_at": "Nee BV does not want to be approached.",
    }
    assert (str(refusal), refusal.detail) == (sentences[next(iter(facts))], {"account": account.pk})


def test_own_and_unowned_accounts_are_proposed_but_not_another_teams(twenty: TargetList, team: Team, at: datetime, rep: User) -> None:
    own, nobodys, theirs = standing(team=team), standing(), standing(team=TeamFactory(), name="Van hen")
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [own.pk, nobodys.pk]
    assert str(refused(NotEligible, lambda: targets.pick(twenty, account=theirs, at=at, by=rep))) == "Van hen belongs to another team."


def test_customers_are_proposed_too(twenty: TargetList, at: datetime) -> None:
    assert [one.account_id for one in targets.propose(twenty, at=at)] == []
    customer = standing(status="customer")
    assert [one.account_id for one in targets.propose(twenty, at=at)] == [customer.pk]


def test_the_proposal_says_which_accounts_are_on_the_list(twenty: TargetList, at: datetime, rep: User) -> None:
    listed, other = standing(fit=10), standing(fit=5)
    targets.pick(twenty, account=listed, at=at, by=rep, slot=7)
    assert [(one.account_id, one.slot) for one in targets.propose(twenty, at=at)] == [(listed.pk, 7), (other.pk, None)]


def test_a_proposal_takes_one_query_however_many_accounts(twenty: TargetList, at: datetime, django_assert_num_queries: Callable) -> None:
    for fit in range(60):
        OpportunityFactory(account=standing(fit=fit), amount=fit)
    with django_assert_num_queries(1):
        assert len(targets.propose(twenty, at=at)) == 60


def test_percentiles_count_who_is_worth_less() -> None:
    worth = {1: (Decimal(0), Decimal(5)), 2: (Decimal(1), Decimal(0)), 3: (Decimal(0), Decimal(5)), 4: (Decimal(0), Decimal(9))}
    assert ranking.percentiles(worth) == {1: 0.0, 3: 0.0, 4: 66.7, 2: 100.0}
    assert ranking.percentiles({1: (Decimal(9),)}) == {1: 0.0}
    assert ranking.percentiles({}) == {}
    many = ranking.percentiles({number: (Decimal(number),) for number in range(3000)})
    assert (many[2998], many[2999]) == (99.9, 100.0)


def test_every_reason_has_its_sentence(twenty: TargetList, at: datetime) -> None:
    standing(revenue=1)
    standing(fit=40, score=60.5, coverage=100, revenue=900)
    with override("en"):
        assert [targets.reason_in_words(reason) for reason in targets.propose(twenty, at=at)[0].reasons] == [
            "fits the ideal customer profile for 40 of 100: 16 points",
            "engagement score 60.5 of 100: 18.15 points",
            "worth more than all other accounts in question: 20 points",
            "we reach 100% of the roles that decide: 10 points",
        ]
