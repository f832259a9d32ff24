"""Reports: what each figure counts, from stage moves alone, and only what the reader may see."""

from datetime import date
from decimal import Decimal
from statistics import median

import pytest

from abm import policy, reports
from abm.models import BudgetLine, SalesTarget
from abm.reports import (
    Column,
    Period,
    Unit,
    budget,
    channels,
    cohorts,
    contract,
    customers,
    deals,
    forecast,
    funnel,
    hybrid,
    key_figures,
    sql,
    wording,
)
from abm.reports.contract import ask, rounded
from crm.errors import Invalid
from crm.models import User
from tests.abm.ways import deal
from tests.conftest import somebody
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, MembershipFactory, OpportunityFactory

TODAY = date(2026, 3, 10)
ALL = Period(TODAY)
FIRST_QUARTER = Period(TODAY, date(2026, 1, 1), date(2026, 3, 31))


@pytest.fixture
def boss(admin_user: User) -> User:
    return admin_user


def one(rows, **named):
    """The only row with these values."""
    [found] = [row for row in rows if all(row[name] == value for name, value in named.items())]
    return found


# --- without a database -------------------------------------------------------------------------------


def test_figures_are_rounded_as_their_unit_says():
    assert rounded(Decimal(2) / 3, Unit.SHARE) == 0.666667
    assert rounded(2360.90939, Unit.MONEY) == 2360.9094
    assert (rounded(7, Unit.DAYS), rounded(None, Unit.SHARE), rounded("x", Unit.TEXT)) == (7, None, "x")


def test_a_period_that_ends_before_it_begins_is_refused():
    with pytest.raises(Invalid, match="ends before it begins"):
        Period(TODAY, date(2026, 2, 1), date(2026, 1, 31))


def test_the_period_before_is_as_long_and_ends_the_day_before():
    assert Period(TODAY, date(2026, 3, 2), date(2026, 3, 8)).before() == Period(date(2026, 3, 3), date(2026, 2, 23), date(2026, 3, 1))


@pytest.mark.parametrize("values", [[5], [1, 2], [3, 1, 2], [1, 2, 4, 8], [7, 7, 7, 1, 0]])
def test_our_percentile_of_sqlite_goes_in_proportion_as_that_of_postgresql(values):
    half, ninety = sql._Percentile(), sql._Percentile()
    for value in values:
        half.step(value, 0.5)
        ninety.step(value, 0.9)
    half.step(None, 0.5)
    ordered, place = sorted(values), 0.9 * (len(values) - 1)
    low, high = ordered[int(place)], ordered[min(int(place) + 1, len(values) - 1)]

    assert half.finalize() == median(values)
    assert ninety.finalize() == pytest.approx(low + (high - low) * (place - int(place)), abs=1e-12)
    assert sql._Percentile().finalize() is None


@pytest.mark.parametrize(("value", "unit", "shown"), [
    (0.625874, Unit.SHARE, "62.6 %"), (2258.5499, Unit.MONEY, "2,259"), (52.0, Unit.DAYS, "52.0"), (None, Unit.COUNT, "–"),
    ("2026-03", Unit.MONTH, "March 2026"), ("2026-03-09", Unit.DAY, "9 Mar 2026"), (1.5, Unit.RATIO, "1.50"), ("open", Unit.TEXT, "open"),
])  # fmt: skip
def test_a_figure_reads_as_its_unit_says(value, unit, shown):
    assert wording.figure(value, unit) == shown


def test_bars_are_as_long_as_their_share_of_the_longest():
    assert wording.widths([{"a": 2, "b": 4}, {"a": 1, "b": None}], ("a", "b")) == [[50, 100], [25, 0]]
    assert wording.widths([{"a": 0}], ("a",)) == [[0]]


@pytest.mark.parametrize(("conversion", "said"), [(0.02, "alarm"), (0.021, "usual"), (0.30, "usual"), (0.301, "scale up"), (None, "")])
def test_mql_to_sql_rings_the_alarm_at_two_percent_and_scales_above_thirty(conversion, said):
    assert funnel.verdict("mql", conversion) == said
    assert funnel.verdict("sql", conversion) == ""


