"""When a rep must hear of it now: alerts open follow-ups and never send mail themselves."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from abm import policy
from abm.models import AccountStanding
from crm import follow_ups
from crm.models import FollowUp


def is_warm(score: Decimal, momentum: Decimal) -> bool:
    """Say whether an account is active, and much more so than it was; as `abm.states.scores.follow` asks it of all at once."""
    return score >= Decimal(str(policy.ALERTS.warming_up_from_score)) and momentum >= Decimal(str(policy.ALERTS.warming_up_points))


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
