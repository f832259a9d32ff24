"""Reports: one page for all of them, with a form for period and choices, bars, the table, and the same as a file."""

from datetime import date
from io import BytesIO
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from abm import reports
from abm.kept_reports import words
from abm.models import ReportSnapshot
from abm.reports import Report, Table, channels, wording
from abm.reports.facts import NONE
from crm.admin import deeds
from crm.admin.exports import KINDS
from crm.admin.sidebar import Place, add_page
from crm.admin.site import ReadOnlyAdmin, doer, page_of
from crm.errors import CrmError
from crm.exports.sheets import WRITERS
from crm.policy import day_of

# More bars nobody reads; the table has every row.
BARS_SHOWN = 24

# What fills a report that has no rows: who may do it, where, and what the button says; by the permission the report asks for.
DEALS_FIRST = ("crm.add_opportunity", "admin:crm_opportunity_add", _("Record a deal"))
STEPS = {channels.BUDGET: ("abm.add_budgetline", "admin:abm_budgetline_add", _("Add a budget line"))}

add_page(
    Place("marketing", -2, "leaderboard", _("Reports")),
    "admin:abm_reportsnapshot_reports",
    lambda request: bool(reports.open_to(doer(request))),
)


class AskForm(forms.Form):
    """Ask for the period and for what a report lets one choose."""

    def __init__(self, report: Report, user: Any, data: Any) -> None:
        super().__init__(data)
        self.fields["from"] = deeds.DayField(label=_("From"), required=False)
        self.fields["to"] = deeds.DayField(label=_("To"), required=False)
        for choice in report.choices:
            values = [(value, capfirst(str(label))) for value, label in choice.values(user)]
            self.fields[choice.name] = forms.ChoiceField(
                label=capfirst(str(choice.label)), choices=values, required=False, widget=UnfoldAdminSelectWidget()
            )

    @property
    def days(self) -> tuple[date | None, date | None]:
        """Give the first and the last day asked for."""
        return self.cleaned_data.get("from"), self.cleaned_data.get("to")

    @property
    def given(self) -> dict[str, str]:
        """Give what was chosen besides the period."""
        return {name: value for name, value in self.cleaned_data.items() if name not in ("from", "to") and value}


@admin.register(ReportSnapshot)
class ReportSnapshotAdmin(ReadOnlyAdmin):
    """Reports as they were kept, and the pages of all reports."""

    place = Place("marketing", -1, "mark_email_read", _("Weekly reports"))
    list_display = ["kind", "first_day", "last_day", "user", "made_at", "mailed_at"]
    list_select_related = ["user"]
    fields = ["kind", "user", "first_day", "last_day", "made_at", "mailed_at", "definitions"]
    list_filter = ["kind"]
    nothing_yet = _("The first weekly report is made on Monday morning.")

    class Media:
        css = {"all": ["crm/jobs.css", "abm/reports.css"]}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("reports/", view(self.overview), name="abm_reportsnapshot_reports"),
            path("reports/<slug:report>/", view(self.page), name="abm_reportsnapshot_report"),
            path("reports/<slug:report>/<slug:file_format>/", view(self.file), name="abm_reportsnapshot_file"),
            *super().get_urls(),
        ]

    def overview(self, request: HttpRequest) -> HttpResponse:
        """List the reports that there are."""
        found = reports.open_to(doer(request))
        if not found:
            raise PermissionDenied
        listed = [(report, reverse("admin:abm_reportsnapshot_report", args=[report.slug])) for report in found]
        context = self.admin_site.each_context(request) | {"title": _("Reports"), "media": self.media, "listed": listed}
        return TemplateResponse(request, "abm/admin/reports.html", context)

    def page(self, request: HttpRequest, report: str) -> HttpResponse:
        """Show one report: the form, what was asked for, and why it cannot be answered."""
        found = self.found(request, report)
        form = AskForm(found, doer(request), request.GET)
        table = self.asked(request, found, form)
        context = self.admin_site.each_context(request) | {
            "title": found.title,
            "media": self.media + form.media,
            "report": found,
            "form": form,
            "others": [(each, reverse("admin:abm_reportsnapshot_report", args=[each.slug])) for each in reports.open_to(doer(request))],
            "files": [
                (kind.upper(), f"{reverse('admin:abm_reportsnapshot_file', args=[found.slug, kind])}?{request.GET.urlencode()}")
                for kind in KINDS
            ],
            "next_step": next_step(request, found),
            **(laid_out(table) if table else {}),
        }
        return TemplateResponse(request, "abm/admin/report.html", context)

    def file(self, request: HttpRequest, report: str, file_format: str) -> HttpResponse | FileResponse:
        """Hand the table over as CSV or Excel, with the figures as the API gives them."""
        if file_format not in KINDS:
            raise Http404
        found = self.found(request, report)
        table = self.asked(request, found, AskForm(found, doer(request), request.GET))
        if table is None:
            return self.page(request, report)
        stream = BytesIO()
        headings = [capfirst(str(column.label)) for column in found.columns]
        cells = [[row[column.name] for column in found.columns] for row in table.rows]
        WRITERS[file_format](stream, headings, [cells], progress=lambda _done: True)
        stream.seek(0)
        name = f"{found.slug}-{table.period.today:%Y-%m-%d}.{file_format}"
        return FileResponse(stream, as_attachment=True, filename=name, content_type=KINDS[file_format])

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """Show a kept report as it was, with the ones before and after it."""
        snapshot = self.record(request, object_id, "view")
        mine = ReportSnapshot.objects.filter(kind=snapshot.kind, user=snapshot.user_id)
        context = self.admin_site.each_context(request) | {
            "title": words.title(snapshot),
            "media": self.media,
            "snapshot": snapshot,
            "told": words.told(snapshot),
            "earlier": _page(mine.filter(last_day__lt=snapshot.first_day).order_by("-first_day").first()),
            "later": _page(mine.filter(first_day__gt=snapshot.last_day).order_by("first_day").first()),
        }
        return TemplateResponse(request, "abm/admin/kept_report.html", context)

    def found(self, request: HttpRequest, slug: str) -> Report:
        """Give the report of an address; 404 for one that this user may not see."""
        try:
            return reports.find(slug, doer(request))
        except reports.NoSuchReport as error:
            raise Http404(str(error)) from error

    def asked(self, request: HttpRequest, report: Report, form: AskForm) -> Table | None:
        """Compute what the form asks for; say above the page what is in the way."""
        if not form.is_valid():
            return None
        first, last = form.days
        try:
            period = reports.period_of(first, last, today=day_of(now()))
            return reports.ask(report, period=period, user=doer(request), given=form.given)
        except CrmError as error:
            messages.error(request, str(error))
            return None


