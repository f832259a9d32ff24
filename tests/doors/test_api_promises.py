"""What every call may rely on: nothing lost by two at once, nothing done twice, and no more shown than was asked for."""

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from crm import kept_answers, limits, policy
from crm.api import tags
from crm.api.problems import bad_request, faults, permission_denied
from crm.models import Account, ApiKey, KeptAnswer, User
from tests.conftest import api_client
from tests.doors.test_api_contract import assert_refusal, follow_up_of
from tests.factories.crm import AccountFactory, ContactFactory, UserFactory

ACCOUNTS = "/api/v1/accounts"
ONE = {"name": "Nieuw BV"}


@pytest.fixture
def account(rep: User) -> Account:
    return AccountFactory(team=rep.team, owner=rep)


def at(account: Account) -> str:
    return f"{ACCOUNTS}/{account.pk}"


# --- refusals --------------------------------------------------------------------------------------
@pytest.mark.parametrize(("language", "sentence"), [("en", "This must be a text."), ("nl", "Dit moet een tekst zijn.")])
def test_number_is_no_text_in_any_form_and_everything_else_that_is_wrong_is_said_with_it(rep_api, account, language, sentence):
    answer = rep_api.patch(
        at(account), {"name": 5, "city": 1.5, "industry": True, "employees": "veel"}, headers={"Accept-Language": language}
    )

    wrong = assert_refusal(answer, 400, "invalid")
    assert {name: reasons for name, reasons in wrong.items() if name != "employees"} == {
        key: [sentence] for key in ("name", "city", "industry")
    }
    assert "employees" in wrong
    account.refresh_from_db()
    assert account.name != "5"


def test_number_is_no_text_under_a_record_and_in_a_list_of_texts(rep_api, rep):
    follow_up = follow_up_of(rep)

    assert list(assert_refusal(rep_api.post(f"/api/v1/follow-ups/{follow_up.pk}/close", {"result": 0}), 400, "invalid")) == ["result"]
    administrator = api_client(UserFactory(is_superuser=True))
    body = {"name": "W", "address": "https://hooks.example.com/x", "event_types": ["contact.updated", 7]}
    assert list(assert_refusal(administrator.post("/api/v1/webhooks", body), 400, "invalid")) == ["event_types/1"]


@pytest.mark.parametrize("query", ["scores?fit_from=0.5", "scores?fit_from=5.0", "contacts?account=1.0", "contacts?account=1e3"])
def test_fraction_is_no_whole_number_in_a_list(rep_api, query):
    name = query.partition("?")[2].partition("=")[0]

    assert assert_refusal(rep_api.get(f"/api/v1/{query}"), 400, "invalid") == {name: ["Enter a whole number."]}


@pytest.mark.parametrize("query", ["scores?fit_from=50", "scores?score_from=0.5", "scores?fit_from=-1", "contacts?account=1"])
def test_number_that_a_column_may_hold_narrows_a_list(rep_api, query):
    assert rep_api.get(f"/api/v1/{query}").status_code == 200


def test_wrong_values_are_named_by_their_path_however_deep():
    wrong = {"rows": [{}, {"email": ["No address."]}, {}], "name": ["Too long.", "No text."], "non_field_errors": ["Neither."]}

    assert [(one["path"], one["reasons"]) for one in faults(wrong)] == [
        ("rows/1/email", ["No address."]),
        ("name", ["Too long.", "No text."]),
        ("", ["Neither."]),
    ]


def test_what_is_refused_before_the_api_is_refused_in_its_shape(rf, client, settings):
    settings.ALLOWED_HOSTS = ["crm.example"]

    assert_refusal(client.get(ACCOUNTS, headers={"host": "evil.example"}), 400, "bad_request")
    assert permission_denied(rf.get("/api/v1/x"), PermissionError())["Content-Type"] == "application/problem+json"
    assert bad_request(rf.get("/admin/"), ValueError())["Content-Type"].startswith("text/html")


def test_who_takes_no_json_hears_so_in_json(rep_api):
    assert_refusal(rep_api.get(ACCOUNTS, headers={"accept": "text/csv"}), 406, "not_acceptable")


