"""The account page of crm, with what abm knows: fit, score, momentum, journey phase, and why."""

from typing import Any

from django.db.models import OuterRef, Subquery
from django.db.models.functions import JSONObject
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.timezone import now

from abm import departures, engagement, icp, score_numbers
from abm.admin import journey, sparkline
from abm.admin.why import did, roles_of, why
from abm.models import AccountStanding, JobChangeSignal, SignalEvidence, StateMark, TargetAccount, TargetList
from crm import policy
from crm.admin.account_page import AccountPage as CrmAccountPage
from crm.admin.lists import bar, change_arrow
from crm.models import Account


class AccountPage(CrmAccountPage):
    """The page of one account with its figures."""

    change_form_outer_before_template = "abm/admin/account_page.html"
    read_along = [*CrmAccountPage.read_along, "standing", "fit", "journey"]

    class Media:
        css = {"all": ["abm/journey.css"]}

    def get_urls(self) -> list[Any]:
        did_page = path("<path:object_id>/did/<int:contact>/", self.admin_site.admin_view(self.did), name="crm_account_did")
        unfolded = path("<path:object_id>/journey/", self.admin_site.admin_view(self.journey), name="crm_account_journey")
        return [did_page, unfolded, *super().get_urls()]

    def journey(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Tell what shows each phase now, how long the account was in each, and when it changed; read when somebody unfolds it."""
        account = self.record(request, object_id, "view")
        return TemplateResponse(request, "abm/admin/parts/journey.html", journey.unfolded(account, today=policy.day_of(now())))

    def did(self, request: HttpRequest, object_id: str, contact: int) -> HttpResponse:
        """Tell what one person, or with 0 the anonymous visitors, did for the score; read when somebody unfolds the name."""
        account = self.record(request, object_id, "view")
        explanation = engagement.explain(account, as_of=policy.day_of(now()))
        return TemplateResponse(request, "abm/admin/parts/did.html", {"did": did(account, explanation, contact or None)})

    def of_page(self, request: HttpRequest, rows: Any) -> Any:
        today = policy.day_of(now())
        return (
            super()
            .of_page(request, rows)
            .annotate(
                slot=slot(request),
                score_version=scored_with(),
                people_left=departures.left_lately(today),
                people_there=departures.at_work(today),
            )
        )

    def panels(self, request: HttpRequest, account: Account) -> dict[str, Any]:
        today, fit = policy.day_of(now()), getattr(account, "fit", None)
        crm, numbers = super().panels(request, account), score_numbers.in_force()
        explanation = engagement.explain(account, as_of=today, numbers=numbers)
        version = account.score_version  # type: ignore[attr-defined]
        return (
            crm
            | figures(account, today=today)
            | {
                "fit_reasons": [{"words": icp.in_words(row), "points": row["points"], "of": row["of"]} for row in fit.reasons]
                if fit
                else [],
                "older_version": version if version != numbers.version else "",
                "why": why(account, explanation, crm["working_there"], roles_of(crm["coverage"])),
                "churn": churn(account),
                "signals": open_signals(request, account),
                "slot": account.slot,  # type: ignore[attr-defined]
                "journey": journey.panel(account, today=today),
            }
        )


def figures(account: Account, *, today: Any) -> dict[str, Any]:
    """Give the figures at the top of the page; nothing of an account that was never scored."""
    standing = standing_of(account)
    if standing is None:
        return {"standing": None}
    return {
        "standing": standing,
        "spark": sparkline.draw(sparkline.of_account(account, today=today), today=today),
        "fit_bar": bar(standing.fit),
        "coverage_bar": bar(standing.coverage_percent, shown=f"{standing.coverage_percent} %"),
        "momentum": change_arrow(float(standing.momentum)),
    }


def open_signals(request: HttpRequest, account: Account) -> Any:
    """Give the open job-change signals with the latest evidence of each, in one query."""
    signals = JobChangeSignal.objects.visible_to(request.user).open().filter(account=account)
    latest = SignalEvidence.objects.filter(signal=OuterRef("pk")).order_by("-seen_at", "-pk")
    return signals.select_related("contact__person").annotate(said=Subquery(latest.values("text")[:1]))[:10]


def churn(account: Any) -> departures.Churn:
    """Give how many of the people we knew here have left, from what the page's own query counted."""
    return departures.Churn(account.people_left, account.people_left + account.people_there)


def slot(request: HttpRequest) -> Subquery:
    """Select the place of an account on a list that is at work, or else on one that is being made, as {list, name, slot, status}."""
    lists = TargetList.objects.visible_to(request.user).exclude(status=TargetList.Status.CLOSED)
    places = TargetAccount.objects.filter(account=OuterRef("pk"), target_list__in=lists).order_by("target_list__status", "-pk")
    facts = JSONObject(list="target_list_id", name="target_list__name", slot="slot", status="target_list__status")
    return Subquery(places.values(facts=facts)[:1])


def scored_with() -> Subquery:
    """Select the version of the numbers with which an account's score was made."""
    return Subquery(StateMark.objects.filter(pk=OuterRef("pk")).values("version")[:1])


def standing_of(account: Account) -> AccountStanding | None:
    """Give where an account stands; none when it was never scored."""
    return getattr(account, "standing", None)
