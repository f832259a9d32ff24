"""Opt-outs, export, erasure and retention."""

import json
from datetime import date, timedelta

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import serializers
from django.db.models import Count

from crm import contacts, deliverability, dmu, errors, privacy
from crm.events import dmu_changed
from crm.models import (
    Activity,
    Confirmation,
    Contact,
    Delivery,
    DeliveryReport,
    DmuMembership,
    FollowUp,
    Person,
    Suppression,
)
from tests.factories.crm import (
    AccountFactory,
    ActivityFactory,
    ConfirmationFactory,
    ContactFactory,
    DeliveryFactory,
    MembershipFactory,
    OpportunityFactory,
    PersonFactory,
)

# Whatever names or describes Griet; none of it may be left anywhere.
TRACES = ("Griet", "Zonderland", "griet@", "+31201234567", "Hoofdinkoper", "erp-77", "m-77@", "prov-77", "tok-77", "geheim")


@pytest.fixture
def told():
    """Collect the account ids of every dmu_changed."""
    heard = []

    def listen(account_ids, **_):
        heard.append(list(account_ids))

    dmu_changed.connect(listen)
    yield heard
    dmu_changed.disconnect(listen)


@pytest.fixture
def griet(db, rep, at):
    """A person with two jobs and something of every kind on record."""
    person = PersonFactory(given_name="Griet", family_name="Zonderland")
    account = AccountFactory()
    old = ContactFactory(person=person, email="griet@oud.example", gone=True)
    now = ContactFactory(
        person=person, account=account, email="Griet@Klant.example", phone="+31201234567", job_title="Hoofdinkoper",
        function="purchasing", source="erp", external_id="erp-77",
    )  # fmt: skip
    contacts.correct(now, at=at, email="griet@nieuw.example")
    contacts.undo_departure(contacts.depart(now, left_on=date(2026, 3, 1), at=at, reason="geheim"), at=at)
    deal = OpportunityFactory(account=account)
    MembershipFactory(contact=now, role="decider")
    ConfirmationFactory(opportunity=deal, contact=now, evidence="geheim")
    ConfirmationFactory(opportunity=deal, contact=now, kind="need", evidence="geheim", withdrawn_at=at, withdrawn_because="geheim")
    ActivityFactory.create_batch(3, account=account, contact=now, kind="meeting", subject="geheim")
    sent = DeliveryFactory(contact=now, message_id="<m-77@quorum.example>", provider_id="prov-77", return_token="tok-77", subject="geheim")
    deliverability.record_report(
        source="dsn", external_id="1", recipient=sent.address, outcome="temporary", evidence="geheim", at=at, return_token="tok-77"
    )
    deliverability.record_report(source="dsn", external_id="2", recipient="griet@klant.example", outcome="other", evidence="geheim", at=at)
    FollowUp.objects.create(
        account=account, contact=now, reason="by_hand", text="Bel Griet", due_on=at.date(), opened_at=at, result="geheim"
    )
    FollowUp.objects.create(
        account=account, contact=old, reason="champion_moved", facts={"contact": "Griet"}, due_on=at.date(), opened_at=at, closed_at=at
    )
    for record in (person, now, sent):
        LogEntry.objects.create(
            user=rep, action_flag=CHANGE, content_type=ContentType.objects.get_for_model(record), object_id=str(record.pk),
            object_repr="Griet Zonderland", change_message="geheim",
        )  # fmt: skip
    return person


def everything() -> str:
    """Give the whole database as text, history and log included."""
    models = [model for app in ("crm", "admin", "abm") for model in apps.get_app_config(app).get_models()]
    return serializers.serialize("json", [row for model in models for row in model._default_manager.all()])


def counts() -> dict[str, int]:
    """Count the rows of every table of crm but the histories."""
    models = [model for model in apps.get_app_config("crm").get_models() if not model.__name__.startswith("Historical")]
    return {model.__name__: model._default_manager.count() for model in models}


