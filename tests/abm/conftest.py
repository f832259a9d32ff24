"""What tests of abm may ask for besides: an account with its decider, and a draft list."""

from datetime import date, datetime

import pytest

from abm import targets
from abm.models import TargetList
from crm.models import Account, Contact, Team, User
from tests.abm.signals import worked
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory, PersonFactory


@pytest.fixture
def account(rep: User) -> Account:
    return AccountFactory(name="Molen BV", domain="molen.example", owner=rep, team=rep.team)


@pytest.fixture
def anna(account: Account) -> Contact:
    """The decider of the account, whose address has worked."""
    person = PersonFactory(given_name="Anna", family_name="de Wit")
    contact = worked(ContactFactory(person=person, account=account, email="Anna@molen.example"))
    MembershipFactory(contact=contact, role="decider", stance="champion")
    return contact


@pytest.fixture
def twenty(team: Team, rep: User, at: datetime) -> TargetList:
    """An empty draft of the rep's team."""
    return targets.draft(name="Voorjaar", team=team, owner=rep, starts_on=date(2026, 3, 10), ends_on=date(2026, 5, 5), at=at, by=rep)
