"""Scores by day, and the numbers that made them: to look at, written by the nightly run and by refreshes."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from abm.models import AccountFit, AccountStanding, EngagementScore, ScoreParameters
from crm.admin.lists import bar, change_arrow
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin
from crm.models import Account


@admin.register(EngagementScore)
class EngagementScoreAdmin(ReadOnlyAdmin):
    """Scores, one row per account and day."""

    place = Place("marketing", 2, "show_chart", _("Score history"))
    list_display = ["account", "day", "score_shown", "weighted", "breadth_shown"]
    list_select_related = ["account"]
    search_fields = ["account__name", "account__domain"]
    ordering = ["-day", "-score"]

    @display(description=_("score"), ordering="score")
    def score_shown(self, row: EngagementScore) -> str:
        return bar(row.score)

    @display(description=_("weighted points"), ordering="weighted_points")
    def weighted(self, row: EngagementScore) -> str:
        return number_format(row.weighted_points, 1)

    @display(description=_("breadth"), ordering="breadth")
    def breadth_shown(self, row: EngagementScore) -> str:
        return number_format(row.breadth, 2)


@admin.register(AccountStanding)
class AccountStandingAdmin(ReadOnlyAdmin):
    """Standings: what the account list shows, as it is kept."""

    list_display = ["account", "as_of", "score_shown", "change", "fit", "coverage_percent", "refreshed_at"]
    list_select_related = ["account"]
    search_fields = ["account__name", "account__domain"]
    ordering = ["-score", "account"]

    @display(description=_("score"), ordering="score")
    def score_shown(self, row: AccountStanding) -> str:
        return bar(row.score)

    @display(description=_("change in 7 days"), ordering="momentum")
    def change(self, row: AccountStanding) -> str:
        return change_arrow(float(row.momentum))


@admin.register(AccountFit)
class AccountFitAdmin(ReadOnlyAdmin):
    """Fits, each with the profile that gave it."""

    list_display = ["account", "points_shown", "profile", "computed_at"]
    list_select_related = ["account", "profile"]
    search_fields = ["account__name", "account__domain"]
    ordering = ["-points", "account"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(account__in=Account.objects.visible_to(request.user))

    @display(description=_("fit"), ordering="points")
    def points_shown(self, row: AccountFit) -> str:
        return bar(row.points)


@admin.register(ScoreParameters)
class ScoreParametersAdmin(ReadOnlyAdmin):
    """Versions of the score's numbers: judgement, not fitted to outcomes."""

    list_display = ["version", "first_used_at"]
