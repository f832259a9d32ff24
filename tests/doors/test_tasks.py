"""The doors of clock, queue and command line: events enqueue, tasks call one rule, commands print and give exit codes."""

import json
import logging
import re
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from kombu.exceptions import ChannelError, OperationalError

from abm import policy, tasks
from abm.models import AccountStanding, EngagementScore, NightlyRun
from config import celery_app
from crm import activities, deliverability, events, pilots
from crm import tasks as queueing
from crm.models import ActivityChange, Heartbeat
from crm.tasks import heartbeat
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, DeliveryFactory, MembershipFactory, OpportunityFactory

pytestmark = pytest.mark.django_db
NIGHT = datetime(2026, 3, 10, 1, 30, tzinfo=UTC)


@pytest.fixture
def queue(monkeypatch):
    """What was handed to the queue: pairs of task name and arguments."""
    handed = []
    monkeypatch.setattr(queueing, "enqueue", lambda task, *arguments: handed.append((task.name, *arguments)))
    return handed


def test_every_task_of_the_clock_table_exists():
    celery_app.loader.import_default_modules()

    for row in celery_app.conf.beat_schedule.values():
        assert row["task"] in celery_app.tasks


def test_a_recorded_activity_has_the_changed_accounts_refreshed(queue, at, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        activities.record(account=AccountFactory(), kind="meeting", occurred_at=at, source="test", at=at)
        assert queue == []

    assert queue == [("abm.tasks.refresh_changed",)]


def test_what_else_happens_at_an_account_has_it_refreshed(queue, django_capture_on_commit_callbacks):
    deal = OpportunityFactory()
    with django_capture_on_commit_callbacks(execute=True):
        events.tell(events.dmu_changed, account_ids=[7, 8])
        events.tell(events.contact_departed, contact_id=3, account_id=9)
        events.tell(events.stage_moved, opportunity_id=deal.pk, from_stage="mql", to_stage="sql")

    assert queue == [
        ("abm.tasks.refresh_accounts", [7, 8]),
        ("abm.tasks.refresh_accounts", [9]),
        ("abm.tasks.refresh_accounts", [deal.account_id]),
    ]


@pytest.mark.parametrize("error", [OperationalError("refused"), ChannelError("full"), NotADirectoryError("gone")])
def test_a_queue_that_is_down_breaks_nobody(error, at, monkeypatch, caplog, django_capture_on_commit_callbacks):
    def refuse(*_arguments):
        raise error

    monkeypatch.setattr(tasks.refresh_changed, "delay", refuse)

    with caplog.at_level(logging.WARNING), django_capture_on_commit_callbacks(execute=True):
        row = activities.record(account=AccountFactory(), kind="meeting", occurred_at=at, source="test", at=at)

    assert ActivityChange.objects.get().account_id == row.account_id
    assert [record.message for record in caplog.records] == [f"abm.tasks.refresh_changed was not enqueued: {error}"]


def test_a_mistake_in_the_code_is_not_taken_for_a_queue_that_is_down(monkeypatch):
    def mistake(*_arguments):
        raise TypeError("no")

    monkeypatch.setattr(tasks.refresh_changed, "delay", mistake)

    with pytest.raises(TypeError):
        queueing.enqueue(tasks.refresh_changed)


def test_the_task_refreshes_what_changed(at):
    account = AccountFactory()
    with time_machine.travel(at, tick=False):
        activities.record(account=account, kind="meeting", occurred_at=at, source="test", at=at)
        assert tasks.refresh_changed() == 1
        assert tasks.refresh_changed() == 0

    assert AccountStanding.objects.get().refreshed_at == at


def test_the_task_refreshes_the_accounts_it_is_given(at):
    accounts = AccountFactory.create_batch(2)

    with time_machine.travel(at, tick=False):
        assert tasks.refresh_accounts([accounts[1].pk]) == 1

    assert AccountStanding.objects.get().account == accounts[1]


def test_the_night_is_caught_up_once_when_its_hour_has_passed():
    AccountFactory()
    with time_machine.travel(NIGHT - timedelta(seconds=1), tick=False):
        assert tasks.nightly_catch_up() == ""
        assert NightlyRun.objects.count() == 0
    with time_machine.travel(NIGHT + timedelta(hours=5), tick=False):
        assert tasks.nightly_catch_up() == "2026-03-10"
        assert tasks.nightly_catch_up() == ""

    assert NightlyRun.objects.get().finished_at == NIGHT + timedelta(hours=5)


def test_a_night_is_offered_to_other_workers_who_may_come_too_late(queue, monkeypatch):
    monkeypatch.setattr(policy, "NIGHTLY", policy.Nightly(accounts_per_chunk=2, most_workers=4))
    AccountFactory.create_batch(9)
    with time_machine.travel(NIGHT, tick=False):
        tasks.nightly()
        assert queue == [("abm.tasks.share_night", "2026-03-10")] * 3
        assert tasks.share_night("2026-03-10") == "2026-03-10"
        tasks.nightly()

    assert len(queue) == 3
    assert set(NightlyRun.objects.get().chunks.values_list("times_done", flat=True)) == {1}


def test_the_nightly_task_does_todays_run():
    with time_machine.travel(NIGHT, tick=False):
        assert tasks.nightly() == "2026-03-10"
        assert tasks.nightly() == "2026-03-10"

    assert NightlyRun.objects.get().finished_at == NIGHT


def test_the_heartbeat_keeps_the_last_sign_of_life_only(at):
    for seconds in (0, 30):
        with time_machine.travel(at + timedelta(seconds=seconds), tick=False):
            heartbeat()

    assert list(Heartbeat.objects.values_list("name", "beat_at")) == [("beat", at + timedelta(seconds=30))]


def test_beat_is_alive_for_two_minutes_after_its_last_sign_of_life(at, capsys):
    Heartbeat.objects.create(name="beat", beat_at=at)

    with time_machine.travel(at + timedelta(seconds=119), tick=False):
        call_command("beat_alive")
    with time_machine.travel(at + timedelta(seconds=120), tick=False), pytest.raises(CommandError) as refused:
        call_command("beat_alive")

    assert capsys.readouterr().out == "Beat gave a sign of life 119 seconds ago.\n"
    assert str(refused.value) == "Beat gave its last sign of life 120 seconds ago, at 2026-03-10 09:00:00 UTC."
    assert refused.value.returncode == 1


def test_beat_that_never_started_is_not_alive():
    with pytest.raises(CommandError, match="never"):
        call_command("beat_alive")


def test_the_nightly_command_prints_progress_and_a_summary(at, capsys):
    AccountFactory.create_batch(3)

    with time_machine.travel(at, tick=False):
        call_command("nightly", "2026-03-10")

    said = capsys.readouterr().out.splitlines()
    assert said[0] == "    1  accounts from 1: 3 in 0.00 s"
    assert [line.split()[1] for line in said[1:-1]] == ["bounces:", "pilots:", "experiments:", "retention:", "history:", "reports:"]
    assert re.fullmatch(r"Night of 2026-03-10: 3 accounts, 7 of 7 chunks done, \d+\.\d s, 0 failed\.", said[-1])


def test_the_nightly_command_does_today_unless_told_otherwise(at):
    with time_machine.travel(at, tick=False):
        call_command("nightly")

    assert NightlyRun.objects.get().day == date(2026, 3, 10)


def test_the_nightly_command_exits_with_one_when_chunks_failed(at, capsys, monkeypatch):
    monkeypatch.setattr(pilots, "chase_overdue", lambda at: 1 / 0)

    with time_machine.travel(at, tick=False), pytest.raises(CommandError) as refused:
        call_command("nightly")

    said = capsys.readouterr()
    assert refused.value.returncode == 1
    assert "pilots failed: ZeroDivisionError: division by zero" in said.err
    assert re.fullmatch(
        r"Night of 2026-03-10: 0 accounts, 6 of 7 chunks done, \d+\.\d s, 1 failed\.\n", said.out.splitlines(keepends=True)[-1]
    )


def test_the_nightly_command_refuses_a_day_that_has_not_come(at):
    with time_machine.travel(at, tick=False), pytest.raises(CommandError, match="has not come"):
        call_command("nightly", "2026-03-11")

    assert NightlyRun.objects.count() == 0


@pytest.fixture
def bakker():
    """An account with two meetings and an anonymous visit."""
    contact = ContactFactory(account__name="Bakker BV", person__given_name="Jan", person__family_name="de Vries")
    MembershipFactory(contact=contact, role="decider")
    for _ in range(2):
        ActivityFactory(account=contact.account, contact=contact, kind="meeting", day=date(2026, 1, 9))
    ActivityFactory(account=contact.account, kind="page_view", day=date(2026, 3, 10))
    return contact.account


def test_scores_are_printed_highest_first_and_not_stored(bakker, capsys, monkeypatch):
    monkeypatch.setattr(policy, "NIGHTLY", policy.Nightly(accounts_per_chunk=1))
    quiet = AccountFactory(name="Stil BV")

    call_command("score_accounts", "--as-of", "2026-03-10", "--json")
    rows = json.loads(capsys.readouterr().out)
    call_command("score_accounts", "--as-of", "2026-03-10", "--account", str(bakker.pk))

    assert [(row["account"], row["name"], row["score"]) for row in rows] == [(bakker.pk, "Bakker BV", 20.4), (quiet.pk, "Stil BV", 0.0)]
    assert rows[0]["sum_weighted"] == pytest.approx(25 * 0.5 * 1.5 + 0.5)
    assert rows[0]["active_roles"] == ["decider"]
    assert capsys.readouterr().out == f" 20.4     19.25 points  1 of 3 roles active  {bakker.pk} Bakker BV\n"
    assert EngagementScore.objects.count() == 0


def test_an_account_that_does_not_exist_cannot_be_scored():
    with pytest.raises(CommandError, match="no account 12345"):
        call_command("score_accounts", "--account", "12345")


def test_a_score_is_explained_line_by_line(bakker, capsys):
    call_command("explain_score", "bakker bv", "--as-of", "2026-03-10")

    said = capsys.readouterr().out.splitlines()
    assert [line.split() for line in said[2:4]] == [
        ["Jan", "de", "Vries", "meeting", "2026-01-09", "50", "25", "60", "0.500000", "1.5", "18.750000"],
        ["(anonymous", "visitor)", "page_view", "2026-03-10", "1", "1", "0", "1.000000", "0.5", "0.500000"],
    ]
    assert said[4:] == [
        "R = 19.250000 weighted points",
        "F = 0.666667: active decider, of decider, buyer, user",
        "X = R x F = 12.833333",
        "score = 20.4 (20.424403)",
        "   19.9 of it by Jan de Vries",
        "    0.5 of it by (anonymous visitor)",
        "missing roles:",
        "  buyer: F would be 0.833 and the score 24.3",
        "  user: F would be 0.833 and the score 24.3",
    ]


def test_a_score_is_explained_as_json_with_the_activities(bakker, capsys):
    call_command("explain_score", str(bakker.pk), "--as-of", "2026-03-10", "--json")

    answer = json.loads(capsys.readouterr().out)
    assert sum(line["weighted"] for line in answer["lines"]) == pytest.approx(answer["sum_weighted"])
    assert [len(line["activities"]) for line in answer["lines"]] == [2, 1]
    assert sum(answer["points_of_score_by_contact"].values()) == pytest.approx(answer["score_6"], abs=1e-6)
    assert answer["missing_roles"][0] == {"role": "buyer", "breadth_factor": pytest.approx(5 / 6), "score_6": 24.290221}
    assert answer["parameters"] == policy.SCORING.version


def test_an_account_is_explained_by_id_or_by_a_name_that_is_its_own(bakker):
    AccountFactory(name="BAKKER bv")

    with pytest.raises(CommandError, match="give the id"):
        call_command("explain_score", "Bakker BV")
    with pytest.raises(CommandError, match="no account 'Slager BV'"):
        call_command("explain_score", "Slager BV")


def test_a_lasting_failure_of_a_mail_has_it_judged_whether_somebody_left(queue, at, django_capture_on_commit_callbacks):
    mail = DeliveryFactory()
    with django_capture_on_commit_callbacks(execute=True):
        report = deliverability.record_report(
            source="test", external_id="1", recipient=mail.address, outcome="person_gone", evidence="550 5.1.1", message_id=mail.message_id, at=at
        )  # fmt: skip

    assert queue == [("abm.tasks.assess_failure", report.pk)]


@pytest.mark.parametrize("day", ["2026-13-01", "yesterday", "2026-02-30"])
def test_the_nightly_command_says_how_a_day_is_written(day):
    with pytest.raises(CommandError, match=f"argument YYYY-MM-DD: '{day}' is no day of the calendar, such as 2026-03-09."):
        call_command("nightly", day)

    assert NightlyRun.objects.count() == 0
