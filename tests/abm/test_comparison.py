"""The comparison group: who resembles whom."""

from decimal import Decimal

import pytest

from abm import comparison, policy
from abm.comparison import Profile


def profile(account_id: int, employees: int | None = 100, industry: str = "retail", fit: int = 50, score: float = 50) -> Profile:
    return Profile(account_id, employees, industry, fit, Decimal(str(score)))


def test_distance_is_the_mean_of_four_parts() -> None:
    (match,) = comparison.group([profile(1, employees=9)], [profile(2, employees=99, industry="it", fit=30, score=90)])
    assert match.distance == pytest.approx((1 + 1 + 0.2 + 0.4) / 4)  # the smallest and the biggest differ wholly


def test_size_counts_by_magnitude() -> None:
    half, more = profile(2, employees=50), profile(3, employees=160)
    (match,) = comparison.group([profile(1, employees=100)], [half, more])
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
    assert [(match.listed.account_id, match.nearest.account_id) for match in matches] == [(1, 11), (1, 12), (2, 13)]
