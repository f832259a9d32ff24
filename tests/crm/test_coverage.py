"""Coverage of a decision-making unit: states, shares, people and what to do next."""

from datetime import date, timedelta

import pytest
from django.utils import translation

from crm import dmu
from crm.models import DmuRole, Opportunity, Suppression
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, MembershipFactory, OpportunityFactory, PersonFactory

FIVE = ["initiator", "user", "influencer", "buyer", "decider"]


def member(account, role="decider", *, given="Jan", family="de Vries", email="jan@klant.example", phone="", **facts):
    """Put a named person in a role at an account."""
    person = PersonFactory(given_name=given, family_name=family)
    return MembershipFactory(contact=ContactFactory(account=account, person=person, email=email, phone=phone), role=role, **facts)


def engage(membership, at, *, days=1, kind="email_reply", **facts):
    """Let the member do something so many days before `at`."""
    account = facts.pop("account", membership.account)
    return ActivityFactory(account=account, contact=membership.contact, kind=kind, occurred_at=at - timedelta(days=days), **facts)


def role_of(account, role, at):
    """Give the coverage of one role of one account."""
    return next(found for found in dmu.coverage([account], at=at)[account.pk].roles if found.role == role)


@pytest.fixture
def small(db):
    """A company of nine: it needs a decider only."""
    return AccountFactory(employees=9)


@pytest.mark.parametrize(
    ("employees", "roles", "people"),
    [
        (0, ["decider"], 1),
        (1, ["decider"], 1),
        (9, ["decider"], 1),
        (10, ["user", "buyer", "decider"], 3),
        (249, ["user", "buyer", "decider"], 3),
        (250, FIVE, 5),
        (100_000, FIVE, 5),
        (None, ["user", "buyer", "decider"], 3),
    ],
)
def test_the_size_of_the_company_says_which_roles_and_how_many_people_it_needs(db, at, employees, roles, people):
    account = AccountFactory(employees=employees)

    found = dmu.coverage([account], at=at)[account.pk]

    assert [role.role for role in found.roles] == roles
    assert (found.required_people, found.people, found.percent) == (people, 0, 0)
    assert set(found.states.values()) == {"missing"}
    assert not found.is_single_threaded


def test_a_role_that_nobody_held_is_missing(small, at):
    found = role_of(small, "decider", at)

    assert (found.state, found.holders) == ("missing", ())
    assert found.next_step == "Find out who the decider is"


def test_an_assumed_holder_stays_assumed_however_reachable_and_engaged(small, at):
    engage(member(small, is_assumed=True, phone="+31201234567"), at)

    found = role_of(small, "decider", at)

    assert found.state == "assumed"
    assert (found.holders[0].is_reachable, found.holders[0].is_engaged) == (True, True)
    assert found.next_step == "Ask whether Jan de Vries really is the decider"
    assert dmu.coverage([small], at=at)[small.pk].percent == 0


def test_a_confirmed_holder_without_address_and_phone_is_known(small, at):
    member(small, email="")

    found = role_of(small, "decider", at)

    assert found.state == "known"
    assert found.next_step == "Get an address or phone number of Jan de Vries"


@pytest.mark.parametrize(("email", "phone"), [("jan@klant.example", ""), ("", "+31201234567")])
def test_a_confirmed_holder_with_an_address_or_a_phone_number_is_reachable(small, at, email, phone):
    member(small, email=email, phone=phone)

    found = role_of(small, "decider", at)

    assert found.state == "reachable"
    assert found.next_step == "Get in touch with Jan de Vries"
    assert dmu.coverage([small], at=at)[small.pk].percent == 100


def test_a_suppressed_address_reaches_nobody_whatever_its_case(small, at):
    member(small, email="Jan@Klant.example")
    Suppression.objects.create(address="jan@klant.example", reason="bounced", since=at)

    assert role_of(small, "decider", at).state == "known"


def test_a_released_suppression_hinders_nobody(small, at):
    member(small)
    Suppression.objects.create(address="jan@klant.example", reason="bounced", since=at, released_at=at)

    assert role_of(small, "decider", at).state == "reachable"


def test_an_address_found_invalid_reaches_nobody(small, at):
    contact = member(small).contact
    contact.address_invalid_at = at
    contact.save()

    assert role_of(small, "decider", at).state == "known"


def test_who_opted_out_is_known_but_no_address_is_asked_for(small, at):
    person = member(small, phone="+31201234567").contact.person
    person.opted_out_at = at
    person.save()

    found = role_of(small, "decider", at)

    assert found.state == "known"
    assert found.next_step == "Jan de Vries wants no contact: find another way to the decider"


def test_a_confirmed_holder_who_did_something_lately_is_engaged(small, at):
    engage(member(small), at)

    found = role_of(small, "decider", at)

    assert (found.state, found.next_step) == ("engaged", "")
    assert dmu.coverage([small], at=at)[small.pk].percent == 100


