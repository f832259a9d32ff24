"""Accounts: domains, owners, parents."""

from functools import partial

import pytest

from crm import accounts, follow_ups
from crm.errors import Conflict, Invalid
from crm.models import Account
from tests.factories.crm import AccountFactory, OpportunityFactory, TeamFactory, UserFactory


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("https://www.shop.example.co.uk/nl?x=1", "example.co.uk"),
        ("Jan@Mail.Example.CO.UK", "example.co.uk"),
        ("example.nl.", "example.nl"),
        ("https://bücher.example.de:8443/", "example.de"),
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("co.uk", ""),
        ("localhost", ""),
        ("", ""),
        ("not a domain", ""),
        ("http://[broken", ""),
        ("shop.blogspot.com", "shop.blogspot.com"),
    ],
)
def test_the_registrable_domain_is_what_a_company_registers(text, domain):
    assert accounts.registrable_domain(text) == domain


@pytest.mark.django_db
def test_an_account_is_matched_by_any_address_of_its_domain():
    account = AccountFactory(domain="example.nl")

    assert accounts.match("anna@inkoop.example.nl") == account
    assert accounts.match("https://www.example.nl/contact") == account
    assert accounts.match("anna@example.be") is None


@pytest.mark.django_db
def test_a_free_mail_address_matches_no_account():
    Account.objects.create(name="Gmail", domain="gmail.com")

    assert accounts.match("anna@gmail.com") is None


@pytest.mark.django_db
def test_an_account_belongs_to_whoever_opens_it(at, rep):
    account = accounts.open(name="Jansen BV", domain="https://www.jansen.nl", by=rep, at=at)

    assert (account.owner, account.team, account.domain) == (rep, rep.team, "jansen.nl")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("domain", "sentence"),
    [("gmail.com", "no company's own"), ("zomaar", "is no web domain"), ("www.bezet.nl", "belongs to another account")],
)
def test_a_domain_that_cannot_be_the_companys_own_is_refused(at, domain, sentence):
    AccountFactory(domain="bezet.nl")

    with pytest.raises(Invalid, match=sentence) as refusal:
        accounts.open(name="Jansen BV", domain=domain, at=at)

    assert list(refusal.value.detail) == ["domain"]
    assert Account.objects.count() == 1


@pytest.mark.django_db
def test_a_company_cannot_belong_to_its_own_subsidiary(at):
    top = AccountFactory()
    middle = AccountFactory(parent=top)
    bottom = AccountFactory(parent=middle)

    with pytest.raises(Invalid, match="own subsidiary"):
        accounts.change(top, parent=bottom, at=at)

    assert Account.objects.get(pk=top.pk).parent is None


@pytest.mark.django_db
def test_two_people_changing_different_facts_both_keep_their_change(at):
    account, owner = AccountFactory(), UserFactory()
    mine, yours, theirs = (Account.objects.get(pk=account.pk) for _copy in range(3))

    accounts.change(mine, opted_out_at=at, at=at)
    accounts.hand_over(yours, owner=owner, team=None, at=at)
    accounts.change(theirs, city="Gent", at=at)

    account.refresh_from_db()
    assert (account.opted_out_at, account.owner, account.city) == (at, owner, "Gent")
    assert (theirs.opted_out_at, theirs.owner) == (at, owner)


@pytest.mark.django_db
def test_handing_over_takes_the_open_deals_and_tasks_of_the_old_owner_along(at):
    old, new, other = UserFactory(), UserFactory(), UserFactory()
    team = TeamFactory()
    account = AccountFactory(owner=old)
    mine = OpportunityFactory(account=account, owner=old)
    theirs = OpportunityFactory(account=account, owner=other)
    closed = OpportunityFactory(account=account, owner=old, stage="lost", lost_reason="prijs", closed_on="2026-01-01")
    task = follow_ups.open(reason="by_hand", text="Bellen", owner=old, account=account, due_on=at.date(), at=at)

    accounts.hand_over(account, owner=new, team=team, at=at)

    for record in (mine, theirs, closed, task):
        record.refresh_from_db()
    assert (account.owner, account.team) == (new, team)
    assert [mine.owner, theirs.owner, closed.owner, task.owner] == [new, other, old, new]
    assert account.history.count() == 2


@pytest.mark.postgres
def test_of_two_who_open_an_account_with_one_domain_the_second_hears_that_it_is_taken(two_at_once, at):
    first, second = (partial(accounts.open, name=name, domain="jansen.example", at=at) for name in ("Jansen BV", "Jansen NV"))

    failures = two_at_once(first, second)

    assert [type(failure) for failure in failures] == [type(None), Invalid]
    assert failures[1].detail == {"domain": "jansen.example belongs to another account already."}
    assert Account.objects.get().name == "Jansen BV"


@pytest.mark.postgres
def test_of_two_who_give_their_accounts_one_domain_the_second_hears_that_it_is_taken(two_at_once, at):
    rows = [AccountFactory(domain=""), AccountFactory(domain="")]

    failures = two_at_once(*(partial(accounts.change, row, domain="jansen.example", at=at) for row in rows))

    assert [type(failure) for failure in failures] == [type(None), Invalid]
    assert [Account.objects.get(pk=row.pk).domain for row in rows] == ["jansen.example", ""]


@pytest.mark.django_db
def test_an_id_that_another_account_of_the_source_has_is_refused_and_not_put_down_to_the_domain(at):
    AccountFactory(source="crm", external_id="7")

    with pytest.raises(Conflict) as refusal:
        accounts.open(name="Jansen BV", domain="jansen.example", source="crm", external_id="7", at=at)

    assert list(refusal.value.detail) == ["external_id"]
    assert Account.objects.count() == 1
