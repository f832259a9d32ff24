"""The page of an account: who decides there, what goes on, and what is to be done."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldBooleanWidget

from crm import access, dmu, follow_ups, opportunities, policy
from crm.admin import deeds
from crm.admin.dmu_map import DmuMapPage, people_there
from crm.admin.lists import money, stage_chips
from crm.admin.site import doer, page_of
from crm.admin.story import StoryPage
from crm.admin.timeline import TimelinePage
from crm.errors import MISSING_SENTENCES
from crm.models import Account, DmuRole, FollowUp, Opportunity, Stance
from crm.models.opportunities import Stage

DEALS_SHOWN, TASKS_SHOWN = 8, 20
# What a click puts a task off by.
SNOOZES = {"1": _("a day"), "7": _("a week")}


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


DETAILS = [
    ("name", "domain"), ("status", "industry"), ("employees", "founded_year"), ("revenue", "revenue_currency"),
    ("city", "country"), ("parent", "contract_conflict"), ("owner", "team"), ("opted_out_at", "source"),
]  # fmt: skip


class AccountPage(DmuMapPage, TimelinePage, StoryPage):
    """What the page of one account shows and does; the list is the business of who inherits it."""

    change_form_outer_before_template = "crm/admin/account_page.html"
    read_along = ["owner", "team"]
    fieldsets = [(_("Details"), {"fields": DETAILS, "classes": ["q-details", "collapse"]})]
    add_fieldsets = [(None, {"fields": DETAILS})]  # a new account has nothing else to show: open from the start

    class Media:
        css = {"all": ["crm/account_page.css"]}
        js = ["crm/account_page.js"]

    def get_urls(self) -> list[Any]:
        task = path("<path:object_id>/task/", self.admin_site.admin_view(self.do_task), name="crm_account_task")
        return [task, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        account = self.get_object(request, object_id) if request.method == "GET" else None
        panels = self.panels(request, account) if account else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | panels)

    def may(self, request: HttpRequest, verb: str, record: Any = None) -> bool:
        """Ask once per page what the user may do to the account that is shown: the admin asks for every button."""
        if request.method != "GET" or not isinstance(record, Account):
            return super().may(request, verb, record)
        known = request.__dict__.setdefault("may_of_account", {})
        if (verb, record.pk) not in known:
            known[verb, record.pk] = super().may(request, verb, record)
        return bool(known[verb, record.pk])

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Ask first what mostly holds: who may change an account sees it, too."""
        return self.may(request, "change", obj) or self.may(request, "view", obj)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read an account's page in one go; the list reads what its columns show."""
        rows, match = super().get_queryset(request), request.resolver_match
        return self.of_page(request, rows) if match and "object_id" in match.kwargs else rows

    def of_page(self, request: HttpRequest, rows: Any) -> Any:
        """Read along what the page shows of the account itself."""
        return rows.select_related(*self.read_along)

    def panels(self, request: HttpRequest, account: Account) -> dict[str, Any]:
        """Collect what the page shows above the form, in a fixed number of queries."""
        at = now()
        people = people_there(account)
        return (
            self.dmu_map(request, account, people, at=at)
            | self.timeline_panel(request, account, people, at=at)
            | self.tasks_panel(request, account)
            | {
                "working_there": people,
                "account_key": str(account.pk),
                # The page's own buttons only add: people, roles, deals.
                "may_change": request.user.has_perm("crm.add_dmumembership"),
                "deals": deal_rows(request, account, at=at),
                "history": reverse("admin:crm_account_history", args=[account.pk]),
            }
        )

    def tasks_panel(self, request: HttpRequest, account: Account) -> dict[str, Any]:
        """Collect the open tasks, the oldest due first, with the buttons beside them."""
        rows = FollowUp.objects.visible_to(request.user).open().filter(account=account)
        return {
            "account": account,
            "tasks": rows.select_related("owner", "account", "contact__person", "opportunity").order_by("due_on", "pk")[:TASKS_SHOWN],
            "today": policy.day_of(now()),
            "snoozes": SNOOZES.items(),
            "task_address": reverse("admin:crm_account_task", args=[account.pk]),
        }

    def do_task(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Close a task of the account or put it off, from the button beside it."""
        account = self.record(request, object_id, "view")
        if request.method == "POST":
            self._do_task(request, account)
        if request.headers.get("HX-Request") != "true":
            return redirect(f"{page_of(account)}#tasks")
        return TemplateResponse(request, "crm/admin/parts/account_tasks.html", self.tasks_panel(request, account) | {"is_answer": True})

    def _do_task(self, request: HttpRequest, account: Account) -> None:
        number, days = request.POST.get("task", ""), request.POST.get("days", "")
        rows = FollowUp.objects.visible_to(request.user).filter(account=account)
        task = rows.filter(pk=int(number[:15])).first() if number.isdecimal() else None
        if task is None or not access.may(request.user, "change", task):
            raise PermissionDenied
        if days in SNOOZES:
            due_on = max(task.due_on, policy.day_of(now())) + timedelta(days=int(days))
            self.attempt(request, partial(_put_off, task, due_on=due_on), done=_("Put off."))
        else:
            self.attempt(request, partial(follow_ups.close, task, by=doer(request)), done=_("The task is done."))

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


def _put_off(task: FollowUp, *, due_on: Any, at: datetime) -> FollowUp:
    return follow_ups.change(task, owner=task.owner, due_on=due_on, text=task.text)


def deal_rows(request: HttpRequest, account: Account, *, at: datetime) -> list[dict[str, Any]]:
    """Give the open deals with their stage, amount, and what the next stage still needs."""
    deals = list(open_deals(request, account))
    lacking = opportunities.missing_for_next(deals, standing=opportunities.standing_of(deals), at=at)
    return [{"deal": deal, "amount": money(deal), "stage": stage_chips(deal)} | next_step(deal, lacking.get(deal.pk)) for deal in deals]


def next_step(deal: Opportunity, lacking: list[str] | None) -> dict[str, Any]:
    """Say what keeps a deal out of its next stage; history from an import is asked nothing."""
    following = opportunities.NEXT_STAGE.get(deal.stage)
    if lacking is None or following is None or deal.is_imported_history:
        return {}
    return {"following": Stage(following).label, "lacking": [MISSING_SENTENCES[name] for name in lacking], "may_advance": not lacking}


def open_deals(request: HttpRequest, account: Account) -> QuerySet[Opportunity]:
    """Give the open deals at the account, the newest first and imported ones after them."""
    seen = Opportunity.objects.visible_to(request.user).open()
    return seen.filter(account=account).select_related("owner").order_by("imported_stage", "-id")[:DEALS_SHOWN]
