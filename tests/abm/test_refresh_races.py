"""An account that is scored or verified while somebody merges it, takes the import back that made it, or records there."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

import pytest

from abm import refresh, states
from crm import activities, merges
from crm.models import Account, Upload, UploadedRecord
from crm.policy import day_of
from crm.uploads import undoing
from tests.conftest import AT
from tests.factories.abm import ProfileFactory
from tests.factories.crm import AccountFactory, UserFactory
from tests.overlap import in_own_transaction

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
        "undo": lambda: undoing._undo(Account, [record], at=at),
    }
    assert two_at_once(lambda: refresh.account(account.pk, at=at + timedelta(hours=1)), deeds[deed]) == [None, None]
    assert list(Account.objects.all()) == [kept]


def recorded(account: Account) -> UploadedRecord:
    """Have an import say that it made the account."""
    upload = Upload.objects.create(what="contacts", file_name="mensen.csv", size=1, created_at=AT, owner=UserFactory())
    line = account.history.get()
    return UploadedRecord.objects.create(upload=upload, kind="account", object_id=account.pk, line=2, history_id=line.pk)


@pytest.mark.usefixtures("committed")
def test_what_is_recorded_between_the_two_counts_of_a_verification_is_no_error(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    account, rows, times = AccountFactory(), states._rows, []
    refresh.account(account.pk, at=at)

    def read_and_let_somebody_record(account_ids: Sequence[int]) -> set[tuple[object, ...]]:
        found = rows(account_ids)
        times.append(len(found))
        if len(times) == 1:
            visit = partial(activities.record, account=account, kind="page_view", occurred_at=at, source="test", at=at)
            with ThreadPoolExecutor(1) as pool:
                pool.submit(in_own_transaction, visit).result(20)
        return found

    monkeypatch.setattr(states, "_rows", read_and_let_somebody_record)

    assert states.differing(1, None, day=day_of(at), at=at) == 0
    # Nothing before the visit, two rows of sums and one count with it, and looked at again.
    assert times[:3] == [0, 3, 3]
