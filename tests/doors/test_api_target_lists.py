"""Target lists and job-change signals over the API."""

from datetime import UTC, datetime, timedelta

import pytest

from abm.models import JobChangeSignal, TargetAccount, TargetList
from crm.models import Contact
from tests.conftest import api_client, somebody
from tests.doors.test_api_contract import assert_refusal, in_a_year
from tests.factories.abm import StandingFactory
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory


def today() -> str:
    return datetime.now(UTC).date().isoformat()


@pytest.fixture
def api(lead):
    return api_client(lead)


@pytest.fixture
def draft(lead) -> TargetList:
    return TargetList.objects.create(name="Voorjaar", team=lead.team, owner=lead, starts_on=today(), ends_on=in_a_year())


def address(row: TargetList, deed: str = "") -> str:
    return f"/api/v1/target-lists/{row.pk}" + (f"/{deed}" if deed else "")


def accounts(lead, *fits: int) -> list:
    made = [AccountFactory(team=lead.team) for _fit in fits]
    for account, fit in zip(made, fits, strict=True):
        StandingFactory(account=account, fit=fit)
    return made


def on(row: TargetList) -> list[int]:
    return list(row.slots.order_by("slot").values_list("account", flat=True))


def test_a_list_goes_from_draft_to_closed_over_the_api_alone(lead, api):
    best, good, poor = accounts(lead, 90, 60, 10)
    body = {"name": "Voorjaar", "team": lead.team_id, "starts_on": today(), "ends_on": in_a_year()}

    made = api.post("/api/v1/target-lists", body).json()
    row = TargetList.objects.get(pk=made["id"])
    proposal = api.get(address(row, "proposal")).json()
    filled = api.post(address(row, "fill")).json()
    active = api.post(address(row, "activate")).json()
    closed = api.post(address(row, "close")).json()

    assert (made["status"], made["owner"]) == ("draft", lead.pk)
    assert [one["account"] for one in proposal] == [best.pk, good.pk, poor.pk]
    assert proposal[0]["reasons"][0]["sentence"] == "fits the ideal customer profile for 90 of 100: 36 points"
    assert [(one["slot"], one["account"], one["is_pinned"]) for one in filled] == [
        (1, best.pk, False), (2, good.pk, False), (3, poor.pk, False),
    ]  # fmt: skip
    assert (active["status"], closed["status"]) == ("active", "closed")
    assert api.get(address(row, "slots")).json()[0]["fit_at_start"] == 90


def test_a_person_picks_swaps_pins_rejects_and_removes(lead, api, draft):
    one, two, three = accounts(lead, 90, 60, 10)

    picked = api.post(address(draft, "pick"), {"account": three.pk, "slot": 5}).json()
    assert [(slot["slot"], slot["account"], slot["is_pinned"]) for slot in picked] == [(5, three.pk, True)]
    assert api.post(address(draft, "unpin"), {"account": three.pk}).json()[0]["is_pinned"] is False
    assert api.post(address(draft, "pin"), {"account": three.pk}).json()[0]["is_pinned"] is True
    assert [slot["account"] for slot in api.post(address(draft, "swap"), {"account": three.pk, "to_account": two.pk}).json()] == [two.pk]
    assert api.post(address(draft, "reject"), {"account": two.pk, "reason": "Geen klik"}).json() == []
    assert [row["account"] for row in api.get(address(draft, "proposal")).json()] == [one.pk, three.pk]
    api.post(address(draft, "pick"), {"account": one.pk})
    assert api.post(address(draft, "remove"), {"account": one.pk}).json() == []


def test_a_twenty_first_account_and_one_that_is_on_the_list_already_are_refused(lead, api, draft):
    made = accounts(lead, *[50] * 21)
    api.post(address(draft, "fill"))
    before = on(draft)
    (left,) = {account.pk for account in made} - set(before)

    full, twice = api.post(address(draft, "pick"), {"account": left}), api.post(address(draft, "pick"), {"account": before[0]})

    assert len(before) == 20
    assert_refusal(full, 409, "target_list_full")
    assert_refusal(twice, 409, "account_taken")
    assert on(draft) == before