def test_an_answer_carries_the_id_that_the_caller_gave_and_no_junk(rep_api):
    assert rep_api.get(ACCOUNTS, headers={"x-request-id": "job-7"})["X-Request-ID"] == "job-7"
    assert len(rep_api.get(ACCOUNTS, headers={"x-request-id": 'a"\t{}'})["X-Request-ID"]) == 36


# --- versions --------------------------------------------------------------------------------------
def test_of_two_who_saw_the_same_record_the_second_changes_nothing(rep_api, account):
    tag = rep_api.get(at(account))["ETag"]

    first = rep_api.patch(at(account), {"city": "Zwolle"}, headers={"if-match": tag})
    second = rep_api.patch(at(account), {"city": "Assen"}, headers={"if-match": tag})

    assert first.status_code == 200
    assert first["ETag"] == rep_api.get(at(account))["ETag"] != tag
    assert_refusal(second, 412, "changed_meanwhile")
    assert Account.objects.get().city == "Zwolle"
    assert rep_api.patch(at(account), {"city": "Assen"}, headers={"if-match": first["ETag"]}).status_code == 200


def test_a_deed_under_a_record_holds_to_its_tag_as_well(rep_api, account):
    contact = ContactFactory(account=account)
    address = f"/api/v1/contacts/{contact.pk}"
    tag = rep_api.get(address)["ETag"]
    rep_api.patch(address, {"job_title": "Inkoper"})

    assert_refusal(rep_api.post(f"{address}/confirm-details", headers={"if-match": tag}), 412, "changed_meanwhile")
    contact.refresh_from_db()
    assert contact.details_confirmed_at is None
    assert rep_api.post(f"{address}/confirm-details", headers={"if-match": "*"}).status_code == 200


def test_what_the_caller_has_already_is_not_sent_again(rep_api, account):
    for address in (ACCOUNTS, at(account), f"{at(account)}/coverage"):
        seen = rep_api.get(address)
        again = rep_api.get(address, headers={"if-none-match": f'"other", W/{seen["ETag"]}'})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", seen["ETag"])

    rep_api.patch(at(account), {"city": "Zwolle"})
    assert rep_api.get(at(account), headers={"if-none-match": seen["ETag"]}).status_code == 200


def test_a_tag_is_known_again_though_it_was_made_weak_on_its_way():
    tag = tags.of({"id": 1})

    assert tags.names(f'"x", W/{tag}', tag)
    assert tags.names("*", tag)
    assert not tags.names('"x"', tag)


@pytest.mark.postgres
def test_two_at_once_with_the_same_tag_give_one_change_and_one_refusal(committed, admin_user):
    account = AccountFactory()
    clients = [api_client(admin_user) for _ in range(2)]
    tag, gate = clients[0].get(at(account))["ETag"], Barrier(2)

    def change(number: int) -> int:
        gate.wait()
        try:
            return clients[number].patch(at(account), {"city": f"Stad {number}"}, headers={"if-match": tag}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(change, range(2))) == [200, 412]


# --- once ------------------------------------------------------------------------------------------
def test_the_same_call_with_the_same_key_is_done_once_and_answered_alike(rep_api):
    first, second = (rep_api.post(ACCOUNTS, ONE, headers={"idempotency-key": "a-1"}) for _ in range(2))

    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert first["ETag"] == second["ETag"]
    assert second["Idempotent-Replayed"] == "true"
    assert Account.objects.count() == 1


def test_a_refusal_is_answered_alike_too_and_leaves_nothing(rep_api):
    first, second = (rep_api.post(ACCOUNTS, {"name": ""}, headers={"idempotency-key": "a-1"}) for _ in range(2))

    assert assert_refusal(first, 400, "invalid") == assert_refusal(second, 400, "invalid")
    assert second["Idempotent-Replayed"] == "true"


def test_a_deletion_sent_again_says_again_that_it_is_done(rep_api, rep, account):
    made = rep_api.post(
        "/api/v1/activities", {"account": account.pk, "kind": "meeting", "occurred_at": timezone.now(), "source": "x"}
    ).json()
    answers = [rep_api.delete(f"/api/v1/activities/{made['id']}", headers={"idempotency-key": "d"}) for _ in range(2)]

    assert [(one.status_code, one.content) for one in answers] == [(204, b"")] * 2


