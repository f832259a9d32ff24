"""The smallest valid records of crm; traits for states, no business rule inside."""

from datetime import UTC, date, datetime

import factory
from factory.django import DjangoModelFactory

from crm import models
from crm.webhooks import signing

AT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


class TeamFactory(DjangoModelFactory):
    class Meta:
        model = models.Team

    name = factory.Sequence(lambda n: f"Team {n}")


class UserFactory(DjangoModelFactory):
    class Meta:
        model = models.User

    username = factory.Sequence(lambda n: f"user{n}")


class AccountFactory(DjangoModelFactory):
    class Meta:
        model = models.Account

    name = factory.Sequence(lambda n: f"Bedrijf {n} BV")
    domain = factory.Sequence(lambda n: f"bedrijf{n}.example")
    employees = 100


class PersonFactory(DjangoModelFactory):
    class Meta:
        model = models.Person

    given_name = factory.Faker("first_name", locale="nl_NL")
    family_name = factory.Faker("last_name", locale="nl_NL")


class ContactFactory(DjangoModelFactory):
    class Meta:
        model = models.Contact

    class Params:
        unreachable = factory.Trait(email="", phone="")
        gone = factory.Trait(left_on=date(2026, 2, 1))

    person = factory.SubFactory(PersonFactory)
    account = factory.SubFactory(AccountFactory)
    email = factory.Sequence(lambda n: f"mens{n}@bedrijf.example")


class MembershipFactory(DjangoModelFactory):
    class Meta:
        model = models.DmuMembership

    contact = factory.SubFactory(ContactFactory)
    account = factory.SelfAttribute("contact.account")
    role = "user"
    is_assumed = False
    since = date(2026, 1, 1)


class OpportunityFactory(DjangoModelFactory):
    class Meta:
        model = models.Opportunity

    account = factory.SubFactory(AccountFactory)
    name = factory.Sequence(lambda n: f"Kans {n}")
    stage = "sql"
    stage_since = AT


class ConfirmationFactory(DjangoModelFactory):
    class Meta:
        model = models.Confirmation

    opportunity = factory.SubFactory(OpportunityFactory)
    contact = factory.SubFactory(ContactFactory, account=factory.SelfAttribute("..opportunity.account"))
    kind = "budget"
    evidence = "Zei het aan de telefoon."
    confirmed_at = AT
    recorded_at = AT


class ActivityFactory(DjangoModelFactory):
    """One activity as a bare row; the change queue is the business of `crm.activities.record`."""

    class Meta:
        model = models.Activity

    account = factory.SubFactory(AccountFactory)
    kind = "page_view"
    occurred_at = AT
    day = factory.LazyAttribute(lambda row: row.occurred_at.date())
    source = "test"
    recorded_at = AT


class DeliveryFactory(DjangoModelFactory):
    class Meta:
        model = models.Delivery

    contact = factory.SubFactory(ContactFactory)
    account = factory.SelfAttribute("contact.account")
    address = factory.SelfAttribute("contact.email")
    message_id = factory.Sequence(lambda n: f"<mail{n}@quorum.example>")
    sent_at = AT


class WebhookFactory(DjangoModelFactory):
    class Meta:
        model = models.Webhook

    name = factory.Sequence(lambda n: f"Webhook {n}")
    address = "https://hooks.example.com/quorum"
    event_types = factory.LazyFunction(lambda: ["contact.updated"])
    owner = factory.SubFactory(UserFactory)
    secret = factory.LazyFunction(lambda: signing.seal(signing.new_secret()))
    created_at = AT


class WebhookDeliveryFactory(DjangoModelFactory):
    """One that waits, about nobody in particular."""

    class Meta:
        model = models.WebhookDelivery

    webhook = factory.SubFactory(WebhookFactory)
    subject = "contact:1"
    event = factory.LazyAttribute(
        lambda row: models.WebhookEvent.objects.create(type="contact.updated", subject=row.subject, happened_at=AT, shared_at=AT)
    )
    next_at = AT
