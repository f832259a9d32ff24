"""Fit with the ideal customer profile: points per part, the reasons, and what is kept."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import translation

from abm import icp, policy
from abm.models import AccountFit, IdealCustomerProfile
from tests.factories.abm import ProfileFactory
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory, OpportunityFactory

PROFILE = IdealCustomerProfile(
    pk=7,
    name="Ideaal",
    industries=["Software", "retail"],
    employees_from=50,
    employees_to=200,
    revenue_from=Decimal(10_000_000),
    revenue_to=Decimal(40_000_000),
)
RIGHT = {"industry": "software", "employees": 100, "revenue": Decimal(20_000_000), "decider": "known"}


def fit(profile=PROFILE, **changes):
    return icp.fit(profile, **RIGHT | changes)


def part(name, **changes):
    (reason,) = [reason for reason in fit(**changes).reasons if reason["part"] == name]
    return reason["points"], reason["code"]


def test_an_account_that_matches_everything_has_a_hundred_points():
    assert (fit().points, fit().profile_id) == (100, 7)
    assert [(row["part"], row["points"], row["of"]) for row in fit().reasons] == [
        ("industry", 35, 35),
        ("size", 30, 30),
        ("revenue", 20, 20),
        ("decider", 15, 15),
    ]


def test_an_account_of_which_nothing_is_known_has_no_points():
    nothing = icp.fit(PROFILE, decider="missing")

    assert nothing.points == 0
    assert [row["code"] for row in nothing.reasons] == ["industry_unknown", "size_unknown", "revenue_unknown", "decider_missing"]


@pytest.mark.parametrize(
    ("industry", "expected"),
    [
        ("Software", (35, "industry_first")),
        (" SOFTWARE ", (35, "industry_first")),
        ("Retail", (28, "industry_listed")),
        ("Telecom", (0, "industry_other")),
        ("", (0, "industry_unknown")),
    ],
)
def test_the_first_industry_fits_best_and_the_others_of_the_list_nearly(industry, expected):
    assert part("industry", industry=industry) == expected


@pytest.mark.parametrize(
    ("employees", "expected"),
    [
        (50, (30, "size_within")),
        (200, (30, "size_within")),
        (49, (15, "size_near")),
        (25, (15, "size_near")),
        (400, (15, "size_near")),
        (24, (0, "size_outside")),
        (401, (0, "size_outside")),
        (None, (0, "size_unknown")),
    ],
)
def test_size_counts_in_full_within_the_bounds_and_half_within_a_factor_of_two(employees, expected):
    assert part("size", employees=employees) == expected


@pytest.mark.parametrize(
    ("millions", "expected"),
    [(10, (20, "revenue_within")), (5, (10, "revenue_near")), (80, (10, "revenue_near")), (81, (0, "revenue_outside"))],
)
def test_revenue_counts_like_size(millions, expected):
    assert part("revenue", revenue=Decimal(millions * 1_000_000)) == expected


@pytest.mark.parametrize(
    ("decider", "expected"), [("known", (15, "decider_known")), ("assumed", (8, "decider_assumed")), ("missing", (0, "decider_missing"))]
)
def test_an_assumed_decider_counts_half(decider, expected):
    assert part("decider", decider=decider) == expected


def test_a_criterion_that_the_profile_leaves_empty_is_met_by_everybody():
    open_profile = IdealCustomerProfile(name="Alles")

    free = icp.fit(open_profile, decider="missing")

    assert free.points == 85
    assert [row["code"] for row in free.reasons] == ["industry_any", "size_any", "revenue_any", "decider_missing"]


def test_one_bound_alone_leaves_the_other_side_open():
    at_least_fifty = IdealCustomerProfile(name="Groot", employees_from=50)

    codes = {count: fit(at_least_fifty, employees=count).reasons[1]["code"] for count in (24, 25, 50, 1_000_000)}

    assert codes == {24: "size_outside", 25: "size_near", 50: "size_within", 1_000_000: "size_within"}


def test_without_a_profile_there_is_no_fit_and_one_reason():
    nothing = fit(None)

    assert (nothing.points, nothing.profile_id) == (0, None)
    assert [row["code"] for row in nothing.reasons] == ["no_profile"]


def test_the_fit_never_exceeds_a_hundred_whatever_the_numbers(monkeypatch):
    monkeypatch.setattr(policy, "FIT", policy.Fit(industry_points=90))

    assert fit().points == 100


def test_every_reason_can_be_said_in_words():
    variants = [fit(), fit(None), fit(industry="Retail", employees=30, revenue=Decimal(5_500_000), decider="assumed")]
    variants += [fit(industry="Telecom", employees=3, revenue=Decimal(1), decider="missing"), icp.fit(PROFILE, decider="missing")]
    variants += [icp.fit(IdealCustomerProfile(name="Alles"), decider="known")]
    reasons = [reason for variant in variants for reason in variant.reasons]

    with translation.override("en"):
        said = {reason["code"]: icp.in_words(reason) for reason in reasons}

    assert said.keys() == icp.SENTENCES.keys()
    assert said["size_near"] == "30 employees: nearly the right size."
    assert icp.in_words({"code": "industry_other", "facts": {"industry": "retail"}}) == "Retail is not among the industries that fit."
    assert said["industry_listed"] == "Retail is among the industries that fit."
    assert said["revenue_near"] == "Revenue of 5,500,000: nearly right."


@pytest.mark.django_db
def test_accounts_are_compared_with_the_profile_in_force(django_assert_num_queries):
    ProfileFactory(is_active=False)
    profile = ProfileFactory(industries=["Software"])
    known, assumed, missing = (AccountFactory(industry="Software", employees=100) for _ in range(3))
    MembershipFactory(contact__account=known, role="decider", is_assumed=True)
    MembershipFactory(contact__account=known, role="decider")
    MembershipFactory(contact__account=assumed, role="decider", is_assumed=True)
    MembershipFactory(contact__account=missing, role="buyer")

    with django_assert_num_queries(3):
        fits = icp.of_accounts([known.pk, assumed.pk, missing.pk, missing.pk + 1])

    assert {pk: (one.points, one.profile_id) for pk, one in fits.items()} == {
        known.pk: (100, profile.pk),
        assumed.pk: (93, profile.pk),
        missing.pk: (85, profile.pk),
    }


@pytest.mark.django_db
def test_a_decider_who_left_or_gave_the_role_away_is_not_known():
    ProfileFactory()
    left = MembershipFactory(contact=ContactFactory(gone=True), role="decider")
    ended = MembershipFactory(role="decider", until="2026-03-01", end_reason="moved")

    fits = icp.of_accounts([left.account_id, ended.account_id])

    assert [one.reasons[3]["code"] for one in fits.values()] == ["decider_missing", "decider_missing"]


@pytest.mark.django_db
def test_a_decider_of_a_deal_counts_while_that_deal_is_open():
    ProfileFactory()
    stages = {"mql": {}, "proposal": {}, "won": {"closed_on": "2026-03-01"}, "lost": {"closed_on": "2026-03-01", "lost_reason": "Prijs"}}
    deals = [OpportunityFactory(stage=stage, imported_stage=stage, **facts) for stage, facts in stages.items()]
    for deal in deals:
        MembershipFactory(contact__account=deal.account, role="decider", opportunity=deal)

    fits = icp.of_accounts([deal.account_id for deal in deals])

    assert [fits[deal.account_id].reasons[3]["code"] for deal in deals] == [
        "decider_known", "decider_known", "decider_missing", "decider_missing",
    ]  # fmt: skip


@pytest.mark.django_db
def test_a_fit_is_kept_once_per_account_and_written_again(at):
    profile, account = ProfileFactory(), AccountFactory()
    icp.store(icp.of_accounts([account.pk]), at=at)
    MembershipFactory(contact__account=account, role="decider")

    icp.store(icp.of_accounts([account.pk]), at=at + timedelta(days=1))

    row = AccountFit.objects.get()
    assert (row.account_id, row.profile_id, row.points, row.computed_at) == (account.pk, profile.pk, 100, at + timedelta(days=1))
    assert [icp.in_words(reason) for reason in row.reasons][3] == "We know who decides."
