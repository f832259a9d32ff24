"""Confirmations: who gives them, and what a withdrawal does to the gate of a deal."""

from datetime import date, timedelta

import pytest

from crm import errors, opportunities
from crm.models import FollowUp, Opportunity
from tests.crm.deals import confirmed, decider, proposal, snapshot
from tests.factories.crm import (
    ConfirmationFactory,
    ContactFactory,
    MembershipFactory,
    OpportunityFactory,
)

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 10)


# --- confirming and withdrawing


def test_a_confirmation_says_who_when_on_what_evidence_and_who_wrote_it_down(rep, at):
    deal = OpportunityFactory()
    contact = ContactFactory(account=deal.account)

    given = opportunities.confirm(
        deal, kind="budget", contact=contact, evidence=" In de begroting. ", at=at, by=rep, confirmed_at=at - timedelta(days=3)
    )

    assert (given.kind, given.contact, given.evidence) == ("budget", contact, "In de begroting.")
    assert (given.confirmed_at, given.recorded_at, given.recorded_by) == (at - timedelta(days=3), at, rep)
    assert deal.revision == 1


def test_a_confirmation_given_anew_withdraws_the_older_one_and_both_stay(rep, at):
    deal = OpportunityFactory()
    old = confirmed(deal, "budget", at=at - timedelta(days=200))["budget"]

    new = opportunities.confirm(deal, kind="budget", contact=old.contact, evidence="Nog steeds.", at=at, by=rep)

    old.refresh_from_db()
    assert (old.withdrawn_at, old.withdrawn_by, old.withdrawn_because) == (at, rep, "confirmed anew")
    assert list(deal.confirmations.standing()) == [new]


def test_an_older_word_does_not_replace_a_later_one(at):
    deal = OpportunityFactory()
    later = confirmed(deal, "budget", at=at)["budget"]
    before = snapshot(deal)

    with pytest.raises(errors.Invalid) as refusal:
        opportunities.confirm(deal, kind="budget", contact=later.contact, evidence="Ja.", at=at, confirmed_at=at - timedelta(days=1))

    assert list(refusal.value.detail) == ["confirmed_at"]
    assert snapshot(deal) == before


def test_only_a_decider_confirms_authority(at):
    deal = OpportunityFactory()
    buyer = MembershipFactory(contact=ContactFactory(account=deal.account), role="buyer").contact
    before = snapshot(deal)

    with pytest.raises(errors.Invalid, match="Only a decider can confirm authority"):
        opportunities.confirm(deal, kind="authority", contact=buyer, evidence="Ik beslis.", at=at)

    assert snapshot(deal) == before
    assert opportunities.confirm(deal, kind="authority", contact=decider(deal), evidence="Ik beslis.", at=at).pk


def test_the_decider_of_this_very_deal_overrides_the_decider_of_the_account(at):
    deal = OpportunityFactory()
    of_account = decider(deal)
    of_deal = MembershipFactory(contact=ContactFactory(account=deal.account), role="decider", opportunity=deal).contact

    with pytest.raises(errors.Invalid, match="Only a decider"):
        opportunities.confirm(deal, kind="authority", contact=of_account, evidence="Ja.", at=at)

    assert opportunities.confirm(deal, kind="authority", contact=of_deal, evidence="Ja.", at=at).contact == of_deal


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"kind": "hope"}, "kind"),
        ({"evidence": " "}, "evidence"),
        ({"confirmed_at": "later"}, "confirmed_at"),
        ({"contact": "elsewhere"}, "contact"),
        ({"contact": "gone"}, "contact"),
    ],
)
def test_a_confirmation_that_cannot_be_right_is_refused(wrong, field, at):
    deal = OpportunityFactory()
    values = {
        "later": at + timedelta(seconds=1),
        "elsewhere": ContactFactory(),
        "gone": ContactFactory(account=deal.account, left_on="2026-01-01"),
    }
    facts = {"kind": "budget", "contact": ContactFactory(account=deal.account), "evidence": "Ja."}
    facts |= {name: values.get(value, value) for name, value in wrong.items()}
    before = snapshot(deal)

    with pytest.raises(errors.Invalid) as refusal:
        opportunities.confirm(deal, at=at, **facts)

    assert list(refusal.value.detail) == [field]
    assert snapshot(deal) == before


def test_a_closed_deal_takes_no_confirmation(at):
    deal = opportunities.lose(OpportunityFactory(), reason="Prijs", at=at)
    before = snapshot(deal)

    with pytest.raises(errors.Invalid, match="closed"):
        opportunities.confirm(deal, kind="need", contact=ContactFactory(account=deal.account), evidence="Ja.", at=at)

    assert snapshot(deal) == before


