"""Opportunities over the API: through the gate, and no way around it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations, product
from threading import Barrier

import pytest
from django.db import connection

from crm import opportunities, policy
from crm.api.opportunities import OpportunityViewSet
from crm.models import ConfirmationKind, Opportunity, Stage
from tests.conftest import api_client
from tests.crm.deals import PRICED, confirmed, decider, proposal, snapshot
from tests.doors.test_api_contract import assert_refusal
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory, OpportunityFactory

KINDS = ConfirmationKind.values
SUBSETS = [frozenset(chosen) for chosen in chain.from_iterable(combinations(KINDS, count) for count in range(5))]
NEXT = {"mql": "sql", "sql": "opportunity", "opportunity": "proposal", "proposal": "won"}


def now() -> datetime:
    return datetime.now(UTC)


def today() -> str:
    return policy.day_of(now()).isoformat()


@pytest.fixture
def deal(rep) -> Opportunity:
    return OpportunityFactory(account=AccountFactory(team=rep.team), team=rep.team, owner=rep)


def address(deal: Opportunity, deed: str = "") -> str:
    return f"/api/v1/opportunities/{deal.pk}" + (f"/{deed}" if deed else "")


def say(client, deal: Opportunity, kind: str, contact=None):
    body = {"kind": kind, "contact": (contact or decider(deal)).pk, "evidence": "Zei het aan de telefoon."}
    return client.post(address(deal, "confirm"), body)


def test_a_deal_goes_from_beginning_to_won_over_the_api_alone(rep, rep_api):
    contact = MembershipFactory(contact=ContactFactory(account=AccountFactory(team=rep.team, owner=rep)), role="decider").contact
    figures = {"amount": "5000.00", "expected_close_on": "2027-06-01"}
    made = rep_api.post("/api/v1/opportunities", {"account": contact.account_id, "name": "Vloot", **figures}).json()
    deal = Opportunity.objects.get(pk=made["id"])

    for kind in ("budget", "authority", "need"):
        assert say(rep_api, deal, kind, contact).status_code == 201
    for stage in ("sql", "opportunity", "proposal"):
        assert rep_api.post(address(deal, "advance"), {"to": stage}).json()["stage"] == stage
    won = rep_api.post(address(deal, "win"), {}).json()

    assert (won["stage"], won["amount"], won["currency"], won["owner"]) == ("won", "5000.00", "EUR", rep.pk)
    moves = rep_api.get(address(deal, "moves")).json()
    assert [(move["from_stage"], move["to_stage"]) for move in moves] == [
        ("", "mql"), ("mql", "sql"), ("sql", "opportunity"), ("opportunity", "proposal"), ("proposal", "won"),
    ]  # fmt: skip
    assert {move["moved_by"] for move in moves} == {rep.pk}


def test_a_closed_gate_answers_409_with_what_is_missing(rep_api, deal):
    say(rep_api, deal, "budget")
    before = snapshot(deal)

    answer = rep_api.post(address(deal, "advance"), {"to": "opportunity"})

    assert assert_refusal(answer, 409, "gate_closed") == {"stage": "opportunity", "missing": ["two_of_three"]}
    assert answer.json()["message"] == "The gate is closed: two of budget, authority and timing must be confirmed."
    assert snapshot(deal) == before


def test_what_is_missing_can_be_asked_beforehand_in_keys_and_words(rep_api, deal):
    answer = rep_api.get(address(deal, "missing") + "?stage=opportunity")

    assert answer.json() == {
        "stage": "opportunity",
        "missing": ["two_of_three"],
        "sentences": ["two of budget, authority and timing must be confirmed"],
    }


@pytest.mark.parametrize("query", ["", "?stage=", "?stage=champagne"])
def test_asking_what_is_missing_for_no_stage_is_refused(query, rep_api, deal):
    detail = assert_refusal(rep_api.get(address(deal, "missing") + query), 400, "invalid")

    assert detail == {"stage": ["Known are: mql, sql, opportunity, proposal, won, lost."]}


def test_a_stale_confirmation_is_named(rep_api, deal):
    confirmed(deal, "budget", "timing", at=now() - timedelta(days=200))

    answer = rep_api.post(address(deal, "advance"), {"to": "opportunity"})

    assert assert_refusal(answer, 409, "gate_closed")["missing"] == ["two_of_three", "budget_stale", "timing_stale"]


def test_authority_by_somebody_who_does_not_decide_is_refused(rep_api, deal):
    colleague = ContactFactory(account=deal.account)

    assert assert_refusal(say(rep_api, deal, "authority", colleague), 400, "invalid") == {
        "contact": ["Only a decider can confirm authority."]
    }
    assert rep_api.get(address(deal, "confirmations")).json() == []


def test_a_confirmation_by_a_foreign_contact_is_refused_as_by_nobody(rep_api, deal):
    foreign = ContactFactory()

    assert assert_refusal(say(rep_api, deal, "budget", foreign), 400, "invalid") == {"contact": [f"{foreign.pk} not found."]}


def test_withdrawing_breaks_the_gate_and_keeps_the_stage(rep, rep_api, deal):
    given = confirmed(deal, "budget", "timing", at=now())
    opportunities.advance(deal, to="opportunity", at=now())

    answer = rep_api.post(address(deal, "withdraw"), {"confirmation": given["budget"].pk, "because": "Budget geschrapt"})

    row = rep_api.get(address(deal)).json()
    assert answer.json()["withdrawn_because"] == "Budget geschrapt"
    assert answer.json()["withdrawn_by"] == rep.pk
    assert row["stage"] == "opportunity"
    assert row["gate_broken_at"] is not None
    assert row["entry"] == {"budget": given["budget"].pk, "authority": None, "need": None, "timing": given["timing"].pk}
    assert [one["id"] for one in rep_api.get("/api/v1/opportunities?gate_broken=true").json()["results"]] == [deal.pk]
    assert rep_api.get("/api/v1/follow-ups?reason=gate_broken&open=true").json()["results"][0]["opportunity"] == deal.pk


def test_a_confirmation_of_another_deal_cannot_be_withdrawn_through_this_one(rep, rep_api, deal):
    other = OpportunityFactory(account=deal.account, team=rep.team)
    theirs = confirmed(other, "budget", at=now())["budget"]

    answer = rep_api.post(address(deal, "withdraw"), {"confirmation": theirs.pk, "because": "Zomaar"})

    assert assert_refusal(answer, 400, "invalid") == {"confirmation": ["This confirmation is not one of this deal."]}
    theirs.refresh_from_db()
    assert theirs.withdrawn_at is None


def test_a_lost_deal_has_its_reason_and_comes_back_as_sql(rep_api, deal):
    without = rep_api.post(address(deal, "lose"), {})
    lost = rep_api.post(address(deal, "lose"), {"reason": "Prijs"}).json()
    back = rep_api.post(address(deal, "reopen"), {"reason": "Nieuwe directeur"}).json()

    assert assert_refusal(without, 400, "invalid") == {"reason": ["This field is required."]}
    assert (lost["stage"], lost["lost_reason"]) == ("lost", "Prijs")
    assert (back["stage"], back["lost_reason"], back["closed_on"]) == ("sql", "", None)


def test_a_deal_begun_again_under_its_external_id_is_the_first_one(rep, rep_api):
    body = {"account": AccountFactory(team=rep.team).pk, "name": "Vloot", "source": "erp", "external_id": "77"}

    first, again = (rep_api.post("/api/v1/opportunities", {**body, "name": name}) for name in ("Vloot", "Anders"))

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


def test_a_deal_of_another_team_under_the_same_external_id_stays_unseen(rep, rep_api, outsider):
    OpportunityFactory(account=AccountFactory(team=outsider.team), name="geheim", source="erp", external_id="77")

    answer = rep_api.post(
        "/api/v1/opportunities", {"account": AccountFactory(team=rep.team).pk, "name": "Vloot", "source": "erp", "external_id": "77"}
    )

    assert_refusal(answer, 409, "conflict")
    assert b"geheim" not in answer.content


def test_an_imported_deal_without_an_account_gets_one(rep, rep_api):
    deal = OpportunityFactory(account=None, stage="sql", imported_stage="sql", team=rep.team)
    account = AccountFactory(team=rep.team)

    assert rep_api.post(address(deal, "name-account"), {"account": account.pk}).json()["account"] == account.pk


def test_coverage_of_a_deal_shows_who_decides(rep_api, deal):
    contact = decider(deal)

    coverage = rep_api.get(address(deal, "coverage")).json()

    assert [role["role"] for role in coverage["roles"]] == ["user", "buyer", "decider"]
    assert coverage["roles"][2]["state"] == "reachable"
    assert coverage["roles"][2]["holders"][0]["contact"] == contact.pk
    assert coverage["percent"] == 33
    assert coverage["roles"][0]["next_step"]


# --- no way around the gate ------------------------------------------------------------------------
def may_enter(stage: str, kinds: frozenset[str], *, is_priced: bool) -> bool:
    """The gate in the words of the domain, written down anew for this test."""
    two_of_three = len(kinds & {"budget", "authority", "timing"}) >= 2
    with_offer = two_of_three and "need" in kinds and is_priced
    return {"sql": True, "opportunity": two_of_three, "proposal": with_offer, "won": with_offer and "authority" in kinds}.get(stage, False)


def is_reached(stage: str, kinds: frozenset[str], *, is_priced: bool) -> bool:
    """Say whether these confirmations open every gate up to a stage."""
    way = ["sql", "opportunity", "proposal"][: ["mql", "sql", "opportunity", "proposal"].index(stage)]
    return all(may_enter(gate, kinds, is_priced=is_priced) for gate in way)


def deal_in(stage: str, kinds: frozenset[str], rep, *, is_priced: bool) -> Opportunity:
    """Take a deal with these confirmations to a stage through the rule."""
    account = AccountFactory(team=rep.team)
    deal = OpportunityFactory(account=account, team=rep.team, stage="mql", **(PRICED if is_priced else {}))
    confirmed(deal, *sorted(kinds), at=now())
    while deal.stage != stage:
        opportunities.advance(deal, to=NEXT[deal.stage], at=now())
    return deal


WAYS = [
    pytest.param(start, kinds, is_priced, id=f"{start}-{'+'.join(sorted(kinds)) or 'nothing'}-{'priced' if is_priced else 'unpriced'}")
    for start, kinds, is_priced in product(NEXT, SUBSETS, (True, False))
    if is_reached(start, kinds, is_priced=is_priced)
]


def test_every_way_to_a_gate_is_tried():
    assert len(WAYS) == 32 + 32 + 16 + 4


@pytest.mark.parametrize(("start", "kinds", "is_priced"), WAYS)
def test_advance_opens_exactly_the_next_gate_that_holds(start, kinds, is_priced, rep, rep_api):
    deal = deal_in(start, kinds, rep, is_priced=is_priced)
    before = snapshot(deal)

    for to in [stage for stage in Stage.values if stage != NEXT[start]]:
        answer = rep_api.post(address(deal, "advance"), {"to": to, "closed_on": today()})
        assert_refusal(answer, 400, "wrong_step")
    assert snapshot(deal) == before
    answer = rep_api.post(
        address(deal, "advance"), {"to": NEXT[start], "closed_on": today()} if start == "proposal" else {"to": NEXT[start]}
    )
    if may_enter(NEXT[start], kinds, is_priced=is_priced):
        assert answer.status_code == 200, answer.content
        assert answer.json()["stage"] == NEXT[start]
    else:
        assert_refusal(answer, 409, "gate_closed")
        assert snapshot(deal) == before


@pytest.mark.parametrize("start", ["mql", "sql", "opportunity"])
def test_no_deal_is_won_before_its_proposal(start, rep, rep_api):
    deal = deal_in(start, frozenset(KINDS), rep, is_priced=True)
    before = snapshot(deal)

    assert_refusal(rep_api.post(address(deal, "win"), {}), 400, "wrong_step")
    assert snapshot(deal) == before


@pytest.mark.parametrize("stage", ["opportunity", "proposal", "won", "lost", "champagne", "", None, 1, ["sql"]])
def test_no_deal_begins_beyond_the_gate(stage, rep, rep_api):
    account = AccountFactory(team=rep.team)
    body = {"account": account.pk, "name": "Sluipweg", "amount": "10.00", "expected_close_on": "2027-01-01", "stage": stage}

    assert "stage" in assert_refusal(rep_api.post("/api/v1/opportunities", body), 400, "invalid")
    assert not Opportunity.objects.exists()


FROZEN = [
    "id", "stage_since", "closed_on", "lost_reason", "gate_broken_at", "entry", "entry_budget", "entry_authority", "entry_budget_id",
    "imported_stage", "is_imported_history", "team", "revision",
]  # fmt: skip
# What a deal begins with, and then keeps.
BEGUN_WITH = ["account", "stage", "owner", "source", "external_id"]
NO_WAY_IN = [*product(["post"], FROZEN), *product(["patch"], FROZEN + BEGUN_WITH)]


@pytest.mark.parametrize(("method", "field"), NO_WAY_IN)
@pytest.mark.parametrize("value", ["won", "", None, 1], ids=str)
def test_what_the_gate_rests_on_cannot_be_written(method, field, value, rep_api, deal):
    before = snapshot(deal)
    new = {"account": deal.account_id, "name": "Sluipweg"} if method == "post" else {}

    answer = getattr(rep_api, method)(address(deal) if method == "patch" else "/api/v1/opportunities", {**new, field: value})

    assert assert_refusal(answer, 400, "invalid") == {field: ["This cannot be set here."]}
    assert snapshot(deal) == before
    assert Opportunity.objects.count() == 1


@pytest.mark.parametrize("body", [{"amount": None}, {"expected_close_on": None}])
def test_figures_that_the_stage_rests_on_cannot_be_taken_away(body, rep, rep_api):
    deal = proposal(now(), account=AccountFactory(team=rep.team), team=rep.team)
    before = snapshot(deal)

    answer = rep_api.patch(address(deal), body)

    assert assert_refusal(answer, 400, "invalid") == {next(iter(body)): ["The stage asks for this."]}
    assert snapshot(deal) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": "-1"}, "amount"),
        ({"amount": "much"}, "amount"),
        ({"currency": "E"}, "currency"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_figures_that_cannot_be_right_are_refused(body, field, rep_api, deal):
    before = snapshot(deal)

    assert list(assert_refusal(rep_api.patch(address(deal), body), 400, "invalid")) == [field]
    assert snapshot(deal) == before


# --- two at once -----------------------------------------------------------------------------------
def test_of_two_who_move_a_deal_at_once_the_second_gets_a_conflict(rep, rep_api, deal, monkeypatch):
    confirmed(deal, "budget", "timing", at=now())
    read = OpportunityViewSet.get_object

    def read_and_be_overtaken(view):
        mine = read(view)
        opportunities.advance(Opportunity.objects.get(pk=deal.pk), to="opportunity", at=now())
        return mine

    monkeypatch.setattr(OpportunityViewSet, "get_object", read_and_be_overtaken)
    answer = rep_api.post(address(deal, "advance"), {"to": "opportunity"})

    assert_refusal(answer, 409, "conflict")
    assert answer.json()["message"] == "Somebody else changed this deal in the meantime: look again."
    deal.refresh_from_db()
    assert deal.stage == "opportunity"
    assert deal.moves.filter(to_stage="opportunity").count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_eight_calls_at_once_one_moves_the_deal_and_seven_get_a_conflict(rep, deal, monkeypatch):
    confirmed(deal, "budget", "timing", at=now())
    read, together = OpportunityViewSet.get_object, Barrier(8)
    clients = [api_client(rep) for _ in range(8)]

    def read_and_wait(view):
        mine = read(view)
        together.wait(timeout=20)
        return mine

    def call(client) -> int:
        try:
            return client.post(address(deal, "advance"), {"to": "opportunity"}).status_code
        finally:
            connection.close()

    monkeypatch.setattr(OpportunityViewSet, "get_object", read_and_wait)
    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(call, clients))

    assert answers == [200] + [409] * 7
    assert deal.moves.filter(to_stage="opportunity").count() == 1
