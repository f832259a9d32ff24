"""Who may see and do what."""

from crm import access
from crm.models import Account, Contact, Opportunity
from tests.factories.crm import AccountFactory, ContactFactory, OpportunityFactory


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
