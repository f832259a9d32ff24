"""Contacts and the persons behind them: correct, confirm, mark as left, opt out, export, erase."""

import json
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Case, OuterRef, Subquery, Value, When
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from crm import contacts, details, policy, privacy, tasks
from crm.admin import deeds
from crm.admin.bulk import BulkPage
from crm.admin.contact_page import ContactPage, state_chips
from crm.admin.details import ASK, may_be_mailed
from crm.admin.lists import OwnerFilter, Words, WorkFilter, chip, chips
from crm.admin.merges import Mergeable
from crm.admin.saved_views import Tab
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, RememberedAdmin, doer, page_of
from crm.models import Contact, Departure, DmuMembership, DmuRole, Person
from crm.models.accounts import within_sight

# The roles held now as 'buyer decider?', an assumed one with its question mark: read with the row, not by a query more.
_ROLE = Concat("role", Case(When(is_assumed=True, then=Value("?")), default=Value("")))
_HELD = DmuMembership.objects.current().filter(contact=OuterRef("pk")).order_by().values("contact")
CURRENT_ROLES = Subquery(_HELD.annotate(words=Words(_ROLE)).values("words"))


class ContactForm(deeds.RuleForm):
    """A contact together with the person's name."""

    given_name = deeds.line(_("given name"), required=False, max_length=100)
    family_name = deeds.line(_("family name"), required=False, max_length=100)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial.update(given_name=self.instance.person.given_name, family_name=self.instance.person.family_name)


class Left(forms.Form):
    """Ask since when somebody is gone."""

    left_on = deeds.day(_("left on"), help_text=_("The first day on which they no longer worked there."))
    reason = deeds.line(_("how do you know?"), required=False, max_length=200)


