"""The engagement score: what counts, the explanation, and what is kept."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abm import engagement, policy, score_numbers
from abm.models import EngagementScore, ScoreParameters
from crm import activities, activity_kinds
from crm.models import Activity
from tests.factories.abm import EngagementScoreFactory
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, MembershipFactory, OpportunityFactory

ROLES = ("initiator", "user", "influencer", "buyer", "decider")
TODAY = date(2026, 3, 10)


def plain(counts, *, roles=None, left_on=None, required=ROLES, as_of=TODAY, numbers=policy.SCORING):
    return engagement.score(counts, roles=roles or {}, left_on=left_on or {}, required=required, as_of=as_of, numbers=numbers)


def test_every_kind_of_activity_is_worth_points_or_known_to_be_worth_nothing():
    weighted = set(policy.SCORING.kinds)

    assert weighted | policy.WORTH_NOTHING == set(activity_kinds.KINDS)
    assert weighted & policy.WORTH_NOTHING == set()
    assert policy.WORTH_NOTHING == activity_kinds.OURS_KINDS


def test_an_account_without_activities_has_no_points_and_half_the_breadth():
    scored = plain({})

    assert (scored.lines, scored.weighted_points, scored.breadth, scored.x, scored.score) == ((), 0.0, 0.5, 0.0, 0.0)
    assert (scored.score_1, scored.shares, scored.active_roles) == (Decimal("0.0"), {}, ())


@pytest.mark.parametrize(("day", "lines"), [(0, 1), (180, 1), (181, 0), (-1, 0)])
def test_an_activity_counts_from_its_day_until_the_window_closes(day, lines):
    scored = plain({(1, "meeting", TODAY - timedelta(days=day)): 1})

    assert len(scored.lines) == lines


def test_a_contact_counts_nothing_from_the_day_of_leaving():
    counts = {(1, "meeting", date(2026, 3, 1)): 1}

    assert plain(counts, left_on={1: date(2026, 3, 11)}).weighted_points > 0
    assert plain(counts, left_on={1: date(2026, 3, 10)}).lines == ()


def test_an_unknown_kind_counts_nothing():
    assert plain({(1, "telepathy", TODAY): 3, (1, "email_sent", TODAY): 3}).lines == ()


def test_the_heaviest_role_weighs_and_every_role_becomes_active():
    scored = plain({(1, "email_click", TODAY): 1}, roles={1: {"user", "decider", "influencer"}})

    assert scored.lines[0].role_weight == 1.5
    assert scored.active_roles == ("user", "influencer", "decider")
    assert scored.breadth == pytest.approx(0.8)


def test_who_holds_no_role_weighs_less_and_makes_no_role_active():
    scored = plain({(1, "email_click", TODAY): 1, (None, "page_view", TODAY): 5})

    assert [(line.contact_id, line.role_weight) for line in scored.lines] == [(1, 0.8), (None, 0.5)]
    assert (scored.active_roles, scored.breadth) == ((), 0.5)


def test_two_holders_of_a_role_make_it_active_together():
    open_of_two_weeks_ago = date(2026, 2, 24)
    counts = {(1, "email_open", open_of_two_weeks_ago): 1}
    roles = {1: {"buyer"}, 2: {"buyer"}}

    assert plain(counts, roles=roles).active_roles == ()
    assert plain(counts | {(2, "email_open", open_of_two_weeks_ago): 1}, roles=roles).active_roles == ("buyer",)


def test_only_required_roles_count_for_breadth():
    counts, roles = {(1, "meeting", TODAY): 1, (2, "meeting", TODAY): 1}, {1: {"decider"}, 2: {"initiator"}}

    scored = plain(counts, roles=roles, required=("decider",))

    assert (scored.active_roles, scored.breadth) == (("decider",), 1.0)


def test_a_score_is_shown_rounded_half_up():
    half = replace(plain({}), score=24.25)

    assert half.score_1 == Decimal("24.3")
    assert replace(half, score=24.249999999999996).score_1 == Decimal("24.3")
    assert replace(half, score=24.2499).score_1 == Decimal("24.2")


def test_a_missing_role_says_what_breadth_and_score_would_be_with_it():
    scored = plain({(1, "meeting", TODAY): 2}, roles={1: {"user"}}, required=("user", "buyer", "decider"))

    missing = engagement.missing_roles(scored, numbers=policy.SCORING)

    assert [row.role for row in missing] == ["buyer", "decider"]
    assert [row.breadth for row in missing] == pytest.approx([5 / 6, 5 / 6])
    assert missing[0].score == pytest.approx(100 * (25 * 5 / 6) / (25 * 5 / 6 + 50))


groups = st.tuples(
    st.one_of(st.none(), st.integers(1, 6)),
    st.sampled_from([*policy.SCORING.kinds, "telepathy"]),
    st.dates(TODAY - timedelta(days=200), TODAY + timedelta(days=3)),
)
roles_held = st.dictionaries(st.integers(1, 6), st.sets(st.sampled_from(ROLES), min_size=1))
leavers = st.dictionaries(st.integers(1, 6), st.dates(TODAY - timedelta(days=20), TODAY + timedelta(days=20)), max_size=2)


@settings(max_examples=200, deadline=None)
@given(
    happened=st.lists(groups, max_size=60), deleted=st.lists(groups, max_size=20), roles=roles_held, left_on=leavers, chance=st.randoms()
)
def test_any_order_of_recording_and_deleting_gives_the_score_of_a_fresh_rebuild(happened, deleted, roles, left_on, chance):
    deeds = [(group, +1) for group in [*happened, *deleted]] + [(group, -1) for group in deleted]
    chance.shuffle(deeds)
    kept = Counter()
    for group, change in deeds:
        kept[group] += change
    kept = {group: count for group, count in kept.items() if count}
    shuffled = dict(chance.sample(sorted(kept.items(), key=str), len(kept)))

    incremental, rebuilt = (plain(counts, roles=roles, left_on=left_on) for counts in (shuffled, Counter(happened)))

    assert incremental == rebuilt
    assert incremental.score == pytest.approx(rebuilt.score, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(happened=st.lists(groups, max_size=60), roles=roles_held)
def test_the_explanation_adds_up_to_the_score(happened, roles):
    scored = plain(Counter(happened), roles=roles)

    points = sum(line.after_cap * line.decay * line.role_weight for line in scored.lines)
    assert points == pytest.approx(scored.weighted_points, abs=1e-9)
    assert 100 * points * scored.breadth / (points * scored.breadth + 50) == pytest.approx(scored.score, abs=1e-9)
    assert sum(scored.shares.values()) == pytest.approx(scored.score, abs=1e-9)
    assert 0 <= scored.score < 100


@pytest.mark.django_db
def test_what_a_machine_did_counts_nothing():
    contact = ContactFactory()
    for reason in ("", "link_scanner", "mail_proxy"):
        ActivityFactory(account=contact.account, contact=contact, kind="email_click", machine_reason=reason)

    (line,) = engagement.explain(contact.account, as_of=TODAY).scored.lines

    assert line.times == 1


@pytest.mark.django_db
def test_our_own_work_counts_nothing_even_if_somebody_gives_it_points():
    contact = ContactFactory()
    ActivityFactory(account=contact.account, contact=contact, kind="email_sent")
    numbers = policy.Scoring(kinds={"email_sent": policy.KindWeight(5, 5, 30)})

    assert engagement.of_accounts([contact.account_id], as_of=TODAY, numbers=numbers)[contact.account_id].lines == ()


@pytest.mark.django_db
def test_roles_are_those_held_on_the_day_that_is_scored():
    contact = ContactFactory()
    ActivityFactory(account=contact.account, contact=contact, kind="meeting", day=date(2026, 1, 10))
    MembershipFactory(contact=contact, role="decider", since=date(2026, 2, 1), until=date(2026, 3, 1), end_reason="moved")

    days = [date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 28), date(2026, 3, 1)]
    scored = engagement.of_days([contact.account_id], days=days)

    assert [scored[day][contact.account_id].lines[0].role_weight for day in days] == [0.8, 1.5, 1.5, 0.8]


@pytest.mark.django_db
def test_a_role_for_one_opportunity_weighs_for_the_account():
    contact = ContactFactory()
    MembershipFactory(contact=contact, role="buyer", opportunity=OpportunityFactory(account=contact.account))
    ActivityFactory(account=contact.account, contact=contact, kind="meeting")

    scored = engagement.of_accounts([contact.account_id], as_of=TODAY)[contact.account_id]

    assert (scored.lines[0].role_weight, scored.active_roles) == (1.3, ("buyer",))


@pytest.mark.django_db
@pytest.mark.parametrize("stage", ["won", "lost"])
def test_a_role_for_a_deal_that_was_closed_weighs_no_more(stage):
    contact = ContactFactory()
    closed = {"closed_on": date(2026, 3, 1), "lost_reason": "Prijs" if stage == "lost" else ""}
    deal = OpportunityFactory(account=contact.account, stage=stage, imported_stage=stage, **closed)
    MembershipFactory(contact=contact, role="decider", opportunity=deal)
    MembershipFactory(contact=contact, role="user")
    ActivityFactory(account=contact.account, contact=contact, kind="meeting")

    scored = engagement.of_accounts([contact.account_id], as_of=TODAY)[contact.account_id]

    assert (scored.lines[0].role_weight, scored.active_roles) == (1.0, ("user",))


@pytest.mark.django_db
def test_who_left_takes_the_points_along():
    contact = ContactFactory(left_on=TODAY)
    ActivityFactory(account=contact.account, contact=contact, kind="meeting")

    scored = engagement.of_days([contact.account_id], days=[date(2026, 3, 9), TODAY])

    assert [scored[day][contact.account_id].weighted_points > 0 for day in scored] == [True, False]


@pytest.mark.django_db
def test_required_roles_follow_from_the_size_of_the_account():
    employees = {5: 1, 100: 3, 250: 5, None: 3}
    accounts = {AccountFactory(employees=size).pk: roles for size, roles in employees.items()}

    scored = engagement.of_accounts(accounts, as_of=TODAY)

    assert {pk: len(one.required_roles) for pk, one in scored.items()} == accounts


@pytest.mark.django_db
def test_an_account_that_does_not_exist_is_left_out():
    account = AccountFactory()

    assert engagement.of_accounts([account.pk, account.pk + 1], as_of=TODAY).keys() == {account.pk}
    assert engagement.of_accounts([], as_of=TODAY) == {}


@pytest.mark.django_db
def test_the_number_of_queries_does_not_depend_on_the_number_of_accounts(django_assert_num_queries):
    contacts = ContactFactory.create_batch(6)
    for contact in contacts:
        ActivityFactory(account=contact.account, contact=contact)
        MembershipFactory(contact=contact)

    for count in (1, 6):
        with django_assert_num_queries(5):
            scored = engagement.of_accounts([contact.account_id for contact in contacts[:count]], as_of=TODAY)
        assert [one.weighted_points > 0 for one in scored.values()] == [True] * count


@pytest.mark.django_db
def test_an_explanation_names_the_activities_behind_each_line_if_asked():
    contact = ContactFactory()
    same_day = [ActivityFactory(account=contact.account, contact=contact, kind="email_open").pk for _ in range(3)]
    ActivityFactory(account=contact.account, contact=contact, kind="email_open", machine_reason="mail_proxy")
    ActivityFactory(account=contact.account, contact=contact, kind="note")
    visit = ActivityFactory(account=contact.account, day=TODAY).pk

    explanation = engagement.explain(contact.account, as_of=TODAY, with_activities=True)

    assert explanation.activity_ids == {
        (contact.pk, "email_open", date(2026, 3, 1)): same_day,
        (None, "page_view", TODAY): [visit],
    }
    assert engagement.explain(contact.account, as_of=TODAY).activity_ids == {}
    assert [row.role for row in explanation.missing_roles] == ["decider", "buyer", "user"]
    assert explanation.parameters_version == policy.SCORING.version


@pytest.mark.django_db
def test_a_deleted_activity_over_the_cap_leaves_the_score_as_it_was(at):
    contact = ContactFactory()
    rows = [ActivityFactory(account=contact.account, contact=contact, kind="email_open") for _ in range(3)]
    before = engagement.of_accounts([contact.account_id], as_of=TODAY)[contact.account_id].score

    activities.delete(rows[1], at=at)

    assert engagement.of_accounts([contact.account_id], as_of=TODAY)[contact.account_id].score == before


@pytest.mark.django_db
def test_a_score_is_kept_once_a_day_with_the_numbers_that_made_it(at):
    contact = ContactFactory()
    ActivityFactory(account=contact.account, contact=contact, kind="meeting", day=TODAY)

    for _ in range(2):
        kept = engagement.store(engagement.of_accounts([contact.account_id], as_of=TODAY), day=TODAY, at=at, numbers=policy.SCORING)

    row = EngagementScore.objects.get()
    assert (kept, row.account_id, row.day, row.weighted_points, row.breadth, row.x) == (1, contact.account_id, TODAY, 20.0, 0.5, 10.0)
    assert (row.score, row.active_roles, row.parameters_id) == (Decimal("16.7"), [], policy.SCORING.version)
    assert ScoreParameters.objects.get().first_used_at == at


@pytest.mark.django_db
def test_a_score_of_nothing_is_not_kept_and_takes_away_what_was(at):
    kept, gone = EngagementScoreFactory(day=TODAY), EngagementScoreFactory(day=TODAY)
    yesterday = EngagementScoreFactory(account=gone.account, day=date(2026, 3, 9))
    ActivityFactory(account=kept.account, kind="meeting", day=TODAY)

    engagement.store(engagement.of_accounts([kept.account_id, gone.account_id], as_of=TODAY), day=TODAY, at=at, numbers=policy.SCORING)

    assert set(EngagementScore.objects.values_list("pk", flat=True)) == {kept.pk, yesterday.pk}
    kept.refresh_from_db()
    assert kept.weighted_points == 12.5


@pytest.mark.django_db
def test_yesterdays_score_can_be_replayed_with_yesterdays_numbers(at, monkeypatch):
    contact = ContactFactory()
    ActivityFactory(account=contact.account, contact=contact, kind="meeting", day=date(2026, 3, 1))
    engagement.store(engagement.of_accounts([contact.account_id], as_of=TODAY), day=TODAY, at=at, numbers=policy.SCORING)
    stored = EngagementScore.objects.get()
    monkeypatch.setattr(policy, "SCORING", policy.Scoring(half_saturation=10.0, role_weight={"unknown": 0.1}))

    numbers = score_numbers.numbers_of(ScoreParameters.objects.get(pk=stored.parameters_id))
    replayed = engagement.of_accounts([contact.account_id], as_of=TODAY, numbers=numbers)[contact.account_id]

    assert numbers.version == stored.parameters_id != policy.SCORING.version
    assert (replayed.x, replayed.score_1) == (stored.x, stored.score)
    assert engagement.of_accounts([contact.account_id], as_of=TODAY)[contact.account_id].score_1 != stored.score


@pytest.mark.django_db
def test_old_history_keeps_its_mondays():
    account = AccountFactory()
    for day in range(1, 16):
        EngagementScoreFactory(account=account, day=date(2026, 3, day))

    gone = engagement.thin(before=date(2026, 3, 11))

    kept = list(EngagementScore.objects.order_by("day").values_list("day__day", flat=True))
    assert (gone, kept) == (8, [2, 9, 11, 12, 13, 14, 15])


@pytest.mark.django_db
def test_an_erased_persons_activities_stay_as_an_anonymous_visitors():
    contact = ContactFactory()
    ActivityFactory(account=contact.account, contact=contact, kind="meeting", day=TODAY)
    Activity.objects.update(contact=None)

    assert engagement.of_accounts([contact.account_id], as_of=TODAY)[contact.account_id].weighted_points == 12.5
