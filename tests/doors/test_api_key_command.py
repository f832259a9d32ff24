"""Keys made from the command line."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from crm.models import ApiKey


def make(*arguments: str) -> str:
    out = StringIO()
    call_command("create_api_key", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_the_key_that_is_printed_opens_the_api_as_its_user(rep):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {make(rep.username, 'marketing automation')}")

    assert client.get("/api/v1/accounts").status_code == 200
    assert ApiKey.objects.get().name == "marketing automation"
    assert ApiKey.objects.get().expiry is None


def test_only_the_digest_of_a_key_is_kept(rep):
    key = make(rep.username, "x")

    assert key not in str(ApiKey.objects.values().get())


def test_a_key_may_expire(rep):
    make(rep.username, "x", "--days", "30")

    assert ApiKey.objects.get().expiry - datetime.now(UTC) == pytest.approx(timedelta(days=30), abs=timedelta(minutes=1))


@pytest.mark.parametrize("days", ["0", "-1", "99999"])
def test_a_key_does_not_expire_on_an_impossible_day(rep, days):
    with pytest.raises(CommandError, match="--days must be from 1 to 3650"):
        make(rep.username, "x", "--days", days)
    assert not ApiKey.objects.exists()


def test_a_key_needs_a_user_who_still_works_here(rep):
    rep.is_active = False
    rep.save()

    with pytest.raises(CommandError, match="There is no active user"):
        make(rep.username, "x")
    with pytest.raises(CommandError, match="There is no active user 'nobody'"):
        make("nobody", "x")
    assert not ApiKey.objects.exists()