class AtWorkFilter(WorkFilter):
    """Show who works there now, unless asked for more."""

    title, parameter_name, default = _("at work"), "at_work", "now"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("now", _("works there")), ("doubt", _("may have left")), ("left", _("left")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        choice = self.value()
        if choice == "left":
            return queryset.exclude(left_on=None)
        if choice == "doubt":
            return queryset.active().exclude(departure_suspected_at=None)
        return queryset if choice == "all" else queryset.active()


class AccountOwnerFilter(OwnerFilter):
    """Filter by who owns the account."""

    title, lookup = _("owner of the account"), "account__owner"


@admin.register(Contact)
class ContactAdmin(BulkPage, Mergeable, ContactPage):
    """Contacts: a person's job at one account."""

    place = Place("selling", 2, "contacts")
    form = ContactForm
    list_display = ["title", "account", "roles", "email", "phone", "state"]
    list_filter = [AtWorkFilter, AccountOwnerFilter]
    search_fields = ["email", "person__family_name", "person__given_name", "account__name"]
    actions = ["export_rows"]
    search_help_text = _("Name, e-mail or account")
    tabs = (
        Tab(_("All that I may see"), ""),
        Tab(_("At my accounts"), "owner=me"),
        Tab(_("May have left"), "at_work=doubt"),
        Tab(_("Left"), "at_work=left"),
    )
    everything = "?at_work=all"
    bulk_deeds = {"ask_many": ASK}
    nothing_yet = _("Add the people you know at an account, or import them from a file.")
    autocomplete_fields = ["account"]
    actions_detail = [
        "assign_role",
        "confirm_details",
        "undo_departure",
        {"title": _("More"), "icon": "more_horiz", "items": ["ask_details", "depart", "opt_out", "merge_with", "person_page"]},
    ]
    add_fieldsets = [
        (
            None,
            {
                "fields": [
                    "account", ("given_name", "family_name"), ("job_title", "function"), ("email", "phone"), ("legal_basis", "source"),
                ]
            },
        )
    ]  # fmt: skip

    @display(description=_("contact"), ordering="person__family_name", header=True)
    def title(self, contact: Contact) -> list[str]:
        return [str(contact.person), contact.job_title]

    @display(description=_("DMU roles"))
    def roles(self, contact: Any) -> str:
        held = set((contact.current_roles or "").split())
        sure = (chip(role.label, "known") for role in DmuRole if role.value in held)
        assumed = (chip(role.label, "assumed", sign="?") for role in DmuRole if f"{role.value}?" in held and role.value not in held)
        return chips([*sure, *assumed])

    @display(description=_("state"))
    def state(self, contact: Contact) -> str:
        return chips(state_chips(contact))

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("person", "account").annotate(current_roles=CURRENT_ROLES)

    def get_ordering(self, request: HttpRequest) -> Any:
        """Show first who left last; everybody else by name."""
        return ["-left_on", "-id"] if request.GET.get(AtWorkFilter.parameter_name) == "left" else super().get_ordering(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Contact | None = None) -> list[str]:
        """What only rules change; at the first form the account and the name are still open."""
        fixed = ["details_confirmed_at", "left_on", "departure_suspected_at", "address_invalid_at"]
        return [*fixed, "account"] if obj else fixed

    def useless(self, record: Contact) -> set[str]:
        out = {"depart", "confirm_details", "assign_role"} if record.left_on else {"undo_departure"}
        return out | ({"opt_out"} if record.person.opted_out_at else set()) | (set() if may_be_mailed(record) else {"ask_details"})

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Contact:
        return contacts.add(at=now(), by=doer(request), **as_text(values))

    def correct(self, request: HttpRequest, record: Any, values: dict[str, Any]) -> Any:
        return contacts.correct(record, at=now(), by=doer(request), **as_text(values))

    @action(description=_("Ask them to check their details"), url_path="ask-details", icon="contact_mail", permissions=["change"])
    def ask_details(self, request: HttpRequest, object_id: str) -> HttpResponse:
        contact = self.record(request, object_id)
        deed = partial(details.ask, contact, link=tasks.details_link, by=doer(request))
        warning = _("They get a mail with a link of their own: there they confirm, correct, or say that they leave.")
        form, title = deeds.Nothing(deeds.filled(request)), _("Ask them to check their details")
        return self.ask(request, contact, form, deed, title=title, done=_("The mail is on its way."), warning=warning)

    @action(description=_("Details are right"), url_path="confirm-details", icon="verified_user", permissions=["change"])
    def confirm_details(self, request: HttpRequest, object_id: str) -> HttpResponse:
        contact = self.record(request, object_id)
        deed = partial(contacts.confirm_details, contact)
        title, done = _("The details are right"), _("The details are confirmed.")
        return self.ask(request, contact, deeds.Nothing(deeds.filled(request)), deed, title=title, done=done)

    @action(description=_("Left the company"), url_path="depart", icon="person_off", permissions=["change"])
    def depart(self, request: HttpRequest, object_id: str) -> HttpResponse:
        contact = self.record(request, object_id)
        form = Left(deeds.filled(request), initial={"left_on": policy.day_of(now())})
        deed = partial(contacts.depart, contact, by=doer(request))
        warning = _("Their roles end, and what they confirmed of a deal is withdrawn. It can be undone.")
        return self.ask(request, contact, form, deed, title=_("Left the company"), done=_("Recorded that they left."), warning=warning)

    @action(description=_("Did not leave"), url_path="undo-departure", icon="undo", permissions=["change"])
    def undo_departure(self, request: HttpRequest, object_id: str) -> HttpResponse:
        contact = self.record(request, object_id)
        departure = contact.departures.filter(undone_at=None).first()
        if departure is None:
            messages.error(request, _("Nobody recorded that they left."))
            return HttpResponse(status=302, headers={"Location": page_of(contact)})
        deed = partial(contacts.undo_departure, departure, by=doer(request))
        title, done = _("Did not leave after all"), _("Everything is as it was before.")
        return self.ask(request, contact, deeds.Nothing(deeds.filled(request)), deed, title=title, done=done)

    @action(description=_("Assign a DMU role"), url_path="assign-role", icon="group_add", permissions=["change"])
    def assign_role(self, request: HttpRequest, object_id: str) -> HttpResponse:
        contact = self.record(request, object_id, "view")
        address = reverse("admin:crm_account_assign_role", args=[contact.account_id])
        return HttpResponse(status=302, headers={"Location": f"{address}?contact={contact.pk}"})

    @action(description=_("Person"), url_path="person", icon="badge", permissions=["view"])
    def person_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        contact = self.record(request, object_id, "view")
        return HttpResponse(status=302, headers={"Location": reverse("admin:crm_person_change", args=[contact.person_id])})

    @action(description=_("Wants no more mail"), url_path="opt-out", icon="unsubscribe", permissions=["change"])
    def opt_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        contact = self.record(request, object_id)
        deed = partial(privacy.opt_out, contact.person, by=doer(request))
        warning = _("No mail goes to this person any more, at any employer.")
        form = deeds.Nothing(deeds.filled(request))
        return self.ask(request, contact, form, deed, title=_("Wants no more mail"), done=_("They get no more mail."), warning=warning)


def as_text(values: dict[str, Any]) -> dict[str, Any]:
    """Give a form's values as the rules take them: a phone number as it is written."""
    return values | ({"phone": str(values["phone"])} if "phone" in values else {})


@admin.register(Person)
class PersonAdmin(RememberedAdmin):
    """Persons: the name, and what the law asks of us."""

    list_display = ["__str__", "language", "opted_out_at"]
    search_fields = ["given_name", "family_name"]
    fields = [("given_name", "family_name"), "language", "opted_out_at"]
    readonly_fields = ["opted_out_at"]
    actions_detail = ["export", "opt_in", "erase"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: a person comes with a job; add a contact."""
        return False

    def useless(self, record: Person) -> set[str]:
        return (set() if record.opted_out_at else {"opt_in"}) | ({"erase", "export"} if record.erased_at else set())

    def correct(self, request: HttpRequest, record: Any, values: dict[str, Any]) -> Any:
        """Correct the name by way of any of the person's jobs: the rule is the contacts'."""
        job = record.contacts.visible_to(request.user).first()
        return contacts.correct(job, at=now(), by=doer(request), **values).person if job else record

    @action(description=_("Export all data"), url_path="export", icon="download", permissions=["erase"])
    def export(self, request: HttpRequest, object_id: str) -> HttpResponse:
        person = self.responsible_for(request, object_id)
        answer = HttpResponse(
            json.dumps(privacy.export_person(person), cls=DjangoJSONEncoder, ensure_ascii=False, indent=2), content_type="application/json"
        )
        answer["Content-Disposition"] = f'attachment; filename="person-{person.pk}.json"'
        return answer

    @action(description=_("Erase"), url_path="erase", icon="delete_forever", permissions=["erase"], variant=ActionVariant.DANGER)
    def erase(self, request: HttpRequest, object_id: str) -> HttpResponse:
        person = self.responsible_for(request, object_id)
        deed = partial(privacy.erase, person, by=doer(request))
        warning = _("Name, addresses and everything else about this person go for good. Totals stay. This cannot be undone.")
        back = reverse("admin:crm_contact_changelist")
        form = deeds.Nothing(deeds.filled(request))
        title, done = _("Erase this person"), _("The person is erased.")
        return self.ask(request, person, form, deed, title=title, done=done, warning=warning, back=back)

    @action(description=_("Wants mail again"), url_path="opt-in", icon="mark_email_read", permissions=["change"])
    def opt_in(self, request: HttpRequest, object_id: str) -> HttpResponse:
        person = self.record(request, object_id)
        deed = partial(privacy.opt_in, person, by=doer(request))
        title, done = _("Wants mail again"), _("They may get mail again.")
        return self.ask(request, person, deeds.Nothing(deeds.filled(request)), deed, title=title, done=done)

    def has_erase_permission(self, request: HttpRequest, _obj: object = None) -> bool:
        """Say whether the user may export and erase all data of a person."""
        return request.user.has_perm("crm.erase_person")

    def responsible_for(self, request: HttpRequest, object_id: str) -> Any:
        """Give the person to who may export and erase; the button is hidden for others, and the address refuses them too."""
        if not self.has_erase_permission(request):
            raise PermissionDenied
        return self.record(request, object_id, "view")


@admin.register(Departure)
class DepartureAdmin(ReadOnlyAdmin):
    """Departures: undone from the contact's page."""

    list_display = ["contact", "left_on", "reason", "recorded_by", "recorded_at", "undone_at"]
    list_select_related = ["contact__person", "recorded_by"]
    search_fields = ["contact__person__family_name"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(within_sight(request.user, at="contact__account__"))
