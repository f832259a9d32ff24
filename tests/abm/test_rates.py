"""Two rates: the worked cases to 1e-6, what is too small to decide, and a sentence for whatever is wrong."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from abm import policy, rates
from abm.rates import Arm, Comparison
from crm.errors import Invalid

CASES = json.loads((Path(__file__).parent.parent / "data" / "experiments" / "cases.json").read_text())["cases"]
OTHERS = {"power_posthoc_cohen_h", "planning", "article_rule", "abm_rule", "use"}


def told(*options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("compare_rates", "--json", *options, stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["title"])
def test_every_figure_of_the_worked_cases(case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text(json.dumps({"cases": [{name: value for name, value in case.items() if name != "expected"}]}))

    (found,) = told(str(tmp_path / "cases.json"))["cases"]

    expected = case["expected"]
    for name in expected.keys() - OTHERS:
        assert found[name] == pytest.approx(expected[name], abs=1e-6), name
    for name in expected.keys() & {"article_rule", "abm_rule", "use"}:
        assert found[name] == expected[name], name
    if planned := expected.get("planning"):
        assert found["planning"]["n_per_arm_pooled_normal"] == planned["n_per_arm_pooled_normal"]
        assert found["planning"]["target"] == pytest.approx(planned["target"])


def test_the_lady_tasting_tea() -> None:
    assert Comparison(Arm(1, 4), Arm(3, 4)).p_fisher == pytest.approx(0.4857, abs=1e-4)
    assert Arm(81, 263).wilson == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_nobody_in_an_arm_compares_with_nothing() -> None:
    compared = Comparison(Arm(0, 0), Arm(3, 5))
    assert (compared.p_value, compared.newcombe, compared.a.wilson, compared.uplift) == (None, None, None, None)
    assert rates.verdict_on_accounts(compared, days=60).lacking == ("people",)


def test_all_or_none_in_both_arms_is_no_difference() -> None:
    for hits in (0, 1500):
        compared = Comparison(Arm(hits, 1500), Arm(hits, 1500))
        assert (compared.z, compared.test, compared.p_value) == (None, "fisher", 1.0)


def test_a_verdict_says_what_it_lacks() -> None:
    clear = Comparison(Arm(100, 1000), Arm(200, 1000))
    assert rates.verdict(clear, days=7) == rates.Verdict("b", "b", ())
    assert rates.verdict(clear, days=6) == rates.Verdict(None, None, ("days",))
    assert rates.verdict(clear, days=15) == rates.Verdict(None, None, ("too_long",))
    assert rates.verdict(Comparison(Arm(100, 999), Arm(200, 1000)), days=3).lacking == ("people", "days")


def test_the_worse_variant_loses_to_the_old_one() -> None:
    assert rates.verdict(Comparison(Arm(200, 1000), Arm(100, 1000)), days=10).winner == "a"


def test_an_uplift_without_significance_is_an_indication_only() -> None:
    assert rates.verdict(Comparison(Arm(30, 1000), Arm(34, 1000)), days=10) == rates.Verdict(None, "b", ())
    assert rates.verdict(Comparison(Arm(300, 1000), Arm(320, 1000)), days=10) == rates.Verdict(None, None, ())


def test_accounts_are_judged_from_day_56_by_significance_alone() -> None:
    clear = Comparison(Arm(14, 400), Arm(5, 20))
    assert rates.verdict_on_accounts(clear, days=55) == rates.Verdict(None, None, ("days",))
    assert rates.verdict_on_accounts(clear, days=56).winner == "b"


def test_accounts_are_compared_exactly_however_many_there_are() -> None:
    many = Comparison(Arm(30, 80), Arm(12, 20), is_exact=True)
    assert (many.smallest_expected_cell > 5, many.test, many.p_value) == (True, "fisher", many.p_fisher)


def test_too_few_accounts_can_never_be_significant() -> None:
    assert Comparison(Arm(0, 3), Arm(0, 3)).smallest_p == pytest.approx(0.1)
    assert Comparison(Arm(0, 4), Arm(0, 4)).smallest_p < 0.05


def test_the_numbers_are_those_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "EXPERIMENTS", policy.Experiments(per_arm_at_least=10, significance_share=0.5))
    assert rates.verdict(Comparison(Arm(3, 10), Arm(5, 10)), days=7).winner is None
    assert rates.verdict(Comparison(Arm(2, 10), Arm(6, 10)), days=7).winner == "b"


@pytest.mark.parametrize(("baseline", "uplift"), [(0, 0.2), (1, 0.2), (0.6, 0.9), (0.2, 0)])
def test_a_plan_with_rates_that_are_none_is_refused(baseline: float, uplift: float) -> None:
    with pytest.raises(Invalid, match="between 0 and 100 %"):
        rates.needed_per_arm(baseline, uplift)


def test_counts_can_be_given_on_the_line() -> None:
    found = told("--a", "14/400", "--b", "5/20", "--days", "56", "--kind", "abm", "--baseline", "0.035", "--uplift", "1")
    assert found["article_rule"]["winner"] is None
    assert found["planning"]["n_per_arm_pooled_normal"] == 637
    out = StringIO()
    call_command("compare_rates", "--a", "48/80", "--b", "56/70", stdout=out)
    assert "difference +0.2000 (+0.0524 to +0.3339), p 0.0080 (z), winner none" in out.getvalue()


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ([], "Case 1: it must be an object."),
        ({"id": "x", "a": {"successes": 1, "n": 2}}, "Case 1 (x): b is missing."),
        ({"a": {"successes": 3, "n": 2}, "b": {"successes": 0, "n": 1}}, "Case 1 (1): 3 of 2 cannot be."),
        ({"a": {"successes": 1.5, "n": 2}, "b": {}}, "Case 1 (1): successes: 1.5 is not a whole number."),
        ({"a": {"n": 2}, "b": {}}, "Case 1 (1): successes is missing."),
        (
            {"a": {"successes": 1, "n": 2}, "b": {"successes": 1, "n": 2}, "planning": {"baseline": 0.1}},
            "Case 1 (1): minimum_relative_uplift is missing.",
        ),
        (
            {"a": {"successes": 1, "n": 2}, "b": {"successes": 1, "n": 2}, "planning": {"baseline": "x"}},
            "Case 1 (1): baseline must be a number.",
        ),
    ],
)
def test_a_wrong_case_is_refused_with_what_and_where(case: Any, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text(json.dumps([case]))
    with pytest.raises(CommandError) as caught:
        told(str(tmp_path / "cases.json"))
    assert str(caught.value) == sentence


def test_a_line_without_both_arms_is_refused(tmp_path: Path) -> None:
    for options in (["--a", "1/2"], ["--a", "1/2", "--b", "x"], [str(tmp_path / "none.json")]):
        with pytest.raises(CommandError):
            told(*options)
