"""Accounts, contacts, roles and tasks over the API: each deed does what its rule does, and says no as its rule does."""

from datetime import UTC, datetime, timedelta

import pytest

from abm.models import StateMark
from crm.models import Account, Contact, FollowUp, Pilot
from tests.conftest import api_client, somebody
from tests.crm.deals import confirmed
from tests.doors.test_api_contract import assert_refusal, follow_up_of, pilot_of, standing_of
from tests.factories.abm import EngagementScoreFactory, ProfileFactory, StandingFactory
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, MembershipFactory, OpportunityFactory, UserFactory


@pytest.fixture
def account(rep) -> Account:
    return AccountFactory(team=rep.team, owner=rep, industry="Retail")


@pytest.fixture
def contact(account) -> Contact:
    return ContactFactory(account=account)


def today() -> str:
    return datetime.now(UTC).date().isoformat()


# --- accounts --------------------------------------------------------------------------------------
def test_a_new_account_belongs_to_the_caller_and_keeps_its_registrable_domain(rep, rep_api):
    body = {"name": "Voorbeeld", "domain": "https://www.shop.voorbeeld.nl/x", "country": "NL", "revenue": "1000.50"}

    made = rep_api.post("/api/v1/accounts", body).json()

    assert (made["owner"], made["team"], made["domain"], made["country"], made["revenue"]) == (
        rep.pk,
        rep.team_id,
        "voorbeeld.nl",
        "NL",
        "1000.50",
    )
    assert made["standing"] is None


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("domain", "gmail.com", "gmail.com gives mail to everybody; it is no company's own."),
        ("domain", "nergens", "'nergens' is no web domain."),
        ("revenue", "-1", "Ensure this value is greater than or equal to 0."),
        ("employees", -1, "Ensure this value is greater than or equal to 0."),
        ("status", "vriend", '"vriend" is not a valid choice.'),
        ("country", "XX", '"XX" is not a valid choice.'),
        ("name", "", "This field may not be blank."),
    ],
)
def test_a_value_that_cannot_be_right_is_named_with_the_reason(field, value, reason, rep_api):
    answer = rep_api.post("/api/v1/accounts", {"name": "Voorbeeld", field: value})

    assert assert_refusal(answer, 400, "invalid") == {field: [reason]}
    assert not Account.objects.exists()


def test_a_domain_that_another_account_holds_is_refused(rep_api, account):
    answer = rep_api.post("/api/v1/accounts", {"name": "Dubbel", "domain": account.domain})

    assert assert_refusal(answer, 400, "invalid") == {"domain": [f"{account.domain} belongs to another account already."]}


def test_the_same_id_at_the_source_twice_is_a_conflict_that_shows_no_sql(rep_api):
    body = {"name": "Voorbeeld", "source": "erp", "external_id": "1"}
    rep_api.post("/api/v1/accounts", body)

    answer = rep_api.post("/api/v1/accounts", body)

    assert_refusal(answer, 409, "conflict")
    assert answer.json()["message"] == "There is an account with this id of this source already."
    assert Account.objects.count() == 1


@pytest.mark.parametrize("field", ["owner", "team"])
def test_an_account_changes_hands_by_its_own_deed_only(field, rep, rep_api, account, outsider):
    answer = rep_api.patch(f"/api/v1/accounts/{account.pk}", {field: getattr(outsider, f"{field}_id", outsider.pk)})

    assert assert_refusal(answer, 400, "invalid") == {field: ["This cannot be set here."]}


def test_a_lead_hands_an_account_over_and_a_rep_does_not(rep, rep_api, lead, account):
    colleague = somebody("sales rep", team=rep.team)
    body = {"owner": colleague.pk, "team": rep.team_id}

    assert_refusal(rep_api.post(f"/api/v1/accounts/{account.pk}/hand-over", body), 403, "not_allowed")
    account.refresh_from_db()
    assert account.owner == rep
    assert api_client(lead).post(f"/api/v1/accounts/{account.pk}/hand-over", body).json()["owner"] == colleague.pk


def test_nobody_outside_the_own_team_can_be_named(lead, account, outsider):
    body = {"owner": outsider.pk, "team": outsider.team_id}

    answer = api_client(lead).post(f"/api/v1/accounts/{account.pk}/hand-over", body)

    assert assert_refusal(answer, 400, "invalid") == {"owner": [f"{outsider.pk} not found."], "team": [f"{outsider.team_id} not found."]}


