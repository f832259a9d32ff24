"""The score's numbers in force: what was saved last holds, for every reader and for all accounts, and can be taken back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from abm import engagement, momentum, nightly, policy, refresh, score_numbers
from abm.models import AccountStanding, EngagementScore, NightlyChunk, NightlyRun, ScoreChange, ScoreParameters, StateMark
from crm import activities
from crm.errors import Conflict, Invalid
from crm.models import Contact, User
from crm.policy import day_of
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, UserFactory

pytestmark = pytest.mark.django_db
OTHER = policy.Scoring(half_saturation=10.0)


@pytest.fixture
def by() -> User:
    user: User = UserFactory(first_name="Mira", last_name="Bos")
    return user


@pytest.fixture
def visitor(at: datetime) -> Contact:
    contact: Contact = ContactFactory()
    activities.record(account=contact.account, contact=contact, kind="meeting", occurred_at=at - timedelta(days=2), source="test", at=at)
    refresh.account(contact.account_id, at=at)
    return contact


def put(numbers: policy.Scoring = OTHER, *, seen: int = 0, at: datetime, by: User | None = None, note: str = "Beter") -> ScoreChange:
    return score_numbers.put_in_force(numbers, note=note, seen=seen, at=at, by=by)


def test_without_a_saved_version_the_settings_hold() -> None:
    assert score_numbers.in_force() is policy.SCORING


def test_what_was_saved_last_wins_over_the_settings(at: datetime, by: User, monkeypatch: pytest.MonkeyPatch) -> None:
    change = put(at=at, by=by)
    monkeypatch.setattr(policy, "SCORING", policy.Scoring(half_saturation=20.0))

    assert score_numbers.in_force() == OTHER
    assert (change.number, change.parameters_id, change.made_by, change.made_at) == (1, OTHER.version, by, at)
    assert score_numbers.numbers_of(change.replaces).half_saturation == 50.0


def test_numbers_in_force_are_read_anew_each_time_in_one_query(at: datetime, django_assert_num_queries: Callable) -> None:
    score_numbers.in_force()
    put(at=at)

    with django_assert_num_queries(1):
        assert score_numbers.in_force() == OTHER


def test_a_change_needs_a_reason_and_a_difference(at: datetime) -> None:
    with pytest.raises(Invalid, match="Say why") as refusal:
        put(at=at, note="  ")
    with pytest.raises(Invalid, match="in force already"):
        put(policy.Scoring(), at=at)

    assert refusal.value.detail.keys() == {"note"}
    assert not ScoreChange.objects.exists()


def test_database_refuses_a_change_without_a_reason_or_with_a_number_that_is_taken(at: datetime) -> None:
    change = put(at=at)
    facts = {"parameters": change.parameters, "replaces": change.replaces, "made_at": at}

    for wrong in ({"number": 2, "note": ""}, {"number": 1, "note": "Ook"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ScoreChange.objects.create(**facts, **wrong)


def test_of_two_who_save_at_once_the_second_hears_who_was_first(at: datetime, by: User) -> None:
    put(at=at, by=by, note="Eerst")

    with pytest.raises(Conflict, match=r"Mira Bos changed the numbers meanwhile \(Eerst\)"):
        put(policy.Scoring(half_saturation=20.0), seen=0, at=at)

    assert score_numbers.in_force() == OTHER


def test_of_two_saves_that_cross_the_database_lets_one_through(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    first = put(at=at)
    # Both read before either wrote.
    answers = iter([None, first])
    monkeypatch.setattr(score_numbers, "current", lambda: next(answers))

    with pytest.raises(Conflict, match="changed the numbers meanwhile"):
        put(policy.Scoring(half_saturation=20.0), at=at)

    assert ScoreChange.objects.count() == 1


def test_numbers_of_before_can_be_put_back(at: datetime) -> None:
    change = put(at=at)

    back = put(score_numbers.numbers_of(change.replaces), seen=1, at=at, note="Toch niet")

    assert score_numbers.in_force() == policy.Scoring()
    assert back.parameters_id == policy.Scoring().version == change.replaces_id


def test_differences_name_kind_role_and_number() -> None:
    kinds = {**(policy.SCORING.kinds or {}), "meeting": policy.KindWeight(30, 25, 60)}
    del kinds["download"]

    found = score_numbers.differences(policy.Scoring(), policy.Scoring(kinds=kinds, role_weight={"buyer": 1.0}, breadth_floor=0.6))

    assert {(one.about, one.name, one.before, one.after) for one in found} == {
        ("meeting", "points", 25, 30),
        ("download", "points", 8, None),
        ("download", "daily_cap", 16, None),
        ("download", "half_life_days", 30, None),
        ("buyer", "role_weight", 1.3, 1.0),
        ("", "breadth_floor", 0.5, 0.6),
    }


def test_every_reader_uses_the_numbers_in_force(visitor: Contact, at: datetime) -> None:
    put(policy.Scoring(half_saturation=10.0, role_weight={"unknown": 0.4}), at=at)
    refresh.account(visitor.account_id, at=at)
    pk, day = visitor.account_id, day_of(at)

    scored = engagement.of_accounts([pk], as_of=day)[pk]
    explained = engagement.explain(visitor.account, as_of=day)
    kept, standing = EngagementScore.objects.get(account=pk, day=day), AccountStanding.objects.get(account=pk)
    (mover,) = momentum.of_accounts([pk], as_of=day)[pk].movers
    version = score_numbers.in_force().version

    assert {line.role_weight for line in scored.lines} == {0.4}
    assert explained.scored == scored
    assert explained.parameters_version == kept.parameters_id == StateMark.objects.get(pk=pk).version == version != policy.SCORING.version
    assert kept.score == standing.score == scored.score_1
    assert mover.weighted == pytest.approx(scored.weighted_points)


def test_change_of_half_life_and_points_scores_as_the_formula_does(visitor: Contact, at: datetime) -> None:
    kinds = {**(policy.SCORING.kinds or {}), "meeting": policy.KindWeight(12.5, 20, 14)}
    put(policy.Scoring(kinds=kinds), at=at)

    refresh.account(visitor.account_id, at=at)

    expected = 12.5 * 0.8 * 2 ** (-2 / 14)
    assert EngagementScore.objects.get(day=day_of(at)).weighted_points == pytest.approx(expected)


def test_yesterdays_score_keeps_the_version_it_was_made_with(visitor: Contact, at: datetime) -> None:
    put(at=at + timedelta(hours=1))
    tomorrow = at + timedelta(days=1)
    refresh.account(visitor.account_id, at=tomorrow)

    versions = dict(EngagementScore.objects.values_list("day", "parameters_id"))
    yesterday = EngagementScore.objects.select_related("parameters").get(day=day_of(at))
    numbers = score_numbers.numbers_of(yesterday.parameters)
    replayed = engagement.of_accounts([visitor.account_id], as_of=day_of(at), numbers=numbers)[visitor.account_id]

    assert versions == {day_of(at): policy.SCORING.version, day_of(tomorrow): OTHER.version}
    assert replayed.score_1 == yesterday.score


def test_roles_are_not_called_newly_active_because_the_numbers_changed(visitor: Contact, at: datetime) -> None:
    before = day_of(at) - timedelta(days=policy.ALERTS.compared_with_days_ago)
    version, other = score_numbers.on_record(policy.SCORING, at=at), score_numbers.on_record(OTHER, at=at)
    EngagementScore.objects.update(active_roles=["decider"])
    facts = {"account": visitor.account, "day": before, "weighted_points": 1, "breadth": 1, "x": 1, "score": 1}
    then = EngagementScore.objects.create(**facts, parameters=version)

    assert momentum.of_accounts([visitor.account_id], as_of=day_of(at))[visitor.account_id].new_roles == ("decider",)
    EngagementScore.objects.filter(pk=then.pk).update(parameters=other)
    assert momentum.of_accounts([visitor.account_id], as_of=day_of(at))[visitor.account_id].new_roles == ()


# --- all accounts follow ---------------------------------------------------------------------------


@pytest.fixture
def three(at: datetime, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Three accounts with a meeting, scored; one account to a chunk."""
    monkeypatch.setattr(policy, "NIGHTLY", replace(policy.NIGHTLY, accounts_per_chunk=1))
    people = ContactFactory.create_batch(3)
    for person in people:
        facts = {"account": person.account, "contact": person, "kind": "meeting", "source": "test", "at": at}
        activities.record(occurred_at=at - timedelta(days=2), **facts)
    ids = [person.account_id for person in people]
    refresh.accounts(ids, at=at)
    return ids


