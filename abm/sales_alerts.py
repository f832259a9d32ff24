"""When a rep must hear of it now: alerts open follow-ups and never send mail themselves."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from abm import policy
from abm.models import AccountStanding
from crm import follow_ups
from crm.models import Account, FollowUp


def is_warm(score: Decimal, momentum: Decimal) -> bool:
    """Say whether an account is active, and much more so than it was."""
    return score >= Decimal(str(policy.ALERTS.warming_up_from_score)) and momentum >= Decimal(str(policy.ALERTS.warming_up_points))


def warming_up(
    accounts: Mapping[int, Account], standings: Iterable[AccountStanding], *, before: Mapping[int, AccountStanding], at: datetime
) -> int:
    """Open a follow-up for each account that became warm just now, in a few statements; return how many.

    `before` holds the standings as they were: an account that was warm already is not told again,
    also when the rep has dealt with it and the score stays high.
    """
    cold_before = [new for new in standings if (old := before.get(new.account_id)) is None or not is_warm(old.score, old.momentum)]
    crossed = [new for new in cold_before if is_warm(new.score, new.momentum)]
    due_on = follow_ups.due_after(at, policy.ALERTS.warming_up_due_days)
    told = [_told(accounts[standing.account_id], standing) for standing in crossed]
    return len(follow_ups.open_many(told, reason=FollowUp.Reason.WARMING_UP, due_on=due_on, at=at))


def _told(account: Account, standing: AccountStanding) -> follow_ups.NewFollowUp:
    facts: dict[str, object] = {"score": str(standing.score), "before": str(standing.score - standing.momentum)}
    return follow_ups.NewFollowUp(about=f"account:{account.pk}", owner=account.owner, account=account, facts=facts)
