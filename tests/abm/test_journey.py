"""The journey of accounts: which phase the evidence shows, for one account in plain values and for many in one statement."""

import itertools
import os
from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abm import journey, policy, refresh
from abm.journey import rules, statements, times, words
from abm.journey.rules import Deal, Done, Facts, Placed
from abm.models import DayCount, JourneyPlacement, Phase, PhaseChange
from abm.policy.journey import Sign
from crm import activities, merges
from crm.models import Account, Confirmation, Contact, DmuMembership, DmuRole, Opportunity, Stage
from tests.factories.crm import AccountFactory, ConfirmationFactory, ContactFactory, MembershipFactory, OpportunityFactory

TODAY = date(2026, 3, 10)
ANYBODY, BUYER, DECIDER, USER = 0, 1, 2, 3
ROLES = {BUYER: {"buyer"}, DECIDER: {"decider"}, USER: {"user"}}


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=UTC)


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def did(kind: str, count: int = 1, *, who: int = ANYBODY, days: int = 1) -> Done:
    return Done(who, ago(days), kind, count)


def placed(*done: Done, before: Placed | None = None, status: str = "prospect", deals: tuple[Deal, ...] = (), day: date = TODAY) -> Placed:
    """Say where an account is of which so much is known."""
    known = rules.facts(done, roles=ROLES, left_on={}, status=status, deals=deals, day=day)
    return rules.place(known, before or Placed(), day=day)


# --- which phase -----------------------------------------------------------------------------------


def test_an_account_of_which_nothing_is_known_is_in_no_phase():
    assert placed() == (Phase.NONE, Phase.NONE)


@pytest.mark.parametrize(
    ("done", "phase", "overlap"),
    [
        ([did("page_view")], Phase.DREAM, Phase.NONE),
        ([did("email_open", 9)], Phase.DREAM, Phase.NONE),
        ([did("page_view", 2)], Phase.DREAM, Phase.RESEARCH),
        ([did("page_view", 3), did("email_click")], Phase.RESEARCH, Phase.NONE),
        ([did("download")], Phase.RESEARCH, Phase.NONE),
        ([did("event_visit")], Phase.RESEARCH, Phase.NONE),
        ([did("email_open", 3, who=USER)], Phase.RESEARCH, Phase.NONE),
        ([did("email_open", 3, who=DECIDER)], Phase.DREAM, Phase.NONE),
        ([did("download"), did("email_reply", who=USER)], Phase.RESEARCH, Phase.CONSIDER),
        ([did("email_reply"), did("call_answered")], Phase.CONSIDER, Phase.NONE),
        ([did("meeting", who=USER)], Phase.CONSIDER, Phase.NONE),
        ([did("form_demo_request")], Phase.CONSIDER, Phase.NONE),
        ([did("meeting", who=USER), did("pricing_view", 3)], Phase.CONSIDER, Phase.COMPARE),
        ([did("pricing_view", 3, who=BUYER)], Phase.COMPARE, Phase.NONE),
        ([did("meeting", 2, who=BUYER), did("email_reply", 2, who=DECIDER)], Phase.COMPARE, Phase.NONE),
        ([did("email_open", 20, who=BUYER), did("email_open", 20, who=DECIDER)], Phase.DREAM, Phase.NONE),
    ],
)
def test_the_furthest_phase_with_enough_evidence_counts_and_the_next_one_shows_when_it_has_begun(done, phase, overlap):
    assert placed(*done) == (phase, overlap)


@pytest.mark.parametrize(
    ("stage", "has_authority", "expected"),
    [
        ("mql", False, (Phase.RESEARCH, Phase.NONE)),
        ("sql", True, (Phase.CONSIDER, Phase.NONE)),
        ("opportunity", True, (Phase.COMPARE, Phase.NONE)),
        ("proposal", False, (Phase.COMPARE, Phase.NONE)),
        ("proposal", True, (Phase.COMPARE, Phase.BUY)),
        ("lost", True, (Phase.NONE, Phase.NONE)),
    ],
)
def test_an_open_deal_puts_its_account_where_its_stage_is(stage, has_authority, expected):
    assert placed(deals=(Deal(stage, ago(10), has_authority=has_authority),)) == expected


