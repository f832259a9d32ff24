"""Exports: what a file holds, who gets it, how it survives its worker, and that it goes in time."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import IntegrityError
from django.http import QueryDict
from openpyxl import load_workbook

from crm import exports, policy, privacy
from crm.errors import Conflict, Invalid, NotAllowed
from crm.exports import jobs, sheets
from crm.models import Account, Contact, Export, Team, User
from tests.conftest import somebody
from tests.factories.crm import (
    AccountFactory,
    ActivityFactory,
    ContactFactory,
    MembershipFactory,
    OpportunityFactory,
    TeamFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test can reach: 2 rows at once, 2 per chunk, 5 in Excel."""
    monkeypatch.setattr(policy, "EXPORTS", policy.Exports(at_once_rows=2, rows_per_chunk=2, xlsx_rows=5))


def ask(by: User, at: datetime, **facts: object) -> Export:
    """Ask for the names and domains of every account as CSV, unless told otherwise."""
    asked = {
        "what": "crm.account",
        "query": "owner=all",
        "picked": [],
        "columns": ["name", "domain"],
        "file_format": "csv",
        "language": "en",
    }
    return exports.begin(**(asked | facts), by=by, at=at)


def content(export: Export) -> bytes:
    stream = io.BytesIO()
    exports.hand_over(export, stream=stream)
    return stream.getvalue()


def rows(raw: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(raw.decode("utf-8-sig"))))


def cells(raw: bytes) -> list[list[object]]:
    return [list(row) for row in load_workbook(io.BytesIO(raw)).active.iter_rows()]


def clock(at: datetime):
    return lambda: at


# --- what is in a file ---------------------------------------------------------------------------------


def test_few_rows_are_handed_over_at_once_and_remembered(rep: User, team: Team, at: datetime) -> None:
    AccountFactory(name="Bakkerij Bos", domain="bos.example", team=team)

    export = ask(rep, at)

    assert rows(content(export)) == [["Name", "Web domain"], ["Bakkerij Bos", "bos.example"]]
    export.refresh_from_db()
    assert (export.state, export.owner, export.rows_total, export.rows_done, export.file.name) == ("handed_over", rep, 1, 1, "")


def test_columns_keep_the_lists_own_order(rep: User, team: Team, at: datetime) -> None:
    AccountFactory(name="Bos", domain="bos.example", team=team, city="Breda")

    assert rows(content(ask(rep, at, columns=["city", "name"]))) == [["Name", "City"], ["Bos", "Breda"]]


def test_headings_and_choices_are_in_the_language_of_who_asks(rep: User, team: Team, at: datetime) -> None:
    AccountFactory(name="Bos", team=team, status="customer")

    heading, row = rows(content(ask(rep, at, columns=["name", "status"], language="nl")))

    assert heading[0] == "Naam"
    assert row == ["Bos", "klant"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_csv_file_begins_a_formula(start: str) -> None:
    assert sheets.harmless(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"
    assert sheets.harmless(f"a{start}b") == f"a{start}b"


def test_formulas_in_names_are_harmless_in_both_formats(rep: User, team: Team, at: datetime) -> None:
    AccountFactory(name='=HYPERLINK("http://evil","x")', team=team)

    assert rows(content(ask(rep, at, columns=["name"])))[1] == ['\'=HYPERLINK("http://evil","x")']
    (cell,) = cells(content(ask(rep, at, columns=["name"], file_format="xlsx")))[1]
    assert (cell.value, cell.data_type, cell.quotePrefix) == ('=HYPERLINK("http://evil","x")', "s", True)


def test_a_negative_number_stays_a_number() -> None:
    stream = io.BytesIO()

    sheets.write_csv(stream, ["n"], [[[-5], [Decimal("-1.50")]]], progress=lambda _done: True)

    assert rows(stream.getvalue()) == [["n"], ["-5"], ["-1.50"]]


def test_csv_holds_iso_dates_in_the_organisations_zone() -> None:
    stream = io.BytesIO()
    moment = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)

    sheets.write_csv(stream, ["a", "b", "c"], [[[moment, date(2026, 7, 1), None]]], progress=lambda _done: True)

    assert rows(stream.getvalue())[1] == ["2026-07-02 00:30:00+02:00", "2026-07-01", ""]


def test_xlsx_holds_real_numbers_and_dates() -> None:
    stream = io.BytesIO()
    moment = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)

    sheets.write_xlsx(stream, ["a", "b", "c"], [[[Decimal("12.5"), date(2026, 7, 1), moment]]], progress=lambda _done: True)

    number, day, local = cells(stream.getvalue())[1]
    assert (number.value, number.data_type) == (12.5, "n")
    assert (day.value, day.number_format) == (datetime(2026, 7, 1), "mm-dd-yy")
    assert (local.value, local.number_format) == (datetime(2026, 7, 2, 0, 30), "m/d/yy h:mm")


