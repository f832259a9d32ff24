"""Mails sent, reports matched to them and to nothing else, suppressed addresses, and what an address says."""

from datetime import timedelta

import pytest

from crm import deliverability, errors
from crm.events import delivery_failed, dmu_changed
from crm.models import Contact, Delivery, DeliveryReport, Suppression
from tests.factories.crm import ActivityFactory, ContactFactory, DeliveryFactory


@pytest.fixture
def failures():
    """Collect the report ids of every delivery_failed."""
    heard = []

    def listen(delivery_report_id, **_):
        heard.append(delivery_report_id)

    delivery_failed.connect(listen)
    yield heard
    delivery_failed.disconnect(listen)


@pytest.fixture
def changed():
    """Collect the account ids of every dmu_changed."""
    heard = []

    def listen(account_ids, **_):
        heard.append(list(account_ids))

    dmu_changed.connect(listen)
    yield heard
    dmu_changed.disconnect(listen)


@pytest.fixture
def delivery(db):
    contact = ContactFactory(email="Jan@Klant.example")
    return DeliveryFactory(contact=contact, message_id="<m1@quorum.example>", provider_id="p-1", return_token="t1")


def report(at, **facts):
    """Record a report of a person gone, about Jan, with these facts."""
    usual = {"source": "dsn", "external_id": "1", "recipient": "jan@klant.example", "outcome": "person_gone", "evidence": "5.1.1"}
    return deliverability.record_report(**(usual | facts), at=at)


def test_a_mail_is_recorded_with_every_name_it_has(at, db):
    contact = ContactFactory(email="Jan@Klant.example")

    sent = deliverability.record_sent(
        contact=contact, at=at, message_id=" m1@quorum.example ", provider_id="p-1", return_token="t1", subject="Hallo" * 100
    )

    sent.refresh_from_db()
    assert (sent.contact, sent.account, sent.address, sent.sent_at) == (contact, contact.account, "Jan@Klant.example", at)
    assert (sent.message_id, sent.provider_id, sent.return_token) == ("<m1@quorum.example>", "p-1", "t1")
    assert (len(sent.subject), sent.delivered_at, sent.failed_at, sent.outcome) == (200, None, None, "")


@pytest.mark.parametrize("names", [{"message_id": "<m1@quorum.example>"}, {"return_token": "t1"}])
def test_the_same_mail_recorded_twice_is_one(at, db, names):
    contact = ContactFactory()

    first = deliverability.record_sent(contact=contact, at=at, **names)
    again = deliverability.record_sent(contact=contact, at=at + timedelta(days=1), **names)

    assert again == first
    assert Delivery.objects.get().sent_at == at


def test_mails_without_a_name_are_two(at, db):
    contact = ContactFactory()

    deliverability.record_sent(contact=contact, at=at)
    deliverability.record_sent(contact=contact, at=at)

    assert Delivery.objects.count() == 2


def test_one_message_to_two_people_is_two_mails(at, db):
    for contact in ContactFactory.create_batch(2):
        deliverability.record_sent(contact=contact, at=at, message_id="<m1@quorum.example>")

    assert Delivery.objects.count() == 2


def test_no_mail_went_to_a_contact_without_address(at, db):
    with pytest.raises(errors.Invalid):
        deliverability.record_sent(contact=ContactFactory(email=""), at=at)

    assert not Delivery.objects.exists()


def test_an_arrival_is_stamped_once(delivery, at):
    deliverability.record_delivered(delivery, at=at)
    deliverability.record_delivered(delivery, at=at + timedelta(days=1))

    assert Delivery.objects.get().delivered_at == delivery.delivered_at == at


def test_an_arrival_after_a_failure_is_stamped_and_the_failure_stays(delivery, at):
    report(at, return_token="t1")

    deliverability.record_delivered(delivery, at=at + timedelta(hours=1))

    delivery.refresh_from_db()
    assert (delivery.delivered_at, delivery.failed_at, delivery.outcome) == (at + timedelta(hours=1), at, "person_gone")


