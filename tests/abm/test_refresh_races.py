"""An account that is scored while somebody merges it, or takes the import back that made it."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from abm import refresh
from crm import merges
from crm.models import Account, Upload, UploadedRecord
from crm.uploads import undoing
from tests.conftest import AT
from tests.factories.abm import ProfileFactory
from tests.factories.crm import AccountFactory, UserFactory

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("deed", ["merge", "undo"])
def test_account_that_is_scored_at_this_moment_is_merged_or_taken_back_after_it(
    two_at_once: Callable[..., list[BaseException | None]], at: datetime, deed: str
) -> None:
    ProfileFactory()
    kept, account = AccountFactory(), AccountFactory()
    record = recorded(account)
    for each in (kept, account):
        refresh.account(each.pk, at=at)

    deeds = {
        "merge": lambda: merges.merge(kept, account, choices={}, by=None, at=at),
        "undo": lambda: undoing._undo(Account, [record]),
    }
    assert two_at_once(lambda: refresh.account(account.pk, at=at + timedelta(hours=1)), deeds[deed]) == [None, None]
    assert list(Account.objects.all()) == [kept]


def recorded(account: Account) -> UploadedRecord:
    """Have an import say that it made the account."""
    upload = Upload.objects.create(what="contacts", file_name="mensen.csv", size=1, created_at=AT, owner=UserFactory())
    line = account.history.get()
    return UploadedRecord.objects.create(upload=upload, kind="account", object_id=account.pk, line=2, history_id=line.pk)