def test_characters_that_excel_refuses_are_left_out() -> None:
    stream = io.BytesIO()

    sheets.write_xlsx(stream, ["a"], [[["a\x00b\x0bc"], ["x" * 40_000]]], progress=lambda _done: True)

    found = [row[0].value for row in cells(stream.getvalue())[1:]]
    assert found == ["abc", "x" * 32_767]


def test_every_column_of_every_list_can_be_written(admin_user: User, team: Team, at: datetime) -> None:
    contact = MembershipFactory(contact__account__team=team, role="decider", is_assumed=True).contact
    deal = OpportunityFactory(account=contact.account, owner=admin_user, amount=Decimal("1000.00"))
    ActivityFactory(account=contact.account, contact=contact, opportunity=deal, kind="meeting")
    ActivityFactory(account=contact.account)
    contact.follow_ups.create(account=contact.account, text="Bel", due_on=date(2026, 3, 9), opened_at=at, owner=admin_user)

    for listing in exports.lists_for(admin_user):
        for file_format in ("csv", "xlsx"):
            query = {"crm.followup": "whose=all"}.get(listing.what, "")
            export = ask(admin_user, at, what=listing.what, columns=list(listing.columns), file_format=file_format, query=query)
            assert len(content(export)) > 100
        assert export.rows_total >= 1 or listing.model._meta.app_label == "abm", listing.what


def test_contacts_come_with_name_account_and_roles(rep: User, team: Team, at: datetime) -> None:
    contact = ContactFactory(
        account__team=team, account__name="Bos", person__given_name="Jan", person__family_name="Vos", phone="+31612345678"
    )
    MembershipFactory(contact=contact, role="buyer")
    MembershipFactory(contact=contact, role="decider", is_assumed=True)
    MembershipFactory(contact=contact, role="user", until=date(2026, 2, 1), end_reason="moved")

    asked = ask(rep, at, what="crm.contact", query="", columns=["given_name", "family_name", "account", "roles", "phone"])

    assert rows(content(asked))[1] == ["Jan", "Vos", "Bos", "buyer, decider?", "'+31612345678"]


def test_number_of_queries_does_not_grow_with_the_rows(rep: User, team: Team, at: datetime, django_assert_num_queries) -> None:
    MembershipFactory.create_batch(8, contact__account__team=team, contact__account__owner=rep)
    export = ask(rep, at, what="crm.contact", query="", columns=list(exports.listing_of("crm.contact", by=rep).columns))

    with django_assert_num_queries(5) as seen:
        content(export)
    assert len([query for query in seen.captured_queries if "crm_contact" in query["sql"]]) <= 4


# --- whose rows ----------------------------------------------------------------------------------------


def test_an_export_holds_only_what_its_owner_may_see(rep: User, team: Team, outsider: User, at: datetime) -> None:
    AccountFactory(name="Ons", team=team)
    AccountFactory(name="Hun", team=outsider.team)

    assert [row[0] for row in rows(content(ask(rep, at)))[1:]] == ["Ons"]
    assert [row[0] for row in rows(content(ask(outsider, at)))[1:]] == ["Hun"]