def test_marketing_hands_an_account_to_anybody_who_works_here(marketer, account, outsider):
    gone = UserFactory(is_active=False)
    client = api_client(marketer)

    assert assert_refusal(client.post(f"/api/v1/accounts/{account.pk}/hand-over", {"owner": gone.pk, "team": None}), 400, "invalid") == {
        "owner": [f"{gone.pk} not found."]
    }
    assert_refusal(client.post(f"/api/v1/accounts/{account.pk}/hand-over", {"owner": outsider.pk, "team": None}), 403, "not_allowed")


def test_who_only_works_a_deal_sees_the_account_and_may_not_change_it(rep, rep_api, outsider):
    theirs = AccountFactory(team=outsider.team)
    OpportunityFactory(account=theirs, owner=rep)

    assert rep_api.get(f"/api/v1/accounts/{theirs.pk}").status_code == 200
    assert_refusal(rep_api.patch(f"/api/v1/accounts/{theirs.pk}", {"name": "Anders"}), 403, "permission_denied")
    theirs.refresh_from_db()
    assert theirs.name != "Anders"


def test_an_account_shows_where_it_stands(rep, rep_api):
    standing = standing_of(rep)

    shown = rep_api.get(f"/api/v1/accounts/{standing.account_id}").json()["standing"]

    assert (shown["fit"], shown["score"], shown["momentum"], shown["coverage_percent"]) == (80, "41.5", "3.0", 67)
    assert shown["coverage_states"] == {"decider": "known"}


def test_a_list_of_accounts_narrows_to_what_is_asked(rep, rep_api):
    shop = AccountFactory(team=rep.team, name="Winkel", industry="retail", status="customer", country="NL", owner=rep)
    rival = AccountFactory(team=rep.team, name="Rivaal", status="competitor", country="BE")

    def names(query: str) -> list[str]:
        return [row["name"] for row in rep_api.get(f"/api/v1/accounts?{query}").json()["results"]]

    assert names("customers=true") == names("industry=retail") == names("name=wink") == names("approachable=true") == ["Winkel"]
    assert names(f"owner={rep.pk}") == names("country=NL") == names(f"domain={shop.domain}") == ["Winkel"]
    assert names("approachable=false") == names("status=competitor") == ["Rivaal"]
    assert names("ordering=name") == ["Rivaal", "Winkel"]
    assert names("updated_since=2100-01-01T00:00:00Z") == []
    assert rival.name == "Rivaal"


def test_intelligence_explains_fit_score_and_coverage_down_to_the_activity(rep_api, account, contact):
    ProfileFactory(industries=["retail"], employees_from=50, employees_to=200)
    MembershipFactory(contact=contact, role="decider")
    moment = datetime.now(UTC)
    meeting = ActivityFactory(account=account, contact=contact, kind="meeting", occurred_at=moment - timedelta(hours=1))

    shown = rep_api.get(f"/api/v1/accounts/{account.pk}/intelligence").json()

    assert shown["fit"]["points"] == 35 + 30 + 20 + 15
    assert shown["fit"]["reasons"][0]["sentence"] == "Retail is the industry that fits best."
    assert shown["score"]["required_roles"] == ["decider", "buyer", "user"]
    assert shown["score"]["active_roles"] == ["decider"]
    (line,) = shown["score"]["lines"]
    assert (line["contact"], line["kind"], line["times"], line["role_weight"], line["activities"]) == (
        contact.pk,
        "meeting",
        1,
        1.5,
        [meeting.pk],
    )
    assert {role["role"] for role in shown["score"]["missing_roles"]} == {"buyer", "user"}
    assert {role["role"]: role["state"] for role in shown["coverage"]["roles"]} == {
        "user": "missing",
        "buyer": "missing",
        "decider": "engaged",
    }
    assert shown["coverage"] == rep_api.get(f"/api/v1/accounts/{account.pk}/coverage").json()


def test_intelligence_of_a_foreign_account_is_not_found(account, outsider):
    for reading in ("intelligence", "coverage"):
        assert_refusal(api_client(outsider).get(f"/api/v1/accounts/{account.pk}/{reading}"), 404, "not_found")


