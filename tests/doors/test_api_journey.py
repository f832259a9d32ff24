"""The journey over the API: with the account, as a filter, and told whole."""

from datetime import date, timedelta

import pytest
from django.utils.timezone import now

from abm import refresh
from abm.models import JourneyPlacement, Phase, PhaseChange
from crm.models import Account
from crm.policy import day_of
from tests.conftest import api_client
from tests.doors.test_api_contract import assert_refusal
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory


@pytest.fixture
def account(rep) -> Account:
    return AccountFactory(team=rep.team, owner=rep)


def placed(account: Account, phase: Phase, overlap: Phase = Phase.NONE) -> Account:
    JourneyPlacement.objects.create(account=account, phase=phase, overlap=overlap, since=date(2026, 3, 1), changed_on=date(2026, 3, 2))
    return account


def test_an_account_comes_with_its_phase_and_without_one_while_nothing_is_known(rep_api, account, rep):
    nowhere = AccountFactory(team=rep.team)
    placed(account, Phase.COMPARE, Phase.BUY)

    found = {row["id"]: row["journey"] for row in rep_api.get("/api/v1/accounts").json()["results"]}

    expected = {"phase": "compare", "overlap": "buy", "since": "2026-03-01", "changed_on": "2026-03-02", "evidence": []}
    assert found == {nowhere.pk: None, account.pk: expected}


def test_accounts_are_narrowed_to_a_phase_and_to_what_overlaps(rep_api, account, rep, outsider):
    placed(account, Phase.COMPARE, Phase.BUY)
    nowhere = AccountFactory(team=rep.team)
    placed(AccountFactory(team=outsider.team), Phase.COMPARE)

    def ids(query: str) -> list[int]:
        return [row["id"] for row in rep_api.get(f"/api/v1/accounts?{query}").json()["results"]]

    assert ids("phase=compare") == [account.pk]
    assert ids("phase=none") == [nowhere.pk]
    assert ids("overlap=buy") == [account.pk]
    assert ids("overlap=repeat") == []
    assert_refusal(rep_api.get("/api/v1/accounts?phase=dreaming"), 400, "invalid")


def test_intelligence_tells_the_phase_with_its_evidence_of_today_the_days_and_the_changes(rep_api, account):
    contact = ContactFactory(account=account)
    ActivityFactory(account=account, contact=contact, kind="meeting", occurred_at=now() - timedelta(days=2))
    refresh.account(account.pk, at=now())
    PhaseChange.objects.update(from_phase=Phase.DREAM, stayed_days=9)

    told = rep_api.get(f"/api/v1/accounts/{account.pk}/intelligence").json()["journey"]

    today = day_of(now()).isoformat()
    shown = {"phase": "consider", "sign": "meetings", "count": 1, "days": 90, "of": 1}
    sentence = "1 meeting or demo request in 90 days"
    assert told == {
        "phase": "consider",
        "overlap": "none",
        "since": today,
        "evidence": [shown | {"sentence": sentence}],
        "days": {"dream": 9, "consider": 0},
        "changes": [
            {
                "day": today,
                "from_phase": "dream",
                "from_overlap": "none",
                "phase": "consider",
                "overlap": "none",
                "stayed_days": 9,
                "evidence": [shown | {"sentence": sentence}],
            }
        ],
    }


def test_intelligence_of_an_account_without_anything_tells_an_empty_journey(rep_api, account, outsider):
    address = f"/api/v1/accounts/{account.pk}/intelligence"

    told = rep_api.get(address).json()["journey"]

    assert told == {"phase": "none", "overlap": "none", "since": None, "evidence": [], "days": {}, "changes": []}
    assert api_client(outsider).get(address).status_code == 404
