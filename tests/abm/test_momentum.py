"""Why a score rose: named by the person and the kinds that really moved it, in words."""

from dataclasses import replace
from datetime import timedelta

import pytest

from abm import engagement, momentum, policy
from abm.momentum import Mover, Rise
from crm.models import Account, Contact
from crm.policy import day_of
from tests.conftest import AT
from tests.factories.abm import EngagementScoreFactory
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, MembershipFactory

TODAY = day_of(AT)


@pytest.fixture
def account(db) -> Account:
    return AccountFactory(name="Bakkerij Bos", employees=100)


def person(account: Account, name: str, *roles: str, **facts: object) -> Contact:
    given, family = name.split(" ", 1)
    contact = ContactFactory(account=account, person__given_name=given, person__family_name=family, **facts)
    for role in roles:
        MembershipFactory(contact=contact, role=role)
    return contact


def did(contact: Contact, kind: str, *, times: int = 1, days_ago: int = 1) -> None:
    for _ in range(times):
        ActivityFactory(account=contact.account, contact=contact, kind=kind, occurred_at=AT - timedelta(days=days_ago))


def rise(account: Account) -> Rise:
    return momentum.of_accounts([account.pk], as_of=TODAY)[account.pk]


def test_reason_names_kinds_person_and_role_and_says_that_there_was_nothing_before(account):
    anna = person(account, "Anna de Boer", "decider")
    did(anna, "pricing_view", times=3)
    did(anna, "meeting")

    assert rise(account).sentence == "A meeting and 3 pricing page views by Anna de Boer (decider) this week; nothing the week before."


def test_week_before_is_told_when_something_happened_then(account):
    anna = person(account, "Anna de Boer")
    did(anna, "email_reply")
    did(anna, "page_view", times=2, days_ago=8)

    assert rise(account).sentence == "A mail answered by Anna de Boer this week; 2 page views the week before."


def test_one_day_more_belongs_to_the_week_before_and_two_weeks_ago_counts_no_more(account):
    anna = person(account, "Anna de Boer")
    for days_ago in (6, 7, 13, 14):
        did(anna, "download", days_ago=days_ago)

    found = rise(account)

    assert [mover.did for mover in found.movers] == [(("download", 1),)]
    assert found.before == (("download", 2),)


def test_heaviest_role_is_named_and_weighs(account):
    both, user = person(account, "Anna de Boer", "user", "decider"), person(account, "Bram Kok", "user")
    did(user, "download")
    did(both, "download")

    first, second = rise(account).movers

    assert (first.contact, first.role, second.contact) == (both, "decider", user)
    assert first.weighted == pytest.approx(1.5 * second.weighted)


def test_strangers_are_named_as_such_and_after_people_of_more_weight(account):
    ActivityFactory(account=account, contact=None, kind="pricing_view", occurred_at=AT - timedelta(days=1))

    assert rise(account).sentence == "A pricing page view by anonymous visitors this week; nothing the week before."


def test_machines_our_own_work_and_who_left_explain_nothing(account):
    anna = person(account, "Anna de Boer", "decider")
    gone = person(account, "Bram Kok", "buyer", left_on=TODAY)
    did(gone, "meeting")
    did(anna, "email_sent")
    ActivityFactory(account=account, contact=anna, kind="email_click", occurred_at=AT, machine_reason="link scanner")

    assert rise(account) == Rise()
    assert rise(account).sentence == "No new activity: the roles of active people changed."


def test_second_person_is_named_only_when_the_first_explains_too_little():
    first = Mover(None, "", (("meeting", 1),), 80.0)
    second = Mover(None, "", (("download", 1),), 20.0)

    assert Rise((first, second)).named == (first,)
    assert Rise((replace(first, weighted=60.0), replace(second, weighted=40.0), second)).named == (
        replace(first, weighted=60.0),
        replace(second, weighted=40.0),
    )


def test_role_that_became_active_is_told(account):
    anna = person(account, "Anna de Boer", "decider")
    did(anna, "meeting")
    EngagementScoreFactory(account=account, day=TODAY - timedelta(days=7), active_roles=["user"])
    EngagementScoreFactory(account=account, day=TODAY, active_roles=["user", "decider"])

    assert rise(account).new_roles == ("decider",)
    assert rise(account).sentence.endswith("nothing the week before. Newly active: decider.")


def test_kind_that_nobody_put_into_words_is_named_by_its_label(account):
    assert momentum.in_words((("note", 2),)) == "2 × note"


@pytest.mark.parametrize("kind", sorted(policy.SCORING.kinds))
def test_every_kind_that_counts_can_be_said_in_words(kind):
    assert kind in momentum.COUNTED
    assert "2" in momentum.in_words(((kind, 2),))


def test_who_is_named_first_is_whose_absence_would_have_kept_the_score_lowest(account):
    people = [person(account, f"Mens {n}", role) for n, role in enumerate(("user", "buyer", "decider", "influencer"))]
    plan = [("page_view", 9, 1), ("pricing_view", 2, 3), ("email_reply", 1, 6), ("download", 2, 2)]
    for contact, (kind, times, days_ago) in zip(people, plan, strict=True):
        did(contact, kind, times=times, days_ago=days_ago)
        did(contact, "meeting", days_ago=20)
    scored = engagement.of_accounts([account.pk], as_of=TODAY)[account.pk]

    without = {
        who: scored.weighted_points - sum(line.weighted for line in scored.lines if line.contact_id == who and line.age_days < 7)
        for who in (contact.pk for contact in people)
    }

    assert [mover.contact.pk for mover in rise(account).movers] == sorted(without, key=without.__getitem__)


def test_many_accounts_cost_five_queries(db, django_assert_num_queries):
    accounts = [AccountFactory() for _ in range(5)]
    for account in accounts:
        did(person(account, "Anna de Boer", "decider"), "meeting")

    with django_assert_num_queries(5):
        found = momentum.of_accounts([account.pk for account in accounts], as_of=TODAY)
    assert all(one.movers for one in found.values())
