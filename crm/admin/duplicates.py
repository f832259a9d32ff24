"""Duplicates: the work list of records that look like one, and the warning before another one is added."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from crm import duplicates, tasks
from crm.admin.lists import WorkFilter, chip
from crm.admin.merges import side_by_side
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, doer, page_of
from crm.models import Account, AccountPair, Contact, ContactPair


class DecidedFilter(WorkFilter):
    """Show what nobody decided on, unless asked for more."""

    title, parameter_name, default = _("decided"), "decided", "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("to decide")), ("no", _("no duplicates")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        choice = self.value()
        if choice == "no":
            return queryset.exclude(dismissed_at=None)
        return queryset if choice == "all" else queryset.open()


class PairAdmin(ReadOnlyAdmin):
    """Pairs of records that look like one, the surest first."""

    list_display = ["pair", "sure", "why", "decide"]
    list_display_links = None
    list_filter = [DecidedFilter]
    ordering = ["-certainty", "-id"]
    change_list_template = "crm/admin/duplicates.html"
    nothing_yet = _("Nothing looks alike. The search goes on by itself every night; you can start it now, too.")

    class Media:
        css = {"all": ["crm/merges.css"]}

    @display(description=_("look like one"))
    def pair(self, pair: Any) -> str:
        return format_html('<span class="q-pair">{}{}</span>', self.side(pair.one), self.side(pair.other))

    def side(self, record: Any) -> str:
        """Draw one of the two with what tells it apart."""
        about = " · ".join(filter(None, self.about(record)))
        return format_html('<span><a href="{}">{}</a><span class="q-note">{}</span></span>', page_of(record), record, about)

    def about(self, record: Any) -> list[str]:
        """Say what tells a record apart."""
        raise NotImplementedError

    @display(description=_("certainty"), ordering="certainty")
    def sure(self, pair: Any) -> str:
        if "elsewhere" in pair.reasons:
            return chip(_("a hint"), "missing", sign="?")
        sure = pair.certainty >= duplicates.NEARLY_SURE
        return chip(f"{pair.certainty} %", "engaged" if sure else "assumed", sign="✓" if sure else "?")

    @display(description=_("why"))
    def why(self, pair: Any) -> str:
        return capfirst(duplicates.in_words(pair.reasons))

    @display(description=_("decide"))
    def decide(self, pair: Any) -> str:
        """Draw the way to the comparison, and the button that says no; it posts the list's own form."""
        if pair.dismissed_at:
            return self.button("restore", pair, _("Look at it again"))
        no = self.button("dismiss", pair, _("Not a duplicate"))
        if "elsewhere" in pair.reasons:
            return no
        return format_html('<a class="q-button" href="{}">{}</a> {}', side_by_side(pair.one, pair.other), _("Compare"), no)

    def button(self, deed: str, pair: Any, label: object) -> str:
        """Draw a button that posts to a deed."""
        address = reverse(f"admin:crm_{self.opts.model_name}_{deed}", args=[pair.pk])
        return format_html('<button type="submit" formaction="{}" class="q-button">{}</button>', address, label)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        tabs = [(AccountPair, _("Accounts")), (ContactPair, _("Contacts"))]
        kinds = [(reverse(f"admin:crm_{model._meta.model_name}_changelist"), name, model is self.model) for model, name in tabs]
        search = reverse(f"admin:crm_{self.opts.model_name}_search")
        return super().changelist_view(request, {"title": _("Duplicates"), "kinds": kinds, "search_again": search} | (extra_context or {}))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """Lead to the comparison: a pair has no page of its own."""
        pair = self.get_object(request, object_id)
        if pair is None or not self.has_view_permission(request, pair):
            raise Http404
        return redirect(side_by_side(pair.one, pair.other))

    def get_urls(self) -> list[URLPattern]:
        name = f"crm_{self.opts.model_name}"
        view = self.admin_site.admin_view
        own = [
            path("search/", view(self.search), name=f"{name}_search"),
            path("like/", view(self.like), name=f"{name}_like"),
            path("<path:object_id>/dismiss/", view(self.dismiss), name=f"{name}_dismiss"),
            path("<path:object_id>/restore/", view(self.restore), name=f"{name}_restore"),
        ]
        return [*own, *super().get_urls()]

    def dismiss(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Remember that two records are no duplicates."""
        pair = self.record(request, object_id, "view")
        deed = partial(duplicates.dismiss, pair, by=doer(request))
        return self.on_post(request, pair, deed, done=_("Remembered: these are two."), back=self.list_address())

    def restore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a pair again that was said to be no duplicate."""
        pair = self.record(request, object_id, "view")
        done = _("It is in the list again.")
        return self.on_post(request, pair, partial(_restored, pair), done=done, back=f"{self.list_address()}?decided=no")

    def search(self, request: HttpRequest) -> HttpResponse:
        """Have everything looked at that changed since the last search."""
        if request.method == "POST" and self.has_view_permission(request):
            tasks.enqueue(tasks.find_duplicates)
            self.message_user(request, _("The search has begun; what it finds appears here."))
        return redirect(self.list_address())

    def like(self, request: HttpRequest) -> HttpResponse:
        """Say what is on file that looks like what somebody types; of what is out of sight only that it is there, and whose."""
        if not self.has_view_permission(request):
            raise Http404
        matches = self.matches({name: str(value)[:200] for name, value in request.GET.items()})
        model: Any = Account if self.model is AccountPair else Contact
        records = model.objects.filter(pk__in=[match.pk for match in matches]).select_related(*self.related)
        known = {record.pk: record for record in records}
        seen = set(model.objects.visible_to(request.user).filter(pk__in=known).values_list("pk", flat=True))
        rows = [self.row(known[match.pk], match, is_seen=match.pk in seen) for match in matches if match.pk in known]
        return TemplateResponse(request, "crm/admin/duplicates_like.html", {"rows": [row for row in rows if row]})

    related: tuple[str, ...] = ()

    def matches(self, typed: dict[str, str]) -> list[duplicates.Match]:
        """Find what looks like what was typed."""
        raise NotImplementedError

    def row(self, record: Any, match: duplicates.Match, *, is_seen: bool) -> dict[str, Any] | None:
        """Give a match as it is shown; out of sight only what is the very same, without its name."""
        why = duplicates.in_words(list(match.reasons))
        if is_seen:
            return {"name": str(record), "about": " · ".join(filter(None, self.about(record))), "page": page_of(record), "why": why}
        if {"same_domain", "same_address"} & set(match.reasons):
            team = (record if isinstance(record, Account) else record.account).team
            return {"team": team, "why": why, "page": ""}
        return None


def _restored(pair: Any, **_facts: object) -> None:
    duplicates.restore(pair)


@admin.register(AccountPair)
class AccountPairAdmin(PairAdmin):
    """Pairs of accounts."""

    place = Place("selling", 9, "content_copy", _("Duplicates"))
    list_select_related = ["one", "other"]
    search_fields = ["one__name", "other__name"]
    related = ("team",)

    def about(self, record: Account) -> list[str]:
        return [record.domain, record.city, str(record.country.name) if record.country else ""]

    def matches(self, typed: dict[str, str]) -> list[duplicates.Match]:
        facts = {name: typed.get(name, "") for name in ("name", "domain", "city", "country")}
        return duplicates.like_account(**facts) if facts["name"].strip() or facts["domain"].strip() else []


@admin.register(ContactPair)
class ContactPairAdmin(PairAdmin):
    """Pairs of contacts."""

    list_select_related = ["one__person", "other__person", "one__account", "other__account"]
    search_fields = ["one__person__family_name", "other__person__family_name"]
    related = ("person", "account__team")

    def about(self, record: Contact) -> list[str]:
        return [record.account.name, record.job_title, record.email]

    def matches(self, typed: dict[str, str]) -> list[duplicates.Match]:
        name = " ".join(filter(None, (typed.get("given_name", "").strip(), typed.get("family_name", "").strip())))
        account = typed.get("account", "")
        account_id = int(account) if account.isdecimal() else None
        if not name and not typed.get("email"):
            return []
        return duplicates.like_contact(account_id=account_id, name=name, email=typed.get("email", "").strip(), phone=typed.get("phone", ""))
