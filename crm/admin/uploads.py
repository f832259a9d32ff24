"""Imports: from a file to its columns, a trial, the run that can be watched, paused and resumed, and the way back."""

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import number_format
from django.utils.http import content_disposition_header
from django.utils.text import capfirst
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from crm import policy, tasks, uploads
from crm.admin import deeds, lead_funnels
from crm.admin.lists import bar, chip
from crm.admin.progress import answer_poll, progress_of
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, doer, page_of
from crm.admin.upload_forms import Mapping, new_upload
from crm.errors import CrmError, NotAllowed
from crm.models import Upload, UploadedRecord

State = Upload.State
TONES = {
    "received": "plain", "checked": "plain", "running": "known", "paused": "assumed", "finished": "engaged", "failed": "lost",
    "undoing": "known", "undone": "missing",
}  # fmt: skip
SIGNS = {"running": "▸", "paused": "‖", "finished": "✓", "failed": "✕", "undoing": "↶", "undone": "↶"}
STEPS = (_("File"), _("Columns"), _("Trial"), _("Import"))
KEPT_SHOWN = 20
RECORDS = {"accounts": "account", "contacts": "contact", "activities": "activity"}


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    """Imports."""

    place = Place("data", 1, "upload_file", _("Import"))
    list_display = ["title", "state_shown", "rows_shown", "outcome", "owner", "created_at"]
    list_display_links = ["title"]
    list_select_related = ["owner"]
    search_fields = ["file_name"]

    class Media:
        css = {"all": ["crm/jobs.css", "crm/uploads.css"]}

    # --- the list ----------------------------------------------------------------------------------

    @display(description=_("file"), ordering="file_name", header=True)
    def title(self, upload: Upload) -> list[str]:
        return [upload.file_name, " · ".join(filter(None, [capfirst(upload.get_what_display()), upload.layout and str(_(upload.layout))]))]

    @display(description=_("state"), ordering="state")
    def state_shown(self, upload: Upload) -> str:
        return chip(upload.get_state_display(), TONES[upload.state], sign=SIGNS.get(upload.state, ""), title=upload.error)

    @display(description=_("rows"), ordering="rows_total")
    def rows_shown(self, upload: Upload) -> str:
        if upload.state in (State.RUNNING, State.PAUSED, State.FAILED) and upload.rows_total:
            percent = 100 * upload.rows_done / upload.rows_total
            return bar(percent, shown=f"{round(percent)} %")
        return number_format(upload.rows_total, force_grouping=True)

    @display(description=_("created / changed / failed"))
    def outcome(self, upload: Upload) -> str:
        counts = (upload.created_count, upload.changed_count, upload.failed_count)
        return " / ".join(number_format(count, force_grouping=True) for count in counts) if upload.started_at else ""

    def has_add_permission(self, request: HttpRequest, *_args: object) -> bool:
        return self.may(request, "add")

    # --- a new one ---------------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for a file; a file that cannot be read is answered with the reason."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = new_upload(request)
        if request.method == "POST" and form.is_valid():
            file, what = form.cleaned_data["file"], form.cleaned_data["what"]
            try:
                return redirect(page_of(uploads.receive(file, name=file.name, what=what, by=doer(request), at=now())))
            except NotAllowed as refusal:
                raise PermissionDenied from refusal
            except CrmError as refusal:
                form.add_error("file", str(refusal))
        examples = [(capfirst(label), reverse("admin:crm_upload_example", args=[what])) for what, label in Upload.What.choices]
        may_import_leads = doer(request).has_perms(lead_funnels.NEEDS)
        context: dict[str, Any] = {
            "may_import_leads": may_import_leads,
            "form": form,
            "examples": examples,
            "limits": policy.UPLOADS,
            "bytes": policy.UPLOADS.file_megabytes * 2**20,
        }
        return self.show(request, "new", _("Import a file"), step=0, **context)

    def example_view(self, request: HttpRequest, what: str) -> StreamingHttpResponse:
        """Give a file that would be understood: the names of all fields, and one row."""
        if what not in Upload.What.values or not self.has_add_permission(request):
            raise PermissionDenied
        fields = uploads.fields(what)
        return as_csv([[field.name for field in fields], [field.example for field in fields]], f"{what}-example.csv")

    def leads_view(self, request: HttpRequest) -> HttpResponse:
        return lead_funnels.page(request, partial(self.show, request))

    # --- one import --------------------------------------------------------------------------------

    def show(
        self, request: HttpRequest, page: str, title: Any, *, step: int, labels: Sequence[Any] = STEPS, **context: Any
    ) -> HttpResponse:
        """Draw one of the pages of an import, with the steps above it."""
        steps = [(label, "done" if number < step else "here" if number == step else "later") for number, label in enumerate(labels)]
        frame = self.admin_site.each_context(request) | {"title": title, "opts": self.opts, "media": self.media, "steps": steps}
        return TemplateResponse(request, f"crm/admin/uploads/{page}.html", frame | context)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Show the page that the import's state asks for."""
        upload = self.record(request, object_id, "view")
        wants_columns = request.GET.get("step") == "columns"
        if upload.state == State.RECEIVED and "trying" in request.GET:
            return self.show(request, "trying", upload.file_name, step=2, upload=upload, progress=self.progress(upload))
        if upload.state == State.RECEIVED or (upload.state == State.CHECKED and wants_columns):
            return self.columns_page(request, upload, Mapping(upload=upload))
        if upload.state == State.CHECKED:
            problems = [problem_row(upload, **row) for row in upload.report.get("problems", [])]
            return self.show(request, "trial", upload.file_name, step=2, upload=upload, report=upload.report, problems=problems)
        return self.run_page(request, upload)

    def run_page(self, request: HttpRequest, upload: Upload) -> HttpResponse:
        """Show how far it is, what became of the rows, and what may be done about it."""
        failed = upload.problems.order_by("line").values("line", "column", "reason", "values")[: policy.UPLOADS.first_problems]
        context: dict[str, Any] = {
            "upload": upload,
            "progress": self.progress(upload),
            "problems": [problem_row(upload, **row) for row in failed],
            "kept": upload.records.exclude(kept_because="").order_by("pk")[:KEPT_SHOWN],
            "records": reverse(f"admin:crm_{RECORDS[upload.what]}_changelist"),
        }
        return self.show(request, "run", upload.file_name, step=3, **context)

    def columns_page(self, request: HttpRequest, upload: Upload, form: Mapping) -> HttpResponse:
        return self.show(request, "columns", upload.file_name, step=1, upload=upload, form=form)

    def progress(self, upload: Upload) -> dict[str, Any]:
        """Give how far the run is, or how much of it is taken back."""
        is_live = upload.state in Upload.AT_WORK
        poll = reverse("admin:crm_upload_progress", args=[upload.pk])
        progress = progress_of(upload, is_live=is_live or upload.state == State.RECEIVED, poll=poll, at=now())
        return progress | {"counts": counts_of(upload)}

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        upload = self.record(request, object_id, "view")
        return answer_poll(request, upload, self.progress(upload))

    def columns_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take what the columns are, and try every row: at once when there are few, else by the worker."""
        upload = self.record(request, object_id)
        form = Mapping(deeds.filled(request), upload=upload)
        if request.method != "POST":
            return redirect(page_of(upload))
        if not form.is_valid() or not self.try_rows(request, upload, form.values()):
            return self.columns_page(request, upload, form)
        return redirect(page_of(upload) + ("?trying" if upload.state == State.RECEIVED else ""))

    def try_rows(self, request: HttpRequest, upload: Upload, values: dict[str, Any]) -> bool:
        """Map and try; False, with a message, when a rule refuses."""
        try:
            uploads.map_columns(upload, **values, by=doer(request), at=now())
            tasks.try_now_or_soon(upload, at=now())
        except CrmError as refusal:
            messages.error(request, str(refusal))
            return False
        return True

    def deed_view(self, request: HttpRequest, object_id: str, rule: Callable[..., Upload], done: Any) -> HttpResponse:
        """Do at once what a button asks, and have a worker go on where there is something to do."""
        upload = self.record(request, object_id)
        answer = self.on_post(request, upload, partial(rule, upload, by=doer(request)), done=done)
        if request.method == "POST" and upload.state in Upload.AT_WORK:
            tasks.enqueue(tasks.work_upload, upload.pk)
        return answer

    def undo_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what undoing takes back and what stays, and then do it."""
        upload = self.record(request, object_id)
        if request.method == "POST":
            return self.deed_view(request, object_id, uploads.undo, _("The import is being undone."))
        return self.show(request, "undo", upload.file_name, step=3, upload=upload, **what_undo_takes(upload))

    def discard_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then delete the import with its file; the records stay."""
        upload = self.record(request, object_id)
        deed, form = partial(uploads.discard, upload, by=doer(request)), deeds.Nothing(deeds.filled(request))
        warning = _("The file and what is known of this import go. Records that it made stay, and can no longer be taken back.")
        title, done, back = _("Delete this import"), _("The import is deleted."), self.list_address()
        return self.ask(request, upload, form, deed, title=title, done=done, warning=warning, back=back)

    def failed_view(self, request: HttpRequest, object_id: str) -> HttpResponse | StreamingHttpResponse:
        """Give the rows that failed, with the reason, to be corrected and imported again."""
        upload = self.record(request, object_id, "view")
        return as_csv(uploads.failed_rows(upload), f"{upload.file_name.rpartition('.')[0] or 'import'}-failed.csv")

    def get_urls(self) -> list[URLPattern]:
        deed = {
            "start": (uploads.start, _("The import has begun.")),
            "pause": (uploads.pause, _("The import pauses after the rows it is at.")),
            "resume": (uploads.resume, _("The import goes on.")),
        }
        views: dict[str, Callable[..., Any]] = {
            name: partial(self.deed_view, rule=rule, done=done) for name, (rule, done) in deed.items()
        } | {
            "columns": self.columns_view, "progress": self.progress_view, "undo": self.undo_view, "discard": self.discard_view,
            "failed": self.failed_view,
        }  # fmt: skip
        ours = [
            path(f"<int:object_id>/{name}/", self.admin_site.admin_view(view), name=f"crm_upload_{name}") for name, view in views.items()
        ]
        example = path("example/<slug:what>/", self.admin_site.admin_view(self.example_view), name="crm_upload_example")
        leads = path("leads/", self.admin_site.admin_view(self.leads_view), name="crm_upload_leads")
        return [example, leads, *ours, *super().get_urls()]


def counts_of(upload: Upload) -> list[tuple[Any, int, bool]]:
    """Give what became of the rows: label, count, and whether that is bad."""
    return [
        (_("new"), upload.created_count, False),
        (_("changed"), upload.changed_count, False),
        (_("there already, unchanged"), upload.unchanged_count, False),
        (_("failed"), upload.failed_count, True),
    ]


def problem_row(upload: Upload, *, line: int, column: str, reason: str, values: list[str]) -> dict[str, Any]:
    """Give a row that failed, with the value that is wrong; the whole row where no one column is."""
    at = upload.columns.index(column) if column in upload.columns else None
    value = " · ".join(filter(None, values)) if at is None or at >= len(values) else values[at]
    return {"line": line, "column": column, "reason": reason, "value": value}


def what_undo_takes(upload: Upload) -> dict[str, Any]:
    """Count what an import made and changed, by kind, as undoing goes through it."""
    made, changed = Count("pk", filter=Q(before__isnull=True)), Count("pk", filter=Q(before__isnull=False))
    counts = {kind: numbers for kind, *numbers in upload.records.order_by().values_list("kind").annotate(made=made, changed=changed)}
    rows = [(capfirst(str(label)), *counts[kind]) for kind, label in UploadedRecord.Kind.choices if kind in counts]
    return {"rows": [{"kind": label, "made": made, "changed": changed} for label, made, changed in rows]}


class _Echo:
    """Gives a CSV writer's line back instead of writing it."""

    def write(self, line: str) -> str:
        return line


def as_csv(rows: Any, name: str) -> StreamingHttpResponse:
    """Answer with rows as a CSV file that Excel reads as UTF-8, line by line."""
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        yield "\ufeff"
        for row in rows:
            yield writer.writerow(row)

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    answer.headers["Cache-Control"] = "private, no-store"
    return answer
