"""Mail that came back, read: the labelled mails, what a notification may hold, and bytes that nobody meant to send."""

import random
import time
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm import policy
from crm.bounce_providers import OUTCOMES, Report, read
from crm.models.deliverability import Outcome
from tests.crm.bounce_layouts import LAYOUTS
from tests.crm.returned import DATA, figures, labels

MAILS = sorted((DATA / "bounces" / "eml").iterdir())


def dsn(*recipients: str, text: str = "Your mail could not be delivered.", original: str = "", to: str = "sales@us.example") -> bytes:
    """A delivery status notification with these groups of fields, as RFC 3464 has it."""
    groups = "\n\n".join(["Reporting-MTA: dns; mx.example", *recipients])
    return (
        f"From: MAILER-DAEMON@mx.example\nTo: {to}\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="b1"\n\n'
        f"--b1\nContent-Type: text/plain; charset=utf-8\n\n{text}\n\n--b1\nContent-Type: message/delivery-status\n\n{groups}\n\n"
        f"--b1\nContent-Type: message/rfc822\n\n{original or 'Message-ID: <m1@us.example>' + chr(10) + 'To: a@b.example'}\n\nHello\n\n--b1--\n"
    ).encode()


def recipient(address: str = "rfc822; a@b.example", *, action: str = "failed", status: str = "5.1.1", said: str = "") -> str:
    fields = [f"Final-Recipient: {address}", f"Action: {action}", f"Status: {status}"]
    return "\n".join([*fields, f"Diagnostic-Code: smtp; {said}"] if said else fields)


def note(text: str, subject: str = "Undeliverable: hello", **headers: str) -> bytes:
    """A bounce that only speaks to people."""
    more = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return f"From: postmaster@mx.example\nTo: sales@us.example\nSubject: {subject}\n{more}\n{text}\n".encode()


@contextmanager
def elapsed(*, below_seconds: float):
    """Processor time, so that a busy machine does not count."""
    start = time.process_time()
    yield
    assert time.process_time() - start < below_seconds


def only(raw: bytes) -> Report:
    (report,) = read(raw)
    return report


# ---- the labelled mails ----------------------------------------------------------------------------------------------


def test_the_words_are_those_that_the_records_have():
    assert list(OUTCOMES) == Outcome.values


def test_the_labelled_mails_are_read_as_well_as_ever():
    seen = figures(DATA / "bounces")

    assert seen.rows == ROWS
    assert seen.precision == 1.0
    assert seen.recall == 1.0
    assert seen.accuracy >= ACCURACY
    assert seen.recipients >= RECIPIENTS
    assert seen.domain_recall == 1.0


ROWS, ACCURACY, RECIPIENTS = 218, 0.98, 0.98


def test_what_is_no_bounce_never_flags_a_job_change():
    for file, rows in labels(DATA / "bounces").items():
        if {row["label"] for row in rows} == {"not_a_bounce"}:
            assert not any(report.flag_job_change for report in read((DATA / "bounces" / "eml" / file).read_bytes())), file


@pytest.mark.parametrize("ends", [b"\r\n", b"\r"], ids=["CRLF", "CR"])
def test_line_ends_change_nothing(ends):
    for path in MAILS[::4]:
        raw = path.read_bytes().replace(b"\r\n", b"\n")

        assert read(raw.replace(b"\n", ends)) == read(raw), path.name


def test_a_mail_cut_anywhere_is_still_read():
    chance = random.Random(1)
    for path in MAILS[::3]:
        raw = path.read_bytes()
        for _cut in range(3):
            assert read(raw[: chance.randrange(len(raw))])


# ---- notifications with a status part ----------------------------------------------------------------------------------


def test_each_recipient_gets_its_own_outcome():
    raw = dsn(
        recipient("rfc822; a@b.example", said="550 5.1.1 User unknown"),
        recipient("rfc822; c@b.example", status="5.2.2", said="552 5.2.2 Mailbox full"),
    )

    assert [(one.recipient, one.label) for one in read(raw)] == [("a@b.example", "person_gone"), ("c@b.example", "mailbox_full")]


