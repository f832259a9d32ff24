"""What a board shows: whose deals, of which team and product, closing when; by the same words as the list of deals."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import pipeline
from crm.models import Product, Team, User
from crm.models.opportunities import OpportunityQuerySet
from crm.models.users import Sight, sight

PERIODS = {
    "overdue": gettext_lazy("close date passed"),
    "this_quarter": gettext_lazy("this quarter"),
    "next_quarter": gettext_lazy("next quarter"),
    "later": gettext_lazy("later"),
    "undated": gettext_lazy("no date"),
}
ORIGINS = {
    "ours": gettext_lazy("judged by the gate"),
    "imported": gettext_lazy("imported history"),
    "all": gettext_lazy("all"),
}


@dataclass(frozen=True)
class Wanted:
    """The filters as chosen; what nobody chose holds the user's own default."""

    user: User
    owner: str
    team: str
    product: str
    close: str
    origin: str

    @classmethod
    def of(cls, request: HttpRequest, given: QueryDict) -> Self:
        """Read the filters of an address."""
        user: Any = request.user
        owner = given.get("owner", "")
        return cls(
            user=user,
            owner=owner if owner in dict(_owners(user)) else _own_view(user),
            team=_number(given.get("team", "")),
            product=_number(given.get("product", "")),
            close=given.get("close", "") if given.get("close", "") in PERIODS else "",
            origin=given.get("origin", "") if given.get("origin", "") in ORIGINS else "ours",
        )

    def narrow(self, deals: OpportunityQuerySet, *, day: date) -> OpportunityQuerySet:
        """Keep what the filters leave."""
        facts: dict[str, Any] = (
            {"owner": self.user.pk} if self.owner == "me" else {"team": self.user.team_id} if self.owner == "team" else {}
        )
        facts |= {name: int(value) for name, value in (("team", self.team), ("product", self.product)) if value}
        deals = deals.filter(pipeline.closing(self.close, day=day), **facts)
        if self.origin == "all":
            return deals
        return deals.judged_by_gate() if self.origin == "ours" else deals.exclude(imported_stage="")

    @property
    def query(self) -> str:
        """Give the filters as the end of an address."""
        return self._query()

    def _query(self, **other: str) -> str:
        chosen = {name: getattr(self, name) for name in ("owner", "team", "product", "close", "origin")} | other
        return urlencode({name: value for name, value in chosen.items() if value})

    @property
    def is_narrowed(self) -> bool:
        """Say whether a filter other than whose is chosen."""
        return bool(self.team or self.product or self.close or self.origin != "ours")

    @property
    def owners(self) -> list[dict[str, Any]]:
        """Give the choices of whose deals, each with its address."""
        board = reverse("admin:crm_opportunity_board")
        return [
            {"label": label, "is_chosen": key == self.owner, "href": f"{board}?{self._query(owner=key)}"}
            for key, label in _owners(self.user)
        ]

    @property
    def selects(self) -> list[dict[str, Any]]:
        """Give the other filters as boxes to choose from."""
        products = [(str(pk), name) for pk, name in Product.objects.order_by("name").values_list("pk", "name")[:100]]
        teams = [(str(pk), name) for pk, name in Team.objects.order_by("name").values_list("pk", "name")[:100]] if self._sees_all else []
        boxes = [
            ("team", _("Team"), self.team, [("", _("all teams")), *teams] if teams else []),
            ("product", _("Product"), self.product, [("", _("all products")), *products]),
            ("close", _("Expected close"), self.close, [("", _("any day")), *PERIODS.items()]),
            ("origin", _("Origin"), self.origin, list(ORIGINS.items())),
        ]
        return [{"name": name, "label": label, "value": value, "choices": choices} for name, label, value, choices in boxes if choices]

    @property
    def _sees_all(self) -> bool:
        return sight(self.user) is Sight.ALL

    def list_link(self, stage: str = "") -> str:
        """Give the list of the same deals, in one stage or in every open one."""
        whose = {"team": "mine"} if self.owner == "team" else {"owner": self.owner}
        facts = {"team": self.team, "product": self.product, "close": self.close} | whose
        facts |= {"origin": self.origin, "stage": stage, "state": "all" if stage in ("won", "lost") else "open"}
        query = urlencode({name: value for name, value in facts.items() if value})
        return f"{reverse('admin:crm_opportunity_changelist')}?{query}"

    @property
    def list_address(self) -> str:
        """Give the list of the same open deals."""
        return self.list_link()


def board_link(given: QueryDict) -> str:
    """Give the board of what a list of deals shows; what the list is narrowed by besides is left out."""
    owner = "team" if given.get("team") == "mine" else given.get("owner", "")
    facts = (
        {"owner": owner} | {name: given.get(name, "") for name in ("product", "close", "origin")} | {"team": _number(given.get("team", ""))}
    )
    return f"{reverse('admin:crm_opportunity_board')}?{urlencode({name: value for name, value in facts.items() if value})}"


def _owners(user: User) -> list[tuple[str, str]]:
    team = [("team", _("My team"))] if user.team_id else []
    return [("me", _("Mine")), *team, ("all", _("All"))]


def _own_view(user: User) -> str:
    """Name what somebody looks at first: a rep at the own deals, a lead at the team's, who sees every record at all."""
    if sight(user) is Sight.ALL:
        return "all"
    return "team" if user.team_id and user.has_perm("crm.assign_account") else "me"


def _number(given: str) -> str:
    return given if given.isdecimal() and len(given) < 18 else ""
