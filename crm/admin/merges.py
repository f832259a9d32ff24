"""Merges: two records side by side, one click that makes them one, and one that undoes it."""

from decimal import Decimal
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format, number_format
from django.utils.timezone import localtime, now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from crm import access, merges
from crm.admin import deeds
from crm.admin.lists import ChoicesFilter, chip
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, doer, page_of
from crm.errors import CrmError
from crm.merges import words
from crm.models import Account, AccountPair, Contact, ContactPair, Merge

MODELS: dict[str, Any] = {"account": Account, "contact": Contact}


class Other(forms.Form):
    """Ask for the record that is the same one."""

    other = forms.ModelChoiceField(
        Account.objects.none(), label=_("The same as"), help_text=_("You see both side by side before anything happens.")
    )

    def __init__(self, *args: Any, record: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = type(record).objects.visible_to(request.user).exclude(pk=record.pk)
        if isinstance(record, Contact):
            deeds.offer(self, "other", others.filter(account=record.account_id).select_related("person"))
            self.fields["other"].widget = deeds.record(_("contact")).widget
        else:
            deeds.offer(self, "other", others)
            self.fields["other"].widget = AutocompleteSelect(AccountPair._meta.get_field("other"), admin.site)
        self.fields["other"].widget.choices = self.fields["other"].choices  # type: ignore[attr-defined]


class Mergeable:
    """The deed 'merge with', and the way from an old id to the record that took its place; for the pages of accounts and contacts."""

    @property
    def media(self) -> forms.Media:
        """Warn on the form of a new record of what looks like it."""
        return super().media + forms.Media(js=["crm/duplicates.js"], css={"all": ["crm/merges.css"]})  # type: ignore[misc]

    @action(description=_("Merge with…"), url_path="merge", icon="merge", permissions=["change"])
    def merge_with(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        record = self.record(request, object_id)
        form = Other(deeds.filled(request), record=record, request=request)
        if request.method == "POST" and form.is_valid():
            return redirect(side_by_side(record, form.cleaned_data["other"]))
        title, button = _("Merge with a duplicate"), _("Compare them")
        answer: HttpResponse = self.ask(request, record, form, partial(_nothing), title=title, done="", button=button)
        return answer

    def _get_obj_does_not_exist_redirect(self: Any, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        """Lead an old id on to the record that it was merged into, if the user may see that one."""
        taken_into = merges.taken_into(self.model, int(object_id)) if str(object_id).isdecimal() else None
        record = self.get_queryset(request).filter(pk=taken_into).first() if taken_into else None
        if record is None:
            lost: HttpResponse = super()._get_obj_does_not_exist_redirect(request, opts, object_id)  # type: ignore[misc]
            return lost
        messages.info(request, _("What you looked for was merged into %(name)s.") % {"name": record})
        return redirect(page_of(record))


def _nothing(**_facts: object) -> None:
    """Do nothing: the next page asks."""


def side_by_side(kept: Model, folded: Model) -> str:
    """Give the address of the page that shows two records side by side."""
    return reverse(f"admin:crm_merge_{kept._meta.model_name}s", args=[kept.pk, folded.pk])


class KindFilter(ChoicesFilter):
    """Filter by what was merged."""

    title, parameter_name, field = _("what"), "kind", "kind"

    def choices_of(self) -> Any:
        return Merge.Kind.choices


@admin.register(Merge)
class MergeAdmin(ReadOnlyAdmin):
    """Merges done, each with what moved, and the button that undoes it."""

    place = Place("events", 8, "merge", _("Merges"))
    list_display = ["title", "kind", "account", "moment", "merged_by", "state"]
    list_filter = [KindFilter]
    list_select_related = ["account", "merged_by"]
    search_fields = ["kept_name", "folded_name"]
    nothing_yet = _("Nothing was merged yet. What looks alike is listed under Duplicates.")
    actions_detail = ["undo"]
    change_form_template = "crm/admin/merge_done.html"

    class Media:
        css = {"all": ["crm/merges.css"]}

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("steps")

    def useless(self, record: Merge) -> set[str]:
        return {"undo"} if record.undone_at else set()

    @display(description=_("merge"), ordering="kept_name", header=True)
    def title(self, merge: Merge) -> list[str]:
        return [merge.kept_name, str(_("took in %(name)s") % {"name": merge.folded_name})]

    @display(description=_("merged"), ordering="merged_at")
    def moment(self, merge: Merge) -> str:
        return date_format(localtime(merge.merged_at), "SHORT_DATETIME_FORMAT")

    @display(description=_("state"), ordering="undone_at")
    def state(self, merge: Merge) -> str:
        return chip(_("undone"), "plain", sign="↩") if merge.undone_at else chip(_("stands"), "engaged", sign="✓")

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        merge = self.get_object(request, object_id)
        if merge is None or not self.has_view_permission(request, merge):
            raise Http404
        figures = merge.figures
        kept = MODELS[merge.kind].objects.visible_to(request.user).filter(pk=merge.kept_id).first()
        context = self.admin_site.each_context(request) | {
            "title": merge.kept_name,
            "merge": merge,
            "kept": kept,
            "kept_page": page_of(kept) if kept else "",
            "folded": MODELS[merge.kind].objects.visible_to(request.user).filter(pk=merge.folded_id).first() if merge.undone_at else None,
            "moved": words.moved(figures.get("moved", {})),
            "settled": list(words.settled(figures.get("settled", {}))),
            "since": list(words.undone(figures)),
            "later": None if merge.undone_at else merges.on_top_of(merge).first(),
            "may_undo": not merge.undone_at and self.may_undo(request, merge),
            "history": _history(merge),
            "opts": self.opts,
            "media": self.media,
        }
        return TemplateResponse(request, self.change_form_template, context)

    def may_undo(self, request: HttpRequest, merge: Merge) -> bool:
        """Say whether the user may change the account at which it happened."""
        return access.may(request.user, "change", merge.account)

    @action(description=_("Undo this merge"), url_path="undo", icon="undo", permissions=["view"])
    def undo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        merge = self.record(request, object_id, "view")
        if not self.may_undo(request, merge):
            raise PermissionDenied
        deed = partial(merges.unmerge, merge, by=doer(request))
        warning = _(
            "Both records come back as they were, with everything that moved. What came since stays, or goes along with its person or deal."
        )
        form, back = deeds.Nothing(deeds.filled(request)), page_of(merge)
        title, done = _("Undo this merge"), _("The merge is undone: both records are there again.")
        return self.ask(request, merge, form, deed, title=title, done=done, warning=warning, back=back)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.compare)
        own = [
            path(f"{kind}s/<int:{kind}_id>/<int:other_id>/", view, {"kind": kind}, name=f"crm_merge_{kind}s") for kind in MODELS
        ]  # fmt: skip
        return [*own, *super().get_urls()]

    def compare(self, request: HttpRequest, kind: str, other_id: int, **ids: int) -> HttpResponse:
        """Show two records side by side, and make them one when asked to."""
        kept, folded = (self.one_of(request, kind, pk) for pk in (ids[f"{kind}_id"], other_id))
        if kept.pk == folded.pk:
            raise Http404
        if of_two_teams(kept, folded) and not request.user.has_perm("crm.see_every_record"):
            raise PermissionDenied
        if request.method == "POST":
            choices = {key: side for key, side in request.POST.items() if side in (merges.KEPT, merges.FOLDED)}
            try:
                done = merges.merge(kept, folded, choices=choices, by=doer(request), at=now())
            except CrmError as refusal:
                messages.error(request, str(refusal))
            else:
                messages.success(request, _("The two are one now. You can undo it here."))
                return redirect(page_of(done))
        if request.headers.get("HX-Request") == "true":
            return TemplateResponse(
                request, "crm/admin/parts/merge_tried.html", self.tried(request, kept, folded) | _ways_out(kept, folded)
            )
        told = self.tried(request, kept, folded) if request.method == "POST" or "try" in request.GET else {}
        return TemplateResponse(request, "crm/admin/merge.html", self.compared(request, kind, kept, folded) | told)

    def one_of(self, request: HttpRequest, kind: str, pk: int) -> Any:
        """Give a record to merge: 404 out of sight, 403 when the user may look only."""
        record = MODELS[kind].objects.visible_to(request.user).filter(pk=pk).first()
        if record is None:
            raise Http404
        if not access.may(request.user, "change", record):
            raise PermissionDenied
        return record

    def compared(self, request: HttpRequest, kind: str, kept: Any, folded: Any) -> dict[str, Any]:
        """Collect what the page shows at once: what differs and what is the same."""
        told = [line for line in merges.lines(kept, folded) if line.fact.says(line.kept) or line.fact.says(line.folded)]
        context: dict[str, Any] = self.admin_site.each_context(request) | {
            "title": _("Merge two accounts") if kind == "account" else _("Merge two contacts"),
            "kept": kept,
            "folded": folded,
            "folded_page": page_of(folded),
            "differing": [compared_line(line) for line in told if line.differs],
            "alike": [compared_line(line) for line in told if not line.differs],
            "here": side_by_side(kept, folded),
            "swap": side_by_side(folded, kept),
            "opts": self.opts,
            "media": self.media,
        }
        return context | _ways_out(kept, folded)

    def tried(self, request: HttpRequest, kept: Any, folded: Any) -> dict[str, Any]:
        """Try the merge, for what would move and what is settled how; it takes a moment, so the page asks for it when it is there."""
        preview = merges.preview(kept, folded, by=doer(request), at=now())
        told = {"moved": words.moved(preview.moved), "settled": list(words.settled(preview.settled)), "refusal": preview.refusal}
        return told | {"is_tried": True}


def _ways_out(kept: Any, folded: Any) -> dict[str, Any]:
    """Give what the buttons need besides the merge: the pair, if it stands on the list of what looks alike, and the way back."""
    first, second = sorted((kept.pk, folded.pk))
    pairs = AccountPair if isinstance(kept, Account) else ContactPair
    pair = pairs.objects.open().filter(one=first, other=second).first()
    return {"pair": pair, "pair_model": pairs._meta.model_name, "kept_page": page_of(kept)}


def of_two_teams(kept: Any, folded: Any) -> bool:
    """Say whether two accounts belong to different teams: a merge would take one of them away from its team."""
    teams = {getattr(record, "team_id", None) for record in (kept, folded)} - {None}
    return len(teams) > 1


def compared_line(line: merges.Line) -> dict[str, Any]:
    """Give one fact of both records as it is shown."""
    sides = [(merges.KEPT, shown(line.kept, line.fact.names)), (merges.FOLDED, shown(line.folded, line.fact.names))]
    return {"key": line.fact.key, "label": line.fact.label, "side": line.side, "sides": sides}


def shown(record: Any, names: tuple[str, ...]) -> str:
    """Write what a record says in these columns, as a person reads it."""
    if names[0] == "family_name":
        return str(record)
    said = [_one(record, name) for name in names]
    # A currency without an amount says nothing, nor does a source without an id.
    return " · ".join(filter(None, said)) if said[0] or (names[0].endswith("_id") and names[0] != "external_id") else ""


def _one(record: Any, name: str) -> str:
    field = record._meta.get_field(name.removesuffix("_id") if name.endswith("_id") and name != "external_id" else name)
    value = getattr(record, field.name)
    if value in (None, ""):
        return ""
    if field.choices:
        return str(getattr(record, f"get_{field.name}_display")())
    if isinstance(value, Decimal | int) and name != "founded_year":
        return str(number_format(value, force_grouping=True))
    if hasattr(value, "tzinfo"):
        return date_format(localtime(value), "SHORT_DATETIME_FORMAT")
    return str(getattr(value, "name", value) if field.name == "country" else value)


def _history(merge: Merge) -> list[dict[str, Any]]:
    """Give what happened to the folded record before, the latest first: its history stays under its old id."""
    rows = MODELS[merge.kind].history.filter(id=merge.folded_id).select_related("history_user").order_by("-history_date", "-history_id")
    return [{"at": row.history_date, "by": row.history_user, "what": row.get_history_type_display()} for row in rows[:20]]
