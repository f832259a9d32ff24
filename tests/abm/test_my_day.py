"""My day: each section says what there is to do, for whom, and shows nothing of another team's."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import Model

from abm import my_day
from abm.models import JobChangeSignal, NightlyChunk, NightlyRun, TargetList
from crm import bant, contacts, follow_ups, opportunities, pilots
from crm.models import Account, Confirmation, FollowUp, User
from crm.policy import day_of
from tests.abm.slots import a_list, put
from tests.conftest import AT, somebody
from tests.crm.deals import confirmed, decider
from tests.factories.abm import StandingFactory
from tests.factories.crm import AccountFactory, ActivityFactory, ConfirmationFactory, ContactFactory, MembershipFactory, OpportunityFactory

TODAY, DAY = day_of(AT), timedelta(days=1)


@pytest.fixture
def account(rep: User) -> Account:
    return AccountFactory(name="Bakkerij Bos", owner=rep, team=rep.team)


def day(user: User, reach: str = "") -> my_day.Day:
    return my_day.of(User.objects.get(pk=user.pk), at=AT, reach=reach)


def names(rows: tuple[Model, ...]) -> list[str]:
    return [str(row) for row in rows]


def task(owner: User | None, text: str, *, days: int, account: Account | None = None) -> FollowUp:
    return follow_ups.open(reason="by_hand", owner=owner, due_on=TODAY + timedelta(days=days), at=AT, text=text, account=account)


def night(*, hours_ago: float, **chunk: object) -> NightlyRun:
    moment = AT - timedelta(hours=hours_ago)
    run = NightlyRun.objects.create(day=day_of(moment), started_at=moment, finished_at=moment)
    NightlyChunk.objects.create(run=run, number=0, step="accounts", items=85, **chunk)
    return run


# --- accounts that warm up ---------------------------------------------------------------------------


def test_accounts_that_rose_stand_first_by_how_much_with_the_reason_and_whom_to_call(rep, account):
    anna = MembershipFactory(contact=ContactFactory(account=account), role="decider").contact
    ActivityFactory(account=account, contact=anna, kind="meeting", occurred_at=AT - DAY)
    StandingFactory(account=account, score=40, momentum=Decimal("12.5"))
    other = AccountFactory(name="Molen", owner=rep)
    StandingFactory(account=other, score=60, momentum=20)

    first, second = day(rep).warming

    assert (first.standing.account, first.call, second.standing.account, second.call.contact) == (other, None, account, anna)
    assert second.rise.sentence.startswith("A meeting by ")


def test_rise_of_less_than_five_points_is_no_news(rep, account):
    StandingFactory(account=account, momentum=Decimal("4.9"))

    assert day(rep).warming == ()


@pytest.mark.parametrize("reason", ["opted out", "may have left"])
def test_who_wants_no_contact_or_may_have_left_is_not_called_but_the_next_one_is(rep, account, reason):
    first, second = (ContactFactory(account=account) for _ in range(2))
    for contact, kind in ((first, "meeting"), (second, "download")):
        ActivityFactory(account=account, contact=contact, kind=kind, occurred_at=AT - DAY)
    StandingFactory(account=account, momentum=9)
    if reason == "opted out":
        first.person.opted_out_at = AT
        first.person.save()
    else:
        contacts.suspect(first, at=AT)

    assert day(rep).warming[0].call.contact == second


# --- roles to fill -------------------------------------------------------------------------------------


def test_lost_roles_come_before_missing_ones_and_deals_before_listed_accounts(rep, team, account):
    gone = MembershipFactory(contact=ContactFactory(account=account, gone=True), role="buyer")
    listed = AccountFactory(name="Molen", owner=rep, team=team, employees=5)
    put(a_list(team, active=True), listed)
    deal = OpportunityFactory(account=account, owner=rep, team=team, name="Ovens")

    found = day(rep).gaps

    assert [(gap.account, gap.role.role, gap.role.state, gap.deal) for gap in found] == [
        (account, "buyer", "lost", deal),
        (account, "user", "missing", deal),
        (account, "decider", "missing", deal),
        (listed, "decider", "missing", None),
    ]
    assert found[0].role.next_step == f"Find the successor of {gone.contact.person}"


def test_role_that_a_deal_and_a_list_both_lack_is_told_once(rep, team, account):
    put(a_list(team, active=True), account)
    OpportunityFactory(account=account, owner=rep, team=team)

    found = day(rep).gaps

    assert len(found) == len({gap.role.role for gap in found}) == 3


def test_list_that_is_a_draft_and_deals_that_are_history_ask_for_nothing(rep, team, account):
    put(a_list(team), account)
    OpportunityFactory(account=account, owner=rep, stage="sql", imported_stage="sql")
    OpportunityFactory(account=account, owner=rep, stage="lost", closed_on=TODAY, lost_reason="Te duur")

    assert day(rep).gaps == ()


def test_what_does_not_fit_is_counted(rep, team):
    target_list = a_list(team, active=True)
    for slot in range(1, 4):
        put(target_list, AccountFactory(owner=rep, team=team, employees=100), slot=slot)

    assert (len(day(rep).gaps), day(rep).more_gaps) == (6, 3)


# --- tasks -----------------------------------------------------------------------------------------------


def test_tasks_of_this_week_come_by_due_day_and_the_rest_waits(rep):
    for text, days in (("Vandaag", 0), ("Volgende week", 7), ("Te laat", -3), ("Donderdag", 6)):
        task(rep, text, days=days)
    follow_ups.close(task(rep, "Klaar", days=0), at=AT)

    found = day(rep)

    assert names(found.tasks) == ["Te laat", "Vandaag", "Donderdag"]
    assert (found.overdue, found.due_today) == (1, 1)


# --- gates -----------------------------------------------------------------------------------------------


def test_letter_that_is_too_old_is_named_with_the_day_since_and_who_gave_it(rep, account):
    deal = OpportunityFactory(account=account, owner=rep, team=rep.team)
    old = ConfirmationFactory(opportunity=deal, kind="budget", confirmed_at=AT - 200 * DAY)
    ConfirmationFactory(opportunity=deal, kind="timing", confirmed_at=AT - 10 * DAY)

    gate = day(rep).gates[0]

    assert gate.deal == deal
    assert [(letter.given, letter.since, letter.is_stale) for letter in gate.letters] == [(old, TODAY - timedelta(days=19), True)]


def test_broken_gate_stands_first_and_names_what_was_withdrawn_and_why(rep, account):
    stale = OpportunityFactory(account=account, owner=rep, team=rep.team)
    ConfirmationFactory(opportunity=stale, confirmed_at=AT - 200 * DAY)
    broken = OpportunityFactory(account=account, owner=rep, team=rep.team)
    buyer = ContactFactory(account=account)
    confirmed(broken, "budget", at=AT, contact=buyer)
    confirmed(broken, "authority", at=AT, contact=decider(broken))
    opportunities.advance(broken, to="opportunity", at=AT)
    contacts.depart(buyer, left_on=TODAY, at=AT)

    first, second = day(rep).gates

    assert (first.deal, second.deal) == (broken, stale)
    assert [(one.given.kind, one.since, one.is_stale, one.given.withdrawn_because) for one in first.letters] == [
        ("budget", TODAY, False, "left the company")
    ]


def test_letter_that_was_withdrawn_and_given_anew_is_no_trouble(rep, account):
    deal = OpportunityFactory(account=account, owner=rep, team=rep.team)
    confirmed(deal, "budget", at=AT - 200 * DAY)
    confirmed(deal, "budget", at=AT)

    assert day(rep).gates == ()


@pytest.mark.parametrize("days", [179, 180, 181, 182])
@pytest.mark.parametrize("hours", [-10, 0, 14])
def test_database_and_gate_agree_on_what_is_too_old(db, days, hours):
    given = ConfirmationFactory(confirmed_at=AT - timedelta(days=days, hours=hours))

    assert Confirmation.objects.stale_on(TODAY).exists() == bant.is_stale(given.confirmed_at, AT)


# --- people, pilots, the night -----------------------------------------------------------------------------


def test_who_may_have_left_is_shown_with_the_latest_evidence(rep, account):
    contact = ContactFactory(account=account)
    signal = JobChangeSignal.objects.create(account=account, contact=contact, opened_at=AT)
    for hours, text in ((2, "Eerder"), (1, "Ik werk hier niet meer.")):
        signal.evidence.create(source="auto_reply", key=text, text=text, seen_at=AT - timedelta(hours=hours))
    JobChangeSignal.objects.create(account=account, contact=ContactFactory(account=account), opened_at=AT, status="dismissed")

    (found,) = day(rep).signals

    assert (found, found.said, found.said_by) == (signal, "Ik werk hier niet meer.", "auto_reply")


def test_pilots_that_end_within_two_weeks_or_are_over_are_shown(rep, account):
    begun = [(-3, "Over"), (14, "Nog net"), (15, "Later")]
    for days, name in begun:
        deal = OpportunityFactory(account=account, owner=rep, team=rep.team, name=name)
        start = AT - 30 * DAY
        pilots.start(opportunity=deal, success_criteria="Snel", ends_on=TODAY + timedelta(days=days), at=start)

    assert [pilot.opportunity.name for pilot in day(rep).pilots] == ["Over", "Nog net"]


def test_last_night_is_told_with_its_accounts_and_failures(rep):
    run = night(hours_ago=7, failures=2)

    found = day(rep).night

    assert (found.run, found.accounts, found.failures, found.is_late) == (run, 85, 2, False)


@pytest.mark.parametrize(("hours", "late"), [(25.9, False), (26.1, True)])
def test_night_is_late_after_26_hours(rep, hours, late):
    night(hours_ago=hours)

    assert day(rep).night.is_late is late


def test_run_that_never_was_is_late(rep):
    assert (day(rep).night.run, day(rep).night.is_late) == (None, True)


# --- whose day ---------------------------------------------------------------------------------------------


def full(owner: User, target_list: TargetList | None = None, slot: int = 1) -> Account:
    """Give somebody a line in every section, at an account of the team."""
    account = AccountFactory(owner=owner, team=owner.team)
    StandingFactory(account=account, momentum=9)
    ActivityFactory(account=account, contact=ContactFactory(account=account), kind="meeting", occurred_at=AT - DAY)
    put(target_list or a_list(owner.team, active=True), account, slot=slot)
    deal = OpportunityFactory(account=account, owner=owner, team=owner.team)
    ConfirmationFactory(opportunity=deal, confirmed_at=AT - 200 * DAY)
    pilots.start(opportunity=deal, success_criteria="Snel", ends_on=TODAY + 3 * DAY, at=AT)
    JobChangeSignal.objects.create(account=account, contact=ContactFactory(account=account), opened_at=AT)
    task(owner, "Bel terug", days=0, account=account)
    return account


SECTIONS = ("warming", "tasks", "gaps", "gates", "signals", "pilots")


def sizes(found: my_day.Day) -> dict[str, bool]:
    return {section: bool(getattr(found, section)) for section in SECTIONS}


def test_reps_see_their_own_and_nothing_of_a_colleague_or_of_another_team(rep, team, outsider):
    colleague = somebody("sales rep", team=team)
    full(rep)

    assert all(sizes(day(rep)).values())
    for somebody_else in (colleague, outsider):
        for reach in ("", "team", "all"):
            assert not any(sizes(day(somebody_else, reach)).values())
            assert day(somebody_else, reach).reach == "mine"


def test_lead_sees_the_teams_and_may_switch_to_the_own(rep, lead, outsider):
    full(rep)
    full(outsider)

    found = day(lead)

    assert (found.reach, found.reaches) == ("team", ("team", "mine"))
    assert all(sizes(found).values())
    assert {row.standing.account.owner for row in found.warming} == {task.owner for task in found.tasks} == {rep}
    assert not any(sizes(day(lead, "mine")).values())
    assert day(lead, "all").reach == "team"


def test_marketing_sees_everybodys(rep, outsider, marketer):
    full(rep)
    full(outsider)

    found = day(marketer)

    assert found.reach == "all"
    assert {row.standing.account.owner for row in found.warming} == {rep, outsider}


def test_team_deal_at_an_account_out_of_sight_names_nobody_there(lead, outsider):
    account = AccountFactory(owner=outsider, team=outsider.team)
    deal = OpportunityFactory(account=account, team=lead.team)
    ConfirmationFactory(opportunity=deal, confirmed_at=AT - 200 * DAY)

    assert not any(sizes(day(lead)).values())


def test_installation_without_accounts_is_new_and_one_with_quiet_accounts_is_not(rep):
    assert day(rep).is_new is True
    AccountFactory(owner=rep)
    assert day(rep).is_new is False


def test_queries_do_not_grow_with_the_lines(rep, django_assert_num_queries):
    target_list = a_list(rep.team, active=True)
    full(rep, target_list)
    with django_assert_num_queries(18):  # with the user and the one that asks for permissions
        day(rep)
    for slot in range(2, 6):
        full(rep, target_list, slot=slot)
    with django_assert_num_queries(18):
        day(rep)
