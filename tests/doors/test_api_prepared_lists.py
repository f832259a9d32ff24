"""Lists whose SQL is written once for all who have the same rights: everybody still sees the own rows, and only those."""

import pytest
from django.contrib.auth.models import Group

from abm.api.urls import RESOURCES
from tests.conftest import api_client, somebody
from tests.doors.test_api_contract import CASES, address
from tests.factories.crm import ContactFactory, OpportunityFactory, TeamFactory, UserFactory

PREPARED = [case for case in CASES if RESOURCES[case.name].is_prepared]
every_prepared = pytest.mark.parametrize("resource", PREPARED, ids=lambda case: case.name)
CONTACTS = "/api/v1/contacts"
ROLES = ["sales rep", "team lead", "marketing", "integration", "administrator"]


def ids(client, where: str) -> list[int]:
    return [row["id"] for row in client.get(where).json()["results"]]


def test_the_large_lists_are_prepared():
    assert {case.name for case in PREPARED} == {"accounts", "contacts", "persons", "activities", "deliveries"}


@every_prepared
def test_two_teams_with_the_same_rights_each_see_their_own(resource, lead):
    other = somebody("team lead", team=TeamFactory())
    mine, theirs = resource.record(lead), resource.record(other)
    for _again in range(2):
        assert ids(api_client(lead), address(resource)) == [mine.pk]
        assert ids(api_client(other), address(resource)) == [theirs.pk]


@every_prepared
@pytest.mark.parametrize("role", ROLES)
def test_every_role_sees_what_the_rule_shows_with_a_team_and_without(resource, role, lead):
    for _ in range(3):
        resource.record(lead)
    resource.record(somebody("sales rep", team=TeamFactory()))
    for team in (lead.team, TeamFactory(), None):
        user = somebody(role, team=team)
        records = RESOURCES[resource.name].queryset.visible_to(user).order_by("-pk")
        where = address(resource)
        assert ids(api_client(user), where) == [record.pk for record in records]


@pytest.mark.parametrize("ordering", ["-id", "updated_at"])
def test_a_page_is_the_same_as_by_the_way_of_a_filter(ordering, lead):
    """A filter that keeps every row has the list asked the long way."""
    for _ in range(5):
        ContactFactory(account__owner=lead, account__team=lead.team, phone="+31201234567")
    client, where = api_client(lead), f"{CONTACTS}?page_size=2&ordering={ordering}"
    while where:
        short = client.get(where).json()
        long = client.get(f"{where}&updated_since=2000-01-01T00:00:00Z").json()
        assert short["results"] == long["results"]
        assert short["results"][0]["phone"] == "+31201234567"
        where = short["next"]


def test_rights_that_are_taken_away_close_the_list_with_the_next_call(lead):
    contact = ContactFactory(account__owner=lead, account__team=lead.team)
    colleague = somebody("sales rep", team=lead.team)
    client = api_client(colleague)
    assert ids(client, CONTACTS) == [contact.pk]

    colleague.groups.set([])
    colleague.user_permissions.set(Group.objects.get(name="sales rep").permissions.exclude(codename="see_team_records"))

    assert ids(client, CONTACTS) == []


def test_a_rep_who_changes_teams_sees_the_new_team_with_the_next_call(lead):
    contact, rep = ContactFactory(account__owner=lead, account__team=lead.team), somebody("sales rep", team=TeamFactory())
    client = api_client(rep)
    assert ids(client, CONTACTS) == []

    type(rep).objects.filter(pk=rep.pk).update(team=lead.team)

    assert ids(client, CONTACTS) == [contact.pk]


def test_who_works_an_open_deal_elsewhere_sees_the_people_there(lead):
    contact, rep = ContactFactory(account__owner=lead, account__team=lead.team), somebody("sales rep", team=TeamFactory())
    OpportunityFactory(account=contact.account, owner=rep, team=rep.team)
    OpportunityFactory(account=contact.account, owner=UserFactory(), team=rep.team)

    assert ids(api_client(rep), CONTACTS) == [contact.pk]


def test_a_wrong_parameter_is_refused_as_ever(lead):
    client = api_client(lead)
    assert client.get(f"{CONTACTS}?pagesize=3").status_code == 400
    assert client.get(f"{CONTACTS}?cursor=nothing").status_code == 400
    assert client.get(f"{CONTACTS}?fields=id,nothing").status_code == 400
    assert client.get(f"{CONTACTS}?fields=id,phone").json()["results"] == []
