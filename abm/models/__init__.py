"""The records of abm; each QuerySet stands above its model."""

from abm.models.budget import BudgetLine, SalesTarget
from abm.models.engagement import EngagementScore, ScoreChange, ScoreParameters
from abm.models.experiments import Experiment, ExperimentCount
from abm.models.icp import AccountFit, IdealCustomerProfile
from abm.models.job_changes import JobChangeSignal, SignalEvidence
from abm.models.journey import JourneyPlacement, Phase, PhaseChange
from abm.models.leavings import AnnouncedLeaving
from abm.models.nightly_runs import NightlyChunk, NightlyRun
from abm.models.reports import ReportSnapshot
from abm.models.standings import AccountStanding
from abm.models.states import AccountState, ContactState, DayCount, DayWeight, StateMark
from abm.models.targets import ComparisonAccount, HeldOutAccount, TargetAccount, TargetList, TargetRejection

__all__ = [
    "AccountFit",
    "AccountStanding",
    "AccountState",
    "AnnouncedLeaving",
    "BudgetLine",
    "ComparisonAccount",
    "ContactState",
    "DayCount",
    "DayWeight",
    "EngagementScore",
    "Experiment",
    "ExperimentCount",
    "HeldOutAccount",
    "IdealCustomerProfile",
    "JobChangeSignal",
    "JourneyPlacement",
    "NightlyChunk",
    "NightlyRun",
    "Phase",
    "PhaseChange",
    "ReportSnapshot",
    "SalesTarget",
    "ScoreChange",
    "ScoreParameters",
    "SignalEvidence",
    "StateMark",
    "TargetAccount",
    "TargetList",
    "TargetRejection",
]