def test_a_confirmation_is_withdrawn_once_and_with_a_reason(rep, at):
    given = ConfirmationFactory()

    with pytest.raises(errors.Invalid):
        opportunities.withdraw(given, because=" ", at=at)
    opportunities.withdraw(given, because="Begroting geschrapt", at=at, by=rep)
    with pytest.raises(errors.Conflict):
        opportunities.withdraw(given, because="Nogmaals", at=at + timedelta(days=1))

    given.refresh_from_db()
    assert (given.withdrawn_at, given.withdrawn_by, given.withdrawn_because) == (at, rep, "Begroting geschrapt")
    given.opportunity.refresh_from_db()
    assert given.opportunity.revision == 1


# --- the gate breaks and is mended


def with_all_three(at):
    deal = OpportunityFactory()
    given = confirmed(deal, "budget", "authority", "timing", at=at)
    opportunities.advance(deal, to="opportunity", at=at)
    return deal, given


def test_a_withdrawal_breaks_the_gate_also_when_two_of_three_are_left(at):
    deal, given = with_all_three(at)

    opportunities.withdraw(given["budget"], because="Geschrapt", at=at)

    deal.refresh_from_db()
    assert deal.gate_broken_at == at
    assert FollowUp.objects.get().facts == {"roles": ["budget"]}


def test_one_that_is_confirmed_anew_mends_a_gate_that_two_of_three_still_carry(at):
    deal, given = with_all_three(at)
    opportunities.withdraw(given["budget"], because="Geschrapt", at=at)

    confirmed(deal, "timing", at=at + timedelta(hours=1))

    deal.refresh_from_db()
    assert deal.gate_broken_at is None


def test_what_the_deal_did_not_enter_with_breaks_nothing(at):
    deal = OpportunityFactory()
    confirmed(deal, "budget", "authority", at=at)
    opportunities.advance(deal, to="opportunity", at=at)
    later = confirmed(deal, "timing", "need", at=at)

    opportunities.withdraw(later["timing"], because="Vertraagd", at=at)
    opportunities.withdraw(later["need"], because="Niet nodig", at=at)

    deal.refresh_from_db()
    assert deal.gate_broken_at is None
    assert not FollowUp.objects.exists()


def test_undoing_a_departure_leaves_a_gate_broken_that_another_withdrawal_broke_before(at):
    deal, given = with_all_three(at)
    opportunities.withdraw(given["budget"], because="Geschrapt", at=at - timedelta(days=1))
    departure = departure_of(given["timing"].contact, at)

    opportunities.withdraw_because_left(departure, at=at)
    opportunities.restore_after(departure, at=at)

    deal.refresh_from_db()
    assert deal.gate_broken_at == at - timedelta(days=1)


def test_a_withdrawal_too_many_breaks_the_gate_and_the_owner_is_told(rep, at):
    deal = proposal(at, owner=rep)

    opportunities.withdraw(deal.entry_budget, because="Geschrapt", at=at)

    entered_with = deal.entry_budget
    deal.refresh_from_db()
    assert (deal.stage, deal.gate_broken_at, deal.entry_budget) == ("proposal", at, entered_with)
    assert deal.history.latest().gate_broken_at == at
    follow_up = FollowUp.objects.get()
    assert (follow_up.reason, follow_up.subject_key, follow_up.facts) == ("gate_broken", f"opportunity:{deal.pk}", {"roles": ["budget"]})
    assert (follow_up.owner, follow_up.account, follow_up.opportunity, follow_up.due_on) == (rep, deal.account, deal, date(2026, 3, 12))
    assert follow_up.title == f"Gate broken on {deal.name}: confirm budget anew"


def test_a_second_withdrawal_joins_the_first_follow_up(at):
    deal = proposal(at)

    opportunities.withdraw(deal.entry_budget, because="Geschrapt", at=at)
    opportunities.withdraw(deal.entry_need, because="Niet nodig", at=at + timedelta(days=1))

    deal.refresh_from_db()
    assert deal.gate_broken_at == at
    assert FollowUp.objects.get().facts == {"roles": ["budget", "need"]}


def test_the_forecast_does_not_count_on_a_broken_gate(at):
    whole, broken = proposal(at), proposal(at)
    OpportunityFactory()

    opportunities.withdraw(broken.entry_authority, because="Weg", at=at)

    assert list(Opportunity.objects.committed()) == [whole]
    assert list(Opportunity.objects.gate_broken()) == [broken]


