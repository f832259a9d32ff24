"""What one row of a sales history becomes, alone, repeated, and when it is wrong."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from crm import sales_history
from crm.imports import Problem
from crm.models import Account, Opportunity, Product, StageMove, Team, User
from tests.crm.small_history import ROWS, deal, folder

# --- what one row becomes --------------------------------------------------------------------------


def test_won_deal_enters_as_marked_history_with_two_moves_at_local_midnight(db, at, tmp_path):
    sales_history.load(folder(tmp_path), at=at)

    row = Opportunity.objects.get(external_id="D1")
    assert (row.name, row.stage, row.imported_stage, row.source) == ("GTX Pro (D1)", "won", "won", "maven-crm")
    assert (row.amount, row.currency, row.closed_on, row.is_imported_history) == (Decimal(1054), "USD", date(2017, 3, 1), True)
    assert (str(row.owner), str(row.team), str(row.product), str(row.account)) == ("Ann Lee", "Bo Berg (East)", "GTX Pro", "Acme")
    assert row.stage_since == datetime(2017, 2, 28, 23, tzinfo=UTC)
    assert list(row.moves.values_list("from_stage", "to_stage", "moved_at", "is_imported")) == [
        ("", "sql", datetime(2017, 1, 30, 23, tzinfo=UTC), True),
        ("sql", "won", datetime(2017, 2, 28, 23, tzinfo=UTC), True),
    ]


def test_prospecting_deal_without_a_date_has_a_move_without_a_moment(db, at, tmp_path):
    sales_history.load(
        folder(tmp_path, sales_pipeline=[deal(deal_stage="Prospecting", engage_date="", close_date="", close_value="")]), at=at
    )

    row = Opportunity.objects.get()
    assert (row.stage, row.stage_since, row.amount) == ("mql", None, None)
    assert list(row.moves.values_list("from_stage", "to_stage", "moved_at")) == [("", "mql", None)]


def test_lost_deal_keeps_its_value_of_zero(db, at, tmp_path):
    sales_history.load(folder(tmp_path, sales_pipeline=[deal(deal_stage="Lost", close_value="0")]), at=at)

    row = Opportunity.objects.get()
    assert (row.stage, row.amount, row.lost_reason) == ("lost", 0, "")


def test_account_gets_its_figures_parent_and_country(db, at, tmp_path):
    sales_history.load(folder(tmp_path), at=at)

    row = Account.objects.get(name="Zoom Co")
    assert (row.industry, row.founded_year, row.revenue, row.revenue_currency) == ("software", 2001, Decimal(2_000_000), "USD")
    assert (row.employees, row.country.code, row.parent.name, row.status) == (300, "US", "Acme", "prospect")


def test_account_belongs_to_who_has_most_deals_there_ties_by_name_and_is_a_customer_once_won(db, at, tmp_path):
    rows = [
        deal(opportunity_id="1", sales_agent="Cy Dahl"),
        deal(opportunity_id="2", sales_agent="Ann Lee"),
        deal(opportunity_id="3", sales_agent="Ann Lee", account="Zoom Co", deal_stage="Lost"),
        deal(opportunity_id="4", sales_agent="Cy Dahl", account="Zoom Co", deal_stage="Lost"),
        deal(opportunity_id="5", sales_agent="Cy Dahl", account="Zoom Co", deal_stage="Lost"),
    ]

    sales_history.load(folder(tmp_path, sales_pipeline=rows), at=at)

    owners = {row.name: (str(row.owner), str(row.team), row.status) for row in Account.objects.all()}
    assert owners == {"Acme": ("Ann Lee", "Bo Berg (East)", "customer"), "Zoom Co": ("Cy Dahl", "Bo Berg (East)", "prospect")}


def test_sellers_get_the_role_of_a_rep_and_their_lead_that_of_a_lead(db, at, tmp_path):
    sales_history.load(folder(tmp_path), at=at)

    roles = {user.username: [group.name for group in user.groups.all()] for user in User.objects.all()}
    assert roles == {"ann.lee": ["sales rep"], "cy.dahl": ["sales rep"], "bo.berg": ["team lead"]}
    assert not any(user.has_usable_password() for user in User.objects.all())
    assert {str(user.team) for user in User.objects.all()} == {"Bo Berg (East)"}


def test_imported_rows_begin_their_history_at_the_import(db, at, tmp_path):
    sales_history.load(folder(tmp_path), at=at)

    first = Opportunity.objects.get(external_id="D1").history.get()
    assert (first.history_type, first.history_date, first.history_change_reason) == ("+", at, "import from maven-crm")
    assert (first.stage, first.amount, first.owner.username) == ("won", Decimal(1054), "ann.lee")
    assert Account.objects.get(name="Zoom Co").history.get().parent.name == "Acme"


# --- repeated and changed files --------------------------------------------------------------------


def test_new_rows_of_a_longer_file_are_added_to_what_is_there(db, at, tmp_path):
    sales_history.load(folder(tmp_path), at=at)

    again = sales_history.load(folder(tmp_path, sales_pipeline=[*ROWS["sales_pipeline.csv"], deal()]), at=at)

    assert (again.files[3].created, again.files[3].unchanged) == (1, 2)
    assert sorted(Opportunity.objects.values_list("external_id", flat=True)) == ["D1", "D2", "D9"]


def test_row_that_somebody_worked_on_since_is_left_as_it_is(db, at, tmp_path):
    sales_history.load(folder(tmp_path), at=at)
    Opportunity.objects.filter(external_id="D1").update(amount=7)

    again = sales_history.load(tmp_path, at=at)

    assert (again.files[3].unchanged, again.files[3].differing) == (1, 1)
    assert Opportunity.objects.get(external_id="D1").amount == 7


def test_half_done_import_is_completed_by_the_next(db, at, tmp_path):
    sales_history.load(folder(tmp_path), at=at)
    Opportunity.objects.filter(external_id="D1").delete()

    again = sales_history.load(tmp_path, at=at)

    assert (again.files[3].created, again.files[3].unchanged) == (1, 1)
    assert StageMove.objects.count() == 3


def test_people_and_products_that_are_there_already_are_used(db, at, tmp_path):
    ann = User.objects.create(username="ann.lee", team=Team.objects.create(name="Bo Berg (East)"))
    Product.objects.create(name="GTX Pro", series="GTX", list_price=4821)

    report = sales_history.load(folder(tmp_path), at=at)

    assert Opportunity.objects.get(external_id="D1").owner == ann
    assert (report.files[1].unchanged, report.files[2].unchanged, report.files[2].created) == (1, 1, 1)
    assert not ann.groups.exists()


# --- wrong rows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "column", "reason"),
    [
        ({"opportunity_id": ""}, "opportunity_id", "missing"),
        ({"opportunity_id": "D1"}, "opportunity_id", "'D1' is in line 2 already"),
        ({"opportunity_id": "d" * 51}, "opportunity_id", "longer than 50 characters"),
        ({"opportunity_id": "D\x009"}, "opportunity_id", "holds a character that cannot be shown"),
        ({"sales_agent": "Nobody"}, "sales_agent", "unknown: 'Nobody'"),
        ({"sales_agent": ""}, "sales_agent", "missing"),
        ({"product": "GTX Amateur"}, "product", "unknown: 'GTX Amateur'"),
        ({"account": "Acne"}, "account", "unknown: 'Acne'"),
        ({"account": ""}, "account", "missing on a deal that is won or lost"),
        ({"deal_stage": "Negotiating"}, "deal_stage", "unknown: 'Negotiating'"),
        ({"deal_stage": ""}, "deal_stage", "missing"),
        ({"engage_date": "2017-02-30"}, "engage_date", "not a date: '2017-02-30'"),
        ({"engage_date": "soon"}, "engage_date", "not a date: 'soon'"),
        ({"engage_date": "1017-02-03"}, "engage_date", "not a plausible date: '1017-02-03'"),
        ({"close_date": "2017-01-30"}, "close_date", "before engage_date"),
        ({"close_date": ""}, "close_date", "missing on a deal that is won or lost"),
        ({"deal_stage": "Engaging"}, "close_date", "a deal that is open has none"),
        ({"close_value": "-1"}, "close_value", "negative: -1"),
        ({"close_value": "much"}, "close_value", "not a number: 'much'"),
        ({"close_value": "NaN"}, "close_value", "not a number: 'NaN'"),
        ({"close_value": "1e9"}, "close_value", "not a number: '1e9'"),
        ({"close_value": "1000000000000"}, "close_value", "too large or too precise: 1000000000000"),
        ({"close_value": "1.005"}, "close_value", "too large or too precise: 1.005"),
        ({"close_value": ""}, "close_value", "missing on a deal that is won"),
    ],
)
def test_wrong_deal_is_reported_with_its_place_and_costs_no_other(db, at, tmp_path, values, column, reason):
    rows = [ROWS["sales_pipeline.csv"][0], deal(**values), ROWS["sales_pipeline.csv"][1]]

    report = sales_history.load(folder(tmp_path, sales_pipeline=rows), at=at)

    assert report.problems == [Problem("sales_pipeline.csv", 3, column, reason)]
    assert (report.files[3].read, report.files[3].created, report.files[3].skipped) == (3, 2, 1)
    assert sorted(Opportunity.objects.values_list("external_id", flat=True)) == ["D1", "D2"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("D9,Ann Lee,GTX Pro,Acme,Won", "5 values, and 8 columns"),
        (deal() + ",more", "9 values, and 8 columns"),
        ('D9,"Ann Lee,GTX Pro,Acme,Won,2017-01-31,2017-03-01,1054', "not CSV: a quote stands in the wrong place, or is not closed"),
        ('D9,"Ann" Lee,GTX Pro,Acme,Won,2017-01-31,2017-03-01,1054', "not CSV: a quote stands in the wrong place, or is not closed"),
    ],
)
def test_line_that_cannot_be_split_costs_itself_alone(db, at, tmp_path, line, reason):
    rows = [ROWS["sales_pipeline.csv"][0], line, ROWS["sales_pipeline.csv"][1]]

    report = sales_history.load(folder(tmp_path, sales_pipeline=rows), at=at)

    assert report.problems == [Problem("sales_pipeline.csv", 3, "", reason)]
    assert (report.files[3].read, report.files[3].created, report.files[3].skipped) == (3, 2, 1)


def test_bytes_that_are_not_utf8_cost_their_line_alone(db, at, tmp_path):
    path = folder(tmp_path, sales_pipeline=[ROWS["sales_pipeline.csv"][0], deal(sales_agent="Ann L?e")]) / "sales_pipeline.csv"
    path.write_bytes(path.read_bytes().replace(b"?", b"\xe9"))

    report = sales_history.load(tmp_path, at=at)

    assert report.problems == [Problem("sales_pipeline.csv", 3, "sales_agent", "not UTF-8")]
    assert Opportunity.objects.count() == 1


@pytest.mark.parametrize(
    ("row", "column", "reason", "field", "empty"),
    [
        ("Xeno,retail,1990,-1,20,Norway,", "revenue", "negative: -1", "revenue", None),
        ("Xeno,retail,1990,10,many,Norway,", "employees", "not a number: 'many'", "employees", None),
        ("Xeno,retail,1990,10,2.5,Norway,", "employees", "too large or too precise: 2.5", "employees", None),
        ("Xeno,retail,3990,10,2,Norway,", "year_established", "too large or too precise: 3990", "founded_year", None),
        ("Xeno,retail,1990,10,2,Atlantis,", "office_location", "unknown: 'Atlantis'", "country", ""),
        ("Xeno,retail,1990,10,2,Norway,Nobody", "subsidiary_of", "unknown: 'Nobody'", "parent", None),
        ("Xeno,retail,1990,10,2,Norway,Xeno", "subsidiary_of", "unknown: 'Xeno'", "parent", None),
    ],
)
def test_wrong_detail_of_an_account_is_left_out_and_costs_none_of_its_deals(db, at, tmp_path, row, column, reason, field, empty):
    report = sales_history.load(folder(tmp_path, accounts=["Acme,,,,,,", row], sales_pipeline=[deal(account="Xeno")]), at=at)

    assert report.problems == [Problem("accounts.csv", 3, column, f"{reason}; left out, the line was kept", is_skipped=False)]
    account = Account.objects.get(name="Xeno")
    assert getattr(account, field) == empty
    assert account.opportunities.count() == 1


def test_account_named_twice_is_skipped_the_second_time(db, at, tmp_path):
    report = sales_history.load(folder(tmp_path, accounts=[ROWS["accounts.csv"][0], "ACME,software,,,,,"]), at=at)

    assert report.problems == [Problem("accounts.csv", 3, "account", "'ACME' is in line 2 already")]
    assert Account.objects.get().industry == "retail"


def test_deals_of_a_skipped_account_are_skipped_with_their_reason(db, at, tmp_path):
    report = sales_history.load(folder(tmp_path, accounts=["Zoom Co,software,2001,2,300,United States,"]), at=at)

    assert report.problems == [Problem("sales_pipeline.csv", 2, "account", "unknown: 'Acme'")]
    assert Opportunity.objects.get().external_id == "D2"