# --- scores ----------------------------------------------------------------------------------------
def test_scores_come_highest_first_and_keep_their_history(rep, rep_api):
    low, high = standing_of(rep), standing_of(rep)
    type(high).objects.filter(pk=high.pk).update(score=77, momentum=20)
    for day, score in (("2026-03-01", 50), ("2026-03-02", 60)):
        EngagementScoreFactory(account_id=high.pk, day=day, score=score)

    assert [row["account"] for row in rep_api.get("/api/v1/scores").json()["results"]] == [high.pk, low.pk]
    assert [row["account"] for row in rep_api.get("/api/v1/scores?warming_up=true").json()["results"]] == [high.pk]
    assert [row["account"] for row in rep_api.get("/api/v1/scores?warming_up=false").json()["results"]] == [low.pk]
    assert [row["account"] for row in rep_api.get("/api/v1/scores?score_from=50&fit_from=80").json()["results"]] == [high.pk]
    StateMark.objects.create(account_id=high.pk, version="abc")
    StateMark.objects.create(account_id=low.pk, version="")
    assert [row["parameters"] for row in rep_api.get("/api/v1/scores").json()["results"]] == ["abc", None]
    history = rep_api.get(f"/api/v1/scores/{high.pk}/history").json()
    assert [(row["day"], row["score"]) for row in history] == [("2026-03-02", "60.0"), ("2026-03-01", "50.0")]


@pytest.mark.parametrize("figure", ["score", "momentum", "fit"])
def test_accounts_come_in_the_order_of_a_figure_page_by_page_and_those_never_scored_come_last(figure, rep, rep_api):
    never = AccountFactory(team=rep.team, owner=rep)
    low, high, even = [AccountFactory(team=rep.team, owner=rep) for _ in range(3)]
    for account, value in ((low, 3), (high, 61), (even, 3)):
        StandingFactory(account=account, **{figure: value})

    rows, page = [], f"/api/v1/accounts?page_size=1&ordering=-{figure}"
    while page:
        answer = rep_api.get(page).json()
        rows, page = rows + [row["id"] for row in answer["results"]], answer["next"]

    assert rows == [high.pk, even.pk, low.pk, never.pk]


@pytest.mark.parametrize("momentum", ["-0.7", "12.3"])
def test_a_page_goes_on_after_a_figure_with_a_decimal(momentum, rep, rep_api):
    accounts = [StandingFactory(account=AccountFactory(team=rep.team, owner=rep), momentum=momentum).account for _ in range(3)]

    first = rep_api.get("/api/v1/accounts?page_size=2&ordering=-momentum").json()
    second = rep_api.get(first["next"]).json()

    assert [row["id"] for row in first["results"] + second["results"]] == [account.pk for account in reversed(accounts)]


# --- contacts and persons --------------------------------------------------------------------------
def test_a_contact_is_added_with_the_person(rep_api, account):
    body = {"account": account.pk, "given_name": "Anna", "family_name": "Bakker", "email": "anna@voorbeeld.nl", "phone": "0612345678"}

    made = rep_api.post("/api/v1/contacts", body).json()

    assert (made["given_name"], made["family_name"], made["email"], made["phone"]) == (
        "Anna",
        "Bakker",
        "anna@voorbeeld.nl",
        "+31612345678",
    )
    assert rep_api.get(f"/api/v1/persons/{made['person']}").json()["given_name"] == "Anna"


@pytest.mark.parametrize(("field", "value"), [("email", "geen adres"), ("phone", "12"), ("function", "baas"), ("legal_basis", "zin")])
def test_details_that_cannot_be_right_are_refused_by_name(field, value, rep_api, account):
    answer = rep_api.post("/api/v1/contacts", {"account": account.pk, "family_name": "Bakker", field: value})

    assert list(assert_refusal(answer, 400, "invalid")) == [field]
    assert not Contact.objects.exists()


def test_an_address_is_once_per_account(rep_api, contact):
    answer = rep_api.post("/api/v1/contacts", {"account": contact.account_id, "family_name": "Dubbel", "email": contact.email.upper()})

    assert assert_refusal(answer, 400, "invalid") == {"email": ["Another contact of this account has this address."]}


def test_a_corrected_address_is_taken_to_work(rep_api, contact, at):
    Contact.objects.filter(pk=contact.pk).update(address_invalid_at=at)

    shown = rep_api.patch(f"/api/v1/contacts/{contact.pk}", {"email": "nieuw@voorbeeld.nl", "family_name": "Anders"}).json()

    assert (shown["email"], shown["family_name"], shown["address_invalid_at"]) == ("nieuw@voorbeeld.nl", "Anders", None)


