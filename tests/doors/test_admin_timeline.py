"""The timeline: filtered, a page at a time, and added to where one reads it."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils.timezone import now

from crm import models as crm
from crm.models import Account, Team, User
from tests.doors.admin_pages import link
from tests.factories import crm as make

HTMX = {"HX-Request": "true"}


@pytest.fixture
def account(team: Team, rep: User) -> Account:
    return make.AccountFactory(team=team, owner=rep)


@pytest.fixture
def contact(account: Account) -> crm.Contact:
    return make.ContactFactory(account=account)


@pytest.fixture
def moment() -> datetime:
    return now().replace(microsecond=0)


def shown(answer: HttpResponse) -> list[str]:
    """Give the subjects of the rows, in their order."""
    return [row["activity"].subject for day in answer.context["days"] for row in day["lines"]]


@pytest.fixture
def history(account: Account, contact: crm.Contact, moment: datetime) -> None:
    facts = [
        ("meeting", "kennismaking", contact, "", 1),
        ("email_sent", "offerte", contact, "", 2),
        ("email_click", "scanner", contact, "link scanner", 3),
        ("page_view", "/prijzen", None, "", 40),
        ("download", "Brochure", contact, "", 200),
    ]
    for kind, subject, who, machine, days in facts:
        make.ActivityFactory(
            account=account, contact=who, kind=kind, subject=subject, machine_reason=machine, occurred_at=moment - timedelta(days=days)
        )


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["kennismaking", "offerte", "/prijzen", "Brochure"]),
        ({"what": "web"}, ["/prijzen", "Brochure"]),
        ({"what": "meeting"}, ["kennismaking"]),
        ({"what": "email_sent"}, ["offerte"]),
        ({"person": "nobody"}, ["/prijzen"]),
        ({"side": "ours"}, ["offerte"]),
        ({"side": "theirs"}, ["kennismaking", "/prijzen", "Brochure"]),
        ({"made": "machines"}, ["scanner"]),
        ({"made": "all"}, ["kennismaking", "offerte", "scanner", "/prijzen", "Brochure"]),
        ({"days": "30"}, ["kennismaking", "offerte"]),
        ({"text": "broch"}, ["Brochure"]),
        ({"what": "x", "person": "x", "side": "x", "days": "x", "before": "x"}, ["kennismaking", "offerte", "/prijzen", "Brochure"]),
        ({"text": "\x00", "before": "2026-99-99T00:00_1", "person": "9" * 30}, []),
    ],
)
def test_timeline_shows_what_was_asked_for(
    rep_client: Client, account: Account, history: None, asked: dict[str, str], found: list[str]
) -> None:
    assert shown(rep_client.get(link(account, "timeline"), asked)) == found


def test_timeline_of_one_person_holds_nothing_of_others(rep_client: Client, account: Account, contact: crm.Contact, history: None) -> None:
    assert shown(rep_client.get(link(account, "timeline"), {"person": contact.pk})) == ["kennismaking", "offerte", "Brochure"]
    assert shown(rep_client.get(link(contact, "timeline"))) == ["kennismaking", "offerte", "Brochure"]


def test_older_goes_on_where_the_page_ended_also_among_rows_of_one_moment(rep_client: Client, account: Account, moment: datetime) -> None:
    for number in range(45):
        make.ActivityFactory(account=account, kind="page_view", subject=f"{number:02}", occurred_at=moment - timedelta(days=number // 30))

    seen, address = [], f"{link(account, 'timeline')}?what=web"
    while address:
        answer = rep_client.get(address, headers=HTMX)
        seen += shown(answer)
        address = answer.context["older"]
        assert not address or "what=web" in urlsplit(address).query

    assert seen == sorted(f"{number:02}" for number in range(30))[::-1] + sorted(f"{number:02}" for number in range(30, 45))[::-1]


def test_days_have_one_heading_each_across_pages(rep_client: Client, account: Account, moment: datetime) -> None:
    make.ActivityFactory.create_batch(25, account=account, occurred_at=moment)

    first = rep_client.get(link(account, "timeline"))
    second = rep_client.get(first.context["older"], headers=HTMX)

    assert [day["name"] for day in first.context["days"]] == ["Today"]
    assert [day["name"] for day in second.context["days"]] == [""]


def test_call_is_logged_on_the_page(rep_client: Client, account: Account, contact: crm.Contact, rep: User) -> None:
    form = {"kind": "call_answered", "contact": contact.pk, "subject": "Prijs", "occurred_at": "2026-03-09T10:30"}

    answer = rep_client.post(link(account, "log"), form, headers=HTMX)

    logged = crm.Activity.objects.get()
    assert (logged.kind, logged.contact, logged.subject, logged.source, logged.recorded_by) == (
        "call_answered",
        contact,
        "Prijs",
        "admin",
        rep,
    )
    assert logged.occurred_at.isoformat() == "2026-03-09T09:30:00+00:00"
    assert shown(answer) == ["Prijs"]
    assert "Correct" in answer.content.decode()


def test_call_with_nobody_is_refused_where_it_is_typed(rep_client: Client, account: Account) -> None:
    form = {"kind": "call_answered", "subject": "Prijs", "occurred_at": "2026-03-09T10:30"}

    in_place = rep_client.post(link(account, "log"), form, headers=HTMX)
    page = rep_client.post(link(account, "log"), form)

    assert in_place.context["log_form"].errors["contact"] == ["Say with whom: only visits of our site can be anonymous."]
    assert in_place.context["is_logging"]
    assert 'value="Prijs"' in in_place.content.decode()
    assert page.context["form"].errors["contact"]
    assert not crm.Activity.objects.exists()


def test_note_of_nobody_is_logged_without_script_and_leads_back(rep_client: Client, account: Account) -> None:
    answer = rep_client.post(link(account, "log"), {"kind": "note", "subject": "Let op", "occurred_at": "2026-03-09T10:30"})

    assert answer.headers["Location"] == f"{link(account, 'change')}#timeline"
    assert crm.Activity.objects.get().subject == "Let op"


def test_person_of_another_account_is_not_offered(rep_client: Client, account: Account) -> None:
    stranger = make.ContactFactory()

    answer = rep_client.post(
        link(account, "log"), {"kind": "meeting", "contact": stranger.pk, "occurred_at": "2026-03-09T10:30"}, headers=HTMX
    )

    assert "contact" in answer.context["log_form"].errors
    assert not crm.Activity.objects.exists()


def test_only_what_the_user_logged_by_hand_offers_correction(rep_client: Client, account: Account, rep: User, lead: User) -> None:
    for source, who in (("admin", rep), ("admin", lead), ("test", rep)):
        make.ActivityFactory(account=account, source=source, recorded_by=who, subject=f"{source} {who}")

    answer = rep_client.get(link(account, "timeline"))

    own = [row["activity"].subject for day in answer.context["days"] for row in day["lines"] if row["is_own"]]
    assert own == [f"admin {rep}"]


def test_deletion_begun_on_the_page_leads_back_to_it(rep_client: Client, account: Account) -> None:
    row = make.ActivityFactory(account=account)

    answer = rep_client.post(f"{link(row, 'delete')}?account={account.pk}", {"post": "yes"})

    assert answer.headers["Location"] == link(account, "change")
    assert not crm.Activity.objects.exists()
