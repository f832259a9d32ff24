"""Merges, and what takes a merge or an import back, tell which contacts they changed: each once, in a fixed number of statements."""

from datetime import timedelta

import pytest

from crm import merges, webhooks
from crm.models import Account, Contact, Webhook, WebhookEvent
from tests.conftest import AT
from tests.crm.test_uploads_contacts import SIMPLE, ran, received, undone
from tests.factories.crm import AccountFactory, ContactFactory, PersonFactory, UserFactory

OTHER = "First name;Last name;E-mail;Job title;Website\nPiet;Smits;piet@bakker-bv.nl;CEO;bakker-bv.nl\n"


@pytest.fixture(autouse=True)
def listening(db):
    """A webhook that wants to hear of contacts."""
    owner = UserFactory(is_superuser=True)
    webhooks.add(name="CRM", address="https://hooks.example.com/", event_types=["contact.updated"], owner=owner, at=AT)


def told() -> dict[int, list[str]]:
    """Give what was told of each contact, which must be once, and forget it."""
    rows = list(WebhookEvent.objects.order_by("pk").values_list("contact_id", "data__changed"))
    assert len(rows) == len(dict(rows))
    WebhookEvent.objects.all().delete()
    return dict(rows)


def two_of_a_kind(account: Account) -> tuple[Contact, Contact]:
    kept = ContactFactory(account=account, email="jan@bos.example", job_title="", person__given_name="Jan", person__language="")
    folded = ContactFactory(
        account=account, email="j@bos.example", job_title="director", person__given_name="Johannes", person__language="nl"
    )
    return kept, folded


def test_merged_contact_is_told_with_what_it_took_over_and_both_when_that_is_undone(at):
    kept, folded = two_of_a_kind(AccountFactory())

    done = merges.merge(kept, folded, choices={}, by=None, at=at)
    assert told() == {kept.pk: ["job_title", "language", "merged"]}

    merges.unmerge(done, by=None, at=at)
    assert told() == {kept.pk: ["job_title", "language", "unmerged"], folded.pk: ["added"]}


def test_contacts_of_the_same_person_elsewhere_are_told_that_they_are_somebody_else(at):
    kept, folded = two_of_a_kind(AccountFactory())
    elsewhere, elsewhere_too = ContactFactory(person=kept.person), ContactFactory(person=folded.person)

    done = merges.merge(kept, folded, choices={}, by=None, at=at)
    changed = told()
    assert changed.pop(kept.pk) == ["job_title", "language", "merged"]
    assert changed == {elsewhere.pk: ["language"], elsewhere_too.pk: ["language", "person"]}

    merges.unmerge(done, by=None, at=at)
    assert told()[elsewhere_too.pk] == ["person"]


def test_people_of_a_merged_account_are_told_to_be_at_another_one_in_a_fixed_number_of_statements(at, django_assert_max_num_queries):
    def merged(people: int):
        kept, folded = AccountFactory(), AccountFactory()
        moved = ContactFactory.create_batch(people, account=folded)
        ContactFactory.create_batch(3, account=kept)
        return moved, merges.merge(kept, folded, choices={}, by=None, at=at)

    def statements(people: int) -> int:
        with django_assert_max_num_queries(1_000) as counted:
            moved, _done = merged(people)
        assert told() == {contact.pk: ["account"] for contact in moved}
        return len([one for one in counted.captured_queries if "crm_webhookevent" in one["sql"].lower()])

    assert statements(3) == statements(60)
    moved, done = merged(2)
    told()
    merges.unmerge(done, by=None, at=at + timedelta(hours=1))
    assert told() == {contact.pk: ["account"] for contact in moved}


def test_somebody_at_both_accounts_becomes_one_and_is_told_once(at):
    person, kept, folded = PersonFactory(), AccountFactory(), AccountFactory()
    stays, goes = (ContactFactory(account=account, person=person, email="jan@bos.example") for account in (kept, folded))

    done = merges.merge(kept, folded, choices={}, by=None, at=at)
    assert told() == {stays.pk: ["merged"]}
    merges.unmerge(done, by=None, at=at)
    assert told() == {stays.pk: ["unmerged"], goes.pk: ["added"]}


def test_merge_that_is_refused_or_only_shown_tells_nothing(at):
    kept, folded = two_of_a_kind(AccountFactory())

    merges.preview(kept, folded, by=None, at=at)
    with pytest.raises(merges.Invalid):
        merges.merge(kept, kept, choices={}, by=None, at=at)

    assert told() == {}


def test_merge_looks_nobody_up_when_no_webhook_wants_to_hear_of_it(at):
    Webhook.objects.all().delete()
    done = merges.merge(*two_of_a_kind(AccountFactory()), choices={}, by=None, at=at)
    merges.unmerge(done, by=None, at=at)

    assert told() == {}


def test_contacts_that_an_undone_import_puts_back_are_told_with_what_went_back(rep, at):
    ran(received(SIMPLE, rep, at), at)
    upload = received(OTHER, rep, at, existing="overwrite")
    ran(upload, at)
    piet = Contact.objects.get(email="piet@bakker-bv.nl")
    WebhookEvent.objects.all().delete()

    undone(upload, at)

    rows = list(WebhookEvent.objects.order_by("pk").values_list("contact_id", "data__changed"))
    assert rows == [(piet.pk, ["job_title"]), (piet.pk, ["family_name"])]


def test_what_an_undone_import_leaves_as_it_is_is_not_told(rep, at):
    ran(received(SIMPLE, rep, at), at)
    upload = received(OTHER, rep, at, existing="overwrite")
    ran(upload, at)
    Contact.history.filter(email="piet@bakker-bv.nl").first().instance.save()
    WebhookEvent.objects.all().delete()

    undone(upload, at)

    assert [changed for _contact, changed in WebhookEvent.objects.values_list("contact_id", "data__changed")] == [["family_name"]]
