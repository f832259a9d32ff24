"""Nightly runs: how far each came, how long it took, and what failed; one can be started by hand."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from abm import tasks
from abm.models import NightlyChunk, NightlyRun
from crm.admin import deeds
from crm.admin.lists import bar, chip
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin


@admin.register(NightlyRun)
class NightlyRunAdmin(ReadOnlyAdmin):
    """Nightly runs."""

    place = Place("data", 9, "bedtime")
    list_display = ["day", "what_for", "progress", "failures", "seconds", "started_at", "finished_at"]
    list_select_related = ["score_change"]
    actions_list = ["run_now"]
    change_form_outer_before_template = "abm/admin/nightly_page.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .annotate(
                chunks_all=Count("chunks"),
                chunks_done=Count("chunks", filter=Q(chunks__done_at__isnull=False)),
                failures_sum=Sum("chunks__failures"),
                seconds_sum=Sum("chunks__seconds"),
            )
        )

    @display(description=_("what for"))
    def what_for(self, run: Any) -> str:
        return str(_("numbers %(change)s") % {"change": run.score_change}) if run.score_change else str(_("the night"))

    @display(description=_("chunks"))
    def progress(self, run: Any) -> str:
        percent = 100 * run.chunks_done / run.chunks_all if run.chunks_all else 0
        return bar(percent, shown=f"{run.chunks_done}/{run.chunks_all}")

    @display(description=_("failures"), ordering="failures_sum")
    def failures(self, run: Any) -> str:
        count = run.failures_sum or 0
        return chip(count, "lost", sign="!") if count else chip(_("none"), "engaged", sign="✓")

    @display(description=_("seconds of work"), ordering="seconds_sum")
    def seconds(self, run: Any) -> str:
        return number_format(run.seconds_sum or 0, 1)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        run = self.get_object(request, object_id)
        panels = {"run": run, "chunks": run.chunks.order_by("number")[:200]} if run else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | panels)

    def has_run_permission(self, request: HttpRequest, _obj: object = None) -> bool:
        """Say whether the user may start a run: who may change runs, that is an administrator."""
        return self.may(request, "change")

    @action(description=_("Run now"), url_path="run-now", icon="play_arrow", permissions=["run"])
    def run_now(self, request: HttpRequest) -> HttpResponse:
        form = deeds.Nothing(deeds.filled(request))
        title, done = _("Start the nightly run of today"), _("The run is queued; a run that is done already does nothing.")
        return self.ask(request, None, form, lambda at: tasks.nightly.delay(), title=title, done=done)


@admin.register(NightlyChunk)
class NightlyChunkAdmin(ReadOnlyAdmin):
    """Chunks of nightly runs."""

    list_display = ["run", "number", "step", "done_at", "failures", "seconds", "items"]
    list_select_related = ["run"]
    ordering = ["-run__day", "number"]
