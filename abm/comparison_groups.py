"""Whom a target list is compared with: accounts like its own, frozen when it is activated, or as good ones held out by a toss."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice

from django.db.models import Exists, OuterRef, QuerySet

from abm import comparison, ranking
from abm.comparison import Match, Profile
from abm.models import ComparisonAccount, HeldOutAccount, TargetAccount, TargetList
from abm.ranking import Proposal
from crm.models import Account

# Says by chance whether of a pair the first or the second is listed; a door brings it, so that a test knows how it falls.
Toss = Callable[[], bool]


def fair_coin() -> bool:
    """Toss."""
    return secrets.randbits(1) == 1


def freeze(target_list: TargetList, slots: list[TargetAccount]) -> None:
    """Write down where the listed accounts stand now, who is compared with them, and how alike the two groups are.

    Held-out accounts come first; who has none gets the nearest accounts that are on no active list.
    """
    listed = _profiles(Account.objects.filter(target_slots__target_list=target_list).order_by("target_slots__slot"))
    starts = {profile.account_id: profile for profile in listed}
    for slot in slots:
        slot.fit_at_start, slot.score_at_start = starts[slot.account_id].fit, starts[slot.account_id].score
    TargetAccount.objects.bulk_update(slots, ["fit_at_start", "score_at_start"])
    candidates = _profiles(_free().order_by("pk"))
    tossed = _held_out(target_list, starts, candidates)
    paired = {match.listed.account_id for match in tossed} | {match.nearest.account_id for match in tossed}
    matched = comparison.group(
        [one for one in listed if one.account_id not in paired], [one for one in candidates if one.account_id not in paired]
    )
    ComparisonAccount.objects.bulk_create(
        _row(target_list, match, is_random=is_random) for matches, is_random in ((tossed, True), (matched, False)) for match in matches
    )
    balance = comparison.balance(listed, [match.nearest for match in (*tossed, *matched)])
    TargetList.objects.filter(pk=target_list.pk).update(balance=[asdict(one) for one in balance])


def hold_out(target_list: TargetList, ranked: Iterable[Proposal], *, room: int, toss: Toss) -> Iterator[Proposal]:
    """Pair the best of a proposal by rank, and give of each pair the one that the toss puts on the list; note the other.

    The last one of an odd proposal has nobody to be compared with at random, and is listed.
    """
    let_go(target_list)
    best = list(islice(ranked, 2 * room))
    pairs = [best[first : first + 2][:: 1 if toss() else -1] for first in range(0, len(best), 2)]
    HeldOutAccount.objects.bulk_create(
        HeldOutAccount(target_list=target_list, account_id=pair[1].account_id, paired_with_id=pair[0].account_id)
        for pair in pairs
        if len(pair) == 2
    )
    return (pair[0] for pair in pairs)


def let_go(target_list: TargetList) -> None:
    """Hold out nobody for a list any more."""
    HeldOutAccount.objects.filter(target_list=target_list).delete()


def _held_out(target_list: TargetList, listed: dict[int, Profile], candidates: list[Profile]) -> list[Match]:
    """Give the pairs of a toss of which one is still listed, and the other still free."""
    free = {profile.account_id: profile for profile in candidates}
    pairs = HeldOutAccount.objects.filter(target_list=target_list).values_list("paired_with", "account")
    still = [(listed[one], free[other]) for one, other in pairs if one in listed and other in free]
    return [Match(one, other, comparison.distance_between(one, other, among=candidates)) for one, other in still]


def _free() -> QuerySet[Account]:
    """Give the accounts that may be approached and are on no active list."""
    on_active_list = TargetAccount.objects.filter(account=OuterRef("pk"), active_team__isnull=False)
    return Account.objects.approachable().exclude(Exists(on_active_list))


def _profiles(accounts: QuerySet[Account]) -> list[Profile]:
    names = ("pk", "employees", "industry", "now_fit", "now_score")
    return [Profile(*row) for row in ranking.with_standing(accounts).values_list(*names)]


def _row(target_list: TargetList, match: Match, *, is_random: bool) -> ComparisonAccount:
    return ComparisonAccount(
        target_list=target_list,
        account_id=match.nearest.account_id,
        resembles_id=match.listed.account_id,
        distance=match.distance,
        fit_at_start=match.nearest.fit,
        score_at_start=match.nearest.score,
        is_random=is_random,
    )
