"""The demo, loaded once for all of these tests: believable, labelled as invented, wholly there or not at all."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import transaction

from abm import demo, job_changes, my_day
from abm.demo import activity, budgets, logins, people, stories, tour
from abm.models import (
    AccountStanding,
    ComparisonAccount,
    EngagementScore,
    IdealCustomerProfile,
    JobChangeSignal,
    JourneyPlacement,
    NightlyRun,
    Phase,
    PhaseChange,
    TargetList,
)
from abm.reports import Period, ask, budget, channels, key_figures
from crm import opportunities, policy
from crm.models import (
    Account,
    Activity,
    ActivityChange,
    Contact,
    Delivery,
    DeliveryReport,
    DmuMembership,
    FollowUp,
    Opportunity,
    Person,
    Pilot,
    User,
)
from tests.conftest import AT


class Killed(Exception):
    """What happens to a process in the middle of its work."""


@pytest.fixture(scope="module")
def said(django_db_setup, django_db_blocker) -> Iterator[list[str]]:
    """Load the demo, killed in the middle the first time; the tests below read what is there and write nothing."""
    said: list[str] = []
    with django_db_blocker.unblock(), transaction.atomic():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(activity, "record", _die)
            with pytest.raises(Killed):
                demo.load(at=AT, say=said.append)
        said.append(f"killed with {Contact.objects.count()} contacts and {Opportunity.objects.count()} deals")
        said.append(f"loaded: {demo.load(at=AT, say=said.append)}")
        yield said
        transaction.set_rollback(True)


def _die(*_arguments: object, **_named: object) -> None:
    raise Killed


def live() -> dict[str, Opportunity]:
    return {deal.name: deal for deal in Opportunity.objects.filter(source=demo.SOURCE).select_related("account", "owner")}


# --- loading ---------------------------------------------------------------------------------------


def test_a_new_database_holds_no_demo(db):
    """First, and with the mark: else the file alone would find no database."""
    assert not demo.is_loaded()


def test_demo_that_was_killed_in_the_middle_is_completed_by_the_next_load(said):
    # What is public was taken over already; of what is invented there was nothing.
    assert "killed with 0 contacts and 8800 deals" in said
    assert said[-1] == "loaded: True"
    assert Account.objects.count() == 85
    assert Opportunity.objects.filter(source="maven-crm").count() == 8800


def test_second_load_does_nothing_and_says_so(said, django_assert_max_num_queries):
    again: list[str] = []

    with django_assert_max_num_queries(1):
        assert demo.load(at=AT + timedelta(days=1), say=again.append) is False
    assert again == ["The demo is there already."]


def test_everything_invented_is_labelled_as_invented(said):
    assert demo.SOURCE == "demo (invented)"
    assert set(Contact.objects.values_list("source", flat=True)) == {demo.SOURCE, "carried over"}
    assert Contact.objects.filter(source="carried over").count() == 1
    assert set(Activity.objects.values_list("source", flat=True)) == {demo.SOURCE}
    assert set(Opportunity.objects.filter(imported_stage="").values_list("source", flat=True)) == {demo.SOURCE}


def test_same_people_are_invented_every_time():
    first, again = (people.dice("names"), people.dice("names"))

    assert [first.random() for _ in range(5)] == [again.random() for _ in range(5)]
    assert first.random() != people.dice("other names").random()


# --- people ----------------------------------------------------------------------------------------


def test_every_account_has_a_dmu_of_two_to_nine_people_and_a_domain_of_its_own(said):
    people_of = Counter(Contact.objects.filter(source=demo.SOURCE).values_list("account", flat=True))

    assert len(people_of) == 85
    assert (min(people_of.values()), max(people_of.values())) == (2, 9)
    domains = set(Account.objects.values_list("domain", flat=True))
    assert len(domains) == 85
    assert all(domain.endswith(".example") for domain in domains)


def test_larger_companies_have_more_people(said):
    people_of = Counter(Contact.objects.filter(source=demo.SOURCE).values_list("account__employees", flat=True))
    small, large = [people_of[size] for size in people_of if size < 250], [people_of[size] for size in people_of if size >= 5000]

    assert max(small) <= 4
    assert sum(large) / len(large) > sum(small) / len(small) + 2


def test_every_contact_would_pass_the_form(said):
    for contact in Contact.objects.select_related("person"):
        contact.clean_fields(exclude=["person", "account"])
        contact.person.clean_fields()
        assert not contact.email or contact.email.endswith(".example")


def test_no_two_people_have_the_same_name(said):
    names = list(Person.objects.values_list("given_name", "family_name"))

    assert len(names) == len(set(names))


def test_all_six_states_of_coverage_appear(said):
    states = Counter(state for standing in AccountStanding.objects.all() for state in standing.coverage_states.values())

    assert set(states) == {"missing", "assumed", "known", "reachable", "engaged", "lost"}
    assert min(states.values()) >= 5


def test_some_people_left_some_opted_out_and_some_may_be_leaving(said):
    assert Contact.objects.exclude(left_on=None).count() >= 8
    assert DmuMembership.objects.filter(end_reason="left").count() >= 8
    assert Person.objects.exclude(opted_out_at=None).count() >= 8
    assert Contact.objects.active().exclude(departure_suspected_at=None).count() >= 3


def test_signals_stand_open_confirmed_and_dismissed(said):
    found = Counter(JobChangeSignal.objects.values_list("status", flat=True))

    assert (found["confirmed"], found["dismissed"]) == (1, 1)
    assert found["open"] >= 3
    assert set(FollowUp.Reason.values) - set(FollowUp.objects.values_list("reason", flat=True)) == {
        "domain_changed", "address_invalid", "leaves_soon",
    }  # fmt: skip


def test_some_mail_came_back_and_speaks_for_the_signals_too(said):
    returned = Counter(DeliveryReport.objects.values_list("outcome", flat=True))

    assert {"person_gone", "temporary", "mailbox_full", "blocked_policy"} == set(returned)
    assert 0 < returned.total() < Delivery.objects.count() / 10
    # An automatic reply and a returned mail are one signal.
    assert JobChangeSignal.objects.open().filter(evidence__source="bounce").filter(evidence__source="auto_reply").count() >= 3
    assert not JobChangeSignal.objects.of_domains().exists()


def test_newest_signal_is_about_somebody_on_whose_word_a_live_deal_rests(said):
    signal = JobChangeSignal.objects.open().filter(account__owner__username=logins.SELLERS["rep"]).first()
    deal = live()["Design floor, second phase"]
    assert (signal.account, signal.successor_name, deal.gate_broken_at) == (deal.account, "", None)

    with transaction.atomic():
        job_changes.confirm(signal, at=AT, by=deal.owner)

        deal.refresh_from_db()
        assert deal.gate_broken_at == AT
        assert FollowUp.objects.open().get(reason="find_successor", contact=signal.contact).account == deal.account
        transaction.set_rollback(True)


# --- activity --------------------------------------------------------------------------------------


def test_activity_covers_the_last_180_days_and_ends_before_the_load(said):
    moments = Activity.objects.exclude(kind="meeting").order_by("occurred_at").values_list("occurred_at", flat=True)

    assert AT - timedelta(days=190) < moments.first() < AT - timedelta(days=170)
    assert AT - timedelta(days=2) < moments.last() < AT
    assert not Activity.objects.filter(occurred_at__gt=AT).exists()


def test_activity_is_mail_web_calls_meetings_strangers_and_machines(said):
    kinds = Counter(Activity.objects.values_list("kind", flat=True))

    assert len(kinds) == 14
    assert 5_000 < sum(kinds.values()) < 20_000
    assert Activity.objects.filter(contact=None).count() > 200
    assert Activity.objects.exclude(machine_reason="").count() > 20


def test_nobody_does_anything_after_leaving(said):
    late = [row for row in Activity.objects.exclude(contact__left_on=None).select_related("contact") if row.day > row.contact.left_on]

    assert [row for row in late if row.contact.departures.exclude(reason=demo.SOURCE).count() == 0] == []


def test_stories_can_be_told_from_the_scores(said):
    told = stories.tell(Account.objects.select_related("owner"))
    standings = {told[row.account_id]: [] for row in AccountStanding.objects.all()}
    for row in AccountStanding.objects.all():
        standings[told[row.account_id]].append(row)

    assert set(standings) == set(stories.STORIES)
    mean = {story: sum(row.score for row in rows) / len(rows) for story, rows in standings.items()}
    assert mean["steady"] > mean["warming up"] > mean["cooling"] > mean["single-threaded"] > mean["dormant"] > mean["silent"] == 0
    assert sum(row.is_single_threaded for row in standings["single-threaded"]) >= 10
    assert max(row.momentum for row in standings["cooling"]) <= 0
    assert sum(row.momentum >= 10 for row in standings["warming up"]) >= 4


def test_accounts_visited_by_strangers_alone_have_a_score_and_nobody_engaged(said):
    told = stories.tell(Account.objects.select_related("owner"))
    rows = [row for row in AccountStanding.objects.all() if told[row.account_id] == "anonymous visitors"]

    assert rows
    assert all(row.score > 0 and "engaged" not in row.coverage_states.values() for row in rows)


def test_nothing_is_left_to_be_scored(said):
    assert not ActivityChange.objects.exists()
    assert AccountStanding.objects.filter(as_of=policy.day_of(AT)).count() == 85
    scored = AccountStanding.objects.filter(score__gt=0)
    assert EngagementScore.objects.filter(day=policy.day_of(AT)).count() == scored.count() > 70
    assert NightlyRun.objects.get().finished_at == AT


# --- deals -----------------------------------------------------------------------------------------


def test_live_deals_stand_in_every_stage_and_none_is_imported(said):
    assert Counter(deal.stage for deal in live().values()) == {"mql": 1, "sql": 2, "opportunity": 5, "proposal": 1, "won": 1, "lost": 1}
    assert not any(deal.is_imported_history for deal in live().values())
    assert all(not move.is_imported for deal in live().values() for move in deal.moves.all())


def test_one_gate_is_broken_because_the_buyer_left(said):
    broken = Opportunity.objects.gate_broken().get()

    withdrawn = broken.confirmations.exclude(withdrawn_at=None).get()
    assert (broken.name, withdrawn.kind, withdrawn.departure.contact) == ("Render servers", "budget", withdrawn.contact)
    assert FollowUp.objects.open().get(reason="gate_broken").opportunity == broken


def test_one_deal_rests_on_confirmations_that_are_stale(said):
    missing = opportunities.missing_for(live()["Framework contract for stores"], "proposal", at=AT)

    assert missing == ["two_of_three", "budget_stale", "timing_stale", "need"]


def test_one_deal_only_waits_to_be_won(said):
    assert opportunities.missing_for(live()["Data science workplaces"], "won", at=AT) == []


def test_one_pilot_runs_and_one_is_overdue(said):
    assert Pilot.objects.running().count() == 2
    overdue = Pilot.objects.overdue(policy.day_of(AT)).get()
    assert FollowUp.objects.open().get(reason="pilot_overdue").opportunity == overdue.opportunity


# --- marketing -------------------------------------------------------------------------------------


def test_profile_in_force_is_fitted_to_who_buys_most(said):
    profile = IdealCustomerProfile.objects.get(is_active=True)

    assert profile.industries == ["retail", "technology", "medical", "software", "finance"]
    assert 100 <= profile.employees_from < profile.employees_to
    assert 0 < profile.revenue_from < profile.revenue_to
    fits = set(AccountStanding.objects.values_list("fit", flat=True))
    assert max(fits) - min(fits) > 60


def test_one_list_of_twenty_is_active_with_a_comparison_group_and_one_is_a_draft(said):
    active, draft = TargetList.objects.get(status="active"), TargetList.objects.get(status="draft")

    assert (active.slots.count(), draft.slots.count()) == (20, 19)
    assert active.owner.username == logins.SELLERS["lead"]
    assert active.team != draft.team
    # As many of the other accounts as are alike enough, up to four for each on the list.
    assert ComparisonAccount.objects.filter(target_list=active).count() == 22
    assert (draft.slots.filter(is_pinned=True).count(), draft.rejections.count()) == (1, 1)


# --- people who sign in ----------------------------------------------------------------------------


def test_two_reps_of_two_teams_and_their_lead_see_something_to_do(said):
    sellers = logins.sellers()

    assert sellers["rep"].team == sellers["lead"].team != sellers["other rep"].team
    for what in ("rep", "other rep"):
        assert sellers[what].accounts.count() > 10
        assert Opportunity.objects.open().filter(owner=sellers[what], source=demo.SOURCE).count() >= 3
        assert FollowUp.objects.open().filter(owner=sellers[what]).count() >= 3
    assert Account.objects.visible_to(sellers["lead"]).count() >= 26
    assert FollowUp.objects.open().filter(owner=sellers["lead"]).count() == 1


def test_logins_are_five_with_their_roles_and_no_password_yet(said):
    assert [(login.username, login.role) for login in logins.every()] == [
        ("darcel.schlecht", "sales rep"),
        ("cassey.cress", "sales rep"),
        ("melvin.marxen", "team lead"),
        ("marketing", "marketing"),
        ("admin", "administrator"),
    ]
    assert not logins.are_open()
    assert User.objects.filter(is_superuser=True).count() == 1


def test_tour_names_five_things_at_accounts_of_the_rep(said):
    sights = list(tour.sights())

    assert len(sights) == 5
    assert "warms up" in sights[0]
    assert sights[2].startswith("Render servers at ")
    assert sights[3].endswith(" may have left: confirm it, and the gate of 'Design floor, second phase' breaks")
    assert sights[4] == "Target list 'Twenty for this quarter': twenty accounts, each with its reasons"


# --- the rep's morning -------------------------------------------------------------------------------


def test_every_section_of_the_reps_day_shows_something(said):
    day = my_day.of(logins.sellers()["rep"], at=AT)

    for section in ("warming", "tasks", "gaps", "gates", "signals", "pilots"):
        assert getattr(day, section), section
    assert day.overdue >= 1
    assert {letter.is_stale for gate in day.gates for letter in gate.letters} == {True, False}
    assert (day.night.accounts, day.night.is_late) == (85, False)


def test_warmest_account_of_the_rep_lacks_a_buyer_whom_the_rep_can_name_and_has_a_deal_without_confirmations(said):
    first = my_day.of(logins.sellers()["rep"], at=AT).warming[0]
    account, deal = first.standing.account, live()["Workstations for the design studio"]

    assert (deal.account, deal.stage, deal.confirmations.count(), deal.owner) == (account, "sql", 0, account.owner)
    assert first.standing.coverage_states["buyer"] == "missing"
    assert account.memberships.get(role="decider").is_assumed is False
    without_role = account.contacts.filter(memberships=None)
    assert [contact.function for contact in without_role if contact.function in ("purchasing", "finance")] != []


def test_some_accounts_are_prospects_and_some_were_customers(said):
    statuses = Counter(Account.objects.values_list("status", flat=True))

    assert set(statuses) == {"prospect", "customer", "former"}
    assert min(statuses.values()) >= 5


def test_accounts_are_all_along_the_journey_and_have_been_elsewhere(said):
    phases = Counter(Phase(row.phase) for row in JourneyPlacement.objects.all())

    assert {Phase.DREAM, Phase.RESEARCH, Phase.CONSIDER, Phase.BUY, Phase.REPEAT} <= phases.keys()
    assert JourneyPlacement.objects.filter(overlap=Phase.COMPARE).count() >= 4
    assert PhaseChange.objects.ended().values("from_phase").distinct().count() >= 4


def test_the_channels_show_what_a_customer_costs_and_when_it_is_paid_back(said):
    rows = {row["channel"]: row for row in _asked(channels.REPORT)}

    assert rows.keys() == {channel.name for channel in budgets.CHANNELS}
    assert all(row["cac"] > 0 and row["payback_months"] > 0 for row in rows.values())
    assert {rows["events"]["verdict"], rows["social"]["verdict"]} == {"usual", "below the usual"}
    assert sum(row["leads"] for row in rows.values()) == Opportunity.objects.count()


def test_the_budget_is_planned_as_meant_and_spent_otherwise(said):
    rows = {row["purpose"]: row for row in _asked(budget.REPORT)}

    assert [round(row["planned_share"], 2) for row in rows.values()] == [0.60, 0.25, 0.15]
    assert (rows["proven"]["verdict"], rows["experiment"]["verdict"]) == ("less than meant", "more than meant")


def test_the_pipeline_is_held_against_the_target_of_the_quarter(said):
    figures = {row["figure"]: row["value"] for row in _asked(key_figures.REPORT)}

    assert figures["target_coverage"] is not None
    assert figures["cac"] > 0


def _asked(report):
    boss = User.objects.get(username=logins.ADMIN)
    return ask(report, period=Period(policy.day_of(AT)), user=boss).rows