def test_a_new_confirmation_mends_the_gate_and_closes_the_follow_up(rep, at):
    deal = proposal(at)
    opportunities.withdraw(deal.entry_budget, because="Geschrapt", at=at)

    later = at + timedelta(days=1)
    opportunities.confirm(deal, kind="timing", contact=decider(deal), evidence="In mei.", at=later, by=rep)

    assert deal.gate_broken_at is None
    follow_up = FollowUp.objects.get()
    assert (follow_up.closed_at, follow_up.closed_by, follow_up.result) == (later, rep, "confirmed anew")
    assert opportunities.win(deal, at=later).stage == "won"


def test_a_confirmation_that_is_not_enough_leaves_the_gate_broken(at):
    deal = proposal(at)
    opportunities.withdraw(deal.entry_budget, because="Geschrapt", at=at)
    opportunities.withdraw(deal.entry_need, because="Niet nodig", at=at)

    confirmed(deal, "timing", at=at)

    assert deal.gate_broken_at == at
    assert FollowUp.objects.open().get().facts == {"roles": ["budget", "need"]}
    deal.refresh_from_db()
    with pytest.raises(errors.BantGateClosed) as refusal:
        opportunities.win(deal, at=at)
    assert refusal.value.missing == ["gate_broken", "need"]


def test_losing_a_deal_with_a_broken_gate_ends_the_matter(at):
    deal = proposal(at)
    opportunities.withdraw(deal.entry_budget, because="Geschrapt", at=at)
    deal.refresh_from_db()

    opportunities.lose(deal, reason="Geen geld", at=at)

    assert deal.gate_broken_at is None
    assert not FollowUp.objects.open().exists()


def test_a_won_deal_has_no_gate_left_to_break(at):
    deal = opportunities.win(proposal(at), at=at)

    opportunities.withdraw(deal.entry_authority, because="Vergissing", at=at)

    deal.refresh_from_db()
    assert (deal.stage, deal.gate_broken_at) == ("won", None)
    assert not FollowUp.objects.exists()


# --- somebody leaves


def departure_of(contact, at):
    return contact.departures.create(left_on=TODAY, recorded_at=at)


def test_what_somebody_who_left_confirmed_is_withdrawn_by_the_system(at):
    deal, other = proposal(at), OpportunityFactory()
    contact = deal.entry_budget.contact
    bystander = ConfirmationFactory(opportunity=other)
    departure = departure_of(contact, at)

    assert opportunities.withdraw_because_left(departure, at=at) == 3

    deal.refresh_from_db()
    gone = deal.confirmations.values_list("withdrawn_at", "withdrawn_by", "withdrawn_because", "departure")
    assert set(gone) == {(at, None, "left the company", departure.pk)}
    assert (deal.stage, deal.gate_broken_at) == ("proposal", at)
    assert FollowUp.objects.get().facts == {"roles": ["budget", "authority", "need"]}
    bystander.refresh_from_db()
    assert bystander.withdrawn_at is None


def test_all_deals_of_somebody_who_left_are_judged(at):
    one = proposal(at)
    contact = one.entry_budget.contact
    two = OpportunityFactory(account=one.account)
    confirmed(two, "budget", "timing", at=at, contact=contact)
    opportunities.advance(two, to="opportunity", at=at)

    assert opportunities.withdraw_because_left(departure_of(contact, at), at=at) == 5

    assert set(Opportunity.objects.gate_broken()) == {one, two}
    assert FollowUp.objects.count() == 2


def test_a_departure_undone_restores_the_confirmations_and_the_gate(at):
    deal = proposal(at)
    before = list(deal.confirmations.values())
    departure = departure_of(deal.entry_budget.contact, at)
    opportunities.withdraw_because_left(departure, at=at)

    assert opportunities.restore_after(departure, at=at) == 3

    deal.refresh_from_db()
    assert list(deal.confirmations.values()) == before
    assert deal.gate_broken_at is None
    assert not FollowUp.objects.open().exists()


def test_what_was_confirmed_anew_meanwhile_is_not_restored_over(at):
    deal = proposal(at)
    departure = departure_of(deal.entry_budget.contact, at)
    opportunities.withdraw_because_left(departure, at=at)
    anew = confirmed(deal, "budget", at=at)["budget"]

    assert opportunities.restore_after(departure, at=at) == 2

    assert deal.confirmations.standing().get(kind="budget") == anew


def test_undoing_a_departure_mends_no_gate_that_was_broken_before(at):
    deal = proposal(at)
    opportunities.withdraw(deal.entry_need, because="Niet nodig", at=at - timedelta(days=1))
    departure = departure_of(deal.entry_budget.contact, at)

    opportunities.withdraw_because_left(departure, at=at)
    opportunities.restore_after(departure, at=at)

    deal.refresh_from_db()
    assert deal.gate_broken_at == at - timedelta(days=1)
    assert FollowUp.objects.open().get().facts == {"roles": ["need"]}
