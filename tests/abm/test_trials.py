"""Trial scores of a file: the worked cases exactly, numbers of the file, and a sentence for whatever is wrong."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

FOLDER = Path(__file__).parent.parent / "data" / "scoring"
CASES = json.loads((FOLDER / "cases.json").read_text())["cases"]
ONE = {"id": "one", "as_of": "2026-03-10", "contacts": [{"id": "u", "roles": ["user"]}], "events": []}


def tried(path: Path, *options: str) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("try_score", str(path), "--json", *options, stdout=out)
    found: list[dict[str, Any]] = json.loads(out.getvalue())["cases"]
    return found


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "cases.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def event(contact: str | None, kind: str, at: str = "2026-03-10T09:00:00Z") -> dict[str, Any]:
    return {"contact": contact, "kind": kind, "at": at}


def test_every_figure_of_the_worked_cases_is_exact_without_a_database() -> None:
    found = tried(FOLDER / "cases.json")

    assert [one["id"] for one in found] == [case["id"] for case in CASES]
    for one, case in zip(found, CASES, strict=True):
        expected = case["expected"]
        assert one["score"] == expected["score"]
        assert one["x"] == pytest.approx(expected["x"], abs=1e-6)
        assert one["sum_weighted"] == pytest.approx(expected["sum_weighted"], abs=1e-6)
        lines = {(line["contact"], line["kind"], line["day"]): line for line in one["lines"]}
        assert lines.keys() == {(line["contact"], line["kind"], line["day"]) for line in expected["lines"]}
        for line in expected["lines"]:
            got = lines[line["contact"], line["kind"], line["day"]]
            assert {name: got[name] for name in line} == pytest.approx(line, abs=1e-6)


@pytest.mark.django_db
def test_anonymous_visitors_strangers_leavers_and_unknown_kinds_count_as_the_formula_says(tmp_path: Path) -> None:
    events = [event(None, "pricing_view"), event("stranger", "pricing_view"), event("gone", "meeting"), event("u", "telepathy")]
    contacts = [*ONE["contacts"], {"id": "gone", "roles": ["decider"], "left_on": "2026-03-10"}]

    (one,) = tried(written(tmp_path, {"cases": [ONE | {"contacts": contacts, "events": events}]}))

    assert {line["contact"]: line["weighted"] for line in one["lines"]} == {"anonymous": 2.5, "stranger": 4.0}


@pytest.mark.django_db
def test_days_are_those_of_the_zone_and_a_machine_counts_nothing(tmp_path: Path) -> None:
    late, scanned = event("u", "download", "2026-03-09T23:30:00Z"), event("u", "meeting") | {"machine_reason": "scanner"}

    (one,) = tried(written(tmp_path, [ONE | {"events": [late, scanned]}]))

    assert [(line["day"], line["age_days"]) for line in one["lines"]] == [("2026-03-10", 0)]


def test_numbers_of_the_file_are_used_and_others_can_be_named(tmp_path: Path) -> None:
    case = ONE | {"events": [event("u", "download")]}
    path = written(tmp_path, {"params": {"kinds": {"download": {"points": 2, "daily_cap": 2, "half_life_days": 30}}}, "cases": [case]})
    other = tmp_path / "params.json"
    other.write_text(json.dumps({"params": {"breadth": {"floor": 1.0, "per_share": 0.0}}}))

    assert [one["sum_weighted"] for one in tried(path)] == [2.0]
    assert [(one["sum_weighted"], one["breadth_factor"]) for one in tried(path, "--params", str(other))] == [(8.0, 1.0)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not JSON"),
        ({"cases": {}}, "The cases must be a list."),
        ([1], "Case 1: it must be an object."),
        ([ONE, {"id": "two"}], "Case 2 (two): as_of is missing."),
        ([ONE | {"events": [event("u", "meeting", "2026-03-10T09:00:00")]}], "Case 1 (one): 2026-03-10T09:00:00 has no time zone."),
        ([ONE | {"as_of": "spring"}], "Case 1 (one): Invalid isoformat string: 'spring'"),
        ({"params": {"half_saturation": "much"}, "cases": []}, "half_saturation"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, content: object, sentence: str) -> None:
    with pytest.raises(CommandError) as error:
        tried(written(tmp_path, content))

    assert sentence in str(error.value)