def test_a_deal_that_stood_still_for_half_a_year_says_nothing():
    assert placed(deals=(Deal("proposal", ago(179)),)).phase == Phase.COMPARE
    assert placed(deals=(Deal("proposal", ago(180)),)).phase == Phase.NONE
    assert placed(deals=(Deal("proposal", None),)).phase == Phase.NONE


def test_who_bought_is_buying_for_two_months_and_buys_again_after_that():
    assert placed(deals=(Deal("won", None, ago(0)),)) == (Phase.BUY, Phase.NONE)
    assert placed(deals=(Deal("won", None, ago(59)),), status="customer") == (Phase.BUY, Phase.REPEAT)
    assert placed(deals=(Deal("won", None, ago(59)), Deal("won", None, ago(400)))) == (Phase.BUY, Phase.REPEAT)
    assert placed(deals=(Deal("won", None, ago(60)),)) == (Phase.REPEAT, Phase.NONE)
    assert placed(deals=(Deal("won", None, ago(729)),)) == (Phase.REPEAT, Phase.NONE)
    assert placed(deals=(Deal("won", None, ago(730)),)) == (Phase.NONE, Phase.NONE)


def test_a_customer_is_in_repeat_and_a_new_deal_of_theirs_overlaps():
    assert placed(status="customer") == (Phase.REPEAT, Phase.NONE)
    assert placed(did("pricing_view", 9), status="customer") == (Phase.REPEAT, Phase.NONE)
    assert placed(status="customer", deals=(Deal("sql", ago(3)),)) == (Phase.REPEAT, Phase.CONSIDER)
    assert placed(status="customer", deals=(Deal("proposal", ago(3), has_authority=True),)) == (Phase.REPEAT, Phase.BUY)


def test_what_a_former_customer_bought_long_ago_counts_no_more():
    assert placed(did("download"), status="former", deals=(Deal("won", None, ago(100)),)).phase == Phase.RESEARCH


def test_a_competitor_is_on_no_journey_whatever_they_read():
    assert placed(did("pricing_view", 9, who=BUYER), status="competitor") == (Phase.NONE, Phase.NONE)


def test_what_somebody_did_who_left_counts_nothing_from_that_day():
    known = {"roles": ROLES, "status": "prospect", "deals": (), "day": TODAY}
    stays = rules.facts([did("meeting", who=USER)], left_on={USER: ago(-1)}, **known)
    leaves = rules.facts([did("meeting", who=USER)], left_on={USER: TODAY}, **known)

    assert rules.place(stays, Placed(), day=TODAY).phase == Phase.CONSIDER
    assert rules.place(leaves, Placed(), day=TODAY).phase == Phase.NONE


# --- back, and not from day to day -----------------------------------------------------------------


def test_evidence_fades_and_the_account_goes_back_only_when_it_is_gone_for_two_weeks_more():
    meeting, here = did("meeting", days=0), Placed(Phase.CONSIDER)

    assert placed(meeting, before=here, day=ago(-89)).phase == Phase.CONSIDER
    assert placed(meeting, before=here, day=ago(-103)).phase == Phase.CONSIDER
    assert placed(meeting, before=here, day=ago(-104)).phase == Phase.NONE
    # Who was not there does not get there by what only lingers.
    assert placed(meeting, day=ago(-90)).phase == Phase.NONE


def test_an_account_whose_evidence_is_on_the_edge_every_day_changes_at_most_once_in_two_weeks():
    done = [did("pricing_view", 1, who=BUYER, days=-day) for day in range(0, 200, 16)]
    state, changes = Placed(), []
    for day in range(200):
        now = placed(*done, before=state, day=ago(-day))
        if now.phase != state.phase:
            changes.append(day)
        state = now

    assert changes
    assert all(later - earlier >= policy.JOURNEY.linger_days for earlier, later in itertools.pairwise(changes) if earlier > 0)


