"""The pipeline as a board: what stands on it, how it moves, and that a refusal leaves everything as it was."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import localdate, now

from crm import opportunities
from crm.admin.board_cards import short
from crm.models import Account, Opportunity, Product, Team, User
from crm.pipeline import Judged
from tests.crm.deals import confirmed, proposal, snapshot
from tests.doors.admin_pages import link, said
from tests.factories import crm as make

BOARD = "/admin/crm/opportunity/board/"


@pytest.fixture
def account(team: Team, rep: User) -> Account:
    return make.AccountFactory(team=team, owner=rep)


@pytest.fixture
def deal(account: Account, rep: User) -> Opportunity:
    return make.OpportunityFactory(account=account, owner=rep, team=rep.team, name="Ovens", amount=Decimal(1000), stage_since=now())


def lanes(client: Client, **query: object) -> dict[str, Any]:
    return {lane["stage"]: lane for lane in client.get(BOARD, query).context["lanes"]}


def names(client: Client, stage: str = "sql", **query: object) -> list[str]:
    return [card["deal"].name for card in lanes(client, **query)[stage]["cards"]]


def moved(client: Client, deal: Opportunity, to: str, **facts: object) -> dict[str, Any]:
    """Move a card as the page's script does, and give the answer."""
    form = {"to": to, "as_seen": f"{deal.stage}:{deal.revision}", "filters": "owner=all", **facts}
    answer = client.post(link(deal, "move"), form, headers={"accept": "application/json"})
    assert answer.status_code == 200
    return answer.json()


# --- what stands on it -------------------------------------------------------------------------------


def test_board_shows_each_deal_in_its_stage_with_what_it_lacks(rep_client: Client, deal: Opportunity) -> None:
    make.ConfirmationFactory(opportunity=deal, kind="budget", confirmed_at=now())

    shown = lanes(rep_client)

    (card,) = shown["sql"]["cards"]
    assert (card["deal"], card["lacks"], card["days"], card["amount"]) == (deal, ["authority or timing"], 0, "1,000 EUR")
    assert [shown[stage]["count"] for stage in ("mql", "sql", "opportunity", "proposal", "won", "lost")] == [0, 1, 0, 0, 0, 0]


def test_columns_are_summed_over_every_deal_though_50_cards_are_shown(rep_client: Client, account: Account, rep: User) -> None:
    make.OpportunityFactory.create_batch(52, account=account, owner=rep, team=rep.team, amount=Decimal(10))
    make.OpportunityFactory(account=account, owner=rep, team=rep.team, amount=Decimal(700), currency="USD")

    answer = rep_client.get(BOARD)
    lane = {lane["stage"]: lane for lane in answer.context["lanes"]}["sql"]

    assert (lane["count"], len(lane["cards"]), lane["more"], lane["sums"]) == (53, 50, 3, ["700 USD", "520 EUR"])
    assert "3 more" in answer.content.decode()
    assert rep_client.get(lane["list"]).context["cl"].result_count == 53


def test_committed_leaves_out_what_stands_on_a_broken_gate(rep_client: Client, account: Account, rep: User) -> None:
    facts = {"account": account, "owner": rep, "team": rep.team, "expected_close_on": date(2030, 1, 1)}
    proposal(now(), amount=Decimal(300), **facts)
    broken = proposal(now(), amount=Decimal(700), **facts)
    opportunities.withdraw(broken.confirmations.get(kind="budget"), because="Gekort", at=now())

    answer = rep_client.get(BOARD)

    assert answer.context["totals"] == {"open": ["1,000 EUR"], "committed": ["300 EUR"]}
    assert "700 EUR not committed" in answer.content.decode()
    assert "gate broken" in answer.content.decode()


def test_imported_history_is_left_out_until_asked_for(rep_client: Client, deal: Opportunity, account: Account, rep: User) -> None:
    make.OpportunityFactory(account=account, owner=rep, team=rep.team, name="Oud", imported_stage="sql")

    assert names(rep_client) == ["Ovens"]
    assert names(rep_client, origin="imported") == ["Oud"]
    assert sorted(names(rep_client, origin="all")) == ["Oud", "Ovens"]


def test_deals_are_filtered_by_whose_they_are(
    rep_client: Client, lead: User, admin_user: User, client: Client, deal: Opportunity, account: Account
) -> None:
    make.OpportunityFactory(account=account, owner=lead, team=lead.team, name="Van de leider")

    assert names(rep_client) == ["Ovens"]
    assert sorted(names(rep_client, owner="team")) == sorted(names(rep_client, owner="all")) == ["Ovens", "Van de leider"]
    for user, first in ((lead, ["Ovens", "Van de leider"]), (admin_user, ["Ovens", "Van de leider"])):
        client.force_login(user)
        assert sorted(names(client)) == first
    assert names(client, owner="team") == names(client)


