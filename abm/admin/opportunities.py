"""Opportunities, with the journey of the account on the page of a deal, and the deal's own stage as evidence of it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from abm.admin import journey
from abm.journey import rules
from abm.models import Phase
from crm import policy
from crm.admin.opportunities import OpportunityAdmin as CrmOpportunityAdmin
from crm.models import Opportunity

admin.site.unregister(Opportunity)


@admin.register(Opportunity)
class OpportunityAdmin(CrmOpportunityAdmin):
    """Opportunities, each with where its account is."""

    change_form_outer_before_template = "abm/admin/opportunity_page.html"

    class Media:
        css = {"all": ["abm/journey.css"]}

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read along where the account of one deal is."""
        deals, match = super().get_queryset(request), request.resolver_match
        return deals.select_related("account__journey") if match and "object_id" in match.kwargs else deals

    def panels(self, request: HttpRequest, deal: Opportunity, tried: Any) -> dict[str, Any]:
        panels = super().panels(request, deal, tried)
        if not panels["sheet"].sees_account or deal.account is None:
            return panels
        shown = rules.phase_of_deal(deal.stage)
        found = journey.panel(deal.account, today=policy.day_of(panels["sheet"].at))
        steps = journey.steps(journey.placement_of(deal.account), deal=shown)
        return panels | {"journey": found | {"steps": steps, "deal_shows": shown if shown != Phase.NONE else None}}
