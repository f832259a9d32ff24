"""Ctrl+K: accounts, contacts and deals by what somebody types; what is the user's own comes first, and so do domain and e-mail."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from crm.admin import finding
from crm.models import Account, Contact, Opportunity, Stage

SHOWN = 5
AT_LEAST = 2
OWNER = ("owner", "owner__first_name", "owner__last_name", "owner__username")


class Hit(NamedTuple):
    """One thing found: its name, what it is in words, where its page is, and how well it fits (the lowest best)."""

    title: str
    words: str
    link: str
    icon: str
    rank: tuple[int, ...]


class Kind(NamedTuple):
    """What is searched for of one model; `hit` makes one of a row of `columns`."""

    model: Any
    own: str
    fields: Sequence[str]
    columns: Sequence[str]
    hit: Callable[[dict[str, Any], str, int], Hit]


def answer(request: HttpRequest) -> HttpResponse:
    """Answer what was typed with the few best of each kind, and with the lists that search for all."""
    term = " ".join(request.GET.get("s", "").split())[:100]
    hits = find(request.user, term) if len(term) >= AT_LEAST else []
    lists = [(_label(kind.model), reverse(_page(kind.model, "changelist"))) for kind in KINDS if _is_open(request.user, kind)]
    context = {"hits": hits, "term": term, "lists": lists, "is_short": len(term) < AT_LEAST}
    return TemplateResponse(request, "crm/admin/found.html", context)


def find(user: Any, term: str) -> list[Hit]:
    """Give the best of each kind, one question of the database each."""
    return [hit for kind in KINDS if _is_open(user, kind) for hit in _best(user, kind, term)]


def _best(user: Any, kind: Kind, term: str) -> list[Hit]:
    """Ask for the user's own and for all in sight, each column by itself, and sort the few that come."""
    seen = kind.model.objects.visible_to(user).order_by()
    scopes = (seen.filter(Q(**{kind.own: user.pk})), seen)
    parts = [part.values(*kind.columns) for rows in scopes for part in finding.by_column(rows, kind.fields, term)]
    rows = {row["pk"]: row for row in finding.united(parts, at_most=4 * SHOWN)}
    return sorted((kind.hit(row, term.lower(), user.pk) for row in rows.values()), key=lambda hit: (hit.rank, hit.title))[:SHOWN]


def _is_open(user: Any, kind: Kind) -> bool:
    return bool(user.has_perm(f"crm.view_{kind.model._meta.model_name}"))


def _page(model: Any, page: str) -> str:
    return f"admin:crm_{model._meta.model_name}_{page}"


def _label(model: Any) -> str:
    return str(model._meta.verbose_name_plural)


def _rank(keys: Iterable[str], names: Iterable[str], term: str, *, is_own: bool) -> tuple[int, ...]:
    """Put exact keys first, then the user's own, then keys and names that begin with the term."""
    keys, names = [key.lower() for key in keys], [name.lower() for name in names]
    begins = 0 if any(key.startswith(term) for key in keys) else 1 if any(name.startswith(term) for name in names) else 2
    return (0 if term in (*keys, *names) else 1, 0 if is_own else 1, begins)


def _owner(row: dict[str, Any], me: int) -> str:
    if row["owner"] == me:
        return _("mine")
    name = f"{row['owner__first_name'] or ''} {row['owner__last_name'] or ''}".strip()
    return name or row["owner__username"] or _("nobody's")


def _words(*words: object) -> str:
    return " · ".join(str(word) for word in words if word)


def _account(row: dict[str, Any], term: str, me: int) -> Hit:
    words = _words(_("Account"), _owner(row, me), row["domain"])
    rank = _rank([row["domain"]], [row["name"]], term, is_own=row["owner"] == me)
    return Hit(row["name"], words, reverse(_page(Account, "change"), args=[row["pk"]]), "domain", rank)


def _contact(row: dict[str, Any], term: str, me: int) -> Hit:
    name = f"{row['person__given_name']} {row['person__family_name']}".strip()
    words = _words(_("Contact"), row["account__name"], row["email"], _("left") if row["left_on"] else "")
    names = (name, row["person__family_name"])
    rank = (*_rank([row["email"]], names, term, is_own=row["account__owner"] == me), 1 if row["left_on"] else 0)
    return Hit(name or row["email"], words, reverse(_page(Contact, "change"), args=[row["pk"]]), "person", rank)


def _deal(row: dict[str, Any], term: str, me: int) -> Hit:
    words = _words(_("Opportunity"), row["account__name"], Stage(row["stage"]).label, _owner(row, me))
    closed = 1 if row["stage"] in (Stage.WON, Stage.LOST) else 0
    rank = (*_rank([], [row["name"]], term, is_own=row["owner"] == me), closed)
    return Hit(row["name"], words, reverse(_page(Opportunity, "change"), args=[row["pk"]]), "handshake", rank)


_PERSON = ("person__given_name", "person__family_name")
KINDS = (
    Kind(Account, "owner", ("domain", "name"), ("pk", "name", "domain", *OWNER), _account),
    Kind(
        Contact, "account__owner", ("email", "person__family_name", "person__given_name"),
        ("pk", *_PERSON, "email", "left_on", "account__name", "account__owner"), _contact,
    ),
    Kind(Opportunity, "owner", ("name",), ("pk", "name", "stage", "account__name", *OWNER), _deal),
)  # fmt: skip
