"""The comparison group in the admin: figures for everybody who sees the list, names only of accounts in sight."""

import pytest
from django.test import Client

from abm.models import ComparisonAccount
from crm.models import Account, User
from tests.doors.admin_pages import link, list_of
from tests.factories.crm import AccountFactory, TeamFactory


@pytest.fixture
def compared(rep: User) -> ComparisonAccount:
    """An account of another team, in the comparison group of the rep's team."""
    mine = AccountFactory(name="Eigen BV", team=rep.team)
    theirs = AccountFactory(name="Andermans BV", team=TeamFactory())
    return ComparisonAccount.objects.create(
        target_list=list_of(mine), account=theirs, resembles=mine, distance=0.25, fit_at_start=50, score_at_start=10
    )


def pages(row: ComparisonAccount) -> list[str]:
    return [link(row.target_list, "change"), link(ComparisonAccount, "changelist"), link(row, "change")]


def test_account_of_another_team_is_not_named_in_the_comparison_group(rep_client: Client, compared: ComparisonAccount) -> None:
    for page in pages(compared):
        shown = rep_client.get(page).content.decode()

        assert "an account of another team" in shown
        assert "Eigen BV" in shown
        assert "0.25" in shown
        assert "Andermans" not in shown
        assert link(compared.account, "change") not in shown


def test_search_does_not_find_a_comparison_by_the_name_of_an_account(rep_client: Client, compared: ComparisonAccount) -> None:
    shown = rep_client.get(link(ComparisonAccount, "changelist"), {"q": "Andermans"}).content.decode()

    assert "an account of another team" not in shown


def test_who_sees_both_accounts_reads_both_names(marketer: User, client: Client, compared: ComparisonAccount) -> None:
    client.force_login(marketer)

    for page in pages(compared):
        shown = client.get(page).content.decode()
        assert "Andermans BV" in shown
        assert "an account of another team" not in shown


def test_account_that_came_into_sight_is_named(rep: User, rep_client: Client, compared: ComparisonAccount) -> None:
    Account.objects.filter(pk=compared.account_id).update(team=rep.team)

    assert "Andermans BV" in rep_client.get(link(ComparisonAccount, "changelist")).content.decode()
