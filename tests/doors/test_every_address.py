"""A rep without rights tries every list, page, action and export of another team: nothing is shown, nothing changes."""

import pytest
from django.apps import apps
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client

from crm import models as crm
from crm.models import Account, User
from tests.conftest import AT, somebody
from tests.doors.admin_pages import OF_AN_ACCOUNT, OF_ITS_OWNER, Maker
from tests.doors.every_address import Address, every_address
from tests.factories import crm as make

GROUPS: dict[str, list[Address]] = {}
for each in every_address():
    GROUPS.setdefault(each.model._meta.label if each.model else "no model", []).append(each)
each_model = pytest.mark.parametrize("group", sorted(GROUPS))
# Lists that show the user's own work first.
LISTS = ("crm_account_changelist", "crm_contact_changelist", "crm_opportunity_changelist")
EVERYBODYS = {"crm_followup_changelist": {"whose": "all"}} | {name: {"owner": "all"} for name in LISTS}
# What has no page of its own in the admin, and is changed at addresses all the same.
WITHOUT_PAGE: dict[type[Model], Maker] = {
    crm.SavedView: lambda account: crm.SavedView.objects.create(owner=account.owner, page="crm.account", name="ZICHT", created_at=AT),
    crm.BrowserSession: lambda account: crm.BrowserSession.objects.create(
        user=account.owner, session_key="1", browser="Firefox", system="Linux", since=AT, seen_at=AT
    ),
}
TRIED = OF_AN_ACCOUNT | OF_ITS_OWNER | WITHOUT_PAGE
Row = tuple[object, ...]


@pytest.fixture
def records(lead: User) -> dict[type[Model], Model]:
    """One record of each kind, all of them at an account of another team."""
    account = make.AccountFactory(name="GEHEIM BV", domain="geheim.example", team=lead.team, owner=lead)
    made = {model: maker(account) for model, maker in TRIED.items()}
    return made | {Account: account}


@pytest.fixture
def secrets(records: dict[type[Model], Model]) -> set[str]:
    """What nobody of another team may read: names, addresses, what was said."""
    fields = {
        crm.Account: ("name", "domain"), crm.Person: ("family_name",), crm.Contact: ("email",), crm.Opportunity: ("name",),
        crm.Activity: ("subject",), crm.Confirmation: ("evidence",), crm.Upload: ("file_name",), crm.SavedView: ("name",),
    }  # fmt: skip
    values = {value for model, names in fields.items() for row in model.objects.values_list(*names) for value in row}
    return {value for value in values if value and len(value) > 4}


def stored() -> dict[str, list[Row]]:
    """Give every row of every model that belongs to an account or to a user."""
    kinds = [model for model in TRIED if model is not crm.BrowserSession]
    rows = {model._meta.label: sorted(model._default_manager.values_list(), key=str) for model in kinds}
    return rows | {"browsers": sorted(crm.BrowserSession.objects.filter(session_key="1").values_list(), key=str)}


def text_of(answer: HttpResponse) -> str:
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return body.decode(errors="replace")


def naming(records: dict[type[Model], Model]) -> dict[str, object]:
    """Name the other team's records in every way that a form or an address does."""
    ids: dict[str, object] = {str(model._meta.model_name): record.pk for model, record in records.items()}
    ids |= {
        "membership": records[crm.DmuMembership].pk,
        "ids": records[Account].pk,
        "list": "crm.account",
        "post": "yes",
        "view": records[crm.SavedView].pk,
        "deed": "share",
        "to": "opportunity",
    }
    return ids | {"_selected_action": records[Account].pk, "role": "buyer", "stage": "opportunity", "kind": "budget", "evidence": "x"}


@each_model
def test_rep_of_another_team_reads_and_changes_nothing(
    group: str, records: dict[type[Model], Model], secrets: set[str], outsider: User, client: Client
) -> None:
    client.force_login(outsider)
    before, named = stored(), naming(records)
    leaks = []

    for address in GROUPS[group]:
        where = address.filled(records)
        for sent in (client.get(where), client.get(where, named), client.post(where, named)):
            leaks += [f"{address}: {word}" for word in secrets if word in text_of(sent)]
            leaks += [f"{address}: answered {sent.status_code}"] if _is_shown(address, sent, records) else []
        client.force_login(outsider)

    assert leaks == []
    assert stored() == before


@pytest.mark.parametrize("model", list(OF_ITS_OWNER), ids=lambda model: model.__name__)
def test_what_is_of_its_owner_stays_shut_to_the_owners_own_colleagues(
    model: type[Model], records: dict[type[Model], Model], secrets: set[str], lead: User, client: Client
) -> None:
    colleague = somebody("sales rep", team=lead.team)
    client.force_login(colleague)
    before, named, mine = stored(), naming(records), secrets & set(crm.Upload.objects.values_list("file_name", flat=True))
    leaks = []

    for address in GROUPS[model._meta.label]:
        where = address.filled(records)
        for sent in (client.get(where), client.post(where, named)):
            leaks += [f"{address}: {word}" for word in mine if word in text_of(sent)]
            leaks += [f"{address}: answered {sent.status_code}"] if _is_shown(address, sent, records) else []

    assert leaks == []
    assert stored()[model._meta.label] == before[model._meta.label]


def _is_shown(address: Address, answer: HttpResponse, records: dict[type[Model], Model]) -> bool:
    """Say whether a page of the other team's record answered as if it were the rep's own."""
    about = address.model in records and "object_id" in address.parameters
    return about and answer.status_code not in (301, 302, 403, 404, 405)


def test_every_kind_of_page_is_tried() -> None:
    tried = [address for group in GROUPS.values() for address in group]
    own = {model for model in apps.get_models() if model._meta.app_label in ("crm", "abm")}

    assert len(tried) > 250
    assert {address.model for address in tried} >= {model for model in OF_AN_ACCOUNT | OF_ITS_OWNER if model in own}


@pytest.mark.parametrize("page", ["changelist", "change"])
def test_a_rep_of_the_team_reads_there_what_the_other_may_not(
    page: str, records: dict[type[Model], Model], secrets: set[str], rep: User, client: Client
) -> None:
    """The trial itself is sound: the same addresses do show the secrets to who may read them."""
    client.force_login(rep)
    shown = {
        address.name: any(word in text_of(client.get(address.filled(records), EVERYBODYS.get(address.name, {}))) for word in secrets)
        for group in GROUPS.values()
        for address in group
        if address.model in (crm.Account, crm.Contact, crm.Opportunity, crm.Activity, crm.FollowUp, crm.DmuMembership, crm.Pilot)
        and address.name.endswith(f"_{page}")
    }

    assert len(shown) == 7
    assert [name for name, is_there in shown.items() if not is_there] == []
