"""Folding one row into another: what points at it, what then stands there twice, and at last the row itself."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.db import models
from django.utils.translation import gettext as _

from crm.merges import relations
from crm.merges.ledger import Ledger
from crm.merges.relations import Way
from crm.models import (
    Account,
    ActivityChange,
    Contact,
    Departure,
    DmuMembership,
    FollowUp,
    Stance,
    User,
)


class Doing(NamedTuple):
    """A merge at work: its ledger, and who does it when."""

    ledger: Ledger
    at: datetime
    by: User | None


class Settle(Protocol):
    """Settles two rows that cannot stand side by side at the kept record."""

    def __call__(self, doing: Doing, kept_id: Any, folded_id: Any, /) -> None:
        """Fold the second into the first, or change the second so that both can stand."""


# Tables that need judgement when two of their rows collide; of all others the kept record's row stays.
_SETTLES: dict[str, Settle] = {}
# What else must be done when a record of a model is folded, beside what points at it by a column.
_BESIDES: dict[str, list[Settle]] = {}
# Computes the rows anew that depend on what an account has; gets the account, and the rows as they were per model label.
Renewal = Callable[[int, dict[str, list[dict[str, Any]]], datetime], None]
# Does so after an unmerge, for both accounts and the days since the merge.
Rebuild = Callable[[list[int], datetime, datetime], None]
RENEWALS: list[tuple[Renewal, Rebuild]] = []


def settle_with(model: str, settle: Settle) -> None:
    """Say how two colliding rows of a model are settled, e.g. 'abm.jobchangesignal'."""
    _SETTLES[model] = settle


def besides(model: str, also: Settle) -> None:
    """Say what else folding a record of a model does."""
    if also not in _BESIDES.setdefault(model, []):
        _BESIDES[model].append(also)


def renew_with(renewal: Renewal, rebuild: Rebuild) -> None:
    """Say who computes derived rows anew after a merge, and after an unmerge."""
    if (renewal, rebuild) not in RENEWALS:
        RENEWALS.append((renewal, rebuild))


def take_over(doing: Doing, model: type[models.Model], kept_id: Any, folded_id: Any) -> None:
    """Let everything that points at the folded row point at the kept one, and delete the folded row."""
    for field in relations.relations(model):
        WAYS[relations.way(field)](doing, field, kept_id, folded_id)
    for also in _BESIDES.get(model._meta.label_lower, []):
        also(doing, kept_id, folded_id)
    doing.ledger.drop(model._base_manager.filter(pk=folded_id))


def _move(doing: Doing, field: Any, kept_id: Any, folded_id: Any) -> None:
    settle = _SETTLES.get(field.model._meta.label_lower)
    for mine, theirs in relations.collisions(field, kept_id, folded_id):
        if field.model._base_manager.filter(pk__in=(mine, theirs)).count() == 2:
            if settle:
                settle(doing, mine, theirs)
            else:
                doing.ledger.settled[field.model._meta.label_lower] += 1
                take_over(doing, field.model, mine, theirs)
    doing.ledger.move(field.model, field.attname, folded_id, kept_id)


def _let_go(doing: Doing, field: Any, _kept_id: Any, folded_id: Any) -> None:
    doing.ledger.drop(field.model._base_manager.filter(**{field.attname: folded_id}))


def _renew(doing: Doing, field: Any, kept_id: Any, folded_id: Any) -> None:
    doing.ledger.renew(field, kept_id, folded_id)


WAYS = {Way.MOVES: _move, Way.GOES: _let_go, Way.RENEWED: _renew}


# --- what crm's own tables need ---------------------------------------------------------------------


def _one_membership(doing: Doing, kept_id: int, folded_id: int) -> None:
    """Make the same role of the same person one: confirmed beats assumed, a stance beats neutral, the earlier day counts."""
    mine, theirs = (DmuMembership.objects.get(pk=pk) for pk in (kept_id, folded_id))
    values: dict[str, object] = {"since": min(mine.since, theirs.since)}
    if mine.is_assumed and not theirs.is_assumed:
        values |= {"is_assumed": False, "said_by_id": theirs.said_by_id}
    if mine.stance == Stance.NEUTRAL:
        values["stance"] = theirs.stance
    doing.ledger.settled["crm.dmumembership"] += 1
    take_over(doing, DmuMembership, kept_id, folded_id)
    doing.ledger.change(DmuMembership, kept_id, **values)


def _one_departure(doing: Doing, _kept_id: int, folded_id: int) -> None:
    """Let the kept contact's departure count; what the other one ended stays ended."""
    doing.ledger.settled["crm.departure"] += 1
    doing.ledger.change(Departure, folded_id, undone_at=doing.at)


def _follow_ups_about(kind: str) -> Settle:
    """Give what readdresses follow-ups 'about contact:12'; of two open ones for one reason the folded record's is closed."""

    def also(doing: Doing, kept_id: Any, folded_id: Any, /) -> None:
        mine, theirs = f"{kind}:{kept_id}", f"{kind}:{folded_id}"
        reasons = set(FollowUp.objects.open().filter(subject_key=mine).values_list("reason", flat=True))
        for follow_up in FollowUp.objects.filter(subject_key=theirs).order_by("pk"):
            values: dict[str, object] = {"subject_key": mine}
            if follow_up.closed_at is None and follow_up.reason in reasons:
                doing.ledger.settled["crm.followup"] += 1
                values |= {"closed_at": doing.at, "result": _("Merged with the same task.")}
                values["closed_by_id"] = doing.by.pk if doing.by else None
            doing.ledger.change(FollowUp, follow_up.pk, **values)

    return also


def _changes_of(column: str) -> Settle:
    """Give what hands on the queue of counts, which has no foreign keys."""

    def also(doing: Doing, kept_id: Any, folded_id: Any, /) -> None:
        doing.ledger.move(ActivityChange, column, folded_id, kept_id)

    return also


settle_with("crm.dmumembership", _one_membership)
settle_with("crm.departure", _one_departure)
for _kind, _model in (("account", Account), ("contact", Contact)):
    besides(_model._meta.label_lower, _follow_ups_about(_kind))
    besides(_model._meta.label_lower, _changes_of(f"{_kind}_id"))

relations.decide(
    Way.MOVES,
    *("crm.account.parent", "crm.activity.account", "crm.contact.account", "crm.delivery.account", "crm.dmumembership.account"),
    *("crm.followup.account", "crm.opportunity.account", "crm.merge.account"),
    *("crm.activity.contact", "crm.confirmation.contact", "crm.delivery.contact", "crm.departure.contact", "crm.dmumembership.contact"),
    *("crm.followup.contact", "crm.contact.person", "crm.detailsrequest.contact"),
)
relations.decide(
    Way.GOES,
    *("crm.accountkey.account", "crm.accountpair.one", "crm.accountpair.other", "crm.contactpair.one", "crm.contactpair.other"),
)
