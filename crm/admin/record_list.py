"""The list of every kind of record: bounded in time at any size, with tabs, and with words when it is empty."""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.views.main import ALL_VAR, ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise, cached_property
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.views import ChangeList

from crm.admin import finding, list_rows, saved_views
from crm.admin.lists import BY_NAME
from crm.admin.paging import CheapPaginator

# What stands in a list's address and filters nothing.
FRAME = frozenset({ALL_VAR, PAGE_VAR, saved_views.PARAMETER, "e", "_facets", "_popup", "_to_field", "_changelist_filters"})


class RecordList(ChangeList):
    """A list with owners by name, and with its views as tabs."""

    full_result_count: int | None
    paginator: CheapPaginator
    preserved_filters: str

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.own_order: list[Any] = list(self.model_admin.get_ordering(request))
        # The way back is the same for every row; the theme would look up each row's address to find that out.
        self.way_back: str = self.preserved_filters
        self.preserved_filters = ""

    def url_for_result(self, result: Any) -> str:
        """Give the page of a row, with the way back to this list as it is now."""
        key = getattr(result, self.pk_attname)
        address = self.row_address.replace(list_rows.PLACE, str(key)) if isinstance(key, int) else str(super().url_for_result(result))
        return f"{address}?{self.way_back}" if self.way_back else address

    @cached_property
    def row_address(self) -> str:
        """Give the address of a row, with a place for its key."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=(list_rows.PLACE,))

    def get_filters_params(self, params: Any = None) -> Any:
        kept = super().get_filters_params(params)
        kept.pop(saved_views.PARAMETER, None)
        return kept

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """Sort owners by name."""
        given = super().get_ordering(request, queryset)
        return [part for column in given for part in (_by_name(column) if column in ("owner", "-owner") else (column,))]

    def _get_default_ordering(self) -> Any:
        """Mark the heading that the list goes by as it stands, also where a tab has an order of its own."""
        return self.__dict__.get("own_order") or super()._get_default_ordering()

    def get_results(self, request: HttpRequest) -> None:
        """Say how many there are below the list alone: what the theme adds to the title is cut at the bound, and leads to the first tab."""
        super().get_results(request)
        self.full_result_count = self.result_count
        if self.paginator.at_start and not self.multi_page:
            self.result_list = self.paginator.page(1).object_list

    @property
    def is_narrowed(self) -> bool:
        """Say whether something was searched for, or filtered otherwise than the first tab does."""
        return bool(self.query or self.has_active_filters)


def _by_name(column: str) -> list[str]:
    return [f"{column}__{part}" for part in BY_NAME]


class ListPage(ModelAdmin):
    """What lists share; a list names its tabs, and what to do first when there is nothing in it."""

    paginator = CheapPaginator
    show_full_result_count = False
    list_per_page = 25
    list_max_show_all = 25
    list_filter_submit = True
    change_list_template = "crm/admin/list.html"
    # The theme asks for it twice in every row, and a name that is not there takes its template longest to find.
    list_sections: tuple[Any, ...] = ()
    # A one-to-one relation that the list is sorted by, and that may be missing.
    sorted_part = ""
    tabs: Iterable[saved_views.Tab] = ()
    # The query that shows all that one may see, where the plain list does not.
    everything = ""
    nothing_yet: Promise | str = _("There is nothing here yet.")

    class Media:
        css = {"all": ["crm/lists.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RecordList]:
        return RecordList

    @display(description=ModelAdmin.action_checkbox.short_description)
    def action_checkbox(self, obj: Any) -> SafeString:
        """Draw the box that picks a row."""
        return list_rows.check_box(obj.pk)

    def list_address(self) -> str:
        """Give the address of the list."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def get_paginator(self, request: HttpRequest, queryset: Any, per_page: int, *args: Any, **kwargs: Any) -> CheapPaginator:
        """Count what a search found from its keys; it was the last to narrow these rows."""
        known = request.__dict__.get("found", {}).get(self.model)
        at_start = request.GET.get(PAGE_VAR, "1") == "1"
        return CheapPaginator(queryset, per_page, *args, known=known, part=self.sorted_part, at_start=at_start, **kwargs)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Find rows that hold every word: as many as can be paged through on a page, every one for a deed or an export."""
        fields = self.get_search_fields(request)
        if not fields or not finding.words_of(search_term):
            return queryset, False
        if request.resolver_match is None or request.method != "GET":
            return finding.all_of(queryset, fields, search_term), False
        keys = finding.keys(queryset, fields, search_term)
        request.__dict__.setdefault("found", {})[self.model] = len(keys)
        return finding.of_keys(queryset, keys), False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        context = {"title": capfirst(self.opts.verbose_name_plural), "views": saved_views.bar(request, self)}
        return super().changelist_view(request, context | (extra_context or {}))

    def get_actions(self, request: HttpRequest) -> Any:
        """Leave the deletion of many at once to administrators: they alone may delete accounts."""
        actions = super().get_actions(request)
        if not request.user.has_perm("crm.delete_account"):
            actions.pop("delete_selected", None)
        return actions

    def get_urls(self) -> list[URLPattern]:
        address = path("views/", self.admin_site.admin_view(self.views_view), name=f"{self.opts.app_label}_{self.opts.model_name}_views")
        return [address, *super().get_urls()]

    def views_view(self, request: HttpRequest) -> HttpResponse:
        """Keep, rename, share, move or delete a saved view of this list."""
        return saved_views.answer(request, self)

    def known_parameters(self, request: HttpRequest) -> set[str]:
        """Name what a query of this list may hold: its filters, the search, the order."""
        named = {getattr(each, "parameter_name", each) for each in self.get_list_filter(request)}
        return {str(name) for name in named} | {SEARCH_VAR, ORDER_VAR}