def test_deals_are_filtered_by_product_team_and_close(rep_client: Client, deal: Opportunity, account: Account, rep: User) -> None:
    product = Product.objects.create(name="Oven")
    late = now().date() - timedelta(days=9)
    make.OpportunityFactory(account=account, owner=rep, team=rep.team, name="Laat", product=product, expected_close_on=late)

    assert names(rep_client, product=product.pk) == ["Laat"]
    assert names(rep_client, close="overdue") == ["Laat"]
    assert names(rep_client, close="undated") == ["Ovens"]
    assert sorted(names(rep_client, team=rep.team_id)) == ["Laat", "Ovens"]
    assert sorted(names(rep_client, product="x", team="9" * 30, close="nooit", owner="x", origin="x")) == ["Laat", "Ovens"]


def test_list_and_board_lead_to_each_other_with_the_same_filters(rep_client: Client, deal: Opportunity) -> None:
    board = rep_client.get(BOARD, {"owner": "team", "close": "undated"})
    listed = rep_client.get(board.context["wanted"].list_address)

    assert list(listed.context["cl"].result_list) == [deal]
    assert listed.context["board"] == f"{BOARD}?owner=team&close=undated&origin=ours"


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        (("two_of_three",), ["budget or timing"]),
        (("two_of_three", "budget_stale"), ["budget or timing", "budget (too old)"]),
        (("need", "amount", "close_date"), ["need", "amount", "close date"]),
        (("decider", "gate_broken", "account"), ["word of the decider", "confirm anew", "account"]),
    ],
)
def test_what_is_missing_is_said_in_short_words(lacking: tuple[str, ...], words: list[str]) -> None:
    assert short(Judged(lacking=lacking, confirmed=("authority",))) == words


# --- moving ------------------------------------------------------------------------------------------


def test_moved_card_stands_in_its_new_column_with_new_sums(rep_client: Client, rep: User, deal: Opportunity) -> None:
    confirmed(deal, "budget", "timing", at=now())
    deal.refresh_from_db()

    answer = moved(rep_client, deal, "opportunity")

    deal.refresh_from_db()
    assert (deal.stage, deal.moves.get().moved_by) == ("opportunity", rep)
    assert (answer["said"], answer["dialog"]) == ("Ovens: moved to opportunity.", "")
    assert f'id="card-{deal.pk}" data-stage="opportunity"' in answer["board"]


def test_closed_gate_answers_with_the_rules_sentence_and_what_mends_it(rep_client: Client, deal: Opportunity) -> None:
    before = snapshot(deal)

    answer = moved(rep_client, deal, "opportunity")

    assert answer["said"] == "The gate is closed: two of budget, authority and timing must be confirmed."
    assert answer["said"] in answer["dialog"]
    assert f"{link(deal, 'change')}#confirm-budget" in answer["dialog"]
    assert f'id="card-{deal.pk}" data-stage="sql"' in answer["board"]
    assert snapshot(deal) == before


def test_card_that_somebody_else_moved_is_a_conflict_and_shown_where_it_is_now(rep_client: Client, lead: User, deal: Opportunity) -> None:
    opened = Opportunity.objects.get(pk=deal.pk)
    opportunities.lose(deal, reason="Te duur", at=now(), by=lead)
    before = snapshot(deal)

    answer = moved(rep_client, opened, "opportunity")

    assert answer["said"] == "Somebody else changed this deal in the meantime: look again."
    assert f'id="card-{deal.pk}" data-stage="lost"' in answer["board"]
    assert snapshot(deal) == before


def test_step_that_does_not_exist_is_refused_in_words(rep_client: Client, deal: Opportunity) -> None:
    before = snapshot(deal)

    assert [moved(rep_client, deal, to)["said"] for to in ("won", "mql", "nowhere")] == [
        "There is no step from SQL to won.",
        "There is no step from SQL to MQL.",
        "There is no step from SQL to nowhere.",
    ]
    assert snapshot(deal) == before