def test_recipients_without_a_blank_line_between_them_are_told_apart():
    raw = dsn(recipient("rfc822; a@b.example") + "\n" + recipient("rfc822; c@b.example", status="5.7.1"))

    assert [(one.recipient, one.label) for one in read(raw)] == [("a@b.example", "person_gone"), ("c@b.example", "blocked_policy")]


def test_whom_the_mail_reached_is_left_out_beside_one_it_did_not():
    raw = dsn(recipient("rfc822; ok@b.example", action="delivered", status="2.0.0"), recipient())

    assert [one.recipient for one in read(raw)] == ["a@b.example"]


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_a_receipt_of_delivery_is_no_bounce(action):
    report = only(dsn(recipient(action=action, status="2.1.5")))

    assert (report.recipient, report.label, report.flag_job_change) == ("a@b.example", "not_a_bounce", False)


def test_a_notice_of_delay_says_nothing_of_the_person():
    assert only(dsn(recipient(action="delayed", status="4.4.1", said="451 4.1.1 User unknown"))).label == "temporary"


def test_an_internationalised_recipient_is_read():
    report = only(dsn(recipient(r"utf-8; jos\x{E9}@b.example")).replace(b"message/delivery-status", b"message/global-delivery-status"))

    assert (report.recipient, report.label) == ("josé@b.example", "person_gone")


def test_where_a_mail_was_passed_on_both_addresses_are_told():
    report = only(dsn("Original-Recipient: rfc822;a@b.example\n" + recipient("rfc822; inner@host.example")))

    assert (report.recipient, report.sent_to) == ("inner@host.example", "a@b.example")


def test_the_text_counts_before_the_status():
    assert only(dsn(recipient(status="5.1.1", said="550 5.1.1 a@b.example: mailbox is over quota"))).label == "mailbox_full"


def test_without_a_diagnosis_the_words_for_people_count():
    raw = dsn(recipient(status="5.0.0"), text="<a@b.example>: host mx said: 550 No such user here")

    assert only(raw).label == "person_gone"


def test_our_message_id_comes_from_the_returned_mail():
    assert only(dsn(recipient())).message_id == "<m1@us.example>"


def test_a_long_original_is_not_read():
    raw = dsn(recipient(), original="Message-ID: <m1@us.example>\nTo: a@b.example\n\n" + "Final-Recipient: rfc822; z@z.example\n" * 20_000)

    assert only(raw).recipient == "a@b.example"


def test_the_token_of_our_return_path_is_found():
    assert only(dsn(recipient(), to="bounces+tok3n-A@us.example")).return_token == "tok3n-A"
    assert only(dsn(recipient(), to="info+tok3n@us.example")).return_token == ""


def test_the_token_is_found_behind_the_envelope_as_well():
    raw = b"Delivered-To: bounces+t0k@us.example\n" + dsn(recipient())

    assert only(raw).return_token == "t0k"


def test_evidence_is_short_and_on_one_line():
    report = only(dsn(recipient(said="550 5.1.1 User unknown\n " + "x" * 5_000)))

    assert len(report.evidence) <= policy.MAIL.evidence_characters
    assert "\n" not in report.evidence


# ---- notifications without one -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "label"), [row[1:] for row in LAYOUTS], ids=[row[0] for row in LAYOUTS])
def test_the_layouts_of_mail_servers_are_read(text, label):
    report = only(note(text))

    assert (report.recipient, report.label) == ("a@b.example", label)


def test_whom_a_header_names_is_who_failed():
    report = only(note("Unrouteable address: see contact@b.example", X_Failed_Recipients="a@b.example"))

    assert report.recipient == "a@b.example"


def test_guesses_of_a_mail_server_are_no_evidence():
    text = "We could not deliver to a@b.example.\n\nThe account may not exist, or the mailbox may be full."

    assert only(note(text)).label == "other"


def test_a_server_that_names_nobody_gives_one_report_without_a_recipient():
    report = only(note("Your mail could not be delivered."))

    assert (report.recipient, report.label, report.flag_job_change) == ("", "other", False)


def test_a_letter_from_a_person_is_no_bounce():
    raw = b"From: Ann <ann@b.example>\nTo: sales@us.example\nSubject: Question\n\nIs user@b.example unknown to you? Please call me.\n"

    assert only(raw).label == "not_a_bounce"


