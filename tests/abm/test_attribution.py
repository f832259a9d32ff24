"""Attribution: every model equals the worked figures, whatever the paths are read from; errors say what and where."""

import json
from decimal import Decimal
from io import StringIO
from pathlib import Path as FilePath
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from abm import attribution
from abm.attribution import Path, markov

FOLDER = FilePath(__file__).parent.parent / "data" / "attribution"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
WORKED = json.loads((FOLDER / "markov_worked_examples.json").read_text())
OURS = {
    "first_touch": "first_touch", "last_touch": "last_touch", "linear": "linear", "time_decay_half_life_7d": "time_decay",
    "u_shaped": "u_shaped", "w_shaped": "w_shaped", "shapley_simplified": "shapley", "markov_order1_with_null": "markov",
}  # fmt: skip
DEALS = "opportunity_id,account_id,outcome,value,lead_created_at,opportunity_created_at,closed_at\n"
TOUCHES = "touch_id,opportunity_id,touch_at,channel,dmu_role\n"


def told(*options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("attribute", "--json", *options, stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


@pytest.mark.parametrize("name", OURS)
def test_every_model_gives_the_worked_figures(name: str) -> None:
    found = told("--paths", str(FOLDER / "touches.csv"), "--model", name)

    assert found["model"] == OURS[name]
    assert found["opportunities_credit"] == pytest.approx(EXPECTED["opportunities_credit"][name], abs=1e-8)
    assert found["value_credit"] == pytest.approx(EXPECTED["value_credit"][name], abs=1e-6 if "markov" not in name else 1e-3)


def test_the_facts_of_the_file_are_told_with_the_figures() -> None:
    found = told("--paths", str(FOLDER), "--model", "linear")

    for name in ("won", "lost", "won_value", "unattributed", "attributed_value", "touches_after_close_ignored"):
        assert found[name] == EXPECTED[name]
    assert found["value_credit_by_dmu_role"] == pytest.approx(EXPECTED["value_credit_by_dmu_role"]["linear"], abs=1e-5)
    assert told("--paths", str(FOLDER), "--model", "w")["value_credit_by_dmu_role"] == pytest.approx(
        EXPECTED["value_credit_by_dmu_role"]["w_shaped"], abs=1e-5
    )


def test_all_models_at_once_and_as_text() -> None:
    assert set(told("--paths", str(FOLDER))["models"]) == set(attribution.MODELS)
    out = StringIO()
    call_command("attribute", "--paths", str(FOLDER), "--model", "first", stdout=out)
    assert ["organic_search", "4.0000", "136205.77", "5"] in [line.split() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("model", attribution.MODELS)
def test_amounts_add_up_to_the_cent_and_credits_to_the_wins(model: str) -> None:
    paths = attribution.read_file(FOLDER).by_channel

    found = attribution.attribute(paths, model=model)

    assert sum(line.amount for line in found.lines) == found.attributed_value == Decimal("661629.31")
    assert sum(line.credit for line in found.lines) == pytest.approx(found.attributed)
    assert (found.unattributed, found.unattributed_value) == (2, Decimal("43821.35"))


def test_the_largest_remainders_get_the_cents_that_are_left() -> None:
    thirds = attribution.to_the_cent([10 / 3] * 3, total=Decimal("10.00"))
    assert thirds == [Decimal("3.34"), Decimal("3.33"), Decimal("3.33")]
    assert attribution.to_the_cent([0.015, 0.025], total=Decimal("0.03")) == [Decimal("0.01"), Decimal("0.02")]
    assert attribution.to_the_cent([], total=Decimal(0)) == []


@pytest.mark.parametrize("example", WORKED, ids=lambda example: example["name"])
def test_markov_gives_the_published_examples(example: dict[str, Any]) -> None:
    paths = [
        Path(tuple(steps), is_won, deals=count)
        for is_won, counts in ((True, example["conversions"]), (False, example["nulls"]))
        for steps, count in zip(example["paths"], counts, strict=True)
        if count
    ]

    assert markov.removal_effects(paths) == pytest.approx(example["removal_effect"])
    assert {line.key: line.credit for line in attribution.attribute(paths, model="markov").lines} == pytest.approx(example["attributed"])


def test_a_channel_after_itself_changes_nothing_in_a_chain() -> None:
    plain = [Path(("a", "b"), is_won=True), Path(("b",), is_won=False)]
    doubled = [Path(("a", "a", "b", "b", "b"), is_won=True), Path(("b", "b"), is_won=False)]
    assert markov.removal_effects(doubled)["a"] == pytest.approx(markov.removal_effects(plain)["a"])


def test_equal_paths_counted_once_are_worth_as_much_as_one_by_one() -> None:
    one = [Path(("a", "b", "a"), is_won=True, value=Decimal(10))] * 3 + [
        Path((), is_won=True, value=Decimal(5)),
        Path(("b",), is_won=False),
    ]
    counted = [Path(("a", "b", "a"), is_won=True, deals=3, value=Decimal(30)), *one[3:]]
    for model in ("first_touch", "linear", "u_shaped", "shapley", "markov"):
        once, each = (attribution.attribute(paths, model=model) for paths in (counted, one))
        assert [line.credit for line in once.lines] == pytest.approx([line.credit for line in each.lines])
        assert (once.won, once.lost, once.unattributed_value) == (each.won, each.lost, each.unattributed_value) == (4, 1, 5)
    assert {line.key: line.deals for line in attribution.attribute(counted, model="linear").lines} == {"a": 3, "b": 3}


@pytest.mark.parametrize("model", attribution.MODELS)
def test_without_wins_nothing_is_credited(model: str) -> None:
    found = attribution.attribute([Path(("a",), is_won=False)], model=model)
    assert [(line.key, line.credit, line.amount) for line in found.lines] == [("a", 0.0, Decimal(0))]
    assert attribution.attribute([], model=model).lines == ()


def test_whole_paths_with_counts_can_be_given(tmp_path: FilePath) -> None:
    file = tmp_path / "paths.csv"
    file.write_text("path,conversions,nulls,value\ngoogle_ads,2,1,200\nmailing,1,0,100\ngoogle_ads > mailing,1,0,100\n")

    found = told("--paths", str(file), "--model", "markov")

    assert found["opportunities_credit"] == pytest.approx({"google_ads": 2.4, "mailing": 1.6})
    with pytest.raises(CommandError, match="time_decay needs the moment of every touch"):
        told("--paths", str(file), "--model", "time_decay")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "touches.csv is empty."),
        ("touch_id,opportunity_id,channel\n", "touches.csv, line 1: there is no column touch_at."),
        (TOUCHES.strip() + ",colour\n", "touches.csv, line 1: nobody knows the column colour."),
        (TOUCHES + "1,A,2026-01-01T00:00:00Z,web\n", "touches.csv, line 2: 4 cells stand below 5 columns."),
        (TOUCHES + "1,A,yesterday,web,\n", "touches.csv, line 2, touch_at: yesterday is not a moment such as 2026-03-10T09:00:00Z."),
        (TOUCHES + "1,A,2026-01-01T00:00:00,web,\n", "touches.csv, line 2, touch_at: 2026-01-01T00:00:00 has no time zone."),
        (TOUCHES + "1,A,2026-01-01T00:00:00Z,,\n", "touches.csv, line 2, channel: it is empty."),
        (TOUCHES + "1,B,2026-01-01T00:00:00Z,web,\n", "touches.csv, line 2, opportunity_id: there is no deal B."),
        (
            TOUCHES + "1,A,2026-01-01T00:00:00Z,web,\n\n1,A,2026-01-01T00:00:00Z,web,\n",
            "touches.csv, line 4, touch_id: 1 stands here for the second time.",
        ),
        ("path,conversions\na > > b,1\n", "touches.csv, line 2, path: a channel between two separators is empty."),
        ("path,conversions\n,1\n", "touches.csv, line 2, path: it is empty."),
        ("path,conversions\na,-1\n", "touches.csv, line 2, conversions: -1 is not a whole number."),
    ],
)
def test_a_wrong_file_is_refused_with_what_and_where(tmp_path: FilePath, content: str, sentence: str) -> None:
    (tmp_path / "touches.csv").write_text(content)
    (tmp_path / "opportunities.csv").write_text(DEALS + "A,,won,10,,,2026-02-01T00:00:00Z\n")

    with pytest.raises(CommandError) as caught:
        told("--paths", str(tmp_path / "touches.csv"))

    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("A,,gained,10,,,2026-02-01T00:00:00Z", "line 2, outcome: gained is neither won nor lost nor open."),
        ("A,,won,much,,,2026-02-01T00:00:00Z", "line 2, value: much is not an amount."),
        ("A,,won,,,,2026-02-01T00:00:00Z", "line 2, value: it is empty."),
        ("A,,lost,,,,", "line 2, closed_at: it is empty."),
    ],
)
def test_a_wrong_deal_is_refused_with_what_and_where(tmp_path: FilePath, row: str, sentence: str) -> None:
    (tmp_path / "touches.csv").write_text(TOUCHES)
    (tmp_path / "opportunities.csv").write_text(DEALS + row + "\n")

    with pytest.raises(CommandError, match=f"opportunities.csv, {sentence}"):
        told("--paths", str(tmp_path))


def test_a_missing_file_and_an_unknown_model_are_refused(tmp_path: FilePath) -> None:
    with pytest.raises(CommandError, match="No such file"):
        told("--paths", str(tmp_path / "none.csv"))
    with pytest.raises(CommandError, match="There is no model magic; there are first_touch"):
        told("--paths", str(FOLDER), "--model", "magic")


def test_open_deals_are_left_out(tmp_path: FilePath) -> None:
    (tmp_path / "touches.csv").write_text(TOUCHES + "1,A,2026-01-01T00:00:00Z,web,\n2,B,2026-01-01T00:00:00Z,mail,\n")
    (tmp_path / "opportunities.csv").write_text(DEALS + "A,,won,10,,,2026-02-01T00:00:00Z\nB,,open,,,,\n")

    assert told("--paths", str(tmp_path), "--model", "linear")["opportunities_credit"] == {"web": 1.0}