@pytest.mark.parametrize(("value", "said"), [(2.9, "below the usual"), (3, "usual"), (7, "usual"), (7.1, "above the usual"), (None, "")])
def test_a_figure_is_held_against_its_band(value, said):
    assert key_figures.verdict({"figure": "ltv_to_cac", "value": value, "low": 3.0, "high": 7.0}) == said


def test_the_bands_are_those_of_the_playbook():
    bands = policy.BENCHMARKS
    assert (bands.lead_to_opportunity_low_share, bands.lead_to_opportunity_high_share) == (0.05, 0.12)
    assert (bands.opportunity_to_won_low_share, bands.opportunity_to_won_high_share) == (0.18, 0.30)
    assert (bands.cycle_low_days, bands.cycle_high_days, bands.ltv_to_cac_low, bands.ltv_to_cac_high) == (30, 180, 3, 7)
    assert (bands.mql_to_sql_alarm_share, bands.mql_to_sql_scale_share) == (0.02, 0.30)


def test_every_report_names_its_columns_once_and_charts_only_those():
    for report in reports.REPORTS.values():
        names = [column.name for column in report.columns]
        assert len(names) == len(set(names)), report.slug
        assert {report.chart.label, *report.chart.values} <= set(names) if report.chart else True, report.slug


def test_the_unit_of_a_figure_may_be_the_rows():
    column = Column("value", "value", Unit.BY_ROW)
    assert column.unit_in({"value": 0.5, "unit": "share"}) is Unit.SHARE


@pytest.mark.parametrize(("name", "value", "side"), [
    ("deciders", 2, "b2b"), ("deciders", 1.5, ""), ("deciders", 1, "b2c"), ("free_mail", 0.1, "b2b"), ("free_mail", 0.7, "b2c"),
    ("cycle_days", 30, "b2b"), ("cycle_days", 7, "b2c"), ("deal_value", None, ""),
])  # fmt: skip
def test_a_signal_speaks_for_business_for_consumers_or_for_neither(name, value, side):
    assert hybrid.side_of(name, value) == side


def test_a_segment_is_what_most_answered_signals_say_and_else_hybrid():
    business = {"deciders": 3, "cycle_days": 60, "deal_value": 9000, "free_mail": 0.1, "pilots": None}
    mixed = business | {"deciders": 1, "free_mail": 0.9}

    assert hybrid.judge(business, counted=5) == {"b2b": 4, "b2c": 0, "answered": 4, "code": "b2b"}
    assert hybrid.judge(mixed, counted=5)["code"] == "hybrid"
    assert (hybrid.judge(business, counted=4)["code"], hybrid.judge({}, counted=9)["code"]) == ("unknown", "unknown")


def test_a_consumer_metric_on_a_business_segment_is_warned_of():
    assert hybrid.warning("basket", "b2b").startswith("basket value says little of business customers")
    assert (hybrid.warning("basket", "hybrid"), hybrid.warning("none", "b2b")) == ("", "")


# --- the funnel ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_funnel_counts_moves_and_leaves_open_deals_out_of_every_denominator(boss):
    deal(("mql", "2026-01-01"), ("sql", "2026-01-11"), ("opportunity", "2026-01-31"), ("proposal", "2026-02-10"), ("won", "2026-03-02"))
    deal(("mql", "2026-01-01"), ("sql", "2026-01-05"), ("lost", "2026-01-20"))
    deal(("mql", "2026-01-01"), ("lost", "2026-01-03"))
    deal(("mql", "2026-02-01"))
    deal(("sql", "2026-02-01"))

    rows = ask(funnel.REPORT, period=ALL, user=boss).rows

    mql, sql_, opportunity, proposal, won = rows
    assert [row["stage"] for row in rows] == ["mql", "sql", "opportunity", "proposal", "won"]
    assert (mql["entered"], mql["moved_on"], mql["lost"], mql["open"], mql["conversion"]) == (4, 2, 1, 1, 0.666667)
    assert (sql_["entered"], sql_["moved_on"], sql_["lost"], sql_["open"], sql_["conversion"]) == (3, 1, 1, 1, 0.5)
    assert (opportunity["conversion"], proposal["conversion"], won["passed"], won["conversion"]) == (1, 1, 1, None)
    assert (mql["days_median"], mql["days_p90"], sql_["days_median"], proposal["days_median"]) == (7, 9.4, 20, 20)
    assert mql["verdict"] == "scale up"