def test_a_complaint_is_no_bounce():
    raw = (
        b'From: fbl@b.example\nContent-Type: multipart/report; report-type=feedback-report; boundary="x"\n\n--x\nContent-Type: text/plain\n\n'
        b"This is an abuse report: user unknown.\n\n--x\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n"
        b"Original-Rcpt-To: <a@b.example>\n\n--x\nContent-Type: message/rfc822\n\nMessage-ID: <m2@us.example>\nTo: a@b.example\n\n--x--\n"
    )
    report = only(raw)

    assert (report.recipient, report.label, report.message_id) == ("a@b.example", "not_a_bounce", "<m2@us.example>")


def test_a_receipt_of_reading_is_no_bounce():
    raw = (
        b'From: a@b.example\nSubject: Read: hello\nContent-Type: multipart/report; report-type=disposition-notification; boundary="x"\n\n'
        b"--x\n\nYour message was read.\n\n--x\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822;a@b.example\n"
        b"Original-Message-ID: <m3@us.example>\nDisposition: manual-action/MDN-sent-manually; displayed\n\n--x--\n"
    )
    report = only(raw)

    assert (report.recipient, report.label, report.message_id) == ("a@b.example", "not_a_bounce", "<m3@us.example>")


def test_a_challenge_is_no_bounce():
    text = "Please confirm your message to a@b.example: click the link below and the mail will be delivered."

    assert only(note(text, subject="Please confirm your message")).label == "not_a_bounce"


# ---- hostile bytes ---------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3_000))
def test_any_bytes_give_reports(raw):
    assert all(report.label in OUTCOMES for report in read(raw))
    assert read(raw)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_notification_with_bytes_thrown_in_is_read(data):
    raw = dsn(recipient(said="550 User unknown"))
    place = data.draw(st.integers(0, len(raw)))

    assert read(raw[:place] + data.draw(st.binary(max_size=200)) + raw[place:])


NESTED = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth) for depth in range(3_000))
HOSTILE = {
    "nested 3000 deep": NESTED,
    "ten thousand parts": b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\nhi\n" * 10_000,
    "a header of a megabyte": b"Subject: " + b"a" * 1_000_000 + b"\n\nhi",
    "a line of addresses": b"From: MAILER-DAEMON@x\nSubject: failure notice\n\n" + b"a@b.example " * 20_000,
    "at signs": b"From: MAILER-DAEMON@x\nSubject: failure notice\n\n" + b"@" * 100_000,
    "letters without an end": b"From: MAILER-DAEMON@x\nSubject: failure notice\n\n" + b"a" * 250_000,
    "open tags": b"From: MAILER-DAEMON@x\nContent-Type: text/html\n\n" + b"<a href=mailto:" * 10_000,
    "an open comment": b"From: MAILER-DAEMON@x\nContent-Type: text/html\n\n" + b"<!--" * 20_000,
    "headers without an end": b"X: y\n" * 50_000,
    "folded without an end": b"X: y\n" + b" z\n" * 80_000,
    "a charset that is none": b"From: MAILER-DAEMON@x\nContent-Type: text/plain; charset=punycode\n\n" + b"a-" * 100_000,
    "spaces": b"From: MAILER-DAEMON@x\nSubject: failure notice\n\nuser" + b" " * 200_000 + b"unknown",
    "quotes": b"From: MAILER-DAEMON@x\nSubject: failure notice\n\n" + b'"' * 100_000,
    "a note of names": b"From: a@b.example\nAuto-Submitted: auto-replied\n\nI have left the company. " + b"De " * 20_000,
    "words that rules begin with": b"From: MAILER-DAEMON@x\nSubject: failure notice\n\n" + b"the user mailbox account is " * 8_000,
}  # fmt: skip


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_mail_costs_little_time(raw):
    read(b"")

    with elapsed(below_seconds=2.0):
        assert read(raw)


def test_nul_and_text_from_right_to_left_are_read():
    report = only(note("<a@b.example>:\x00 \u202e\u05d4\u05de\u05e9\u05ea\u05de\u05e9 550 User unknown"))

    assert (report.recipient, report.label) == ("a@b.example", "person_gone")


def test_a_text_in_a_wrong_charset_is_read():
    raw = note("<a@b.example>: Das Postfach ist überfüllt").decode().encode("latin-1")

    assert only(raw).label == "mailbox_full"