def _page(snapshot: ReportSnapshot | None) -> str:
    return page_of(snapshot) if snapshot else ""


def laid_out(table: Table) -> dict[str, Any]:
    """Give a table and its bars in words."""
    columns = [column for column in table.report.columns if not column.is_code and not _says_nothing(column.name, table)]
    return {
        "columns": [(column, wording.is_number(column)) for column in columns],
        "rows": [[(wording.shown(column, row), wording.is_number(column)) for column in columns] for row in table.rows],
        "counted_over": counted_over(table),
        "has_help": any(column.help for column in columns),
        "notes": table.notes,
        "bars": bars(table),
        "legend": legend(table),
        "more_rows": max(0, len(table.rows) - BARS_SHOWN),
    }


def counted_over(table: Table) -> str:
    """Say which days the figures are of, and in which currency."""
    first, last = (date_format(day, "SHORT_DATE_FORMAT") if day else "" for day in (table.period.first, table.period.last))
    days = f"{first} – {last}" if first or last else str(_("all days"))
    return " · ".join(filter(None, [days, table.chosen.get("currency", "")]))


def next_step(request: HttpRequest, report: Report) -> tuple[Any, str] | None:
    """Give what a reader may do about a report without rows: label and address."""
    needed, address, label = STEPS.get(report.permission, DEALS_FIRST)
    return (label, reverse(address)) if request.user.has_perm(needed) else None


def _says_nothing(name: str, table: Table) -> bool:
    """Say whether a column is empty in every row, or only repeats that nothing is told apart beside another that names the rows."""
    label = table.report.chart.label if table.report.chart else name
    is_empty = bool(table.rows) and all(row[name] == "" for row in table.rows)
    return is_empty or (name == "group" != label and table.chosen.get("by") == NONE)


def legend(table: Table) -> list[str]:
    """Name the figures that the bars show."""
    names = {column.name: capfirst(str(column.label)) for column in table.report.columns}
    return [names[name] for name in table.report.chart.values] if table.report.chart else []


def bars(table: Table) -> list[dict[str, Any]]:
    """Give for each row its name, and each of its bars with length and figure."""
    chart = table.report.chart
    if chart is None:
        return []
    columns = {column.name: column for column in table.report.columns}
    rows = list(table.rows[:BARS_SHOWN])
    found = []
    for row, lengths in zip(rows, wording.widths(rows, chart.values), strict=True):
        pairs = zip(chart.values, lengths, strict=True)
        drawn = [{"figure": wording.shown(columns[name], row), "percent": f"{length:.2f}"} for name, length in pairs]
        name = wording.shown(columns[chart.label], row)
        is_grouped = "group" in columns and chart.label != "group" and not _says_nothing("group", table)
        found.append({"name": f"{row['group']}: {name}" if is_grouped else name, "bars": drawn})
    return found
