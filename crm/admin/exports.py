"""Exports: choose columns and format, get the file at once or watch it being written, and see who took what."""

from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import Model, QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.text import capfirst, slugify
from django.utils.timezone import localdate, now
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from crm import exports, policy, tasks
from crm.admin import deeds
from crm.admin.lists import bar, chip
from crm.admin.progress import answer_poll, progress_of
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, doer, page_of
from crm.errors import CrmError, Invalid, NotAllowed
from crm.models import Export, User

TONES = {"queued": "assumed", "running": "known", "finished": "engaged", "handed_over": "plain", "failed": "lost", "removed": "missing"}
SIGNS = {"queued": "…", "running": "▸", "finished": "✓", "handed_over": "✓", "failed": "✕", "removed": "–"}
KINDS = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
# What belongs to the page of a list, or to this form, and filters nothing.
NO_FILTERS = ("list", "ids", "p", "all", "e", "_facets", "_popup", "o_saved", "action")
PICKED_AT_MOST = 1_000


def as_listed(user: User, model: type[Model], query: str) -> QuerySet[Any]:
    """Give a list as the user has it on screen; the filters are the admin's, so it is the admin that reads them."""
    request = HttpRequest()
    request.method, request.GET, request.user = "GET", QueryDict(query), user
    try:
        listed: QuerySet[Any] = admin.site.get_model_admin(model).get_changelist_instance(request).queryset
    except (IncorrectLookupParameters, SuspiciousOperation) as error:
        raise Invalid(_("These filters cannot be read. Open the list again and export from there.")) from error
    return listed


exports.narrow_with(as_listed)


