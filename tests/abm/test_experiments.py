"""Experiments: what they need to start, what may be counted, and what they say in words."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from abm import experiments
from abm.errors import WrongStatus
from abm.models import Experiment, ExperimentCount
from crm.errors import Invalid
from crm.models import Team, User

FACTS: dict[str, Any] = {
    "name": "Onderwerpregel", "hypothesis": "Omdat een vraag opvalt, wordt vaker geopend.", "kpi": "geopend van bezorgd",
    "variables": "onderwerpregel", "arm_a": "mededeling", "arm_b": "vraag", "baseline_percent": 20, "uplift_percent": 20,
    "starts_on": date(2026, 3, 10), "ends_on": date(2026, 3, 24),
}  # fmt: skip


def later(at: datetime, days: int) -> datetime:
    return at + timedelta(days=days)


@pytest.fixture
def draft(team: Team, rep: User, at: datetime) -> Experiment:
    return experiments.draft(team=team, owner=rep, at=at, by=rep, **FACTS)


@pytest.fixture
def running(draft: Experiment, rep: User, at: datetime) -> Experiment:
    return experiments.start(draft, at=at, by=rep)


def counted(running: Experiment, at: datetime, day: int, a: tuple[int, int], b: tuple[int, int]) -> list[str]:
    """Count so many days after the start, and give what it says in words."""
    moment = later(at, day)
    figures = {"successes_a": a[0], "n_a": a[1], "successes_b": b[0], "n_b": b[1]}
    experiments.count(running, counted_on=moment.date(), at=moment, by=None, **figures)
    return experiments.in_words(running, experiments.read(running))


def refused(deed: Any) -> dict[str, object]:
    before = [list(model.objects.order_by("pk").values()) for model in (Experiment, ExperimentCount)]
    with pytest.raises(Invalid) as caught:
        deed()
    assert [list(model.objects.order_by("pk").values()) for model in (Experiment, ExperimentCount)] == before
    return caught.value.detail


@pytest.mark.django_db
def test_starting_fixes_the_plan(running: Experiment, rep: User) -> None:
    assert (running.status, running.planned_per_arm) == ("running", 1683)
    assert running.history.latest().history_user == rep


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hypothesis": "  "}, "hypothesis"),
        ({"kpi": ""}, "kpi"),
        ({"variables": ""}, "variables"),
        ({"variables": "onderwerpregel\n\nafzender"}, "variables"),
        ({"baseline_percent": None}, "baseline_percent"),
        ({"uplift_percent": None}, "uplift_percent"),
        ({"baseline_percent": 90}, "uplift_percent"),
        ({"ends_on": date(2026, 3, 16)}, "ends_on"),
        ({"ends_on": date(2026, 3, 25)}, "ends_on"),
        ({"starts_on": date(2026, 2, 20), "ends_on": date(2026, 3, 1)}, "ends_on"),
    ],
)
def test_without_hypothesis_kpi_plan_and_one_variable_nothing_starts(
    draft: Experiment, at: datetime, change: dict[str, Any], named: str
) -> None:
    row = experiments.correct(draft, values=change, at=at, by=None)
    assert list(refused(lambda: experiments.start(row, at=at, by=None))) == [named]


@pytest.mark.django_db
def test_the_database_itself_refuses_a_start_with_two_variables_or_none(draft: Experiment, at: datetime) -> None:
    started = {"status": "running", "started_at": at, "planned_per_arm": 1000}
    for wrong in ({"variables": "a\nb"}, {"variables": ""}, {"hypothesis": ""}, {"kpi": ""}, {"planned_per_arm": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Experiment.objects.filter(pk=draft.pk).update(**started | wrong)
    assert Experiment.objects.filter(pk=draft.pk).update(**started) == 1


@pytest.mark.django_db
def test_a_draft_needs_a_name_and_a_period(team: Team, at: datetime) -> None:
    facts = FACTS | {"name": " ", "ends_on": FACTS["starts_on"], "uplift_percent": 0}
    assert set(refused(lambda: experiments.draft(team=team, owner=None, at=at, **facts))) == {"name", "ends_on", "uplift_percent"}


@pytest.mark.django_db
def test_what_runs_stays_as_it_began(running: Experiment, at: datetime) -> None:
    with pytest.raises(WrongStatus):
        experiments.correct(running, values={"kpi": "geklikt"}, at=at, by=None)
    with pytest.raises(WrongStatus):
        experiments.start(running, at=at, by=None)
    assert Experiment.objects.get().kpi == FACTS["kpi"]


@pytest.mark.django_db
def test_a_count_is_a_total_since_the_start_and_can_be_corrected_on_its_day(running: Experiment, at: datetime) -> None:
    counted(running, at, 2, (10, 100), (12, 100))
    counted(running, at, 2, (11, 100), (12, 100))
    counted(running, at, 4, (20, 200), (24, 200))

    assert [row.successes_a for row in ExperimentCount.objects.order_by("counted_on")] == [11, 20]
    for day, a, b, named in [
        (5, (20, 199), (24, 200), {"n_a"}),
        (3, (11, 201), (12, 100), {"n_a"}),
        (5, (300, 200), (24, 200), {"successes_a"}),
        (15, (20, 200), (24, 200), {"counted_on"}),
        (-1, (0, 0), (0, 0), {"counted_on"}),
    ]:
        assert set(refused(lambda day=day, a=a, b=b: counted(running, at, day, a, b))) == named, day
    tomorrow = {"counted_on": later(at, 1).date(), "n_a": 1, "successes_a": 0, "n_b": 1, "successes_b": 0}
    assert set(refused(lambda: experiments.count(running, at=at, by=None, **tomorrow))) >= {"counted_on"}


@pytest.mark.django_db
def test_only_what_runs_is_counted_and_closed(draft: Experiment, at: datetime) -> None:
    with pytest.raises(WrongStatus):
        counted(draft, at, 0, (0, 1), (0, 1))
    with pytest.raises(WrongStatus):
        experiments.close(draft, at=at, by=None)


@pytest.mark.django_db
def test_it_says_what_it_lacks_and_when_it_will_be_there(running: Experiment, at: datetime) -> None:
    assert experiments.in_words(running, experiments.read(running)) == ["Nothing is counted yet."]
    assert counted(running, at, 6, (100, 600), (150, 600)) == [
        "Not decidable yet.",
        "The smaller arm has 600 of the 1,000 that a verdict needs.",
        "It needs 1 day more.",
        "The plan asks for 1,683 in each arm; who decides before that takes chance for an effect more often.",
        "At today's volume that is on 27 Mar 2026, after the end of the experiment: test a bolder change, or a rate further up.",
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        ((212, 1700), (300, 1700), "Winner: vraag. Chance alone makes such a difference less often than 1 in 20 times (p < 0.0001)."),
        ((30, 1700), (34, 1700), "An indication for vraag, no winner: chance alone makes such a difference too often (p 0.6137)."),
        ((300, 1700), (300, 1700), "No difference that counts (p 1.0000)."),
    ],
)
def test_it_says_the_verdict_in_words(running: Experiment, at: datetime, a: tuple[int, int], b: tuple[int, int], sentence: str) -> None:
    assert counted(running, at, 14, a, b) == [sentence]


@pytest.mark.django_db
def test_closing_keeps_the_verdict(running: Experiment, at: datetime) -> None:
    counted(running, at, 14, (212, 1700), (300, 1700))

    closed = experiments.close(running, learned=" Vragen werken. ", at=later(at, 15), by=None)

    assert (closed.status, closed.winner, closed.indication, closed.learned) == ("closed", "b", "b", "Vragen werken.")
    assert closed.p_value == pytest.approx(0.00005, abs=5e-5)
    with pytest.raises(WrongStatus):
        counted(closed, at, 14, (213, 1700), (300, 1700))


@pytest.mark.django_db
def test_an_experiment_that_ends_without_a_verdict_keeps_no_p_value_and_says_so(running: Experiment, at: datetime) -> None:
    counted(running, at, 5, (20, 300), (50, 300))

    closed = experiments.close(running, at=later(at, 15), by=None)

    assert (closed.winner, closed.indication, closed.p_value) == ("", "", None)
    assert experiments.in_words(closed, experiments.read(closed)) == [
        "Closed without a verdict.",
        "The smaller arm has 300 of the 1,000 that a verdict needs.",
        "The last count is of day 5; a verdict needs day 7.",
    ]


@pytest.mark.django_db
def test_the_night_closes_an_experiment_once_its_last_day_is_counted(running: Experiment, at: datetime) -> None:
    counted(running, at, 14, (212, 1700), (300, 1700))

    closed = [experiments.close_due(at=later(at, days), limit=9) for days in (14, 15, 16)]

    assert closed == [0, 1, 0]
    row = Experiment.objects.get()
    assert (row.status, row.winner, row.closed_at, row.history.latest().history_user) == ("closed", "b", later(at, 15), None)


@pytest.mark.django_db
def test_the_night_waits_a_week_for_the_count_of_the_last_day(running: Experiment, at: datetime) -> None:
    counted(running, at, 13, (212, 1700), (300, 1700))

    closed = [experiments.close_due(at=later(at, days), limit=9) for days in (15, 21, 22)]

    assert closed == [0, 0, 1]
    assert Experiment.objects.get().winner == "b"


@pytest.mark.django_db
def test_the_night_leaves_drafts_alone_and_what_is_left_over_for_the_next_night(draft: Experiment, rep: User, at: datetime) -> None:
    others = [experiments.draft(team=draft.team, owner=rep, at=at, **FACTS) for _number in range(3)]
    for each in others:
        experiments.start(each, at=at, by=rep)

    assert [experiments.close_due(at=later(at, 40), limit=2) for _night in range(3)] == [2, 1, 0]
    assert Experiment.objects.get(pk=draft.pk).status == "draft"


@pytest.mark.django_db
def test_what_was_learned_is_written_down_after_the_end(running: Experiment, rep: User, at: datetime) -> None:
    with pytest.raises(WrongStatus):
        experiments.learn(running, learned="Te vroeg.", at=at, by=rep)
    experiments.close_due(at=later(at, 40), limit=9)

    learned = experiments.learn(running, learned=" Vragen werken. ", at=later(at, 41), by=rep)

    assert (learned.learned, learned.status, learned.closed_at) == ("Vragen werken.", "closed", later(at, 40))
    assert learned.history.latest().history_user == rep


def test_the_day_on_which_a_plan_is_reached() -> None:
    today = datetime(2026, 3, 20, tzinfo=UTC).date()
    assert experiments.forecast(500, days=10, needed=1001, today=today) == date(2026, 3, 31)
    assert experiments.forecast(10, days=0, needed=20, today=today) == date(2026, 3, 21)
    assert experiments.forecast(0, days=10, needed=20, today=today) is None
    assert experiments.forecast(20, days=10, needed=20, today=today) is None


@pytest.mark.django_db
def test_an_experiment_is_seen_by_its_team(running: Experiment, rep: User, outsider: User, marketer: User) -> None:
    assert [Experiment.objects.visible_to(user).count() for user in (rep, outsider, marketer)] == [1, 0, 1]
