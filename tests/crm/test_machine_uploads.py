"""Imports of clicks and opens: by what a machine is told goes in, and what the rules find is no correction of the file."""

import pytest

from crm import activities
from crm.models import Activity
from tests.crm.test_uploads_contacts import ran, received, undone
from tests.factories.crm import AccountFactory, ContactFactory

pytestmark = pytest.mark.django_db
HEADER = "Type;Timestamp;E-mail;Message-ID;Clicked URL;User agent;Filtered event\n"
CLICK = "email_click;2026-03-01 10:00:0{n};jan@bedrijf.nl;<m1@mail.example>;https://a.example/{n};Mozilla/5.0 (X11);\n"


@pytest.fixture
def jan(rep):
    return ContactFactory(account=AccountFactory(team=rep.team), email="jan@bedrijf.nl")


def imported(text, rep, at):
    upload = received(text, rep, at, what="activities", source="esp")
    ran(upload, at)
    upload.refresh_from_db()
    return upload


def test_an_import_carries_mail_link_and_program_and_is_judged(rep, at, jan):
    upload = imported(HEADER + "".join(CLICK.format(n=n) for n in range(3)), rep, at)

    assert upload.created_count == 3
    carried = set(Activity.objects.values_list("message_id", "user_agent", "machine_reason"))
    assert carried == {("m1@mail.example", "Mozilla/5.0 (X11)", "link_scanner")}
    assert Activity.objects.filter(link__startswith="https://a.example/").count() == 3


def test_two_links_clicked_in_one_second_are_two_rows_without_an_id(rep, at, jan):
    same = CLICK.format(n=1)

    upload = imported(HEADER + same + same.replace("a.example/1", "a.example/2"), rep, at)

    assert (upload.created_count, Activity.objects.count()) == (2, 2)


def test_an_import_is_undone_whole_although_the_rules_marked_it(rep, at, jan):
    upload = imported(HEADER + "".join(CLICK.format(n=n) for n in range(3)) + CLICK.format(n=9).replace(";\n", ";true\n"), rep, at)
    assert Activity.objects.exclude(machine_reason="").count() == 4

    undone(upload, at)

    assert not Activity.objects.exists()


def test_an_activity_on_which_a_person_gave_a_verdict_is_kept_when_its_import_is_undone(rep, at, jan):
    upload = imported(HEADER + "".join(CLICK.format(n=n) for n in range(3)), rep, at)
    said = activities.judge(Activity.objects.order_by("pk")[0], machine_reason="", at=at, by=rep)

    undone(upload, at)

    assert list(Activity.objects.all()) == [said]
