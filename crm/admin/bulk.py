"""Deeds on many rows of a list: choose, see what would happen and what is left out, do it; each row is judged again as it is done."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action

from crm import access, handovers
from crm.admin import deeds
from crm.admin.record_list import ListPage
from crm.errors import CrmError
from crm.models import User

ALONG = {"opportunities": gettext_lazy("open deals"), "tasks": gettext_lazy("open tasks")}


class Deed(NamedTuple):
    """One deed on many: how it is asked, judged and done; `is_open_to` says to whom."""

    title: Promise | str
    button: Promise | str
    form: Callable[..., forms.Form]
    judge: Callable[..., handovers.Judged]
    do: Callable[..., handovers.Judged]
    reasons: Mapping[str, Promise | str]
    is_open_to: Callable[[Any], bool] = lambda user: True
    note: Promise | str = ""


class NothingMore(forms.Form):
    """Ask for nothing but the click, whoever clicks."""

    def __init__(self, *args: Any, user: object, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class NewOwner(forms.Form):
    """Ask for the new owner."""

    owner = deeds.record(gettext_lazy("new owner"))

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer(self, "owner", access.colleagues(user).order_by("first_name", "last_name", "username"))


class NewOwnerAndTeam(NewOwner):
    """Ask for the new owner and team."""

    team = deeds.record(gettext_lazy("team"), required=False)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        deeds.offer(self, "team", access.teams(user))
        self.fields["team"].help_text = _("Empty: the team of the new owner.")

    def clean(self) -> Any:
        values = super().clean() or {}
        if values.get("owner") and not values.get("team"):
            values["team"] = values["owner"].team
        return values


class BulkPage(ListPage):
    """A list with deeds on many rows; `bulk_deeds` maps the name of each to the deed."""

    bulk_deeds: Mapping[str, Deed] = {}

    def get_actions(self, request: HttpRequest) -> Any:
        """Offer what is open to this user."""
        actions = super().get_actions(request)
        for name, deed in self.bulk_deeds.items():
            if deed.is_open_to(request.user) and request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}"):
                actions[name] = (_start(name), name, deed.title)
        if "export_rows" in actions and not request.user.has_perm("crm.add_export"):
            actions.pop("export_rows")
        return actions

    @action(description=gettext_lazy("Export…"))
    def export_rows(self, request: HttpRequest, queryset: Any) -> HttpResponse:
        """Lead to the page that asks for columns and format: of the picked rows, or of all that match."""
        address = f"{reverse('admin:crm_export_new')}?list={self.opts.label_lower}"
        if request.POST.get("select_across") == "1":
            return redirect(f"{address}&{request.GET.urlencode()}")
        return redirect(f"{address}&ids={','.join(map(str, queryset.order_by().values_list('pk', flat=True)[: self.list_max_show_all]))}")

    def begin_bulk(self, request: HttpRequest, name: str, queryset: Any) -> HttpResponse | None:
        """Ask what is to be done with the rows that were chosen; too many are refused in a sentence."""
        ids = list(queryset.order_by().values_list("pk", flat=True)[: handovers.AT_MOST + 1])
        if len(ids) > handovers.AT_MOST:
            at_most = number_format(handovers.AT_MOST, force_grouping=True)
            messages.error(
                request, _("More than %(count)s match: at most so many can be changed at once. Filter for fewer.") % {"count": at_most}
            )
            return None
        return self.ask_bulk(request, name, ids, self.bulk_deeds[name].form(user=request.user), back=request.get_full_path())

    def bulk_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show what a deed would do, or do it."""
        deed = self.bulk_deeds.get(name)
        if deed is None:
            raise Http404
        if not (self.has_change_permission(request) and deed.is_open_to(request.user)):
            raise PermissionDenied
        ids, back = _ids(request), self._back(request)
        if request.method != "POST" or not ids:
            return redirect(back)
        form = deed.form(request.POST, user=request.user)
        if not form.is_valid():
            return self.ask_bulk(request, name, ids, form, back=back)
        try:
            if "do" in request.POST:
                return self.done(request, deed, deed.do(ids, at=now(), by=request.user, **form.cleaned_data), back)
            judged = deed.judge(ids, by=request.user, **form.cleaned_data)
        except CrmError as refusal:
            messages.error(request, str(refusal))
            return self.ask_bulk(request, name, ids, form, back=back)
        return self.ask_bulk(request, name, ids, form, back=back, judged=judged)

    def ask_bulk(
        self, request: HttpRequest, name: str, ids: Sequence[int], form: forms.Form, *, back: str, judged: handovers.Judged | None = None
    ) -> HttpResponse:
        """Show the form, and under it what it would do once that was asked."""
        deed = self.bulk_deeds[name]
        context = self.admin_site.each_context(request) | {
            "title": deed.title,
            "deed": deed,
            "form": form,
            "ids": ",".join(map(str, ids)),
            "asked": self.counted(len(ids)),
            "judged": judged,
            "chosen": self.counted(len(judged.chosen)) if judged else "",
            "skipped": in_words(deed, judged) if judged else [],
            "address": reverse(f"admin:{self._name('bulk')}", args=[name]),
            "back": back,
            "opts": self.opts,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "crm/admin/bulk.html", context)

    def done(self, request: HttpRequest, deed: Deed, judged: handovers.Judged, back: str) -> HttpResponse:
        """Say how it went, and go back to the list."""
        along = [f"{number_format(count, force_grouping=True)} {ALONG[name]}" for name, count in judged.along.items() if count]
        sentence = _("Done: %(rows)s.") % {"rows": self.counted(len(judged.chosen))}
        if along:
            sentence += " " + _("With them went: %(along)s.") % {"along": ", ".join(along)}
        messages.success(request, sentence)
        for count, why in in_words(deed, judged):
            messages.warning(
                request, _("Left out: %(count)s, because %(why)s.") % {"count": number_format(count, force_grouping=True), "why": why}
            )
        return redirect(back)

    def counted(self, count: int) -> str:
        """Say how many rows of this list, in words."""
        names = (str(self.opts.verbose_name), str(self.opts.verbose_name_plural))
        return f"{number_format(count, force_grouping=True)} {names[count != 1]}"

    def _back(self, request: HttpRequest) -> str:
        """Give the list as it was; an address of another place is none of ours."""
        back = request.POST.get("back", "")
        return back if back.partition("?")[0] == self.list_address() else self.list_address()

    def _name(self, what: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{what}"

    def get_urls(self) -> list[URLPattern]:
        bulk = self.admin_site.admin_view(self.bulk_view)
        return [path("bulk/<slug:name>/", bulk, name=self._name("bulk")), *super().get_urls()]


def _start(name: str) -> Callable[..., HttpResponse | None]:
    def start(page: BulkPage, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        return page.begin_bulk(request, name, queryset)

    return start


def _ids(request: HttpRequest) -> list[int]:
    """Read the chosen rows; one number too many is refused by the rule, and what is no number is none of ours."""
    words = request.POST.get("ids", "").split(",")[: handovers.AT_MOST + 1]
    return [int(word) for word in words if word.isdecimal() and len(word) < 19]


def in_words(deed: Deed, judged: handovers.Judged) -> list[tuple[int, Any]]:
    """Give how many are left out for which reason."""
    return [(count, deed.reasons.get(reason, reason)) for reason, count in judged.skipped.items()]


def gives_accounts(user: Any) -> bool:
    """Say whether a user may give accounts to somebody else."""
    return bool(user.has_perm("crm.assign_account"))


ACCOUNTS = Deed(
    gettext_lazy("Hand over…"), gettext_lazy("Hand over"), NewOwnerAndTeam, handovers.judge_accounts, handovers.hand_over_accounts,
    handovers.REASONS, gives_accounts, gettext_lazy("The open deals and tasks of the old owner at these accounts go along."),
)  # fmt: skip
OPPORTUNITIES = Deed(
    gettext_lazy("Change the owner…"), gettext_lazy("Change the owner"), NewOwner, handovers.judge_opportunities,
    handovers.hand_over_opportunities, handovers.REASONS, note=gettext_lazy("The deals go along to the new owner's team."),
)  # fmt: skip
FOLLOW_UPS = Deed(
    gettext_lazy("Give to somebody else…"), gettext_lazy("Give to somebody else"), NewOwner, handovers.judge_follow_ups,
    handovers.hand_over_follow_ups, handovers.REASONS,
)  # fmt: skip
