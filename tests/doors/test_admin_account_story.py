"""Why an account scores and who changed what: both add up, and both lead down to the single row."""

from datetime import date, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from abm import refresh
from abm.admin import sparkline
from abm.admin.why import add_up
from crm import accounts, contacts, dmu
from crm import models as crm
from crm.models import Account, Team, User
from tests.doors.admin_pages import link
from tests.factories import crm as make
from tests.factories.abm import EngagementScoreFactory

HTMX = {"HX-Request": "true"}


@pytest.fixture
def account(team: Team, rep: User) -> Account:
    return make.AccountFactory(team=team, owner=rep)


@pytest.fixture
def contact(account: Account) -> crm.Contact:
    return make.ContactFactory(account=account)


def happened(contact: crm.Contact, kind: str, *, days: int, subject: str = "") -> crm.Activity:
    moment = now() - timedelta(days=days)
    return make.ActivityFactory(
        account=contact.account, contact=contact, kind=kind, occurred_at=moment, day=refresh.crm_policy.day_of(moment), subject=subject
    )


# --- why this score ----------------------------------------------------------------------------------


def test_score_is_told_in_a_sentence_and_down_to_the_activity(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    meeting = happened(contact, "meeting", days=0, subject="Kennismaking")
    dmu.assign(contact=contact, role="decider", at=now())

    page = rep_client.get(link(account, "change"))

    why = page.context["why"]
    assert why["sentences"] == [
        f"100 % of it comes from {contact}, mostly by meeting (×\N{NO-BREAK SPACE}1).",
        "1 of the 3 roles that decide is active now.",
        "With the buyer active, too, it would be 38.5.",
    ]
    (line,) = why["first"]["lines"]
    assert [row.pk for row in line["activities"]] == [meeting.pk]
    assert link(meeting, "change") in page.content.decode()


def test_shares_of_many_people_add_up_to_the_score_and_points_to_the_sum(rep_client: Client, account: Account) -> None:
    for number in range(12):
        person = make.ContactFactory(account=account)
        for days in range(9):
            happened(person, "meeting", days=days + number)

    why = rep_client.get(link(account, "change")).context["why"]

    shown = why["people"]
    assert (len(shown), why["others"]["count"]) == (6, 6)
    assert sum(round(row["share"] * 10) for row in shown) + round(why["others"]["share"] * 10) == int(why["scored"].score_1 * 10)
    assert sum(row["weighted"] for row in shown) + why["others"]["weighted"] == pytest.approx(why["scored"].weighted_points)
    for row in shown:
        did = rep_client.get(reverse("admin:crm_account_did", args=[account.pk, row["contact"].pk])).context["did"]
        assert len(did["lines"]) == 5
        assert sum(line["weighted"] for line in did["lines"]) + did["rest"]["weighted"] == pytest.approx(row["weighted"])


def test_line_of_many_activities_lists_some_and_counts_the_others(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    for _number in range(11):
        happened(contact, "page_view", days=1)

    (line,) = rep_client.get(link(account, "change")).context["why"]["first"]["lines"]

    assert (len(line["activities"]), line["more"], line["is_capped"]) == (5, 6, True)


def test_what_anonymous_visitors_did_unfolds_like_that_of_people(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    happened(contact, "meeting", days=0)
    visit = make.ActivityFactory(account=account, contact=None, kind="page_view", occurred_at=now(), day=refresh.crm_policy.day_of(now()))

    page = rep_client.get(reverse("admin:crm_account_did", args=[account.pk, 0]))

    (line,) = page.context["did"]["lines"]
    assert [row.pk for row in line["activities"]] == [visit.pk]
    assert "<html" not in page.content.decode()


@pytest.mark.parametrize(
    ("values", "total", "rounded"),
    [([33.34, 33.33, 33.33], 100.0, [33.4, 33.3, 33.3]), ([0.05, 0.05], 0.1, [0.1, 0.0]), ([5.0], 5.0, [5.0]), ([], 0.0, [])],
)
def test_rounded_parts_add_up(values: list[float], total: float, rounded: list[float]) -> None:
    assert add_up(values, to=total) == rounded


# --- the line of 90 days -----------------------------------------------------------------------------


def test_line_shows_90_days_and_says_so_in_words(account: Account) -> None:
    today = date(2026, 3, 10)
    for days, score in ((95, 99), (40, 12.5), (10, 30), (0, 21)):
        EngagementScoreFactory(account=account, day=today - timedelta(days=days), score=score)

    points = sparkline.of_account(account, today=today)

    assert [point.score for point in points] == [12.5, 30.0, 21.0]
    words = "Score from 12.5 on 29 January to 21.0 on 10 March; the highest was 30.0 on 28 February."
    assert sparkline.in_words(points) == words
    assert f'aria-label="{words}"' in sparkline.draw(points, today=today)


def test_line_of_one_day_is_not_drawn(account: Account) -> None:
    assert sparkline.draw([sparkline.Point(date(2026, 3, 10), 50.0)], today=date(2026, 3, 10)) == ""


# --- who changed what --------------------------------------------------------------------------------


def told(client: Client, account: Account) -> list[str]:
    return [one.what for one in client.get(link(account, "history")).context["told"]]


def test_history_tells_of_the_account_its_people_roles_departures_and_stages(
    rep_client: Client, account: Account, contact: crm.Contact, rep: User
) -> None:
    accounts.change(account, name="Nieuwe naam", at=now(), by=rep)
    held = dmu.assign(contact=contact, role="buyer", at=now(), by=rep)
    dmu.set_stance(held, stance="champion", by=rep, at=now())
    deal = make.OpportunityFactory(account=account, name="Ovens", team=account.team)
    crm.StageMove.objects.create(opportunity=deal, from_stage="mql", to_stage="sql", moved_at=now(), moved_by=rep, reason="Belde zelf")
    contacts.depart(contact, left_on=date(2026, 3, 1), at=now(), by=rep, reason="Zei de receptie")

    page = rep_client.get(link(account, "history"))

    said = {one.what: one for one in page.context["told"]}
    assert said["Account changed"].changes == (("Name", account.history.last().name, "Nieuwe naam"),)
    assert (said["Ovens: MQL → SQL"].who, said["Ovens: MQL → SQL"].why) == (rep, "Belde zelf")
    assert said[f"{contact} left"].why == "Zei de receptie"
    assert said[f"{contact} as buyer: changed"].changes == (("Stance", "neutral", "champion"),)
    assert {f"{contact} is buyer", f"{contact} is no longer buyer", "Account added", f"Contact {contact} added"} <= said.keys()


def test_history_goes_on_where_the_page_ended(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    for number in range(60):
        accounts.change(account, name=f"Naam {number}", at=now())
        dmu.assign(contact=make.ContactFactory(account=account), role="user", at=now())

    seen, address, pages = [], link(account, "history"), 0
    while address and pages < 9:
        answer = rep_client.get(address, headers=HTMX)
        seen += [one.key for one in answer.context["told"]]
        address, pages = answer.context["older"], pages + 1

    # 61 versions of the account, 61 contacts, 60 roles.
    assert (len(seen), len(set(seen)), pages) == (182, 182, 5)


def test_stages_of_a_deal_of_others_at_the_account_are_told_to_who_sees_it_alone(client: Client, account: Account, rep: User) -> None:
    client.force_login(rep)
    crm.StageMove.objects.create(
        opportunity=make.OpportunityFactory(account=make.AccountFactory(), name="Elders"), to_stage="sql", moved_at=now()
    )

    assert told(client, account) == ["Account added"]
