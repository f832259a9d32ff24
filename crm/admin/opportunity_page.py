"""The page of an opportunity: what is confirmed, what is missing, and what to do next; every deed can be done in place."""

from collections.abc import Callable
from copy import copy
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action

from crm import access, opportunities, policy
from crm.admin import deal_deeds, deal_panels, deeds, stale
from crm.admin.deal_deeds import Deed
from crm.admin.deal_panels import Sheet, Tried
from crm.admin.lists import money
from crm.admin.site import RememberedAdmin, doer, page_of
from crm.admin.timeline import activity_rows
from crm.errors import CrmError
from crm.models import Opportunity, Stage

# What the page itself offers, in place; the header repeats none of it.
IN_PLACE = {"confirm", "advance", "lose", "reopen", "start_pilot"}


class OpportunityPage(RememberedAdmin):
    """The page of one deal, and its deeds."""

    deletable = True
    autocomplete_fields = ["account"]
    change_form_outer_before_template = "crm/admin/opportunity_page.html"
    actions_detail = ["name_account", "confirm", "advance", "reopen", "lose", "start_pilot"]
    add_fieldsets = [
        (
            None,
            {
                "fields": [
                    "account",
                    "name",
                    ("product", "stage"),
                    ("amount", "currency"),
                    ("expected_close_on", "owner"),
                    ("kind", "origin", "campaign"),
                ]
            },
        )
    ]
    fieldsets = [
        (
            _("Details"),
            {
                "fields": [
                    ("name", "account"), ("product", "owner"), ("amount", "currency"), ("expected_close_on", "closed_on"),
                    ("stage", "lost_reason"), ("kind", "origin", "campaign"), ("source", "team"),
                ]
            },
        )
    ]  # fmt: skip

    class Media:
        css = {"all": ["crm/deal.css", "crm/board.css"]}
        js = ["crm/deal.js"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read along what the page of one deal shows of its account and owner."""
        deals, match = super().get_queryset(request), request.resolver_match
        is_one = match is not None and "object_id" in match.kwargs
        return deals.select_related("account", "owner", "team", "product") if is_one else deals

    def may(self, request: HttpRequest, verb: str, record: Any = None) -> bool:
        """Ask the database once per page what may be done with the deal; the page and the theme ask a dozen times."""
        if request.method != "GET" or not isinstance(record, Opportunity):
            return super().may(request, verb, record)
        known = request.__dict__.setdefault("rights_known", {})
        if (verb, record.pk) not in known:
            known[verb, record.pk] = super().may(request, verb, record)
        return bool(known[verb, record.pk])

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

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer as owner whom the user may hand work to, and who owns it now."""
        if db_field.name == "owner":
            kwargs["queryset"] = deeds.owners(request, Opportunity)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        return {"owner": request.user.pk} | super().get_changeform_initial_data(request)

    def useless(self, record: Opportunity) -> set[str]:
        out = {"reopen"} if record.is_open else {"confirm", "advance", "lose", "start_pilot"}
        return out | ({"name_account"} if record.account_id else set())

    def too_late(self, record: Opportunity) -> Any:
        return _("This deal is open already.") if record.is_open else _("This deal is closed already.")

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[UnfoldAction]:
        """Leave out of the header what the page offers in place, and everything when the user may only look."""
        offered = [
            deed for deed in super().get_actions_detail(request, object_id) if deed.action_name.removeprefix(self._prefix()) not in IN_PLACE
        ]
        deal = self.get_object(request, str(object_id)) if offered else None
        return offered if deal and self.may(request, "change", deal) else []

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Opportunity:
        return opportunities.begin(at=now(), by=doer(request), **values)

    def correct(self, request: HttpRequest, record: Opportunity, values: dict[str, Any]) -> Opportunity:
        return opportunities.change(record, at=now(), by=doer(request), **values)

    # --- the page ----------------------------------------------------------------------------------

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        if request.method == "POST" and "deed" in request.POST:
            return self.in_place(request, object_id)
        return self.shown(request, object_id, form_url, extra_context)

    def shown(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None, *, tried: Tried | None = None
    ) -> Any:
        """Show the page, with a form that was refused as it was typed."""
        deal = self.get_object(request, object_id) if request.method == "GET" else None
        panels = self.panels(request, deal, tried) if deal else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | panels)

    def in_place(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Do what a form on the page asks; when the rule refuses, show the page again with its sentence beside that form."""
        name = request.POST["deed"]
        deal = self.record(request, object_id, "change" if name in deal_deeds.OF_THE_DEAL else "view")
        begin = (deal_deeds.OF_THE_DEAL | deal_deeds.BESIDE_THE_DEAL).get(name)
        if begin is None:
            raise Http404
        deed = begin(request, stale.as_seen(request, deal), request.POST)
        if deed.form.is_valid():
            try:
                deed.rule(at=now(), **deed.form.cleaned_data)
            except CrmError as refusal:
                return self.refused_in_place(request, object_id, deed, str(refusal))
            messages.success(request, str(deed.done))
            return redirect(page_of(deal))
        return self.refused_in_place(request, object_id, deed, str(_("Fill in what is marked.")))

    def refused_in_place(self, request: HttpRequest, object_id: str, deed: Deed, sentence: str) -> HttpResponse:
        """Show the page as it is now, with what was typed."""
        name, about = request.POST["deed"], request.POST.get("about", "")
        again = copy(request)
        again.__dict__["records_seen"], again.__dict__["rights_known"] = {}, {}
        again.method, again.POST = "GET", QueryDict()
        page: HttpResponse = self.shown(again, object_id, tried=Tried(f"{name}-{about}" if about else name, deed.form, sentence))
        return page

    def panels(self, request: HttpRequest, deal: Opportunity, tried: Tried | None) -> dict[str, Any]:
        """Collect what the page shows above the form, in a fixed number of queries."""
        sees_account = access.sees_account_of(request.user, deal)
        sheet = Sheet(
            request=request,
            deal=deal,
            at=now(),
            may_change=self.may(request, "change", deal),
            sees_account=sees_account,
            may_assign=bool(sees_account and deal.account_id and request.user.has_perm("crm.add_dmumembership")),
            tried=tried,
        )
        moves = list(deal.moves.select_related("moved_by").order_by("moved_at", "id")[:50])
        letters = deal_panels.bant_panel(sheet)
        panels = {
            "deal": deal,
            "sheet": sheet,
            "as_seen_deal": stale.version(deal),
            "amount": money(deal),
            "days_late": (policy.day_of(sheet.at) - deal.expected_close_on).days if deal.expected_close_on and deal.is_open else 0,
            "log_activity": reverse("admin:crm_activity_add") + f"?opportunity={deal.pk}&account={deal.account_id or ''}",
            "steps": deal_panels.stage_bar(sheet, moves),
            "bant": letters,
            "next": deal_panels.next_panel(sheet, letters),
            "roles": deal_panels.dmu_panel(sheet) if sees_account and deal.account_id else [],
            "pilots": deal_panels.pilot_panel(sheet),
            "closing": deal_panels.close_spots(sheet),
            "moves": deal_panels.days_per_move(moves, sheet.at),
            "tasks": deal_panels.task_panel(sheet),
            "activities": activity_rows(deal_panels.activities(deal)) if sees_account and deal.account_id else [],
        }
        if tried and not sheet.is_shown:
            messages.error(request, tried.refusal)
        return panels

    # --- the same deeds on pages of their own: for links from elsewhere -----------------------------

    def on_a_page(self, request: HttpRequest, object_id: str, begin: Callable[..., Deed], **about: Any) -> HttpResponse:
        deal = stale.as_seen(request, self.record(request, object_id))
        deed = begin(request, deal, request.POST if request.method == "POST" else None, **about)
        return self.ask(request, deal, deed.form, deed.rule, title=deed.title, done=deed.done)

    @action(description=_("Confirm BANT"), url_path="confirm", icon="verified", permissions=["change"])
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.on_a_page(request, object_id, deal_deeds.confirm)

    def withdraw(self, request: HttpRequest, object_id: str, confirmation_id: int) -> HttpResponse:
        return self.on_a_page(request, object_id, deal_deeds.withdraw, confirmation_id=confirmation_id)

    @action(description=_("Next stage"), url_path="advance", icon="arrow_forward", permissions=["change"])
    def advance(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.on_a_page(request, object_id, deal_deeds.advance)

    @action(description=_("Lost"), url_path="lose", icon="thumb_down", permissions=["change"])
    def lose(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.on_a_page(request, object_id, deal_deeds.lose)

    @action(description=_("Reopen"), url_path="reopen", icon="replay", permissions=["change"])
    def reopen(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.on_a_page(request, object_id, deal_deeds.reopen)

    @action(description=_("Start a pilot"), url_path="start-pilot", icon="science", permissions=["change"])
    def start_pilot(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.on_a_page(request, object_id, deal_deeds.start_pilot)

    @action(description=_("Name the account"), url_path="name-account", icon="domain_add", permissions=["change"])
    def name_account(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.on_a_page(request, object_id, deal_deeds.name_account)

    def get_urls(self) -> list[URLPattern]:
        withdraw = self.admin_site.admin_view(self.withdraw)
        return [path("<path:object_id>/withdraw/<int:confirmation_id>/", withdraw, name="crm_opportunity_withdraw"), *super().get_urls()]
