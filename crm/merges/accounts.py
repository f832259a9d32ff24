"""Merging two accounts: everything that hangs on the one moves to the other."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.db.models import F, QuerySet

from crm.merges import choices as chosen
from crm.merges import relations
from crm.merges.contacts import remember
from crm.merges.folding import RENEWALS, Doing, take_over
from crm.models import Account, Contact, Merge, Opportunity


def fold(doing: Doing, kept: Account, folded: Account, *, choices: chosen.Choices) -> None:
    """Fold one account into another; what may not be mailed or proposed in one of them, may not in both together."""
    values: dict[str, Any] = {}
    for _fact, taken in chosen.chosen(Merge.Kind.ACCOUNT, kept, folded, choices):
        values |= taken
    _keep_tree(doing, kept, folded, values)
    take_over(doing, Account, kept.pk, folded.pk)
    doing.ledger.records.append(("crm.account", folded.pk, kept.pk))
    opted_out = [moment for moment in (kept.opted_out_at, folded.opted_out_at) if moment]
    strict = {"opted_out_at": min(opted_out, default=None), "contract_conflict": kept.contract_conflict or folded.contract_conflict}
    doing.ledger.change(Account, kept.pk, **values | strict, updated_at=doing.at)
    remember(doing, Account, kept.pk)
    for renew, _rebuild in RENEWALS:
        renew(kept.pk, _derived(doing), doing.at)


def _derived(doing: Doing) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for step in doing.ledger.steps:
        if step["do"] == "renewed":
            rows[step["model"]] += step["rows"]
    return rows


def _keep_tree(doing: Doing, kept: Account, folded: Account, values: dict[str, Any]) -> None:
    """Let no company end up above itself: a kept one below the folded one takes its parent, a wrong choice is left out."""
    if folded.pk in _above(kept):
        doing.ledger.change(Account, kept.pk, parent_id=folded.parent_id)
        values.pop("parent_id", None)
    parent = Account.objects.filter(pk=values.get("parent_id") or 0).first()
    if parent is not None and (parent.pk == kept.pk or {kept.pk, folded.pk} & set(_above(parent))):
        values.pop("parent_id")


def _above(account: Account) -> list[int]:
    """Give the ids of the companies above one, the nearest first."""
    found: list[int] = []
    above = account.parent
    while above is not None and above.pk not in found:
        found.append(above.pk)
        above = above.parent
    return found


# --- what an unmerge has to sort out ----------------------------------------------------------------

# What a row at an account may name besides; such a row belongs where that is.
PARTS: tuple[tuple[str, type[Contact] | type[Opportunity]], ...] = (("contact", Contact), ("opportunity", Opportunity))


def _tables() -> Iterator[tuple[type[Any], str, type[Any]]]:
    """Give the models that name an account and also one of its people or deals."""
    for field in relations.relations(Account):
        if field.name == "account" and relations.way(field) is relations.Way.MOVES:
            for name, model in PARTS:
                if any(one.name == name and one.related_model is model for one in field.model._meta.concrete_fields):
                    yield field.model, name, model


def _crossing(model: type[Any], name: str, ids: tuple[int, int]) -> QuerySet[Any]:
    """Select rows at one of two accounts whose person or deal is at the other."""
    rows = model._base_manager.filter(account__in=ids, **{f"{name}__account__in": ids})
    crossing: QuerySet[Any] = rows.exclude(account=F(f"{name}__account"))
    return crossing


def crossing(kept_id: int, folded_id: int) -> dict[str, list[int]]:
    """Give the rows that cross the two accounts already: an unmerge leaves them so."""
    found = {
        f"{model._meta.label_lower}.{name}": list(_crossing(model, name, (kept_id, folded_id)).values_list("pk", flat=True))
        for model, name, _part in _tables()
    }
    return {label: ids for label, ids in found.items() if ids}


def follow(kept_id: int, folded_id: int, *, before: dict[str, list[int]]) -> dict[str, int]:
    """Let what came since go along with the person or deal it is about; give how many rows went, per model."""
    went: dict[str, int] = defaultdict(int)
    for model, name, part in _tables():
        rows = _crossing(model, name, (kept_id, folded_id)).exclude(pk__in=before.get(f"{model._meta.label_lower}.{name}", []))
        for side in (folded_id, kept_id):
            ids = list(rows.filter(**{f"{name}__in": part._base_manager.filter(account=side)}).values_list("pk", flat=True))
            went[model._meta.label_lower] += model._base_manager.filter(pk__in=ids).update(account=side)
    return {label: count for label, count in went.items() if count}
