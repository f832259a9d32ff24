"""The journey in the admin: six steps and why on the page of an account and of a deal, in the list, and the report."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from abm import refresh
from abm.models import JourneyPlacement, Phase, PhaseChange
from crm import exports, policy
from crm.models import Account, Contact, Opportunity, Team, User
from tests.conftest import AT
from tests.doors.admin_pages import link
from tests.factories import crm as make

LIST = "/admin/crm/account/"
REPORT = "/admin/abm/phasechange/"


@pytest.fixture
def account(team: Team, rep: User) -> Account:
    return make.AccountFactory(name="Bakkerij Bos", team=team, owner=rep)


@pytest.fixture
def person(account: Account) -> Contact:
    """Somebody there who looked at prices and spoke to us."""
    contact = make.ContactFactory(account=account)
    for number, kind in enumerate(["meeting", "pricing_view", "pricing_view", "pricing_view"]):
        make.ActivityFactory(account=account, contact=contact, kind=kind, occurred_at=now() - timedelta(hours=30 + number))
    refresh.account(account.pk, at=now())
    return contact


def placed(account: Account, phase: Phase, overlap: Phase = Phase.NONE, *, since: date = date(2026, 3, 1)) -> Account:
    """Put an account somewhere."""
    PhaseChange.objects.create(account=account, day=since, from_phase=0 if phase else Phase.DREAM, phase=phase, overlap=overlap)
    JourneyPlacement.objects.create(account=account, phase=phase, overlap=overlap, since=since, changed_on=since)
    return account


def states(answer: object) -> list[str]:
    return [step["state"] for step in answer.context["journey"]["steps"]]  # type: ignore[attr-defined]


# --- the page of an account ------------------------------------------------------------------------


def test_page_shows_the_phase_since_when_what_begins_and_why(rep_client: Client, account: Account, person: Contact) -> None:
    answer = rep_client.get(link(account, "change"))

    page = answer.content.decode()
    assert states(answer) == ["done", "done", "here", "overlap", "later", "later"]
    assert f"Consider since {date_shown()}, 0 days" in page
    assert "A or B, and what do others say? 1 meeting or demo request in 90 days." in page
    assert "begins: 3 looks at prices in 45 days." in page


def date_shown() -> str:
    from django.utils.formats import date_format

    return date_format(policy.day_of(now()), "SHORT_DATE_FORMAT")


def test_page_of_an_account_of_which_nothing_is_known_says_so(rep_client: Client, account: Account) -> None:
    answer = rep_client.get(link(account, "change"))

    assert states(answer) == ["later"] * 6
    assert "In no phase yet: nothing that people here do points to one." in answer.content.decode()


def test_page_speaks_dutch(rep_client: Client, account: Account, person: Contact) -> None:
    page = rep_client.get(link(account, "change"), headers={"Accept-Language": "nl"}).content.decode()

    assert "Overdenken sinds" in page
    assert "begint: 3 keer naar prijzen gekeken in 45 dagen." in page


def test_unfolding_shows_the_evidence_of_every_phase_the_time_in_each_and_the_changes(
    rep_client: Client, account: Account, person: Contact
) -> None:
    today = policy.day_of(now())
    PhaseChange.objects.all().update(day=today, from_phase=Phase.DREAM, stayed_days=12)

    answer = rep_client.get(link(account, "journey"))

    signs = {group["phase"]: [(row["words"], row["reading"].is_there) for row in group["rows"]] for group in answer.context["signs"]}
    assert signs["compare"] == [
        ("3 looks at prices", True),
        ("0 serious steps by the buyer", False),
        ("0 serious steps by the decider", False),
    ]
    assert answer.context["spent"] == [{"phase": "dream", "days": 12}, {"phase": "consider", "days": 0}]
    assert [(row["from"], row["to"], row["overlap"], row["days"]) for row in answer.context["changes"]] == [
        ("dream", "consider", "compare", 12)
    ]


def test_journey_of_another_teams_account_is_not_shown(client: Client, outsider: User, account: Account) -> None:
    client.force_login(outsider)

    assert client.get(link(account, "journey")).status_code == 404


def test_unfolding_takes_as_many_queries_however_long_the_history_is(rep_client: Client, account: Account) -> None:
    for number in range(30):
        day = date(2026, 1, 1) + timedelta(days=number)
        PhaseChange.objects.create(account=account, day=day, from_phase=number % 2, phase=(number + 1) % 2)

    with CaptureQueriesContext(connection) as seen:
        assert rep_client.get(link(account, "journey")).status_code == 200

    assert len(seen) <= 12


# --- the page of a deal ----------------------------------------------------------------------------


def test_page_of_a_deal_shows_where_its_account_is_and_what_the_deal_itself_shows(rep_client: Client, account: Account, rep: User) -> None:
    placed(account, Phase.REPEAT, Phase.CONSIDER)
    deal = make.OpportunityFactory(account=account, owner=rep, team=rep.team, stage="sql", stage_since=AT)

    answer = rep_client.get(link(deal, "change"))

    assert states(answer) == ["done", "done", "overlap", "done", "done", "here"]
    assert [step["label"] for step in answer.context["journey"]["steps"] if step["is_deals"]] == ["consider"]
    assert "This deal, in stage SQL, shows the phase consider." in answer.content.decode()


def test_page_of_a_deal_at_an_account_out_of_sight_tells_nothing_of_its_journey(client: Client, outsider: User, account: Account) -> None:
    deal = make.OpportunityFactory(account=placed(account, Phase.COMPARE), owner=outsider, team=outsider.team, stage="lost",
        closed_on=date(2026, 3, 1), lost_reason="Te duur")  # fmt: skip
    client.force_login(outsider)

    answer = client.get(link(deal, "change"))

    assert answer.status_code == 200
    assert "journey" not in answer.context
    assert Opportunity.objects.get().account == account


# --- the list --------------------------------------------------------------------------------------


def listed(client: Client, query: str) -> list[str]:
    return [row.name for row in client.get(f"{LIST}?{query}").context["cl"].result_list]


def test_list_is_filtered_by_phase_and_sorted_by_it(rep_client: Client, account: Account, rep: User) -> None:
    placed(account, Phase.COMPARE, Phase.BUY)
    nowhere, gone = (make.AccountFactory(name=name, team=rep.team, owner=rep) for name in ("Molen", "Zuivel"))
    placed(gone, Phase.NONE)
    buys = placed(make.AccountFactory(name="Akker", team=rep.team, owner=rep), Phase.BUY)

    assert listed(rep_client, "owner=all&phase=compare") == ["Bakkerij Bos"]
    assert sorted(listed(rep_client, "owner=all&phase=none")) == [nowhere.name, gone.name]
    assert len(listed(rep_client, "owner=all&phase=nonsense")) == 4
    columns = rep_client.get(f"{LIST}?owner=all").context["cl"].list_display
    number = columns.index("phase_shown")
    assert listed(rep_client, f"owner=all&o=-{number}")[:2] == [buys.name, account.name]
    page = rep_client.get(f"{LIST}?owner=all&phase=compare").content.decode()
    assert "+ buy" in page


def test_export_of_accounts_says_where_each_is(account: Account) -> None:
    placed(account, Phase.COMPARE, Phase.BUY)
    listing = exports.known("crm.account")
    assert listing is not None
    columns = listing.columns

    read = Account.objects.select_related("journey").get()
    assert [str(columns[name].value(read)) for name in ("phase", "phase_overlap", "phase_since")] == ["compare", "buy", "2026-03-01"]
    assert columns["phase"].value(Account(name="Nieuw")) is None


# --- the report ------------------------------------------------------------------------------------


def test_report_counts_the_accounts_that_the_user_sees_and_how_long_they_stayed(
    rep_client: Client, client: Client, outsider: User, account: Account
) -> None:
    placed(account, Phase.RESEARCH, since=date(2026, 1, 1))
    PhaseChange.objects.create(account=account, day=date(2026, 1, 21), from_phase=Phase.RESEARCH, phase=Phase.CONSIDER, stayed_days=20)

    answer = rep_client.get(REPORT)
    client.force_login(outsider)
    theirs = client.get(REPORT)

    stays = {stay.phase: stay for stay in answer.context["stays"]}
    assert (stays[Phase.RESEARCH].accounts, stays[Phase.RESEARCH].ended, stays[Phase.RESEARCH].median_days) == (1, 1, 20)
    assert "half stayed at most 20 days" in answer.content.decode()
    assert [row.day for row in answer.context["cl"].result_list] == [date(2026, 1, 21), date(2026, 1, 1)]
    assert sum(stay.accounts for stay in theirs.context["stays"]) == 0
    assert "No account changed its phase yet" in theirs.content.decode()


def test_changes_cannot_be_made_by_hand(rep_client: Client, account: Account) -> None:
    placed(account, Phase.RESEARCH)
    change = PhaseChange.objects.get()

    assert rep_client.get(f"{REPORT}add/").status_code == 403
    assert rep_client.post(link(change, "change"), {"phase": "5"}).status_code == 403
    assert rep_client.post(link(change, "delete")).status_code == 403
    change.refresh_from_db()
    assert change.phase == Phase.RESEARCH
