"""A real web server, worker and beat, over the broker and the database of the current pass."""

from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.slow


def test_an_activity_posted_over_the_api_changes_its_accounts_score_within_a_minute(installation):
    installation.manage("shell", "-c", MAKE_USER)
    key = installation.manage("create_api_key", "coupling", "test").strip().splitlines()[-1].split()[-1]
    installation.start_all()
    status, account = installation.call("POST", "/api/v1/accounts", {"name": "Jansen BV", "domain": "jansen.nl", "employees": 5}, key)
    assert status == 201, account
    moment = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    activity = {"account": account["id"], "kind": "meeting", "occurred_at": moment, "source": "test", "external_id": "1"}

    status, _ = installation.call("POST", "/api/v1/activities", activity, key)
    seconds = installation.wait_for(lambda: score(installation, account["id"], key) > 0, seconds=60)

    assert status == 201
    assert seconds < 60
    # one anonymous meeting today: X = 25 x 0.5 x 0.5 = 6.25, score = 100 x 6.25 / 56.25
    assert score(installation, account["id"], key) == pytest.approx(11.1)


def score(installation, account_id: int, key: str) -> float:
    _, found = installation.call("GET", f"/api/v1/accounts/{account_id}", key=key)
    return float((found.get("standing") or {}).get("score", 0))


MAKE_USER = """
from django.contrib.auth.models import Group
from crm.models import Team, User
user = User.objects.create(username="coupling", team=Team.objects.create(name="Noord"))
user.set_unusable_password()
user.groups.add(Group.objects.get(name="integration"))
"""