def test_picked_rows_of_another_team_are_left_out(rep: User, team: Team, outsider: User, at: datetime) -> None:
    ours, theirs = AccountFactory(name="Ons", team=team), AccountFactory(name="Hun", team=outsider.team)
    AccountFactory(name="Niet gekozen", team=team)

    assert [row[0] for row in rows(content(ask(rep, at, picked=[ours.pk, theirs.pk])))[1:]] == ["Ons"]


def test_the_lists_filters_and_search_narrow_the_export(rep: User, team: Team, at: datetime) -> None:
    AccountFactory(name="Bakker", team=team, owner=rep, status="customer")
    AccountFactory(name="Bakkerij", team=team, status="customer")
    AccountFactory(name="Slager", team=team, owner=rep, status="customer")
    AccountFactory(name="Bakkers", team=team, owner=rep)

    export = ask(rep, at, query="owner=me&status=customer&q=bakker")

    assert [row[0] for row in rows(content(export))[1:]] == ["Bakker"]


@pytest.mark.parametrize("query", ["onzin=1", "owner__password__startswith=a", "account__name__regex=("])
def test_filters_that_no_list_has_are_refused(query: str, rep: User, at: datetime) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        ask(rep, at, query=QueryDict(query).urlencode())
    assert Export.objects.count() == 0


@pytest.mark.parametrize("facts", [{"what": "crm.user"}, {"columns": ["password"]}, {"columns": []}, {"file_format": "exe"}])
def test_what_does_not_exist_is_refused(facts: dict[str, object], rep: User, at: datetime) -> None:
    with pytest.raises(Invalid):
        ask(rep, at, **facts)
    assert Export.objects.count() == 0


def test_who_may_not_see_such_records_is_refused(rep: User, at: datetime) -> None:
    role = rep.groups.get()
    role.permissions.remove(role.permissions.get(codename="view_account"))

    with pytest.raises(NotAllowed):
        ask(rep, at)
    assert Export.objects.count() == 0


def test_an_integration_takes_no_lists_out(at: datetime) -> None:
    coupling = somebody("integration", team=TeamFactory())

    assert exports.lists_for(coupling) == []
    with pytest.raises(NotAllowed):
        ask(coupling, at)


def test_a_list_too_long_for_excel_is_refused_with_the_way_out(few: None, rep: User, team: Team, at: datetime) -> None:
    AccountFactory.create_batch(6, team=team)

    with pytest.raises(Invalid, match=r"at most 5 rows here\. Choose CSV"):
        ask(rep, at, file_format="xlsx")
    assert Export.objects.count() == 0


# --- by a worker ---------------------------------------------------------------------------------------


@pytest.fixture
def large(few: None, rep: User, team: Team, at: datetime) -> Export:
    """An export of five accounts, which is too many to wait for."""
    for number in range(5):
        AccountFactory(name=f"Bedrijf {number}", team=team)
    export = ask(rep, at)
    assert (export.state, export.rows_total) == ("queued", 5)
    return export


