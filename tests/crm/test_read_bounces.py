"""The command that reads returned mail: what it takes, prints and records."""

import json
import mailbox
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django.utils.translation import override

from crm.models import DeliveryReport
from tests.crm.test_bounce_reader import dsn, note, recipient
from tests.factories.crm import ContactFactory, DeliveryFactory

KEYS = [
    "file", "recipient", "label", "status", "smtp_code", "evidence", "message_id", "auto_reply", "flag_job_change", "successor_name", "successor_email",
]  # fmt: skip
TWO = dsn(recipient("rfc822; a@b.example"), recipient("rfc822; c@b.example", status="5.2.2"))


def run(*paths, **options) -> str:
    out = StringIO()
    call_command("read_bounces", *map(str, paths), stdout=out, stderr=options.pop("stderr", StringIO()), **options)
    return out.getvalue()


def objects(*paths, **options) -> list[dict]:
    return [json.loads(line) for line in run(*paths, json=True, **options).splitlines()]


@pytest.fixture
def mail(tmp_path):
    path = tmp_path / "two.eml"
    path.write_bytes(TWO)
    return path


def test_each_recipient_is_one_object_on_its_own_line(mail):
    found = objects(mail, dry_run=True)

    assert [list(each) for each in found] == [KEYS, KEYS]
    assert [(each["file"], each["recipient"], each["label"], each["flag_job_change"]) for each in found] == [
        ("two.eml", "a@b.example", "person_gone", True),
        ("two.eml", "c@b.example", "mailbox_full", False),
    ]


def test_a_mail_that_names_nobody_is_one_object_with_an_empty_recipient(tmp_path):
    path = tmp_path / "nobody.eml"
    path.write_bytes(note("Your mail could not be delivered."))

    assert [(each["file"], each["recipient"], each["label"]) for each in objects(path, dry_run=True)] == [("nobody.eml", "", "other")]


def test_an_empty_file_is_one_object_too(tmp_path):
    path = tmp_path / "empty.eml"
    path.touch()

    assert [(each["recipient"], each["label"]) for each in objects(path, dry_run=True)] == [("", "not_a_bounce")]


def test_a_folder_gives_its_mails_in_order_and_no_hidden_ones(tmp_path):
    for name in ("b.eml", "a.eml", ".hidden"):
        (tmp_path / name).write_bytes(dsn(recipient()))

    assert [each["file"] for each in objects(tmp_path, dry_run=True)] == ["a.eml", "b.eml"]


def test_a_maildir_gives_its_new_and_its_read_mail(tmp_path):
    for part in ("cur", "new", "tmp"):
        (tmp_path / part).mkdir()
        (tmp_path / part / f"1.{part}").write_bytes(dsn(recipient()))

    assert [each["file"] for each in objects(tmp_path, dry_run=True)] == ["1.new", "1.cur"]


def test_an_mbox_gives_each_of_its_mails(tmp_path):
    path = tmp_path / "bounces.mbox"
    box = mailbox.mbox(path)
    for raw in (dsn(recipient()), note("Hello")):
        box.add(raw)
    box.close()

    assert [(each["file"], each["recipient"]) for each in objects(path, dry_run=True)] == [
        ("bounces.mbox#1", "a@b.example"),
        ("bounces.mbox#2", ""),
    ]


def test_a_path_that_cannot_be_read_is_named_and_the_others_go_on(mail, tmp_path):
    errors, missing = StringIO(), tmp_path / "missing.eml"
    out = StringIO()

    with override("en"), pytest.raises(CommandError, match="could not be read: 1"):
        call_command("read_bounces", str(missing), str(mail), json=True, dry_run=True, stdout=out, stderr=errors)

    assert str(missing) in errors.getvalue()
    assert len(out.getvalue().splitlines()) == 2


def test_people_get_a_sentence_for_each_recipient_and_a_sum(mail):
    with override("en"):
        lines = run(mail, dry_run=True).splitlines()

    assert lines == [
        "two.eml: a@b.example: person gone, may have left",
        "two.eml: c@b.example: mailbox full",
        "Reports: 2 (1 person gone, 1 mailbox full); nothing was recorded.",
    ]


def test_people_are_told_who_took_over(tmp_path):
    path = tmp_path / "left.eml"
    path.write_text(
        "From: a@b.example\nAuto-Submitted: auto-replied\nSubject: x\n\nI have left the company. Contact Jan Smit, j.smit@b.example.\n"
    )

    with override("nl"):
        assert run(path, dry_run=True).splitlines()[0].startswith("left.eml: a@b.example: automatisch antwoord, ")
    with override("en"):
        assert run(path, dry_run=True).splitlines()[0].endswith("successor: Jan Smit j.smit@b.example")


def test_no_mail_is_said(tmp_path):
    with override("en"):
        assert run(tmp_path) == "No mail found.\n"


@pytest.mark.django_db
def test_a_dry_run_records_nothing(mail):
    run(mail, dry_run=True)

    assert not DeliveryReport.objects.exists()


@pytest.mark.django_db
def test_reports_are_recorded_once_however_often_they_are_read(mail):
    run(mail)
    run(mail, json=True)

    assert [(each.source, each.recipient, each.outcome) for each in DeliveryReport.objects.order_by("recipient")] == [
        ("mail", "a@b.example", "person_gone"),
        ("mail", "c@b.example", "mailbox_full"),
    ]


@pytest.mark.django_db
def test_a_report_about_our_mail_counts_and_one_about_anothers_does_not(mail):
    ours = DeliveryFactory(contact=ContactFactory(email="a@b.example"), message_id="<m1@us.example>", sent_at=timezone.now())

    run(mail)

    ours.refresh_from_db()
    assert ours.outcome == "person_gone"
    assert DeliveryReport.objects.get(recipient="a@b.example").delivery == ours
    assert DeliveryReport.objects.get(recipient="c@b.example").delivery is None


@pytest.mark.django_db
def test_where_a_mail_was_passed_on_the_address_that_we_wrote_to_counts(tmp_path):
    ours = DeliveryFactory(contact=ContactFactory(email="a@b.example"), message_id="<m1@us.example>", sent_at=timezone.now())
    path = tmp_path / "passed_on.eml"
    path.write_bytes(dsn("Original-Recipient: rfc822;a@b.example\n" + recipient("rfc822; inner@host.example")))

    (found,) = objects(path)

    assert found["recipient"] == "inner@host.example"
    assert DeliveryReport.objects.get().delivery == ours
