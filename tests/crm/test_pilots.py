"""Pilots: what they need, how they end, and who is asked when they do not."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from crm import errors, follow_ups, opportunities, pilots
from crm.models import FollowUp, Opportunity, Pilot
from tests.factories.crm import OpportunityFactory

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 10)
YESTERDAY = date(2026, 3, 9)


def pilot_on(opportunity, at, *, ends_on=date(2026, 4, 30), **facts):
    return pilots.start(opportunity=opportunity, success_criteria="Minder dan 1% uitval", ends_on=ends_on, at=at, **facts)


def overdue_pilot(at, **facts):
    return pilot_on(OpportunityFactory(**facts), at, starts_on=date(2026, 2, 1), ends_on=YESTERDAY)


def test_a_pilot_starts_today_unless_told_otherwise(rep, at):
    pilot = pilot_on(OpportunityFactory(), at, by=rep)

    pilot.refresh_from_db()
    assert (pilot.success_criteria, pilot.starts_on, pilot.ends_on) == ("Minder dan 1% uitval", TODAY, date(2026, 4, 30))
    assert (pilot.verdict, pilot.history.get().history_user) == ("", rep)
    assert pilot_on(OpportunityFactory(), at, starts_on=date(2026, 4, 1)).starts_on == date(2026, 4, 1)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"success_criteria": " \n"}, "success_criteria"),
        ({"ends_on": None}, "ends_on"),
        ({"ends_on": YESTERDAY}, "ends_on"),
    ],
)
def test_a_pilot_without_criteria_or_a_sensible_end_does_not_start(wrong, field, at):
    facts = {"opportunity": OpportunityFactory(), "success_criteria": "Werkt", "ends_on": TODAY, "at": at}

    with pytest.raises(errors.Invalid) as refusal:
        pilots.start(**facts | wrong)

    assert list(refusal.value.detail) == [field]
    assert not Pilot.objects.exists()


def test_everything_that_is_wrong_with_a_pilot_is_said_at_once(at):
    with pytest.raises(errors.Invalid) as refusal:
        pilots.start(opportunity=OpportunityFactory(), success_criteria="", ends_on=None, at=at)

    assert set(refusal.value.detail) == {"success_criteria", "ends_on"}


@pytest.mark.parametrize(
    "wrong", [{"success_criteria": ""}, {"ends_on": None}, {"ends_on": YESTERDAY}, {"verdict": "passed"}, {"verdict_on": TODAY}]
)
def test_the_database_refuses_such_a_pilot_too(wrong):
    facts = {"opportunity": OpportunityFactory(), "success_criteria": "Werkt", "starts_on": TODAY, "ends_on": TODAY} | wrong

    with pytest.raises(IntegrityError), transaction.atomic():
        Pilot.objects.bulk_create([Pilot(**facts)])

    assert not Pilot.objects.exists()


def test_one_pilot_runs_at_a_time_on_a_deal(at):
    deal = OpportunityFactory()
    first = pilot_on(deal, at)

    with pytest.raises(errors.Conflict):
        pilot_on(deal, at)
    assert list(Pilot.objects.all()) == [first]

    pilots.judge(first, verdict="stopped", at=at)
    assert pilot_on(deal, at).pk
    assert pilot_on(OpportunityFactory(), at).pk, "another deal has its own"


def test_no_pilot_starts_on_a_closed_deal(at):
    deal = OpportunityFactory(stage="lost", lost_reason="Prijs", closed_on="2026-01-01")

    with pytest.raises(errors.Invalid, match="closed"):
        pilot_on(deal, at)

    assert not Pilot.objects.exists()


def test_no_pilot_starts_on_a_deal_that_somebody_closed_meanwhile(rep, at):
    deal = OpportunityFactory()
    as_read = Opportunity.objects.get(pk=deal.pk)
    opportunities.lose(deal, reason="Prijs", at=at, by=rep)

    with pytest.raises(errors.Invalid, match="closed"):
        pilot_on(as_read, at)

    assert not Pilot.objects.exists()


def test_a_pilot_starts_on_a_deal_that_moved_on_meanwhile(at):
    deal = OpportunityFactory(stage="mql")
    as_read = Opportunity.objects.get(pk=deal.pk)
    opportunities.advance(deal, to="sql", at=at)

    assert pilot_on(as_read, at).opportunity == deal


@pytest.mark.postgres
def test_a_pilot_that_waits_for_a_deal_being_closed_does_not_start(two_at_once, at):
    deal = OpportunityFactory()
    as_read = Opportunity.objects.get(pk=deal.pk)

    failures = two_at_once(lambda: opportunities.lose(deal, reason="Prijs", at=at), lambda: pilot_on(as_read, at))

    assert [type(failure) for failure in failures] == [type(None), errors.Invalid]
    assert not Pilot.objects.exists()


@pytest.mark.parametrize("verdict", ["passed", "failed", "stopped"])
def test_a_verdict_is_given_with_its_day_and_kept_in_the_history(verdict, rep, at):
    pilot = pilot_on(OpportunityFactory(), at)

    pilots.judge(pilot, verdict=verdict, at=at, note=" Goed gelopen ", by=rep)

    pilot.refresh_from_db()
    assert (pilot.verdict, pilot.verdict_on, pilot.verdict_note) == (verdict, TODAY, "Goed gelopen")
    last = pilot.history.latest()
    assert (last.verdict, last.verdict_note, last.history_user) == (verdict, "Goed gelopen", rep)


def test_a_verdict_is_one_of_three(at):
    pilot = pilot_on(OpportunityFactory(), at)

    for wrong in ("", "maybe"):
        with pytest.raises(errors.Invalid):
            pilots.judge(pilot, verdict=wrong, at=at)

    assert list(Pilot.objects.running()) == [pilot]


def test_of_two_verdicts_the_first_stands(at):
    pilot = pilot_on(OpportunityFactory(), at)
    as_read = Pilot.objects.get()
    pilots.judge(pilot, verdict="passed", at=at, note="Ja")

    with pytest.raises(errors.Conflict):
        pilots.judge(as_read, verdict="failed", at=at, note="Nee")

    pilot.refresh_from_db()
    assert (pilot.verdict, pilot.verdict_note, pilot.history.count()) == ("passed", "Ja", 2)


def test_an_overdue_pilot_is_one_follow_up_however_often_it_is_chased(rep, at):
    pilot = overdue_pilot(at, owner=rep)

    chased = [pilots.chase_overdue(at=at + timedelta(days=days)) for days in range(3)]

    assert chased == [1, 0, 0]
    follow_up = FollowUp.objects.get()
    assert (follow_up.reason, follow_up.subject_key, follow_up.facts) == ("pilot_overdue", f"pilot:{pilot.pk}", {"ends_on": "2026-03-09"})
    assert (follow_up.owner, follow_up.opportunity, follow_up.account) == (rep, pilot.opportunity, pilot.opportunity.account)
    assert follow_up.due_on == date(2026, 3, 13)
    assert follow_up.title == f"The pilot of {pilot.opportunity} ended on 9 Mar 2026: give a verdict"


def test_a_pilot_is_overdue_from_the_local_day_after_its_end(at):
    pilot_on(OpportunityFactory(), at, ends_on=TODAY)

    assert pilots.chase_overdue(at=datetime(2026, 3, 10, 22, 59, tzinfo=UTC)) == 0
    assert pilots.chase_overdue(at=datetime(2026, 3, 10, 23, 0, tzinfo=UTC)) == 1


def test_a_verdict_closes_the_follow_up_and_ends_the_chase(rep, at):
    pilot, other = overdue_pilot(at), overdue_pilot(at)
    assert pilots.chase_overdue(at=at) == 2

    pilots.judge(pilot, verdict="failed", at=at, by=rep)

    closed = FollowUp.objects.get(subject_key=f"pilot:{pilot.pk}")
    assert (closed.closed_at, closed.closed_by, closed.result) == (at, rep, "failed")
    assert FollowUp.objects.open().get().subject_key == f"pilot:{other.pk}"
    assert pilots.chase_overdue(at=at) == 0


def test_a_follow_up_put_away_without_a_verdict_comes_back(at):
    overdue_pilot(at)
    pilots.chase_overdue(at=at)
    follow_ups.close(FollowUp.objects.get(), at=at)

    assert pilots.chase_overdue(at=at + timedelta(days=1)) == 1
    assert (FollowUp.objects.count(), FollowUp.objects.open().count()) == (2, 1)


def test_pilots_that_need_no_chasing_cost_one_query(at, django_assert_num_queries):
    for _ in range(3):
        overdue_pilot(at)
    pilots.chase_overdue(at=at)

    with django_assert_num_queries(1):
        assert pilots.chase_overdue(at=at) == 0
