"""The numbers of reports: attribution, experiments, benchmarks, budgets, cohorts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Attribution:
    """What a touch is credited with. Source: playbook, U 40/20/40 and W 30/30/30/10; the half-life is that of the usual tools, a week."""

    half_life_days: int = 7
    # Each end of a U; the touches between share the rest. Each of the three peaks of a W likewise.
    u_end_share: float = 0.40
    w_peak_share: float = 0.30

    def __post_init__(self) -> None:
        """Refuse shares that leave less than nothing for the other touches."""
        if 2 * self.u_end_share > 1 or 3 * self.w_peak_share > 1:
            raise ValueError("ATTRIBUTION.u_end_share must be at most 0.5 and w_peak_share at most a third: together they share one win.")


@dataclass(frozen=True)
class Experiments:
    """When a test has a winner. Source: playbook, 'n >= 1,000, 7 to 14 days, p < 0.05 or a clear uplift of 10 %'.

    The two ways to win are told apart here: an uplift without p < 0.05 is an indication, for noise has it too.
    """

    per_arm_at_least: int = 1_000
    shortest_days: int = 7
    longest_days: int = 14
    # 0.05 is the chance of a winner without any difference, 0.80 that of seeing the difference that was planned for.
    significance_share: float = 0.05
    power_share: float = 0.80
    indication_share: float = 0.10
    # Below this many in the smallest expected cell the normal curve is no longer near enough. Source: Cochran 1954.
    exact_below_cell: int = 5
    # For so long after its end an experiment waits for the count of its last day before the night closes it. Source: judgement.
    last_count_days: int = 7


@dataclass(frozen=True)
class Benchmarks:
    """Between what figures usually lie, shown beside ours. Source: the playbook's bands for business-to-business sales."""

    lead_to_opportunity_low_share: float = 0.05
    lead_to_opportunity_high_share: float = 0.12
    opportunity_to_won_low_share: float = 0.18
    opportunity_to_won_high_share: float = 0.30
    cycle_low_days: int = 30
    cycle_high_days: int = 180
    ltv_to_cac_low: float = 3.0
    ltv_to_cac_high: float = 7.0
    # MQL to SQL: at or below the first something is broken, above the second the channel deserves more money.
    mql_to_sql_alarm_share: float = 0.02
    mql_to_sql_scale_share: float = 0.30
    # Open pipeline for each euro of the target that is still to be won. Source: judgement.
    coverage_low: float = 3.0
    coverage_high: float = 5.0


@dataclass(frozen=True)
class Forecast:
    """What an open deal is worth. Source: the organisation's own share won once enough were decided, else judgement."""

    mql_won_share: float = 0.02
    sql_won_share: float = 0.10
    opportunity_won_share: float = 0.25
    proposal_won_share: float = 0.50
    # Decided deals that passed a stage, from which on their own share counts.
    own_history_deals: int = 50


@dataclass(frozen=True)
class Budgets:
    """How the budget is shared out, and when a channel deserves more. Source: playbook, 60/25/15."""

    proven_share: float = 0.60
    scaling_share: float = 0.25
    experiment_share: float = 0.15
    # A part that is off its share by more than this is said to be. Source: judgement.
    off_share: float = 0.05
    # Both the conversion and the lifetime value of a channel are higher than the average by this.
    lift_share: float = 0.30
    # With fewer decided leads nothing is advised. Source: judgement.
    advice_from_deals: int = 30


@dataclass(frozen=True)
class Cohorts:
    """When a cohort is ripe. Source: judgement; below it, what is open can still turn the figure."""

    ripe_open_share: float = 0.10
    # A customer's life is looked at in years of twelve months from the first win.
    year_months: int = 12


@dataclass(frozen=True)
class Hybrid:
    """From when a signal speaks for business customers, and below what for consumers. Source: the playbook's eight questions, bounds are judgement."""

    deciders_b2b: float = 2.0
    deciders_b2c: float = 1.2
    cycle_b2b_days: int = 30
    cycle_b2c_days: int = 7
    value_b2b: float = 5_000.0
    value_b2c: float = 500.0
    pilot_b2b_share: float = 0.10
    pilot_b2c_share: float = 0.01
    free_mail_b2b_share: float = 0.20
    free_mail_b2c_share: float = 0.60
    contract_b2b_share: float = 0.20
    contract_b2c_share: float = 0.02
    talks_b2b_share: float = 0.50
    talks_b2c_share: float = 0.10
    # So many of the answered signals on one side make a segment that; else it is hybrid.
    verdict_share: float = 0.70
    # With fewer deals nothing is said of a segment.
    least_deals: int = 5
