"""Experiments: draft, start with one variable only, count, and say in words what is known, what is not, and when it will be."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from abm import policy, rates
from abm.errors import WrongStatus
from abm.models import Experiment, ExperimentCount
from abm.rates import Arm, Comparison, Verdict
from crm.errors import Conflict, Invalid
from crm.models import Team, User
from crm.policy import day_of


@dataclass(frozen=True)
class Reading:
    """What an experiment says by its latest count: `days` it ran until then, and the day on which its plan will be reached.

    `reached_on` is None when the plan is reached, and when nothing comes in any more; `is_early` says that it is not reached.
    """

    compared: Comparison
    verdict: Verdict
    counted_on: date | None
    days: int
    needed_per_arm: int | None
    reached_on: date | None

    @property
    def smaller_arm(self) -> int:
        """Give how many the smaller arm has."""
        return min(self.compared.a.n, self.compared.b.n)

    @property
    def is_early(self) -> bool:
        """Say whether the plan asks for more than there are."""
        return self.needed_per_arm is not None and self.smaller_arm < self.needed_per_arm


# --- its life --------------------------------------------------------------------------------------


def draft(
    *, name: str, team: Team, owner: User | None, starts_on: date, ends_on: date, at: datetime, by: User | None = None, **facts: Any
) -> Experiment:
    """Begin an experiment; of `facts` (hypothesis, kpi, variables, arms, percents) a draft may lack any."""
    row = Experiment(name=name.strip(), team=team, owner=owner, starts_on=starts_on, ends_on=ends_on, **_tidy(facts))
    _refuse(_wrong_in_draft(row))
    return _save(row, at=at, by=by)


@transaction.atomic
def correct(experiment: Experiment, *, values: Mapping[str, Any], at: datetime, by: User | None) -> Experiment:
    """Change a draft; one that runs stays as it began, or its result means nothing. Raises WrongStatus, Invalid."""
    _claim(experiment, Experiment.Status.DRAFT, _("The experiment has started: what it tests stays as it is."))
    row = Experiment.objects.get(pk=experiment.pk)
    for name, value in _tidy(values).items():
        setattr(row, name, value)
    _refuse(_wrong_in_draft(row))
    return _save(row, at=at, by=by)


@transaction.atomic
def start(experiment: Experiment, *, at: datetime, by: User | None) -> Experiment:
    """Let a draft run: from now on its plan stands. Raises Invalid that names each thing it lacks, WrongStatus when it is no draft."""
    _claim(experiment, Experiment.Status.DRAFT, _("The experiment has started already."))
    row = Experiment.objects.get(pk=experiment.pk)
    _refuse(_wrong_to_start(row, today=day_of(at)))
    row.status, row.started_at, row.planned_per_arm = Experiment.Status.RUNNING, at, planned(row)
    return _save(row, at=at, by=by)


@transaction.atomic
def count(
    experiment: Experiment, *, counted_on: date, n_a: int, successes_a: int, n_b: int, successes_b: int, at: datetime, by: User | None
) -> ExperimentCount:
    """Write down what both arms had together by the end of a day; the same day again corrects it.

    Raises Invalid for counts that cannot be: more successes than people, fewer than on an earlier day, a day out of the period.
    """
    _claim(experiment, Experiment.Status.RUNNING, _("Only a running experiment is counted."))
    figures = {"n_a": n_a, "successes_a": successes_a, "n_b": n_b, "successes_b": successes_b}
    _refuse(_wrong_in_count(experiment, counted_on, figures, today=day_of(at)))
    row, _is_new = ExperimentCount.objects.update_or_create(
        experiment=experiment, counted_on=counted_on, defaults=figures | {"recorded_by": by, "recorded_at": at}
    )
    return row


@transaction.atomic
def close(experiment: Experiment, *, learned: str = "", at: datetime, by: User | None) -> Experiment:
    """End a running experiment with the verdict of its latest count, and what was learned."""
    _claim(experiment, Experiment.Status.RUNNING, _("Only a running experiment can be closed."))
    row, found = Experiment.objects.get(pk=experiment.pk), read(experiment)
    row.status, row.closed_at, row.learned = Experiment.Status.CLOSED, at, learned.strip()
    row.winner, row.indication = found.verdict.winner or "", found.verdict.indication or ""
    # Without a verdict it would read as 'no difference'.
    row.p_value = None if found.verdict.lacking else found.compared.p_value
    return _save(row, at=at, by=by)


def close_due(*, at: datetime, limit: int) -> int:
    """Close the experiments whose period is over, each with the verdict of its latest count; safe to repeat. Give how many."""
    over = Experiment.objects.over(day=day_of(at), waited=timedelta(days=policy.EXPERIMENTS.last_count_days))
    return sum(_closed_by_night(row, at) for row in over.order_by("pk")[:limit])


def _closed_by_night(experiment: Experiment, at: datetime) -> bool:
    try:
        close(experiment, at=at, by=None)
    except WrongStatus:
        # Somebody closed it in the meantime: it is done.
        return False
    return True


@transaction.atomic
def learn(experiment: Experiment, *, learned: str, at: datetime, by: User | None) -> Experiment:
    """Write down, or correct, what was learned from an experiment that is closed."""
    _claim(experiment, Experiment.Status.CLOSED, _("Only of a closed experiment it is known what we learned."))
    row = Experiment.objects.get(pk=experiment.pk)
    row.learned = learned.strip()
    return _save(row, at=at, by=by)


# --- what it says ----------------------------------------------------------------------------------


def planned(experiment: Experiment) -> int | None:
    """Give how many each arm needs by the plan, at least as many as any verdict needs; None without a plan."""
    if not experiment.baseline_percent or not experiment.uplift_percent:
        return None
    by_plan = rates.needed_per_arm(float(experiment.baseline_percent) / 100, float(experiment.uplift_percent) / 100)
    return max(by_plan, policy.EXPERIMENTS.per_arm_at_least)


def read(experiment: Experiment) -> Reading:
    """Read an experiment by its latest count; one query."""
    last = ExperimentCount.objects.filter(experiment=experiment).order_by("-counted_on").first()
    needed = experiment.planned_per_arm or planned(experiment)
    if last is None:
        nothing = Comparison(Arm(0, 0), Arm(0, 0))
        return Reading(nothing, rates.verdict(nothing, days=0), None, 0, needed, None)
    compared = Comparison(Arm(last.successes_a, last.n_a), Arm(last.successes_b, last.n_b))
    days = (last.counted_on - experiment.starts_on).days
    reached_on = forecast(min(last.n_a, last.n_b), days=days, needed=needed or 0, today=last.counted_on)
    return Reading(compared, rates.verdict(compared, days=days), last.counted_on, days, needed, reached_on)


def forecast(so_far: int, *, days: int, needed: int, today: date) -> date | None:
    """Give the day on which an arm that got so many in so many days has what it needs; None when it has, or never will."""
    if so_far >= needed or so_far == 0:
        return None
    return today + timedelta(days=ceil((needed - so_far) * max(days, 1) / so_far))


def in_words(experiment: Experiment, reading: Reading) -> list[str]:
    """Say what an experiment says, in sentences in the reader's language: the verdict first, then what is lacking and when it will be there."""
    if reading.counted_on is None:
        return [_("Nothing is counted yet.")]
    return [_verdict_in_words(experiment, reading), *_lacks_in_words(experiment, reading)]


