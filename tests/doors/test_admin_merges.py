"""Merging in the admin: the list of pairs, two records side by side, the way back, and who may do so."""

from datetime import datetime

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from crm import duplicates, merges
from crm.models import Account, AccountPair, Contact, Merge, User
from tests.conftest import somebody
from tests.crm.merging import two_accounts
from tests.doors.admin_pages import link, said
from tests.factories.crm import AccountFactory, ContactFactory, TeamFactory
from tests.tables import checksums

pytestmark = pytest.mark.django_db
PAIRS = "/admin/crm/accountpair/"


@pytest.fixture
def two(rep: User, at: datetime) -> tuple[Account, Account]:
    facts = {"owner": rep, "team": rep.team, "domain": ""}
    pair = AccountFactory(name="Bakkerij Bos", **facts), AccountFactory(name="Bakkerij Bos B.V.", city="Ede", **facts)
    duplicates.sweep("accounts", at=at)
    return pair


def compared(kept: Account, folded: Account) -> str:
    return f"/admin/crm/merge/accounts/{kept.pk}/{folded.pk}/"


def test_rep_merges_a_pair_from_the_list_and_takes_it_back(rep_client: Client, two: tuple[Account, Account]) -> None:
    kept, folded = two
    page = rep_client.get(PAIRS).content.decode()
    assert "The same name, apart from legal form and spelling" in page
    assert compared(kept, folded) in page
    page = rep_client.get(compared(kept, folded)).content.decode()
    assert 'name="city" value="folded" checked' in page
    before = checksums()

    answer = rep_client.post(compared(kept, folded), {"name": "folded", "city": "folded"}, follow=True)
    assert said(answer) == ["The two are one now. You can undo it here."]
    assert list(Account.objects.values_list("name", "city")) == [("Bakkerij Bos B.V.", "Ede")]
    done = Merge.objects.get()
    assert link(done, "undo") in answer.content.decode()
    answer = rep_client.get(link(folded, "change"), follow=True)
    assert said(answer) == ["What you looked for was merged into Bakkerij Bos B.V.."]
    assert answer.redirect_chain[-1][0] == link(kept, "change")

    answer = rep_client.post(link(done, "undo"), follow=True)
    assert said(answer) == ["The merge is undone: both records are there again."]
    assert checksums() == before


def test_not_a_duplicate_is_one_click(rep_client: Client, two: tuple[Account, Account]) -> None:
    pair = AccountPair.objects.get()
    rep_client.get(link(pair, "dismiss"))
    assert AccountPair.objects.open().exists()
    assert said(rep_client.post(link(pair, "dismiss"), follow=True)) == ["Remembered: these are two."]
    assert not AccountPair.objects.open().exists()
    assert "Nothing looks alike" in rep_client.get(PAIRS).content.decode()
    rep_client.post(link(pair, "restore"))
    assert AccountPair.objects.open().exists()


@pytest.mark.parametrize("address", ["{compared}", "{swapped}", "/admin/crm/account/{kept}/merge/", "{undo}", "{dismiss}", "{restore}"])
def test_outsider_finds_nothing_and_changes_nothing(
    client: Client, outsider: User, rep: User, two: tuple[Account, Account], at: datetime, address: str
) -> None:
    kept, folded = two
    done = merges.merge(kept, AccountFactory(owner=rep, team=rep.team), choices={}, by=rep, at=at)
    pair = AccountPair.objects.get()
    words = {"compared": compared(kept, folded), "swapped": compared(folded, kept), "kept": kept.pk, "undo": link(done, "undo")}
    words |= {"dismiss": link(pair, "dismiss"), "restore": link(pair, "restore")}
    client.force_login(outsider)
    before = checksums()
    for answer in (client.get(address.format(**words)), client.post(address.format(**words))):
        assert answer.status_code in (302, 403, 404)
        assert "Bakkerij" not in answer.content.decode()
    assert checksums() == before
    assert not Merge.objects.exclude(pk=done.pk).exists()
    assert "Bakkerij" not in client.get(PAIRS).content.decode()


def test_records_of_two_teams_are_merged_by_who_sees_every_record(client: Client, rep: User, marketer: User, at: datetime) -> None:
    mine, theirs = AccountFactory(owner=rep, team=rep.team), AccountFactory(owner=somebody("sales rep", team=None))
    client.force_login(rep)
    assert client.post(compared(mine, theirs)).status_code == 404
    own_elsewhere = AccountFactory(owner=rep, team=TeamFactory())
    assert client.post(compared(mine, own_elsewhere)).status_code == 403
    assert Account.objects.count() == 3
    own_elsewhere.delete()
    client.force_login(marketer)
    assert client.post(compared(mine, theirs)).status_code == 302
    assert Account.objects.get() == mine


def test_contacts_are_merged_from_their_page(rep_client: Client, rep: User) -> None:
    jan = ContactFactory(account__owner=rep, account__team=rep.team)
    other = ContactFactory(account=jan.account, job_title="Inkoper")
    answer = rep_client.post(f"/admin/crm/contact/{jan.pk}/merge/", {"other": other.pk})
    assert answer["Location"] == f"/admin/crm/merge/contacts/{jan.pk}/{other.pk}/"
    rep_client.post(answer["Location"], {})
    assert Contact.objects.get().job_title == "Inkoper"
    assert rep_client.get(link(other, "change"))["Location"] == link(jan, "change")


def test_form_of_a_new_record_is_told_what_looks_like_it(rep_client: Client, two: tuple[Account, Account]) -> None:
    hidden = AccountFactory(name="Geheim BV", domain="geheim.example")
    answer = rep_client.get(f"{PAIRS}like/", {"name": "bakkerij bos NV"}).content.decode()
    assert link(two[0], "change") in answer
    answer = rep_client.get(f"{PAIRS}like/", {"name": "Geheim", "domain": "geheim.example"}).content.decode()
    assert "Known already, at a record that belongs to no team" in answer
    assert hidden.name not in answer
    assert rep_client.get(f"{PAIRS}like/", {"name": "Geheim"}).content.decode().strip() == ""


def test_queries_of_the_pages_do_not_grow(
    rep_client: Client, rep: User, at: datetime, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    two = two_accounts(team=rep.team, owner=rep, people=8, happenings=60, days=1)
    for number in range(12):
        AccountFactory(name=f"Twee {number} BV", domain="", owner=rep, team=rep.team)
        AccountFactory(name=f"Twee {number}", domain="", owner=rep, team=rep.team)
    duplicates.sweep("accounts", at=at)
    rep_client.get(PAIRS)
    with django_assert_max_num_queries(12):
        rep_client.get(PAIRS)
    with django_assert_max_num_queries(12):
        rep_client.get(compared(*two))
    # Trying a merge takes a few statements for each of the tables, whatever hangs on the accounts: the page asks for it apart.
    with django_assert_max_num_queries(220):
        tried = rep_client.get(compared(*two), headers={"HX-Request": "true"}).content.decode()
    assert "What moves" in tried and "<html" not in tried
    assert "What moves" in rep_client.get(f"{compared(*two)}?try").content.decode()
