"""The comparison group: who resembles whom."""

from decimal import Decimal

import pytest

from abm import comparison, policy
from abm.comparison import Profile


def profile(account_id: int, employees: int | None = 100, industry: str = "retail", fit: int = 50, score: float = 50) -> Profile:
    return Profile(account_id, employees, industry, fit, Decimal(str(score)))


def test_distance_is_the_mean_of_four_parts() -> None:
    (match,) = comparison.group([profile(1, employees=9)], [profile(2, employees=99, industry="it", fit=30, score=90)])
    assert match.distance == pytest.approx((1 + 1 + 0.8 + 1) / 4)  # the smallest and the biggest differ wholly, as do 25 points


def test_size_counts_by_magnitude() -> None:
    half, more = profile(2, employees=50), profile(3, employees=160)
    match, *_further = comparison.group([profile(1, employees=100)], [half, more])
    assert match.nearest == more  # 60 more are less than 50 fewer


def test_equally_near_accounts_are_taken_by_id_and_each_once() -> None:
    listed, candidates = [profile(1), profile(2), profile(3)], [profile(12), profile(11)]
    matches = comparison.group(listed, candidates)
    assert [(match.listed.account_id, match.nearest.account_id, match.distance) for match in matches] == [(1, 11, 0.0), (2, 12, 0.0)]


def test_unknown_industries_do_not_resemble_each_other() -> None:
    (match,) = comparison.group([profile(1, industry="")], [profile(2, industry="")])
    assert match.distance == 0.25


def test_an_unknown_size_counts_as_the_policy_says() -> None:
    (match,) = comparison.group([profile(1, employees=None)], [profile(2, employees=10)])
    assert match.distance == 0.0


def test_more_accounts_can_be_compared_with_each_listed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "TARGETS", policy.Targets(comparison_per_account=2))
    matches = comparison.group([profile(1), profile(2)], [profile(11), profile(12), profile(13)])
    assert [(match.listed.account_id, match.nearest.account_id) for match in matches] == [(1, 11), (2, 12), (1, 13)]


def test_a_second_account_is_taken_only_if_it_is_near() -> None:
    far = [profile(number, industry="it", fit=30) for number in (11, 12)]
    matches = comparison.group([profile(1)], far)
    assert [match.nearest.account_id for match in matches] == [11]


def test_balance_is_the_difference_of_means_in_standard_deviations() -> None:
    listed = [profile(1, fit=60), profile(2, fit=80)]
    compared = [profile(3, fit=50), profile(4, fit=50, industry="it")]

    found = {one.trait: one for one in comparison.balance(listed, compared)}

    assert (found["fit"].listed, found["fit"].compared) == (70, 50)
    assert found["fit"].smd == pytest.approx(20 / 50**0.5)  # variances of 100 and 0
    assert found["score"].smd == 0.0
    assert (found["industry"].about, found["industry"].listed, found["industry"].compared) == ("it", 0.0, 0.5)
    assert abs(found["industry"].smd or 0) == pytest.approx(0.5 / (0.25 / 2) ** 0.5)


def test_groups_that_differ_without_varying_are_called_unlike_and_an_empty_one_is_not_compared() -> None:
    found = {one.trait: one.smd for one in comparison.balance([profile(1, fit=60)], [profile(2, fit=50)])}
    assert (found["fit"], found["score"]) == (None, 0.0)
    assert comparison.balance([], [profile(1)]) == []
