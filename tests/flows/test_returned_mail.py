"""From a mail of ours over a real connection to what comes back, and what of it is believed."""

from datetime import timedelta

import pytest

from abm import job_changes, refresh
from abm.models import JobChangeSignal
from crm import incoming_reports, return_path
from crm.models import Contact, Delivery, DeliveryReport
from tests.abm.signals import bounce, colleagues, everything, open_tasks, stopped, worked
from tests.conftest import AT
from tests.factories.crm import AccountFactory, ContactFactory
from tests.letterbox import automatic_reply, mailed, post, returned

__all__ = ["post"]  # a fixture

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def contact():
    return worked(ContactFactory(email="jan@molen.example"))


def came_back(*mails, at=AT):
    """Have these mails stored, read, and judged as the night would."""
    for raw in mails:
        incoming_reports.store(source="mail", body=raw, at=at)
    incoming_reports.work(clock=lambda: at)
    assert not [row.error for row in incoming_reports.IncomingReport.objects.waiting()]
    job_changes.assess_missed(since=at - DAY, at=at, limit=100)


def test_a_mail_that_comes_back_by_its_return_path_opens_a_signal(contact, post):
    sender, _message_id = mailed(contact, post)
    assert return_path.token_in(sender) == Delivery.objects.latest("pk").return_token

    came_back(returned(sender, contact.email))

    signal = JobChangeSignal.objects.get()
    assert (signal.contact, signal.status) == (contact, JobChangeSignal.Status.OPEN)
    assert stopped() == [contact.email]
    assert [task.contact for task in open_tasks("find_successor")] == [contact]


def test_a_mail_that_comes_back_by_its_message_id_opens_one_signal_however_often_it_comes(contact, post):
    _sender, message_id = mailed(contact, post)

    came_back(returned("crm@quorum.example", contact.email, message_id=message_id))
    came_back(returned("crm@quorum.example", contact.email, message_id=message_id))

    assert (JobChangeSignal.objects.count(), DeliveryReport.objects.count()) == (1, 1)


@pytest.mark.parametrize("to", ["crm@quorum.example", "bounces+" + "a" * 32 + "@quorum.example"])
def test_a_forged_report_changes_nothing(contact, post, to):
    mailed(contact, post)
    before = {name: rows for name, rows in everything().items() if name != "reports"}

    came_back(returned(to, contact.email))

    assert DeliveryReport.objects.get().delivery is None
    assert {name: rows for name, rows in everything().items() if name != "reports"} == before


def test_our_own_token_about_another_recipient_changes_nothing(contact, post):
    victim = worked(ContactFactory(account=contact.account, email="directeur@molen.example"))
    sender, message_id = mailed(contact, post)

    came_back(returned(sender, victim.email, message_id=message_id))

    assert not JobChangeSignal.objects.exists()
    assert stopped() == []


def test_forty_that_fail_at_one_domain_are_one_signal_about_the_account(post):
    people = colleagues(AccountFactory(), 40)

    came_back(*(returned(mailed(one, post)[0], one.email) for one in people))

    found = JobChangeSignal.objects.filter(status=JobChangeSignal.Status.OPEN).values_list("kind", flat=True)
    assert list(found) == [JobChangeSignal.Kind.DOMAIN]
    assert not Contact.objects.exclude(departure_suspected_at=None).exists()


def test_an_address_that_never_worked_is_an_invalid_address_and_no_job_change(post):
    contact = ContactFactory(email="jna@molen.example")

    came_back(returned(mailed(contact, post)[0], contact.email))

    contact.refresh_from_db()
    assert (JobChangeSignal.objects.count(), contact.address_invalid_at) == (0, AT)
    assert len(open_tasks("address_invalid")) == 1


def test_a_click_after_the_bounce_takes_the_suspicion_back(contact, post):
    sender, message_id = mailed(contact, post)
    came_back(returned(sender, contact.email))
    later = AT + timedelta(hours=2)
    click = {"email": contact.email, "smtp-id": message_id, "event": "click", "sg_event_id": "c1", "timestamp": int(later.timestamp())}

    incoming_reports.store(source="sendgrid", body=f"[{click}]".replace("'", '"').encode(), at=later)
    incoming_reports.work(clock=lambda: later)
    refresh.changed(at=later)

    assert JobChangeSignal.objects.get().status == JobChangeSignal.Status.WITHDRAWN
    assert stopped() == []


def test_what_a_provider_and_the_mailbox_both_tell_is_one_signal(contact, post):
    sender, _message_id = mailed(contact, post)
    bounce(contact, at=AT)

    came_back(returned(sender, contact.email))

    assert JobChangeSignal.objects.count() == 1


def test_an_automatic_reply_of_the_contacts_own_says_who_left_and_who_came(post):
    contact = ContactFactory(email="jan@molen.example")
    _sender, message_id = mailed(contact, post)

    came_back(automatic_reply(contact.email, message_id))

    signal = JobChangeSignal.objects.get()
    assert (signal.contact, signal.evidence.get().source) == (contact, "auto_reply")
    assert (signal.successor_name, signal.successor_email) == ("Piet de Boer", "piet.deboer@molen.example")
    assert list(Contact.objects.all()) == [contact]


@pytest.mark.parametrize(("sender", "is_our_mail"), [("receptie@molen.example", True), ("jan@molen.example", False)])
def test_an_automatic_reply_of_somebody_else_or_to_another_mail_changes_nothing(post, sender, is_our_mail):
    _sender, message_id = mailed(ContactFactory(email="jan@molen.example"), post)

    came_back(automatic_reply(sender, message_id if is_our_mail else "<other@elsewhere.example>"))

    assert (JobChangeSignal.objects.count(), DeliveryReport.objects.get().delivery) == (0, None)
