"""The page of a contact: the person, the job, how and whether to reach them, and what happened."""

from typing import Any

from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from crm import deliverability
from crm.admin.dmu_map import STANCE_SIGNS, STANCE_TONES
from crm.admin.lists import chip
from crm.admin.timeline import TimelinePage
from crm.models import Contact, FollowUp, Stance, Suppression

TASK_PARTS = ("owner", "account", "contact__person", "opportunity")


class ContactPage(TimelinePage):
    """What the page of one contact shows; the list is the business of who inherits it."""

    change_form_outer_before_template = "crm/admin/contact_page.html"
    fieldsets = [
        (
            _("Details"),
            {
                "fields": [
                    ("given_name", "family_name"), "account", ("job_title", "function"), ("email", "phone"), ("legal_basis", "source"),
                    ("details_confirmed_at", "left_on"), ("departure_suspected_at", "address_invalid_at"),
                ],
                "classes": ["q-details", "collapse"],
            },
        )
    ]  # fmt: skip

    class Media:
        css = {"all": ["crm/account_page.css"]}
        js = ["crm/account_page.js"]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        contact = self.get_object(request, object_id) if request.method == "GET" else None
        panels = self.panels(request, contact) if contact else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | panels)

    def panels(self, request: HttpRequest, contact: Contact) -> dict[str, Any]:
        """Collect what the page shows above the form."""
        return self.timeline_panel(request, contact, [contact], at=now()) | {
            "contact": contact,
            "marks": state_chips(contact),
            "may_mail": deliverability.may_mail(contact),
            "asked": contact.details_requests.first(),
            "suppressions": suppressions(contact),
            "roles": [role_line(row) for row in contact.memberships.select_related("opportunity").order_by("until", "-since", "pk")[:20]],
            "tasks": FollowUp.objects.visible_to(request.user).open().filter(contact=contact).select_related(*TASK_PARTS)[:20],
            "jobs": jobs(request, contact),
        }


def suppressions(contact: Contact) -> list[Suppression]:
    """Give what keeps mail from the address."""
    return list(Suppression.objects.current().filter(address=contact.email.lower())[:5]) if contact.email else []


def jobs(request: HttpRequest, contact: Contact) -> list[Contact]:
    """Give the same person's other jobs that the user may see, the latest first."""
    others = Contact.objects.visible_to(request.user).filter(person=contact.person_id).exclude(pk=contact.pk)
    return list(others.select_related("account").order_by("-created_at", "-pk")[:10])


def role_line(row: Any) -> dict[str, Any]:
    """Give a role held now or earlier with how they stand in it."""
    stance = Stance(row.stance)
    return {"row": row, "stance": chip(stance.label, STANCE_TONES.get(stance, "plain"), sign=STANCE_SIGNS[stance])}


def state_chips(contact: Contact) -> list[SafeString]:
    """Say what a rep must know before calling or writing."""
    marks = []
    if contact.left_on:
        day = date_format(contact.left_on, "SHORT_DATE_FORMAT")
        marks.append(chip(_("left on %(day)s") % {"day": day}, "lost", sign="✕"))
    if contact.departure_suspected_at and not contact.left_on:
        marks.append(chip(_("may have left"), "assumed", sign="?"))
    if contact.person.opted_out_at:
        marks.append(chip(_("no mail"), "missing", sign="–"))
    if contact.address_invalid_at:
        marks.append(chip(_("address invalid"), "missing", sign="–"))
    return marks