def _verdict_in_words(experiment: Experiment, reading: Reading) -> str:
    found, p = reading.verdict, rates.p_in_words(1.0 if reading.compared.p_value is None else reading.compared.p_value)
    names = {"a": experiment.arm_a or "A", "b": experiment.arm_b or "B"}
    if found.lacking:
        return _("Not decidable yet.") if experiment.status != Experiment.Status.CLOSED else _("Closed without a verdict.")
    if found.winner:
        return _("Winner: %(arm)s. Chance alone makes such a difference less often than 1 in 20 times (%(p)s).") % {
            "arm": names[found.winner],
            "p": p,
        }
    if found.indication:
        return _("An indication for %(arm)s, no winner: chance alone makes such a difference too often (%(p)s).") % {
            "arm": names[found.indication],
            "p": p,
        }
    return _("No difference that counts (%(p)s).") % {"p": p}


def _lacks_in_words(experiment: Experiment, reading: Reading) -> list[str]:
    numbers, said, is_closed = policy.EXPERIMENTS, list[str](), experiment.status == Experiment.Status.CLOSED
    if "people" in reading.verdict.lacking:
        facts = {
            "count": number_format(reading.smaller_arm, 0, force_grouping=True),
            "needed": number_format(numbers.per_arm_at_least, 0, force_grouping=True),
        }
        said.append(_("The smaller arm has %(count)s of the %(needed)s that a verdict needs.") % facts)
    if "days" in reading.verdict.lacking and is_closed:
        last = {"days": reading.days, "needed": numbers.shortest_days}
        said.append(_("The last count is of day %(days)d; a verdict needs day %(needed)d.") % last)
    elif "days" in reading.verdict.lacking:
        left = numbers.shortest_days - reading.days
        said.append(ngettext("It needs %(days)d day more.", "It needs %(days)d days more.", left) % {"days": left})
    if reading.is_early and not is_closed:
        facts = {"needed": number_format(reading.needed_per_arm or 0, 0, force_grouping=True)}
        said.append(_("The plan asks for %(needed)s in each arm; who decides before that takes chance for an effect more often.") % facts)
        said.append(_reached_in_words(experiment, reading))
    return said


def _reached_in_words(experiment: Experiment, reading: Reading) -> str:
    if reading.reached_on is None:
        return _("At today's volume that is never reached.")
    day = {"day": date_format(reading.reached_on, "DATE_FORMAT")}
    if reading.reached_on > experiment.ends_on:
        return _("At today's volume that is on %(day)s, after the end of the experiment: test a bolder change, or a rate further up.") % day
    return _("At today's volume that is on %(day)s.") % day