def test_a_lost_deal_leaves_the_account_where_what_people_did_puts_it():
    before = Placed(Phase.COMPARE)

    assert placed(did("meeting", who=USER), before=before, deals=(Deal("lost", ago(0), ago(0)),)) == (Phase.CONSIDER, Phase.NONE)


# --- the numbers -----------------------------------------------------------------------------------


def test_an_organisation_may_ask_for_more_evidence(monkeypatch):
    monkeypatch.setattr(policy, "JOURNEY", policy.JOURNEY)

    assert policy.configure({"JOURNEY": {"signs": {"material": {"at_least": 3}}, "linger_days": 30}}) == []

    assert policy.JOURNEY.signs["material"] == Sign("research", 3, 60, kinds=("download",))
    assert policy.JOURNEY.linger_days == 30
    assert placed(did("download", 2)) == (Phase.DREAM, Phase.RESEARCH)
    assert placed(did("download", 3)).phase == Phase.RESEARCH


@pytest.mark.parametrize(
    "own",
    [{"colour": {}}, {"material": {"at_least": 0}}, {"material": {"within_days": "long"}}, {"material": {"kinds": []}}, [1]],
)
def test_a_number_of_the_journey_that_cannot_be_right_stops_the_start(own, monkeypatch):
    monkeypatch.setattr(policy, "JOURNEY", policy.JOURNEY)

    with pytest.raises(ValueError, match=r"JOURNEY\.signs"):
        policy.configure({"JOURNEY": {"signs": own}})


def test_every_sign_and_every_piece_of_evidence_has_words():
    assert words.SIGNS.keys() == policy.JOURNEY.signs.keys()
    known = Facts(counts={"prices": (2, 2), "meetings": (0, 1)}, deal=Phase.CONSIDER)

    said = words.sentence(rules.evidence(known, Placed(Phase.CONSIDER, Phase.COMPARE)))

    assert (
        said == "An open deal, sales qualified, 1 meeting or demo request in 104 days and 2 looks at prices in 45 days of 3 that are enough"
    )


# --- many at once ----------------------------------------------------------------------------------


def plainly(account: Account, before: Placed, day: date) -> Placed:
    """Say where an account is, from its records one by one."""
    counts = DayCount.objects.filter(account_id=account.pk)
    people = Contact.objects.filter(account=account)
    roles = {person.pk: set(person.memberships.at_work().held_on(day).values_list("role", flat=True)) for person in people}
    deals = [
        Deal(
            deal.stage,
            deal.stage_since and policy_day(deal.stage_since),
            deal.closed_on,
            Confirmation.objects.standing().filter(opportunity=deal, kind="authority").exists(),
        )
        for deal in Opportunity.objects.filter(account=account)
    ]
    known = rules.facts(
        [Done(row.contact_id, row.day, row.kind, row.count) for row in counts],
        roles=roles,
        left_on={person.pk: person.left_on for person in people if person.left_on},
        status=account.status,
        deals=deals,
        day=day,
    )
    found = statements.found(account.pk, day=day)
    assert found is not None
    assert found.facts == known
    return rules.place(known, before, day=day)


def policy_day(moment: datetime) -> date:
    from crm.policy import day_of

    return day_of(moment)


KINDS = sorted(policy.SCORING.kinds)
DID = st.tuples(st.integers(0, 3), st.integers(0, 130), st.sampled_from(KINDS), st.integers(1, 4))
ROLE = st.tuples(st.integers(1, 3), st.sampled_from(DmuRole.values), st.integers(-2, 60), st.booleans())
DEAL = st.tuples(st.sampled_from(["mql", "sql", "opportunity", "proposal", "won", "lost"]), st.integers(-1, 800), st.booleans())
ACCOUNT = st.tuples(
    st.sampled_from(["prospect", "prospect", "prospect", "customer", "former", "competitor"]),
    st.lists(DID, max_size=12),
    st.lists(ROLE, max_size=4),
    st.lists(DEAL, max_size=2),
    st.sampled_from([None, None, -1, 0, 20]),
)


