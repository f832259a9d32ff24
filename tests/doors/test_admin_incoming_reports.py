"""Incoming reports in the admin: what waits, what strangers wrote as text only, and another try for who may."""

import pytest
from django.test import Client

from crm import policy
from crm.models import IncomingReport
from tests.conftest import AT, somebody
from tests.doors.admin_pages import link, said

pytestmark = pytest.mark.django_db


@pytest.fixture
def given_up():
    """A report that no worker could read."""
    facts = {"tries": policy.MAIL.tries_per_report, "error": "Invalid: no", "received_at": AT}
    return IncomingReport.objects.create(source="postmark", external_id="1", body=b"\xff<script>alert(1)</script>", **facts)


@pytest.fixture
def marketing(marketer) -> Client:
    client = Client()
    client.force_login(marketer)
    return client


def test_the_list_begins_with_what_waits_and_says_what_went_wrong(marketing, given_up):
    IncomingReport.objects.create(source="mail", external_id="2", body=b"x", received_at=AT, done_at=AT)

    waiting = marketing.get(link(IncomingReport, "changelist"))
    everything = marketing.get(link(IncomingReport, "changelist") + "?progress=all")

    assert [row.source for row in waiting.context["cl"].result_list] == ["postmark"]
    assert sorted(row.source for row in everything.context["cl"].result_list) == ["mail", "postmark"]
    assert "given up" in waiting.content.decode()
    assert "Invalid: no" in waiting.content.decode()


def test_a_list_of_reports_does_not_read_their_bodies(marketing, given_up, django_assert_max_num_queries):
    with django_assert_max_num_queries(20) as asked:
        marketing.get(link(IncomingReport, "changelist"))

    assert [query["sql"] for query in asked.captured_queries if '"crm_incomingreport"."body"' in query["sql"]] == []


def test_what_strangers_wrote_is_shown_as_text(marketing, given_up):
    page = marketing.get(link(given_up, "change")).content.decode()

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_who_may_has_a_report_tried_again_once_it_is_given_up(marketing, given_up):
    assert "try-again" in marketing.get(link(given_up, "change")).content.decode()

    answer = marketing.post(link(given_up, "try_again"), {}, follow=True)

    given_up.refresh_from_db()
    assert (said(answer), given_up.tries, given_up.error) == (["A worker tries it within a minute."], 0, "")


def test_what_is_worked_off_is_not_tried_again(marketing, given_up):
    IncomingReport.objects.update(done_at=AT)

    assert "try-again" not in marketing.get(link(given_up, "change")).content.decode()
    answer = marketing.post(link(given_up, "try_again"), {}, follow=True)

    assert said(answer) == ["This report is worked off already, or too old."]
    given_up.refresh_from_db()
    assert given_up.tries == policy.MAIL.tries_per_report


@pytest.mark.parametrize("role", ["sales rep", "team lead"])
def test_sales_people_neither_see_nor_retry_what_strangers_sent(client, given_up, role):
    client.force_login(somebody(role))

    assert client.get(link(IncomingReport, "changelist")).status_code == 403
    assert client.post(link(given_up, "try_again"), {}).status_code in (302, 403)
    given_up.refresh_from_db()
    assert given_up.tries == policy.MAIL.tries_per_report