@pytest.mark.parametrize(
    "facts",
    [
        {"return_token": "t1"},
        {"return_token": "t1", "recipient": ""},
        {"return_token": "t1", "recipient": "JAN@KLANT.EXAMPLE"},
        {"message_id": "<m1@quorum.example>"},
        {"message_id": "m1@quorum.example"},
        {"message_id": " <m1@quorum.example>\n", "recipient": " Jan@klant.example "},
        {"provider_id": "p-1"},
        {"return_token": "unknown", "message_id": "<m1@quorum.example>"},
        {"message_id": "<unknown@quorum.example>", "provider_id": "p-1"},
    ],
)
def test_a_report_about_a_mail_of_ours_to_its_recipient_is_verified_and_told(
    delivery, at, failures, django_capture_on_commit_callbacks, facts
):
    with django_capture_on_commit_callbacks(execute=True):
        found = report(at, **facts)

    assert found.delivery == delivery
    assert failures == [found.pk]
    delivery.refresh_from_db()
    assert (delivery.failed_at, delivery.outcome, delivery.delivered_at) == (at, "person_gone", None)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"return_token": "unknown"},
        {"return_token": "t1", "recipient": "other@klant.example"},
        {"message_id": "<m1@quorum.example>", "recipient": "other@klant.example"},
        {"message_id": "<m1@quorum.example>", "recipient": ""},
        {"message_id": "<M1@quorum.example>"},
        {"message_id": "<m1@quorum.example.evil>"},
        {"message_id": "<>"},
        {"provider_id": "p-1", "recipient": "other@klant.example"},
        {"provider_id": "p-1", "recipient": ""},
        {"provider_id": "P-1"},
        {"recipient": ""},
    ],
)
def test_a_report_about_anything_else_is_kept_unverified_and_changes_nothing(
    delivery, at, failures, django_capture_on_commit_callbacks, facts
):
    DeliveryFactory(contact=ContactFactory(email="kees@klant.example"), message_id="", provider_id="", return_token="")
    before = list(Delivery.objects.values())

    with django_capture_on_commit_callbacks(execute=True):
        found = report(at, **facts)

    assert DeliveryReport.objects.get() == found
    assert (found.delivery, failures) == (None, [])
    assert list(Delivery.objects.values()) == before


def test_a_mail_without_names_is_matched_by_nothing(at, db):
    DeliveryFactory(contact=ContactFactory(email="jan@klant.example"), message_id="", provider_id="", return_token="")

    assert report(at).delivery is None


def test_of_two_mails_of_one_message_the_recipients_own_is_found(delivery, at):
    other = DeliveryFactory(contact=ContactFactory(email="piet@klant.example"), message_id=delivery.message_id)

    assert report(at, message_id=delivery.message_id, recipient="piet@klant.example").delivery == other


