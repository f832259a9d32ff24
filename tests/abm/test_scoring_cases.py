"""The worked cases of the engagement score, to the last digit: from plain values and from records."""

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from abm import engagement, policy
from crm import activities
from crm import policy as crm_policy
from crm.models import DmuRole
from crm.new_activities import NewActivity
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory

FOLDER = Path(__file__).parent.parent / "data" / "scoring"
CASES = json.loads((FOLDER / "cases.json").read_text())["cases"]
PARAMS = json.loads((FOLDER / "params.json").read_text())["params"]
CLOSE = {"abs": 1e-6}
each_case = pytest.mark.parametrize("case", [SimpleNamespace(**case) for case in CASES], ids=lambda case: f"case {case.id}")


def counted(case, ids):
    """The case's events as day counts, with our ids for its names."""
    days = [(ids.get(row["contact"]), row["kind"], crm_policy.day_of(datetime.fromisoformat(row["at"]))) for row in case.events]
    return Counter(days)


def write(case):
    """Write a case as rows through the rule that records activities; give the account and the case's name of each contact."""
    account = AccountFactory(employees=250)
    ids = {}
    for person in case.contacts:
        contact = ContactFactory(account=account)
        ids[person["id"]] = contact.pk
        for role in person["roles"]:
            MembershipFactory(contact=contact, role=role)
    rows = [
        NewActivity(account.pk, row["kind"], datetime.fromisoformat(row["at"]), contact_id=ids.get(row["contact"])) for row in case.events
    ]
    outcomes = activities.record_many(rows, source="case", at=datetime(2026, 6, 1, tzinfo=UTC))
    assert [done.error for done in outcomes] == [""] * len(rows)
    return account, {contact_id: name for name, contact_id in ids.items()}


def assert_is_as_expected(scored, case, names):
    expected = case.expected
    lines = {(names.get(line.contact_id, "anonymous"), line.kind, line.day.isoformat()): line for line in scored.lines}
    assert lines.keys() == {(row["contact"], row["kind"], row["day"]) for row in expected["lines"]}
    for row in expected["lines"]:
        line = lines[row["contact"], row["kind"], row["day"]]
        for name in ("points", "after_cap", "age_days", "decay", "role_weight", "weighted"):
            assert getattr(line, name) == pytest.approx(row[name], **CLOSE), (row, name)
    assert scored.weighted_points == pytest.approx(expected["sum_weighted"], **CLOSE)
    assert list(scored.active_roles) == expected["active_roles"]
    assert scored.breadth == pytest.approx(expected["breadth_factor"], **CLOSE)
    assert scored.x == pytest.approx(expected["x"], **CLOSE)
    assert round(scored.score, 6) == pytest.approx(expected["score_6"], **CLOSE)
    assert scored.score_1 == Decimal(str(expected["score"]))
    shares = {names.get(contact_id, "anonymous"): points for contact_id, points in scored.shares.items()}
    assert shares == pytest.approx(expected["points_of_score_by_contact"], abs=1e-4)


@each_case
def test_the_formula_gives_every_figure_of_a_worked_case(case):
    ids = {person["id"]: number for number, person in enumerate(case.contacts, start=1)}
    roles = {ids[person["id"]]: set(person["roles"]) for person in case.contacts}

    scored = engagement.score(
        counted(case, ids),
        roles=roles,
        left_on={},
        required=PARAMS["dmu_roles"],
        as_of=date.fromisoformat(case.as_of),
        numbers=policy.SCORING,
    )

    assert_is_as_expected(scored, case, {number: name for name, number in ids.items()})


@each_case
@pytest.mark.django_db
def test_the_records_give_every_figure_of_a_worked_case(case):
    account, names = write(case)
    as_of = date.fromisoformat(case.as_of)

    assert_is_as_expected(engagement.of_accounts([account.pk], as_of=as_of)[account.pk], case, names)
    assert_is_as_expected(engagement.explain(account, as_of=as_of).scored, case, names)


def test_our_numbers_are_those_of_the_worked_cases():
    numbers = policy.Scoring()

    for name in ("window_days", "half_saturation", "role_weight"):
        assert getattr(numbers, name) == PARAMS[name]
    assert {name: asdict(numbers.kinds[name]) for name in PARAMS["kinds"]} == PARAMS["kinds"]
    assert (numbers.breadth_floor, numbers.breadth_per_share, numbers.role_counts_from_points) == tuple(PARAMS["breadth"].values())
    assert tuple(DmuRole.values) == tuple(PARAMS["dmu_roles"])
