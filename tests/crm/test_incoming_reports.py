"""Reports stored as they came and worked off exactly once: by who claims them, whoever is killed, whatever is in them."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from crm import bounce_providers, errors, incoming_reports, policy, privacy
from crm.bounce_providers import Report
from crm.models import DeliveryReport, IncomingReport
from tests.factories.crm import DeliveryFactory

pytestmark = pytest.mark.django_db
STALLED = timedelta(seconds=policy.MAIL.report_stalled_seconds + 1)


@pytest.fixture
def read(monkeypatch):
    """What a mail says, by its bytes; an exception is raised."""
    said = {}

    def read(raw):
        if isinstance(found := said.get(raw, [Report()]), BaseException):
            raise found
        return found

    monkeypatch.setattr(bounce_providers, "read", read)
    return said


def stored(at, *bodies):
    for body in bodies:
        assert incoming_reports.store(source="mail", body=body, at=at)


def work(at):
    return incoming_reports.work(clock=lambda: at)


def about(delivery, **facts):
    usual = {"recipient": delivery.address, "label": "person_gone", "evidence": "5.1.1", "message_id": delivery.message_id}
    return [Report(**(usual | facts))]


def test_a_report_is_stored_as_it_came_once(at):
    stored(at, b"\x00\xff mail")

    assert not incoming_reports.store(source="mail", body=b"\x00\xff mail", at=at + timedelta(days=1))
    row = IncomingReport.objects.get()
    assert (bytes(row.body), row.received_at, row.done_at) == (b"\x00\xff mail", at, None)


def test_the_same_id_at_two_sources_is_two_reports_and_a_long_one_is_replaced(at):
    assert incoming_reports.store(source="mailgun", external_id="1", body=b"a", at=at)
    assert incoming_reports.store(source="amazon_ses", external_id="1", body=b"a", at=at)
    assert incoming_reports.store(source="amazon_ses", external_id="x" * 300, body=b"b", at=at)

    assert IncomingReport.objects.count() == 3


def test_a_report_that_is_too_large_is_refused(at, monkeypatch):
    monkeypatch.setattr(policy, "MAIL", policy.Mail(report_kilobytes=1))

    with pytest.raises(errors.TooLarge):
        incoming_reports.store(source="mail", body=b"x" * 1025, at=at)
    assert not IncomingReport.objects.exists()


def test_every_report_is_given_its_effects_and_done_once(at, read):
    deliveries = DeliveryFactory.create_batch(3)
    read |= {str(n).encode(): about(delivery) for n, delivery in enumerate(deliveries)}
    stored(at, *read)

    assert not work(at)
    assert not work(at + STALLED)

    assert IncomingReport.objects.waiting().count() == 0
    assert DeliveryReport.objects.verified().count() == 3
    assert set(DeliveryReport.objects.values_list("incoming__source", flat=True)) == {"mail"}


def test_more_than_one_chunk_is_worked_off_and_time_is_kept(at, read, monkeypatch):
    monkeypatch.setattr(policy, "MAIL", policy.Mail(reports_per_chunk=2))
    stored(at, b"1", b"2", b"3", b"4", b"5")
    moments = iter(at + timedelta(seconds=10 * n) for n in range(100))

    assert incoming_reports.work(clock=lambda: next(moments), seconds=35)
    assert IncomingReport.objects.waiting().count() == 3
    assert not work(at + timedelta(hours=1))
    assert IncomingReport.objects.waiting().count() == 0


def test_a_report_that_cannot_be_read_says_why_and_holds_up_nobody(at, read):
    mail = DeliveryFactory()
    read |= {b"bad": ValueError("no\x00such word"), b"good": about(mail)}
    stored(at, b"bad", b"good")

    work(at)

    bad = IncomingReport.objects.waiting().get()
    assert (bad.error, bad.tries) == ("ValueError: nosuch word", 1)
    assert DeliveryReport.objects.get().delivery == mail


def test_a_failed_report_is_tried_again_later_and_given_up_in_the_end(at, read):
    read[b"bad"] = ValueError("no")
    stored(at, b"bad")
    for number in range(policy.MAIL.tries_per_report + 3):
        work(at + number * STALLED)
    row = IncomingReport.objects.get()
    assert row.tries == policy.MAIL.tries_per_report

    read[b"bad"] = [Report()]
    assert not work(at + timedelta(days=1))
    assert IncomingReport.objects.waiting().count() == 1
    incoming_reports.try_again(row)
    work(at + timedelta(days=1))
    assert IncomingReport.objects.waiting().count() == 0
    with pytest.raises(errors.Conflict):
        incoming_reports.try_again(row)


def test_a_half_done_report_leaves_nothing_and_is_whole_after_the_next_try(at, read):
    first, second = DeliveryFactory.create_batch(2)

    class Cut(list):
        def __iter__(self):
            yield from about(first)
            raise RuntimeError("cut")

    read[b"two"] = Cut()
    stored(at, b"two")
    work(at)
    assert not DeliveryReport.objects.exists()

    read[b"two"] = about(first) + about(second)
    work(at + STALLED)
    assert DeliveryReport.objects.verified().count() == 2


def test_a_killed_worker_loses_and_doubles_nothing(at, read):
    """What is killed raises nothing that anybody catches: its transaction is rolled back, its claim stays until it runs out."""
    mails = DeliveryFactory.create_batch(3)
    read |= {b"0": about(mails[0]), b"1": KeyboardInterrupt(), b"2": about(mails[2])}
    stored(at, b"0", b"1", b"2")
    with pytest.raises(KeyboardInterrupt):
        work(at)
    read[b"1"] = about(mails[1])

    assert not work(at + timedelta(seconds=10))
    assert DeliveryReport.objects.count() == 1

    work(at + STALLED)
    assert sorted(DeliveryReport.objects.values_list("delivery", flat=True)) == [mail.pk for mail in mails]
    assert IncomingReport.objects.waiting().count() == 0


def test_a_report_that_kills_every_worker_is_given_up_alone(at, read):
    read[b"deadly"] = KeyboardInterrupt()
    stored(at, b"deadly", b"harmless")
    for number in range(policy.MAIL.tries_per_report):
        with pytest.raises(KeyboardInterrupt):
            work(at + number * STALLED)

    work(at + 20 * STALLED)

    assert [bytes(row.body) for row in IncomingReport.objects.waiting()] == [b"deadly"]


@pytest.mark.postgres
def test_two_workers_at_once_do_each_report_once(at, committed, monkeypatch):
    mails = DeliveryFactory.create_batch(45)
    monkeypatch.setattr(bounce_providers, "read", lambda raw: about(mails[int(raw)]))
    stored(at, *(str(number).encode() for number in range(45)))

    def worker():
        try:
            work(at)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(worker) for _ in range(3)]:
            done.result(timeout=30)

    assert IncomingReport.objects.waiting().count() == 0
    assert set(IncomingReport.objects.values_list("tries", flat=True)) == {1}
    assert DeliveryReport.objects.verified().count() == 45


# --- letting go ------------------------------------------------------------------------------------


def test_bodies_go_after_a_month_and_reports_after_a_year(at, read):
    mail = DeliveryFactory(sent_at=at)
    read[b"raw"] = about(mail)
    stored(at, b"raw")
    work(at)

    assert incoming_reports.let_go(at=at + timedelta(days=30)) == 0
    assert incoming_reports.let_go(at=at + timedelta(days=31)) == 1
    assert bytes(IncomingReport.objects.get().body) == b""
    assert incoming_reports.let_go(at=at + timedelta(days=366)) == 1
    assert DeliveryReport.objects.get().incoming is None


def test_who_is_erased_is_in_no_raw_report_any_more_and_others_are(at, read):
    gone, other = DeliveryFactory(sent_at=at), DeliveryFactory(sent_at=at)
    read |= {b"about the gone": about(gone), b"about the other": about(other)}
    stored(at, *read)
    work(at)
    DeliveryReport.objects.update(successor_name="Piet", successor_email="piet@klant.example")
    assert [row["body"] for row in privacy.export_person(gone.contact.person)["incoming_reports"]] == ["about the gone"]

    privacy.erase(gone.contact.person, at=at)

    assert sorted(bytes(row.body) for row in IncomingReport.objects.all()) == [b"", b"about the other"]
    assert sorted(DeliveryReport.objects.values_list("successor_name", "successor_email")) == [("", ""), ("Piet", "piet@klant.example")]


def test_the_night_lets_go_of_it(at, read):
    stored(at - timedelta(days=31), b"raw")

    privacy.retain(at=at)

    assert bytes(IncomingReport.objects.get().body) == b""


def test_an_automatic_reply_in_a_providers_event_says_who_left_and_who_came(at):
    delivery = DeliveryFactory(provider_id="pm-1", sent_at=at)
    event = {
        "RecordType": "Bounce", "Type": "AutoResponder", "ID": 7, "MessageID": "pm-1", "Email": delivery.address,
        "Details": "I no longer work here. Please write to Jan Smit, j.smit@b.example.",
    }  # fmt: skip
    incoming_reports.store(source="postmark", body=json.dumps(event).encode(), at=at)

    work(at)

    row = DeliveryReport.objects.get()
    assert (row.outcome, row.delivery, row.says_left) == ("not_a_bounce", delivery, True)
    assert (row.successor_name, row.successor_email) == ("Jan Smit", "j.smit@b.example")
