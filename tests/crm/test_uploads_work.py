"""An import at work: paused, broken off, gone on with, undone, found again by erasure and retention."""

from datetime import timedelta

import pytest
from django.db.models import Sum

from crm import activities, contacts, errors, policy, privacy, uploads
from crm.models import Activity, ActivityChange, Contact, Person, Upload, UploadedRecord, UploadProblem
from crm.newcomers import NewContact, add_many
from crm.uploads import running, spool
from tests.crm.test_uploads_contacts import SIMPLE, checksums, ran, received, undone
from tests.factories.crm import AccountFactory, ContactFactory, PersonFactory

HEADER = "First name;Last name;E-mail;Website;Role\n"


def crowd(count):
    return HEADER + "".join(f"Jo;Smit {n};jo{n}@bedrijf{n // 3}.nl;bedrijf{n // 3}.nl;user\n" for n in range(count))


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(rows_per_chunk=4))


def started(text, rep, at, **choices):
    upload = received(text, rep, at, **choices)
    uploads.check(upload, at=at)
    return uploads.start(upload, by=rep, at=at)


def test_a_pause_stops_after_the_chunk_and_resuming_goes_on_there(rep, at, small_chunks):
    upload = started(crowd(10), rep, at)
    running.import_chunk(upload, at=at)

    uploads.pause(upload, by=rep, at=at)
    assert (uploads.work(upload.pk, clock=lambda: at), Contact.objects.count()) == (False, 4)
    upload.refresh_from_db()
    assert (upload.state, upload.rows_done, upload.created_count) == ("paused", 4, 4)

    uploads.resume(upload, by=rep, at=at)
    assert (uploads.work(upload.pk, clock=lambda: at), Contact.objects.count()) == (False, 10)


def test_a_chunk_that_somebody_did_already_is_not_done_again(rep, at, small_chunks):
    upload = started(crowd(10), rep, at)
    behind = Upload.objects.get(pk=upload.pk)
    running.import_chunk(upload, at=at)

    running.import_chunk(behind, at=at)

    behind.refresh_from_db()
    assert (behind.rows_done, Contact.objects.count()) == (4, 4)


def test_an_import_that_no_worker_survives_fails_and_can_be_resumed(rep, at, small_chunks):
    upload = started(crowd(10), rep, at)
    Upload.objects.filter(pk=upload.pk).update(tries=policy.UPLOADS.tries_per_chunk)

    assert uploads.work(upload.pk, clock=lambda: at) is False
    upload.refresh_from_db()
    assert (upload.state, upload.error) == ("failed", "The work was broken off 5 times after row 0.")

    uploads.resume(upload, by=rep, at=at)
    uploads.work(upload.pk, clock=lambda: at)
    assert Contact.objects.count() == 10


def test_an_import_of_which_nobody_heard_for_a_minute_is_stalled(rep, at):
    upload = started(SIMPLE, rep, at)

    assert uploads.stalled(at=at + timedelta(seconds=59)) == []
    assert uploads.stalled(at=at + timedelta(seconds=61)) == [upload.pk]


def test_contacts_need_a_legal_basis_and_a_started_import_is_not_mapped_anew(rep, at):
    upload = received(SIMPLE, rep, at, legal_basis="unknown")
    uploads.check(upload, at=at)
    with pytest.raises(errors.Invalid, match="legal basis"):
        uploads.start(upload, by=rep, at=at)

    upload = started(SIMPLE, rep, at)
    for deed in (uploads.start, uploads.resume):
        with pytest.raises(errors.Conflict):
            deed(upload, by=rep, at=at)
    with pytest.raises(errors.Conflict):
        uploads.map_columns(upload, mapping=upload.mapping, by=rep, at=at)
    with pytest.raises(errors.Conflict):
        uploads.discard(upload, by=rep, at=at)


def test_a_trial_writes_nothing(rep, at, django_assert_max_num_queries):
    ran(received(SIMPLE, rep, at), at)
    before = checksums()
    upload = received(SIMPLE.replace("inkoper", "baas") + "Kees;Kok;kees@kok.example.nl;;;Kok BV;;user\n", rep, at, existing="overwrite")

    with django_assert_max_num_queries(60):
        uploads.check(upload, at=at)

    assert (upload.report["created"], upload.report["changed"], upload.report["accounts_created"]) == (1, 1, 1)
    assert checksums() == before


def test_a_chunk_takes_the_same_number_of_statements_however_many_rows(rep, at, django_assert_max_num_queries):
    upload = started(crowd(300), rep, at)

    with django_assert_max_num_queries(60):
        running.import_chunk(upload, at=at)
    assert Contact.objects.count() == 300


