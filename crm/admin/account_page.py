"""The page of an account: who decides there, what goes on, and what is to be done."""

from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldBooleanWidget

from crm import activity_kinds, dmu
from crm.admin import deeds
from crm.admin.lists import money, role_chip, stage_chips
from crm.admin.site import RememberedAdmin, doer
from crm.models import Account, Activity, Contact, DmuMembership, DmuRole, FollowUp, Opportunity, Stance

CHANNEL_ICONS = {"web": "language", "email": "mail", "event": "event", "meeting": "groups", "phone": "call", "note": "sticky_note_2"}
ACTIVITIES_SHOWN, PEOPLE_SHOWN, DEALS_SHOWN = 20, 20, 8


class AssignRole(forms.Form):
    """Ask who holds which role in the decision."""

    contact = deeds.record(_("who"))
    role = deeds.choice(_("role"), DmuRole.choices)
    stance = deeds.choice(_("stance"), Stance.choices)
    is_assumed = forms.BooleanField(
        label=_("assumed"), required=False, help_text=_("Nobody at the account confirmed it yet."), widget=UnfoldBooleanWidget
    )
    opportunity = deeds.record(_("only for this opportunity"), required=False, help_text=_("Empty: for the account as a whole."))

    def __init__(self, *args: Any, account: Account, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer(self, "contact", account.contacts.active().select_related("person"))
        deeds.offer(self, "opportunity", Opportunity.objects.visible_to(request.user).open().filter(account=account))


class AccountPage(RememberedAdmin):
    """What the page of one account shows and does; the list is the business of who inherits it."""

    change_form_outer_before_template = "crm/admin/account_page.html"

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        account = self.get_object(request, object_id) if request.method == "GET" else None
        panels = self.panels(request, account) if account else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | panels)

    def panels(self, request: HttpRequest, account: Account) -> dict[str, Any]:
        """Collect what the page shows above the form, in a fixed number of queries."""
        at = now()
        coverage = dmu.coverage([account], at=at)[account.pk]
        assign = reverse("admin:crm_account_assign_role", args=[account.pk])
        return {
            "account": account,
            "coverage": coverage,
            # The page's own buttons only add: people, roles, deals.
            "may_change": request.user.has_perm("crm.add_dmumembership"),
            "assign": assign,
            "roles": [role_row(row, assign) for row in coverage.roles],
            "involved": involved(account, coverage),
            "others": others(account),
            "account_key": str(account.pk),
            "deals": [{"deal": deal, "amount": money(deal), "stage": stage_chips(deal)} for deal in open_deals(request, account)],
            "tasks": FollowUp.objects.visible_to(request.user)
            .open()
            .filter(account=account)
            .select_related("owner", "account", "contact__person", "opportunity")[:20],
            "activities": activity_rows(Activity.objects.at_account(account.pk)),
        }

    @action(description=_("Assign a DMU role"), url_path="assign-role", icon="group_add", permissions=["assign_role"])
    def assign_role(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self.record(request, object_id, "view")
        if not self.has_assign_role_permission(request):
            raise PermissionDenied
        initial = {"role": request.GET.get("role"), "contact": request.GET.get("contact"), "stance": Stance.NEUTRAL}
        form = AssignRole(deeds.filled(request), account=account, request=request, initial=initial)
        deed = partial(dmu.assign, by=doer(request))
        return self.ask(request, account, form, deed, title=_("Assign a DMU role"), done=_("The role is assigned."))

    def has_assign_role_permission(self, request: HttpRequest, _obj: object = None) -> bool:
        """Say whether the user may add roles: also where only a deal is the user's."""
        return request.user.has_perm("crm.add_dmumembership")


def role_row(row: Any, assign: str) -> dict[str, Any]:
    """Give one role of the DMU as its panel shows it."""
    return {
        "chip": role_chip(DmuRole(row.role).label, row.state),
        "row": row,
        "holders": row.holders,
        "assign": f"{assign}?role={row.role}",
    }


def involved(account: Account, coverage: dmu.Coverage) -> QuerySet[DmuMembership]:
    """Give who holds a role that a company of this size does not need."""
    held = account.memberships.current().standing().filter(contact__left_on=None).exclude(role__in=coverage.states)
    return held.select_related("contact__person").order_by("role", "id")[:PEOPLE_SHOWN]


def open_deals(request: HttpRequest, account: Account) -> QuerySet[Opportunity]:
    """Give the open deals at the account, the newest first and imported ones after them."""
    seen = Opportunity.objects.visible_to(request.user).open()
    return seen.filter(account=account).select_related("owner").order_by("imported_stage", "-id")[:DEALS_SHOWN]


def others(account: Account) -> QuerySet[Contact]:
    """Give people at the account without a role."""
    with_role = DmuMembership.objects.current().filter(account=account).values("contact")
    return account.contacts.active().exclude(pk__in=with_role).select_related("person")[:PEOPLE_SHOWN]


def activity_rows(activities: QuerySet[Activity]) -> list[dict[str, Any]]:
    """Give the latest activities with the sign of their channel."""
    latest = activities.select_related("contact__person").order_by("-occurred_at", "-id")[:ACTIVITIES_SHOWN]
    return [{"activity": row, "icon": _icon(row.kind)} for row in latest]


def _icon(kind: str) -> str:
    known = activity_kinds.KINDS.get(kind)
    return CHANNEL_ICONS.get(known.channel, "radio_button_checked") if known else "radio_button_checked"
