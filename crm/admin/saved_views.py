"""The tabs above a list: those that come with it, and the views that a user or the team saved."""

from typing import Any, NamedTuple, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.functional import Promise
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from crm import saved_views
from crm.admin import choices
from crm.errors import CrmError
from crm.models import SavedView, User

PARAMETER = "view"


class Tab(NamedTuple):
    """A tab that comes with a list: its label and its query; the first holds when nothing is asked for."""

    label: Promise | str
    query: str


def bar(request: HttpRequest, page: Any) -> dict[str, Any]:
    """Give the tabs of a list, which of them is open, and what can be done with it."""
    query = kept(request.GET, page.known_parameters(request))
    chosen = request.GET.get(PARAMETER, "")
    stored = sorted(choices.offered(request, page.model)["view"], key=lambda row: (row["position"], row["id"]))
    saved = [_saved(request, page, row) for row in stored]
    here = next((tab for tab in saved if str(tab["id"]) == chosen), None)
    built_in = [{"label": tab.label, "query": tab.query, "is_here": False} for tab in page.tabs]
    if here:
        here["is_here"] = True
    else:
        _mark(built_in, query)
    return {
        "tabs": built_in,
        "saved": saved,
        "here": here,
        "is_gone": bool(chosen) and here is None,
        "is_changed": here is not None and here["query"] != query,
        "query": query,
        "may_keep": bool(query) and not any(tab["is_here"] for tab in built_in),
    }


def _mark(tabs: list[dict[str, Any]], query: str) -> None:
    """Mark the tab whose query this is; nothing asked for is the first."""
    for number, tab in enumerate(tabs):
        tab["is_here"] = sorted(tab["query"].split("&")) == sorted(query.split("&")) or (not query and number == 0)
        if tab["is_here"]:
            return


def _saved(request: HttpRequest, page: Any, row: dict[str, Any]) -> dict[str, Any]:
    stored, known = QueryDict(row["b"]), page.known_parameters(request)
    return {
        "id": row["id"],
        "label": row["a"],
        "query": kept(stored, known),
        "lost": sorted(set(stored) - known),
        "is_mine": row["owner"] == request.user.pk,
        "is_shared": row["team"] is not None,
        "is_here": False,
    }


def kept(query: QueryDict, known: set[str]) -> str:
    """Give what of a query belongs to the list, in one order, so that two of them can be compared."""
    clean = QueryDict(mutable=True)
    for name in sorted(known & set(query)):
        clean.setlist(name, [value for value in query.getlist(name) if value])
    return clean.urlencode()


def answer(request: HttpRequest, page: Any) -> HttpResponse:
    """Do what a form of the tabs asks: keep a view, or change one; then show the list with it."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    if request.method != "POST":
        return redirect(page.list_address())
    query = kept(QueryDict(request.POST.get("query", "")), page.known_parameters(request))
    try:
        view, done = _do(request, page, query)
    except CrmError as refusal:
        messages.error(request, str(refusal))
        chosen = request.POST.get(PARAMETER, "")
        return redirect(f"{page.list_address()}?{query}" + (f"&{PARAMETER}={chosen}" if chosen.isdecimal() else ""))
    messages.success(request, str(done))
    return redirect(f"{page.list_address()}?{view.query}&{PARAMETER}={view.pk}" if view else page.list_address())


def _do(request: HttpRequest, page: Any, query: str) -> tuple[SavedView | None, Promise | str]:
    name, deed, user = request.POST.get("name", ""), request.POST.get("deed", ""), cast(User, request.user)
    if deed == "keep":
        return saved_views.keep(page=page.model._meta.label_lower, name=name, query=query, at=now(), by=user), _("The view is saved.")
    view = _chosen(request, page)
    if deed == "rename":
        return saved_views.rename(view, name=name, by=user), _("The view has its new name.")
    if deed == "change":
        return saved_views.change(view, query=query, by=user), _("The view is saved as you see it.")
    if deed in ("share", "unshare"):
        shared = deed == "share"
        done = _("Your team sees this view now.") if shared else _("Only you see this view now.")
        return (saved_views.share if shared else saved_views.unshare)(view, by=user), done
    if deed in ("left", "right"):
        saved_views.move(view, steps=-1 if deed == "left" else 1, by=user)
        return view, _("The view is moved.")
    if deed == "delete":
        saved_views.delete(view, by=user)
        return None, _("The view is deleted.")
    raise Http404


def _chosen(request: HttpRequest, page: Any) -> SavedView:
    """Give the view that a form is about; out of sight it does not exist."""
    chosen = request.POST.get(PARAMETER, "")
    rows = SavedView.objects.visible_to(request.user).of(page.model._meta.label_lower).select_related("owner")
    view = rows.filter(pk=chosen).first() if chosen.isdecimal() else None
    if view is None:
        raise Http404
    return view