def test_an_engaged_holder_needs_no_address(small, at):
    engage(member(small, email=""), at, kind="meeting")

    assert role_of(small, "decider", at).state == "engaged"


@pytest.mark.parametrize(("days", "state"), [(0, "engaged"), (90, "engaged"), (90.001, "reachable"), (-1, "reachable")])
def test_an_activity_engages_for_ninety_days_and_not_before_it_happens(small, at, days, state):
    engage(member(small), at, days=days)

    assert role_of(small, "decider", at).state == state


@pytest.mark.parametrize("facts", [{"kind": "email_sent"}, {"kind": "email_open", "machine_reason": "link_scanner"}])
def test_neither_our_own_work_nor_a_machine_engages_anybody(small, at, facts):
    engage(member(small), at, **facts)

    assert role_of(small, "decider", at).state == "reachable"


def test_an_anonymous_visit_engages_nobody(small, at):
    member(small)
    ActivityFactory(account=small, occurred_at=at)

    assert role_of(small, "decider", at).state == "reachable"


def test_the_best_holder_speaks_for_the_role_and_comes_first(small, at):
    member(small, given="Assumed", family="One", is_assumed=True, email="a@klant.example")
    member(small, given="Known", family="One", email="")
    member(small, given="Reachable", family="One", email="b@klant.example")
    engage(member(small, given="Engaged", family="One", email="c@klant.example"), at)

    found = role_of(small, "decider", at)

    assert found.state == "engaged"
    assert [holder.name for holder in found.holders] == ["Engaged One", "Reachable One", "Known One", "Assumed One"]


def test_a_holder_is_shown_with_stance_and_doubt(small, at):
    membership = member(small, stance="champion")
    membership.contact.departure_suspected_at = at
    membership.contact.save()

    found = role_of(small, "decider", at)

    assert found.holders == (
        dmu.Holder(
            membership.contact_id,
            "Jan de Vries",
            "champion",
            is_assumed=False,
            is_reachable=True,
            is_engaged=False,
            at_risk=True,
            membership_id=membership.pk,
        ),
    )
    assert found.at_risk


def test_a_role_without_doubt_is_not_at_risk(small, at):
    member(small)

    assert not role_of(small, "decider", at).at_risk


def test_a_role_whose_last_holder_left_is_lost(small, at):
    contact = member(small, until=date(2026, 2, 1), end_reason="left").contact
    contact.left_on = date(2026, 2, 1)
    contact.save()

    found = role_of(small, "decider", at)

    assert (found.state, found.holders) == ("lost", ())
    assert found.next_step == "Find the successor of Jan de Vries"


def test_somebody_who_left_does_not_count_even_if_the_role_was_never_ended(small, at):
    contact = member(small).contact
    contact.left_on = date(2026, 2, 1)
    contact.save()

    found = dmu.coverage([small], at=at)[small.pk]

    assert (found.states, found.people) == ({"decider": "lost"}, 0)


def test_a_role_passed_on_to_nobody_is_missing_even_if_that_person_left_later(small, at):
    contact = member(small, until=date(2026, 2, 1), end_reason="moved").contact
    contact.left_on = date(2026, 3, 1)
    contact.save()

    assert role_of(small, "decider", at).state == "missing"


def test_the_last_of_several_ended_memberships_decides(small, at):
    member(small, given="Eerst", family="Weg", until=date(2026, 2, 1), end_reason="left")
    member(small, given="Later", family="Over", email="l@klant.example", until=date(2026, 2, 2), end_reason="moved")

    assert role_of(small, "decider", at).state == "missing"


def test_a_mistaken_membership_says_nothing_about_who_held_the_role_last(small, at):
    member(small, until=date(2026, 2, 1), end_reason="left")
    member(small, given="Vergissing", email="v@klant.example", until=date(2026, 2, 2), end_reason="mistaken")

    found = role_of(small, "decider", at)

    assert (found.state, found.last_holder) == ("lost", "Jan de Vries")


def test_an_assumed_successor_ends_the_loss(small, at):
    member(small, until=date(2026, 2, 1), end_reason="left")
    member(small, given="Piet", family="Smit", email="piet@klant.example", is_assumed=True)

    found = role_of(small, "decider", at)

    assert found.state == "assumed"
    assert found.next_step == "Ask whether Piet Smit really is the decider"


def test_percent_is_the_share_of_required_roles_reachable_or_engaged(db, at):
    account = AccountFactory(employees=100)
    engage(member(account, "decider", email="a@klant.example"), at)
    member(account, "buyer", email="b@klant.example")
    member(account, "user", email="")
    member(account, "initiator", email="d@klant.example")

    found = dmu.coverage([account], at=at)[account.pk]

    assert found.states == {"user": "known", "buyer": "reachable", "decider": "engaged"}
    assert found.percent == 67


