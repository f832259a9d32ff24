"""Merging two accounts and undoing it: nothing is lost, doubled or left over."""

from datetime import datetime, timedelta

import pytest

from abm import engagement, refresh
from crm import merges
from crm.models import Account, Activity, Contact, Opportunity, Team, User
from tests.crm.merging import Two, rows_of, two_accounts
from tests.tables import checksums

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(team: Team, rep: User) -> Two:
    return two_accounts(team=team, owner=rep, people=12, happenings=120, days=5)


def differences(before: dict[str, str]) -> set[str]:
    now = checksums()
    return {label for label in before if before[label] != now[label]}


@pytest.mark.parametrize(("people", "happenings"), [(50, 2_000)])
def test_unmerge_restores_every_row_of_every_table(team: Team, rep: User, at: datetime, people: int, happenings: int) -> None:
    two = two_accounts(team=team, owner=rep, people=people, happenings=happenings)
    assert Contact.objects.filter(account__in=two).count() == people + 3
    before = checksums()

    done = merges.merge(two.kept, two.folded, choices={}, by=rep, at=at)
    assert not Account.objects.filter(pk=two.folded.pk).exists()
    assert rows_of(Activity, two.kept) == happenings
    assert rows_of(Contact, two.kept) == people + 3
    assert rows_of(Opportunity, two.kept) == 3
    assert differences(before) > {
        "crm.account",
        "crm.contact",
        "crm.activity",
        "crm.opportunity",
        "abm.engagementscore",
        "abm.targetaccount",
    }

    merges.unmerge(merges.Merge.objects.get(pk=done.pk), by=rep, at=at)
    assert differences(before) == set()


def test_score_after_a_merge_is_that_of_everything_together(two: Two, at: datetime) -> None:
    merges.merge(two.kept, two.folded, choices={}, by=None, at=at)
    refresh.account(two.kept.pk, at=at)

    kept = Account.objects.get(pk=two.kept.pk)
    assert kept.standing.score == engagement.of_accounts([kept.pk], as_of=at.date())[kept.pk].score_1
    for day in (at - timedelta(days=ago) for ago in (0, 2, 4)):
        stored = kept.engagement_scores.filter(day=day.date()).values_list("score", flat=True)
        assert list(stored) == [engagement.of_accounts([kept.pk], as_of=day.date())[kept.pk].score_1]
