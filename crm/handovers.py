"""Handing many records to another owner or team at once: each judged as if it were the only one, written in a few statements."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Model
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm import access, bulk
from crm.errors import Invalid, NotAllowed
from crm.models import Account, FollowUp, Opportunity, Team, User
from crm.models.opportunities import OPEN_STAGES

# More than this at once is an import or a task of the administrator's.
AT_MOST = 5_000

REASONS: dict[str, Promise] = {
    "unseen": _("you may not see them, or they are gone"),
    "not_yours": _("you may look at them, but not change them"),
    "same": _("they are there already"),
    "closed": _("they are closed"),
}


@dataclass(frozen=True)
class Judged:
    """The ids that a deed touches, and how many it leaves out for which of REASONS."""

    chosen: list[int]
    skipped: dict[str, int] = field(default_factory=dict)
    # What came along, e.g. {"opportunities": 12}.
    along: dict[str, int] = field(default_factory=dict)


def judge_accounts(ids: Sequence[int], *, owner: User | None, team: Team | None, by: User) -> Judged:
    """Say which accounts would change hands; who may not give accounts away is refused altogether."""
    if not by.has_perm("crm.assign_account"):
        raise NotAllowed(str(_("You may not give accounts to somebody else.")))
    _refuse_stranger(owner, by)
    if team is not None and not access.teams(by).filter(pk=team.pk).exists():
        raise Invalid(str(_("You cannot hand records to that team.")))
    there = (owner.pk if owner else None, team.pk if team else None)
    return judged(Account, ids, by, lambda row: "same" if (row["owner_id"], row["team_id"]) == there else "", "owner_id", "team_id")


@transaction.atomic
def hand_over_accounts(ids: Sequence[int], *, owner: User | None, team: Team | None, at: datetime, by: User) -> Judged:
    """Give accounts to another owner and team, with the open deals and follow-ups of their old owners there."""
    judged = judge_accounts(ids, owner=owner, team=team, by=by)
    along: dict[str, int] = {}
    if owner is not None:
        # Of the old owner: so before the accounts themselves change hands.
        mine = {"account__in": judged.chosen, "owner": F("account__owner")}
        deals = list(Opportunity.objects.open().filter(**mine).values_list("pk", flat=True))
        tasks = list(FollowUp.objects.open().filter(**mine).values_list("pk", flat=True))
        _write(Opportunity, deals, at=at, by=by, owner=owner, team=team, updated_at=at, revision=F("revision") + 1)
        _write(FollowUp, tasks, at=at, by=by, owner=owner)
        along = {"opportunities": len(deals), "tasks": len(tasks)}
    _write(Account, judged.chosen, at=at, by=by, owner=owner, team=team, updated_at=at)
    return Judged(judged.chosen, judged.skipped, along)


def judge_opportunities(ids: Sequence[int], *, owner: User, by: User) -> Judged:
    """Say which open deals would get another owner."""
    _refuse_stranger(owner, by)
    return judged(
        Opportunity, ids, by, lambda row: _closed_or_same(row["stage"] not in OPEN_STAGES, row["owner_id"], owner), "stage", "owner_id"
    )


@transaction.atomic
def hand_over_opportunities(ids: Sequence[int], *, owner: User, at: datetime, by: User) -> Judged:
    """Give open deals to another owner; they go along to that owner's team."""
    judged = judge_opportunities(ids, owner=owner, by=by)
    team = {"team": owner.team} if owner.team else {}
    _write(Opportunity, judged.chosen, at=at, by=by, owner=owner, updated_at=at, revision=F("revision") + 1, **team)
    return judged


def judge_follow_ups(ids: Sequence[int], *, owner: User, by: User) -> Judged:
    """Say which open follow-ups would get another owner."""
    _refuse_stranger(owner, by)
    return judged(
        FollowUp, ids, by, lambda row: _closed_or_same(row["closed_at"] is not None, row["owner_id"], owner), "closed_at", "owner_id"
    )


@transaction.atomic
def hand_over_follow_ups(ids: Sequence[int], *, owner: User, at: datetime, by: User) -> Judged:
    """Give open follow-ups to another owner."""
    judged = judge_follow_ups(ids, owner=owner, by=by)
    _write(FollowUp, judged.chosen, at=at, by=by, owner=owner)
    return judged


def _closed_or_same(is_closed: bool, owner_id: int | None, owner: User) -> str:
    return "closed" if is_closed else "same" if owner_id == owner.pk else ""


def _refuse_stranger(owner: User | None, by: User) -> None:
    if owner is not None and not access.colleagues(by).filter(pk=owner.pk).exists():
        raise Invalid(str(_("You cannot hand records to that person.")))


def judged(model: Any, ids: Sequence[int], by: User, why_not: Any, *columns: str) -> Judged:
    """Sort ids into those to touch and the reasons of the others: one query, the rule of one record for each."""
    if len(ids) > AT_MOST:
        raise Invalid(str(_("At most %(count)d at once: filter for fewer.") % {"count": AT_MOST}))
    rows = (
        access.with_may_change(model.objects.filter(pk__in=_seen(model, ids, by)), by).order_by("pk").values("pk", "may_change", *columns)
    )
    chosen, skipped, seen = [], Counter[str](), 0
    for row in rows:
        seen += 1
        if reason := why_not(row) if row["may_change"] else "not_yours":
            skipped[reason] += 1
        else:
            chosen.append(row["pk"])
    skipped["unseen"] = len(set(ids)) - seen
    return Judged(chosen, {reason: count for reason, count in skipped.items() if count})


def _seen(model: Any, ids: Iterable[int], by: User) -> Any:
    # Apart from the rule of changing: joins to an account's people would give a record twice.
    return model.objects.visible_to(by).filter(pk__in=ids).values("pk")


def _write(model: type[Model], ids: Sequence[int], *, at: datetime, by: User, **values: object) -> None:
    """Change rows in one statement, and remember each in the history in another."""
    model._default_manager.filter(pk__in=ids).update(**values)
    bulk.begin_history(model, ids, at=at, by_id=by.pk, kind="~")