def test_many_rows_are_written_by_a_worker_in_chunks(large: Export, rep: User, at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    tell = jobs._told
    monkeypatch.setattr(jobs, "_told", lambda export, clock, done: told.append(done) or tell(export, clock, done))

    assert exports.work(large.pk, clock=clock(at)) is True

    large.refresh_from_db()
    assert told == [2, 4, 5]
    assert (large.state, large.rows_done, large.rows_total, large.finished_at) == ("finished", 5, 5, at)
    with exports.opened(large, by=rep) as file:
        assert [row[0] for row in rows(file.read())] == ["Name", *(f"Bedrijf {number}" for number in range(5))]
    assert large.file.name.startswith("exports/") and len(Path(large.file.name).stem) == 32


def test_a_finished_export_is_not_written_again(large: Export, at: datetime) -> None:
    assert exports.work(large.pk, clock=clock(at)) is True
    large.refresh_from_db()

    assert exports.work(large.pk, clock=clock(at)) is False
    assert Export.objects.get().file == large.file


def test_permission_is_judged_when_the_file_is_written(large: Export, rep: User, at: datetime, media: Path) -> None:
    Account.objects.filter(name__in=["Bedrijf 1", "Bedrijf 2"]).update(team=TeamFactory())

    exports.work(large.pk, clock=clock(at))

    large.refresh_from_db()
    assert (large.rows_done, large.rows_total) == (3, 3)
    rep.groups.clear()
    again = ask_again(large)
    assert exports.work(again.pk, clock=clock(at)) is False
    again.refresh_from_db()
    assert (again.state, again.error, again.file.name) == ("failed", "You may not take this list out.", "")


def ask_again(export: Export) -> Export:
    facts = {name: getattr(export, name) for name in ("owner", "what", "columns", "format", "language", "created_at")}
    return Export.objects.create(**facts, rows_total=5)


def test_who_left_gets_no_file(large: Export, rep: User, at: datetime) -> None:
    User.objects.filter(pk=rep.pk).update(is_active=False)

    assert exports.work(large.pk, clock=clock(at)) is False

    large.refresh_from_db()
    assert (large.state, large.file.name) == ("failed", "")
    assert large.error == "Who asked for this file does not work here any more."


def test_a_second_worker_leaves_a_living_export_alone(large: Export, at: datetime) -> None:
    Export.objects.update(state="running", attempts=1, heartbeat_at=at, started_at=at)

    assert exports.work(large.pk, clock=clock(at + timedelta(seconds=60))) is False
    assert Export.objects.get().attempts == 1


def test_a_dead_workers_export_is_written_anew_by_the_next(large: Export, at: datetime) -> None:
    Export.objects.update(state="running", attempts=1, heartbeat_at=at, started_at=at, rows_done=4)
    later = at + timedelta(seconds=61)

    assert exports.stalled(at=later) == [large.pk]
    assert exports.work(large.pk, clock=clock(later)) is True

    large.refresh_from_db()
    assert (large.state, large.attempts, large.rows_done) == ("finished", 2, 5)


def test_who_lost_the_claim_stops_and_leaves_no_file(large: Export, at: datetime, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = jobs._told

    def interrupted(export: Export, clock: object, done: int) -> bool:
        Export.objects.update(attempts=2)
        return tell(export, clock, done)

    monkeypatch.setattr(jobs, "_told", interrupted)

    assert exports.work(large.pk, clock=clock(at)) is False
    assert list((media / "exports").iterdir()) == []
    assert Export.objects.get().state == "running"


def test_a_lost_message_is_repeated_once_a_minute(large: Export, at: datetime) -> None:
    assert exports.stalled(at=at + timedelta(seconds=60)) == []
    assert exports.stalled(at=at + timedelta(seconds=61)) == [large.pk]
    assert exports.stalled(at=at + timedelta(seconds=62)) == []
    assert exports.stalled(at=at + timedelta(seconds=122)) == [large.pk]


def test_after_three_dead_workers_an_export_fails_with_a_sentence(large: Export, at: datetime) -> None:
    Export.objects.update(state="running", attempts=3, heartbeat_at=at)

    assert exports.stalled(at=at + timedelta(seconds=61)) == []

    large.refresh_from_db()
    assert (large.state, large.error) == (
        "failed",
        "The work was broken off 3 times. Ask for fewer rows, or tell an administrator.",
    )


# --- the file and its end ------------------------------------------------------------------------------


@pytest.fixture
def finished(large: Export, at: datetime) -> Export:
    exports.work(large.pk, clock=clock(at))
    large.refresh_from_db()
    return large


def test_only_the_owner_opens_the_file(finished: Export, lead: User, admin_user: User) -> None:
    for somebody_else in (lead, admin_user):
        with pytest.raises(NotAllowed):
            exports.opened(finished, by=somebody_else)


def test_everybody_sees_the_own_exports_and_administrators_all(
    finished: Export, rep: User, lead: User, marketer: User, admin_user: User
) -> None:
    seen = {user: Export.objects.visible_to(user).count() for user in (rep, lead, marketer, admin_user, somebody("administrator"))}

    assert list(seen.values()) == [1, 0, 0, 1, 1]


def test_deleting_takes_the_file_and_the_filters_and_leaves_the_record(finished: Export, rep: User, at: datetime, media: Path) -> None:
    Export.objects.update(query="q=Jansen", picked=[1, 2])

    exports.remove(finished, at=at)

    finished.refresh_from_db()
    assert list((media / "exports").iterdir()) == []
    assert (finished.state, finished.query, finished.picked, finished.file.name) == ("removed", "", [], "")
    assert (finished.owner, finished.what, finished.rows_done) == (rep, "crm.account", 5)
    with pytest.raises(Conflict):
        exports.opened(finished, by=rep)


def test_stopping_a_running_export_stops_its_worker(large: Export, at: datetime, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = jobs._told

    def stopped(export: Export, clock: object, done: int) -> bool:
        exports.remove(export, at=at)
        return tell(export, clock, done)

    monkeypatch.setattr(jobs, "_told", stopped)

    assert exports.work(large.pk, clock=clock(at)) is False
    assert (Export.objects.get().state, list((media / "exports").iterdir())) == ("removed", [])


def test_retention_deletes_a_file_after_seven_days(finished: Export, at: datetime, media: Path) -> None:
    assert privacy.retain(at=at + timedelta(days=7)) == 0
    assert len(list((media / "exports").iterdir())) == 1

    assert privacy.retain(at=at + timedelta(days=7, seconds=1)) == 1
    assert list((media / "exports").iterdir()) == []
    assert Export.objects.get().state == "removed"


def test_retention_forgets_what_an_immediate_download_was_filtered_by(rep: User, team: Team, at: datetime) -> None:
    AccountFactory(name="Jansen", team=team)
    content(ask(rep, at, query="q=Jansen"))

    assert exports.expire(at=at + timedelta(days=8)) == 1

    assert Export.objects.values_list("state", "query", "rows_done").get() == ("handed_over", "", 1)
    assert exports.expire(at=at + timedelta(days=8)) == 0


def test_retention_sweeps_files_that_no_export_knows(at: datetime, media: Path) -> None:
    (media / "exports").mkdir(parents=True)
    lost = media / "exports" / "half.part"
    lost.write_text("x")

    assert exports.expire(at=datetime.fromtimestamp(lost.stat().st_mtime, tz=UTC) + timedelta(days=6)) == 0
    assert exports.expire(at=datetime.fromtimestamp(lost.stat().st_mtime, tz=UTC) + timedelta(days=8)) == 1
    assert not lost.exists()


@pytest.mark.parametrize("wrong", [{"state": "lost"}, {"format": "pdf"}, {"file": "exports/x"}, {"rows_done": 6}])
def test_database_refuses_an_export_that_contradicts_itself(wrong: dict[str, object], at: datetime) -> None:
    facts = {"what": "crm.account", "format": "csv", "language": "en", "created_at": at, "rows_total": 5, "owner": UserFactory()}

    with pytest.raises(IntegrityError):
        Export.objects.create(**(facts | wrong))


def test_another_apps_columns_stand_behind_the_own_one_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = exports.Listing(Contact, {column.name: column for column in exports.plain(Contact, "email phone")})
    monkeypatch.setitem(exports.lists._LISTS, "crm.contact", listing)

    for _twice in range(2):
        exports.add_columns("crm.contact", [exports.Column("score", "Score", lambda _row: 1)], after="email")

    assert list(listing.columns) == ["email", "score", "phone"]
