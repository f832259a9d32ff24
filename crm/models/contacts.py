"""Persons, their jobs at accounts (contacts), and their departures."""

from datetime import date
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _
from phonenumber_field.modelfields import PhoneNumberField
from simple_history.models import HistoricalRecords

from crm.models.accounts import Account, HoldableQuerySet, within_sight
from crm.models.changes import serial_field
from crm.models.deliverability import Suppression
from crm.models.histories import WithKey
from crm.models.users import User


class PersonQuerySet(models.QuerySet["Person"]):
    """Persons as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those with a job at an account that the user may see."""
        return self.filter(Exists(Contact.objects.visible_to(user).filter(person=OuterRef("pk"))))


class Person(models.Model):
    """A human being, who may change jobs; each job is a contact."""

    given_name = models.CharField(_("given name"), max_length=100, blank=True)
    family_name = models.CharField(_("family name"), max_length=100, blank=True)
    language = models.CharField(_("language"), max_length=8, default="nl")
    opted_out_at = models.DateTimeField(_("opted out"), null=True, blank=True, help_text=_("Of all our mail, at every employer."))
    erased_at = models.DateTimeField(_("erased"), null=True, blank=True, editable=False)
    change_serial = serial_field()

    history = HistoricalRecords(excluded_fields=["change_serial"], bases=[WithKey])
    objects = PersonQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("person"), _("persons")
        ordering = ["family_name", "given_name", "id"]
        permissions = [("erase_person", _("Can erase or export all data of a person"))]
        constraints = [
            models.CheckConstraint(condition=~Q(given_name="", family_name="") | Q(erased_at__isnull=False), name="person_has_name"),
        ]
        indexes = [
            models.Index(fields=["family_name", "given_name", "id"], name="person_by_name"),
            models.Index(fields=["change_serial", "id"], name="person_by_serial"),
        ]

    def __str__(self) -> str:
        return full_name(self.given_name, self.family_name)


def full_name(given_name: str, family_name: str) -> str:
    """Give a person's name as it is written; who has none was erased."""
    return " ".join(filter(None, [given_name, family_name])) or str(_("(erased)"))


class ContactQuerySet(HoldableQuerySet["Contact"]):
    """Contacts as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those at accounts that the user may see."""
        return self.filter(within_sight(user, at="account__"))

    def at_address(self, address: str) -> Self:
        """Keep those with this address, in upper or lower case as in the index."""
        return self.alias(lower_email=Lower("email")).filter(lower_email=address.strip().lower())

    def active(self) -> Self:
        """Keep those who work at the account now."""
        return self.filter(left_on=None)

    def claimed(self) -> Self:
        """Take the rows until the transaction ends: who departs, confirms or gets a role then waits for the others."""
        return self.select_for_update(of=("self",), no_key=True)

    def mailable(self) -> Self:
        """Keep those to whom mail may go: active, neither person nor account opted out, with an address that is not suppressed."""
        return self.active().filter(MAILABLE)

    def reachable(self) -> Self:
        """Keep those who are active, not opted out, and have a deliverable address or a phone number."""
        return self.active().filter(person__opted_out_at=None).filter(DELIVERABLE | ~Q(phone=""))


