"""Accounts: the list a rep starts from, and the page that says who decides there and what goes on."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldBooleanWidget

from crm import access, accounts, activity_kinds, dmu
from crm.admin import deeds
from crm.admin.lists import ChoicesFilter, OwnerFilter, TeamFilter, chip, money, role_chip, stage_chips
from crm.admin.sidebar import Place
from crm.admin.site import RememberedAdmin, doer
from crm.models import Account, Activity, Contact, DmuMembership, DmuRole, FollowUp, Opportunity, Stance, User

CHANNEL_ICONS = {"web": "language", "email": "mail", "event": "event", "meeting": "groups", "phone": "call", "note": "sticky_note_2"}
ACTIVITIES_SHOWN, PEOPLE_SHOWN, DEALS_SHOWN = 20, 20, 8

# Walks the index from one industry to the next: a DISTINCT would read every account.
INDUSTRIES = """
    WITH RECURSIVE walk(industry) AS (
        SELECT min(industry) FROM crm_account WHERE industry > ''
        UNION ALL
        SELECT (SELECT min(industry) FROM crm_account WHERE industry > walk.industry) FROM walk WHERE walk.industry IS NOT NULL
    )
    SELECT industry FROM walk WHERE industry IS NOT NULL LIMIT 200
"""


class StatusFilter(ChoicesFilter):
    """Filter by what the company is to us."""

    title, parameter_name, field = _("status"), "status", "status"

    def choices_of(self) -> Any:
        return Account.Status.choices


class IndustryFilter(ChoicesFilter):
    """Filter by industry."""

    title, parameter_name, field = _("industry"), "industry", "industry"

    def choices_of(self) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(INDUSTRIES)
            return [(industry, industry) for (industry,) in cursor.fetchall()]


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


class HandOver(forms.Form):
    """Ask for the new owner and team."""

    owner = deeds.record(_("owner"), required=False)
    team = deeds.record(_("team"), required=False)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer(self, "owner", owners_for(user))
        deeds.offer(self, "team", access.teams(user))


def owners_for(user: User) -> QuerySet[User]:
    """Give to whom a user may give an account, by name."""
    return access.colleagues(user).order_by("first_name", "last_name", "username")


@admin.register(Account)
class AccountAdmin(RememberedAdmin):
    """Accounts; none is deleted here: people, deals and what was counted hang on it."""

    place = Place("selling", 1, "domain")
    list_display = ["title", "owner", "status_label"]
    list_filter = [OwnerFilter, TeamFilter, StatusFilter, IndustryFilter]
    list_select_related = ["owner"]
    search_fields = ["name", "domain"]
    search_help_text = _("Name or web domain")
    autocomplete_fields = ["parent"]
    actions_detail = ["assign_role", "hand_over"]
    change_form_outer_before_template = "crm/admin/account_page.html"
    fieldsets = [
        (
            _("Details"),
            {
                "fields": [
                    ("name", "domain"), ("status", "industry"), ("employees", "founded_year"), ("revenue", "revenue_currency"),
                    ("city", "country"), ("parent", "contract_conflict"), ("owner", "team"), ("opted_out_at", "source"),
                ],
                "classes": ["q-details"],
            },
        ),
    ]  # fmt: skip

    @display(description=_("account"), ordering="name", header=True)
    def title(self, account: Account) -> list[str]:
        return [account.name, " · ".join(filter(None, [account.domain, capfirst(account.industry)]))]

    @display(description=_("status"), ordering="status")
    def status_label(self, account: Account) -> str:
        tones = {"customer": "engaged", "competitor": "lost", "former": "assumed"}
        return chip(account.get_status_display(), tones.get(account.status, "plain"))

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> list[str]:
        """Owner and team change hands by a deed of their own, which takes the deals and the tasks along."""
        may_give = obj is None and request.user.has_perm("crm.assign_account")
        return ["opted_out_at", "source", *([] if may_give else ["owner", "team"])]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        within_reach = {"owner": owners_for, "team": access.teams}
        if offered := within_reach.get(db_field.name):
            kwargs["queryset"] = offered(doer(request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Account:
        return accounts.open(at=now(), by=doer(request), **{name: value for name, value in values.items() if value is not None})

    def correct(self, request: HttpRequest, record: Any, values: dict[str, Any]) -> Any:
        return accounts.change(record, at=now(), by=doer(request), **values)

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

    def has_hand_over_permission(self, request: HttpRequest, _obj: object = None) -> bool:
        """Say whether the user may give accounts away; a dotted name in the deed itself would need the database at start."""
        return request.user.has_perm("crm.assign_account")

    @action(description=_("Hand over"), url_path="hand-over", icon="sync_alt", permissions=["hand_over"])
    def hand_over(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self.record(request, object_id)
        if not self.has_hand_over_permission(request):
            raise PermissionDenied
        form = HandOver(deeds.filled(request), user=doer(request), initial={"owner": account.owner_id, "team": account.team_id})
        deed = partial(accounts.hand_over, account, by=doer(request))
        title, back = _("Hand over to another owner"), reverse("admin:crm_account_changelist")
        return self.ask(request, account, form, deed, title=title, done=_("The account is handed over."), back=back)


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
