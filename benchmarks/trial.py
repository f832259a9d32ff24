"""Measure whether ABM against broad tells the truth: simulated lists without any effect and with one, judged by the product's own functions.

Run: python -m benchmarks.trial [--runs 1000] [--pool 2000] [--seed 7]; no database. Each run draws a pool of accounts, puts
twenty on a list as people do (by fit and engagement, with a judgement of their own), matches the comparison group, lets
answers fall, and asks for the verdict on day 56. Better accounts answer more often whoever treats them: by 30 % more per
standard deviation of fit and engagement.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from statistics import fmean, median

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from abm import comparison, policy, rates  # noqa: E402
from abm.comparison import Profile  # noqa: E402
from abm.rates import Arm, Comparison  # noqa: E402

INDUSTRIES = ("retail", "software", "logistics", "industry", "care", "energy")
BROAD_RATE, LIST_RATE, LISTED = 0.15, 0.45, 20


def pool(chance: random.Random, size: int) -> list[Profile]:
    """Draw accounts: sizes over three magnitudes, fit and score skewed as real ones are."""
    return [
        Profile(
            number,
            int(10 ** chance.uniform(0.5, 3.5)),
            chance.choice(INDUSTRIES),
            round(100 * chance.betavariate(2, 2)),
            Decimal(str(round(100 * chance.betavariate(1.2, 4), 1))),
        )
        for number in range(size)
    ]


def on_list(chance: random.Random, accounts: Sequence[Profile]) -> list[Profile]:
    """Pick twenty by the weights of the proposal, and by what people know besides."""
    weights = policy.TARGETS
    points = {
        one.account_id: weights.fit_weight * one.fit + weights.engagement_weight * float(one.score) + chance.gauss(0, 8) for one in accounts
    }
    return sorted(accounts, key=lambda one: -points[one.account_id])[:LISTED]


def answers(chance: random.Random, accounts: Sequence[Profile], everybody: Sequence[Profile], rate: float, worth: float) -> int:
    """Count who answers: the rate holds on average over those asked, better accounts answer more."""
    mean_fit, mean_score = fmean(one.fit for one in everybody), fmean(float(one.score) for one in everybody)
    goodness = [1 + worth * ((one.fit - mean_fit) / 22 + (float(one.score) - mean_score) / 17) / 2 for one in accounts]
    return sum(chance.random() < min(max(rate * factor, 0), 1) for factor in goodness)


# name -> rate of the list, and what a standard deviation of fit and engagement is worth to an account
TRUTHS = {"no_effect": (BROAD_RATE, 0.3), "no_effect_equal_accounts": (BROAD_RATE, 0.0), "effect_15_to_45": (LIST_RATE, 0.3)}


def trial(seed: int, *, size: int) -> dict[str, float]:
    """Match one list, and judge it under each truth."""
    chance = random.Random(seed)
    accounts = pool(chance, size)
    listed = on_list(chance, accounts)
    taken = {one.account_id for one in listed}
    others = [one for one in accounts if one.account_id not in taken]
    group = [match.nearest for match in comparison.group(listed, others)]
    found: dict[str, float] = {"accounts_in_group": len(group)}
    for name, (list_rate, worth) in TRUTHS.items():
        found |= {f"{name}: {what}": value for what, value in judged(chance, listed, group, list_rate, worth).items()}
    for which, compared in (("matched", group), ("everybody else", others)):
        found |= {f"smd of {one.trait}, {which}": abs(one.smd or 0.0) for one in comparison.balance(listed, compared)}
    return found


def judged(chance: random.Random, listed: list[Profile], group: list[Profile], list_rate: float, worth: float) -> dict[str, float]:
    """Let answers fall, and ask for the verdict of day 56."""
    together = [*listed, *group]
    of_group, of_list = (answers(chance, some, together, rate, worth) for some, rate in ((group, BROAD_RATE), (listed, list_rate)))
    compared = Comparison(Arm(of_group, len(group)), Arm(of_list, len(listed)), is_exact=True)
    verdict = rates.verdict_on_accounts(compared, days=policy.TARGETS.compare_after_days)
    return {"list wins": verdict.winner == "b", "any winner": verdict.winner is not None}


def measure(runs: int, seed: int, *, size: int) -> dict[str, float]:
    """Run the trials: shares of runs, and the median of each difference before the start."""
    found = [trial(seed + run, size=size) for run in range(runs)]
    return {name: round((median if name.startswith("smd") else fmean)([float(one[name]) for one in found]), 4) for name in found[0]}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--pool", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--per-account", type=int, default=policy.TARGETS.comparison_per_account)
    asked = parser.parse_args(arguments)
    policy.TARGETS = replace(policy.TARGETS, comparison_per_account=asked.per_account)
    answer = {"runs": asked.runs, "pool": asked.pool, "per_account": asked.per_account}
    sys.stdout.write(json.dumps(answer | measure(asked.runs, asked.seed, size=asked.pool), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
