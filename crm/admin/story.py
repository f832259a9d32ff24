"""The history of an account: who changed what, with the reasons where there are; five tables read as one, a page at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from crm.admin.site import RememberedAdmin, page_of
from crm.admin.versions import because, shown
from crm.models import Account, Contact, Departure, DmuMembership, StageMove

PAGE = 40
# What machines keep beside every change, or what another line says already.
UNSAID = {"id", "created_at", "updated_at", "history_id", "revision", "departure", "said_by", "external_id"}


@dataclass(frozen=True)
class Source:
    """One table of the history: which of its rows are the account's, when they were written, and how a page of them is told."""

    name: str
    icon: str
    rows: Callable[[Account, HttpRequest], QuerySet[Any]]
    moment: str
    tell: Callable[[list[Any]], Iterator["Told"]]


@dataclass(frozen=True)
class Told:
    """One line of the history, in words."""

    at: datetime
    key: tuple[str, int]
    what: str
    who: object = ""
    why: str = ""
    link: str = ""
    changes: tuple[tuple[str, str, str], ...] = ()
    icon: str = ""


def of_account(account: Account, request: HttpRequest, *, before: str = "") -> tuple[list[Told], str]:
    """Give a page of the history, the newest first, and the mark of the next page; at most three queries for each source."""
    mark = _mark(before)
    told = [one for source in SOURCES for one in source.tell(_page(source, account, request, mark))]
    told.sort(key=lambda one: (one.at, one.key), reverse=True)
    shown, is_more = told[:PAGE], len(told) > PAGE
    said = [one for one in shown if one.what]
    return said, f"{shown[-1].at.isoformat()}_{shown[-1].key[0]}_{shown[-1].key[1]}" if is_more else ""


def _mark(text: str) -> tuple[datetime, str, int] | None:
    """Read the place of the last line shown; a broken one is none."""
    parts = text.split("_")
    try:
        moment = parse_datetime(parts[0])
    except ValueError:
        return None
    is_whole = len(parts) == 3 and moment is not None and moment.tzinfo is not None and parts[2].isdecimal()
    return (moment, parts[1], int(parts[2][:15])) if is_whole and moment else None


def _page(source: Source, account: Account, request: HttpRequest, mark: tuple[datetime, str, int] | None) -> list[Any]:
    rows = source.rows(account, request).annotate(at=F(source.moment)).exclude(at=None)
    if mark:
        moment, name, number = mark
        same = Q(at=moment) if source.name < name else Q(at=moment, pk__lt=number) if source.name == name else Q(pk=None)
        rows = rows.filter(Q(at__lt=moment) | same)
    return list(rows.order_by("-at", "-pk")[: PAGE + 1])


# --- what each table tells ------------------------------------------------------------------------------


def _history(model: Any, **at_account: str) -> Callable[[Account, HttpRequest], QuerySet[Any]]:
    """Read a remembered model's versions of one account, each with the number of the version before it."""

    def rows(account: Account, _request: HttpRequest) -> QuerySet[Any]:
        versions = _versions_of(model)
        earlier = model.history.model.objects.filter(id=OuterRef("id"), history_id__lt=OuterRef("history_id")).order_by("-history_id")
        of_account = versions.filter(**dict.fromkeys(at_account.values(), account.pk))
        return of_account.annotate(earlier=Subquery(earlier.values("history_id")[:1])).select_related("history_user")

    return rows


def _versions_of(model: Any) -> QuerySet[Any]:
    """Select the versions of a model with what their links lead to."""
    links = [field.name for field in model._meta.concrete_fields if field.is_relation and field.name not in UNSAID]
    return model.history.model.objects.select_related(*links)


def _versions(name: str, model: Any, title: Callable[[Any, str], str], icon: str) -> Callable[[list[Any]], Iterator[Told]]:
    """Tell what changed between each version and the one before it."""

    def tell(rows: list[Any]) -> Iterator[Told]:
        before = _versions_of(model).in_bulk([row.earlier for row in rows if row.earlier])
        people = _names(model, rows)
        for row in rows:
            changes = tuple(_changes(row, before.get(row.earlier)))
            # What changed nothing one would read keeps its place, so that the pages meet.
            is_said = row.history_type != "~" or changes
            what = title(row, people.get(getattr(row, "contact_id", None) or row.id, "")) if is_said else ""
            yield Told(row.at, (name, row.pk), what, row.history_user or "", because(row.history_change_reason), "", changes, icon)

    return tell


