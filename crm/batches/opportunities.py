"""Deals by the thousand: known by their id at the source alone; where one stands is the gate's to say, not a row's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm import bulk, opportunities
from crm.batches.upserting import TWICE, Kind, Row, Wrong, by_source_id, homeless
from crm.errors import CrmError, Invalid
from crm.models import Account, Opportunity, User

_KEY = ("source", "external_id")
_TEXTS = ("name", "kind", "origin", "campaign", "currency")
_FIGURES = ("amount", "expected_close_on")


def _match(rows: Mapping[int, Row]) -> dict[int, Opportunity]:
    there = by_source_id(Opportunity.objects.all(), rows)
    return {index: there[key] for index, row in rows.items() if (key := _key(row)) in there}


def _key(row: Row) -> tuple[str, str]:
    return row.get("source", ""), row.get("external_id", "")


def _facts(row: Row) -> tuple[dict[str, Any], Wrong]:
    """Give what a row says as the columns take it, and what of it cannot be right; an empty text is left to the column."""
    facts, wrong = dict[str, Any](), dict[str, object]()
    for name in (*_TEXTS, *_FIGURES):
        # A name, a kind and a currency are never empty: without a value they are as they begin.
        if name in row and (row[name] or name not in ("kind", "currency")):
            meant = row[name] if row[name] != "" or name not in _FIGURES else None
            facts[name], reason = bulk.cleaned(Opportunity, name, meant)
            wrong |= {name: reason} if reason else {}
    return facts, wrong


def _add(rows: Sequence[Row], by: User, at: datetime) -> list[tuple[int | None, Wrong]]:
    homes = {row["account"] for row in rows if type(row.get("account")) is int}
    seen = {one.pk: one for one in Account.objects.visible_to(by).select_related("owner__team", "team").filter(pk__in=homes)}
    keys: set[tuple[str, str]] = set()
    made: list[tuple[int | None, Wrong]] = []
    for row in rows:
        key = _key(row)
        if key[1] and key in keys:
            made.append((None, {"row": TWICE}))
            continue
        keys.add(key)
        home = seen.get(row["account"]) if type(row.get("account")) is int else None
        made.append(_begun(row, home, by, at) if home else (None, homeless(row)))
    return made


def _begun(row: Row, account: Account, by: User, at: datetime) -> tuple[int | None, Wrong]:
    """Begin a deal by the rule for one."""
    facts, wrong = _facts(row)
    wrong = {**wrong, **bulk.wrong_values(Opportunity, {name: row[name] for name in _KEY if name in row})}
    if wrong:
        return None, wrong
    try:
        with transaction.atomic():
            stage = {"stage": row["stage"]} if row.get("stage") else {}
            key = {name: row[name] for name in _KEY if name in row}
            return opportunities.begin(account=account, at=at, by=by, **{"name": ""} | facts | stage | key).pk, {}
    except CrmError as error:
        return None, error.detail or {"row": error}


def _change(deal: Opportunity, row: Row, by: User | None, at: datetime) -> bool:
    """Put figures right that a row says otherwise; its stage says where a new deal begins, and moves none."""
    if row.get("account") not in (None, deal.account_id):
        sentence = _("This is a deal of another account here.")
        raise Invalid(sentence, detail={"account": sentence})
    facts, wrong = _facts(row)
    if wrong:
        raise Invalid(" ".join(map(str, wrong.values())), detail=dict(wrong))
    changes = {name: meant for name, meant in facts.items() if meant != getattr(deal, name)}
    if changes:
        opportunities.change(deal, at=at, by=by, **changes)
    return bool(changes)


OPPORTUNITIES = Kind(
    texts=(*_KEY, *_TEXTS, "stage", "expected_close_on"), others=("account", "amount"), match=_match, add=_add, change=_change,
    model=Opportunity,
)  # fmt: skip
