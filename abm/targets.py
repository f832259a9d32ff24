"""Target lists: propose accounts with reasons, pick, swap, pin and reject them, activate with a comparison group, close.

Which accounts are on a list is decided while it is a draft; a list at work stays as it began, or its comparison means nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from itertools import islice
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _
from simple_history.utils import bulk_create_with_history

from abm import comparison_groups, policy, ranking
from abm.errors import AbmError, AccountTaken, NotEligible, TargetListFull, WrongStatus
from abm.models import TargetAccount, TargetList, TargetRejection
from abm.models.targets import SLOTS
from abm.ranking import Proposal
from crm import webhooks
from crm.errors import Conflict, Invalid
from crm.models import Account, Team, User
from crm.policy import day_of

Result = TypeVar("Result")
Row = TypeVar("Row", TargetList, TargetAccount)


def draft(*, name: str, team: Team, owner: User | None, starts_on: date, ends_on: date, at: datetime, by: User | None = None) -> TargetList:
    """Begin an empty list of a team for a period."""
    wrong = {}
    if not name.strip():
        wrong["name"] = _("Give the list a name.")
    if ends_on <= starts_on:
        wrong["ends_on"] = _("The period must end after it starts.")
    elif ends_on < day_of(at):
        wrong["ends_on"] = _("The period is over already.")
    if wrong:
        raise Invalid(" ".join(wrong.values()), detail={**wrong})
    row = TargetList(name=name.strip(), team=team, owner=owner, starts_on=starts_on, ends_on=ends_on)
    return _save(row, at=at, by=by)


def propose(target_list: TargetList, *, at: datetime) -> list[Proposal]:
    """Rank every account that may be on a list, best first, with the reasons; one query however many accounts."""
    return ranking.rank(target_list, at=at)


def reason_in_words(reason: Mapping[str, Any]) -> str:
    """Say one reason of a proposal or slot as a sentence, in the reader's language."""
    return ranking.in_words(reason)


# --- while it is a draft ---------------------------------------------------------------------------


def fill(target_list: TargetList, *, at: datetime, by: User | None, toss: comparison_groups.Toss | None = None) -> list[TargetAccount]:
    """Fill a draft with the best of the proposal and give what was added.

    Pinned accounts stay; of the others those stay that are still among the best, the rest makes way. With a `toss` all
    that are not pinned make way: the best come in pairs, one of each pair by chance, the other is held out.
    """
    return _or_judge_anew(lambda: _fill(target_list, at=at, by=by, toss=toss))


@transaction.atomic
def _fill(target_list: TargetList, *, at: datetime, by: User | None, toss: comparison_groups.Toss | None) -> list[TargetAccount]:
    _claim_draft(target_list)
    slots = list(TargetAccount.objects.filter(target_list=target_list))
    pinned = {slot.account_id for slot in slots if slot.is_pinned}
    ranked = (proposal for proposal in propose(target_list, at=at) if proposal.account_id not in pinned)
    room = size() - len(pinned)
    chosen = comparison_groups.hold_out(target_list, ranked, room=room, toss=toss) if toss else islice(ranked, room)
    best = {proposal.account_id: proposal for proposal in chosen}
    if toss is None:
        comparison_groups.let_go(target_list)
    held = {slot.account_id: slot.slot for slot in slots if slot.account_id in pinned | best.keys()}
    for slot in slots:
        if slot.account_id not in held:
            _note(slot, at=at, by=by).delete()
    new = (proposal for account_id, proposal in best.items() if account_id not in held)
    rows = [
        TargetAccount(target_list=target_list, slot=slot, account_id=one.account_id, reasons=one.reasons, added_by=by, added_at=at)
        for slot, one in zip(_free(held.values()), new, strict=False)
    ]
    added: list[TargetAccount] = bulk_create_with_history(rows, TargetAccount, default_user=by, default_date=at)
    return added


def pick(target_list: TargetList, *, account: Account, at: datetime, by: User | None, slot: int | None = None) -> TargetAccount:
    """Put an account of a person's choice on a draft, pinned, into the first free slot unless told which.

    A person's choice outdoes an earlier rejection. Raises NotEligible saying why, AccountTaken, TargetListFull,
    Conflict when that slot is taken, WrongStatus when the list is no draft.
    """
    return _or_judge_anew(lambda: _pick(target_list, account=account, at=at, by=by, slot=slot))


@transaction.atomic
def _pick(target_list: TargetList, *, account: Account, at: datetime, by: User | None, slot: int | None) -> TargetAccount:
    _claim_draft(target_list)
    _refuse_account(target_list, account)
    TargetRejection.objects.filter(target_list=target_list, account=account).delete()
    number = _choose(target_list, slot)
    return _save(
        TargetAccount(target_list=target_list, slot=number, account=account, is_pinned=True, added_by=by, added_at=at), at=at, by=by
    )


