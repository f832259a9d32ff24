"""The columns of the board: sums of every deal in them, and the first cards with what each still lacks."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import access, bant, opportunities, pipeline, policy
from crm.admin import stale
from crm.admin.board_filters import Wanted
from crm.admin.lists import money
from crm.models import ConfirmationKind, Opportunity, Stage, User
from crm.models.opportunities import OpportunityQuerySet
from crm.pipeline import Judged, Worth

CARDS_SHOWN = 50
CLOSED = (Stage.WON, Stage.LOST)
SHORT: dict[str, Promise] = {
    "account": gettext_lazy("account"),
    "amount": gettext_lazy("amount"),
    "close_date": gettext_lazy("close date"),
    "decider": gettext_lazy("word of the decider"),
    "gate_broken": gettext_lazy("confirm anew"),
}


def lanes(deals: OpportunityQuerySet, wanted: Wanted, user: User | AnonymousUser, *, at: datetime) -> list[dict[str, Any]]:
    """Give a column for each stage: its sums over every deal, and its first cards; in four queries and one for the deciders."""
    today = policy.day_of(at)
    chosen = pipeline.on_board(wanted.narrow(deals, day=today), day=today)
    worth = pipeline.worth(chosen)
    first = pipeline.first_of_each_stage(chosen, at_most=CARDS_SHOWN).select_related("account", "owner")
    rows = list(access.with_may_change(first, user))
    judged = pipeline.judge(rows, at=at)
    by_stage = defaultdict(list)
    for deal in rows:
        by_stage[deal.stage].append(card(deal, judged.get(deal.pk, Judged()), at, today))
    return [_lane(stage, worth[stage], by_stage[stage], wanted) for stage in Stage]


def _lane(stage: Stage, worth: Collection[Worth], cards: Collection[dict[str, Any]], wanted: Wanted) -> dict[str, Any]:
    count = sum(row.deals for row in worth)
    return {
        "stage": stage.value,
        "label": stage.label,
        "is_closed": stage in CLOSED,
        "is_committable": stage in pipeline.COMMITTABLE,
        "count": count,
        "worth": worth,
        "sums": [price(row.amount, row.currency) for row in worth if row.amount],
        "uncommitted": [price(row.amount - row.committed, row.currency) for row in worth if row.amount != row.committed],
        "cards": cards,
        "more": count - len(cards),
        "list": wanted.list_link(stage.value),
    }


def totals(shown: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Give what all open columns are worth together, and what of it is committed, per currency."""
    open_: dict[str, Decimal] = defaultdict(Decimal)
    committed: dict[str, Decimal] = defaultdict(Decimal)
    for lane in shown:
        for row in () if lane["is_closed"] else lane["worth"]:
            open_[row.currency] += row.amount
            committed[row.currency] += row.committed
    return {
        name: [price(sum_, currency) for currency, sum_ in sums.items() if sum_]
        for name, sums in (("open", open_), ("committed", committed))
    }


def price(amount: Decimal, currency: str) -> str:
    """Write an amount without cents."""
    return f"{number_format(amount, 0, use_l10n=True, force_grouping=True)} {currency}"


def card(deal: Opportunity, judged: Judged, at: datetime, today: date) -> dict[str, Any]:
    """Give what a card says of its deal, and where it may go from here."""
    following = opportunities.NEXT_STAGE.get(deal.stage)
    return {
        "deal": deal,
        "page": reverse("admin:crm_opportunity_change", args=[deal.pk]),
        "move": reverse("admin:crm_opportunity_move", args=[deal.pk]),
        "amount": money(deal),
        "is_late": deal.is_open and deal.expected_close_on is not None and deal.expected_close_on < today,
        "initials": initials(deal.owner),
        "is_stale": judged.is_stale,
        "days": (at - deal.stage_since).days if deal.stage_since and deal.is_open else None,
        "lacks": short(judged),
        "is_ready": bool(following) and not judged.lacking,
        "following": following,
        "as_seen": stale.version(deal),
    }


def initials(owner: User | None) -> str:
    """Give the first letters of somebody's names."""
    words = str(owner).split() if owner else []
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


def short(judged: Judged) -> list[str]:
    """Say in a few words what keeps a deal out of its next stage."""
    return [str(_short(name, judged.confirmed)) for name in judged.lacking]


def _short(name: str, confirmed: Collection[str]) -> str | Promise:
    if name == "two_of_three":
        open_ones = [str(ConfirmationKind(kind).label) for kind in bant.THREE if kind not in confirmed]
        return get_text_list(open_ones, _("or")) if open_ones else _("fresh confirmations")
    if name in SHORT:
        return SHORT[name]
    label = ConfirmationKind(name.removesuffix("_stale")).label
    return _("%(what)s (too old)") % {"what": label} if name.endswith("_stale") else label