def test_an_opt_out_stops_mail_at_every_employer_at_once(at, rep, told, db, django_capture_on_commit_callbacks):
    first = ContactFactory(phone="+31201234567")
    second = ContactFactory(person=first.person)
    assert Contact.objects.mailable().count() == Contact.objects.reachable().count() == 2

    with django_capture_on_commit_callbacks(execute=True):
        privacy.opt_out(first.person, at=at, by=rep)

    assert not Contact.objects.mailable().exists()
    assert not Contact.objects.reachable().exists()
    assert not deliverability.may_mail(first)
    assert told == [sorted([first.account_id, second.account_id])]
    assert first.person.history.first().history_user == rep


def test_opting_out_twice_keeps_the_first_moment(at, db):
    person = PersonFactory()

    privacy.opt_out(person, at=at)
    privacy.opt_out(person, at=at + timedelta(days=1))

    assert Person.objects.get().opted_out_at == at
    assert person.history.count() == 2


def test_who_opts_in_again_gets_mail_again(at, db):
    contact = ContactFactory(person__opted_out_at=at)

    privacy.opt_in(contact.person, at=at)

    assert Person.objects.get().opted_out_at is None
    assert deliverability.may_mail(contact)


def test_an_opt_in_releases_no_suppression_of_the_address(at, db):
    contact = ContactFactory(person__opted_out_at=at)
    deliverability.suppress(contact.email, reason="complained", at=at)

    privacy.opt_in(contact.person, at=at)

    assert not deliverability.may_mail(contact)


def test_the_export_holds_everything_on_a_person_as_json(griet, at):
    deliverability.suppress("griet@klant.example", reason="bounced", at=at)

    exported = privacy.export_person(griet)

    assert exported == json.loads(json.dumps(exported))
    text = json.dumps(exported)
    assert [trace for trace in TRACES if trace not in text] == []
    assert exported["person"]["family_name"] == "Zonderland"
    counts = {name: len(rows) for name, rows in exported.items() if name != "person"}
    assert counts | {
        "person_history": 1, "contacts": 2, "contact_history": 5, "departures": 1, "memberships": 1, "membership_history": 1,
        "confirmations": 2, "activities": 3, "follow_ups": 2, "follow_up_history": 2, "deliveries": 1, "delivery_reports": 2,
        "suppressions": 1,
    } == counts  # fmt: skip


def test_the_export_holds_nothing_on_anybody_else(griet, db):
    other = PersonFactory(family_name="Anders")
    ContactFactory(person=other, email="anders@klant.example")

    text = json.dumps(privacy.export_person(griet))

    assert "Anders" not in text
    assert "anders@" not in text


def test_erasure_leaves_no_trace_of_the_person(griet, rep, at):
    text = everything()
    assert [trace for trace in TRACES if trace not in text] == []

    privacy.erase(griet, at=at, by=rep)

    text = everything()
    assert [trace for trace in TRACES if trace in text] == []
    assert (griet.given_name, griet.family_name, griet.erased_at, str(griet)) == ("", "", at, "(erased)")
    assert griet.history.first().history_user == rep


def test_erasure_keeps_every_row_and_what_is_counted_from_it(griet, at):
    before, roles = counts(), list(DmuMembership.objects.values("contact", "role", "until"))
    activities = list(Activity.objects.values("account", "contact", "kind", "day", "external_id"))
    totals = list(Activity.objects.values("account", "contact", "kind").annotate(n=Count("id")))

    privacy.erase(griet, at=at)

    assert counts() == before
    assert list(Activity.objects.values("account", "contact", "kind", "day", "external_id")) == activities
    assert list(Activity.objects.values("account", "contact", "kind").annotate(n=Count("id"))) == totals
    assert list(DmuMembership.objects.values("contact", "role", "until")) == roles
    assert set(Confirmation.objects.values_list("evidence", flat=True)) == {"(erased)"}


def test_an_erased_person_gets_no_mail_and_no_open_work(griet, at):
    privacy.erase(griet, at=at)

    assert not Contact.objects.mailable().exists()
    assert not FollowUp.objects.open().exists()
    assert set(FollowUp.objects.values_list("text", "closed_at")) == {("(erased)", at)}
    assert Contact.objects.filter(erased_at=at, updated_at=at).count() == 2


