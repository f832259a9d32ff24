"""Keys of integrations: what each may do, how long, and how it ends; on every operation there is."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils.timezone import now
from rest_framework.test import APIClient

from abm.api.urls import RESOURCES
from crm import api_keys
from crm.errors import Conflict, Invalid
from crm.models import SCOPE_GROUPS, SCOPES, ApiKey, User
from tests.conftest import api_client
from tests.doors.admin_pages import link
from tests.doors.test_api_access import MAKERS, address, permission
from tests.doors.test_api_access import operations as each_operation
from tests.doors.test_api_contract import assert_refusal

ACCOUNTS = "/api/v1/accounts"


def client_with(secret: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
    return client


def issued(user: User, *scopes: str, **facts: object) -> api_keys.Issued:
    return api_keys.issue(user=user, name="sync", scopes=scopes or SCOPES, at=now(), **facts)


# --- scopes ----------------------------------------------------------------------------------------
def test_every_resource_belongs_to_a_group_of_scopes():
    assert {name for name, view in RESOURCES.items() if view.scope not in SCOPE_GROUPS or view.scope == "all"} == set()


def test_no_scope_opens_another_groups_operation_and_none_opens_a_foreign_record(lead, outsider):
    """Every operation: with each scope but the ones it needs, and with those alone on a record of another team."""
    records = {name: (make(lead), make(outsider)) for name, make in MAKERS.items()}
    before = {name: contents(name) for name in records}
    key = issued(lead)
    client = client_with(key.secret)
    for method, resource, below in each_operation():
        own, foreign = records[resource]
        needed = needed_scopes(method, resource, below)
        for lacking in needed:
            hold(key.key, [scope for scope in SCOPES if scope != lacking and not scope.startswith("all:")])
            refused = getattr(client, method)(address(resource, below, own))
            assert assert_refusal(refused, 403, "scope_missing") == {"scopes": [lacking]}, (method, resource, below)
        hold(key.key, needed)
        if "{" in below:
            theirs = getattr(client, method)(address(resource, below, foreign))
            assert theirs.json()["code"] in ("not_found", "permission_denied"), (method, resource, below)
        elif method == "get" and not lead.has_perm(permission(method, resource, below)):
            assert_refusal(client.get(address(resource, below, own)), 403, "permission_denied")
        elif method == "get":
            answer = client.get(address(resource, below, own))
            assert answer.status_code == 200, (resource, below, answer.content)
            shown = [row.get("id", row.get("account")) for row in answer.json()["results"]]
            assert own.pk in shown, resource
            assert foreign.pk not in shown, resource
    assert {name: contents(name) for name in records} == before


def hold(key: ApiKey, scopes: list[str]) -> None:
    ApiKey.objects.filter(pk=key.pk).update(scopes=scopes, last_used_at=now())


def contents(resource: str) -> list[dict[str, object]]:
    return list(RESOURCES[resource].queryset.model._default_manager.order_by("pk").values())


@pytest.mark.parametrize("held", SCOPES)
def test_a_scope_opens_its_group_and_verb_and_all_opens_every_group(held):
    group, verb = held.split(":")
    opened = {scope for scope in SCOPES if not ApiKey(scopes=[held]).missing([scope])}

    assert opened == ({scope for scope in SCOPES if scope.endswith(verb)} if group == "all" else {held})


def needed_scopes(method: str, resource: str, below: str) -> list[str]:
    """Say what an operation should need, in the words of docs/api.md and not of the code."""
    verb = "read" if method == "get" else "write"
    deed = below.rpartition("/")[2]
    more = {"coverage": ["contacts:read"], "intelligence": ["contacts:read", "activities:read"]}.get(deed, [])
    if resource == "target-lists" and deed in SHOW_ACCOUNTS:
        more = ["accounts:read"]
    return [f"{GROUP_OF[resource]}:{verb}", *more]


SHOW_ACCOUNTS = {"slots", "proposal", "fill", "pick", "swap", "pin", "unpin", "remove", "reject"}
GROUP_OF = {
    "accounts": "accounts", "memberships": "accounts", "scores": "accounts", "contacts": "contacts", "persons": "contacts",
    "opportunities": "deals", "pilots": "deals", "activities": "activities", "follow-ups": "activities",
    "job-changes": "marketing", "target-lists": "marketing", "experiments": "marketing", "reports": "reports",
    "deliveries": "deliverability", "suppressions": "deliverability", "imports": "imports", "import-problems": "imports",
    "webhooks": "webhooks", "webhook-deliveries": "webhooks",
}  # fmt: skip


def test_a_browser_needs_no_scopes(rep_client):
    assert rep_client.get(ACCOUNTS).status_code == 200


# --- a key's life ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("scopes", "field"), [(["contacts:erase"], "scopes"), ([], "scopes")])
def test_a_key_is_made_for_something_that_exists(scopes, field, rep):
    with pytest.raises(Invalid) as refusal:
        api_keys.issue(user=rep, name="x", scopes=scopes, at=now())
    assert set(refusal.value.detail) == {field}
    assert not ApiKey.objects.exists()


def test_a_key_is_not_made_for_a_moment_that_is_over_or_somebody_who_left(rep):
    with pytest.raises(Invalid, match="over already"):
        issued(rep, expires_at=now())
    rep.is_active = False
    with pytest.raises(Invalid, match="does not work here"):
        issued(rep)


def test_a_renewed_key_has_two_secrets_for_a_while_with_the_same_scopes(rep):
    old = issued(rep, "accounts:read", expires_at=now() + timedelta(days=9))

    new = api_keys.renew(old.key, at=now(), old_for_hours=2)

    old.key.refresh_from_db()
    assert [client_with(one).get(ACCOUNTS).status_code for one in (old.secret, new.secret)] == [200, 200]
    assert (new.key.scopes, new.key.name, new.key.user) == (["accounts:read"], "sync", rep)
    assert old.key.expiry - now() == pytest.approx(timedelta(hours=2), abs=timedelta(minutes=1))
    assert new.key.expiry - now() == pytest.approx(timedelta(days=9), abs=timedelta(minutes=1))
    with pytest.raises(Conflict):
        api_keys.renew(old.key, at=now(), old_for_hours=2)


def test_with_no_hours_the_old_secret_ends_at_once(rep):
    old = issued(rep)

    new = api_keys.renew(old.key, at=now(), old_for_hours=0)

    assert_refusal(client_with(old.secret).get(ACCOUNTS), 401, "authentication_failed")
    assert client_with(new.secret).get(ACCOUNTS).status_code == 200


def test_a_revoked_key_is_refused_with_the_next_call_and_stays_on_record(rep):
    key = issued(rep)
    assert client_with(key.secret).get(ACCOUNTS).status_code == 200

    api_keys.revoke(key.key, at=now())

    assert_refusal(client_with(key.secret).get(ACCOUNTS), 401, "authentication_failed")
    assert ApiKey.objects.get().revoked_at is not None


def test_the_last_use_is_written_down_once_a_minute(rep):
    key = issued(rep)
    client_with(key.secret).get(ACCOUNTS)
    first = ApiKey.objects.get().last_used_at
    client_with(key.secret).get(ACCOUNTS)

    assert first - now() == pytest.approx(timedelta(), abs=timedelta(minutes=1))
    assert ApiKey.objects.get().last_used_at == first
    api_keys.note_use(ApiKey.objects.get(), at=first + timedelta(seconds=61))
    assert ApiKey.objects.get().last_used_at == first + timedelta(seconds=61)


@pytest.mark.parametrize("secret", ["é", "x" * 4_000, "\\x00"])
def test_what_is_no_key_at_all_is_refused_like_an_unknown_one(secret, db):
    assert_refusal(client_with(secret).get(ACCOUNTS), 401, "authentication_failed")


# --- in the admin ----------------------------------------------------------------------------------
def test_an_administrator_renews_and_revokes_and_sees_the_secret_once(client: Client, admin_user: User, rep: User):
    client.force_login(admin_user)
    old = issued(rep, "contacts:read")
    page = link(old.key, "change")
    assert client.get(page).status_code == client.get(f"{page.removesuffix('change/')}renew/").status_code == 200

    shown = client.post(f"{page.removesuffix('change/')}renew/", {"old_for_hours": 0})

    assert client_with(shown.context["key"]).get("/api/v1/contacts").status_code == 200
    assert "no-store" in shown["Cache-Control"]
    new = ApiKey.objects.exclude(pk=old.key.pk).get()
    assert client.post(f"{link(new, 'change').removesuffix('change/')}revoke/").status_code == 302
    new.refresh_from_db()
    assert new.revoked_at
    listed = client.get(link(ApiKey, "changelist")).content.decode()
    assert "revoked" in listed
    assert "contacts:read" in listed
    assert shown.context["key"] not in listed


def test_a_rep_sees_no_keys_and_ends_none(rep_client: Client, rep: User):
    key = issued(rep)

    assert rep_client.get(link(ApiKey, "changelist")).status_code == 403
    assert rep_client.post(f"{link(key.key, 'change').removesuffix('change/')}revoke/").status_code in (302, 403, 404)
    key.key.refresh_from_db()
    assert key.key.revoked_at is None


def test_the_schema_tells_the_scopes_of_every_operation(lead):
    assert api_client(lead).get("/api/v1/schema").content.decode().count("x-required-scopes") == len(each_operation()) + 2  # reports
