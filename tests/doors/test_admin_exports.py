"""The pages of exports: who is asked for what, what the answer holds, and that nobody gets what is another's."""

import csv
import io
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from crm import exports, policy, tasks
from crm.models import Account, Export, Team, User
from tests.doors.admin_pages import link, said
from tests.factories.crm import AccountFactory

pytestmark = pytest.mark.django_db
CHOICE = {"file_format": "csv", "columns": ["name"]}


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """What was handed to the queue."""
    handed: list[tuple[str, object]] = []
    monkeypatch.setattr(tasks, "enqueue", lambda task, *arguments: handed.append((task.name, *arguments)))
    return handed


@pytest.fixture
def accounts(team: Team, rep: User) -> list[Account]:
    return [AccountFactory(name=name, team=team, owner=rep) for name in ("Bakker", "Slager", "Visboer")]


@pytest.fixture
def large(accounts: list[Account], rep_client: Client, queue: list[tuple[str, object]], monkeypatch: pytest.MonkeyPatch) -> Export:
    """An export of three accounts where two are many."""
    monkeypatch.setattr(policy, "EXPORTS", policy.Exports(at_once_rows=2, rows_per_chunk=2))
    answer = rep_client.post(new("crm.account"), CHOICE)
    export = Export.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, link(export, "change"))
    return export


@pytest.fixture
def finished(large: Export, at) -> Export:
    exports.work(large.pk, clock=lambda: at)
    large.refresh_from_db()
    return large


def browser_of(user: User) -> Client:
    """Give a browser of its own in which the user is signed in."""
    client = Client()
    client.force_login(user)
    return client


def new(what: str, query: str = "") -> str:
    return f"{reverse('admin:crm_export_new')}?list={what}&{query}"


def rows(answer: HttpResponse) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))


def test_few_rows_are_the_answer_itself(accounts: list[Account], rep_client: Client) -> None:
    answer = rep_client.post(new("crm.account"), CHOICE)

    assert rows(answer) == [["Name"], ["Bakker"], ["Slager"], ["Visboer"]]
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="accounts-2')
    assert {"private", "no-store"} <= set(answer.headers["Cache-Control"].split(", "))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert Export.objects.values_list("state", "rows_done").get() == ("handed_over", 3)


def test_picked_rows_and_filters_come_from_the_lists_address(accounts: list[Account], rep_client: Client) -> None:
    picked = rep_client.post(new("crm.account", f"ids={accounts[2].pk},{accounts[0].pk},x"), CHOICE)
    filtered = rep_client.post(new("crm.account", "owner=me&q=slager&p=3"), CHOICE)

    assert sorted(rows(picked)[1:]) == [["Bakker"], ["Visboer"]]
    assert rows(filtered)[1:] == [["Slager"]]


def test_page_says_how_many_rows_and_as_filtered_by_what(accounts: list[Account], rep_client: Client) -> None:
    page = rep_client.get(new("crm.account", "owner=me&q=slager")).content.decode()

    assert "1 row" in page
    assert "q: <b>slager</b>" in page
    assert "You get the file at once." in page


def test_page_reads_a_bounded_number_of_times(accounts: list[Account], rep_client: Client, django_assert_max_num_queries) -> None:
    with django_assert_max_num_queries(12):
        rep_client.get(new("crm.account", "owner=me"))


def test_columns_and_format_of_last_time_are_chosen_again(accounts: list[Account], rep_client: Client) -> None:
    first = rep_client.get(new("crm.account")).context["form"].initial
    rep_client.post(new("crm.account"), {"file_format": "csv", "columns": ["city", "name"]})
    again = rep_client.get(new("crm.account")).context["form"].initial

    assert (first["file_format"], "score" in first["columns"]) == ("xlsx", True)
    assert again == {"file_format": "csv", "columns": ["city", "name"]}


def test_many_rows_wait_for_a_worker(large: Export, queue: list[tuple[str, object]], rep_client: Client) -> None:
    assert (large.state, large.rows_total) == ("queued", 3)
    assert queue == [("crm.tasks.make_export", large.pk)]
    assert "Waiting for a free worker" in rep_client.get(link(large, "change")).content.decode()


def test_progress_is_asked_for_and_the_page_loads_again_at_the_end(large: Export, rep_client: Client, at) -> None:
    poll = link(large, "progress")
    waiting = rep_client.get(poll, {"state": "queued"})
    exports.work(large.pk, clock=lambda: at)

    assert 'value="0"' in waiting.content.decode() and "HX-Refresh" not in waiting.headers
    assert rep_client.get(poll, {"state": "running"}).headers["HX-Refresh"] == "true"


def test_owner_downloads_the_file(finished: Export, rep_client: Client) -> None:
    page = rep_client.get(link(finished, "change")).content.decode()
    answer = rep_client.get(link(finished, "download"))

    assert link(finished, "download") in page
    assert rows(answer)[1:] == [["Bakker"], ["Slager"], ["Visboer"]]


