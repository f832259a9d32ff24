"""The playground: change the score's numbers, see what that does to real accounts, save them with a reason, put others back."""

from functools import partial
from time import monotonic
from types import SimpleNamespace
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format, number_format
from django.utils.text import capfirst
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from abm import playground, policy, score_numbers, tasks
from abm.admin import score_form
from abm.admin.score_form import Key, NumbersForm, about_label, shown
from abm.models import NightlyRun, ScoreChange, ScoreParameters, TargetList
from crm import policy as crm_policy
from crm import tasks as queue
from crm.admin import deeds
from crm.admin.lists import change_arrow
from crm.admin.progress import answer_poll, progress_of
from crm.admin.sidebar import Place, add_page
from crm.admin.site import ReadOnlyAdmin, doer, page_of
from crm.errors import CrmError, Invalid
from crm.models import Account

WARMEST, SETTINGS = "warmest", "settings"
CHANGES_SHOWN, KINDS_NAMED = 20, 3

add_page(
    Place("marketing", 4, "tune", gettext_lazy("Score numbers")),
    "admin:abm_scorechange_playground",
    lambda request: request.user.has_perm("abm.view_scorechange"),
)


class PutBack(forms.Form):
    """Ask why earlier numbers come back; `seen` is the change that was on screen."""

    note = deeds.line(gettext_lazy("why"))
    seen = forms.IntegerField(widget=forms.HiddenInput)


