"""The pages of a lead funnel: two files, a trial that writes nothing, the import, and to whom they are shut."""

import os
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.utils.timezone import now

from crm import funnel_files, policy
from crm.models import Account, Opportunity, User
from tests.crm.test_lead_funnels import DEALS, LEADS
from tests.doors.admin_pages import said
from tests.factories.crm import UserFactory

pytestmark = pytest.mark.django_db
PAGE = "/admin/crm/upload/leads/"
FACTS = {"source": "olist", "currency": "EUR"}


def send(client: Client, leads: str = LEADS, deals: str | None = DEALS, **more: str) -> HttpResponse:
    files = {"leads": SimpleUploadedFile("mijn leads.csv", leads.encode())}
    files |= {"deals": SimpleUploadedFile("d.csv", deals.encode())} if deals else {}
    return client.post(PAGE, FACTS | more | files)


def go(client: Client, **more: str) -> HttpResponse:
    return client.post(PAGE, FACTS | {"do": "1"} | more, follow=True)


def kept() -> list[str]:
    return sorted(default_storage.listdir(funnel_files.FOLDER)[1]) if default_storage.exists(funnel_files.FOLDER) else []


def test_a_trial_shows_every_wrong_line_with_its_place_and_writes_nothing(rep_client: Client, rep: User) -> None:
    page = send(rep_client).content.decode()

    assert "This is what would happen" in page
    assert '<td>leads.csv</td><td class="q-n">5</td><td>first_contact_date</td>' in page
    assert '<td>deals.csv</td><td class="q-n">4</td><td>mql_id</td>' in page
    assert "won before the first contact" in page
    assert not Opportunity.objects.exists()
    assert kept() == [f"{rep.pk}-deals.csv", f"{rep.pk}-leads.csv"]


def test_what_was_tried_is_imported_for_the_team_and_its_files_go(rep_client: Client, rep: User) -> None:
    send(rep_client)

    answer = go(rep_client)

    assert "3 leads were imported, 0 were there already, 2 lines were left out." in said(answer)
    assert set(Opportunity.objects.values_list("external_id", "stage", "team")) == {
        ("a1", "won", rep.team_id), ("a2", "mql", rep.team_id), ("a3", "won", rep.team_id),
    }  # fmt: skip
    assert Account.objects.count() == 2
    assert kept() == []
    assert said(go(rep_client)) == ["The files are no longer there: choose them again."]


def test_leads_alone_and_columns_of_other_names_do(rep_client: Client) -> None:
    names = {"column-id": "Lead", "column-first_contact": "Created On"}

    tried = send(rep_client, "Lead;Created On\nq1;2026-01-02\n", None, **names)
    go(rep_client, **names)

    assert "This is what would happen" in tried.content.decode()
    assert list(Opportunity.objects.values_list("external_id", "stage")) == [("q1", "mql")]


@pytest.mark.parametrize(
    ("leads", "facts", "sentence"),
    [
        ("a,b\n1,2\n", {}, "mql_id"),
        (LEADS, {"currency": "euro"}, "Enter a valid value."),
        ("", {}, "The submitted file is empty."),
    ],
)
def test_files_that_cannot_be_read_are_refused_on_the_page(rep_client: Client, leads: str, facts: dict[str, str], sentence: str) -> None:
    page = send(rep_client, leads, None, **facts).content.decode()

    assert sentence in page
    assert "This is what would happen" not in page
    assert not Opportunity.objects.exists()


def test_more_leads_than_a_browser_should_wait_for_are_the_commands(rep_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(leads_at_once=3))

    assert "manage.py import_leads" in send(rep_client).content.decode()


def test_who_may_not_add_deals_sees_neither_page_nor_link(client: Client) -> None:
    user = UserFactory(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=("add_upload", "view_upload", "add_account")))
    client.force_login(user)

    assert [client.get(PAGE).status_code, send(client).status_code, go(client).status_code] == [403, 403, 403]
    assert PAGE not in client.get("/admin/crm/upload/add/").content.decode()
    assert kept() == []


def test_the_way_to_it_stands_on_the_page_of_a_new_import(rep_client: Client) -> None:
    assert f'href="{PAGE}"' in rep_client.get("/admin/crm/upload/add/").content.decode()


def test_files_that_were_tried_and_left_are_gone_after_a_day(rep_client: Client, rep: User) -> None:
    send(rep_client)
    old = (now() - timedelta(days=2)).timestamp()
    os.utime(default_storage.path(f"{funnel_files.FOLDER}/{rep.pk}-leads.csv"), (old, old))

    assert funnel_files.let_go(at=now()) == 1
    assert kept() == [f"{rep.pk}-deals.csv"]
