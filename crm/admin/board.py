"""The pipeline as a board: a column for each stage, and one address that moves a card and says what became of it."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.admin import deal_deeds, deal_panels, stale
from crm.admin.board_cards import lanes, totals
from crm.admin.board_filters import Wanted
from crm.admin.deal_deeds import Deed
from crm.admin.opportunity_page import OpportunityPage
from crm.admin.sidebar import Place, add_page
from crm.admin.site import page_of
from crm.errors import BantGateClosed, CrmError
from crm.models import Opportunity

add_page(
    Place("selling", 4, "view_kanban", gettext_lazy("Pipeline")),
    "admin:crm_opportunity_board",
    lambda request: request.user.has_perm("crm.view_opportunity"),
)


class PipelineBoard(OpportunityPage):
    """The board, and the moves on it."""

    def board(self, request: HttpRequest) -> HttpResponse:
        """Show the deals that the filters leave, stage by stage."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = Wanted.of(request, request.GET)
        context = self.admin_site.each_context(request) | {
            "title": _("Pipeline"),
            "media": self.media,
            "wanted": wanted,
            "has_add_permission": self.has_add_permission(request),
            **self.columns(request, wanted),
        }
        return TemplateResponse(request, "crm/admin/board.html", context)

    def columns(self, request: HttpRequest, wanted: Wanted) -> dict[str, Any]:
        """Collect what the filters leave: cards by stage, and their sums."""
        at = now()
        shown = lanes(self.get_queryset(request), wanted, request.user, at=at)
        return {"lanes": shown, "totals": totals(shown), "wanted": wanted}

    def move(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Move a deal to another stage: at once, or after what the step asks; a refusal comes with what mends it."""
        if request.method != "POST":
            return redirect("admin:crm_opportunity_board")
        deal = stale.as_seen(request, self.record(request, object_id))
        to, is_asked = request.POST.get("to", ""), "asked" in request.POST
        deed = deal_deeds.step(request, deal, to, request.POST if is_asked else None)
        if deed.form.fields and not deed.form.is_valid():
            return self.answer(request, deal, question=deed)
        try:
            deed.rule(at=now(), **(deed.form.cleaned_data if deed.form.fields else {}))
        except CrmError as refusal:
            return self.answer(request, deal, refusal=refusal, question=deed if deed.form.fields else None)
        return self.answer(request, deal, said=_("%(deal)s: %(done)s") % {"deal": deal.name, "done": deed.done})

    def answer(
        self, request: HttpRequest, deal: Opportunity, *, said: str = "", refusal: CrmError | None = None, question: Deed | None = None
    ) -> HttpResponse:
        """Answer a script with the board as it is now, and a browser without one with a page."""
        filters = QueryDict(request.POST.get("filters", ""))
        about = {
            "deal": deal,
            "deed": question,
            "to": request.POST.get("to", ""),
            "filters": filters.urlencode(),
            "as_seen": request.POST.get(stale.FIELD, ""),
            "refusal": str(refusal) if refusal else "",
            "mends": self.mends(request, deal, refusal),
            "page": page_of(deal),
        }
        if "application/json" in request.headers.get("Accept", ""):
            dialog = render_to_string("crm/admin/board/dialog.html", about, request) if question or refusal else ""
            board = render_to_string("crm/admin/board/columns.html", self.columns(request, Wanted.of(request, filters)), request)
            return JsonResponse({"said": said or about["refusal"], "dialog": dialog, "board": board})
        if question:
            page = self.admin_site.each_context(request) | about | {"title": question.title, "opts": self.opts, "media": self.media}
            return TemplateResponse(request, "crm/admin/board/question.html", page)
        (self.message_user(request, about["refusal"], "ERROR") if refusal else self.message_user(request, said, "SUCCESS"))
        return redirect(f"{reverse('admin:crm_opportunity_board')}?{filters.urlencode()}")

    def mends(self, request: HttpRequest, deal: Opportunity, refusal: CrmError | None) -> list[dict[str, Any]]:
        """Give what a closed gate lacks, each with the place on the deal's page that mends it."""
        if not isinstance(refusal, BantGateClosed):
            return []
        standing = set(deal.confirmations.standing().values_list("kind", flat=True))
        return deal_panels.mends(deal, refusal.missing, standing)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("board/", view(self.board), name="crm_opportunity_board"),
            path("<path:object_id>/move/", view(self.move), name="crm_opportunity_move"),
            *super().get_urls(),
        ]