def _names(model: Any, rows: list[Any]) -> dict[int | None, str]:
    """Name the people that versions of contacts and roles are about."""
    if model is Account:
        return {}
    ids = {row.contact_id if model is DmuMembership else row.id for row in rows}
    return {contact.pk: str(contact) for contact in Contact.objects.filter(pk__in=ids).select_related("person")}


def _changes(row: Any, before: Any) -> Iterator[tuple[str, str, str]]:
    """Give the fields that differ, with both values as one reads them; a first version differs from nothing."""
    if before is None:
        return
    for field in row.instance_type._meta.concrete_fields:
        old, new = getattr(before, field.attname, None), getattr(row, field.attname, None)
        if field.name not in UNSAID and old != new:
            yield str(capfirst(field.verbose_name)), _shown(before, field, old), _shown(row, field, new)


def _shown(row: Any, field: Any, value: Any) -> str:
    if field.is_relation and value is not None:
        # Whom or what a link led to may be gone; its number says enough to look it up.
        return str(getattr(row, field.name, None) or f"#{value}")
    return shown(field, value)


WORDS: dict[str, Promise] = {"+": _("added"), "~": _("changed"), "-": _("deleted")}


def _of_account_itself(row: Any, _name: str) -> str:
    return str(_("Account %(done)s") % {"done": WORDS[row.history_type]})


def _of_contact(row: Any, name: str) -> str:
    return str(_("Contact %(name)s %(done)s") % {"name": name, "done": WORDS[row.history_type]})


def _of_role(row: Any, name: str) -> str:
    if row.until:
        return str(_("%(name)s is no longer %(role)s") % {"name": name, "role": row.get_role_display()})
    if row.history_type == "+":
        return str(_("%(name)s is %(role)s") % {"name": name, "role": row.get_role_display()})
    return str(_("%(name)s as %(role)s: changed") % {"name": name, "role": row.get_role_display()})


def _moves(account: Account, request: HttpRequest) -> QuerySet[Any]:
    seen = StageMove.objects.visible_to(request.user)
    return seen.filter(opportunity__account=account).select_related("opportunity", "moved_by")


def _tell_moves(rows: list[StageMove]) -> Iterator[Told]:
    for row in rows:
        step = f"{row.get_from_stage_display()} → {row.get_to_stage_display()}" if row.from_stage else row.get_to_stage_display()
        who = _("import") if row.is_imported else row.moved_by or ""
        yield Told(row.at, ("move", row.pk), f"{row.opportunity}: {step}", who, row.reason, page_of(row.opportunity), (), "trending_up")  # type: ignore[attr-defined]


def _departures(account: Account, _request: HttpRequest) -> QuerySet[Any]:
    return Departure.objects.filter(contact__account=account).select_related("contact__person", "recorded_by")


def _tell_departures(rows: list[Departure]) -> Iterator[Told]:
    for row in rows:
        what = _("%(name)s left") if row.undone_at is None else _("%(name)s left (taken back since)")
        said = str(what % {"name": row.contact})
        yield Told(row.at, ("departure", row.pk), said, row.recorded_by or "", row.reason, page_of(row.contact), (), "person_off")  # type: ignore[attr-defined]


SOURCES = (
    Source("account", "domain", _history(Account, id="id"), "history_date", _versions("account", Account, _of_account_itself, "domain")),
    Source("contact", "badge", _history(Contact, at="account_id"), "history_date", _versions("contact", Contact, _of_contact, "badge")),
    Source("departure", "person_off", _departures, "recorded_at", _tell_departures),
    Source("move", "trending_up", _moves, "moved_at", _tell_moves),
    Source("role", "group", _history(DmuMembership, at="account_id"), "history_date", _versions("role", DmuMembership, _of_role, "group")),
)


class StoryPage(RememberedAdmin):
    """A page whose history tells what happened to the account and everything that hangs on it."""

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        account = self.record(request, object_id, "view")
        told, older = of_account(account, request, before=request.GET.get("before", ""))
        address = reverse("admin:crm_account_history", args=[account.pk])
        context = {
            "told": told,
            "older": f"{address}?{urlencode({'before': older})}" if older else "",
            "record": account,
            "back": page_of(account),
        }
        if request.headers.get("HX-Request") == "true":
            return TemplateResponse(request, "crm/admin/parts/story_rows.html", context)
        words = {"title": _("History"), "subtitle": str(account), "opts": self.opts, "media": self.media}
        return TemplateResponse(request, "crm/admin/story_page.html", self.admin_site.each_context(request) | words | context)