def test_an_account_that_may_not_be_approached_is_not_eligible(lead, api, draft):
    rival = AccountFactory(team=lead.team, status="competitor")

    assert_refusal(api.post(address(draft, "pick"), {"account": rival.pk}), 400, "not_eligible")
    assert on(draft) == []


def test_a_second_active_list_with_the_same_account_is_refused(lead, api, draft):
    (account,) = accounts(lead, 90)
    other = TargetList.objects.create(name="Zomer", team=lead.team, owner=lead, starts_on=today(), ends_on=in_a_year())
    for row in (draft, other):
        api.post(address(row, "pick"), {"account": account.pk})
    api.post(address(draft, "activate"))

    assert_refusal(api.post(address(other, "activate")), 409, "account_taken")
    other.refresh_from_db()
    assert other.status == "draft"


@pytest.mark.parametrize("deed", ["fill", "activate"])
def test_an_active_list_is_no_draft_any_more(deed, lead, api, draft):
    accounts(lead, 90)
    api.post(address(draft, "fill"))
    api.post(address(draft, "activate"))

    assert_refusal(api.post(address(draft, deed)), 409, "wrong_status")


@pytest.mark.parametrize("slot", [0, 21, "eerste"])
def test_a_slot_is_one_of_twenty(slot, lead, api, draft):
    (account,) = accounts(lead, 90)

    assert list(assert_refusal(api.post(address(draft, "pick"), {"account": account.pk, "slot": slot}), 400, "invalid")) == ["slot"]
    assert not TargetAccount.objects.exists()


@pytest.mark.parametrize("deed", ["pin", "unpin", "remove"])
def test_what_is_not_on_the_list_has_no_slot(deed, lead, api, draft):
    (account,) = accounts(lead, 90)

    detail = assert_refusal(api.post(address(draft, deed), {"account": account.pk}), 400, "invalid")

    assert detail == {"account": ["This account is not on the list."]}


@pytest.mark.parametrize("deed", ["pick", "reject", "pin"])
def test_an_account_of_another_team_cannot_be_named(deed, lead, api, draft, outsider):
    foreign = AccountFactory(team=outsider.team)

    assert assert_refusal(api.post(address(draft, deed), {"account": foreign.pk}), 400, "invalid") == {
        "account": [f"{foreign.pk} not found."]
    }


def test_an_account_of_no_team_may_be_picked_as_it_is_proposed(lead, api, draft):
    nobodys = AccountFactory()

    assert [row["account"] for row in api.get(address(draft, "proposal")).json()] == [nobodys.pk]
    assert [row["account"] for row in api.post(address(draft, "pick"), {"account": nobodys.pk}).json()] == [nobodys.pk]


def test_marketing_picks_for_every_team(lead, draft, marketer):
    (account,) = accounts(lead, 90)

    assert [row["account"] for row in api_client(marketer).post(address(draft, "pick"), {"account": account.pk}).json()] == [account.pk]


@pytest.mark.parametrize("deed", ["fill", "activate", "close"])
def test_a_rep_looks_at_a_list_and_leaves_it_as_it_is(deed, rep_api, draft):
    assert rep_api.get(address(draft)).status_code == 200
    assert_refusal(rep_api.post(address(draft, deed)), 403, "permission_denied")
    draft.refresh_from_db()
    assert draft.status == "draft"


# --- job changes -----------------------------------------------------------------------------------
@pytest.fixture
def contact(rep) -> Contact:
    contact = ContactFactory(account=AccountFactory(team=rep.team, owner=rep))
    MembershipFactory(contact=contact, role="decider")
    return contact


def suspected(client, contact: Contact, **facts: object) -> dict[str, object]:
    answer = client.post("/api/v1/job-changes/suspect", {"contact": contact.pk, "text": "Stond op LinkedIn", **facts})
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_suspicion_opens_one_signal_with_its_evidence_and_marks_the_contact(rep, rep_api, contact):
    first, again = suspected(rep_api, contact, key="li-1"), suspected(rep_api, contact, key="li-1")
    more = suspected(rep_api, contact, key="li-2", text="Telefoniste zegt het ook")

    assert first["id"] == again["id"] == more["id"]
    assert (first["status"], first["kind"], first["account"]) == ("open", "person", contact.account_id)
    assert [(one["source"], one["given_by"]) for one in more["evidence"]] == [("api", rep.pk)] * 2
    assert rep_api.get(f"/api/v1/contacts/{contact.pk}").json()["departure_suspected_at"] is not None


