"""Experiments: the list, the form of a draft, and a page that says in words what is known and when the rest will be."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from abm import experiments, policy
from abm.admin.two_arms import arms, figures, whole
from abm.models import Experiment, ExperimentCount
from crm import access
from crm.admin import deeds
from crm.admin.lists import OwnerFilter, TeamFilter, WorkFilter, chip
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, RememberedAdmin, doer
from crm.policy import day_of

TONES = {"draft": "assumed", "running": "engaged", "closed": "plain"}
COUNTS_SHOWN = 20


def how_many(label: Any) -> forms.IntegerField:
    """Ask for how many."""
    return forms.IntegerField(label=label, min_value=0, max_value=2_000_000_000, widget=UnfoldAdminIntegerFieldWidget())


class Count(forms.Form):
    """Ask what both arms had together by the end of a day."""

    counted_on = deeds.day(_("counted on"), help_text=_("Totals since the start, by the end of this day."))
    n_a, successes_a = how_many(_("Reached with A")), how_many(_("Successes of A"))
    n_b, successes_b = how_many(_("Reached with B")), how_many(_("Successes of B"))


class Learned(forms.Form):
    """Ask what was learned."""

    learned = deeds.paragraph(_("what we learned"), required=False)


class StatusFilter(WorkFilter):
    """Show drafts and running experiments, unless asked for more."""

    title, parameter_name, default = _("status"), "status", "live"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("live", _("draft and running")), ("closed", _("closed")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        choice = self.value()
        if choice == "closed":
            return queryset.filter(status=Experiment.Status.CLOSED)
        return queryset if choice == "all" else queryset.exclude(status=Experiment.Status.CLOSED)


@admin.register(Experiment)
class ExperimentAdmin(RememberedAdmin):
    """Experiments."""

    class Media:
        css = {"all": ["abm/target_list.css", "abm/figures.css"]}

    place = Place("marketing", 6, "science")
    list_display = ["name", "status_label", "verdict_label", "kpi", "team", "owner", "starts_on", "ends_on"]
    list_filter = [StatusFilter, OwnerFilter, TeamFilter]
    list_select_related = ["team", "owner"]
    search_fields = ["name", "hypothesis", "kpi"]
    nothing_yet = _("No experiment yet: write down what you expect, change one thing, and count.")
    change_form_outer_before_template = "abm/admin/experiment_page.html"
    actions_detail = ["start", "count", "close", "learn"]
    fields = [
        "name", ("team", "owner"), "hypothesis", "kpi", "variables", ("arm_a", "arm_b"),
        ("baseline_percent", "uplift_percent"), ("starts_on", "ends_on"),
    ]  # fmt: skip

    @display(description=_("status"), ordering="status")
    def status_label(self, row: Experiment) -> str:
        return chip(row.get_status_display(), TONES.get(row.status, "plain"))

    @display(description=_("verdict"), ordering="winner")
    def verdict_label(self, row: Experiment) -> str | None:
        if row.status != Experiment.Status.CLOSED:
            return None
        if row.winner:
            return chip(_("winner: %(arm)s") % {"arm": row.get_winner_display()}, "engaged")
        if row.indication:
            return chip(_("indication: %(arm)s") % {"arm": row.get_indication_display()}, "known")
        return chip(_("no difference that counts"), "plain") if row.p_value is not None else chip(_("not decidable"), "missing")

    def get_readonly_fields(self, request: HttpRequest, obj: Experiment | None = None) -> list[str]:
        """Only a draft may still change; its team stays."""
        if obj is None:
            return []
        is_fixed = obj.status != Experiment.Status.DRAFT
        return [name for row in self.fields for name in (row if isinstance(row, tuple) else (row,))] if is_fixed else ["team"]

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        return {"owner": request.user.pk, "team": doer(request).team_id} | super().get_changeform_initial_data(request)

    def useless(self, record: Experiment) -> set[str]:
        return {"draft": {"count", "close", "learn"}, "running": {"start", "learn"}}.get(record.status, {"start", "count", "close"})

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Experiment:
        return experiments.draft(at=now(), by=doer(request), **values)

    def correct(self, request: HttpRequest, record: Experiment, values: dict[str, Any]) -> Experiment:
        return experiments.correct(record, values=values, at=now(), by=doer(request))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id) if request.method == "GET" else None
        return super().change_view(request, object_id, form_url, (extra_context or {}) | (panels(request, row) if row else {}))

    # --- deeds -------------------------------------------------------------------------------------

    @action(description=_("Start"), url_path="start", icon="play_arrow", permissions=["change"], variant=ActionVariant.PRIMARY)
    def start(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        warning = _("From now on its plan stands: what it tests, and how many it needs, stay as they are.")
        deed = partial(experiments.start, row, by=doer(request))
        form = deeds.Nothing(deeds.filled(request))
        return self.ask(request, row, form, deed, title=_("Start the experiment"), done=_("The experiment runs."), warning=warning)

    @action(description=_("Count"), url_path="count", icon="add_chart", permissions=["change"], variant=ActionVariant.PRIMARY)
    def count(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        form = Count(deeds.filled(request), initial={"counted_on": min(day_of(now()), row.ends_on)})
        deed = partial(experiments.count, row, by=doer(request))
        return self.ask(request, row, form, deed, title=_("Write down the count"), done=_("Counted."))

    @action(description=_("Close"), url_path="close", icon="lock", permissions=["change"])
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        warning = " ".join(experiments.in_words(row, experiments.read(row)))
        deed = partial(experiments.close, row, by=doer(request))
        form = Learned(deeds.filled(request))
        return self.ask(request, row, form, deed, title=_("Close the experiment"), done=_("The experiment is closed."), warning=warning)

    @action(description=_("What we learned"), url_path="learn", icon="lightbulb", permissions=["change"])
    def learn(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.record(request, object_id)
        form = Learned(deeds.filled(request), initial={"learned": row.learned})
        deed = partial(experiments.learn, row, by=doer(request))
        return self.ask(request, row, form, deed, title=_("Write down what we learned"), done=_("Written down."))


@admin.register(ExperimentCount)
class ExperimentCountAdmin(ReadOnlyAdmin):
    """Counts: written down on their experiment's page."""

    list_display = fields = ["experiment", "counted_on", "n_a", "successes_a", "n_b", "successes_b", "recorded_by", "recorded_at"]
    list_select_related = ["experiment", "recorded_by"]
    search_fields = ["experiment__name"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(experiment__in=Experiment.objects.visible_to(request.user))


def panels(request: HttpRequest, row: Experiment) -> dict[str, Any]:
    """Collect what the page shows above the form; two queries."""
    found = experiments.read(row)
    return {
        "experiment": row,
        "may_change": access.may(request.user, "change", row),
        "reading": found,
        "words": experiments.in_words(row, found),
        "arms": arms(found.compared, {"a": row.arm_a or "A", "b": row.arm_b or "B"}),
        "figures": figures(found.compared),
        "needed": whole(found.needed_per_arm) if found.needed_per_arm else "",
        "counts": [counted(count) for count in row.counts.all()[:COUNTS_SHOWN]],
        "longest_days": policy.EXPERIMENTS.longest_days,
    }


def counted(count: ExperimentCount) -> tuple[Any, str, str]:
    """Give a count's day, and for each arm successes of all."""
    a, b = f"{whole(count.successes_a)} / {whole(count.n_a)}", f"{whole(count.successes_b)} / {whole(count.n_b)}"
    return count.counted_on, a, b