@pytest.mark.django_db
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(ACCOUNT, min_size=2, max_size=4), st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_one_statement_says_of_every_account_what_the_rules_say_of_one(accounts, steps):
    with transaction.atomic():
        made = [known_account(*facts) for facts in accounts]
        before, day = {account.pk: Placed() for account in made}, TODAY
        for step in steps:
            expected = {account.pk: plainly(account, before[account.pk], day) for account in made}
            changed = journey.store([account.pk for account in made], day=day, at=noon(day))
            kept = {row.account_id: Placed(row.phase, row.overlap) for row in JourneyPlacement.objects.all()}
            assert kept == {pk: now for pk, now in expected.items() if now != Placed() or pk in kept}
            assert changed == sum(expected[pk] != before[pk] for pk in before)
            assert_history_tells_of(kept)
            assert journey.store([account.pk for account in made], day=day, at=noon(day)) == 0
            before, day = expected, day + timedelta(days=step)
        transaction.set_rollback(True)


SETTLED = st.tuples(
    st.sampled_from(["prospect", "prospect", "customer", "former", "competitor"]),
    st.lists(DID, max_size=12),
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from(DmuRole.values), st.integers(1, 60), st.just(False)), max_size=4),
    st.lists(
        st.tuples(st.sampled_from(["mql", "sql", "opportunity", "proposal", "won", "lost"]), st.integers(0, 800), st.booleans()), max_size=2
    ),
    st.none(),
)


@pytest.mark.django_db
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "15")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(SETTLED, min_size=2, max_size=4), st.lists(st.integers(1, 3), min_size=10, max_size=60))
def test_days_alone_move_no_account_but_those_of_which_something_fades(accounts, steps):
    with transaction.atomic():
        ids = [known_account(*facts).pk for facts in accounts]
        journey.store(ids, day=TODAY, at=noon(TODAY))
        day = TODAY
        for step in steps:
            day, before = day + timedelta(days=step), day
            fading = journey.fading((min(ids), max(ids)), after=before, day=day)
            assert {row.account_id for row in statements.changed(ids, day=day)} <= fading
            journey.store(ids, day=day, at=noon(day))
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_an_account_of_which_nothing_fades_today_is_not_looked_at():
    person = ContactFactory()
    counted = DayCount.objects.create(account_id=person.account_id, contact_id=person.pk, day=TODAY, kind="meeting", count=1)
    journey.store([person.account_id], day=TODAY, at=noon(TODAY))
    ends = (person.account_id, person.account_id)

    looked_at = [days for days in range(1, 120) if journey.fading(ends, after=ago(1 - days), day=ago(-days))]

    assert looked_at == [45, 59, 60, 74, 90, 104]
    assert journey.fading((1, person.account_id - 1), after=counted.day, day=ago(-120)) == set()


def known_account(status, done, roles, deals, left) -> Account:
    account = AccountFactory(status=status)
    people = [ContactFactory(account=account, left_on=None if left is None or number else ago(left)) for number in range(3)]
    for who, role, since, is_ended in roles:
        ended = {"until": max(ago(since), ago(5)), "end_reason": "moved"} if is_ended else {}
        if is_ended or not DmuMembership.objects.filter(contact=people[who - 1], role=role, until=None).exists():
            MembershipFactory(contact=people[who - 1], role=role, since=ago(since), **ended)
    counts: dict[tuple[int, date, str], int] = {}
    for who, days, kind, count in done:
        counts[people[who - 1].pk if who else 0, ago(days), kind] = count
    DayCount.objects.bulk_create(
        DayCount(account_id=account.pk, contact_id=who, day=day, kind=kind, count=count) for (who, day, kind), count in counts.items()
    )
    for stage, days, has_authority in deals:
        closed = {"closed_on": ago(days), "lost_reason": "Te duur" if stage == "lost" else ""} if stage in ("won", "lost") else {}
        deal = OpportunityFactory(account=account, stage=stage, stage_since=noon(ago(days)), imported_stage=stage, **closed)
        if has_authority:
            ConfirmationFactory(opportunity=deal, kind="authority", contact=people[0])
    return account