class Contact(models.Model):
    """A person's job at one account; a later employer is another contact of the same person."""

    class Function(models.TextChoices):
        """The job, coarsely: content for one function never goes to another."""

        MANAGEMENT = "management", _("general management")
        FINANCE = "finance", _("finance")
        PURCHASING = "purchasing", _("purchasing")
        OPERATIONS = "operations", _("operations")
        IT = "it", _("IT")
        HR = "hr", _("HR")
        MARKETING = "marketing", _("marketing")
        SALES = "sales", _("sales")
        LEGAL = "legal", _("legal")
        FLEET = "fleet", _("fleet and facilities")
        RESEARCH = "research", _("research and development")
        OTHER = "other", _("other")

    class LegalBasis(models.TextChoices):
        """Why we may hold and use the data (GDPR article 6; Dutch Telecommunicatiewet 11.7 for mail)."""

        UNKNOWN = "unknown", _("not recorded")
        CONSENT = "consent", _("consent")
        CUSTOMER = "customer", _("existing customer, similar product")
        PUBLISHED = "published", _("published general address")
        INTEREST = "interest", _("legitimate interest")
        CONTRACT = "contract", _("contract")

    # Longer indexes, below, begin with these keys.
    person = models.ForeignKey(Person, verbose_name=_("person"), on_delete=models.PROTECT, related_name="contacts", db_index=False)
    account = models.ForeignKey(Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="contacts", db_index=False)
    email = models.EmailField(_("e-mail"), blank=True)
    phone = PhoneNumberField(_("phone"), blank=True)
    job_title = models.CharField(_("job title"), max_length=150, blank=True)
    function = models.CharField(_("function"), max_length=12, choices=Function, blank=True)
    left_on = models.DateField(_("left on"), null=True, blank=True, editable=False)
    departure_suspected_at = models.DateTimeField(_("departure suspected"), null=True, blank=True, editable=False)
    address_invalid_at = models.DateTimeField(
        _("address found invalid"), null=True, blank=True, editable=False, help_text=_("It never worked: a matter of data quality.")
    )
    details_confirmed_at = models.DateTimeField(_("details confirmed"), null=True, blank=True)
    erased_at = models.DateTimeField(_("erased"), null=True, blank=True, editable=False)
    legal_basis = models.CharField(_("legal basis"), max_length=10, choices=LegalBasis, default=LegalBasis.UNKNOWN)
    source = models.CharField(_("source"), max_length=50, blank=True)
    external_id = models.CharField(_("id at the source"), max_length=100, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    change_serial = serial_field()

    history = HistoricalRecords(excluded_fields=["change_serial"], bases=[WithKey])
    objects = ContactQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("contact"), _("contacts")
        ordering = ["person__family_name", "person__given_name", "id"]
        constraints = [
            models.UniqueConstraint(Lower("email"), "account", condition=~Q(email=""), name="contact_address_once_per_account"),
            models.UniqueConstraint(fields=["source", "external_id"], condition=~Q(external_id=""), name="contact_once_per_source"),
            models.UniqueConstraint(fields=["person", "account"], condition=Q(left_on=None), name="contact_one_job_per_account"),
        ]
        indexes = [
            models.Index(fields=["account", "left_on"], name="contact_by_account"),
            # All that a search by name asks of contacts: it need not look at them.
            models.Index(fields=["person", "id", "account"], name="contact_by_person"),
            models.Index(Lower("email"), name="contact_by_address"),
            models.Index(fields=["updated_at", "id"], name="contact_by_change"),
            models.Index(fields=["-left_on", "-id"], condition=Q(left_on__isnull=False), name="contact_by_leaving"),
            models.Index(fields=["change_serial", "id"], name="contact_by_serial"),
        ]

    def __str__(self) -> str:
        return str(self.person)

    def is_active(self, on: date) -> bool:
        """Say whether the person works here on a day; the day of leaving no longer counts."""
        return self.left_on is None or self.left_on > on


DELIVERABLE = ~Q(email="") & Q(address_invalid_at=None) & ~Q(Exists(Suppression.objects.current().filter(address=Lower(OuterRef("email")))))
MAILABLE = Q(person__opted_out_at=None, account__opted_out_at=None) & DELIVERABLE


class Departure(models.Model):
    """That a contact left: what it ended hangs on this row, so that it can be undone exactly."""

    contact = models.ForeignKey(Contact, verbose_name=_("contact"), on_delete=models.CASCADE, related_name="departures")
    left_on = models.DateField(_("left on"))
    recorded_at = models.DateTimeField(_("recorded"))
    recorded_by = models.ForeignKey(User, verbose_name=_("recorded by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    undone_at = models.DateTimeField(_("undone"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("departure"), _("departures")
        ordering = ["-recorded_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["contact"], condition=Q(undone_at=None), name="departure_once_at_a_time"),
        ]
        indexes = [models.Index(fields=["-recorded_at", "-id"], name="departure_by_moment")]

    def __str__(self) -> str:
        return f"{self.contact}: {localize(self.left_on)}"
