"""The admin of abm: what it means, and what to do next."""

from abm.admin import (
    accounts,
    budgets,
    engagement,
    icp,
    job_changes,
    journey,
    my_day,
    nightly_runs,
    opportunities,
    reports,
    score_numbers,
    target_lists,
)

__all__ = [
    "accounts",
    "budgets",
    "engagement",
    "icp",
    "job_changes",
    "journey",
    "my_day",
    "nightly_runs",
    "opportunities",
    "reports",
    "score_numbers",
    "target_lists",
]