def test_somebody_signed_in_without_a_key_is_a_colleague_not_an_integration(rep, contact):
    from rest_framework.test import APIClient

    client = APIClient()
    client.force_login(rep)

    assert suspected(client, contact)["evidence"][0]["source"] == "rep"


def test_confirming_ends_the_job_and_knows_the_next_one(rep, rep_api, contact):
    signal = suspected(rep_api, contact)
    elsewhere = AccountFactory(team=rep.team)
    body = {
        "left_on": (datetime.now(UTC) - timedelta(days=2)).date().isoformat(),
        "new_account": elsewhere.pk,
        "new_job_title": "Directeur",
    }

    confirmed = rep_api.post(f"/api/v1/job-changes/{signal['id']}/confirm", body).json()

    contact.refresh_from_db()
    assert (confirmed["status"], confirmed["decided_by"]) == ("confirmed", rep.pk)
    assert contact.left_on.isoformat() == body["left_on"]
    assert Contact.objects.get(account=elsewhere).person_id == contact.person_id


def test_dismissing_restores_and_a_decision_stands_once(rep_api, contact):
    signal = suspected(rep_api, contact)

    dismissed = rep_api.post(f"/api/v1/job-changes/{signal['id']}/dismiss").json()
    again = rep_api.post(f"/api/v1/job-changes/{signal['id']}/confirm", {})

    contact.refresh_from_db()
    assert dismissed["status"] == "dismissed"
    assert contact.departure_suspected_at is None
    assert_refusal(again, 409, "wrong_status")
    assert contact.left_on is None


def test_a_confirmation_is_undone(rep_api, contact):
    signal = suspected(rep_api, contact)
    rep_api.post(f"/api/v1/job-changes/{signal['id']}/confirm", {})

    undone = rep_api.post(f"/api/v1/job-changes/{signal['id']}/undo").json()

    contact.refresh_from_db()
    assert (undone["status"], undone["decided_at"], contact.left_on) == ("open", None, None)


def test_nobody_of_another_team_is_suspected(rep_api, outsider):
    foreign = ContactFactory(account=AccountFactory(team=outsider.team))

    answer = rep_api.post("/api/v1/job-changes/suspect", {"contact": foreign.pk, "text": "Stond op LinkedIn"})

    assert assert_refusal(answer, 400, "invalid") == {"contact": [f"{foreign.pk} not found."]}
    assert not JobChangeSignal.objects.exists()


def test_a_new_employer_beyond_the_callers_sight_is_refused(rep_api, contact, outsider):
    signal, foreign = suspected(rep_api, contact), AccountFactory(team=outsider.team)

    answer = rep_api.post(f"/api/v1/job-changes/{signal['id']}/confirm", {"new_account": foreign.pk})

    assert assert_refusal(answer, 400, "invalid") == {"new_account": [f"{foreign.pk} not found."]}
    assert JobChangeSignal.objects.get().status == "open"


def test_open_signals_narrow_to_persons_and_accounts(rep_api, contact):
    signal = suspected(rep_api, contact)

    def ids(query: str) -> list[int]:
        return [row["id"] for row in rep_api.get(f"/api/v1/job-changes?{query}").json()["results"]]

    assert ids("open=true") == ids("of_persons=true") == ids(f"account={contact.account_id}") == [signal["id"]]
    assert ids("of_domains=true") == ids("open=false") == ids("status=confirmed") == []


def test_a_colleague_of_the_team_decides_as_well(rep, rep_api, contact):
    signal, colleague = suspected(rep_api, contact), somebody("sales rep", team=rep.team)

    assert api_client(colleague).post(f"/api/v1/job-changes/{signal['id']}/dismiss").json()["decided_by"] == colleague.pk