@admin.register(ScoreChange)
class ScoreChangeAdmin(ReadOnlyAdmin):
    """Changes of the score's numbers, and the page on which they are made."""

    list_display = ["number", "note", "changed", "made_by", "made_at", "parameters"]
    list_select_related = ["made_by", "parameters", "replaces"]
    ordering = ["-number"]
    fields = ["number", "note", "made_by", "made_at", "parameters", "replaces", "changed"]
    readonly_fields = ["changed"]

    class Media:
        css = {"all": ["crm/jobs.css", "abm/score_numbers.css"]}

    @admin.display(description=gettext_lazy("what changed"))
    def changed(self, change: ScoreChange) -> str:
        return "; ".join(differences_of(change))

    def page(self, request: HttpRequest) -> HttpResponse:
        """Show the form, what its numbers would do, how far the scores follow, and the changes so far."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        latest, in_force = score_numbers.current(), score_numbers.in_force()
        form = NumbersForm(deeds.filled(request), base=begin_with(request, in_force))
        if "save" in request.POST and form.is_valid() and self.save(request, form):
            return redirect("admin:abm_scorechange_playground")
        context = self.admin_site.each_context(request) | {
            "title": _("Score numbers"),
            "media": self.media + form.media,
            "form": form,
            "seen": latest.number if latest else 0,
            "latest": latest,
            "settings_differ": latest is not None and in_force != policy.SCORING,
            "may_save": request.user.has_perm("abm.add_scorechange"),
            "progress": progress(latest),
            "changes": [
                self.told(change) for change in ScoreChange.objects.select_related("parameters", "replaces", "made_by")[:CHANGES_SHOWN]
            ],
            **fields_of(form, in_force),
            **effect(request, form, in_force),
        }
        return TemplateResponse(request, "abm/admin/score_numbers.html", context)

    def save(self, request: HttpRequest, form: NumbersForm) -> bool:
        """Put the form's numbers in force; say at the field or above the page what is in the way."""
        if not request.user.has_perm("abm.add_scorechange"):
            raise PermissionDenied
        seen = request.POST.get("seen", "")
        try:
            self.begin_change(
                form.numbers, note=form.cleaned_data["note"], seen=int(seen) if seen.isdecimal() else -1, at=now(), by=doer(request)
            )
        except CrmError as refusal:
            if isinstance(refusal, Invalid) and "note" in refusal.detail:
                form.add_error("note", str(refusal))
            else:
                messages.error(request, str(refusal))
            return False
        messages.success(request, _("Saved. All accounts are scored with the new numbers now, in the background."))
        return True

    def begin_change(self, numbers: policy.Scoring, **facts: Any) -> ScoreChange:
        """Put numbers in force and have the accounts scored with them."""
        change = score_numbers.put_in_force(numbers, **facts)
        queue.enqueue(tasks.rebuild_scores)
        return change

    def put_back(self, request: HttpRequest, parameters: str) -> HttpResponse:
        """Ask for the reason, then put the numbers of an earlier version in force again."""
        if not request.user.has_perm("abm.add_scorechange"):
            raise PermissionDenied
        version = get_object_or_404(ScoreParameters, pk=parameters)
        latest = score_numbers.current()
        first = version.changes.order_by("number").first()
        again = {"seen": latest.number if latest else 0, "note": _("Back to: %(what)s") % {"what": first.note if first else version}}
        deed = partial(self.begin_change, score_numbers.numbers_of(version), by=doer(request))
        warning = "; ".join(in_words(score_numbers.in_force(), score_numbers.numbers_of(version)))
        return self.ask(
            request, None, PutBack(deeds.filled(request), initial=again), deed, title=_("Put back in force"),
            done=_("Saved. All accounts are scored with the new numbers now, in the background."),
            warning=warning, back=reverse("admin:abm_scorechange_playground"),
        )  # fmt: skip

    def progress_view(self, request: HttpRequest) -> HttpResponse:
        """Answer the page that watches how far the scores are."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        how_far = progress(score_numbers.current())
        return answer_poll(request, SimpleNamespace(state=how_far["state"] if how_far else ""), how_far or {})

    def told(self, change: ScoreChange) -> dict[str, Any]:
        """Give one change as the page shows it."""
        return {"change": change, "page": page_of(change), "differences": differences_of(change)}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("playground/", view(self.page), name="abm_scorechange_playground"),
            path("playground/progress/", view(self.progress_view), name="abm_scorechange_progress"),
            path("put-back/<str:parameters>/", view(self.put_back), name="abm_scorechange_put_back"),
            *super().get_urls(),
        ]


def begin_with(request: HttpRequest, in_force: policy.Scoring) -> policy.Scoring:
    """Give the numbers that the form begins with: those in force, those of the settings, or of the version that is asked for."""
    asked = request.GET.get("from", "")
    if not asked:
        return in_force
    return policy.SCORING if asked == SETTINGS else score_numbers.numbers_of(get_object_or_404(ScoreParameters, pk=asked))


# --- the form --------------------------------------------------------------------------------------


def fields_of(form: NumbersForm, in_force: policy.Scoring) -> dict[str, Any]:
    """Lay the fields out: a row for each kind, one for each role, and the rest."""
    base = form.base
    of_kinds = [
        {"label": capfirst(about_label(kind)), "cells": [form.bound(Key(kind, name), in_force) for name in score_form.OF_A_KIND]}
        for kind in score_form.kinds(base)
    ]
    roles = [
        {"label": capfirst(about_label(role)), "cell": form.bound(Key(role, "role_weight"), in_force)} for role in base.role_weight or {}
    ]
    plain = [{"label": Key("", name).label, "cell": form.bound(Key("", name), in_force)} for name in score_form.PLAIN]
    return {"of_kinds": of_kinds, "kind_columns": score_form.OF_A_KIND.values(), "roles": roles, "plain": plain}


# --- what the numbers would do ---------------------------------------------------------------------


def effect(request: HttpRequest, form: NumbersForm, in_force: policy.Scoring) -> dict[str, Any]:
    """Compare the form's numbers with those in force, at the accounts of a list or at the warmest; nothing while a field is wrong."""
    lists = playground.lists_for(TargetList.objects.visible_to(request.user))
    asked = request.POST.get("list") or request.GET.get("list", "")
    chosen = next((one for one in lists if str(one.pk) == asked), lists[0] if lists and asked != WARMEST else None)
    choices = [(str(one.pk), one.name) for one in lists] + [
        (WARMEST, _("the %(count)d warmest accounts") % {"count": policy.PLAYGROUND.shown})
    ]
    found: dict[str, Any] = {"lists": choices, "chosen": str(chosen.pk) if chosen else WARMEST, "chosen_list": chosen}
    if form.is_bound and not form.is_valid():
        return found | {"wrong": [(form[name].label, errors) for name, errors in form.errors.items() if name in form.fields]}
    accounts, begun = Account.objects.visible_to(request.user), monotonic()
    shown_ids, among = playground.accounts_of(chosen, accounts), playground.warmest(accounts)
    effects, totals = playground.compare(shown_ids, among, before=in_force, after=form.numbers, as_of=crm_policy.day_of(now()))
    return found | {
        "effects": [_row(one) for one in effects],
        "totals": totals,
        "moved_points": policy.PLAYGROUND.moved_points,
        "differences": in_words(in_force, form.numbers),
        "seconds": number_format(monotonic() - begun, 2),
    }


