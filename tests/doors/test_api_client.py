"""A Python client generated from the document that is checked in reads and writes without a line about our API of its own."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from django.test import Client

from crm.models import Account, Activity, ApiKey, Contact
from tests.factories.crm import AccountFactory, ContactFactory

pytestmark = pytest.mark.django_db
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
NAME = "generated_quorum_client"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("client")
    command = [Path(sys.executable).parent / "openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none"]
    done = subprocess.run([*command, "--output-path", folder / NAME], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield importlib.import_module(NAME)
    sys.path.remove(str(folder))


@pytest.fixture
def client(package, rep):
    """The generated client, in this process instead of over a wire."""
    _, key = ApiKey.objects.create(user=rep, name="client")
    return package.AuthenticatedClient("http://testserver", key, prefix="Token", httpx_args={"transport": InProcess()})


class InProcess(httpx.BaseTransport):
    """The way from the client to the product, inside the test's transaction."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        kind, path = headers.pop("content-type", ""), request.url.raw_path.decode()
        answer = Client().generic(request.method, path, request.read(), content_type=kind, headers=headers)
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)


def operation(resource: str, name: str):
    return importlib.import_module(f"{NAME}.api.{resource}.{resource}_{name}").sync_detailed


def model(name: str):
    return getattr(importlib.import_module(f"{NAME}.models"), name)


def test_every_operation_of_the_document_has_its_function(package):
    document = json.loads(DOCUMENT.read_text())
    named = {one["operationId"] for operations in document["paths"].values() for one in operations.values()}
    folder = Path(package.__path__[0]) / "api"

    assert {path.stem for path in folder.glob("*/*.py")} - {"__init__"} == named


def test_it_creates_reads_and_changes_and_a_lost_update_is_told(client):
    made = operation("accounts", "create")(client=client, body=model("AccountFactsRequest")(name="Nieuw BV"), idempotency_key="once")
    again = operation("accounts", "create")(client=client, body=model("AccountFactsRequest")(name="Nieuw BV"), idempotency_key="once")
    read = operation("accounts", "retrieve")(made.parsed.id, client=client)
    change = operation("accounts", "partial_update")
    body = model("PatchedAccountFactsRequest")(city="Zwolle")
    changed = change(made.parsed.id, client=client, body=body, if_match=read.headers["ETag"])
    late = change(made.parsed.id, client=client, body=body, if_match=read.headers["ETag"])

    assert (made.status_code, made.parsed.id) == (201, again.parsed.id)
    assert (read.parsed.name, changed.parsed.city) == ("Nieuw BV", "Zwolle")
    assert (late.status_code, late.parsed.code) == (412, "changed_meanwhile")
    assert Account.objects.get().city == "Zwolle"


def test_it_walks_a_list_to_its_end(client, rep):
    known = {ContactFactory(account__owner=rep, account__team=rep.team).pk for _ in range(5)}
    seen, cursor = [], {}
    while True:
        page = operation("contacts", "list")(client=client, page_size=2, **cursor).parsed
        seen += [one.id for one in page.results]
        if not page.next_:
            break
        cursor = {"cursor": httpx.URL(page.next_).params["cursor"]}

    assert sorted(seen) == sorted(known)


def test_it_sends_many_and_reads_a_result_for_each(client, rep, at):
    account, meeting = AccountFactory(owner=rep, team=rep.team), model("ActivityKind")("meeting")
    rows = [model("ActivityRowRequest")(account=account.pk, kind=meeting, occurred_at=at, external_id=name) for name in "ab"]
    rows.append(model("ActivityRowRequest")(account=account.pk + 1, kind=meeting, occurred_at=at, external_id="c"))
    done = operation("activities", "bulk")(client=client, body=model("ActivitiesFormRequest")(source="client", activities=rows))

    assert (done.parsed.created, done.parsed.refused) == (2, 1)
    assert [one.status.value for one in done.parsed.results] == ["created", "created", "error"]
    assert Activity.objects.count() == 2


# Changes of a transaction that is still at work are not told; and it waits for those of tests beside it, on the same server.
@pytest.mark.django_db(transaction=True)
def test_it_follows_what_changes(client, rep):
    def follow(**since):
        deadline = time.monotonic() + 60
        told = operation("contacts", "changes")(client=client, **since).parsed
        while not told.results and not told.gone and time.monotonic() < deadline:
            told = operation("contacts", "changes")(client=client, since=told.sync_token).parsed
        return told

    contact = ContactFactory(account__owner=rep, account__team=rep.team)
    first = follow()
    Contact.objects.filter(pk=contact.pk).delete()
    then = follow(since=first.sync_token)

    assert [one.id for one in first.results] == [contact.pk]
    assert ([one.id for one in then.gone], then.results) == ([contact.pk], [])


def test_a_refusal_is_read_as_a_problem(client):
    refusal = operation("accounts", "retrieve")(999, client=client)

    assert (refusal.status_code, refusal.parsed.code, refusal.parsed.status) == (404, "not_found", 404)