def swap(target_account: TargetAccount, *, account: Account, at: datetime, by: User | None) -> TargetAccount:
    """Put another account into a slot of a draft, pinned; refusals are those of `pick`."""
    return _or_judge_anew(lambda: _swap(target_account, account=account, at=at, by=by))


@transaction.atomic
def _swap(target_account: TargetAccount, *, account: Account, at: datetime, by: User | None) -> TargetAccount:
    row = _claim_slot(target_account)
    _refuse_account(row.target_list, account)
    TargetRejection.objects.filter(target_list=row.target_list, account=account).delete()
    row.account, row.is_pinned, row.reasons, row.added_by, row.added_at = account, True, [], by, at
    _save(row, at=at, by=by)
    target_account.refresh_from_db()
    return target_account


def pin(target_account: TargetAccount, *, by: User | None, at: datetime) -> TargetAccount:
    """Keep an account where it is when the draft is filled anew."""
    return _pinned(target_account, to=True, by=by, at=at)


def unpin(target_account: TargetAccount, *, by: User | None, at: datetime) -> TargetAccount:
    """Let an account make way for a better one when the draft is filled anew."""
    return _pinned(target_account, to=False, by=by, at=at)


@transaction.atomic
def _pinned(target_account: TargetAccount, *, to: bool, by: User | None, at: datetime) -> TargetAccount:
    row = _claim_slot(target_account)
    row.is_pinned = to
    _save(row, at=at, by=by)
    target_account.refresh_from_db()
    return target_account


@transaction.atomic
def reject(target_list: TargetList, *, account: Account, reason: str, at: datetime, by: User | None) -> TargetRejection:
    """Keep an account off a draft and take it off when it is on, so that it is not proposed again; the last reason counts."""
    _claim_draft(target_list)
    for slot in TargetAccount.objects.filter(target_list=target_list, account=account):
        _note(slot, at=at, by=by).delete()
    rejection, _is_new = TargetRejection.objects.update_or_create(
        target_list=target_list, account=account, defaults={"rejected_by": by, "rejected_at": at, "reason": reason.strip()[:300]}
    )
    return rejection


@transaction.atomic
def reinstate(target_list: TargetList, *, account: Account, at: datetime, by: User | None) -> None:
    """Let an account that was kept off a draft be proposed again; raises Conflict when nobody keeps it off any more."""
    _claim_draft(target_list)
    if not TargetRejection.objects.filter(target_list=target_list, account=account).delete()[0]:
        raise Conflict(_("%(account)s is not kept off this list.") % {"account": account})


@transaction.atomic
def remove(target_account: TargetAccount, *, by: User | None, at: datetime) -> None:
    """Take an account off a draft; it may be proposed again."""
    _note(_claim_slot(target_account), at=at, by=by).delete()


# --- at work, and over -----------------------------------------------------------------------------


def activate(target_list: TargetList, *, at: datetime, by: User | None) -> TargetList:
    """Put a draft to work: freeze where its accounts stand and the comparison group.

    Raises WrongStatus when it is no draft, AccountTaken when an account is on another active list of the team,
    NotEligible when one may not be approached any more; code target_list_empty without any account.
    """
    return _or_judge_anew(lambda: _activate(target_list, at=at, by=by))


@transaction.atomic
def _activate(target_list: TargetList, *, at: datetime, by: User | None) -> TargetList:
    _claim_draft(target_list)
    slots = list(TargetAccount.objects.filter(target_list=target_list).select_related("account").order_by("slot"))
    _refuse_activation(target_list, slots)
    _move(target_list, to=TargetList.Status.ACTIVE, moment="activated_at", at=at, by=by)
    comparison_groups.freeze(target_list, slots)
    target_list.refresh_from_db()
    dates = {"starts_on": str(target_list.starts_on), "ends_on": str(target_list.ends_on)}
    facts = {"team_id": target_list.team_id, "accounts": len(slots), **dates}
    webhooks.tell("target_list.activated", [webhooks.News(target_list.pk, facts)], at=at)
    return target_list


@transaction.atomic
def close(target_list: TargetList, *, at: datetime, by: User | None) -> TargetList:
    """End the work on an active list; its accounts are free for another one."""
    _claim(target_list, TargetList.Status.ACTIVE, _("Only an active list can be closed."))
    _move(target_list, to=TargetList.Status.CLOSED, moment="closed_at", at=at, by=by)
    target_list.refresh_from_db()
    return target_list


# --- refusals and claims ---------------------------------------------------------------------------