def _row(one: playground.Effect) -> dict[str, Any]:
    return {
        "one": one,
        "page": reverse("admin:crm_account_change", args=[one.account_id]),
        "change": change_arrow(float(one.difference)),
        "climbed": one.rank_before - one.rank_after,
        "why": _why(one),
    }


def _why(one: playground.Effect) -> str:
    """Say which kinds weigh something else, the most moved first, and whether other roles count as active."""
    words = [f"{score_form.about_label(shift.kind)} {_signed(shift.difference)}" for shift in one.shifts[:KINDS_NAMED]]
    if more := len(one.shifts) - KINDS_NAMED:
        words += [ngettext("%(count)d other kind", "%(count)d other kinds", more) % {"count": more}] if more > 0 else []
    if one.before.breadth != one.after.breadth:
        breadths = {"before": number_format(one.before.breadth, 2), "after": number_format(one.after.breadth, 2)}
        words.append(_("breadth %(before)s → %(after)s") % breadths)
    if not words and one.difference:
        words.append(_("the same points, on another scale"))
    return ", ".join(words)


def _signed(points: float) -> str:
    return ("+" if points > 0 else "−") + number_format(abs(points), 1)


def differences_of(change: ScoreChange) -> list[str]:
    """Say what a change changed."""
    return in_words(score_numbers.numbers_of(change.replaces), score_numbers.numbers_of(change.parameters))


def in_words(before: policy.Scoring, after: policy.Scoring) -> list[str]:
    """Say what is different between two sets of numbers, one number a line."""
    return [
        f"{Key(one.about, one.name).label}: {shown(one.before)} → {shown(one.after)}" for one in score_numbers.differences(before, after)
    ]


# --- how far the scores follow ---------------------------------------------------------------------


def progress(change: ScoreChange | None) -> dict[str, Any] | None:
    """Give how far the accounts are scored with the numbers of a change; None when there is nothing to watch any more."""
    if change is None:
        return None
    runs: Any = NightlyRun.objects.filter(score_change=change)
    run = runs.annotate(items=Sum("chunks__items"), last=Max("chunks__done_at")).first()
    if run and run.finished_at:
        return None
    total, done = Account.objects.count(), min(run.items or 0, Account.objects.count()) if run else 0
    started = run.started_at if run else change.made_at
    job = SimpleNamespace(
        rows_done=done,
        rows_total=total,
        started_at=started,
        heartbeat_at=(run and run.last) or started,
        state="running" if run else "queued",
    )
    poll = reverse("admin:abm_scorechange_progress")
    counted = {"done": number_format(done, force_grouping=True), "total": number_format(total, force_grouping=True)}
    told = {"words": _("%(done)s of %(total)s accounts") % counted, "since": date_format(localtime(started), "SHORT_DATETIME_FORMAT")}
    return progress_of(job, is_live=True, poll=poll, at=now()) | told
