"""Activities over the API: once per external id, many at once, and a wrong row holds up no other."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.models import Account, Activity, ActivityChange
from tests.conftest import api_client
from tests.doors.test_api_contract import assert_refusal
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, OpportunityFactory

MOMENT = "2026-03-01T10:00:00Z"
BULK = "/api/v1/activities/bulk"
NO_SUCH_KIND = (
    "Unknown kind 'coffee'; known are page_view, pricing_view, download, form_demo_request, email_open, email_click, email_reply, "
    "webinar_attended, event_visit, meeting, call_answered, email_sent, email_delivered, email_bounced, call_unanswered, note."
)


@pytest.fixture
def account(rep) -> Account:
    return AccountFactory(team=rep.team)


def row(account: Account, **facts: object) -> dict[str, object]:
    return {"account": account.pk, "kind": "page_view", "occurred_at": MOMENT, **facts}


def send(client, *rows: object) -> dict[str, object]:
    answer = client.post(BULK, {"source": "site", "activities": list(rows)})
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_an_activity_is_recorded_with_its_change_by_whoever_sent_it(rep, rep_api, account):
    answer = rep_api.post("/api/v1/activities", row(account, source="site", external_id="v1", subject="Prijzen"))

    activity = Activity.objects.get()
    assert answer.status_code == 201
    assert (activity.account, activity.kind, activity.recorded_by, activity.subject) == (account, "page_view", rep, "Prijzen")
    assert ActivityChange.objects.get().delta == 1


def test_the_same_external_id_again_answers_the_first_one(rep_api, account):
    first = rep_api.post("/api/v1/activities", row(account, source="site", external_id="v1", subject="eerste"))
    again = rep_api.post("/api/v1/activities", row(account, source="site", external_id="v1", subject="tweede"))

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert Activity.objects.count() == ActivityChange.objects.count() == 1


def test_an_external_id_of_another_team_tells_nothing_of_its_activity(rep_api, account, outsider):
    ActivityFactory(account=AccountFactory(team=outsider.team), source="site", external_id="v1", subject="geheim")

    one = rep_api.post("/api/v1/activities", row(account, source="site", external_id="v1"))
    many = send(rep_api, row(account, external_id="v1"))

    assert_refusal(one, 409, "conflict")
    assert many["results"] == [
        {"index": 0, "id": None, "status": "error", "error": "This source used this external id for another activity."}
    ]
    assert b"geheim" not in one.content
    assert Activity.objects.count() == 1


def test_an_unknown_kind_is_refused_with_the_known_ones(rep_api, account):
    answer = rep_api.post("/api/v1/activities", row(account, kind="coffee", source="site"))

    assert assert_refusal(answer, 400, "invalid") == {"kind": [NO_SUCH_KIND]}
    assert not Activity.objects.exists()


def test_a_contact_of_another_account_is_refused(rep, rep_api, account):
    elsewhere = ContactFactory(account=AccountFactory(team=rep.team))

    answer = rep_api.post("/api/v1/activities", row(account, contact=elsewhere.pk, source="site"))

    assert_refusal(answer, 400, "invalid")
    assert answer.json()["message"] == f"There is no contact {elsewhere.pk} at this account."
    assert not Activity.objects.exists()


def test_correcting_moves_the_count_and_deleting_takes_it_back(rep_api, account):
    made = rep_api.post("/api/v1/activities", row(account, source="site")).json()

    corrected = rep_api.patch(f"/api/v1/activities/{made['id']}", {"kind": "download"})
    deleted = rep_api.delete(f"/api/v1/activities/{made['id']}")

    assert corrected.json()["kind"] == "download"
    assert deleted.status_code == 204
    assert not Activity.objects.exists()
    assert list(ActivityChange.objects.order_by("id").values_list("kind", "delta")) == [
        ("page_view", 1), ("page_view", -1), ("download", 1), ("download", -1),
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["account", "source", "external_id"])
def test_what_an_activity_is_of_cannot_be_corrected(field, rep_api, account):
    made = rep_api.post("/api/v1/activities", row(account, source="site")).json()

    detail = assert_refusal(rep_api.patch(f"/api/v1/activities/{made['id']}", {field: account.pk}), 400, "invalid")

    assert detail == {field: ["This cannot be set here."]}


def test_a_machine_is_marked_and_counts_no_more(rep_api, account):
    made = rep_api.post("/api/v1/activities", row(account, source="site")).json()

    rep_api.patch(f"/api/v1/activities/{made['id']}", {"machine_reason": "prefetch"})

    assert Activity.objects.get().machine_reason == "prefetch"
    assert sum(ActivityChange.objects.values_list("delta", flat=True)) == 0


def test_every_row_of_many_gets_its_own_result_in_the_given_order(rep, rep_api, account, outsider):
    theirs = AccountFactory(team=outsider.team)
    contact, stranger = ContactFactory(account=account), ContactFactory(account=theirs)
    deal = OpportunityFactory(account=theirs)
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).isoformat()

    answer = send(
        rep_api,
        row(account, external_id="a", contact=contact.pk),
        row(account, external_id="a"),
        row(account, kind="coffee"),
        row(theirs),
        {**row(account), "account": 999999},
        row(account, contact=stranger.pk),
        row(account, opportunity=deal.pk),
        row(account, occurred_at=tomorrow),
        row(account, occurred_at="gisteren"),
        {"kind": "page_view"},
        "no row at all",
        row(account, colour="blue"),
        row(account),
    )

    made = list(Activity.objects.order_by("external_id").values_list("pk", flat=True))
    assert (answer["created"], answer["exists"], answer["refused"]) == (2, 1, 10)
    assert [result["index"] for result in answer["results"]] == list(range(13))
    assert [result["id"] for result in answer["results"]] == [made[1], made[1], *[None] * 10, made[0]]
    assert [result["status"] for result in answer["results"]] == ["created", "exists", *["error"] * 10, "created"]
    assert [result["error"] for result in answer["results"]] == [
        "",
        "",
        f"kind: {NO_SUCH_KIND}",
        f"There is no account {theirs.pk}.",
        "There is no account 999999.",
        f"There is no contact {stranger.pk} at this account.",
        f"There is no opportunity {deal.pk} at this account.",
        "The moment lies in the future.",
        "occurred_at: Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].",
        "account: This field is required.; occurred_at: This field is required.",
        "non_field_errors: Invalid data. Expected a dictionary, but got str.",
        "colour: This cannot be set here.",
        "",
    ]


def test_rows_sent_again_exist_already(rep_api, account):
    rows = [row(account, external_id=f"v{number}") for number in range(3)]

    first, again = send(rep_api, *rows), send(rep_api, *rows)

    assert (first["created"], first["exists"]) == (3, 0)
    assert (again["created"], again["exists"]) == (0, 3)
    assert [result["id"] for result in again["results"]] == [result["id"] for result in first["results"]]
    assert Activity.objects.count() == ActivityChange.objects.count() == 3


@pytest.mark.parametrize("body", [{}, {"source": "site"}, {"source": "site", "activities": {}}, {"source": "", "activities": []}])
def test_a_call_without_a_source_or_rows_is_refused(body, rep_api):
    assert assert_refusal(rep_api.post(BULK, body), 400, "invalid").keys() <= {"source", "activities"}


def test_no_rows_are_no_error(rep_api):
    assert send(rep_api) == {"created": 0, "exists": 0, "refused": 0, "results": []}


def test_one_row_beyond_the_bound_refuses_the_call_and_records_nothing(rep_api, account):
    answer = rep_api.post(BULK, {"source": "site", "activities": [row(account)] * 10_001})

    assert assert_refusal(answer, 400, "invalid") == {"activities": ["Ensure this field has no more than 10000 elements."]}
    assert not Activity.objects.exists()


def test_ten_thousand_rows_take_ten_times_the_queries_of_a_thousand(rep, rep_api):
    """Bounded per chunk, however many accounts and contacts the rows speak of."""
    accounts = AccountFactory.create_batch(40, team=rep.team)

    def queries(rows: int, name: str) -> int:
        body = [row(accounts[number % 40], external_id=f"{name}{number}") for number in range(rows)]
        with CaptureQueriesContext(connection) as captured:
            assert send(rep_api, *body)["created"] == rows
        return len(captured)

    one, two, ten = queries(1_000, "a"), queries(2_000, "b"), queries(10_000, "c")

    assert ten - two == 8 * (two - one)
    assert one <= 40  # SQLite takes fewer than a thousand values in a statement, so the columns count
    assert Activity.objects.count() == 13_000


def test_a_rep_who_only_works_a_deal_may_record_what_happens_there(rep, rep_api, outsider):
    theirs = AccountFactory(team=outsider.team)
    OpportunityFactory(account=theirs, owner=rep)

    assert send(rep_api, row(theirs))["created"] == 1
    assert api_client(outsider).get("/api/v1/activities").json()["results"][0]["recorded_by"] == rep.pk


def test_a_list_narrows_to_a_period_a_contact_and_what_people_did(rep_api, account):
    contact = ContactFactory(account=account)
    early = ActivityFactory(account=account, occurred_at=datetime(2026, 1, 1, tzinfo=UTC))
    late = ActivityFactory(account=account, contact=contact, occurred_at=datetime(2026, 2, 1, tzinfo=UTC))
    ours = ActivityFactory(account=account, kind="note", occurred_at=datetime(2026, 2, 1, tzinfo=UTC))

    def ids(query: str) -> list[int]:
        return [one["id"] for one in rep_api.get(f"/api/v1/activities?{query}").json()["results"]]

    assert ids("since=2026-01-15T00:00:00Z") == [ours.pk, late.pk]
    assert ids("until=2026-01-15T00:00:00Z") == [early.pk]
    assert ids(f"contact={contact.pk}") == [late.pk]
    assert ids("by_people=true") == [late.pk, early.pk]
    assert ids(f"kind=note&account={account.pk}") == [ours.pk]
    assert ids("account=999999") == []
