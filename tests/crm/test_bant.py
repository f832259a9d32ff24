"""The BANT gate as a pure rule."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from crm import bant, errors
from crm.bant import Held

AT = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
FRESH, OLD = Held(AT, by_decider=True), Held(AT - timedelta(days=181), by_decider=True)


def missing(stage, **facts):
    """Judge a deal that lacks nothing but what a test takes away."""
    deal = {"confirmations": {}, "amount": Decimal(1000), "close_on": date(2026, 6, 1), "has_account": True, "gate_broken": False}
    return bant.missing(stage, at=AT, **deal | facts)


def held(*kinds, **others):
    return dict.fromkeys(kinds, FRESH) | others


@pytest.mark.parametrize(("days", "stale"), [(0, False), (179, False), (180, False), (181, True)])
def test_a_confirmation_goes_stale_after_180_days(days, stale):
    assert bant.is_stale(AT - timedelta(days=days), AT) is stale


def test_age_is_counted_in_local_days_not_in_hours():
    given = datetime(2025, 9, 11, 6, 0, tzinfo=UTC)

    assert not bant.is_stale(given, datetime(2026, 3, 10, 22, 59, tzinfo=UTC))
    assert bant.is_stale(given, datetime(2026, 3, 10, 23, 0, tzinfo=UTC)), "midnight in Amsterdam begins day 181"


@pytest.mark.parametrize("stage", ["mql", "sql"])
def test_the_stages_before_the_gate_need_only_an_account(stage):
    assert missing(stage, amount=None, close_on=None) == []
    assert missing(stage, has_account=False) == ["account"]


@pytest.mark.parametrize("kinds", [("budget", "authority"), ("budget", "timing"), ("authority", "timing"), bant.THREE])
def test_two_of_budget_authority_and_timing_make_an_opportunity(kinds):
    assert missing("opportunity", confirmations=held(*kinds), amount=None, close_on=None) == []


@pytest.mark.parametrize("kinds", [(), ("budget",), ("authority",), ("timing",), ("budget", "need"), ("timing", "need")])
def test_one_of_three_is_too_few_and_need_does_not_count(kinds):
    assert missing("opportunity", confirmations=held(*kinds)) == ["two_of_three"]


def test_a_stale_confirmation_does_not_count_and_is_named():
    assert missing("opportunity", confirmations=held("timing", budget=OLD)) == ["two_of_three", "budget_stale"]
    assert missing("opportunity", confirmations=held("timing", "authority", budget=OLD)) == []


def test_a_proposal_needs_the_need_an_amount_and_a_close_date_besides():
    assert missing("proposal", confirmations=held("budget", "timing", "need")) == []
    assert missing("proposal", confirmations=held("budget", "timing"), amount=None, close_on=None) == ["need", "amount", "close_date"]
    assert missing("proposal", confirmations=held("budget", "timing", need=OLD)) == ["need_stale"]


def test_an_amount_of_nothing_is_an_amount():
    assert missing("proposal", confirmations=held("budget", "timing", "need"), amount=Decimal(0)) == []


def test_a_won_deal_needs_the_word_of_a_decider():
    assert missing("won", confirmations=held("budget", "authority", "need")) == []
    assert missing("won", confirmations=held("budget", "timing", "need")) == ["authority"]
    assert missing("won", confirmations=held("budget", "need", authority=OLD)) == ["authority_stale"]
    assert missing("won", confirmations=held("budget", "need", authority=Held(AT))) == ["decider"]


def test_for_a_won_deal_only_authority_must_be_fresh():
    assert missing("won", confirmations={"authority": FRESH, "budget": OLD, "need": OLD}) == []


def test_a_won_deal_needs_what_opened_the_earlier_gates():
    assert missing("won", confirmations=held("authority")) == ["two_of_three", "need"]


def test_a_deal_with_a_broken_gate_is_not_won():
    assert missing("won", confirmations=held("budget", "authority", "need"), gate_broken=True) == ["gate_broken"]


def test_everything_missing_is_named_at_once():
    nothing = missing("won", amount=None, close_on=None, has_account=False, gate_broken=True)

    assert nothing == ["account", "gate_broken", "two_of_three", "need", "authority", "amount", "close_date"]
    assert set(nothing) <= set(errors.MISSING_SENTENCES)


@pytest.mark.parametrize(
    ("stage", "kinds", "carried"),
    [
        ("sql", (), True),
        ("opportunity", ("budget",), False),
        ("opportunity", ("budget", "timing"), True),
        ("proposal", ("budget", "timing"), False),
        ("proposal", ("authority", "timing", "need"), True),
        ("won", (), True),
        ("lost", (), True),
    ],
)
def test_a_withdrawal_breaks_the_gate_of_an_open_gated_stage_only(stage, kinds, carried):
    assert bant.stands(stage, kinds) is carried