def test_the_same_report_twice_is_stored_and_told_once(delivery, at, failures, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        first = report(at, return_token="t1")
        again = report(at + timedelta(days=1), return_token="t1", outcome="other")

    assert again == first
    assert failures == [first.pk]
    assert (DeliveryReport.objects.get().outcome, DeliveryReport.objects.get().reported_at) == ("person_gone", at)


@pytest.mark.parametrize("other", [{"source": "ses"}, {"external_id": "2"}, {"recipient": "piet@klant.example"}])
def test_another_source_id_or_recipient_is_another_report(delivery, at, other):
    report(at)
    report(at, **other)

    assert DeliveryReport.objects.count() == 2


@pytest.mark.parametrize(
    ("outcome", "is_stamped", "is_told"),
    [
        ("person_gone", True, True),
        ("mailbox_moved", True, True),
        ("domain_gone", True, True),
        ("mailbox_full", True, False),
        ("blocked_policy", True, False),
        ("content", True, False),
        ("other", True, False),
        ("temporary", False, False),
        ("not_a_bounce", False, False),
    ],
)
def test_only_a_lasting_failure_is_told(delivery, at, failures, django_capture_on_commit_callbacks, outcome, is_stamped, is_told):
    with django_capture_on_commit_callbacks(execute=True):
        report(at, return_token="t1", outcome=outcome)

    delivery.refresh_from_db()
    assert (delivery.failed_at, delivery.outcome) == ((at, outcome) if is_stamped else (None, ""))
    assert bool(failures) == is_told


def test_a_lasting_failure_replaces_a_passing_one_and_not_the_reverse(delivery, at):
    later = at + timedelta(hours=1)
    report(at, return_token="t1", outcome="mailbox_full")
    report(later, return_token="t1", outcome="person_gone", external_id="2")
    report(later, return_token="t1", outcome="other", external_id="3")

    delivery.refresh_from_db()
    assert (delivery.failed_at, delivery.outcome) == (at, "person_gone")


def test_an_unknown_outcome_is_refused(delivery, at):
    with pytest.raises(errors.Invalid):
        report(at, outcome="explosion")

    assert not DeliveryReport.objects.exists()


def test_evidence_is_capped_and_made_storable(delivery, at):
    found = report(at, evidence="\x00\udcff" + "é" * 5_000)

    found.refresh_from_db()
    assert found.evidence == "?" + "é" * 1_999


def test_a_very_long_id_is_kept_apart_from_another_that_begins_alike(delivery, at):
    first = report(at, external_id="x" * 300 + "1")
    second = report(at, external_id="x" * 300 + "2")

    assert first != second
    assert report(at, external_id="x" * 300 + "1") == first


def test_a_mail_with_a_very_long_message_id_is_found_again(at, db):
    contact, name = ContactFactory(email="jan@klant.example"), "<" + "x" * 400 + "@quorum.example>"

    sent = deliverability.record_sent(contact=contact, at=at, message_id=name)

    assert report(at, message_id=name).delivery == sent


def test_an_address_that_mail_never_reached_did_not_work(delivery, at):
    assert not deliverability.worked_before(delivery.contact, before=at)


def test_a_delivery_before_the_moment_shows_that_the_address_worked(delivery, at):
    deliverability.record_delivered(delivery, at=at)

    assert deliverability.worked_before(delivery.contact, before=at + timedelta(seconds=1))
    assert not deliverability.worked_before(delivery.contact, before=at)


def test_a_mail_that_was_taken_in_and_then_came_back_shows_nothing(delivery, at):
    deliverability.record_delivered(delivery, at=at)
    report(at, return_token="t1")

    assert not deliverability.worked_before(delivery.contact, before=at + timedelta(days=1))


def test_a_delivery_to_a_former_address_shows_nothing(delivery, at):
    deliverability.record_delivered(delivery, at=at)
    delivery.contact.email = "nieuw@klant.example"

    assert not deliverability.worked_before(delivery.contact, before=at + timedelta(days=1))


@pytest.mark.parametrize(
    ("kind", "reason", "worked"),
    [
        ("email_delivered", "", True),
        ("email_open", "", True),
        ("email_click", "", True),
        ("email_reply", "", True),
        ("meeting", "", True),
        ("page_view", "", False),
        ("email_sent", "", False),
        ("call_answered", "", False),
        ("email_open", "mail_proxy", False),
    ],
)
def test_what_somebody_did_shows_whether_the_address_worked(at, db, kind, reason, worked):
    contact = ContactFactory()
    ActivityFactory(account=contact.account, contact=contact, kind=kind, machine_reason=reason, occurred_at=at)

    assert deliverability.worked_before(contact, before=at + timedelta(seconds=1)) is worked
    assert not deliverability.worked_before(contact, before=at)


def test_a_suppressed_address_gets_no_mail_until_it_is_released(at, changed, db, django_capture_on_commit_callbacks):
    contact = ContactFactory(email="Jan@Klant.example")
    assert deliverability.may_mail(contact)

    with django_capture_on_commit_callbacks(execute=True):
        suppression = deliverability.suppress(" JAN@klant.example ", reason="bounced", at=at, note="x" * 300)
    assert (suppression.address, suppression.since, len(suppression.note)) == ("jan@klant.example", at, 200)
    assert not deliverability.may_mail(contact)

    with django_capture_on_commit_callbacks(execute=True):
        deliverability.release(suppression, at=at)
    assert Suppression.objects.get().released_at == at
    assert deliverability.may_mail(contact)
    assert changed == [[contact.account_id], [contact.account_id]]


def test_one_reason_suppresses_once_and_each_reason_is_released_alone(at, db):
    contact = ContactFactory(email="jan@klant.example")
    bounced = deliverability.suppress(contact.email, reason="bounced", at=at)
    assert deliverability.suppress(contact.email, reason="bounced", at=at + timedelta(days=1)) == bounced
    deliverability.suppress(contact.email, reason="complained", at=at)

    deliverability.release(bounced, at=at)

    assert Suppression.objects.current().get().reason == "complained"
    assert not deliverability.may_mail(contact)


def test_releasing_twice_keeps_the_first_moment(at, db):
    suppression = deliverability.suppress("jan@klant.example", reason="by_hand", at=at)
    deliverability.release(suppression, at=at)

    deliverability.release(suppression, at=at + timedelta(days=1))

    assert suppression.released_at == at


def test_an_address_may_be_suppressed_again_after_its_release(at, db):
    first = deliverability.suppress("jan@klant.example", reason="bounced", at=at)
    deliverability.release(first, at=at)

    assert deliverability.suppress("jan@klant.example", reason="bounced", at=at) != first
    assert Suppression.objects.count() == 2


@pytest.mark.parametrize(
    ("address", "reason", "field"), [("nobody", "bounced", "address"), ("", "bounced", "address"), ("a@b.nl", "why", "reason")]
)
def test_neither_a_non_address_nor_an_unknown_reason_is_suppressed(at, db, address, reason, field):
    with pytest.raises(errors.Invalid) as refused:
        deliverability.suppress(address, reason=reason, at=at)

    assert list(refused.value.detail) == [field]
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    "facts",
    [{"email": ""}, {"gone": True}, {"person__opted_out_at": "2026-01-01T00:00Z"}, {"account__opted_out_at": "2026-01-01T00:00Z"},
     {"address_invalid_at": "2026-01-01T00:00Z"}],
)  # fmt: skip
def test_no_mail_goes_to_who_has_no_good_address_left_or_opted_out(db, facts):
    contact = ContactFactory(**facts)

    assert not deliverability.may_mail(contact)
    assert not Contact.objects.mailable().exists()


@pytest.mark.parametrize(
    ("address", "is_role"),
    [
        ("info@klant.nl", True),
        ("INFO@klant.nl", True),
        (" Sales+nieuwsbrief@klant.nl", True),
        ("no-reply@klant.nl", True),
        ("jan@klant.nl", False),
        ("informant@klant.nl", False),
        ("jan@info.nl", False),
        ("info", False),
        ("", False),
    ],
)
def test_a_role_address_is_known_by_its_name(address, is_role):
    assert deliverability.is_role_address(address) is is_role


@pytest.mark.parametrize(
    ("address", "domain", "is_free"),
    [
        ("jan@GMAIL.com", "gmail.com", True),
        ("jan@hotmail.nl", "hotmail.nl", True),
        ("jan+x@ziggo.nl.", "ziggo.nl", True),
        ("jan@klant.nl", "klant.nl", False),
        ("jan@mail.klant.nl", "mail.klant.nl", False),
        ('"a@b"@klant.nl', "klant.nl", False),
        ("gmail.com", "", False),
        ("", "", False),
    ],
)
def test_free_mail_is_known_by_its_domain(address, domain, is_free):
    assert deliverability.domain_of(address) == domain
    assert deliverability.is_free_mail(address) is is_free
