"""Leads of other systems: a public marketing funnel goes in unchanged, a repeat changes nothing, a wrong line costs itself."""

from datetime import date
from pathlib import Path

import pytest

from abm.reports import Period, ask, cohorts, deals, funnel
from crm import lead_funnels, policy
from crm.errors import NotAllowed
from crm.imports import ImportRefused
from crm.models import Account, Opportunity, StageMove
from tests.conftest import AT
from tests.factories.crm import UserFactory

LEADS = """mql_id,first_contact_date,landing_page_id,origin
a1,2018-02-01,b76ef37428e6799c421989521c0e5077,social
a2,2018-02-03,22c29808c4f815213303f8933030604c,paid_search
a3,2018-03-05,22c29808c4f815213303f8933030604c,
a4,2018-13-05,x,social
"""
DEALS = """mql_id,seller_id,sdr_id,sr_id,won_date,business_segment,lead_type,lead_behaviour_profile,has_company,has_gtin,average_stock,business_type,declared_product_catalog_size,declared_monthly_revenue
a1,2c43fb513632d29b3b58df74816f1b06,s1,r1,2018-02-26 19:58:54,pet,online_medium,cat,,,,reseller,,0.0
a3,bbb7d7893a450660432ea6652310ebb7,s1,r1,2018-03-01 20:17:10,car_accessories,industry,eagle,,,,reseller,,1000.0
zz,bbb7d7893a450660432ea6652310ebb8,s1,r1,2018-03-01 20:17:10,car_accessories,industry,eagle,,,,reseller,,0.0
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    leads, won = tmp_path / "leads.csv", tmp_path / "deals.csv"
    leads.write_text(LEADS)
    won.write_text(DEALS)
    return leads, won


@pytest.mark.django_db
def test_a_public_marketing_funnel_goes_in_unchanged(files, admin_user):
    report = lead_funnels.load(*files, source="olist", at=AT)

    of_leads, of_deals = report.files
    assert (of_leads.read, of_leads.created, of_leads.skipped, of_deals.created, of_deals.skipped) == (4, 3, 1, 2, 1)
    assert [(problem.file, problem.line, problem.column) for problem in report.problems] == [
        ("leads.csv", 5, "first_contact_date"), ("deals.csv", 4, "mql_id"),
    ]  # fmt: skip
    won = Opportunity.objects.get(external_id="a3")
    assert (won.stage, won.closed_on, won.campaign, won.account.industry, won.account.revenue) == (
        "won", date(2018, 3, 1), "22c29808c4f815213303f8933030604c", "car_accessories", 12_000,
    )  # fmt: skip
    moves = StageMove.objects.filter(opportunity__external_id="a1").order_by("pk").values_list("to_stage", "moved_at")
    assert [(stage, policy.day_of(at)) for stage, at in moves] == [("mql", date(2018, 2, 1)), ("won", date(2018, 2, 26))]


@pytest.mark.django_db
def test_its_figures_come_out_of_the_reports_and_a_win_before_the_first_contact_is_shown_as_an_error(files, admin_user):
    lead_funnels.load(*files, source="olist", at=AT)
    period = Period(policy.day_of(AT))

    by_source = {row["group"]: row for row in ask(deals.REPORT, period=period, user=admin_user, given={"by": "source"}).rows}
    months = ask(cohorts.REPORT, period=period, user=admin_user).rows

    assert (by_source["social"]["won"], by_source["social"]["cycle_days_won_median"], by_source["paid_search"]["open"]) == (1, 25, 1)
    assert (by_source["olist"]["won"], by_source["olist"]["data_errors"], by_source["olist"]["cycle_days_won_median"]) == (1, 1, None)
    assert [(row["month"], row["engaged"], row["won"]) for row in months] == [("2018-02", 2, 1), ("2018-03", 1, 1)]
    assert ask(funnel.REPORT, period=period, user=admin_user).rows[0]["data_errors"] == 1


@pytest.mark.django_db
def test_a_repeat_changes_nothing(files):
    lead_funnels.load(*files, source="olist", at=AT)
    report = lead_funnels.load(*files, source="olist", at=AT)

    assert [(each.created, each.unchanged) for each in report.files] == [(0, 3), (0, 2)]
    assert (Opportunity.objects.count(), StageMove.objects.count(), Account.objects.count()) == (3, 5, 2)


@pytest.mark.django_db
def test_columns_of_other_names_are_mapped(tmp_path):
    leads, won = tmp_path / "l.csv", tmp_path / "d.csv"
    leads.write_text("Lead;Created On\nq1;2026-01-02\n")
    won.write_text("Lead;Closed;Company;Value\nq1;2026-02-02;Van Dijk;1250,50\n")
    columns = {"id": "Lead", "first_contact": "Created On", "lead": "Lead", "won": "Closed", "customer": "Company", "amount": "Value"}

    lead_funnels.load(leads, won, source="eigen", at=AT, columns=columns)

    assert list(Opportunity.objects.values_list("external_id", "stage", "amount", "origin")) == [("q1", "won", 1250.50, "")]


def test_a_field_that_nobody_knows_is_refused_with_those_that_are_known(files):
    with pytest.raises(ImportRefused, match=r"Unknown: colour\. A column can be: id, first_contact"):
        lead_funnels.load(*files, source="x", at=AT, columns={"colour": "x"})


@pytest.mark.django_db
def test_a_trial_says_what_would_happen_and_writes_nothing(files):
    tried = lead_funnels.load(*files, source="olist", at=AT, is_trial=True)
    written = [model.objects.count() for model in (Opportunity, StageMove, Account)]

    done = lead_funnels.load(*files, source="olist", at=AT)

    assert written == [0, 0, 0]
    assert tried == done


@pytest.mark.django_db
def test_what_somebody_imports_belongs_to_the_team_and_needs_the_permission_to_add_it(files, rep):
    lead_funnels.load(*files, source="olist", at=AT, by=rep)

    assert set(Opportunity.objects.values_list("team", flat=True)) == {rep.team_id}
    assert set(Account.objects.values_list("team", flat=True)) == {rep.team_id}
    assert Opportunity.objects.first().history.get().history_user == rep
    with pytest.raises(NotAllowed):
        lead_funnels.load(*files, source="olist", at=AT, by=UserFactory())


@pytest.mark.django_db
def test_a_win_of_a_customer_whom_one_may_not_see_is_left_out(files, rep, outsider):
    lead_funnels.load(*files, source="olist", at=AT, by=outsider)
    StageMove.objects.all().delete()
    Opportunity.objects.all().delete()

    report = lead_funnels.load(*files, source="olist", at=AT, by=rep)

    wrong = [(problem.line, problem.column) for problem in report.files[1].problems]
    assert wrong == [(2, "seller_id"), (3, "seller_id"), (4, "mql_id")]
    assert set(Opportunity.objects.values_list("stage", flat=True)) == {"mql"}


@pytest.mark.django_db
def test_more_lines_than_asked_for_are_refused(files):
    with pytest.raises(ImportRefused, match="More than 6 lines"):
        lead_funnels.load(*files, source="x", at=AT, most=6)
    assert not Opportunity.objects.exists()


@pytest.mark.django_db
def test_a_win_of_a_lead_that_was_taken_over_before_is_told_and_left_alone(files):
    lead_funnels.load(files[0], None, source="olist", at=AT)

    report = lead_funnels.load(*files, source="olist", at=AT)

    assert (report.files[1].created, report.files[1].differing) == (0, 2)
    assert set(Opportunity.objects.values_list("stage", flat=True)) == {"mql"}
