"""Layouts of HubSpot and Salesforce, recognised by their headers; other files by words and values."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from crm import policy, uploads
from crm.errors import Invalid
from crm.models import Account, Activity, Contact
from crm.uploads.layouts import guess, recognise
from tests.crm.test_uploads_contacts import ran, reasons, received
from tests.factories.crm import AccountFactory, ContactFactory

SEEDS = Path(__file__).parents[1] / "data" / "crm-exports"
RECOGNISED = {
    "contact_data.csv": ("contacts", "HubSpot contacts (API)"),
    "company_data.csv": ("accounts", "HubSpot companies (API)"),
    "email_event_data.csv": ("activities", "HubSpot email events"),
    "engagement_meeting_data.csv": ("activities", "HubSpot meetings"),
    "sf_account_data.csv": ("accounts", "Salesforce accounts"),
    "sf_contact_data.csv": ("contacts", "Salesforce contacts"),
    "sf_lead_data.csv": ("contacts", "Salesforce leads"),
}


@pytest.mark.parametrize(("file", "what", "layout"), [(file, *known) for file, known in RECOGNISED.items()])
def test_the_headers_of_an_export_name_its_layout(file, what, layout):
    header = (SEEDS / file).read_text().splitlines()[0].split(",")

    assert recognise(header, what=what).name == layout
    others = {"accounts", "contacts", "activities"} - {what}
    assert [recognise(header, what=other) for other in others] == [None, None]


SCREENS = {
    "HubSpot contacts": ("contacts", "Record ID,First Name,Last Name,Email,Phone Number,Job Title,Contact owner,Lead Status,Associated Company,Associated Company IDs"),
    "HubSpot companies": ("accounts", "Record ID,Company name,Company Domain Name,Company owner,Create Date,Industry"),
    "Salesforce leads": ("contacts", "Lead ID,First Name,Last Name,Company,Title,Email,Phone,Lead Source,Status,Owner Alias,Created Date"),
    "Salesforce contacts": ("contacts", "First Name,Last Name,Title,Account Name,Email,Phone,Mailing City"),
}  # fmt: skip


@pytest.mark.parametrize(("layout", "what", "header"), [(layout, *known) for layout, known in SCREENS.items()])
def test_the_headers_on_screen_are_known_too(layout, what, header):
    assert recognise(header.split(","), what=what).name == layout


def test_hubspot_contacts_go_to_the_company_of_their_first_id(rep, at):
    companies = "Record ID,Company name,Company Domain Name,Company owner,Create Date,Industry\n77,Acme Nederland,acme.example.nl,Somebody,2024-03-12 09:14,bouw\n"
    people = "Record ID,First Name,Last Name,Email,Phone Number,Buying Role,Associated Company,Associated Company IDs\n5,Jan,Bos,jan@gmail.com,,Decision maker;Champion,Acme,77;88\n"

    assert ran(received(companies, rep, at, what="accounts"), at)["created"] == 1
    upload = received(people, rep, at)
    assert (upload.layout, upload.source) == ("HubSpot contacts", "hubspot")
    assert ran(upload, at)["created"] == 1

    jan = Contact.objects.get()
    assert (jan.account.name, jan.account.external_id, jan.account.owner, jan.external_id) == ("Acme Nederland", "77", rep, "5")
    assert list(jan.memberships.values_list("role", "stance")) == [("decider", "champion")]


def test_a_salesforce_id_of_15_or_18_characters_is_one(rep, at):
    header = "Id,Account Id,First Name,Last Name,Email,Has Opted Out Of Email\n"
    account = AccountFactory(source="salesforce", external_id="0011G00000eM9wv", owner=rep, team=rep.team)

    assert ran(received(header + "0031G00000q9jPQAQA,0011G00000eM9wvQAC,Janet,Yellen,,FALSE\n", rep, at), at)["created"] == 1
    assert ran(received(header + "0031G00000q9jPQ,0011G00000eM9wv,Janet,Yellen,,TRUE\n", rep, at), at)["changed"] == 1

    contact = Contact.objects.get()
    assert (contact.account, contact.external_id, contact.person.opted_out_at) == (account, "0031G00000q9jPQ", at)


@pytest.mark.parametrize("file", ["company_data.csv", "sf_account_data.csv"])
def test_real_seeds_of_accounts_are_imported_as_they_are(rep, at, file):
    raw = (SEEDS / file).read_bytes()
    upload = received(raw, rep, at, what="accounts", name=file)

    counts = ran(upload, at)
    assert counts["created"] == Account.objects.count() > 0
    assert ran(received(raw, rep, at, what="accounts", name=file), at)["unchanged"] >= counts["created"] - 1


def test_mail_events_count_by_type_and_filtered_ones_as_a_machines(rep, at, monkeypatch):
    monkeypatch.setattr(policy, "RETENTION", replace(policy.RETENTION, activity_days=0))  # these are of 2020
    ContactFactory(email="o2wjpppyuf@klant.example.nl", account=AccountFactory(owner=rep, team=rep.team))
    raw = (SEEDS / "email_event_data.csv").read_text().replace("o2wjpPyUfzBfq9OSt9I2NQ==", "o2wjpPPyuf@klant.example.nl")
    upload = received(raw, rep, at, what="activities")

    assert ran(upload, at)["created"] == 11
    kinds = Activity.objects.values_list("kind", flat=True)
    assert [list(kinds).count(kind) for kind in ("email_open", "email_sent", "email_delivered")] == [6, 4, 1]
    first = Activity.objects.get(external_id="0e442bf1-26be-3f07-8b50-5c02724ad803")
    assert (first.occurred_at, first.source) == (datetime(2020, 3, 16, 19, 3, 20, tzinfo=UTC), "hubspot")
    assert ran(received(raw, rep, at, what="activities"), at) == {"created": 0, "changed": 0, "unchanged": 11, "failed": 0}
    ran(received(raw.replace(",false,", ",true,").replace("0e442bf1", "1e442bf1"), rep, at, what="activities"), at)
    assert Activity.objects.get(external_id="1e442bf1-26be-3f07-8b50-5c02724ad803").machine_reason == "filtered"


MOMENTS = {
    "2024-03-12 09:14": datetime(2024, 3, 12, 9, 14, tzinfo=ZoneInfo("Europe/Amsterdam")),
    "2024-03-12T09:14:05Z": datetime(2024, 3, 12, 9, 14, 5, tzinfo=UTC),
    "2024-03-12 09:14+02:00": datetime(2024, 3, 12, 7, 14, tzinfo=UTC),
    "3/15/2024 2:30 PM": datetime(2024, 3, 15, 14, 30, tzinfo=ZoneInfo("Europe/Amsterdam")),
    "15-03-2024": datetime(2024, 3, 15, 12, 0, tzinfo=ZoneInfo("Europe/Amsterdam")),
    "4/3/2024 12:05 AM": datetime(2024, 4, 3, 0, 5, tzinfo=ZoneInfo("Europe/Amsterdam")),
}


@pytest.mark.parametrize(("written", "meant"), MOMENTS.items())
def test_moments_are_read_as_other_products_write_them(rep, at, written, meant):
    AccountFactory(domain="klant.nl", owner=rep, team=rep.team)
    upload = received(f"type;datum;website\nmeeting;{written};klant.nl\n", rep, at, what="activities")

    assert ran(upload, at)["created"] == 1
    assert Activity.objects.get().occurred_at == meant


def test_dates_that_may_be_either_are_refused_and_one_clear_date_settles_the_file(rep, at):
    AccountFactory(domain="klant.nl", owner=rep, team=rep.team)
    text = "type;datum;website\nmeeting;4/3/2024;klant.nl\n"

    unclear = received(text, rep, at, what="activities")
    assert ran(unclear, at)["failed"] == 1
    assert reasons(unclear)[2] == ("datum", "month and day cannot be told apart in this file: '4/3/2024'")

    assert ran(received(text + "meeting;25/3/2024;klant.nl\n", rep, at, what="activities"), at)["created"] == 2
    assert {row.day.isoformat() for row in Activity.objects.all()} == {"2024-03-04", "2024-03-25"}


def test_unknown_headers_are_guessed_by_their_values():
    sample = [["a", "jan@x.nl", "+31 20 123 4567", "www.x.nl"], ["b", "els@y.nl", "020-7654321", "y.nl"]]

    assert guess(["wie", "waarheen", "hoe", "waar"], sample, what="contacts") == {
        "0": "",
        "1": "email",
        "2": "phone",
        "3": "account_domain",
    }


def test_the_mapping_can_be_corrected_and_a_wrong_one_is_refused(rep, at):
    text = b"x;y;z\nmeeting;2024-01-01;klant.nl\n"
    upload = uploads.receive(io.BytesIO(text), name="x.csv", what="activities", by=rep, at=at)
    AccountFactory(domain="klant.nl", owner=rep, team=rep.team)

    for wrong in (
        {"0": "kind"},
        {"0": "kind", "1": "kind"},
        {"0": "kind", "9": "occurred_at"},
        {"0": "kind", "1": "colour"},
        {"=colour": "red"},
    ):
        with pytest.raises(Invalid):
            uploads.map_columns(upload, mapping=wrong, by=rep, at=at)
    upload.refresh_from_db()
    assert upload.mapping == {"0": "", "1": "occurred_at", "2": "account_domain"}

    uploads.map_columns(upload, mapping={"=kind": "note", "1": "occurred_at", "2": "account_domain"}, by=rep, at=at)
    assert ran(upload, at)["created"] == 1
    assert Activity.objects.get().kind == "note"