def test_the_dmu_shows_that_somebody_was_erased(griet, at):
    account = DmuMembership.objects.get().account
    Activity.objects.update(occurred_at=at - timedelta(days=200))

    privacy.erase(griet, at=at)

    role = dmu.coverage([account], at=at)[account.pk].roles[-1]
    assert (role.state, role.holders[0].name) == ("known", "(erased)")
    assert role.next_step == "(erased) wants no contact: find another way to the decider"


def test_erasure_tells_that_the_dmu_changed(griet, at, told, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        privacy.erase(griet, at=at)

    assert told == [sorted(Contact.objects.values_list("account", flat=True))]


def test_the_addresses_of_erased_mails_and_reports_are_no_addresses(griet, at):
    privacy.erase(griet, at=at)

    sent = Delivery.objects.get()
    assert (sent.address, sent.message_id, sent.provider_id, sent.return_token) == (f"erased-{sent.pk}@invalid", "", "", "")
    assert {row.recipient for row in DeliveryReport.objects.all()} == {f"erased-{row.pk}@invalid" for row in DeliveryReport.objects.all()}


def test_who_opted_out_or_complained_is_not_mailed_by_the_next_import(griet, at):
    for reason in ("bounced", "complained", "opted_out"):
        deliverability.suppress("griet@nieuw.example", reason=reason, at=at, note="geheim")
    deliverability.release(deliverability.suppress("griet@oud.example", reason="opted_out", at=at), at=at)

    privacy.erase(griet, at=at)

    assert sorted(Suppression.objects.values_list("address", "reason", "note")) == [
        ("griet@nieuw.example", "complained", ""),
        ("griet@nieuw.example", "opted_out", ""),
    ]
    assert not deliverability.may_mail(ContactFactory(email="Griet@nieuw.example"))


def test_the_opt_out_of_an_erased_person_becomes_one_of_each_address(griet, at):
    privacy.opt_out(griet, at=at)

    privacy.erase(griet, at=at)

    assert sorted(Suppression.objects.values_list("address", "reason")) == [
        ("griet@klant.example", "opted_out"),
        ("griet@nieuw.example", "opted_out"),
        ("griet@oud.example", "opted_out"),
    ]


def test_an_address_that_others_share_stays_as_it_is(at, db):
    shared = {"email": "inkoop@klant.example"}
    person = ContactFactory(**shared, person__opted_out_at=at).person
    colleague = ContactFactory(**shared)
    deliverability.suppress("inkoop@klant.example", reason="bounced", at=at, note="vol")
    deliverability.record_report(source="dsn", external_id="1", recipient=shared["email"], outcome="other", evidence="vol", at=at)

    privacy.erase(person, at=at)

    assert [(row.reason, row.note) for row in Suppression.objects.all()] == [("bounced", "vol")]
    assert (DeliveryReport.objects.get().recipient, DeliveryReport.objects.get().evidence) == ("inkoop@klant.example", "vol")
    colleague.refresh_from_db()
    assert colleague.email == "inkoop@klant.example"


def test_nobody_else_is_touched_by_an_erasure(griet, rep, at):
    other = ContactFactory(email="anders@klant.example", job_title="Chef", person__family_name="Anders")
    DeliveryFactory(contact=other, subject="Hallo")
    LogEntry.objects.create(
        user=rep, action_flag=CHANGE, content_type=ContentType.objects.get_for_model(other), object_id=str(other.pk), object_repr="Anders",
    )  # fmt: skip

    privacy.erase(griet, at=at)

    other.refresh_from_db()
    assert (other.email, other.job_title, other.person.family_name, other.erased_at) == ("anders@klant.example", "Chef", "Anders", None)
    assert Delivery.objects.get(contact=other).subject == "Hallo"
    assert LogEntry.objects.get(object_repr="Anders")


def test_erasing_twice_is_a_conflict(griet, at):
    privacy.erase(griet, at=at)

    with pytest.raises(errors.Conflict):
        privacy.erase(griet, at=at + timedelta(days=1))

    assert Person.objects.get().erased_at == at


def test_an_erasure_that_fails_halfway_erases_nothing(griet, at, monkeypatch):
    monkeypatch.setattr(privacy, "_REGISTER", dict(privacy._REGISTER))

    def fail(contact_ids, /, *, at):
        raise ZeroDivisionError

    first, *rest = privacy._REGISTER.items()
    privacy._REGISTER.clear()
    privacy.register("broken", export=lambda ids: [], erase=fail)
    privacy._REGISTER.update([first, *rest])
    before = everything()

    with pytest.raises(ZeroDivisionError):
        privacy.erase(griet, at=at)

    assert everything() == before


def test_what_another_app_registers_is_exported_and_erased_before_the_names_go(griet, at, monkeypatch):
    monkeypatch.setattr(privacy, "_REGISTER", dict(privacy._REGISTER))
    erased = []

    def erase(contact_ids, /, *, at):
        erased.append((list(contact_ids), privacy.addresses_of(contact_ids)))

    privacy.register("elsewhere", export=lambda ids: [{"of": list(ids)}], erase=erase)
    jobs = list(griet.contacts.order_by("pk").values_list("pk", flat=True))

    assert privacy.export_person(griet)["elsewhere"] == [{"of": jobs}]
    privacy.erase(griet, at=at)
    assert erased == [(jobs, {"griet@oud.example", "griet@klant.example", "griet@nieuw.example"})]


def test_an_old_report_loses_its_evidence_and_an_unverified_one_goes(at, db):
    sent = DeliveryFactory()
    old, young = at - timedelta(days=365, seconds=1), at - timedelta(days=365)
    facts = {"source": "dsn", "recipient": sent.address, "outcome": "other", "evidence": "550"}
    for number, (moment, delivery) in enumerate([(old, sent), (old, None), (young, sent), (young, None)]):
        DeliveryReport.objects.create(**facts, external_id=str(number), reported_at=moment, delivery=delivery)

    assert privacy.retain(at=at) == 2

    assert list(DeliveryReport.objects.order_by("pk").values_list("external_id", "evidence")) == [("0", ""), ("2", "550"), ("3", "550")]
    assert privacy.retain(at=at) == 0


@pytest.mark.parametrize(("left_on", "count"), [(date(2024, 3, 9), 1), (date(2024, 3, 10), 0), (None, 0)])
def test_a_contact_who_left_two_years_ago_is_erased_with_the_person(at, db, left_on, count):
    contact = ContactFactory(left_on=left_on)

    assert privacy.retain(at=at) == count

    contact.refresh_from_db()
    assert (contact.erased_at == at, contact.email == "", contact.person.erased_at == at, contact.person.family_name == "") == (
        (bool(count),) * 4
    )
    assert privacy.retain(at=at) == 0


def test_a_person_who_works_elsewhere_now_keeps_the_name_and_loses_the_old_job(at, db):
    old = ContactFactory(left_on=date(2020, 1, 1), email="griet@oud.example", job_title="Inkoper")
    now = ContactFactory(person=old.person, email="griet@nu.example")

    assert privacy.retain(at=at) == 1

    old.refresh_from_db()
    now.refresh_from_db()
    assert (old.email, old.job_title, now.email) == ("", "", "griet@nu.example")
    assert now.person.erased_at is None
    assert now.person.family_name


def test_retention_takes_few_queries_however_many_contacts(at, db, django_assert_max_num_queries):
    for contact in ContactFactory.create_batch(60, left_on=date(2020, 1, 1)):
        DeliveryFactory(contact=contact)

    with django_assert_max_num_queries(110):
        assert privacy.retain(at=at) == 60

    assert Person.objects.exclude(erased_at=None).count() == 60


def test_retention_goes_on_until_nothing_old_is_left(at, db, monkeypatch):
    monkeypatch.setattr("crm.policy.RECORDING", type(privacy.policy.RECORDING)(rows_per_statement=2))
    ContactFactory.create_batch(5, left_on=date(2020, 1, 1))

    assert privacy.retain(at=at) == 5
    assert not Contact.objects.filter(erased_at=None).exists()