def test_a_departure_ends_roles_and_withdraws_confirmations_and_can_be_taken_back(rep, rep_api, contact):
    MembershipFactory(contact=contact, role="buyer")
    deal = OpportunityFactory(account=contact.account, team=rep.team)
    given = confirmed(deal, "budget", at=datetime.now(UTC), contact=contact)["budget"]

    def facts() -> tuple[object, ...]:
        (membership,) = rep_api.get(f"/api/v1/memberships?contact={contact.pk}").json()["results"]
        (confirmation,) = rep_api.get(f"/api/v1/opportunities/{deal.pk}/confirmations").json()
        left = rep_api.get(f"/api/v1/contacts/{contact.pk}").json()["left_on"]
        return left, membership["end_reason"], confirmation["withdrawn_at"] is not None

    left = rep_api.post(f"/api/v1/contacts/{contact.pk}/depart", {"left_on": today(), "reason": "Nieuwe baan"})
    after_leaving = facts()
    again = rep_api.post(f"/api/v1/contacts/{contact.pk}/depart", {"left_on": today()})
    back = rep_api.post(f"/api/v1/contacts/{contact.pk}/undo-departure", {})

    assert left.json()["left_on"] == today()
    assert after_leaving == (today(), "left", True)
    assert_refusal(again, 409, "conflict")
    assert back.status_code == 200
    assert facts() == (None, "", False)
    assert given.contact == contact
    assert_refusal(rep_api.post(f"/api/v1/contacts/{contact.pk}/undo-departure", {}), 409, "conflict")


def test_a_person_carried_over_is_the_same_person_at_another_account(rep, rep_api, contact):
    elsewhere = AccountFactory(team=rep.team)

    made = rep_api.post(f"/api/v1/contacts/{contact.pk}/carry-over", {"to_account": elsewhere.pk, "job_title": "Directeur"}).json()

    assert (made["account"], made["person"], made["job_title"], made["email"]) == (elsewhere.pk, contact.person_id, "Directeur", "")


def test_nobody_is_carried_over_to_a_foreign_account(rep_api, contact, outsider):
    foreign = AccountFactory(team=outsider.team)

    answer = rep_api.post(f"/api/v1/contacts/{contact.pk}/carry-over", {"to_account": foreign.pk})

    assert assert_refusal(answer, 400, "invalid") == {"to_account": [f"{foreign.pk} not found."]}
    assert Contact.objects.count() == 1


def test_details_are_confirmed_and_an_opt_out_holds_for_the_person(rep_api, contact):
    assert rep_api.post(f"/api/v1/contacts/{contact.pk}/confirm-details").json()["details_confirmed_at"] is not None
    assert rep_api.post(f"/api/v1/persons/{contact.person_id}/opt-out").json()["opted_out_at"] is not None
    assert rep_api.get("/api/v1/contacts?mailable=true").json()["results"] == []
    assert rep_api.post(f"/api/v1/persons/{contact.person_id}/opt-in").json()["opted_out_at"] is None
    assert [row["id"] for row in rep_api.get("/api/v1/contacts?mailable=true").json()["results"]] == [contact.pk]


def test_a_list_of_contacts_narrows_to_those_who_work_there_and_can_be_reached(rep_api, account, contact):
    gone = ContactFactory(account=account, gone=True)
    silent = ContactFactory(account=account, unreachable=True)

    def ids(query: str) -> set[int]:
        return {row["id"] for row in rep_api.get(f"/api/v1/contacts?{query}").json()["results"]}

    assert ids("active=true") == {contact.pk, silent.pk}
    assert ids("active=false") == {gone.pk}
    assert ids("reachable=true") == {contact.pk}
    assert ids(f"email={contact.email.upper()}") == {contact.pk}


# --- roles -----------------------------------------------------------------------------------------
def test_a_role_is_assumed_confirmed_and_ended(rep, rep_api, contact):
    body = {"contact": contact.pk, "role": "decider", "is_assumed": True}

    made = rep_api.post("/api/v1/memberships", body).json()
    confirmed_role = rep_api.post(f"/api/v1/memberships/{made['id']}/confirm").json()
    champion = rep_api.post(f"/api/v1/memberships/{made['id']}/set-stance", {"stance": "champion"}).json()
    ended = rep_api.post(f"/api/v1/memberships/{made['id']}/end", {"reason": "moved"}).json()
    again = rep_api.post(f"/api/v1/memberships/{made['id']}/end", {"reason": "moved"})

    assert (made["account"], made["role"], made["is_assumed"]) == (contact.account_id, "decider", True)
    assert (confirmed_role["is_assumed"], confirmed_role["said_by"]) == (False, rep.pk)
    assert champion["stance"] == "champion"
    assert (ended["end_reason"], ended["until"] is not None) == ("moved", True)
    assert_refusal(again, 409, "conflict")


