"""The records of abm; each QuerySet stands above its model."""

from abm.models.engagement import EngagementScore, ScoreParameters
from abm.models.icp import AccountFit, IdealCustomerProfile
from abm.models.job_changes import JobChangeSignal, SignalEvidence
from abm.models.nightly_runs import NightlyChunk, NightlyRun
from abm.models.standings import AccountStanding
from abm.models.targets import ComparisonAccount, TargetAccount, TargetList, TargetRejection

__all__ = [
    "AccountFit",
    "AccountStanding",
    "ComparisonAccount",
    "EngagementScore",
    "IdealCustomerProfile",
    "JobChangeSignal",
    "NightlyChunk",
    "NightlyRun",
    "ScoreParameters",
    "SignalEvidence",
    "TargetAccount",
    "TargetList",
    "TargetRejection",
]