@pytest.mark.django_db
def test_a_stage_that_was_passed_by_counts_as_passed_but_not_as_entered(boss):
    deal(("sql", "2026-01-01"), ("won", "2026-02-01"))

    rows = ask(funnel.REPORT, period=ALL, user=boss).rows

    assert [(row["entered"], row["passed"]) for row in rows] == [(0, 0), (1, 1), (0, 1), (0, 1), (1, 1)]
    assert rows[1]["days_median"] == 31


@pytest.mark.django_db
def test_a_stage_entered_before_the_one_before_it_is_a_data_error_in_no_number_of_days(boss):
    deal(("mql", "2026-01-20"), ("sql", "2026-01-10"))
    deal(("mql", "2026-01-01"), ("sql", "2026-01-05"))

    row = one(ask(funnel.REPORT, period=ALL, user=boss).rows, stage="mql")

    assert (row["data_errors"], row["days_median"], row["moved_on"]) == (1, 4, 2)


@pytest.mark.django_db
def test_a_reopened_deal_counts_where_it_stands_and_its_return_is_no_data_error(boss):
    made = deal(("opportunity", "2026-01-01"), ("lost", "2026-01-20"), ("sql", "2026-02-01"))

    rows = ask(funnel.REPORT, period=ALL, user=boss).rows

    assert one(rows, stage="opportunity")["open"] == 1
    assert sum(row["data_errors"] or 0 for row in rows) == 0
    assert made.stage == "sql"


@pytest.mark.django_db
def test_the_funnel_takes_the_deals_that_began_in_the_period(boss):
    deal(("mql", "2025-12-31"), ("sql", "2026-01-05"))
    deal(("mql", "2026-01-01"))
    deal(("mql", None))

    assert one(ask(funnel.REPORT, period=FIRST_QUARTER, user=boss).rows, stage="mql")["entered"] == 1
    assert one(ask(funnel.REPORT, period=ALL, user=boss).rows, stage="mql")["entered"] == 3


@pytest.mark.django_db
def test_figures_are_told_apart_by_what_deals_and_accounts_say(boss, rep):
    small, large = AccountFactory(industry="bouw", employees=5), AccountFactory(industry="zorg", employees=400)
    deal(("sql", "2026-01-01"), ("won", "2026-01-11"), account=small, origin="beurs", campaign="lente", owner=rep)
    deal(("sql", "2026-01-01"), ("lost", "2026-01-21"), account=large, source="import")

    def groups(by):
        return {row["group"]: row["won"] for row in ask(deals.REPORT, period=ALL, user=boss, given={"by": by}).rows}

    assert groups("industry") == {"bouw": 1, "zorg": 0}
    assert groups("source") == {"beurs": 1, "import": 0}
    assert groups("campaign") == {"lente": 1, "unknown": 0}
    assert groups("owner") == {str(rep): 1, "unknown": 0}
    assert groups("size") == {"fewer than 10": 1, "250 or more": 0}
    assert groups("none") == {"all deals": 1}


# --- deals, forecast, key figures ---------------------------------------------------------------------


@pytest.mark.django_db
def test_win_rate_value_and_cycle_count_the_deals_closed_in_the_period(boss):
    deal(("sql", "2025-12-01"), ("won", "2026-01-10"), amount=100)
    deal(("sql", "2026-01-01"), ("won", "2026-01-31"), amount=300)
    deal(("sql", "2026-01-01"), ("won", "2026-04-01"), amount=999)
    deal(("sql", "2026-01-01"), ("lost", "2026-02-01"), amount=500)
    deal(("sql", "2026-02-10"), ("lost", "2026-02-01"))
    deal(("sql", "2026-01-01"))

    [row] = ask(deals.REPORT, period=FIRST_QUARTER, user=boss).rows

    assert (row["won"], row["lost"], row["open"], row["win_rate"]) == (2, 2, 1, 0.5)
    assert (row["won_value"], row["acv_mean"], row["acv_median"]) == (400, 200, 200)
    assert (row["cycle_days_won_mean"], row["cycle_days_won_median"], row["cycle_days_won_p90"]) == (35, 35, 39)
    assert (row["cycle_days_closed_median"], row["data_errors"]) == (31, 1)


