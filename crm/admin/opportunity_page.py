"""The page of an opportunity: what is confirmed, what is missing, and what to do next."""

from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from crm import access, confirmations, dmu, opportunities, pilots, policy
from crm.admin import deeds, stale
from crm.admin.account_page import activity_rows, role_row
from crm.admin.confirmations import Confirm, Withdraw, bant_row
from crm.admin.lists import money, stage_chips
from crm.admin.pilots import StartPilot
from crm.admin.site import RememberedAdmin, doer
from crm.errors import MISSING_SENTENCES
from crm.models import Activity, Confirmation, ConfirmationKind, FollowUp, Opportunity, Stage, StageMove

STEPS = (Stage.MQL, Stage.SQL, Stage.OPPORTUNITY, Stage.PROPOSAL, Stage.WON)


class Won(forms.Form):
    """Ask for the day of the signature."""

    closed_on = deeds.day(_("closed on"))


class Advance(forms.Form):
    """Ask for a note with the step."""

    reason = deeds.line(_("note"), required=False)


class NameAccount(forms.Form):
    """Ask whose deal it is."""

    account = deeds.record(_("account"))

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer_accounts(self, "account", request)


class OpportunityPage(RememberedAdmin):
    """The page of one deal, and its deeds."""

    deletable = True
    autocomplete_fields = ["account"]
    change_form_outer_before_template = "crm/admin/opportunity_page.html"
    actions_detail = [
        "confirm",
        "advance",
        "reopen",
        {"title": _("More"), "icon": "more_horiz", "items": ["lose", "start_pilot", "name_account"]},
    ]
    add_fieldsets = [
        (
            None,
            {"fields": ["account", "name", ("product", "stage"), ("amount", "currency"), ("expected_close_on", "owner")]},
        )
    ]
    fieldsets = [
        (
            _("Details"),
            {
                "fields": [
                    ("name", "account"), ("product", "owner"), ("amount", "currency"), ("expected_close_on", "closed_on"),
                    ("stage", "lost_reason"), ("source", "team"),
                ]
            },
        )
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Opportunity | None = None) -> list[str]:
        """The stage and what belongs to it are changed by deeds alone."""
        return ["account", "stage", "closed_on", "lost_reason", "source", "team"] if obj else []

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "stage" and field:
            field.choices = [(stage.value, stage.label) for stage in (Stage.MQL, Stage.SQL)]
        if db_field.name == "account" and field:
            field.required = True
        return field

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        return {"owner": request.user.pk} | super().get_changeform_initial_data(request)

    def useless(self, record: Opportunity) -> set[str]:
        out = {"reopen"} if record.is_open else {"confirm", "advance", "lose", "start_pilot"}
        return out | ({"name_account"} if record.account_id else set())

    def too_late(self, record: Opportunity) -> Any:
        return _("This deal is open already.") if record.is_open else _("This deal is closed already.")

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Opportunity:
        return opportunities.begin(at=now(), by=doer(request), **values)

    def correct(self, request: HttpRequest, record: Opportunity, values: dict[str, Any]) -> Opportunity:
        return opportunities.change(record, at=now(), by=doer(request), **values)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        deal = self.get_object(request, object_id) if request.method == "GET" else None
        panels = self.panels(request, deal) if deal else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | panels)

    def panels(self, request: HttpRequest, deal: Opportunity) -> dict[str, Any]:
        """Collect what the page shows above the form, in a fixed number of queries."""
        at = now()
        given = list(deal.confirmations.select_related("contact__person", "recorded_by").order_by("-confirmed_at", "-id")[:50])
        following = opportunities.NEXT_STAGE.get(deal.stage)
        lacking = opportunities.missing_for(deal, following, at=at) if following else []
        of_account = self.of_account(deal, given, at) if access.sees_account_of(request.user, deal) else {}
        return of_account | {
            "deal": deal,
            "sees_account": bool(of_account),
            "amount": money(deal),
            "stage_chips": stage_chips(deal),
            "may_change": access.may(request.user, "change", deal),
            "steps": steps(deal),
            "next_stage": Stage(following).label if following else "",
            "lacking": [MISSING_SENTENCES[name] for name in lacking],
            "bant": [bant_row(kind, given, at) for kind in ConfirmationKind],
            "moves": days_per_stage(list(deal.moves.select_related("moved_by").order_by("moved_at", "id")[:50]), at),
            "pilots": deal.pilots.all()[:5],
            "tasks": FollowUp.objects.visible_to(request.user)
            .open()
            .filter(opportunity=deal)
            .select_related("owner", "account", "contact__person", "opportunity")[:20],
        }

    def of_account(self, deal: Opportunity, given: list[Confirmation], at: datetime) -> dict[str, Any]:
        """Collect what lies at the account: its people, what they did and what they said."""
        coverage = dmu.coverage_of_opportunities([deal], at=at)[deal.pk]
        assign = reverse("admin:crm_account_assign_role", args=[deal.account_id]) if deal.account_id else ""
        return {
            "withdrawn": [row for row in given if row.withdrawn_at][:10],
            "coverage": coverage,
            "roles": [role_row(row, assign) for row in coverage.roles] if deal.account_id else [],
            "activities": activity_rows(Activity.objects.at_account(deal.account_id)) if deal.account_id else [],
        }

    # --- deeds -------------------------------------------------------------------------------------

    @action(description=_("Confirm BANT"), url_path="confirm", icon="verified", permissions=["change"], variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        deal = self.record(request, object_id)
        if not access.sees_account_of(request.user, deal):
            raise PermissionDenied
        form = Confirm(deeds.filled(request), opportunity=deal, initial={"kind": request.GET.get("kind")})
        deed = partial(confirmations.confirm, deal, by=doer(request))
        return self.ask(request, deal, form, deed, title=_("Confirm a letter of BANT"), done=_("The confirmation is recorded."))

    def withdraw(self, request: HttpRequest, object_id: str, confirmation_id: int) -> HttpResponse:
        """Withdraw one of the deal's confirmations."""
        deal = self.record(request, object_id)
        given = get_object_or_404(deal.confirmations.visible_to(request.user).standing(), pk=confirmation_id)
        deed = partial(confirmations.withdraw, given, by=doer(request))
        form = Withdraw(deeds.filled(request))
        title, done = _("Withdraw: %(what)s") % {"what": given}, _("The confirmation is withdrawn.")
        return self.ask(request, deal, form, deed, title=title, done=done)

    @action(description=_("Next stage"), url_path="advance", icon="arrow_forward", permissions=["change"])
    def advance(self, request: HttpRequest, object_id: str) -> HttpResponse:
        deal = stale.as_seen(request, self.record(request, object_id))
        following = opportunities.NEXT_STAGE.get(deal.stage, Stage.WON)
        form: forms.Form = Advance(deeds.filled(request))
        if following == Stage.WON:
            form = Won(deeds.filled(request), initial={"closed_on": policy.day_of(now())})
        deed = partial(opportunities.advance, deal, to=following, by=doer(request))
        title = _("Move on to: %(stage)s") % {"stage": Stage(following).label}
        return self.ask(request, deal, form, deed, title=title, done=_("The deal moved on."))

    @action(description=_("Lost"), url_path="lose", icon="thumb_down", permissions=["change"])
    def lose(self, request: HttpRequest, object_id: str) -> HttpResponse:
        deal = stale.as_seen(request, self.record(request, object_id))
        deed = partial(opportunities.lose, deal, by=doer(request))
        form = deeds.Because(deeds.filled(request))
        return self.ask(request, deal, form, deed, title=_("The deal is lost"), done=_("The deal is recorded as lost."))

    @action(description=_("Reopen"), url_path="reopen", icon="replay", permissions=["change"])
    def reopen(self, request: HttpRequest, object_id: str) -> HttpResponse:
        deal = stale.as_seen(request, self.record(request, object_id))
        deed = partial(opportunities.reopen, deal, by=doer(request))
        form = deeds.Because(deeds.filled(request))
        return self.ask(request, deal, form, deed, title=_("Reopen the deal"), done=_("The deal is open again, as SQL."))

    @action(description=_("Start a pilot"), url_path="start-pilot", icon="science", permissions=["change"])
    def start_pilot(self, request: HttpRequest, object_id: str) -> HttpResponse:
        deal = self.record(request, object_id)
        deed = partial(pilots.start, opportunity=deal, by=doer(request))
        form = StartPilot(deeds.filled(request))
        return self.ask(request, deal, form, deed, title=_("Start a pilot"), done=_("The pilot is started."))

    @action(description=_("Name the account"), url_path="name-account", icon="domain_add", permissions=["change"])
    def name_account(self, request: HttpRequest, object_id: str) -> HttpResponse:
        deal = stale.as_seen(request, self.record(request, object_id))
        form = NameAccount(deeds.filled(request), request=request)
        deed = partial(opportunities.name_account, deal, by=doer(request))
        return self.ask(request, deal, form, deed, title=_("Say whose deal this is"), done=_("The deal has its account."))

    def get_urls(self) -> list[URLPattern]:
        withdraw = self.admin_site.admin_view(self.withdraw)
        return [path("<path:object_id>/withdraw/<int:confirmation_id>/", withdraw, name="crm_opportunity_withdraw"), *super().get_urls()]


def steps(deal: Opportunity) -> list[dict[str, Any]]:
    """Give the stages as steps: done, here, to come; a lost deal ends in its own step."""
    if deal.stage == Stage.LOST:
        return [{"label": Stage.LOST.label, "state": "lost"}]
    here = STEPS.index(Stage(deal.stage))
    return [
        {"label": stage.label, "state": "done" if number < here else "here" if number == here else "later"}
        for number, stage in enumerate(STEPS)
    ]


def days_per_stage(moves: list[StageMove], at: datetime) -> list[dict[str, Any]]:
    """Give each move with the days that the deal then stayed; unknown where an import had no date."""
    ends = [after.moved_at for _before, after in pairwise(moves)] + [None if moves and moves[-1].to_stage in ("won", "lost") else at]
    return [
        {"move": move, "days": (end - move.moved_at).days if move.moved_at and end else None}
        for move, end in zip(moves, ends, strict=False)
    ]
