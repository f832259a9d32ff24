"""The page on mail that came back: a chart of the last days, what to do about each kind, and the domains it came from."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import policy, returned_mail
from crm.admin import bar_chart
from crm.admin.sidebar import Place, add_page
from crm.admin.site import ReadOnlyAdmin, doer

NAMES: dict[str, Promise] = {
    "gone": gettext_lazy("person gone or mailbox moved"),
    "company": gettext_lazy("domain gone"),
    "blocked": gettext_lazy("refused: policy or content"),
    "passing": gettext_lazy("will pass: full or temporary"),
    "other": gettext_lazy("other"),
}
ADVICE: dict[str, Promise] = {
    "gone": gettext_lazy("Somebody may have left: decide under Job changes."),
    "company": gettext_lazy("The company may have been renamed or merged: ask for its new domain."),
    "blocked": gettext_lazy("Their mail server refuses us: look at SPF, DKIM and DMARC, at block lists, and at what the mail says."),
    "passing": gettext_lazy("Nothing to do: the mail service tries again."),
    "other": gettext_lazy("Read the evidence of the reports."),
}
# The outcome by which the list of reports is filtered for a kind; empty where several would be needed.
FILTERS = {"gone": "person_gone", "company": "domain_gone", "blocked": "blocked_policy", "passing": "temporary", "other": "other"}
add_page(
    Place("events", 5, "monitoring", gettext_lazy("Deliverability")),
    "admin:crm_deliveryreport_lately",
    lambda request: request.user.has_perm("crm.view_deliveryreport"),
)


class ReturnedMailPage(ReadOnlyAdmin):
    """Adds the page to the list of reports."""

    class Media:
        css = {"all": ["crm/returned_mail.css"]}

    def get_urls(self) -> list[URLPattern]:
        lately = self.admin_site.admin_view(self.lately)
        return [path("lately/", lately, name="crm_deliveryreport_lately"), *super().get_urls()]

    def lately(self, request: HttpRequest) -> HttpResponse:
        """Show what came back lately."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = returned_mail.lately(doer(request), at=now())
        context = self.admin_site.each_context(request) | {
            "title": _("Deliverability"),
            "media": self.media,
            "found": found,
            "look_back": policy.MAIL.looked_back_days,
            "kinds": kinds(found),
            "names": NAMES,
            "chart": chart(found),
            "rows": [(day, [day.kinds.get(kind, 0) for kind in NAMES]) for day in reversed(found.days) if day.sent or day.reports],
            "domains": [(row, [row[kind] for kind in NAMES], percent(row["failed"], row["sent"])) for row in found.domains],
            "arrived": percent(found.arrived, found.sent),
        }
        return TemplateResponse(request, "crm/admin/returned_mail.html", context)


def kinds(found: returned_mail.Returned) -> list[dict[str, Any]]:
    """Give each kind with its count and what to do about it."""
    counts = found.kinds
    return [{"code": kind, "name": NAMES[kind], "count": counts[kind], "advice": ADVICE[kind], "outcome": FILTERS[kind]} for kind in NAMES]


def chart(found: returned_mail.Returned) -> str:
    """Draw the reports of each day."""
    said = "; ".join(f"{NAMES[kind]}: {count}" for kind, count in found.kinds.items() if count)
    words = _("Reports per day. Over all days: %(said)s.") % {"said": said or _("none")}
    return bar_chart.draw([bar_chart.Bar(day.day, {kind: day.kinds.get(kind, 0) for kind in NAMES}) for day in found.days], words=words)


def percent(part: int, whole: int) -> float:
    """Give a share in percent; 0 of nothing."""
    return 100 * part / whole if whole else 0.0