@pytest.mark.django_db
def test_money_of_another_currency_is_in_no_sum_and_that_is_said(boss):
    deal(("sql", "2026-01-01"), ("won", "2026-01-10"), amount=100)
    deal(("sql", "2026-01-01"), ("won", "2026-01-12"), amount=100)
    deal(("sql", "2026-01-01"), ("won", "2026-01-10"), amount=999, currency="USD")

    table = ask(deals.REPORT, period=ALL, user=boss)

    assert (table.chosen["currency"], table.rows[0]["won"], table.rows[0]["won_value"]) == ("EUR", 3, 200)
    assert table.notes[-1].startswith("1 deal in another currency than EUR")


@pytest.mark.django_db
def test_the_forecast_weighs_by_stage_and_keeps_broken_gates_apart(boss, monkeypatch):
    OpportunityFactory(stage="sql", amount=1000)
    OpportunityFactory(stage="opportunity", imported_stage="opportunity", amount=2000)
    OpportunityFactory(stage="opportunity", imported_stage="opportunity", amount=4000, gate_broken_at="2026-03-01T09:00:00Z")
    OpportunityFactory(stage="proposal", imported_stage="proposal", amount=None)

    rows = ask(forecast.REPORT, period=ALL, user=boss).rows

    sql_, opportunity, proposal = rows[1:]
    assert (sql_["pipeline"], sql_["weighted"], sql_["committed"]) == (1000, 100, 0)
    assert (opportunity["pipeline"], opportunity["weighted"], opportunity["committed"]) == (6000, 500, 2000)
    assert (opportunity["broken_deals"], opportunity["broken"], proposal["without_amount"]) == (1, 4000, 1)


@pytest.mark.django_db
def test_the_forecast_weighs_with_the_own_history_once_enough_was_decided(boss, monkeypatch):
    monkeypatch.setattr(policy, "FORECAST", policy.Forecast(own_history_deals=2))
    deal(("sql", "2026-01-01"), ("won", "2026-01-10"))
    deal(("sql", "2026-01-01"), ("lost", "2026-01-10"))

    assert forecast.won_shares(boss) == {"mql": 0.02, "sql": 0.5, "opportunity": 0.25, "proposal": 0.5}


@pytest.mark.django_db
def test_the_pipeline_is_held_against_what_the_quarters_target_still_needs(boss):
    SalesTarget.objects.create(quarter=date(2026, 1, 1), amount=1000, currency="EUR")
    deal(("sql", "2026-01-01"), ("won", "2026-02-01"), amount=600)
    deal(("sql", "2025-01-01"), ("won", "2025-12-31"), amount=5000)
    deal(("sql", "2026-01-01"), amount=1200, expected_close_on=date(2026, 3, 20))
    deal(("sql", "2026-01-01"), amount=9000, expected_close_on=date(2026, 4, 1))

    figures = {row["figure"]: row for row in ask(key_figures.REPORT, period=ALL, user=boss).rows}

    assert (figures["target_coverage"]["value"], figures["target_coverage"]["verdict"]) == (3, "usual")
    assert figures["pipeline"]["value"] == 10_200


@pytest.mark.django_db
def test_key_figures_tell_the_steps_to_the_opportunity_and_from_it(boss):
    deal(("mql", "2026-01-01"), ("sql", "2026-01-11"), ("opportunity", "2026-01-31"), ("lost", "2026-02-10"))
    deal(("mql", "2026-01-01"), ("lost", "2026-01-05"))
    deal(("sql", "2026-01-01"), ("opportunity", "2026-01-31"), ("won", "2026-02-10"))
    deal(("mql", "2026-01-01"))

    figures = {row["figure"]: (row["value"], row["deals"]) for row in ask(key_figures.REPORT, period=ALL, user=boss).rows}

    assert figures["mql_to_sql"] == (0.5, 2)
    assert figures["lead_to_opportunity"] == (0.666667, 3)
    assert figures["opportunity_to_won"] == (0.5, 2)


