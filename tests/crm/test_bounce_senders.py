"""Mail of many senders, as their documentation words it: refusals, notices for people, and mail that only speaks of bounces."""

import pytest

from crm.bounce_providers import Report, read
from tests.crm.returned import DATA, JOB_CHANGES
from tests.crm.test_bounce_reader import dsn, note, only, recipient

REFUSALS = [line.split("|", 3) for line in (DATA / "bounces" / "refusals.txt").read_text(encoding="utf-8").splitlines()[1:]]
NOTICES = [block.split("\n", 1) for block in (DATA / "bounces" / "notices.txt").read_text(encoding="utf-8").split("===== ")[1:]]


def test_refusals_of_many_servers_are_read_rightly_in_a_notification():
    found = [(sender, label, only(dsn(recipient(status=status, said=reply))).label) for label, sender, status, reply in REFUSALS]

    assert [one for one in found if one[1] != one[2]] == []


def test_refusals_in_plain_words_name_who_failed_and_make_nobody_gone_who_is_not():
    found = [
        (reply, label, read(note(f"<a@b.example>: host mx.b.example said:\n    {reply}"))) for label, _sender, _status, reply in REFUSALS
    ]

    assert [reply for reply, _label, reports in found if [one.recipient for one in reports] != ["a@b.example"]] == []
    assert [reply for reply, label, (one,) in found if one.flag_job_change != (label in JOB_CHANGES)] == []


@pytest.mark.parametrize(("heading", "raw"), NOTICES, ids=[heading.partition(" |")[0] for heading, _raw in NOTICES])
def test_a_notice_is_read_rightly(heading, raw):
    expected = dict(reversed(one.split(":")) for one in heading.partition(" | ")[2].split(", ") if ":" in one)
    found = read(raw.encode())

    if expected:
        assert {one.recipient: one.label for one in found} == expected
    else:
        assert not any(one.flag_job_change or one.label != "not_a_bounce" for one in found)


def test_a_bare_refusal_of_the_mailbox_is_the_person_unless_the_codes_or_the_place_say_otherwise():
    def said(reply: str, **codes: str) -> Report:
        return only(dsn(recipient(said=reply, **codes)))

    bare = "Requested action not taken: mailbox unavailable"
    assert said(f"550 {bare}", status="5.5.0").label == "person_gone"
    assert said(f"450 {bare}", status="4.0.0").label == "temporary"
    assert said(f"550 5.7.1 {bare}", status="5.7.1").label == "blocked_policy"
    assert said(f"failed after I sent the message. Remote host said: 550 {bare}", status="5.0.0").label == "other"