def test_lost_asks_why_first_and_then_moves(rep_client: Client, deal: Opportunity) -> None:
    asked = moved(rep_client, deal, "lost")
    deal.refresh_from_db()
    assert (deal.stage, asked["said"]) == ("sql", "")
    assert 'name="reason"' in asked["dialog"]

    empty = moved(rep_client, deal, "lost", asked="1", reason="")
    deal.refresh_from_db()
    assert (deal.stage, "This field is required." in empty["dialog"]) == ("sql", True)

    moved(rep_client, deal, "lost", asked="1", reason="Te duur")
    deal.refresh_from_db()
    assert (deal.stage, deal.lost_reason) == ("lost", "Te duur")

    assert 'name="reason"' in moved(rep_client, deal, "sql")["dialog"]
    moved(rep_client, deal, "sql", asked="1", reason="Nieuw budget")
    deal.refresh_from_db()
    assert deal.stage == "sql"


def test_won_asks_for_the_day_and_says_what_is_wrong_with_it(rep_client: Client, account: Account, rep: User) -> None:
    deal = proposal(now(), account=account, owner=rep, team=rep.team)
    assert 'name="closed_on"' in moved(rep_client, deal, "won")["dialog"]

    tomorrow = (now() + timedelta(days=2)).date().isoformat()
    refused = moved(rep_client, deal, "won", asked="1", closed_on=tomorrow)
    assert refused["said"] == "The close date lies in the future."
    assert f'value="{tomorrow}"' in refused["dialog"]

    moved(rep_client, deal, "won", asked="1", closed_on=localdate().isoformat())
    deal.refresh_from_db()
    assert deal.stage == "won"


def test_browser_without_a_script_gets_pages_instead(rep_client: Client, deal: Opportunity) -> None:
    form = {"as_seen": f"{deal.stage}:{deal.revision}", "filters": "owner=all"}

    refused = rep_client.post(link(deal, "move"), form | {"to": "opportunity"}, follow=True)
    assert refused.redirect_chain == [(f"{BOARD}?owner=all", 302)]
    assert said(refused) == ["The gate is closed: two of budget, authority and timing must be confirmed."]

    question = rep_client.post(link(deal, "move"), form | {"to": "lost"})
    assert (question.status_code, 'name="asked"' in question.content.decode()) == (200, True)
    rep_client.post(link(deal, "move"), form | {"to": "lost", "asked": "1", "reason": "Te duur"})
    deal.refresh_from_db()
    assert deal.stage == "lost"
    assert rep_client.get(link(deal, "move")).status_code == 302


# --- who may -----------------------------------------------------------------------------------------


def test_outsider_sees_no_card_and_moves_none(deal: Opportunity, outsider: User, client: Client) -> None:
    client.force_login(outsider)
    before = snapshot(deal)

    assert "Ovens" not in client.get(BOARD, {"owner": "all"}).content.decode()
    for headers in ({}, {"accept": "application/json"}):
        assert client.post(link(deal, "move"), {"to": "lost", "asked": "1", "reason": "x"}, headers=headers).status_code == 404
    assert snapshot(deal) == before


def test_who_only_sees_a_deal_gets_a_card_without_a_menu_and_moves_it_not(account: Account, rep_client: Client, outsider: User) -> None:
    seen = make.OpportunityFactory(account=make.AccountFactory(), owner=outsider, team=outsider.team, name="Van een ander")
    make.OpportunityFactory(account=seen.account, owner=account.owner, team=account.team, name="Eigen")
    shown = {card["deal"].name: card["deal"].may_change for card in lanes(rep_client, owner="all")["sql"]["cards"]}

    assert {name: bool(may) for name, may in shown.items()} == {"Eigen": True, "Van een ander": False}
    assert rep_client.post(link(seen, "move"), {"to": "lost"}).status_code == 403
    seen.refresh_from_db()
    assert seen.stage == "sql"


def test_user_without_the_right_to_see_deals_gets_no_board(rep: User, client: Client) -> None:
    group = rep.groups.get()
    group.permissions.remove(*group.permissions.filter(codename__endswith="_opportunity"))
    client.force_login(rep)

    assert client.get(BOARD).status_code == 403
    assert reverse("admin:crm_opportunity_board") == BOARD


# --- what it costs -----------------------------------------------------------------------------------


def test_board_takes_at_most_10_queries_with_10_and_with_500_deals(rep_client: Client, account: Account, rep: User) -> None:
    def fill(count: int) -> int:
        make.OpportunityFactory.create_batch(count, account=account, owner=rep, team=rep.team, amount=Decimal(5))
        sent = proposal(now(), account=account, owner=rep, team=rep.team)
        with CaptureQueriesContext(connection) as seen:
            answer = rep_client.get(BOARD)
        assert str(sent.pk) in answer.content.decode()
        return len(seen)

    ten = fill(9)
    assert (fill(490), ten <= 10) == (ten, True)