# --- refusals and claims ---------------------------------------------------------------------------

TEXTS = ("name", "hypothesis", "kpi", "variables", "arm_a", "arm_b")


def _tidy(values: Mapping[str, Any]) -> dict[str, Any]:
    """Trim texts; of the variables each line, without the empty ones."""
    tidy = {name: value.strip() if name in TEXTS else value for name, value in values.items()}
    if "variables" in tidy:
        tidy["variables"] = "\n".join(line.strip() for line in tidy["variables"].splitlines() if line.strip())
    return tidy


def _wrong_in_draft(row: Experiment) -> dict[str, str]:
    wrong = {} if row.name else {"name": _("Give the experiment a name.")}
    if row.ends_on <= row.starts_on:
        wrong["ends_on"] = _("The period must end after it starts.")
    return wrong | {
        name: _("A percentage cannot be this.")
        for name in ("baseline_percent", "uplift_percent")
        if (value := getattr(row, name)) is not None and not 0 < Decimal(value) < (100 if name == "baseline_percent" else 100_000)
    }


def _wrong_to_start(row: Experiment, *, today: date) -> dict[str, str]:
    """Name each thing that an experiment lacks to start."""
    numbers, days, things = policy.EXPERIMENTS, (row.ends_on - row.starts_on).days, row.variables.splitlines()
    missing = {
        "hypothesis": _("Say what you expect, and why."),
        "kpi": _("Name the one rate that decides."),
        "variables": _("Name the one thing that differs."),
        "baseline_percent": _("Say which rate A has so far: the plan is made of it."),
        "uplift_percent": _("Say which uplift is worth seeing: the plan is made of it."),
    }
    wrong = {name: reason for name, reason in missing.items() if not getattr(row, name)}
    if len(things) > 1:
        wrong["variables"] = _("Only one thing may differ, or nobody can tell what worked; here it is %(count)d.") % {"count": len(things)}
    if not numbers.shortest_days <= days <= numbers.longest_days:
        bounds = {"shortest": numbers.shortest_days, "longest": numbers.longest_days}
        wrong["ends_on"] = _("An experiment runs for %(shortest)d to %(longest)d days.") % bounds
    elif row.ends_on < today:
        wrong["ends_on"] = _("The period is over already.")
    if not wrong and row.baseline_percent and row.uplift_percent and row.baseline_percent * (1 + row.uplift_percent / 100) >= 100:
        wrong["uplift_percent"] = _("With this uplift B would be at 100 % or more.")
    return wrong


def _wrong_in_count(experiment: Experiment, day: date, figures: Mapping[str, int], *, today: date) -> dict[str, str]:
    wrong = {f"successes_{arm}": _("More than were reached.") for arm in "ab" if figures[f"successes_{arm}"] > figures[f"n_{arm}"]}
    wrong |= {name: _("It cannot be less than nothing.") for name, value in figures.items() if value < 0}
    if day > today:
        wrong["counted_on"] = _("This day has not come.")
    elif not experiment.starts_on <= day <= experiment.ends_on:
        wrong["counted_on"] = _("The experiment runs from %(first)s to %(last)s.") % {
            "first": date_format(experiment.starts_on, "SHORT_DATE_FORMAT"), "last": date_format(experiment.ends_on, "SHORT_DATE_FORMAT"),
        }  # fmt: skip
    others = ExperimentCount.objects.filter(experiment=experiment).order_by("-counted_on")
    if (before := others.filter(counted_on__lt=day).first()) and (
        fewer := [name for name in figures if figures[name] < getattr(before, name)]
    ):
        wrong |= {name: _("Fewer than on an earlier day; counts are totals since the start.") for name in fewer}
    if (after := others.filter(counted_on__gt=day).last()) and (more := [name for name in figures if figures[name] > getattr(after, name)]):
        wrong |= {name: _("More than on a later day; counts are totals since the start.") for name in more}
    return wrong


def _refuse(wrong: Mapping[str, str]) -> None:
    if wrong:
        raise Invalid(" ".join(wrong.values()), detail={**wrong})


def _claim(experiment: Experiment, status: str, refusal: str) -> None:
    """Take the experiment for the rest of the transaction, if it has this status: who else wants it waits, then looks anew."""
    if not Experiment.objects.filter(pk=experiment.pk, status=status).update(starts_on=F("starts_on")):
        raise WrongStatus(refusal)


def _save(row: Experiment, *, at: datetime, by: User | None) -> Experiment:
    """Save a row and tell the history who did it, and when."""
    row._history_date = at  # type: ignore[attr-defined]
    if by is not None:
        row._history_user = by  # type: ignore[attr-defined]
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as refusal:
        raise Conflict(_("The database refuses this: it contradicts what is on record.")) from refusal
    return row
