"""The pipeline: sums per stage and currency, the first deals of each, and the same judgement as one deal gets alone."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from crm import access, dmu, opportunities, pipeline
from crm.models import Opportunity, User
from crm.pipeline import Worth
from tests.conftest import AT
from tests.crm.deals import confirmed, decider, proposal
from tests.factories.crm import AccountFactory, MembershipFactory, OpportunityFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("day", "first", "following"),
    [
        (date(2026, 1, 1), date(2026, 1, 1), date(2026, 4, 1)),
        (date(2026, 6, 30), date(2026, 4, 1), date(2026, 7, 1)),
        (date(2026, 12, 31), date(2026, 10, 1), date(2027, 1, 1)),
    ],
)
def test_a_quarter_begins_on_the_first_day_of_its_first_month(day: date, first: date, following: date) -> None:
    assert pipeline.quarter_of(day) == (first, following)


def test_sums_are_per_stage_and_currency_in_one_query(at: datetime, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    OpportunityFactory(stage="sql", amount=100)
    OpportunityFactory(stage="sql", amount=50)
    OpportunityFactory(stage="sql", amount=None)
    OpportunityFactory(stage="sql", amount=500, currency="USD")

    with django_assert_num_queries(1):
        worth = pipeline.worth(Opportunity.objects.all())

    assert worth["sql"] == [Worth("USD", 1, Decimal(500), Decimal(0)), Worth("EUR", 3, Decimal(150), Decimal(0))]
    assert worth["won"] == []


def test_what_stands_on_a_broken_gate_is_not_committed(at: datetime) -> None:
    proposal(at, amount=Decimal(300))
    broken = proposal(at, amount=Decimal(700))
    opportunities.withdraw(broken.confirmations.get(kind="budget"), because="Gekort", at=at)

    assert pipeline.worth(Opportunity.objects.all())["proposal"] == [Worth("EUR", 2, Decimal(1000), Decimal(300))]


def test_a_board_holds_open_deals_and_what_was_closed_this_quarter(at: datetime) -> None:
    sql, lost, long_lost = OpportunityFactory(), OpportunityFactory(), OpportunityFactory()
    opportunities.lose(lost, reason="Te duur", at=at)
    Opportunity.objects.filter(pk=long_lost.pk).update(stage="lost", lost_reason="Te duur", closed_on=date(2025, 12, 31))

    assert set(pipeline.on_board(Opportunity.objects.all(), day=date(2026, 3, 10))) == {sql, lost}


def test_the_first_deals_of_each_stage_are_those_that_close_first(at: datetime) -> None:
    undated = OpportunityFactory(expected_close_on=None)
    late = OpportunityFactory(expected_close_on=date(2026, 9, 1))
    soon = OpportunityFactory(expected_close_on=date(2026, 4, 1))
    other_stage = OpportunityFactory(stage="mql")

    assert list(pipeline.first_of_each_stage(Opportunity.objects.all(), at_most=2)) == [other_stage, soon, late]
    assert list(pipeline.first_of_each_stage(Opportunity.objects.all(), at_most=9))[-1] == undated


def test_many_deals_are_judged_as_each_is_alone_in_two_queries(at: datetime, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    mql, sql, sent = OpportunityFactory(stage="mql"), OpportunityFactory(), proposal(at)
    confirmed(sql, "budget", at=at)
    undecided = proposal(at)
    MembershipFactory(contact=decider(undecided), account=undecided.account, opportunity=undecided, role="decider")
    lost = OpportunityFactory(stage="lost", closed_on=date(2026, 3, 1), lost_reason="Te duur")

    with django_assert_num_queries(2):
        judged = pipeline.judge([mql, sql, sent, undecided, lost], at=at)

    assert {deal: list(row.lacking) for deal, row in judged.items()} == {
        deal.pk: opportunities.missing_for(deal, opportunities.NEXT_STAGE[deal.stage], at=at) for deal in (mql, sql, sent, undecided)
    }
    assert (judged[sql.pk].lacking, judged[sent.pk].lacking, judged[undecided.pk].lacking) == (("two_of_three",), (), ("decider",))


def test_a_deal_goes_stale_with_what_it_stands_on_and_imported_history_never(at: datetime) -> None:
    deal, imported = proposal(at), OpportunityFactory(stage="opportunity", imported_stage="opportunity")

    def stale(days: int) -> list[bool]:
        judged = pipeline.judge([deal, imported], at=at + timedelta(days=days))
        return [judged[deal.pk].is_stale, judged[imported.pk].is_stale]

    assert (stale(180), stale(181)) == ([False, False], [True, False])


def test_nothing_to_judge_asks_nothing(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert pipeline.judge([OpportunityFactory.build(stage="won")], at=AT) == {}


def test_holders_of_many_deals_are_those_of_each(at: datetime, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    account = AccountFactory()
    plain, special = OpportunityFactory(account=account), OpportunityFactory(account=account)
    standing, ended = decider(plain), decider(plain)
    dmu.end(ended.memberships.get(), reason="moved", by=None, at=at)
    own = MembershipFactory(contact=decider(plain), account=account, opportunity=special, role="decider").contact
    third = own.memberships.get(opportunity=None).contact

    with django_assert_num_queries(1):
        held = dmu.holders("decider", opportunities=[plain, special])

    assert held == {plain.pk: {standing.pk, third.pk}, special.pk: {own.pk}}
    assert [dmu.holds(standing, "decider", opportunity=deal) for deal in (plain, special, None)] == [True, False, True]


def test_a_rep_may_change_what_one_record_at_a_time_would_say(rep: User, outsider: User, marketer: User) -> None:
    own = OpportunityFactory(owner=rep, team=rep.team)
    seen = OpportunityFactory(account=AccountFactory(team=rep.team, owner=rep), owner=outsider, team=outsider.team)
    foreign = OpportunityFactory(account=AccountFactory(team=outsider.team), team=outsider.team)

    for user in (rep, outsider, marketer):
        at_once = set(Opportunity.objects.visible_to(user).filter(access.changeable(user, Opportunity)))
        assert at_once == {deal for deal in (own, seen, foreign) if access.may(user, "change", deal)}
