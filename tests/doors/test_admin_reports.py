"""The pages of reports: what each shows, as a file too, and to whom."""

import csv
import io
from datetime import UTC, date, datetime

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from openpyxl import load_workbook

from abm import kept_reports, reports
from abm.models import BudgetLine
from crm.models import User
from tests.abm.ways import deal
from tests.conftest import somebody
from tests.factories.crm import UserFactory

PAGES = "/admin/abm/reportsnapshot/reports/"


@pytest.fixture
def boss_client(admin_user: User, client: Client) -> Client:
    client.force_login(admin_user)
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "nl"])
def test_every_report_has_a_page_that_stands_also_without_any_deal(language, boss_client):
    for slug, report in reports.REPORTS.items():
        answer = boss_client.get(f"{PAGES}{slug}/", HTTP_ACCEPT_LANGUAGE=language)
        assert answer.status_code == 200, slug
        assert str(report.slug) in answer.content.decode()


@pytest.mark.django_db
def test_a_page_shows_bars_and_the_same_in_a_table(boss_client):
    deal(("sql", "2026-01-01"), ("won", "2026-01-11"), amount=1200, account__industry="bouw")

    page = boss_client.get(f"{PAGES}deals/?by=industry&from=2026-01-01&to=2026-01-31").content.decode()

    assert 'style="width:100.00%"' in page
    assert '<th scope="row">bouw</th>' in page
    assert "100.0 %" in page


@pytest.mark.django_db
def test_a_page_without_rows_says_what_to_do_to_whoever_may_do_it(boss_client, client):
    empty = boss_client.get(f"{PAGES}budget/?from=2030-01-01&to=2030-01-31").content.decode()
    reader = UserFactory(is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_opportunity"))
    client.force_login(reader)
    deals = client.get(f"{PAGES}deals/").content.decode()

    assert "add what each channel may cost per month" in empty
    assert 'href="/admin/abm/budgetline/add/">Add a budget line' in empty
    assert "or record deals first" in deals
    assert "/admin/crm/opportunity/add/" not in deals


@pytest.mark.django_db
def test_a_page_says_over_which_days_and_in_which_currency_it_counts(boss_client):
    deal(("sql", "2026-01-01"), ("won", "2026-01-11"), amount=1200)

    page = boss_client.get(f"{PAGES}deals/?from=2026-01-01&to=2026-01-31").content.decode()

    assert "1 Jan 2026 – 31 Jan 2026 · EUR" in page


@pytest.mark.django_db
def test_a_period_or_a_choice_that_cannot_be_is_said_and_nothing_is_counted(boss_client):
    backwards = boss_client.get(f"{PAGES}deals/?from=2026-02-01&to=2026-01-01").content.decode()
    unknown = boss_client.get(f"{PAGES}deals/?by=colour").content.decode()

    assert "The period ends before it begins." in backwards
    assert "colour is not one of the available choices" in unknown
    assert "<tbody>" not in backwards + unknown


@pytest.mark.django_db
def test_the_table_comes_as_csv_and_excel_with_exact_figures(boss_client):
    deal(("sql", "2026-01-01"), ("won", "2026-01-11"), amount=1200)
    deal(("sql", "2026-01-01"), ("lost", "2026-01-11"))
    deal(("sql", "2026-01-01"), ("lost", "2026-01-11"))

    as_csv = boss_client.get(f"{PAGES}deals/csv/?from=2026-01-01")
    as_xlsx = boss_client.get(f"{PAGES}deals/xlsx/?from=2026-01-01")

    heading, row = csv.reader(io.StringIO(b"".join(as_csv).decode("utf-8-sig")))
    assert dict(zip(heading, row, strict=True))["Win rate"] == "0.333333"
    sheet = load_workbook(io.BytesIO(b"".join(as_xlsx))).active
    assert [cell.value for cell in sheet[2]][:5] == ["all deals", 1, 2, 0, 0.333333]
    assert boss_client.get(f"{PAGES}deals/pdf/").status_code == 404


@pytest.mark.django_db
def test_the_budget_is_shut_to_a_rep_and_a_report_that_is_not_there_is_not_found(rep_client):
    assert [rep_client.get(f"{PAGES}{slug}/").status_code for slug in ("deals", "channels", "budget", "nonsense")] == [200, 404, 404, 404]
    assert "Channels" not in rep_client.get(PAGES).content.decode()


@pytest.mark.django_db
def test_a_kept_report_shows_as_it_was_to_its_reader_alone(rep: User, rep_client: Client, client: Client):
    deal(("sql", "2026-03-02"), ("won", "2026-03-04"), name="Persen", owner=rep, team=rep.team, account__team=rep.team)
    at = datetime(2026, 3, 9, 6, 0, tzinfo=UTC)
    snapshot = kept_reports.make("weekly", user=rep, first=date(2026, 3, 2), at=at)
    monthly = kept_reports.make("monthly", user=rep, first=date(2026, 2, 1), at=at)
    where = f"/admin/abm/reportsnapshot/{snapshot.pk}/change/"

    assert "Persen" in rep_client.get(where).content.decode()
    assert rep_client.get(f"/admin/abm/reportsnapshot/{monthly.pk}/change/").status_code == 200
    assert rep_client.get("/admin/abm/reportsnapshot/").status_code == 200
    client.force_login(somebody("sales rep", team=rep.team))
    assert client.get(where).status_code == 404


@pytest.mark.django_db
def test_a_budget_line_takes_any_day_of_its_month_and_no_second_one(client, marketer):
    client.force_login(marketer)
    line = {"channel": "beurs", "month": "2026-03-17", "purpose": "proven", "planned": "100", "currency": "EUR"}

    client.post("/admin/abm/budgetline/add/", line)
    again = client.post("/admin/abm/budgetline/add/", line | {"month": "2026-03-02"})

    assert list(BudgetLine.objects.values_list("channel", "month", "planned")) == [("beurs", date(2026, 3, 1), 100)]
    assert "There is one for this already." in again.content.decode()
