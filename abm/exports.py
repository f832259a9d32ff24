"""What abm adds to the lists that can be taken out: where each account stands and is, and the slots of target lists."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from abm.models import AccountStanding, Experiment, ExperimentCount, JourneyPlacement, TargetAccount, TargetList
from abm.ranking import in_words
from crm import exports
from crm.exports import Column
from crm.models import Account, DmuRole, User


def register() -> None:
    """Tell crm.exports; called once at start."""
    exports.add_columns("crm.account", [*_of_standings(), *_of_journeys()], after="owner")
    exports.register(exports.Listing(TargetAccount, {column.name: column for column in _of_slots()}, sight=_slots_seen_by))
    experiments = exports.plain(Experiment, _OF_EXPERIMENTS)
    exports.register(exports.Listing(Experiment, {column.name: column for column in experiments}))
    counts = exports.plain(ExperimentCount, "experiment counted_on n_a successes_a n_b successes_b recorded_by recorded_at")
    exports.register(exports.Listing(ExperimentCount, {column.name: column for column in counts}, sight=_counts_seen_by))


_OF_EXPERIMENTS = (
    "name status team owner hypothesis kpi variables arm_a arm_b baseline_percent uplift_percent "
    "starts_on ends_on planned_per_arm winner indication p_value learned"
)


def _counts_seen_by(rows: QuerySet[ExperimentCount], user: User) -> QuerySet[ExperimentCount]:
    return rows.filter(experiment__in=Experiment.objects.visible_to(user))


def _slots_seen_by(rows: QuerySet[TargetAccount], user: User) -> QuerySet[TargetAccount]:
    """Keep the slots of lists that the user sees, with accounts that the user sees."""
    return rows.filter(target_list__in=TargetList.objects.visible_to(user), account__in=Account.objects.visible_to(user))


def _of_standings(to_account: str = "") -> list[Column]:
    """Make the columns of where an account stands; `to_account` leads from the record to it."""
    figures = [
        ("score", _("score"), lambda standing: standing.score),
        ("momentum", _("change in 7 days"), lambda standing: standing.momentum),
        ("fit", _("fit"), lambda standing: standing.fit),
        ("coverage", _("DMU reached, %"), lambda standing: standing.coverage_percent),
        ("dmu", _("DMU"), _dmu),
        ("single_threaded", _("single-threaded"), lambda standing: standing.is_single_threaded),
    ]
    join = f"{to_account}__standing" if to_account else "standing"
    return [
        Column(name, label, _of_standing(figure, to_account), joins=(join,), is_usual=name != "single_threaded")
        for name, label, figure in figures
    ]


def _of_journeys() -> list[Column]:
    """Make the columns of where an account is on its journey."""
    figures = [
        ("phase", _("phase"), lambda placed: placed.get_phase_display()),
        ("phase_overlap", _("overlaps with"), lambda placed: placed.get_overlap_display() if placed.overlap else None),
        ("phase_since", _("phase since"), lambda placed: placed.since),
    ]
    return [Column(name, label, _of_placement(figure), joins=("journey",)) for name, label, figure in figures]


def _of_placement(figure: Callable[[JourneyPlacement], object]) -> Callable[[Any], object]:
    def value(account: Any) -> object:
        placed = getattr(account, "journey", None)
        return figure(placed) if placed else None

    return value


def _of_standing(figure: Callable[[AccountStanding], object], to_account: str) -> Callable[[Any], object]:
    def value(record: Any) -> object:
        standing = getattr(getattr(record, to_account) if to_account else record, "standing", None)
        return figure(standing) if standing else None

    return value


def _dmu(standing: AccountStanding) -> str:
    """Say which role is in which state, e.g. 'decider: engaged, buyer: missing'."""
    states = standing.coverage_states
    return ", ".join(f"{DmuRole(role).label}: {_STATES.get(states[role], states[role])}" for role in DmuRole.values if role in states)


_STATES = {
    "engaged": _("engaged"),
    "reachable": _("reachable"),
    "known": _("known"),
    "assumed": _("assumed"),
    "missing": _("missing"),
    "lost": _("lost"),
}


def _of_slots() -> list[Column]:
    return [
        *exports.plain(TargetAccount, "target_list slot account"),
        Column("owner", _("owner"), lambda slot: slot.account.owner, joins=("account__owner",)),
        *_of_standings("account"),
        Column("why", _("why"), lambda slot: "; ".join(in_words(reason) for reason in slot.reasons)),
        *exports.plain(TargetAccount, "is_pinned added_at"),
        Column("domain", _("web domain"), lambda slot: slot.account.domain, joins=("account",), is_usual=False),
    ]
