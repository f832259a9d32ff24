"""Two people at the same pair at once, and somebody who records at an account while it is merged."""

from collections.abc import Callable
from datetime import datetime

import pytest

from crm import activities, merges
from crm.errors import CrmError
from crm.models import Account, Activity, Contact, Merge
from tests.factories.crm import AccountFactory, ContactFactory

pytestmark = pytest.mark.postgres
Race = Callable[..., list[BaseException | None]]


def test_of_two_who_merge_the_same_pair_one_wins(two_at_once: Race, at: datetime) -> None:
    one, other = AccountFactory(), AccountFactory()
    outcome = two_at_once(
        lambda: merges.merge(one, other, choices={}, by=None, at=at), lambda: merges.merge(other, one, choices={}, by=None, at=at)
    )
    assert outcome[0] is None
    assert isinstance(outcome[1], CrmError)
    assert (Account.objects.get(), Merge.objects.count()) == (one, 1)


def test_of_two_who_undo_a_merge_one_does(two_at_once: Race, at: datetime) -> None:
    done = merges.merge(AccountFactory(), AccountFactory(), choices={}, by=None, at=at)
    outcome = two_at_once(lambda: merges.unmerge(done, by=None, at=at), lambda: merges.unmerge(done, by=None, at=at))
    assert outcome[0] is None
    assert isinstance(outcome[1], CrmError)
    assert Account.objects.count() == 2


def test_two_who_fold_one_contact_into_two_others(two_at_once: Race, at: datetime) -> None:
    account = AccountFactory()
    one, other, third = (ContactFactory(account=account) for _number in range(3))
    outcome = two_at_once(
        lambda: merges.merge(one, third, choices={}, by=None, at=at), lambda: merges.merge(other, third, choices={}, by=None, at=at)
    )
    assert outcome[0] is None
    assert isinstance(outcome[1], CrmError)
    assert Contact.objects.count() == 2


@pytest.mark.usefixtures("committed")
def test_activity_recorded_before_the_merge_commits_is_not_lost(at: datetime) -> None:
    kept, folded = AccountFactory(), AccountFactory()
    activities.record(account=folded, kind="meeting", occurred_at=at, source="test", at=at)
    merges.merge(kept, folded, choices={}, by=None, at=at)
    assert Activity.objects.get().account == kept