# --- cohorts, customers, channels, budget -------------------------------------------------------------


@pytest.mark.django_db
def test_a_cohort_says_how_ripe_it_is(boss):
    deal(("mql", "2026-01-31"), ("won", "2026-02-10"), amount=700)
    deal(("mql", "2026-01-01"), ("lost", "2026-02-10"))
    deal(("mql", "2026-02-01"))
    deal(("mql", "2026-02-03"), ("lost", "2026-02-10"))
    deal(("mql", None))

    january, february = ask(cohorts.REPORT, period=ALL, user=boss).rows

    assert (january["month"], january["engaged"], january["win_rate_closed"], january["won_value"]) == ("2026-01", 2, 0.5, 700)
    assert (january["maturity"], february["maturity"], february["open_share"]) == ("closed", "not ripe yet", 0.5)
    assert (february["won_share_of_cohort"], february["win_rate_closed"]) == (0, 0)


@pytest.mark.django_db
def test_retention_compares_the_second_year_of_customers_with_their_first(boss):
    kept, left, young = AccountFactory.create_batch(3)
    deal(("sql", "2023-12-01"), ("won", "2024-01-10"), account=kept, amount=1000)
    deal(("sql", "2024-12-01"), ("won", "2025-01-10"), account=kept, amount=1500, kind="renewal")
    deal(("sql", "2024-12-01"), ("won", "2025-01-09"), account=kept, amount=200, kind="upsell")
    deal(("sql", "2023-12-01"), ("won", "2024-01-20"), account=left, amount=800)
    deal(("sql", "2025-06-01"), ("won", "2025-07-20"), account=young, amount=300)

    january, july = ask(customers.REPORT, period=ALL, user=boss).rows

    assert (january["month"], january["customers"], january["revenue"], january["cltv"]) == ("2024-01", 2, 3500, 1750)
    assert (january["first_year"], january["second_year"], january["nrr"], january["retained"]) == (2000, 1500, 0.75, 0.5)
    assert (january["revenue_new"], january["revenue_renewal"], january["revenue_upsell"]) == (1800, 1500, 200)
    assert (july["ripe_customers"], july["nrr"], july["retained"]) == (0, None, None)


@pytest.fixture
def spent(boss: User) -> User:
    """Two channels, of which one brings more for less."""
    lines = [("beurs", "proven", 600, 600), ("zoeken", "scaling", 250, 400), ("podcast", "experiment", 150, None)]
    for channel, purpose, planned, actual in lines:
        BudgetLine.objects.create(channel=channel, month=date(2026, 1, 1), purpose=purpose, planned=planned, actual=actual)
    BudgetLine.objects.create(channel="beurs", month=date(2025, 12, 1), planned=9, actual=9)
    for number in range(2):
        deal(("mql", "2026-01-02"), ("sql", "2026-01-05"), ("won", f"2026-01-2{number}"), origin="beurs", amount=1200)
    deal(("mql", "2026-01-02"), ("sql", "2026-01-05"), ("lost", "2026-02-01"), origin="zoeken")
    return boss


@pytest.mark.django_db
def test_channels_tell_what_a_customer_costs_is_worth_and_when_it_has_paid_back(spent):
    rows = ask(channels.REPORT, period=FIRST_QUARTER, user=spent).rows

    fair, podcast, search = rows
    assert (fair["channel"], fair["leads"], fair["customers"], fair["actual"], fair["cac"]) == ("beurs", 2, 2, 600, 300)
    assert (fair["cltv"], fair["ltv_to_cac"], fair["payback_months"], fair["verdict"]) == (1200, 4, 3, "usual")
    assert (search["customers"], search["cac"], podcast["actual"], podcast["planned"]) == (0, None, None, 150)


