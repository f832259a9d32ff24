"""Contacts and persons over the API: add, correct, depart, carry over; opt out."""

from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from crm import batches, contacts, privacy
from crm.api.batches import takes_batches
from crm.api.contract import IdFilter, SuchFilter
from crm.api.following import follows
from crm.api.records import Facts, Form, ReadViewSet, RecordField, deed
from crm.errors import Conflict
from crm.models import Account, Contact, Person

_NAME = ["given_name", "family_name"]
_JOB = ["email", "phone", "job_title", "function", "legal_basis"]


class PersonSerializer(serializers.ModelSerializer):
    """A human being, who may change jobs; each job is a contact."""

    class Meta:
        model = Person
        fields = ["id", *_NAME, "language", "opted_out_at", "erased_at"]
        read_only_fields = fields


class PersonFilter(filters.FilterSet):
    """What a list of persons can be narrowed to."""

    family_name = filters.CharFilter(lookup_expr="icontains")

    class Meta:
        model = Person
        fields = ["language"]


@follows(PersonSerializer, "Person")
class PersonViewSet(ReadViewSet):
    """People, whatever their job."""

    scope = "contacts"
    is_prepared = True
    queryset = Person.objects.all()
    serializer_class = PersonSerializer
    filterset_class = PersonFilter

    @deed(None, PersonSerializer)
    def opt_out(self, request, pk: str) -> Response:
        """Let a person get no mail of ours any more, at any employer."""
        return self.answer(privacy.opt_out(self.get_object(), at=self.at, by=request.user))

    @deed(None, PersonSerializer)
    def opt_in(self, request, pk: str) -> Response:
        """Let a person who opted out get mail again."""
        return self.answer(privacy.opt_in(self.get_object(), at=self.at, by=request.user))


class ContactSerializer(serializers.ModelSerializer):
    """A person's job at one account."""

    phone = serializers.CharField(read_only=True)
    given_name = serializers.CharField(source="person.given_name", read_only=True)
    family_name = serializers.CharField(source="person.family_name", read_only=True)
    opted_out_at = serializers.DateTimeField(source="person.opted_out_at", read_only=True, allow_null=True)

    class Meta:
        model = Contact
        fields = [
            "id", "person", "account", *_NAME, *_JOB, "opted_out_at", "left_on", "departure_suspected_at", "address_invalid_at",
            "details_confirmed_at", "source", "external_id", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class ContactDetails(Facts):
    """What is said of a contact, new or known."""

    phone = serializers.CharField(required=False, allow_blank=True, max_length=40)
    given_name = serializers.CharField(required=False, allow_blank=True, max_length=100)
    family_name = serializers.CharField(required=False, allow_blank=True, max_length=100)


class ContactCorrection(ContactDetails):
    """What of a contact can be put right."""

    language = serializers.CharField(required=False, max_length=8)

    class Meta:
        model = Contact
        fields = [*_NAME, "language", *_JOB]


class ContactFacts(ContactDetails):
    """A new contact: a name, or a person who is known already."""

    class Meta:
        model = Contact
        fields = ["account", "person", *_NAME, *_JOB, "source", "external_id"]
        extra_kwargs = {"person": {"required": False}}


class DepartureForm(Form):
    """The first day on which the person no longer works there, and how we know."""

    left_on = serializers.DateField()
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200)


class CarryOverForm(Form):
    """Where the person works now."""

    to_account = RecordField(queryset=Account.objects.all())
    email = serializers.EmailField(required=False, allow_blank=True)
    job_title = serializers.CharField(required=False, allow_blank=True, max_length=150)


class ContactFilter(filters.FilterSet):
    """What a list of contacts can be narrowed to."""

    account, person = IdFilter(field_name="account_id"), IdFilter(field_name="person_id")
    email = filters.CharFilter(method="of_address")
    active, reachable, mailable = SuchFilter(), SuchFilter(), SuchFilter()
    updated_since = filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="gte")

    class Meta:
        model = Contact
        fields = ["function", "legal_basis", "source", "external_id"]

    def of_address(self, queryset, _name, value):
        """Keep those with this address, whatever its case."""
        return queryset.at_address(value)


@takes_batches(batches.CONTACTS)
@follows(ContactSerializer, "Contact")
class ContactViewSet(ReadViewSet):
    """People's jobs at accounts."""

    scope = "contacts"
    is_prepared = True
    queryset = Contact.objects.select_related("person")
    serializer_class = ContactSerializer
    filterset_class = ContactFilter
    orderings = {"-id": ("-id",), "updated_at": ("updated_at", "id")}

    @extend_schema(request=ContactFacts, responses={201: ContactSerializer})
    def create(self, request) -> Response:
        """Add somebody at an account."""
        return self.answer(contacts.add(at=self.at, by=request.user, **self.given(ContactFacts)), status=201)

    @extend_schema(request=ContactCorrection, responses=ContactSerializer)
    def partial_update(self, request, pk: str) -> Response:
        """Put a contact's details right; a new address is taken to work until it fails."""
        contact = self.get_object()
        return self.answer(contacts.correct(contact, at=self.at, by=request.user, **self.given(ContactCorrection, partial=True)))

    @deed(None, ContactSerializer)
    def confirm_details(self, request, pk: str) -> Response:
        """Record that the details are right as they stand."""
        return self.answer(contacts.confirm_details(self.get_object(), at=self.at))

    @deed(DepartureForm, ContactSerializer)
    def depart(self, request, pk: str) -> Response:
        """Record that somebody left: roles end, and what this person confirmed is withdrawn."""
        contact = self.get_object()
        contacts.depart(contact, at=self.at, by=request.user, **self.given(DepartureForm))
        return self.answer(contact)

    @deed(None, ContactSerializer)
    def undo_departure(self, request, pk: str) -> Response:
        """Take a departure back, with everything it did."""
        contact = self.get_object()
        departure = contact.departures.filter(undone_at=None).first()
        if departure is None:
            raise Conflict(_("There is no departure to take back."))
        contacts.undo_departure(departure, at=self.at, by=request.user)
        return self.answer(contact)

    @deed(CarryOverForm, ContactSerializer, status=201)
    def carry_over(self, request, pk: str) -> Response:
        """Add the same person at a new employer."""
        contact = contacts.carry_over(self.get_object(), at=self.at, by=request.user, **self.given(CarryOverForm))
        return self.answer(contact, status=201)