def test_the_same_key_for_another_call_is_refused_and_does_nothing(rep_api, account):
    rep_api.post(ACCOUNTS, ONE, headers={"idempotency-key": "a-1"})

    assert_refusal(rep_api.post(ACCOUNTS, {"name": "Ander BV"}, headers={"idempotency-key": "a-1"}), 409, "idempotency_conflict")
    assert_refusal(rep_api.patch(at(account), ONE, headers={"idempotency-key": "a-1"}), 409, "idempotency_conflict")
    assert Account.objects.count() == 2


def test_two_callers_may_use_the_same_key(rep_api, marketer):
    for client in (rep_api, api_client(marketer)):
        client.post(ACCOUNTS, ONE, headers={"idempotency-key": "a-1"})

    assert Account.objects.count() == KeptAnswer.objects.count()


def test_an_error_of_ours_is_not_kept(rep_api, monkeypatch):
    rep_api.raise_request_exception = False
    with monkeypatch.context() as broken:
        broken.setattr("crm.accounts.open", lambda **_facts: 1 / 0)
        assert_refusal(rep_api.post(ACCOUNTS, ONE, headers={"idempotency-key": "a-1"}), 500, "error")

    assert rep_api.post(ACCOUNTS, ONE, headers={"idempotency-key": "a-1"}).status_code == 201


def test_after_a_day_a_key_is_free_again_and_the_hour_sweeps_it(rep_api, rep):
    rep_api.post(ACCOUNTS, ONE, headers={"idempotency-key": "a-1"})
    KeptAnswer.objects.update(made_at=timezone.now() - timedelta(hours=policy.API.answers_kept_hours, minutes=1))

    assert rep_api.post(ACCOUNTS, {"name": "Ander BV"}, headers={"idempotency-key": "a-1"}).status_code == 201
    assert kept_answers.forget_old(at=timezone.now()) == 0
    assert kept_answers.forget_old(at=timezone.now() + timedelta(hours=25)) == 1


@pytest.mark.parametrize("key", ["", "with space", "é", "x" * 256])
def test_a_key_that_is_none_is_refused(key, rep_api):
    detail = assert_refusal(rep_api.post(ACCOUNTS, ONE, headers={"idempotency-key": key}), 400, "invalid")

    assert detail == {"Idempotency-Key": ["Give 1 to 255 visible characters of ASCII."]}
    assert not Account.objects.exists()


@pytest.mark.postgres
def test_fifty_calls_at_once_with_one_key_make_one_row(committed, admin_user):
    keys = [api_client(admin_user)._credentials for _ in range(2)]

    def open_ten(number: int) -> set[tuple[int, bytes]]:
        client = APIClient()
        client.credentials(**keys[number % 2])
        try:
            answers = [client.post(ACCOUNTS, ONE, headers={"idempotency-key": "one"}) for _ in range(10)]
            return {(answer.status_code, answer.content) for answer in answers}
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        answers = set().union(*pool.map(open_ten, range(5)))

    assert Account.objects.count() == 1
    assert [status for status, _content in answers] == [201]


# --- filters, fields and packing ----------------------------------------------------------------------------
@pytest.mark.parametrize(("query", "reason"), [("customers=null", "Give true or false."), ("updated_since=", "Give a value.")])
def test_a_filter_without_a_value_is_refused_instead_of_giving_every_row(query, reason, rep_api):
    assert assert_refusal(rep_api.get(f"{ACCOUNTS}?{query}"), 400, "invalid") == {query.partition("=")[0]: [reason]}


def test_a_moment_before_time_zones_is_refused_with_a_change(rep_api, account):
    detail = assert_refusal(rep_api.patch(at(account), {"opted_out_at": "0032-02-07T11:06:05Z"}), 400, "invalid")

    assert detail == {"opted_out_at": ["This moment lies too far back."]}