def _or_judge_anew(deed: Callable[[], Result]) -> Result:
    """Do it; if the database refuses, somebody wrote past the rules meanwhile: judge anew, and refuse with the reason."""
    try:
        return deed()
    except IntegrityError:
        pass
    try:
        return deed()
    except IntegrityError as refusal:
        raise Conflict(_("Somebody else changed this list in the meantime: look again.")) from refusal


def _claim(target_list: TargetList, status: str, refusal: str) -> None:
    """Take the list for the rest of the transaction, if it has this status: who else wants it waits, then looks anew."""
    if not TargetList.objects.filter(pk=target_list.pk, status=status).update(starts_on=F("starts_on")):
        raise WrongStatus(refusal)


def _claim_draft(target_list: TargetList) -> None:
    _claim(target_list, TargetList.Status.DRAFT, _("The list is no draft any more: what is on it stays as it is."))


def _claim_slot(target_account: TargetAccount) -> TargetAccount:
    """Take the draft of a slot and give the slot afresh, if it still holds the account that the caller saw in it."""
    _claim_draft(target_account.target_list)
    as_read = TargetAccount.objects.filter(pk=target_account.pk, account=target_account.account_id)
    row = as_read.select_related("target_list").first()
    if row is None:
        raise Conflict(_("Somebody else changed this slot in the meantime: look again."))
    return row


def _refuse_account(target_list: TargetList, account: Account) -> None:
    """Refuse an account that may not be on a list, or is on it or on another active one."""
    account = Account.objects.get(pk=account.pk)
    if why := _not_eligible(target_list, account):
        raise NotEligible(why, detail={"account": account.pk})
    if TargetAccount.objects.filter(target_list=target_list, account=account).exists():
        raise AccountTaken(_("%(account)s is on this list already.") % {"account": account}, detail={"account": account.pk})
    _refuse_shared(target_list, [account])


def _not_eligible(target_list: TargetList, account: Account) -> str:
    """Say why an account may not be on a list; empty when it may."""
    if account.status == Account.Status.COMPETITOR:
        why = _("%(account)s is a competitor.")
    elif account.contract_conflict:
        why = _("%(account)s is in a contract conflict with us.")
    elif account.opted_out_at is not None:
        why = _("%(account)s does not want to be approached.")
    elif account.team_id not in (None, target_list.team_id):
        why = _("%(account)s belongs to another team.")
    else:
        return ""
    return why % {"account": account}


def _refuse_shared(target_list: TargetList, accounts: Iterable[Account]) -> None:
    active = TargetAccount.objects.filter(active_team=target_list.team_id, account__in=accounts).exclude(target_list=target_list)
    if taken := [slot.account for slot in active.select_related("account").order_by("account__name", "account")]:
        names = ", ".join(map(str, taken))
        raise AccountTaken(
            _("On another active list of the team: %(accounts)s.") % {"accounts": names}, detail={"accounts": [one.pk for one in taken]}
        )


def _refuse_activation(target_list: TargetList, slots: list[TargetAccount]) -> None:
    if not slots:
        raise AbmError(_("There is no account on the list yet."), code="target_list_empty")
    reasons = {slot.account_id: why for slot in slots if (why := _not_eligible(target_list, slot.account))}
    if reasons:
        raise NotEligible(" ".join(reasons.values()), detail={"accounts": list(reasons)})
    _refuse_shared(target_list, [slot.account for slot in slots])


def size() -> int:
    """Give the number of slots; the database knows twenty, an organisation may want fewer."""
    return min(policy.TARGETS.slots, SLOTS)


def _free(held: Iterable[int]) -> list[int]:
    return sorted(set(range(1, size() + 1)) - set(held))


def _choose(target_list: TargetList, slot: int | None) -> int:
    """Give the slot asked for, or the first free one."""
    free = _free(TargetAccount.objects.filter(target_list=target_list).values_list("slot", flat=True))
    if not free or (slot is not None and not 1 <= slot <= size()):
        raise TargetListFull(_("A target list has %(count)d slots.") % {"count": size()})
    if slot is not None and slot not in free:
        raise Conflict(_("Slot %(slot)d is taken.") % {"slot": slot}, detail={"slot": slot})
    return free[0] if slot is None else slot


def _move(target_list: TargetList, *, to: str, moment: str, at: datetime, by: User | None) -> None:
    """Write the new status of a list that was claimed."""
    row = TargetList.objects.get(pk=target_list.pk)
    row.status = to
    setattr(row, moment, at)
    _save(row, at=at, by=by)


def _note(row: Row, *, at: datetime, by: User | None) -> Row:
    """Tell the history who did it, and when; nobody tells it otherwise when a task or the shell calls."""
    row._history_date = at  # type: ignore[attr-defined]
    if by is not None:
        row._history_user = by  # type: ignore[attr-defined]
    return row


def _save(row: Row, *, at: datetime, by: User | None) -> Row:
    _note(row, at=at, by=by).save()
    return row