def test_the_same_role_said_twice_is_one_row(rep_api, contact):
    first, again = (rep_api.post("/api/v1/memberships", {"contact": contact.pk, "role": "buyer"}).json() for _ in range(2))

    assert first["id"] == again["id"]


def test_a_role_for_a_deal_of_another_account_is_refused(rep, rep_api, contact):
    deal = OpportunityFactory(account=AccountFactory(team=rep.team), team=rep.team)

    answer = rep_api.post("/api/v1/memberships", {"contact": contact.pk, "role": "buyer", "opportunity": deal.pk})

    assert list(assert_refusal(answer, 400, "invalid")) == ["opportunity"]


# --- pilots ----------------------------------------------------------------------------------------
def test_a_pilot_gets_one_verdict(rep, rep_api):
    pilot = pilot_of(rep)

    judged = rep_api.post(f"/api/v1/pilots/{pilot.pk}/judge", {"verdict": "passed", "note": "Ruim gehaald"}).json()
    again = rep_api.post(f"/api/v1/pilots/{pilot.pk}/judge", {"verdict": "failed"})

    assert (judged["verdict"], judged["verdict_note"], judged["verdict_on"] is not None) == ("passed", "Ruim gehaald", True)
    assert_refusal(again, 409, "conflict")
    pilot.refresh_from_db()
    assert pilot.verdict == "passed"


@pytest.mark.parametrize("missing", ["success_criteria", "ends_on"])
def test_a_pilot_does_not_start_without_criteria_and_an_end(missing, rep, rep_api):
    deal = OpportunityFactory(account=AccountFactory(team=rep.team), team=rep.team)
    body = {"opportunity": deal.pk, "success_criteria": "Sneller", "ends_on": "2030-01-01"}

    answer = rep_api.post("/api/v1/pilots", {name: value for name, value in body.items() if name != missing})

    assert assert_refusal(answer, 400, "invalid") == {missing: ["This field is required."]}
    assert not Pilot.objects.exists()


# --- tasks -----------------------------------------------------------------------------------------
def test_a_task_is_closed_once_with_its_result_and_can_be_reopened(rep, rep_api):
    task = follow_up_of(rep)

    closed = rep_api.post(f"/api/v1/follow-ups/{task.pk}/close", {"result": "Gebeld"}).json()
    again = rep_api.post(f"/api/v1/follow-ups/{task.pk}/close", {"result": "Nog eens"})
    reopened = rep_api.post(f"/api/v1/follow-ups/{task.pk}/reopen").json()

    assert (closed["result"], closed["closed_by"], closed["closed_at"] is not None) == ("Gebeld", rep.pk, True)
    assert_refusal(again, 409, "conflict")
    assert (reopened["result"], reopened["closed_at"]) == ("", None)


def test_a_new_task_is_the_callers_own_unless_said_otherwise(rep, rep_api, account):
    colleague = somebody("sales rep", team=rep.team)
    body = {"text": "Bellen", "due_on": "2026-04-01", "account": account.pk}

    own, given = rep_api.post("/api/v1/follow-ups", body).json(), rep_api.post("/api/v1/follow-ups", {**body, "owner": colleague.pk}).json()

    assert (own["owner"], own["title"], own["reason"]) == (rep.pk, "Bellen", "by_hand")
    assert given["owner"] == colleague.pk


@pytest.mark.parametrize("text", ["", "  "])
def test_a_task_says_what_is_to_be_done(text, rep_api, account):
    answer = rep_api.post("/api/v1/follow-ups", {"text": text, "due_on": "2026-04-01", "account": account.pk})

    assert list(assert_refusal(answer, 400, "invalid")) == ["text"]
    assert not FollowUp.objects.exists()


def test_tasks_come_in_the_order_of_their_day_and_narrow_to_open_ones(rep, rep_api):
    later, sooner, done = follow_up_of(rep), follow_up_of(rep), follow_up_of(rep)
    FollowUp.objects.filter(pk=sooner.pk).update(due_on="2026-03-11")
    FollowUp.objects.filter(pk=done.pk).update(closed_at=datetime.now(UTC))

    assert [row["id"] for row in rep_api.get("/api/v1/follow-ups?open=true").json()["results"]] == [sooner.pk, later.pk]
    assert [row["id"] for row in rep_api.get("/api/v1/follow-ups?open=true&due_before=2026-03-12").json()["results"]] == [sooner.pk]
    assert [row["id"] for row in rep_api.get("/api/v1/follow-ups?open=false").json()["results"]] == [done.pk]
