"""When a rep must hear of it now: alerts open follow-ups and never send mail themselves."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal

from abm import policy
from abm.models import AccountStanding
from abm.states.scores import Crossed
from crm import follow_ups, webhooks
from crm.models import FollowUp
from crm.webhooks import News


def is_warm(score: Decimal, momentum: Decimal) -> bool:
    """Say whether an account is active, and much more so than it was; as `abm.states.scores.follow` asks it of all at once."""
    return score >= Decimal(str(policy.ALERTS.warming_up_from_score)) and momentum >= Decimal(str(policy.ALERTS.warming_up_points))


def crossed(found: Sequence[Crossed], *, at: datetime) -> None:
    """Tell whom it concerns that accounts became warm, or stopped being so: their owners, and other systems."""
    warming_up([one.account_id for one in found if one.is_warm], at=at)
    news = (News(one.account_id, {"is_warm": one.is_warm, "score": str(one.score), "momentum": str(one.momentum)}) for one in found)
    if found:
        webhooks.tell("account.scored", news, at=at)


def warming_up(account_ids: Collection[int], *, at: datetime) -> int:
    """Open a follow-up for each of the accounts, which became warm just now, in a few statements; return how many."""
    if not account_ids:
        return 0
    due_on = follow_ups.due_after(at, policy.ALERTS.warming_up_due_days)
    warm = AccountStanding.objects.filter(account__in=account_ids).select_related("account__owner").order_by("account_id")
    return len(follow_ups.open_many([_told(row) for row in warm], reason=FollowUp.Reason.WARMING_UP, due_on=due_on, at=at))


def _told(standing: AccountStanding) -> follow_ups.NewFollowUp:
    account = standing.account
    facts: dict[str, object] = {"score": str(standing.score), "before": str(standing.score - standing.momentum)}
    return follow_ups.NewFollowUp(about=f"account:{account.pk}", owner=account.owner, account=account, facts=facts)