def assert_history_tells_of(kept: dict[int, Placed]) -> None:
    """The changes of each account follow on each other, and end where it is."""
    for pk, now in kept.items():
        state, since = Placed(), None
        for row in PhaseChange.objects.filter(account=pk).order_by("day"):
            assert Placed(row.from_phase, row.from_overlap) == state
            assert row.stayed_days == (None if since is None else (row.day - since).days)
            since = since if since and row.phase == state.phase else row.day
            state = Placed(row.phase, row.overlap)
        assert state == now
        assert JourneyPlacement.objects.get(pk=pk).since == since


@pytest.mark.django_db
def test_a_night_over_accounts_that_did_not_change_writes_no_row(django_assert_num_queries):
    people = [ContactFactory() for _ in range(30)]
    for person in people:
        activities.record(account=person.account, contact=person, kind="meeting", occurred_at=noon(TODAY), source="t", at=noon(TODAY))
    ids = [person.account_id for person in people]
    refresh.accounts(ids, at=noon(TODAY))
    assert PhaseChange.objects.count() == 30

    with CaptureQueriesContext(connection) as asked:
        assert journey.store(ids, day=ago(-1), at=noon(ago(-1))) == 0

    assert not [query["sql"] for query in asked if query["sql"].startswith(("INSERT", "UPDATE"))]
    assert PhaseChange.objects.count() == JourneyPlacement.objects.count() == 30


@pytest.mark.django_db
def test_the_statements_are_as_many_for_many_accounts_as_for_few():
    def statements_for(many: int) -> int:
        people = [ContactFactory() for _ in range(many)]
        DayCount.objects.bulk_create(
            DayCount(account_id=person.account_id, contact_id=person.pk, day=TODAY, kind="meeting", count=1) for person in people
        )
        with CaptureQueriesContext(connection) as asked:
            assert journey.store([person.account_id for person in people], day=TODAY, at=noon(TODAY)) == many
        return len(asked)

    assert statements_for(2) == statements_for(90) <= 8


# --- dated -----------------------------------------------------------------------------------------


@pytest.fixture
def person(db) -> Contact:
    return ContactFactory()


def happened(person: Contact, kind: str, day: date, count: int = 1) -> DayCount:
    row = DayCount(account_id=person.account_id, contact_id=person.pk, day=day, kind=kind, count=count)
    row.save(force_insert=True)
    return row


def stored(person: Contact, day: date) -> int:
    return journey.store([person.account_id], day=day, at=noon(day))


def history(person: Contact) -> list[tuple[date, Phase, Phase, int | None]]:
    rows = PhaseChange.objects.filter(account=person.account).order_by("day")
    return [(row.day, Phase(row.from_phase), Phase(row.phase), row.stayed_days) for row in rows]


def test_every_change_is_dated_with_where_from_how_long_and_why(person):
    happened(person, "download", TODAY)
    stored(person, TODAY)
    happened(person, "meeting", ago(-20))
    stored(person, ago(-20))

    assert history(person) == [(TODAY, Phase.NONE, Phase.RESEARCH, None), (ago(-20), Phase.RESEARCH, Phase.CONSIDER, 20)]
    last = PhaseChange.objects.latest("day")
    assert last.evidence == [{"phase": "consider", "sign": "meetings", "count": 1, "days": 90, "of": 1}]
    now = JourneyPlacement.objects.get()
    assert (now.phase, now.since, now.changed_on, now.evidence) == (Phase.CONSIDER, ago(-20), ago(-20), last.evidence)