def test_only_the_fields_that_were_asked_for_are_shown(rep_api, account):
    assert rep_api.get(f"{ACCOUNTS}?fields=name,id").json()["results"] == [{"id": account.pk, "name": account.name}]
    assert rep_api.get(f"{at(account)}?fields=name,standing").json() == {"name": account.name, "standing": None}
    assert rep_api.get(f"{at(account)}?fields=id")["ETag"] == rep_api.get(at(account))["ETag"]
    for address in (ACCOUNTS, at(account)):
        assert "There is no field 'colour'" in assert_refusal(rep_api.get(f"{address}?fields=id,colour"), 400, "invalid")["fields"][0]


def test_a_body_may_be_packed(rep_api):
    packed = gzip.compress(b'{"name": "Ingepakt BV"}')

    answer = rep_api.generic("POST", ACCOUNTS, packed, content_type="application/json", headers={"content-encoding": "gzip"})

    assert (answer.status_code, answer.json()["name"]) == (201, "Ingepakt BV")


def test_a_body_that_unpacks_to_too_much_or_to_nothing_is_refused(rep_api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20

    def send(body: bytes, encoding: str = "gzip"):
        return rep_api.generic("POST", ACCOUNTS, body, content_type="application/json", headers={"content-encoding": encoding})

    bomb = gzip.compress(b" " * 2**26)
    assert len(bomb) < 2**17
    assert_refusal(send(bomb), 413, "body_too_large")
    assert_refusal(send(b'{"name": "x"}'), 400, "parse_error")
    assert_refusal(send(gzip.compress(b"{}")[:-4]), 400, "parse_error")
    assert_refusal(send(b"{}", "br"), 415, "unsupported_content_encoding")


def test_an_answer_is_packed_for_who_takes_it_packed(rep_api, account):
    AccountFactory.create_batch(5, team=account.team)

    assert rep_api.get(ACCOUNTS, headers={"accept-encoding": "gzip"})["Content-Encoding"] == "gzip"


# --- limits ----------------------------------------------------------------------------------------
def test_every_answer_says_how_many_calls_are_left_and_the_last_one_is_refused(rep, monkeypatch):
    monkeypatch.setattr(policy, "API", policy.Api(calls_per_minute=2))
    monkeypatch.setattr("crm.limits.spend", partial(limits.spend, every=10**6))
    client = api_client(rep)

    answers = [client.get(ACCOUNTS) for _ in range(3)]

    assert [one["RateLimit-Remaining"] for one in answers] == ["1", "0", "0"]
    assert {one["RateLimit-Limit"] for one in answers} == {"2"}
    assert_refusal(answers[2], 429, "throttled")
    assert 0 < int(answers[2]["Retry-After"]) == int(answers[2]["RateLimit-Reset"])
    assert api_client(rep).get(ACCOUNTS).status_code == 200, "another key has calls of its own"


def test_calls_of_several_processes_are_counted_together_and_a_new_minute_begins_anew(at):
    with ThreadPoolExecutor(4) as pool:
        left = sorted(spent.remaining for spent in pool.map(lambda _call: limits.spend("key", most=40, at=at), range(40)))

    assert left == list(range(40))
    assert limits.spend("key", most=40, at=at + timedelta(minutes=1)).remaining == 39


def test_who_called_is_forgotten_two_hours_later_and_who_calls_is_not(at, settings):
    limits.spend("long ago", most=5, at=at)
    (old,) = Path(settings.LIMITS_STORE).iterdir()
    os.utime(old, (0, at.timestamp() - 3 * limits.HOUR))
    limits.spend("now", most=5, at=at)

    assert limits.forget_old(at=at) == 1
    assert [path.exists() for path in (old, *Path(settings.LIMITS_STORE).iterdir())] == [False, True]


def test_a_store_that_cannot_be_reached_holds_nobody_up(settings, at):
    settings.LIMITS_STORE = "redis://127.0.0.1:1/0"

    assert limits.spend("key", most=40, at=at).remaining == 39


# --- the key in the history ------------------------------------------------------------------------
def test_the_history_names_the_key_of_a_change_and_none_for_people(rep_api, rep, rep_client, account):
    rep_api.patch(at(account), {"city": "Zwolle"})

    key = ApiKey.objects.get()
    assert account.history.first().history_key == str(key)
    assert account.history.last().history_key == ""
    key.delete()
    assert account.history.first().history_key == str(key)
