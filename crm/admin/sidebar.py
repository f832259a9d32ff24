"""The sidebar: every page stands in a group, and shows to who may open it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

GROUPS: dict[str, Promise] = {
    "selling": _("Selling"),
    "events": _("What happened"),
    "marketing": _("Marketing"),
    "data": _("Data"),
    "settings": _("Settings"),
}


class Place(NamedTuple):
    """Where a page stands in the sidebar."""

    group: str
    order: int
    icon: str
    label: Promise | str = ""


class Page(NamedTuple):
    """A page that is no model's list: its place, the name of its address, and who may open it."""

    place: Place
    address: str
    is_open_to: Callable[[HttpRequest], bool]


_pages: list[Page] = []


def add_page(place: Place, address: str, is_open_to: Callable[[HttpRequest], bool] = lambda _request: True) -> None:
    """Put a page into the sidebar, by the name of its address, e.g. 'admin:index'."""
    _pages.append(Page(place, address, is_open_to))


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Give the sidebar: each group with the pages that this user may open; an admin names its own place."""
    models: list[Any] = [
        page for page in admin.site._registry.values() if getattr(page, "place", None) and page.has_view_permission(request)
    ]
    entries = [(page.place, _of_model(page)) for page in models]
    entries += [(page.place, _link(page.place, reverse(page.address))) for page in _pages if page.is_open_to(request)]
    entries.sort(key=lambda entry: entry[0].order)
    _mark_here(request.path, [link for _place, link in entries])
    groups = ((title, [link for place, link in entries if place.group == group]) for group, title in GROUPS.items())
    return [{"title": title, "separator": number > 0, "items": items} for number, (title, items) in enumerate(groups) if items]


def _mark_here(path: str, links: list[dict[str, Any]]) -> None:
    """Mark the page that is open: of two of which one's address begins with the other's, the longer one."""
    start = reverse("admin:index")
    over = [link["link"] for link in links if link["link"] == path or (path.startswith(link["link"]) and link["link"] != start)]
    for link in links:
        link["active"] = link["link"] == max(over, key=len, default="")


def _of_model(page: Any) -> dict[str, Any]:
    options = page.model._meta
    place = page.place._replace(label=page.place.label or capfirst(options.verbose_name_plural))
    return _link(place, reverse(f"admin:{options.app_label}_{options.model_name}_changelist"))


def _link(place: Place, address: str) -> dict[str, Any]:
    return {"title": place.label, "icon": place.icon, "link": address}