def scores() -> set[tuple[str, Decimal]]:
    return set(EngagementScore.objects.values_list("parameters_id", "score"))


def test_after_a_change_every_account_is_scored_anew_once(three: list[int], at: datetime) -> None:
    put(at=at)

    run = nightly.rebuild(clock=lambda: at)
    again = nightly.rebuild(clock=lambda: at)

    expected = engagement.of_accounts(three, as_of=day_of(at), numbers=OTHER)[three[0]].score_1
    assert scores() == {(OTHER.version, expected)}
    assert run is not None and run == again
    assert run.finished_at == at
    assert list(run.chunks.values_list("step", "items", "times_done")) == [("rebuild", 1, 1)] * 3
    assert set(StateMark.objects.values_list("version", flat=True)) == {OTHER.version}


def test_without_a_change_there_is_nothing_to_do(three: list[int], at: datetime) -> None:
    assert nightly.rebuild(clock=lambda: at) is None
    assert not NightlyRun.objects.exists()


def test_rebuild_that_was_killed_goes_on_where_it_stopped(three: list[int], at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    put(at=at)
    seen: list[int] = []

    def killed(chunk: NightlyChunk) -> None:
        seen.append(chunk.number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nightly.rebuild(clock=lambda: at, told=killed)
    assert NightlyChunk.objects.left().count() == 2
    assert {version for version, _score in scores()} == {policy.SCORING.version, OTHER.version}

    run = nightly.rebuild(clock=lambda: at, told=lambda chunk: seen.append(chunk.number))

    assert seen == [0, 1, 2]
    assert run is not None and run.finished_at == at
    assert {version for version, _score in scores()} == {OTHER.version}


def test_newer_change_ends_the_rebuild_of_the_one_before(three: list[int], at: datetime) -> None:
    put(at=at)

    def killed(_chunk: NightlyChunk) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nightly.rebuild(clock=lambda: at, told=killed)
    newest = policy.Scoring(half_saturation=20.0)
    put(newest, seen=1, at=at)

    nightly.rebuild(clock=lambda: at)

    older, newer = NightlyRun.objects.order_by("pk")
    assert (older.chunks.count(), older.finished_at, newer.chunks.count(), newer.finished_at) == (1, at, 3, at)
    assert {version for version, _score in scores()} == {newest.version}


def test_rebuild_past_midnight_scores_the_new_day(three: list[int], at: datetime) -> None:
    put(at=at)
    moments = iter([at] * 3 + [at + timedelta(days=1)] * 20)

    nightly.rebuild(clock=lambda: next(moments))

    assert EngagementScore.objects.filter(day=day_of(at + timedelta(days=1)), parameters=OTHER.version).count() >= 2


def test_rebuild_is_no_night(three: list[int], at: datetime) -> None:
    put(at=at)
    nightly.rebuild(clock=lambda: at)

    assert nightly.is_due(at=at)
    run = nightly.run(day_of(at), clock=lambda: at)

    assert run.score_change is None
    assert not run.chunks.filter(step="rebuild").exists()
    assert NightlyRun.objects.nights().count() == NightlyRun.objects.rebuilds().count() == 1


def test_a_version_is_kept_once_however_often_it_is_used(visitor: Contact, at: datetime) -> None:
    put(at=at)
    put(policy.Scoring(), seen=1, at=at)
    put(OTHER, seen=2, at=at + timedelta(days=1))

    assert ScoreParameters.objects.get(pk=OTHER.version).first_used_at == at
    assert ScoreParameters.objects.count() == 2


def test_trial_of_a_file_without_numbers_uses_those_in_force(at: datetime, tmp_path, capsys) -> None:
    import json

    from django.core.management import call_command

    case = {"id": 1, "as_of": "2026-03-10", "contacts": [], "events": [{"contact": None, "kind": "meeting", "at": "2026-03-10T09:00:00Z"}]}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([case]))
    kinds = {**(policy.SCORING.kinds or {}), "meeting": policy.KindWeight(40, 40, 60)}
    put(policy.Scoring(kinds=kinds), at=at)

    call_command("try_score", str(path))

    assert "20.0000 points" in capsys.readouterr().out


def test_explanation_of_a_past_day_can_be_had_with_any_numbers(at: datetime) -> None:
    account = AccountFactory()
    ActivityFactory(account=account, kind="meeting", occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC), day=date(2026, 3, 1))

    assert engagement.explain(account, as_of=date(2026, 3, 1), numbers=OTHER).numbers == OTHER