@pytest.mark.django_db
def test_advice_needs_enough_decided_leads(spent, monkeypatch):
    def advice():
        return [row["advice"] for row in ask(channels.REPORT, period=FIRST_QUARTER, user=spent).rows]

    assert advice() == ["", "", ""]
    monkeypatch.setattr(policy, "BUDGETS", policy.Budgets(advice_from_deals=1))
    assert advice() == ["scale up: MQL to SQL", "", "scale up: MQL to SQL"]
    # Without the first reason the second one: more conversion, and more revenue of each customer, than all channels have.
    monkeypatch.setattr(policy, "BENCHMARKS", policy.Benchmarks(mql_to_sql_scale_share=1.0))
    monkeypatch.setattr(policy, "BUDGETS", policy.Budgets(advice_from_deals=1, lift_share=0.0))
    assert advice() == ["scale up: conversion and revenue per customer", "", ""]


@pytest.mark.django_db
def test_the_budget_is_held_against_sixty_twenty_five_fifteen(spent):
    rows = ask(budget.REPORT, period=FIRST_QUARTER, user=spent).rows

    assert [(row["purpose"], row["meant_share"], row["planned_share"], row["actual_share"]) for row in rows] == [
        ("proven", 0.6, 0.6, 0.6), ("scaling", 0.25, 0.25, 0.4), ("experiment", 0.15, 0.15, 0),
    ]  # fmt: skip
    assert [row["verdict"] for row in rows] == ["as meant", "more than meant", "less than meant"]


@pytest.mark.django_db
def test_the_hybrid_check_answers_from_what_is_on_record(boss):
    account = AccountFactory(industry="bouw", status="customer")
    for address in ("a@bedrijf.example", "b@gmail.com"):
        MembershipFactory(contact=ContactFactory(account=account, email=address), role="buyer")
    ActivityFactory(account=account, kind="meeting")
    for number, kind in enumerate(("new", "renewal", "new", "upsell", "new")):
        deal(("sql", "2026-01-01"), ("won", f"2026-02-1{number}"), account=account, amount=6000, kind=kind)

    [row] = ask(hybrid.REPORT, period=ALL, user=boss, given={"metric": "basket"}).rows

    assert (row["segment"], row["deals"], row["deciders"], row["free_mail"], row["contracts"], row["talks"]) == ("bouw", 5, 2, 0.5, 0.4, 1)
    # Nobody here ever recorded a pilot: that says nothing.
    assert (row["pilots"], row["cycle_days"], row["deal_value"], row["b2b"], row["b2c"], row["answered"]) == (None, 42, 6000, 5, 0, 6)
    assert (row["verdict"], row["warning"][:12]) == ("B2B", "basket value")


# --- who sees what ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_every_figure_counts_only_what_the_reader_may_see(boss, rep, outsider):
    deal(("sql", "2026-01-01"), ("won", "2026-01-10"), amount=100, owner=rep, team=rep.team, account__team=rep.team)
    deal(("sql", "2026-01-01"), amount=50, owner=rep, team=rep.team, account__team=rep.team)

    for report in reports.open_to(outsider):
        rows = ask(report, period=ALL, user=outsider).rows
        counted = [
            value for row in rows for name, value in row.items() if name in ("won", "open", "deals", "passed", "engaged", "customers")
        ]
        assert not any(counted), report.slug
    assert [ask(deals.REPORT, period=ALL, user=user).rows[0]["won"] for user in (rep, boss)] == [1, 1]


@pytest.mark.django_db
def test_costs_are_for_who_may_see_the_budget(rep, marketer):
    assert {report.slug for report in reports.open_to(marketer)} - {report.slug for report in reports.open_to(rep)} == {
        "channels",
        "budget",
    }
    with pytest.raises(reports.NoSuchReport, match="There is no report 'channels'"):
        reports.find("channels", rep)
    assert reports.open_to(somebody("sales rep", is_active=False)) == []


@pytest.mark.django_db
def test_a_choice_that_a_report_does_not_have_is_refused_with_what_it_has(boss):
    with pytest.raises(Invalid) as refusal:
        ask(deals.REPORT, period=ALL, user=boss, given={"by": "colour", "size": "10"})

    assert refusal.value.detail["by"].startswith("One of: none, source, owner")
    assert refusal.value.detail["size"] == "Unknown."
    assert contract.ask(deals.REPORT, period=ALL, user=boss, given={"by": ""}).chosen["by"] == "none"