def test_undo_takes_activities_out_of_the_figures_but_for_corrected_ones(rep, at):
    account = AccountFactory(domain="klant.nl", owner=rep, team=rep.team)
    upload = received("type;datum;website\nmeeting;2024-03-01;klant.nl\nnote;2024-03-02;klant.nl\n", rep, at, what="activities")
    ran(upload, at)
    activities.correct(Activity.objects.get(kind="note"), kind="webinar_attended", at=at, by=rep)

    undone(upload, at)

    assert list(Activity.objects.values_list("account", "kind")) == [(account.pk, "webinar_attended")]
    left = ActivityChange.objects.values("kind").annotate(sum=Sum("delta")).exclude(sum=0)
    assert list(left.values_list("kind", "sum")) == [("webinar_attended", 1)]
    assert list(upload.records.values_list("kept_because", flat=True)) == ["changed since"]


def test_row_by_row_and_many_write_the_same_and_refuse_the_same(rep, at):
    one, other = AccountFactory(), AccountFactory()
    emails = ["a@x.nl", "A@x.nl", "geen", "", "b@x.nl", "b@x.nl"]
    phones = ["", "020 123 4567", "12", "+31 6 12345678"]
    names = [("Jan", "Bos"), ("", ""), ("Jo" * 60, "x"), (" Els ", "")]
    facts = [
        {
            "given_name": names[n % 4][0],
            "family_name": names[n % 4][1],
            "email": emails[n % 6],
            "phone": phones[n * 7 % 4],
            "job_title": "t" * (n * 13 % 160),
            "function": ["", "it", "wizard"][n % 3],
            "legal_basis": ["interest", "because"][n % 5 == 0],
            "source": "s",
            "external_id": ["", "1", "2"][n % 3 if n < 20 else 0],
            "opted_out": n % 4 == 0,
        }
        for n in range(60)
    ]
    expected = []
    for row in facts:
        try:
            contacts.add(account=one, at=at, by=rep, **row)
            expected.append({})
        except errors.Invalid as error:
            expected.append({name: str(reason) for name, reason in error.detail.items()})
    columns = (
        "email",
        "phone",
        "job_title",
        "function",
        "legal_basis",
        "person__given_name",
        "person__family_name",
        "person__language",
        "person__opted_out_at",
    )
    rows_of_one = list(Contact.objects.filter(account=one).order_by("email", "job_title").values_list(*columns))
    Contact.objects.update(external_id="")

    made = add_many([NewContact(account_id=other.pk, **row) for row in facts], at=at, by=rep)

    assert [{name: str(reason) for name, reason in one.wrong.items()} for one in made] == expected
    assert list(Contact.objects.filter(account=other).order_by("email", "job_title").values_list(*columns)) == rows_of_one
    assert any(expected)
    assert len(rows_of_one) > 5
    assert Contact.history.filter(account=other).count() == len(rows_of_one)


def test_erasing_a_person_reaches_files_failed_rows_and_former_values(rep, at):
    upload = received(SIMPLE + "Jan;de Vries;jan@bakker.example.nl;12;;Bakker BV;www.bakker-bv.nl;\n", rep, at)
    ran(upload, at)
    late = received(SIMPLE, rep, at)
    jan = Contact.objects.get(email="jan@bakker.example.nl")
    assert {row.get("import") for row in privacy.export_person(jan.person)["imports"]} == {upload.pk, late.pk}

    privacy.erase(jan.person, at=at)

    for each in (upload, late):
        each.refresh_from_db()
        kept = [row.cells for chunk in spool.chunks(each) for row in chunk.rows]
        assert "jan@" not in str((kept, each.sample, each.report))
    assert "jan@" not in str(list(UploadProblem.objects.values_list("values", "reason")))
    assert ran(late, at)["created"] == 0
    undone(upload, at)
    assert Person.objects.filter(pk=jan.person_id).exists()


def test_retention_lets_go_of_what_an_old_import_holds(rep, at):
    upload = received(SIMPLE + "x;y;z;;;;;\n", rep, at)
    ran(upload, at)
    name = upload.file.name

    privacy.retain(at=at + timedelta(days=29))
    assert upload.file.storage.exists(name)
    privacy.retain(at=at + timedelta(days=31))

    upload.refresh_from_db()
    assert (upload.file.name, upload.sample, upload.created_count) == ("", [], 2)
    assert not upload.file.storage.exists(name)
    assert not UploadedRecord.objects.exists()
    assert not UploadProblem.objects.exists()
    with pytest.raises(errors.Conflict, match="too long ago"):
        uploads.undo(upload, by=rep, at=at)


def test_a_person_who_works_elsewhere_is_not_moved(rep, at):
    there = ContactFactory(
        account=AccountFactory(owner=rep, team=rep.team), person=PersonFactory(), source="import", external_id="5", email=""
    )
    AccountFactory(domain="elders.nl", owner=rep, team=rep.team)
    upload = received("id;first name;last name;website\n5;Jan;Bos;elders.nl\n", rep, at)

    assert ran(upload, at)["failed"] == 1
    assert Contact.objects.get().account == there.account
