"""Files of any shape: read when they can be, refused with one clear sentence when they cannot; and the command."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from crm import imports, sales_history
from crm.imports import ImportRefused, Problem
from crm.models import Account, Opportunity, User
from tests.crm.small_history import HEADS, ROWS, deal, folder

# --- files of another shape ------------------------------------------------------------------------


def reshaped(tmp_path: Path, change) -> Path:
    for file in HEADS:
        path = tmp_path / file
        path.write_bytes(change(path.read_text()))
    return tmp_path


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: (text + "\n,,\n\n").replace("\n,,\n", "\n\n").encode(),
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace(",", "\t").encode(),
        lambda text: text.replace(",", " , ").encode(),
        lambda text: text.replace("\n", "\n\n").encode(),
        lambda text: (text.splitlines()[0].upper().replace("_", " ") + "\n" + "\n".join(text.splitlines()[1:])).encode(),
        lambda text: "\n".join(",".join(f'"{value}"' for value in line.split(",")) for line in text.splitlines()).encode(),
        lambda text: "\n".join(f"{line},{'note' if number == 0 else 'x'}" for number, line in enumerate(text.splitlines())).encode(),
        lambda text: "\n".join(",".join(reversed(line.split(","))) for line in text.splitlines()).encode(),
    ],
    ids=["bom", "utf-16", "crlf", "cr", "no last line end", "blank end", "semicolons", "tabs", "spaces", "blank lines", "header case",
         "quoted", "extra column", "other order"],
)  # fmt: skip
def test_same_data_in_another_shape_gives_the_same_rows(db, at, tmp_path, change):
    report = sales_history.load(reshaped(folder(tmp_path), change), at=at)

    assert report.problems == []
    assert [each.created for each in report.files] == [2, 1, 2, 2]
    assert Opportunity.objects.get(external_id="D1").closed_on == date(2017, 3, 1)
    assert Account.objects.get(name="Zoom Co").parent.name == "Acme"


@pytest.mark.parametrize("written", ["2017-03-01", "2017-3-1", "3/1/2017", "03/01/2017", "2017-03-01 00:00:00", "2017-03-01T00:00:00"])
def test_day_is_read_in_the_iso_and_the_american_way(db, at, tmp_path, written):
    sales_history.load(folder(tmp_path, sales_pipeline=[deal(close_date=written, engage_date="1/31/2017")]), at=at)

    assert Opportunity.objects.get().closed_on == date(2017, 3, 1)


def test_slashed_dates_that_may_be_day_first_are_refused_not_swapped(db, at, tmp_path):
    rows = [deal(opportunity_id="1", close_date="31/03/2017"), deal(opportunity_id="2", close_date="02/03/2017"), deal()]

    report = sales_history.load(folder(tmp_path, sales_pipeline=rows), at=at)

    assert report.problems == [
        Problem("sales_pipeline.csv", line, "close_date", f"month and day cannot be told apart in this file: '{written}'")
        for line, written in ((2, "31/03/2017"), (3, "02/03/2017"))
    ]
    assert Opportunity.objects.get().external_id == "D9"


@pytest.mark.parametrize(
    ("written", "amount"), [("1,054", 1054), ("$1,054.50", "1054.5"), ("1054,5", "1054.5"), ("1.054,50", "1054.5"), ("7", 7)]
)
def test_value_is_read_with_and_without_separators(db, at, tmp_path, written, amount):
    sales_history.load(folder(tmp_path, sales_pipeline=[deal(close_value=f'"{written}"')]), at=at)

    assert Opportunity.objects.get().amount == Decimal(amount)


def test_names_are_found_in_any_case_and_spacing_and_counted_as_corrections(db, at, tmp_path):
    report = sales_history.load(folder(tmp_path, sales_pipeline=[deal(product="gtxpro", account="ACME", sales_agent="ann  lee")]), at=at)

    row = Opportunity.objects.get()
    assert (row.product.name, row.account.name, row.owner.username) == ("GTX Pro", "Acme", "ann.lee")
    assert report.files[3].corrections == {
        "product: 'gtxpro' read as 'GTX Pro'": 1,
        "account: 'ACME' read as 'Acme'": 1,
        "sales_agent: 'ann lee' read as 'Ann Lee'": 1,
    }


def test_two_accounts_that_differ_by_a_space_stay_two(db, at, tmp_path):
    rows = [deal(opportunity_id="1", account="Go Pro"), deal(opportunity_id="2", account="GoPro")]

    sales_history.load(folder(tmp_path, accounts=["Go Pro,,,,,,", "GoPro,,,,,,"], sales_pipeline=rows), at=at)

    assert dict(Opportunity.objects.values_list("external_id", "account__name")) == {"1": "Go Pro", "2": "GoPro"}


def test_quoted_name_may_hold_a_delimiter_and_a_line_end(db, at, tmp_path):
    report = sales_history.load(folder(tmp_path, accounts=['"Acme,\nInc",retail,,,,,', ROWS["accounts.csv"][0]]), at=at)

    assert sorted(Account.objects.values_list("name", flat=True)) == ["Acme", "Acme, Inc"]
    assert report.problems == []


# --- files that cannot be read ---------------------------------------------------------------------


@pytest.mark.parametrize("file", list(HEADS))
def test_missing_file_is_one_clear_error_before_anything_is_written(db, at, tmp_path, file):
    (folder(tmp_path) / file).unlink()

    with pytest.raises(ImportRefused, match=f"^{file} is missing in "):
        sales_history.load(tmp_path, at=at)
    assert not Account.objects.exists() and not User.objects.exists()


@pytest.mark.parametrize("file", list(HEADS))
def test_missing_column_is_one_clear_error_before_anything_is_written(db, at, tmp_path, file):
    path = folder(tmp_path) / file
    last = HEADS[file].split(",")[-1]
    path.write_text(path.read_text().replace(last, "something"))

    with pytest.raises(ImportRefused, match=f"^{file}: the column '{last}' is missing.$"):
        sales_history.load(tmp_path, at=at)
    assert not Account.objects.exists() and not User.objects.exists()


def test_column_that_is_there_twice_is_refused(db, at, tmp_path):
    path = folder(tmp_path) / "products.csv"
    path.write_text("product,series,sales_price,Series\nGTX Pro,GTX,1,GTX\n")

    with pytest.raises(ImportRefused, match=r"^products.csv: 'series' is there twice.$"):
        sales_history.load(tmp_path, at=at)


def test_empty_file_is_refused(db, at, tmp_path):
    (folder(tmp_path) / "products.csv").write_text("")

    with pytest.raises(ImportRefused, match=r"^products.csv is empty.$"):
        sales_history.load(tmp_path, at=at)


def test_file_above_the_bound_is_refused_without_reading_all_of_it(db, at, tmp_path, monkeypatch):
    monkeypatch.setattr(imports, "FILE_BYTES", 2**20)
    with (folder(tmp_path) / "accounts.csv").open("ab") as stream:
        stream.truncate(2**20 + 1)

    with pytest.raises(ImportRefused, match=r"^accounts.csv is larger than 1 MB.$"):
        sales_history.load(tmp_path, at=at)
    assert not Account.objects.exists()


def test_file_of_which_hardly_a_line_can_be_read_is_refused(db, at, tmp_path, monkeypatch):
    monkeypatch.setattr(imports, "UNREADABLE_LINES", 30)
    folder(tmp_path, accounts=['"'] * 31)

    with pytest.raises(ImportRefused, match=r"^accounts.csv is no CSV file: too many lines cannot be read.$"):
        sales_history.load(tmp_path, at=at)
    assert not User.objects.exists()


def test_path_that_is_no_folder_is_refused(db, at, tmp_path):
    with pytest.raises(ImportRefused, match=r"is not a folder.$"):
        sales_history.load(tmp_path / "nowhere", at=at)


# --- the command -----------------------------------------------------------------------------------


def test_command_prints_a_table_and_says_when_nothing_changed(db, tmp_path, capsys):
    call_command("import_sales_history", folder(tmp_path))
    first = capsys.readouterr().out
    call_command("import_sales_history", tmp_path)
    second = capsys.readouterr().out

    assert "sales_pipeline.csv              2          2          0          0          0          0" in first
    assert "sales_pipeline.csv: 1 × kept without account" in first
    assert "Nothing changed" not in first
    assert second.endswith("Nothing changed: everything was there already.\n")


def test_command_prints_the_first_fifty_problems_and_all_of_them_as_json(db, tmp_path, capsys):
    call_command("import_sales_history", folder(tmp_path, sales_pipeline=["x"] * 60))
    words = capsys.readouterr().out
    call_command("import_sales_history", tmp_path, "--json")
    report = json.loads(capsys.readouterr().out)

    assert words.count("1 values, and 8 columns") == 50
    assert "sales_pipeline.csv:2: 1 values, and 8 columns" in words
    assert "… and 10 more problems; --json gives them all" in words
    assert len(report["problems"]) == 60
    assert report["problems"][0] == {
        "file": "sales_pipeline.csv",
        "line": 2,
        "column": "",
        "reason": "1 values, and 8 columns",
        "is_skipped": True,
    }
    assert report["files"][0] | {"remarks": {}} == {
        "file": "accounts.csv", "read": 2, "created": 0, "unchanged": 2, "differing": 0, "skipped": 0, "corrected": 0,
        "corrections": {}, "remarks": {},
    }  # fmt: skip


def test_command_fails_when_a_file_cannot_be_read(db, tmp_path):
    with pytest.raises(CommandError, match="is not a folder"):
        call_command("import_sales_history", tmp_path / "nowhere")


def test_problems_of_every_file_add_up(db, at, tmp_path):
    report = sales_history.load(
        folder(tmp_path, accounts=["Acme", *ROWS["accounts.csv"]], sales_teams=[*ROWS["sales_teams.csv"], ",,"]), at=at
    )

    assert [replace(problem, reason="") for problem in report.problems] == [Problem("accounts.csv", 2, "", "")]
    assert all(each.read == each.created + each.unchanged + each.differing + each.skipped for each in report.files)
