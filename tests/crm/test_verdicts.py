"""Verdicts on record: right whatever the order of arrival, taken back and given back in the counts, and a person's word stands."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm import activities, deliverability, judgements, policy, privacy, verdicts
from crm.errors import Conflict
from crm.models import Activity, ActivityChange, ActivityVerdict, Contact
from crm.new_activities import NewActivity
from tests import overlap
from tests.crm.test_machine_agents import CHROME, GMAIL
from tests.factories.crm import AccountFactory, ContactFactory, UserFactory

pytestmark = pytest.mark.django_db
MAIL = "m1@mail.example"


@pytest.fixture
def contact():
    return ContactFactory()


@pytest.fixture
def row(contact, at):
    """Give a way to make a row of this contact, so many seconds after the mail was sent an hour ago."""

    def make(kind, seconds, link="", **facts):
        name = f"{kind} {seconds} {link}"
        made = {"account_id": contact.account_id, "contact_id": contact.pk, "message_id": MAIL, "external_id": name} | facts
        return NewActivity(kind=kind, occurred_at=at - timedelta(hours=1) + timedelta(seconds=seconds), link=link, **made)

    return make


def record(at, *rows):
    return activities.record_many(list(rows), source="esp", at=at)


def found():
    return dict(Activity.objects.order_by("occurred_at", "id").values_list("external_id", "machine_reason"))


def counted():
    """Add up the queue; it must say what the activities say."""
    sums = Counter()
    for kind, delta in ActivityChange.objects.values_list("kind", "delta"):
        sums[kind] += delta
    assert +sums == Counter(Activity.objects.filter(machine_reason="").values_list("kind", flat=True))
    return +sums


def test_a_click_that_arrives_late_makes_a_burst_of_those_before_it_and_takes_their_counts_back(at, row):
    record(at, row("email_click", 600, "a"))
    record(at, row("email_click", 602, "b"))
    assert (set(found().values()), counted()) == ({""}, {"email_click": 2})

    record(at, row("email_click", 601, "c"))

    assert (set(found().values()), counted()) == ({"link_scanner"}, {})


def test_a_person_who_clicks_a_minute_after_the_scanner_counts(at, row):
    record(at, *[row("email_click", n, f"link{n}") for n in range(5)])
    record(at, row("email_open", 50), row("email_click", 64, "link2"))

    assert found() == {
        **{f"email_click {n} link{n}": "link_scanner" for n in range(5)}, "email_open 50 ": "", "email_click 64 link2": "",
    }  # fmt: skip
    assert counted() == {"email_open": 1, "email_click": 1}


def test_an_open_that_arrives_late_gives_the_click_after_it_back(at, row):
    record(at, row("email_delivered", 0), row("email_click", 15, "a"))
    assert found()["email_click 15 a"] == "instant_click"

    record(at, row("email_open", 6))

    assert found()["email_click 15 a"] == ""
    assert counted() == {"email_delivered": 1, "email_open": 1, "email_click": 1}


def test_the_word_that_a_mail_was_delivered_marks_what_was_clicked_before_it(at, row, contact):
    mail = deliverability.record_sent(contact=contact, at=at - timedelta(hours=2), message_id=f"<{MAIL}>")
    record(at, row("email_click", 4, "a"), row("email_click", 700, "a"))
    assert set(found().values()) == {""}

    deliverability.record_delivered(mail, at=at - timedelta(hours=1))

    assert list(found().values()) == ["instant_click", ""]
    assert counted() == {"email_click": 1}


def test_a_delivery_of_ours_that_was_only_sent_is_enough(at, row, contact):
    deliverability.record_sent(contact=contact, at=at - timedelta(hours=1), provider_id=MAIL)

    record(at, row("email_click", 4, "a"))

    assert found() == {"email_click 4 a": "instant_click"}


def test_clicks_of_different_people_are_no_burst(at, row, contact):
    colleague = ContactFactory(account=contact.account)

    record(at, row("email_click", 600, "a"), row("email_click", 600, "b", contact_id=colleague.pk), row("email_click", 600.5, "a"))

    assert set(found().values()) == {""}


def test_who_is_not_known_by_name_is_judged_by_the_program_alone(at, row):
    record(
        at, *[row("email_click", 600, f"link{n}", contact_id=None) for n in range(4)], row("page_view", 1, contact_id=None, user_agent="-")
    )

    assert Counter(found().values()) == {"": 4, "no_agent": 1}


def test_recording_the_same_events_again_changes_nothing(at, row):
    rows = [row("email_click", n, f"link{n}") for n in range(5)]
    record(at, *rows)
    before, queued = found(), ActivityChange.objects.count()

    record(at, *rows[::-1])

    assert (found(), ActivityChange.objects.count()) == (before, queued)


@pytest.mark.parametrize("seed", range(12))
def test_the_verdicts_are_the_same_in_whatever_order_and_calls_the_events_arrive(seed, at, row):
    rolls = random.Random(seed)
    kinds = ["email_click"] * 5 + ["email_open"] * 3 + ["page_view", "email_delivered"]
    rows = [
        row(
            rolls.choice(kinds), round(rolls.uniform(0, 240), 1), rolls.choice(["", "a", "b", "c", "d"]), external_id=str(number),
            message_id=rolls.choice([MAIL, MAIL, "", "m2@mail.example"]), user_agent=rolls.choice(["", CHROME, GMAIL, "curl/8"]),
        )
        for number in range(60)
    ]  # fmt: skip
    record(at, *rows)
    at_once = found()
    activities.delete_many(list(Activity.objects.values_list("pk", flat=True)))
    ActivityChange.objects.all().delete()

    rolls.shuffle(rows)
    for first in range(0, len(rows), 7):
        record(at, *rows[first : first + 7])

    assert found() == at_once
    assert counted()


def test_a_correction_and_a_deletion_have_the_neighbours_judged_anew(at, row):
    record(at, *[row("email_click", 600 + 2 * n, f"link{n}") for n in range(3)])
    first, second, third = Activity.objects.order_by("occurred_at")
    assert first.machine_reason == "link_scanner"

    second = activities.correct(second, occurred_at=second.occurred_at + timedelta(minutes=9), at=at)
    assert (second.machine_reason, set(found().values()), counted()) == ("", {""}, {"email_click": 3})

    second = activities.correct(second, occurred_at=second.occurred_at - timedelta(minutes=9), at=at)
    assert (second.machine_reason, counted()) == ("link_scanner", {})

    activities.delete(third, at=at)
    assert (set(found().values()), counted()) == ({""}, {"email_click": 2})


def test_what_a_person_said_stands_whatever_comes_later_and_who_said_it_is_kept(at, row):
    anna = UserFactory()
    record(at, *[row("email_click", 600 + n / 10, f"link{n}") for n in range(4)])

    activities.judge(Activity.objects.order_by("occurred_at")[1], machine_reason="", at=at, by=anna)
    record(at, row("email_click", 600.5, "late"))

    assert list(found().values()) == ["link_scanner", "", "link_scanner", "link_scanner", "link_scanner"]
    assert counted() == {"email_click": 1}
    said = ActivityVerdict.objects.get()
    assert (said.machine_reason, said.said_by, said.said_at) == ("", anna, at)


def test_what_a_source_said_stands(at, row):
    record(at, row("email_click", 900, "a", machine_reason="filtered"))
    record(at, row("email_open", 890))

    assert found()["email_click 900 a"] == "filtered"
    assert Activity.objects.get(kind="email_click").judged_by == "source"


def test_many_are_said_to_be_people_in_few_statements_and_each_is_judged_by_itself(at, row, rep):
    account = AccountFactory(team=rep.team)
    here = ContactFactory(account=account)
    burst = [row("email_click", n / 10, f"l{n}", account_id=account.pk, contact_id=here.pk) for n in range(30)]
    record(
        at,
        *burst,
        row("email_click", 900, "a", account_id=account.pk, contact_id=here.pk),
        row("email_click", 901, "elsewhere", user_agent="curl/8"),
    )
    ids = list(Activity.objects.order_by("pk").values_list("pk", flat=True))

    with CaptureQueriesContext(connection) as asked:
        judged = judgements.people_did(ids, at=at, by=rep)

    assert (len(judged.chosen), judged.skipped) == (30, {"by_person": 1, "unseen": 1})
    assert (counted(), len(asked) <= 20) == ({"email_click": 31}, True)
    assert ActivityVerdict.objects.filter(said_by=rep, machine_reason="").count() == 30

    judgements.machines_did(ids, at=at, by=rep)
    assert counted() == {}


def test_a_verdict_on_a_deleted_activity_is_refused(at, row):
    record(at, row("email_click", 900, "a"))
    activity = Activity.objects.get()
    Activity.objects.all().delete()

    with pytest.raises(Conflict, match="deleted meanwhile"):
        activities.judge(activity, machine_reason="", at=at)


def test_ten_thousand_clicks_take_a_bounded_number_of_statements(at):
    contacts = [ContactFactory(account=AccountFactory()) for _ in range(20)]

    def rows(count, name):
        moments = (at - timedelta(seconds=n * 7) for n in range(count))
        return [
            NewActivity(
                contacts[n % 20].account_id, "email_click", moment, f"{name}{n}", contacts[n % 20].pk, message_id=MAIL, link=str(n % 5)
            )
            for n, moment in enumerate(moments)
        ]

    with CaptureQueriesContext(connection) as one:
        record(at, *rows(1_000, "a"))
    with CaptureQueriesContext(connection) as ten:
        record(at, *rows(10_000, "b"))

    assert len(ten) <= 10 * len(one)
    assert len(one) <= 80  # SQLite takes fewer than a thousand values in a statement


def test_a_burst_through_one_call_of_many_is_found(at, row):
    record(at, *[row("email_click", n / 50, f"link{n % 9}", external_id=str(n)) for n in range(2_500)])

    assert set(found().values()) == {"link_scanner"}
    assert counted() == {}


def test_agents_are_shortened_and_let_go_of_and_their_reasons_stay(at, row):
    record(at, row("email_open", 900, user_agent="Mozilla/5.0"), row("email_click", 905, "a", user_agent="Mozilla/5.0 " + "x" * 900))
    assert Activity.objects.get(kind="email_click").user_agent == "Mozilla/5.0 " + "x" * 288

    later = at + timedelta(days=policy.RETENTION.user_agent_days + 1)
    assert verdicts.forget_agents(at=at + timedelta(days=policy.RETENTION.user_agent_days - 1)) == 0
    assert privacy.retain(at=later) == 2
    record(later, row("email_click", 908, "b"))

    assert set(Activity.objects.values_list("user_agent", flat=True)) == {""}
    assert found()["email_open 900 "] == "mail_proxy"


def test_erasing_a_person_takes_link_mail_and_program_too(at, row, contact):
    record(at, row("email_click", 900, "https://a.example/?mail=jan", user_agent=CHROME))

    privacy.erase(contact.person, at=at)

    assert Activity.objects.values_list("subject", "link", "message_id", "user_agent").get() == ("", "", "", "")


def test_long_links_that_begin_alike_stay_two(at, row):
    record(at, row("email_click", 600, "https://a.example/" + "x" * 900 + "1", external_id="1"))
    record(at, row("email_click", 600.5, "https://a.example/" + "x" * 900 + "2", external_id="2"))

    assert set(found().values()) == {"link_scanner"}
    assert {len(link) for link in Activity.objects.values_list("link", flat=True)} == {500}


@pytest.mark.postgres
@pytest.mark.usefixtures("committed")
def test_two_halves_of_a_burst_that_arrive_at_once_see_each_other(at, row, two_at_once):
    outcome = two_at_once(lambda: record(at, row("email_click", 600, "a")), lambda: record(at, row("email_click", 600.5, "b")))

    assert outcome == [None, None]
    assert (set(found().values()), counted()) == ({"link_scanner"}, {})


@pytest.mark.postgres
def test_many_who_record_for_the_same_contacts_at_once_never_deadlock(at, two_at_once):
    contacts = [ContactFactory(account=AccountFactory()) for _ in range(30)]

    def clicks(name, people):
        return [
            NewActivity(
                one.account_id, "email_click", at - timedelta(seconds=n % 3), f"{name}{n}", one.pk, message_id=MAIL, link=f"{name}{n}"
            )
            for n, one in enumerate(people)
        ]

    outcome = two_at_once(lambda: record(at, *clicks("a", contacts)), lambda: record(at, *clicks("b", contacts[::-1])))

    assert outcome == [None, None]
    assert Contact.objects.count() == 30
    assert Activity.objects.count() == 60
    counted()


@pytest.mark.postgres
@pytest.mark.usefixtures("committed")
def test_a_contact_is_deleted_after_who_records_for_them_and_nobody_ends_in_a_deadlock(at, row, contact):
    record(at, row("email_open", 300, "a"))
    has_shared = Event()

    def recording():
        verdicts.share([contact.account_id], [contact.pk])
        has_shared.set()
        overlap.wait_until_waited_for()
        Activity.objects.update(machine_reason="link_scanner")

    with ThreadPoolExecutor(1) as pool:
        recorded = pool.submit(overlap.in_own_transaction, recording)
        assert has_shared.wait(10)
        overlap.in_own_transaction(contact.delete)

    assert overlap.outcome(recorded) is None
    assert Activity.objects.values_list("contact", "machine_reason").get() == (None, "link_scanner")
