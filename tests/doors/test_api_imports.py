"""Imports over the API: the way of the admin's pages, from a file to its undoing, and what is refused on it."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from crm import policy, tasks
from crm.models import Account, Contact, Upload, User
from tests.conftest import api_client, somebody
from tests.doors.test_api_contract import assert_refusal

HERE = "/api/v1/imports"
PEOPLE = """Voornaam,Achternaam,E-mail,Bedrijf,Website,Rol
Jan,Vos,jan@bos.nl,Bakkerij Bos,bos.nl,inkoper
Piet,Pees,geen adres,Bakkerij Bos,bos.nl,
Els,Bos,els@bos.nl,Bakkerij Bos,bos.nl,beslisser
"""


@pytest.fixture
def integration(team) -> User:
    return somebody("integration", team=team)


@pytest.fixture
def api(integration) -> APIClient:
    return api_client(integration)


@pytest.fixture
def queue(monkeypatch) -> list[tuple[str, object]]:
    """What was handed to the queue."""
    handed: list[tuple[str, object]] = []
    monkeypatch.setattr(tasks, "enqueue", lambda task, *arguments: handed.append((task.name, *arguments)))
    return handed


def send(api: APIClient, content: str = PEOPLE, *, headers: dict[str, str] | None = None, **more):
    facts = {"what": "contacts", "legal_basis": "interest"} | more
    file = SimpleUploadedFile("mensen.csv", content.encode())
    return api.post(HERE, facts | {"file": file}, format="multipart", headers=headers or {})


def worked(queue: list[tuple[str, object]]) -> None:
    """Do what was handed over."""
    while queue:
        name, pk = queue.pop(0)
        {"crm.tasks.work_upload": tasks.work_upload, "crm.tasks.try_upload": tasks.try_upload}[name](pk)


def test_a_file_is_received_and_tried_and_nothing_is_written(api, queue):
    answer = send(api)
    tried = answer.json()

    assert answer.status_code == 201, tried
    assert (tried["state"], tried["what"], tried["file_name"], tried["rows_total"], tried["missing"]) == (
        "checked",
        "contacts",
        "mensen.csv",
        3,
        [],
    )
    assert tried["columns"] == ["Voornaam", "Achternaam", "E-mail", "Bedrijf", "Website", "Rol"]
    assert tried["mapping"]["2"] == "email"
    assert tried["trial"] == {"created": 2, "changed": 0, "unchanged": 0, "failed": 1, "accounts_created": 1}
    assert (Contact.objects.count(), queue) == (0, [])
    ((problem),) = api.get(f"{HERE}/{tried['id']}/trial").json()["problems"]
    assert (problem["line"], problem["column"], problem["values"][2]) == (3, "E-mail", "geen adres")


def test_a_started_import_is_watched_to_its_end_its_refused_rows_read_and_all_of_it_taken_back(
    api, queue, django_capture_on_commit_callbacks
):
    here = f"{HERE}/{send(api).json()['id']}"

    with django_capture_on_commit_callbacks(execute=True):
        started = api.post(f"{here}/start")
    assert (started.status_code, started.json()["state"]) == (202, "running")
    worked(queue)
    over = api.get(here).json()
    assert (over["state"], over["rows_done"], over["created_count"], over["failed_count"]) == ("finished", 3, 2, 1)
    assert (Contact.objects.count(), Account.objects.get().name) == (2, "Bakkerij Bos")
    (refused,) = api.get(f"/api/v1/import-problems?upload={over['id']}").json()["results"]
    assert (refused["line"], refused["column"], refused["reason"], refused["values"][2]) == (
        3,
        "E-mail",
        "Enter a valid email address.",
        "geen adres",
    )

    with django_capture_on_commit_callbacks(execute=True):
        assert api.post(f"{here}/undo").status_code == 202
    worked(queue)
    gone = api.get(here).json()
    assert (gone["state"], gone["kept_count"], Contact.objects.count(), Account.objects.count()) == ("undone", 0, 0, 0)


def test_an_import_pauses_and_goes_on(api, queue, django_capture_on_commit_callbacks):
    here = f"{HERE}/{send(api).json()['id']}"
    api.post(f"{here}/start")
    assert api.post(f"{here}/pause").json()["state"] == "paused"
    assert_refusal(api.post(f"{here}/pause"), 409, "conflict")

    with django_capture_on_commit_callbacks(execute=True):
        assert api.post(f"{here}/resume").json()["state"] == "running"
    worked(queue)
    assert Upload.objects.get().state == "finished"


def test_columns_that_nobody_can_guess_are_named_and_then_said_by_name(api):
    text = "aap;noot;mies\nJan;Vos;jan@bos.nl\n"
    first = send(api, text).json()
    assert (first["state"], first["missing"], first["trial"]) == ("received", ["family_name"], None)
    assert_refusal(api.get(f"{HERE}/{first['id']}/trial"), 404, "not_found")
    assert list(assert_refusal(api.post(f"{HERE}/{first['id']}/check"), 400, "invalid")) == ["mapping"]

    said = {"mapping": {"aap": "given_name", "noot": "family_name", "2": "email"}, "existing": "overwrite"}
    after = api.patch(f"{HERE}/{first['id']}", said, format="json").json()
    assert (after["state"], after["missing"], after["existing"]) == ("checked", [], "overwrite")
    assert after["mapping"] == {"0": "given_name", "1": "family_name", "2": "email"}

    at_once = send(api, text, mapping=json.dumps(said["mapping"])).json()
    assert (at_once["state"], at_once["mapping"]) == ("checked", after["mapping"])


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"mapping": '{"9": "email"}'}, "mapping"),
        ({"mapping": '{"0": "family_name", "Voornaam": "given_name"}'}, "mapping"),
        ({"mapping": '{"0": "given_name"'}, "mapping"),
        ({"what": "horses"}, "what"),
        ({"existing": "burn"}, "existing"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_wrong_choice_is_named_and_nothing_is_kept(api, more, field, media):
    assert list(assert_refusal(send(api, **more), 400, "invalid")) == [field]

    assert not Upload.objects.exists()
    assert [path for path in media.rglob("*") if path.is_file()] == []


def test_what_is_no_file_of_rows_is_refused_with_a_sentence(api):
    assert_refusal(send(api, "naam,e-mail\n"), 400, "import_refused")
    assert list(assert_refusal(api.post(HERE, {"what": "contacts"}, format="multipart"), 400, "invalid")) == ["file"]
    assert_refusal(api.post(HERE, {"what": "contacts"}, format="json"), 415, "unsupported_media_type")
    assert not Upload.objects.exists()


def test_a_file_that_is_too_large_is_not_taken_in(api, monkeypatch):
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(file_megabytes=1))

    assert_refusal(send(api, "naam\n" + "x" * (3 * 2**20)), 413, "body_too_large")
    answer = send(api, "naam\n" + "x" * (2**20 + 9))

    assert_refusal(answer, 413, "body_too_large")
    assert "1 MB" in answer.json()["detail"]
    assert not Upload.objects.exists()


def test_a_file_may_be_larger_than_any_other_body(api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    rows = "".join(f"Jan,Vos{number},jan{number}@bos.nl,Bakkerij Bos,bos.nl,\n" for number in range(100))

    assert send(api, PEOPLE + rows).json()["trial"]["created"] == 102
    assert_refusal(api.post("/api/v1/contacts", {"family_name": "x" * 2_000}, format="json"), 413, "body_too_large")


def test_many_rows_are_tried_by_a_worker(api, queue, monkeypatch):
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(at_once_rows=2))

    received = send(api).json()
    assert (received["state"], received["trial"], queue) == ("received", None, [("crm.tasks.try_upload", received["id"])])
    worked(queue)
    assert api.get(f"{HERE}/{received['id']}").json()["state"] == "checked"


def test_the_same_file_with_the_same_key_is_received_once_whatever_lines_the_form_draws(api):
    first, again = (send(api, headers={"Idempotency-Key": "night-1"}) for _time in range(2))
    by_hand = b"".join(
        f'--other\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'.encode()
        for name, more, value in (
            ("file", '; filename="mensen.csv"\r\nContent-Type: text/csv', PEOPLE), ("what", "", "contacts"), ("legal_basis", "", "interest"),
        )
    ) + b"--other--\r\n"  # fmt: skip
    third = api.generic("POST", HERE, by_hand, "multipart/form-data; boundary=other", headers={"Idempotency-Key": "night-1"})

    assert [answer.json()["id"] for answer in (first, again, third)] == [first.json()["id"]] * 3
    assert again.headers["Idempotent-Replayed"] == third.headers["Idempotent-Replayed"] == "true"
    assert_refusal(send(api, PEOPLE.replace("Jan", "Joop"), headers={"Idempotency-Key": "night-1"}), 409, "idempotency_conflict")
    assert Upload.objects.count() == 1


def test_people_without_a_legal_basis_are_not_imported(api):
    here = f"{HERE}/{send(api, legal_basis='unknown').json()['id']}"

    assert list(assert_refusal(api.post(f"{here}/start"), 400, "invalid")) == ["legal_basis"]
    assert Upload.objects.get().state == "checked"


def test_an_import_is_thrown_away_with_its_file(api):
    here = f"{HERE}/{send(api).json()['id']}"

    assert api.delete(here).status_code == 204
    assert_refusal(api.get(here), 404, "not_found")


def test_another_team_sees_neither_an_import_nor_its_refused_rows(api, outsider):
    here = f"{HERE}/{send(api).json()['id']}"
    Upload.objects.get().problems.create(line=3, reason="x", values=["geheim"])
    stranger = api_client(somebody("integration", team=outsider.team))

    assert stranger.get("/api/v1/import-problems").json()["results"] == []
    for deed in ("check", "start", "pause", "resume", "undo"):
        assert_refusal(stranger.post(f"{here}/{deed}"), 404, "not_found")
    assert_refusal(stranger.get(f"{here}/trial"), 404, "not_found")
    assert len(api.get("/api/v1/import-problems").json()["results"]) == 1