def test_administrator_sees_that_it_was_made_and_does_not_get_it(finished: Export, admin_user: User) -> None:
    client = browser_of(admin_user)

    assert client.get(link(finished, "change")).status_code == 200
    assert link(finished, "download") not in client.get(link(finished, "change")).content.decode()
    assert client.get(link(finished, "download")).status_code == 403


@pytest.mark.parametrize("somebody_else", ["lead", "outsider", "marketer"])
@pytest.mark.parametrize("page", ["change", "progress", "download", "remove"])
def test_nobody_else_reaches_an_export(page: str, somebody_else: str, finished: Export, request: pytest.FixtureRequest) -> None:
    client = browser_of(request.getfixturevalue(somebody_else))

    assert {client.get(link(finished, page)).status_code, client.post(link(finished, page)).status_code} == {404}
    assert Export.objects.get().state == "finished"


def test_files_have_no_address_of_their_own(finished: Export, rep_client: Client) -> None:
    for address in (f"/media/{finished.file.name}", f"/{finished.file.name}", f"/static/{finished.file.name}"):
        assert rep_client.get(address).status_code == 404


def test_owner_deletes_the_file_after_being_asked(finished: Export, rep_client: Client, media: Path) -> None:
    asked = rep_client.get(link(finished, "remove"))
    assert "stays on record" in asked.content.decode()
    assert Export.objects.get().state == "finished"

    answer = rep_client.post(link(finished, "remove"), follow=True)

    assert said(answer) == ["The file is deleted."]
    assert list((media / "exports").iterdir()) == []
    assert rep_client.get(link(finished, "download"), follow=True).redirect_chain[-1][0] == link(finished, "change")


def test_file_that_vanished_from_the_disk_is_not_found(finished: Export, rep_client: Client) -> None:
    default_storage.delete(finished.file.name)

    assert rep_client.get(link(finished, "download")).status_code == 404


@pytest.mark.parametrize("what", ["crm.account", "crm.contact", "crm.opportunity", "crm.activity", "crm.followup", "abm.targetaccount"])
def test_who_may_not_look_at_such_records_is_refused(what: str, rep: User, rep_client: Client) -> None:
    role = rep.groups.get()
    role.permissions.remove(role.permissions.get(codename=f"view_{what.partition('.')[2]}"))

    assert rep_client.get(new(what)).status_code == 403
    assert rep_client.post(new(what), CHOICE).status_code == 403
    assert Export.objects.count() == 0


def test_who_may_not_export_is_refused(rep: User, rep_client: Client) -> None:
    role = rep.groups.get()
    role.permissions.remove(role.permissions.get(codename="add_export"))

    assert rep_client.get(new("crm.account")).status_code == 403
    assert rep_client.post(new("crm.account"), CHOICE).status_code == 403
    assert Export.objects.count() == 0


@pytest.mark.parametrize("what", ["crm.user", "crm.apikey", "", "x"])
def test_list_that_cannot_be_exported_leads_to_the_exports(what: str, rep_client: Client) -> None:
    assert rep_client.get(new(what)).headers["Location"] == reverse("admin:crm_export_changelist")


def test_filters_that_cannot_be_read_lead_back_to_the_list(rep_client: Client) -> None:
    answer = rep_client.get(new("crm.account", "owner__password__startswith=a"), follow=True)

    assert answer.redirect_chain[-1][0] == reverse("admin:crm_account_changelist")
    assert said(answer) == ["These filters cannot be read. Open the list again and export from there."]


def test_no_column_is_asked_again(accounts: list[Account], rep_client: Client) -> None:
    page = rep_client.post(new("crm.account"), {"file_format": "csv"})

    assert "Choose at least one column." in page.content.decode()
    assert Export.objects.count() == 0


def test_outsiders_export_holds_nothing_of_ours(accounts: list[Account], outsider: User) -> None:
    client = browser_of(outsider)

    assert rows(client.post(new("crm.account", "owner=all"), CHOICE)) == [["Name"]]
    assert rows(client.post(new("crm.account", f"ids={accounts[0].pk}"), CHOICE)) == [["Name"]]


def test_list_of_exports_offers_whole_lists_and_the_files(finished: Export, rep_client: Client) -> None:
    page = rep_client.get(reverse("admin:crm_export_changelist")).content.decode()

    assert "list=crm.account" in page
    assert link(finished, "download") in page


def test_worker_writes_what_waits_and_the_minute_finds_what_was_lost(large: Export, queue: list[tuple[str, object]], monkeypatch) -> None:
    Export.objects.update(created_at="2020-01-01T00:00Z")
    queue.clear()

    tasks.go_on()
    assert queue == [("crm.tasks.make_export", large.pk)]
    assert tasks.make_export(large.pk) is True
    assert Export.objects.get().state == "finished"