def test_an_account_that_changes_twice_in_a_day_keeps_the_last_change_from_where_the_day_began(person):
    happened(person, "download", ago(30))
    stored(person, ago(30))
    happened(person, "meeting", TODAY)
    stored(person, TODAY)
    happened(person, "pricing_view", TODAY, 3)
    MembershipFactory(contact=person, role="buyer")

    assert stored(person, TODAY) == 1

    assert history(person)[1:] == [(TODAY, Phase.RESEARCH, Phase.COMPARE, 30)]
    assert JourneyPlacement.objects.get().since == TODAY


def test_a_change_that_is_taken_back_on_the_same_day_never_was(person):
    happened(person, "download", ago(30))
    stored(person, ago(30))
    by_mistake = happened(person, "meeting", TODAY)
    stored(person, TODAY)
    by_mistake.delete()

    assert stored(person, TODAY) == 1

    assert history(person) == [(ago(30), Phase.NONE, Phase.RESEARCH, None)]
    assert JourneyPlacement.objects.get().since == ago(30)


def test_an_account_that_was_never_anywhere_before_today_is_nowhere_again_without_a_trace(person):
    by_mistake = happened(person, "meeting", TODAY)
    stored(person, TODAY)
    by_mistake.delete()
    stored(person, TODAY)

    assert not PhaseChange.objects.exists()
    assert not JourneyPlacement.objects.exists()


def test_an_overlap_that_begins_is_dated_too_and_leaves_the_day_of_the_phase_alone(person):
    happened(person, "download", ago(30))
    stored(person, ago(30))
    happened(person, "email_reply", TODAY)
    stored(person, TODAY)

    now, last = JourneyPlacement.objects.get(), PhaseChange.objects.latest("day")
    assert (now.phase, now.overlap, now.since, now.changed_on) == (Phase.RESEARCH, Phase.CONSIDER, ago(30), TODAY)
    assert (last.from_phase, last.phase, last.from_overlap, last.overlap) == (Phase.RESEARCH, Phase.RESEARCH, Phase.NONE, Phase.CONSIDER)
    assert not PhaseChange.objects.ended().exists()


def test_a_worker_whose_clock_is_a_day_behind_changes_nothing(person):
    happened(person, "download", ago(1))
    happened(person, "meeting", TODAY)
    stored(person, TODAY)

    assert stored(person, ago(1)) == 0
    assert history(person) == [(TODAY, Phase.NONE, Phase.CONSIDER, None)]


def test_a_stage_that_a_deal_has_later_does_not_count_on_a_day_before(person):
    OpportunityFactory(account=person.account, stage=Stage.SQL, stage_since=noon(TODAY))

    assert journey.position(person.account_id, day=ago(1)).placed == Placed()
    assert journey.position(person.account_id, day=TODAY).placed == (Phase.CONSIDER, Phase.NONE)
    assert journey.position(0, day=TODAY) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [{"phase": 7}, {"phase": 2, "overlap": 4}, {"phase": 4, "overlap": 3}, {"phase": 6, "overlap": 1}, {"phase": 2, "since": ago(-1)}],
)
def test_the_database_refuses_a_placement_that_cannot_be(wrong):
    with pytest.raises(IntegrityError), transaction.atomic():
        JourneyPlacement.objects.create(**({"account": AccountFactory(), "since": TODAY, "changed_on": TODAY} | wrong))


@pytest.mark.django_db
def test_the_database_refuses_two_changes_on_a_day_and_one_that_goes_nowhere():
    account = AccountFactory()
    PhaseChange.objects.create(account=account, day=TODAY, from_phase=0, phase=1)

    for again in ({"day": TODAY, "from_phase": 1, "phase": 2}, {"day": ago(1), "from_phase": 2, "phase": 2}):
        with pytest.raises(IntegrityError), transaction.atomic():
            PhaseChange.objects.create(account=account, **again)


