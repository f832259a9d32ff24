"""Who may see and do what."""

import pytest

from crm import access
from crm.models import Account, Contact, FollowUp, Opportunity, Pilot
from tests.conftest import AT, somebody
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, MembershipFactory, OpportunityFactory, TeamFactory


def test_a_rep_sees_the_accounts_of_the_team_and_no_others(rep):
    ours, theirs = AccountFactory(team=rep.team), AccountFactory()

    assert list(Account.objects.visible_to(rep)) == [ours]
    assert access.may(rep, "view", ours)
    assert not access.may(rep, "view", theirs)


def test_a_rep_who_works_an_open_deal_sees_the_account_but_may_not_change_it(rep):
    foreign = AccountFactory()
    OpportunityFactory(account=foreign, owner=rep)

    assert list(Account.objects.visible_to(rep)) == [foreign]
    assert not access.may(rep, "change", foreign)


def test_a_closed_deal_opens_no_account(rep):
    OpportunityFactory(owner=rep, stage="lost", lost_reason="prijs", closed_on="2026-01-01")

    assert not Account.objects.visible_to(rep).exists()


def test_an_outsider_sees_neither_contacts_nor_deals(rep, outsider):
    account = AccountFactory(team=rep.team)
    ContactFactory(account=account)
    OpportunityFactory(account=account, team=rep.team)

    assert Contact.objects.visible_to(rep).count() == Opportunity.objects.visible_to(rep).count() == 1
    assert Contact.objects.visible_to(outsider).count() == Opportunity.objects.visible_to(outsider).count() == 0


def test_marketing_sees_every_record(marketer):
    AccountFactory(), AccountFactory()

    assert Account.objects.visible_to(marketer).count() == 2


def test_somebody_who_left_us_sees_nothing(admin_user):
    AccountFactory()
    admin_user.is_active = False

    assert not Account.objects.visible_to(admin_user).exists()


def test_a_rep_may_not_give_accounts_away_but_a_lead_may(rep, lead):
    assert not rep.has_perm("crm.assign_account")
    assert lead.has_perm("crm.assign_account")


@pytest.fixture
def foreign(rep):
    """An account of another team where the rep works an open deal."""
    account = AccountFactory(team=TeamFactory())
    OpportunityFactory(account=account, owner=rep, team=rep.team)
    return account


def hanging_on(account):
    """Make what others made at an account."""
    contact = ContactFactory(account=account)
    deal = OpportunityFactory(account=account)
    return [
        contact,
        contact.person,
        MembershipFactory(contact=contact),
        ActivityFactory(account=account, contact=contact),
        FollowUp.objects.create(account=account, text="Bel", due_on="2026-03-01", opened_at=AT),
        deal,
        Pilot.objects.create(opportunity=deal, success_criteria="werkt", starts_on="2026-03-01", ends_on="2026-04-01"),
    ]


def rights(user, records, verb):
    return {type(record).__name__: access.may(user, verb, record) for record in records}


def test_a_rep_who_only_works_a_deal_at_an_account_sees_all_of_it_and_changes_nothing_of_others(rep, foreign):
    records = hanging_on(foreign)

    assert set(rights(rep, records, "view").values()) == {True}
    assert set(rights(rep, records, "change").values()) == {False}
    assert not access.may(rep, "delete", records[3])


def test_a_rep_changes_all_that_hangs_on_an_account_of_the_team(rep):
    records = hanging_on(AccountFactory(team=rep.team))

    assert set(rights(rep, records, "change").values()) == {True}
    assert access.may(rep, "delete", records[3])


def test_a_rep_without_a_team_changes_all_that_hangs_on_an_own_account(db):
    alone = somebody("sales rep")

    assert set(rights(alone, hanging_on(AccountFactory(owner=alone)), "change").values()) == {True}


def test_marketing_changes_what_hangs_on_every_account(marketer):
    assert set(rights(marketer, hanging_on(AccountFactory()), "change").values()) == {True}


def test_a_rep_changes_own_records_at_an_account_where_only_a_deal_is_the_reps(rep, foreign):
    deal = Opportunity.objects.get(owner=rep)
    own = [
        deal,
        Pilot.objects.create(opportunity=deal, success_criteria="werkt", starts_on="2026-03-01", ends_on="2026-04-01"),
        ActivityFactory(account=foreign, recorded_by=rep),
        FollowUp.objects.create(account=foreign, owner=rep, text="Bel", due_on="2026-03-01", opened_at=AT),
    ]

    assert set(rights(rep, own, "change").values()) == {True}
    assert access.may(rep, "delete", own[2])


def test_an_own_record_out_of_sight_is_not_the_reps_to_change(rep):
    assert not access.may(rep, "change", ActivityFactory(recorded_by=rep))


def test_a_deal_shows_what_lies_at_its_account_only_to_who_sees_the_account(rep, lead, foreign):
    deal = Opportunity.objects.get(owner=rep)

    assert access.may(lead, "change", deal)
    assert access.sees_account_of(rep, deal)
    assert not access.sees_account_of(lead, deal)
    assert access.sees_account_of(lead, OpportunityFactory(account=None, imported_stage="sql", owner=lead))