def test_people_are_counted_once_and_in_every_role(db, at):
    account = AccountFactory(employees=100)
    first = member(account, "decider")
    MembershipFactory(contact=first.contact, role="buyer")
    member(account, "influencer", email="b@klant.example")

    found = dmu.coverage([account], at=at)[account.pk]

    assert (found.people, found.required_people) == (2, 3)


def test_exactly_one_engaged_person_makes_it_single_threaded_whatever_the_role(db, at):
    account = AccountFactory(employees=100)
    first = member(account, "influencer")
    MembershipFactory(contact=first.contact, role="initiator")
    second = member(account, "decider", email="b@klant.example", is_assumed=True)
    engage(first, at)
    assert dmu.coverage([account], at=at)[account.pk].is_single_threaded

    engage(second, at)
    assert not dmu.coverage([account], at=at)[account.pk].is_single_threaded


def test_what_holds_for_one_opportunity_says_nothing_of_the_account(small, at):
    member(small, opportunity=OpportunityFactory(account=small))

    found = dmu.coverage([small], at=at)[small.pk]

    assert (found.states, found.people) == ({"decider": "missing"}, 0)


def test_an_opportunity_overrides_the_standing_dmu_in_its_own_roles_only(db, at):
    account = AccountFactory(employees=100)
    deal, other = OpportunityFactory(account=account), OpportunityFactory(account=account)
    member(account, "decider", given="Vast", family="Decider", email="a@klant.example")
    member(account, "buyer", given="Vast", family="Buyer", email="b@klant.example")
    member(account, "decider", given="Deal", family="Decider", email="", opportunity=deal)

    found = dmu.coverage_of_opportunities([deal, other], at=at)

    names = {pk: {role.role: [holder.name for holder in role.holders] for role in cover.roles} for pk, cover in found.items()}
    assert names[deal.pk] == {"user": [], "buyer": ["Vast Buyer"], "decider": ["Deal Decider"]}
    assert names[other.pk] == {"user": [], "buyer": ["Vast Buyer"], "decider": ["Vast Decider"]}
    assert found[deal.pk].states == {"user": "missing", "buyer": "reachable", "decider": "known"}
    assert (found[deal.pk].people, found[deal.pk].percent, found[other.pk].percent) == (2, 33, 67)


def test_when_the_decider_of_the_deal_is_gone_the_standing_one_counts_again(small, at):
    deal = OpportunityFactory(account=small)
    member(small, given="Vast", family="Decider")
    member(small, email="", opportunity=deal, until=date(2026, 2, 1), end_reason="left")

    found = dmu.coverage_of_opportunities([deal], at=at)[deal.pk]

    assert found.states == {"decider": "reachable"}


def test_an_opportunity_takes_the_size_of_its_account_even_without_any_member(at, db):
    deal = OpportunityFactory(account=AccountFactory(employees=300))

    found = dmu.coverage_of_opportunities([deal], at=at)[deal.pk]

    assert list(found.states) == FIVE


def test_an_opportunity_without_account_counts_as_one_of_unknown_size(at, db):
    deal = OpportunityFactory(account=None, imported_stage="sql")

    found = dmu.coverage_of_opportunities([deal], at=at)[deal.pk]

    assert found.states == {"user": "missing", "buyer": "missing", "decider": "missing"}


def test_a_page_of_fifty_accounts_takes_one_query(db, at, django_assert_num_queries):
    accounts = AccountFactory.create_batch(50, employees=300)
    for account in accounts:
        engage(member(account, "decider"), at)
        member(account, "buyer", email="b@klant.example", until=date(2026, 2, 1), end_reason="left")

    with django_assert_num_queries(1):
        found = dmu.coverage(accounts, at=at)

    assert list(found) == [account.pk for account in accounts]
    states = {"initiator": "missing", "user": "missing", "influencer": "missing", "buyer": "lost", "decider": "engaged"}
    assert all(cover.states == states for cover in found.values())


def test_a_page_of_fifty_opportunities_takes_one_query(db, at, django_assert_num_queries):
    for _ in range(50):
        deal = OpportunityFactory(account=AccountFactory(employees=5))
        member(deal.account, "decider", opportunity=deal)
    deals = list(Opportunity.objects.all())

    with django_assert_num_queries(1):
        found = dmu.coverage_of_opportunities(deals, at=at)

    assert list(found) == [deal.pk for deal in deals]
    assert all(cover.states == {"decider": "reachable"} for cover in found.values())


def test_no_accounts_take_no_query(db, at, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert dmu.coverage([], at=at) == {}
        assert dmu.coverage_of_opportunities([], at=at) == {}


def test_the_next_step_is_said_when_read_in_the_language_of_the_reader(small, at):
    found = role_of(small, "decider", at)

    with translation.override("en"):
        assert found.next_step == f"Find out who the {DmuRole.DECIDER.label} is"