# --- time per phase --------------------------------------------------------------------------------


def moved(account: Account, *path: tuple[int, Phase]) -> None:
    """Let an account go this way: days ago, and where to."""
    state, since = Phase.NONE, None
    for days, phase in path:
        stayed = (ago(days) - since).days if since else None
        PhaseChange.objects.create(account=account, day=ago(days), from_phase=state, phase=phase, stayed_days=stayed)
        state, since = phase, ago(days)
    JourneyPlacement.objects.create(account=account, phase=state, since=since, changed_on=since)


@pytest.mark.django_db
def test_the_report_tells_how_many_are_in_each_phase_and_how_long_half_of_those_stayed_who_left_it():
    for days in (10, 20, 30, 90):
        moved(AccountFactory(), (100, Phase.DREAM), (100 - days, Phase.RESEARCH))
    moved(AccountFactory(), (50, Phase.RESEARCH), (45, Phase.CONSIDER))

    stays = {stay.phase: stay for stay in times.report(JourneyPlacement.objects.all(), PhaseChange.objects.all())}

    assert stays[Phase.DREAM] == (Phase.DREAM, 0, 0, 4, 20)
    assert stays[Phase.RESEARCH] == (Phase.RESEARCH, 4, 0, 1, 5)
    assert stays[Phase.CONSIDER] == (Phase.CONSIDER, 1, 0, 0, None)
    assert list(stays) == [Phase.DREAM, Phase.RESEARCH, Phase.CONSIDER, Phase.COMPARE, Phase.BUY, Phase.REPEAT]


@pytest.mark.django_db
def test_time_per_phase_adds_up_every_stay_and_today():
    account = AccountFactory()
    moved(account, (100, Phase.DREAM), (90, Phase.RESEARCH), (60, Phase.DREAM), (55, Phase.RESEARCH))

    spent = times.of_account(account.phase_changes.all(), account.journey, today=TODAY)

    assert spent == {Phase.DREAM: 15, Phase.RESEARCH: 85}


# --- merged ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_two_accounts_that_are_merged_have_one_journey_and_get_their_own_back(at):
    kept, folded = AccountFactory(), AccountFactory()
    moved(kept, (100, Phase.DREAM), (40, Phase.RESEARCH), (20, Phase.DREAM))
    moved(folded, (80, Phase.CONSIDER), (30, Phase.DREAM))
    before = [list(model.objects.order_by("pk").values()) for model in (PhaseChange, JourneyPlacement)]

    done = merges.merge(kept, folded, choices={}, by=None, at=at)

    rows = PhaseChange.objects.filter(account=kept).order_by("day")
    assert [(row.day, row.from_phase, row.phase, row.stayed_days) for row in rows] == [
        (ago(100), Phase.NONE, Phase.DREAM, None),
        (ago(80), Phase.DREAM, Phase.CONSIDER, 20),
        (ago(30), Phase.CONSIDER, Phase.RESEARCH, 50),
        (ago(20), Phase.RESEARCH, Phase.DREAM, 10),
    ]
    assert (JourneyPlacement.objects.get().phase, JourneyPlacement.objects.get().since) == (Phase.DREAM, ago(20))

    merges.unmerge(done, by=None, at=at)

    assert [list(model.objects.order_by("pk").values()) for model in (PhaseChange, JourneyPlacement)] == before


# --- in the refresh --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_refresh_places_the_account_by_what_was_recorded_a_moment_ago(at):
    person = ContactFactory()
    activities.record(account=person.account, contact=person, kind="form_demo_request", occurred_at=at, source="test", at=at)

    refresh.changed(at=at)

    assert (person.account.journey.phase, person.account.journey.since) == (Phase.CONSIDER, TODAY)
