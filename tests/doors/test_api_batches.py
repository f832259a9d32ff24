"""Many contacts or accounts in one call: made, brought up to date, and a wrong row holds up no other."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.models import Account, Activity, Contact, Person
from tests.doors.test_api_contract import assert_refusal
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory


@pytest.fixture
def account(rep):
    return AccountFactory(team=rep.team, owner=rep)


def send(client, what, *rows, **facts):
    answer = client.post(f"/api/v1/{what}/bulk", {"rows": list(rows), **facts})
    assert answer.status_code == 200, answer.content
    return answer.json()


def statuses(answer):
    return [result["status"] for result in answer["results"]]


def test_contacts_are_made_once_and_then_brought_up_to_date(rep, rep_api, account):
    row = {"account": account.pk, "family_name": "Smit", "email": "jo@smit.example", "source": "hub", "external_id": "7"}

    first, again = send(rep_api, "contacts", row), send(rep_api, "contacts", row)
    changed = send(rep_api, "contacts", {"source": "hub", "external_id": "7", "job_title": "Inkoper"})

    contact = Contact.objects.get()
    assert [statuses(one) for one in (first, again, changed)] == [["created"], ["unchanged"], ["updated"]]
    assert {one["results"][0]["id"] for one in (first, again, changed)} == {contact.pk}
    assert (contact.job_title, contact.person.family_name, contact.email) == ("Inkoper", "Smit", "jo@smit.example")
    assert contact.history.first().history_user == rep


def test_a_contact_without_an_id_is_known_by_its_address_at_the_account(rep_api, account):
    anna = ContactFactory(account=account, email="Anna@Bedrijf.example")

    answer = send(rep_api, "contacts", {"account": account.pk, "email": "anna@bedrijf.example", "job_title": "Inkoper"})

    assert (statuses(answer), answer["results"][0]["id"]) == (["updated"], anna.pk)


def test_every_row_of_contacts_gets_its_own_result(rep_api, account, outsider):
    theirs = ContactFactory(account=AccountFactory(team=outsider.team), source="hub", external_id="9")
    good = {"account": account.pk, "family_name": "Smit", "email": "jo@smit.example"}

    answer = send(
        rep_api, "contacts",
        good, good | {"family_name": "Jansen"}, {"family_name": "Smit"}, {"account": theirs.account_id, "family_name": "Smit"},
        {"account": account.pk}, {"account": account.pk, "family_name": "Smit", "phone": "12"}, {"source": "hub", "external_id": "9", "job_title": "x"},
        "no row", {"colour": "blue"}, {"account": account.pk, "family_name": 5}, {"account": {}, "family_name": "Smit"},
    )  # fmt: skip

    assert statuses(answer) == ["created", *["failed"] * 10]
    assert [sorted(result["errors"]) for result in answer["results"]] == [
        [], ["email"], ["account"], ["account"], ["family_name"], ["phone"], ["external_id"], ["row"], ["colour"], ["family_name"], ["account"],
    ]  # fmt: skip
    assert (answer["counts"]["created"], answer["counts"]["failed"]) == (1, 10)
    assert Contact.objects.count() == 2
    theirs.refresh_from_db()
    assert theirs.job_title == ""


def test_all_or_nothing_writes_nothing_when_one_row_fails(rep_api, account):
    answer = send(rep_api, "contacts", {"account": account.pk, "family_name": "Smit"}, {"account": account.pk}, atomic=True)

    assert statuses(answer) == ["not_written", "failed"]
    assert not Contact.objects.exists()
    assert not Person.objects.exists()


def test_what_is_there_already_fails_where_only_new_ones_are_wanted(rep_api, account):
    anna = ContactFactory(account=account, email="anna@bedrijf.example")

    answer = send(rep_api, "contacts", {"account": account.pk, "email": "anna@bedrijf.example", "job_title": "x"}, mode="create")

    assert (statuses(answer), answer["results"][0]["id"]) == (["failed"], anna.pk)
    anna.refresh_from_db()
    assert anna.job_title == ""


def test_accounts_are_known_by_their_web_domain(rep, rep_api):
    rows = [{"name": "Bakker BV", "domain": "https://www.bakker.example/nl", "employees": 40, "revenue": "1200.50"}, {"name": "Zonder"}]

    first, again = send(rep_api, "accounts", *rows), send(rep_api, "accounts", rows[0] | {"city": "Zwolle"})

    bakker = Account.objects.get(domain="bakker.example")
    assert (statuses(first), statuses(again)) == (["created", "created"], ["updated"])
    assert (bakker.city, bakker.employees, str(bakker.revenue), bakker.owner, bakker.team) == ("Zwolle", 40, "1200.50", rep, rep.team)
    assert statuses(send(rep_api, "accounts", rows[0])) == ["unchanged"]


def test_an_account_of_another_team_is_neither_shown_nor_changed(rep_api, outsider):
    AccountFactory(team=outsider.team, domain="bakker.example", name="Bakker")

    answer = send(
        rep_api, "accounts", {"name": "Anders", "domain": "bakker.example"}, {"name": "Goed", "employees": "veel"}, {"city": "Zwolle"}
    )

    assert statuses(answer) == ["failed"] * 3
    assert [(result["id"], *result["errors"]) for result in answer["results"]] == [
        (None, "external_id"),
        (None, "employees"),
        (None, "name"),
    ]
    assert Account.objects.get().name == "Bakker"


def test_new_rows_cost_no_query_each(rep_api, account):
    def queries(count, name):
        rows = [{"account": account.pk, "family_name": f"Smit {n}", "email": f"{name}{n}@smit.example"} for n in range(count)]
        with CaptureQueriesContext(connection) as captured:
            assert send(rep_api, "contacts", *rows)["counts"]["created"] == count
        return len(captured)

    assert queries(200, "b") == queries(10, "a")


def test_a_call_with_too_many_rows_is_refused_whole(rep_api):
    assert_refusal(rep_api.post("/api/v1/contacts/bulk", {"rows": [{}] * 10_001}), 400, "invalid")


def test_many_activities_are_deleted_and_those_of_others_are_not_there(rep_api, account, outsider):
    mine, theirs = ActivityFactory(account=account), ActivityFactory(account=AccountFactory(team=outsider.team))

    answer = rep_api.post("/api/v1/activities/bulk-delete", {"ids": [mine.pk, theirs.pk, 999_999]}).json()

    assert [result["status"] for result in answer["results"]] == ["deleted", "failed", "failed"]
    assert answer["counts"] == {"deleted": 1, "failed": 2}
    assert Activity.objects.get() == theirs
