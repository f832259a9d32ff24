"""Machine-made activity at the doors: told by the API, shown in words, and judged by people."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import translation
from django.utils.timezone import now

from crm import activities, machine_agents
from crm.models import Account, Activity, ActivityChange, ActivityVerdict, Team, User
from crm.new_activities import NewActivity
from tests.doors.admin_pages import link
from tests.doors.test_api_contract import assert_refusal
from tests.factories import crm as make

BULK = "/api/v1/activities/bulk"
LIST = "/admin/crm/activity/"


@pytest.fixture
def account(team: Team, rep: User) -> Account:
    return make.AccountFactory(team=team, owner=rep)


@pytest.fixture
def contact(account: Account):
    return make.ContactFactory(account=account)


@pytest.fixture
def burst(account: Account, contact) -> list[Activity]:
    """Give three clicks of a scanner and one of a person, recorded by the rule."""
    moment = now() - timedelta(days=1)
    facts = {"account_id": account.pk, "contact_id": contact.pk, "message_id": "m1", "kind": "email_click"}
    rows = [
        NewActivity(occurred_at=moment + timedelta(seconds=n), link=f"https://a.example/{n}", external_id=f"{n}", **facts) for n in range(3)
    ]
    rows.append(NewActivity(occurred_at=moment + timedelta(minutes=9), link="https://a.example/1", external_id="person", **facts))
    activities.record_many(rows, source="esp", at=now())
    return list(Activity.objects.order_by("occurred_at"))


def counts() -> int:
    return sum(ActivityChange.objects.values_list("delta", flat=True))


def event(account, contact, seconds, **facts):
    moment = f"2026-03-01T10:00:{seconds:02}Z"
    return {"account": account.pk, "contact": contact.pk, "kind": "email_click", "occurred_at": moment, "message_id": "<m1>", **facts}


def test_events_over_the_api_carry_by_what_a_machine_is_told(rep_api, account, contact):
    rows = [event(account, contact, n, link=f"https://a.example/{n}", external_id=str(n), user_agent="x" * 900) for n in range(3)]

    answer = rep_api.post(BULK, {"source": "esp", "activities": rows}).json()
    shown = rep_api.get(f"/api/v1/activities/{answer['results'][0]['id']}").json()

    assert answer["created"] == 3
    assert (shown["machine_reason"], shown["judged_by"], shown["message_id"]) == ("link_scanner", "", "m1")
    assert (shown["link"], shown["user_agent"]) == ("https://a.example/0", "x" * 300)
    assert counts() == 0


def test_one_activity_over_the_api_is_judged_by_its_program(rep_api, account, contact):
    made = rep_api.post("/api/v1/activities", event(account, contact, 1, source="esp", user_agent="curl/8.1")).json()

    assert (made["machine_reason"], counts()) == ("crawler", 0)


def test_a_message_id_that_is_too_long_is_refused_with_the_field(rep_api, account, contact):
    answer = rep_api.post("/api/v1/activities", event(account, contact, 1, source="esp", message_id="m" * 251))

    assert "message_id" in assert_refusal(answer, 400, "invalid")


def test_a_person_says_over_the_api_who_made_an_activity_and_it_stands(rep, rep_api, burst):
    address = f"/api/v1/activities/{burst[0].pk}"

    said = rep_api.post(f"{address}/judge", {"made_by": "person"})
    again = rep_api.post(f"{address}/judge", {"made_by": "machine", "reason": "our own test"})

    assert (said.json()["machine_reason"], said.json()["judged_by"]) == ("", "person")
    assert again.json()["machine_reason"] == "our own test"
    assert [(row["machine_reason"], row["said_by"]) for row in rep_api.get(f"{address}/verdicts").json()] == [
        ("our own test", rep.pk), ("", rep.pk),
    ]  # fmt: skip


def test_a_verdict_over_the_api_is_refused_to_outsiders_and_without_a_maker(outsider, rep_api, burst):
    from tests.conftest import api_client

    assert_refusal(rep_api.post(f"/api/v1/activities/{burst[0].pk}/judge", {"made_by": "martian"}), 400, "invalid")
    assert api_client(outsider).post(f"/api/v1/activities/{burst[0].pk}/judge", {"made_by": "person"}).status_code == 404
    assert (ActivityVerdict.objects.count(), counts()) == (0, 1)


def test_the_api_lists_what_machines_made(rep_api, burst):
    listed = rep_api.get("/api/v1/activities?by_machines=true").json()["results"]

    assert {row["id"] for row in listed} == {row.pk for row in burst[:3]}
    assert [row["id"] for row in rep_api.get("/api/v1/activities?by_machines=false").json()["results"]] == [burst[3].pk]


@pytest.mark.parametrize(
    ("language", "words"), [("en", "link scanner, many links within seconds"), ("nl", "linkscanner, veel links binnen")]
)
def test_the_list_says_in_words_why_and_filters_by_it(rep_client: Client, rep: User, burst, language, words):
    rep_client.cookies["django_language"] = language

    people = rep_client.get(LIST, headers={"accept-language": language})
    machines = rep_client.get(LIST, {"made_by": "machines", "machine_reason": "link_scanner"}, headers={"accept-language": language})
    others = rep_client.get(LIST, {"made_by": "machines", "machine_reason": "crawler"}, headers={"accept-language": language})

    cell = f"machine: {words}"
    assert cell not in people.content.decode()
    assert machines.content.decode().count(cell) == 3
    assert [each.context["cl"].result_count for each in (people, machines, others)] == [1, 3, 0]


def test_a_page_of_an_activity_takes_the_verdict_of_a_person(rep_client: Client, rep: User, burst):
    page = rep_client.get(link(burst[0], "change"))
    asked = rep_client.get(link(burst[0], "was_person"))
    done = rep_client.post(link(burst[0], "was_person"), follow=True)

    assert "was-person" in page.content.decode()
    assert "was-machine" not in page.content.decode()
    assert "It stands, whatever the rules find later." in asked.content.decode()
    assert "It counts again." in done.content.decode()
    assert (Activity.objects.get(pk=burst[0].pk).machine_reason, counts()) == ("", 2)
    assert f"made by a person ({rep}" in rep_client.get(link(burst[0], "change")).content.decode()


def test_who_may_only_look_at_an_activity_gives_no_verdict(rep: User, rep_client: Client, outsider: User, burst):
    theirs = make.AccountFactory(team=outsider.team)
    make.OpportunityFactory(account=theirs, owner=rep)
    row = make.ActivityFactory(account=theirs, kind="email_click", machine_reason="filtered", judged_by="source")

    assert rep_client.post(link(row, "was_person")).status_code == 403
    assert Activity.objects.get(pk=row.pk).machine_reason == "filtered"
    assert "was-person" not in rep_client.get(link(row, "change")).content.decode()
    assert "was-person" not in rep_client.get(link(theirs, "timeline"), {"made": "machines"}).content.decode()


def test_the_timeline_offers_the_verdict_and_leads_back(rep_client: Client, account: Account, burst):
    shown = rep_client.get(link(account, "timeline"), {"made": "all"}).content.decode()
    address = f"{link(burst[0], 'was_person')}?next={link(account, 'change')}%23timeline"

    assert address in shown
    assert f"{link(burst[3], 'was_machine')}?next=" in shown
    assert rep_client.post(address).headers["Location"] == f"{link(account, 'change')}#timeline"


def test_many_rows_of_the_list_are_said_to_be_people_after_a_preview(rep_client: Client, burst):
    ids = [row.pk for row in burst]
    chosen = rep_client.post(f"{LIST}?made_by=all", {"action": "were_people", "_selected_action": ids})
    preview = rep_client.post(f"{LIST}bulk/were_people/", {"ids": ",".join(map(str, ids)), "preview": "1"})
    rep_client.post(f"{LIST}bulk/were_people/", {"ids": ",".join(map(str, ids)), "do": "1"})

    assert "These were people" in chosen.content.decode()
    assert "they count as made by people already" in preview.content.decode()
    assert (Activity.objects.exclude(machine_reason="").count(), counts()) == (0, 4)


def test_every_reason_has_dutch_words():
    with translation.override("nl"):
        dutch = {reason: str(words) for reason, words in machine_agents.REASONS.items()}
    with translation.override("en"):
        assert not [reason for reason, words in machine_agents.REASONS.items() if str(words) == dutch[reason]]
