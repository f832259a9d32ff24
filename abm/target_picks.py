"""Putting several accounts of a person's choice on a draft of a target list: the best first, as long as there is room."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from django.db.models import F, Q
from django.utils.translation import gettext as _

from abm import targets
from abm.errors import AbmError, TargetListFull, WrongStatus
from abm.models import TargetAccount, TargetList
from crm import access
from crm.errors import Invalid, NotAllowed
from crm.handovers import AT_MOST, Judged
from crm.models import Account, User
from crm.models.accounts import AccountQuerySet


def judge(ids: Sequence[int], *, target_list: TargetList, by: User) -> Judged:
    """Say which accounts would be put on a draft, the warmest first, and why others would not."""
    if len(ids) > AT_MOST:
        raise Invalid(_("At most %(count)d at once: filter for fewer.") % {"count": AT_MOST})
    if not access.may(by, "change", target_list):
        raise NotAllowed(_("You may not change this list."))
    if target_list.status != TargetList.Status.DRAFT:
        raise WrongStatus(_("The list is no draft any more: what is on it stays as it is."))
    seen = set(Account.objects.visible_to(by).filter(pk__in=ids).values_list("pk", flat=True))
    eligible = _warmest(_eligible(Account.objects.filter(pk__in=seen), target_list))
    taken = _taken(target_list)
    free = [pk for pk in eligible if pk not in taken]
    room = max(0, targets.size() - TargetAccount.objects.filter(target_list=target_list).count())
    skipped = {
        "unseen": len(set(ids) - seen), "not_eligible": len(seen) - len(eligible), "taken": len(eligible) - len(free),
        "full": max(0, len(free) - room),
    }  # fmt: skip
    return Judged(free[:room], {reason: count for reason, count in skipped.items() if count})


def pick(ids: Sequence[int], *, target_list: TargetList, at: datetime, by: User) -> Judged:
    """Put accounts on a draft by the rule of one; what it refuses is left out."""
    judged = judge(ids, target_list=target_list, by=by)
    skipped, picked = Counter(judged.skipped), []
    accounts = Account.objects.in_bulk(judged.chosen)
    for pk in judged.chosen:
        try:
            targets.pick(target_list, account=accounts[pk], at=at, by=by)
        except TargetListFull:
            skipped["full"] += 1
        except AbmError:
            skipped["taken"] += 1
        else:
            picked.append(pk)
    return Judged(picked, dict(skipped))


def _eligible(accounts: AccountQuerySet, target_list: TargetList) -> AccountQuerySet:
    """Keep those that may be approached, and belong to the list's team or to none."""
    return accounts.approachable().filter(Q(team=target_list.team_id) | Q(team=None))


def _warmest(accounts: AccountQuerySet) -> list[int]:
    return list(accounts.order_by(F("standing__score").desc(nulls_last=True), "pk").values_list("pk", flat=True))


def _taken(target_list: TargetList) -> set[int]:
    """Give the accounts on this list or on another active one of its team."""
    slots = TargetAccount.objects.filter(Q(target_list=target_list) | Q(active_team=target_list.team_id))
    return set(slots.values_list("account", flat=True))