class Choose(forms.Form):
    """Ask for columns and format; what is exported stands in the address of the form."""

    file_format = forms.ChoiceField(label=_("Format"), choices=Export.Format.choices, widget=forms.RadioSelect, initial=Export.Format.XLSX)
    columns = forms.MultipleChoiceField(
        label=_("Columns"), widget=forms.CheckboxSelectMultiple, error_messages={"required": _("Choose at least one column.")}
    )

    def __init__(self, *args: Any, listing: exports.Listing, last: Export | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = cast(forms.MultipleChoiceField, self.fields["columns"])
        offered.choices = [(column.name, capfirst(str(column.label))) for column in listing.columns.values()]
        usual = [column.name for column in listing.columns.values() if column.is_usual]
        self.initial = {"columns": last.columns if last else usual, "file_format": last.format if last else Export.Format.XLSX}
        for column, widget in zip(listing.columns.values(), self["columns"], strict=True):
            widget.data["attrs"]["data-usual"] = "yes" if column.is_usual else ""


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    """Exports; the row is the record of who took what, so it stays when the file goes."""

    place = Place("data", 2, "download")
    list_display = ["title", "state_shown", "rows_shown", "owner", "created_at", "do"]
    list_display_links = ["title"]
    list_select_related = ["owner"]
    list_before_template = "crm/admin/exports/list_top.html"

    class Media:
        css = {"all": ["crm/jobs.css"]}

    # --- the list ----------------------------------------------------------------------------------

    @display(description=_("list"), ordering="what", header=True)
    def title(self, export: Export) -> list[str]:
        return [name_of(export), f"{export.format.upper()} · {columns_counted(export)}"]

    @display(description=_("state"), ordering="state")
    def state_shown(self, export: Export) -> str:
        return chip(export.get_state_display(), TONES[export.state], sign=SIGNS[export.state], title=export.error)

    @display(description=_("rows"))
    def rows_shown(self, export: Export) -> str:
        if export.state != Export.State.RUNNING or not export.rows_total:
            return number_format(export.rows_total, force_grouping=True)
        return bar(100 * export.rows_done / export.rows_total, shown=f"{round(100 * export.rows_done / export.rows_total)} %")

    @display(description=_("do"))
    def do(self, export: Export) -> str:
        if export.state != Export.State.FINISHED:
            return ""
        return format_html('<a class="q-button" href="{}">{}</a>', reverse("admin:crm_export_download", args=[export.pk]), _("Download"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        lists = [(capfirst(str(listing.label)), address_of(listing.what)) for listing in exports.lists_for(doer(request))]
        return super().changelist_view(request, {"exportable": lists} | (extra_context or {}))

    # --- one export --------------------------------------------------------------------------------

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        export = self.record(request, object_id, "view")
        context = self.frame(request, name_of(export)) | {
            "export": export,
            "columns": column_names(export),
            "is_mine": export.owner_id == request.user.pk,
            "may_remove": self.may(request, "delete", export) and export.state not in (Export.State.REMOVED, Export.State.HANDED_OVER),
            "days": policy.RETENTION.export_file_days,
            "progress": self.progress(export),
        }
        return TemplateResponse(request, "crm/admin/exports/page.html", context)

    def frame(self, request: HttpRequest, title: Any) -> dict[str, Any]:
        """Give what every page of the admin needs around its own."""
        frame: dict[str, Any] = self.admin_site.each_context(request)
        return frame | {"title": title, "opts": self.opts, "media": self.media}

    def progress(self, export: Export) -> dict[str, Any]:
        """Give how far it is; there is nothing to watch when no worker is meant to be at it."""
        is_live = export.state in (Export.State.QUEUED, Export.State.RUNNING)
        return progress_of(export, is_live=is_live, poll=reverse("admin:crm_export_progress", args=[export.pk]), at=now())

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        export = self.record(request, object_id, "view")
        return answer_poll(request, export, self.progress(export))

    def download_view(self, request: HttpRequest, object_id: str) -> HttpResponse | FileResponse:
        """Hand the file to its owner, and to nobody else."""
        export = self.record(request, object_id, "view")
        try:
            return as_file(exports.opened(export, by=doer(request)), export)
        except NotAllowed as refusal:
            raise PermissionDenied from refusal
        except FileNotFoundError as error:
            raise Http404 from error
        except CrmError as refusal:
            messages.error(request, str(refusal))
            return redirect(page_of(export))

    def remove_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then delete the file or stop the writing."""
        export = self.record(request, object_id, "delete")

        def remove(*, at: Any) -> None:
            exports.remove(export, at=at)

        warning = _("The file goes for good. That you took this list out stays on record.")
        form = deeds.Nothing(deeds.filled(request))
        return self.ask(request, export, form, remove, title=_("Delete the file"), done=_("The file is deleted."), warning=warning)

    # --- a new one ---------------------------------------------------------------------------------

    def new_view(self, request: HttpRequest) -> HttpResponse | FileResponse:
        """Ask for columns and format of one list; without a list, which."""
        if not request.user.has_perm("crm.add_export"):
            raise PermissionDenied
        try:
            listing = exports.listing_of(request.GET.get("list", ""), by=doer(request))
        except NotAllowed as refusal:
            raise PermissionDenied from refusal
        except Invalid:
            return redirect(self.list_address())
        last = Export.objects.filter(owner=request.user.pk, what=listing.what).first()
        form = Choose(deeds.filled(request), listing=listing, last=last)
        if request.method == "POST" and form.is_valid() and (answer := self.begin_export(request, listing, form)):
            return answer
        return self.ask_for_columns(request, listing, form)

    def begin_export(self, request: HttpRequest, listing: exports.Listing, form: Choose) -> HttpResponse | FileResponse | None:
        """Begin what the form asks; None, with a message, when the rule refuses."""
        asked: dict[str, Any] = {"query": filters_of(request), "picked": picked(request), "language": get_language() or "en"}
        try:
            export = exports.begin(what=listing.what, **asked, **form.cleaned_data, by=doer(request), at=now())
        except CrmError as refusal:
            messages.error(request, str(refusal))
            return None
        if export.state == Export.State.HANDED_OVER:
            return handed_over(export)
        tasks.enqueue(tasks.make_export, export.pk)
        return redirect(page_of(export))

    def ask_for_columns(self, request: HttpRequest, listing: exports.Listing, form: Choose) -> HttpResponse:
        query, ids = filters_of(request), picked(request)
        back = f"{reverse(f'admin:{listing.model._meta.app_label}_{listing.model._meta.model_name}_changelist')}?{query}"
        try:
            count = exports.waiting_for(listing.what, query=query, picked=ids, by=doer(request))
        except Invalid as refusal:
            messages.error(request, str(refusal))
            return redirect(back.partition("?")[0])
        context = self.frame(request, _("Export: %(list)s") % {"list": listing.label}) | {
            "form": form,
            "back": back,
            "listing": listing,
            "count": counted(count),
            "is_large": count > policy.EXPORTS.at_once_rows,
            "is_empty": not count,
            "is_picked": bool(ids),
            "filters": [] if ids else [(name, value) for name, value in QueryDict(query).items() if value],
        }
        return TemplateResponse(request, "crm/admin/exports/new.html", context)

    def get_urls(self) -> list[URLPattern]:
        views = {"progress": self.progress_view, "download": self.download_view, "remove": self.remove_view}
        ours = [
            path(f"<int:object_id>/{name}/", self.admin_site.admin_view(view), name=f"crm_export_{name}") for name, view in views.items()
        ]
        return [path("new/", self.admin_site.admin_view(self.new_view), name="crm_export_new"), *ours, *super().get_urls()]


def address_of(what: str) -> str:
    """Give the address at which a list is taken out, whole."""
    return f"{reverse('admin:crm_export_new')}?list={what}"


def name_of(export: Export) -> str:
    """Name what was taken out; a list that no app knows any more by its code."""
    listing = exports.known(export.what)
    return capfirst(str(listing.label)) if listing else export.what


def column_names(export: Export) -> list[str]:
    """Name the columns of an export on screen."""
    listing = exports.known(export.what)
    return [capfirst(str(column.label)) for column in listing.chosen(export.columns)] if listing else export.columns


def columns_counted(export: Export) -> str:
    """Say how many columns were taken."""
    count = len(export.columns)
    return ngettext("%(count)d column", "%(count)d columns", count) % {"count": count}


def counted(count: int) -> str:
    """Say how many rows an export will hold, as far as they were counted."""
    if count > policy.EXPORTS.at_once_rows:
        return str(_("more than %(count)s rows") % {"count": number_format(policy.EXPORTS.at_once_rows, force_grouping=True)})
    return ngettext("%(count)s row", "%(count)s rows", count) % {"count": number_format(count, force_grouping=True)}


def filters_of(request: HttpRequest) -> str:
    """Give the list's own part of the address."""
    query = request.GET.copy()
    for name in NO_FILTERS:
        query.pop(name, None)
    return query.urlencode()


def picked(request: HttpRequest) -> list[int]:
    """Give the rows that were picked by hand; what is no number is none of ours."""
    ids = (word.strip() for word in request.GET.get("ids", "").split(","))
    return [int(word) for word in ids if word.isdecimal() and len(word) < 19][:PICKED_AT_MOST]


def handed_over(export: Export) -> FileResponse:
    """Write a small export into a file that only this answer knows."""
    stream = cast(BinaryIO, TemporaryFile())  # noqa: SIM115  the answer closes it
    exports.hand_over(export, stream=stream)
    stream.seek(0)
    return as_file(stream, export)


def as_file(stream: Any, export: Export) -> FileResponse:
    """Answer with a file that is saved, never shown, and kept by no cache."""
    name = f"{slugify(name_of(export)) or 'export'}-{localdate(export.created_at):%Y-%m-%d}.{export.format}"
    answer = FileResponse(stream, as_attachment=True, filename=name, content_type=KINDS[export.format])
    answer["Cache-Control"] = "private, no-store"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
