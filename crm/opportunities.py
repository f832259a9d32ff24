"""Opportunities: begin, move through the BANT gate stage by stage, win, lose, reopen; the loser of a race gets a Conflict."""

import re
from collections.abc import Collection, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, Min
from django.utils.translation import gettext as _

from crm import bant, dmu, errors, events, follow_ups, policy, webhooks
from crm.confirmations import confirm, in_words, restore_after, withdraw, withdraw_because_left
from crm.models import Account, Confirmation, ConfirmationKind, DealKind, DmuRole, FollowUp, Opportunity, Product, Stage, StageMove, User

# The life of a deal is called through this module; what its gate rests on lives in confirmations.py.
__all__ = [
    "Standing",
    "advance",
    "begin",
    "change",
    "confirm",
    "lose",
    "missing_for",
    "missing_for_next",
    "name_account",
    "reopen",
    "restore_after",
    "standing_of",
    "win",
    "withdraw",
    "withdraw_because_left",
]

NEXT_STAGE: dict[str, Stage] = {
    Stage.MQL: Stage.SQL,
    Stage.SQL: Stage.OPPORTUNITY,
    Stage.OPPORTUNITY: Stage.PROPOSAL,
    Stage.PROPOSAL: Stage.WON,
}
# The confirmations of a deal that stand, by kind.
Standing = Mapping[str, Confirmation]
NO_ENTRY = {f"entry_{kind}": None for kind in ConfirmationKind.values}


@transaction.atomic
def begin(
    *,
    account: Account,
    name: str,
    at: datetime,
    by: User | None = None,
    owner: User | None = None,
    stage: str = Stage.MQL,
    amount: Decimal | None = None,
    currency: str = "EUR",
    expected_close_on: date | None = None,
    product: Product | None = None,
    kind: str = DealKind.NEW,
    origin: str = "",
    campaign: str = "",
    source: str = "",
    external_id: str = "",
) -> Opportunity:
    """Begin a deal as MQL or SQL; the same source and external id give the first one back.

    Without an owner it is the account owner's.
    """
    owner = owner or account.owner
    facts = {
        "account": account,
        "name": in_words(name, "name", at_most=200),
        "owner": owner,
        "team": (owner and owner.team) or account.team,
        "stage": stage,
        "stage_since": at,
        "amount": amount,
        "currency": currency,
        "expected_close_on": expected_close_on,
        "product": product,
        "kind": kind,
        "origin": origin,
        "campaign": campaign,
    }
    _refuse_beginning(stage, amount=amount, currency=currency)
    if not external_id:
        return _begun(Opportunity.objects.create(source=source, **facts), at=at, by=by)
    opportunity, is_new = Opportunity.objects.get_or_create(source=source, external_id=external_id, defaults=facts)
    return _begun(opportunity, at=at, by=by) if is_new else opportunity


def _refuse_beginning(stage: str, *, amount: Decimal | None, currency: str) -> None:
    wrong = _wrong_money(amount, currency)
    if stage not in (Stage.MQL, Stage.SQL):
        wrong["stage"] = _("A deal begins as MQL or SQL.")
    _refuse_if(wrong)


def _wrong_money(amount: Decimal | None, currency: str) -> dict[str, str]:
    wrong = {}
    if amount is not None and not 0 <= amount < 10**12:
        wrong["amount"] = _("This is not an amount of money.")
    if not re.fullmatch("[A-Z]{3}", currency):
        wrong["currency"] = _("Give the three capital letters of a currency.")
    return wrong


def _refuse_if(wrong: dict[str, str]) -> None:
    if wrong:
        raise errors.Invalid(" ".join(wrong.values()), detail={**wrong})


CHANGEABLE = frozenset({"name", "product", "amount", "currency", "expected_close_on", "owner", "kind", "origin", "campaign"})


@transaction.atomic
def change(opportunity: Opportunity, *, at: datetime, by: User | None = None, **figures: Any) -> Opportunity:
    """Put name, product, amount, currency, expected close, owner, kind, channel or campaign right; a stage that asks for a figure keeps one.

    The deal goes along to the team of a new owner. Raises Conflict when it changed since the caller read it.
    """
    _refuse_if({name: _("This cannot be changed here.") for name in sorted(figures.keys() - CHANGEABLE)})
    row = _claim(opportunity)
    for name, figure in figures.items():
        setattr(row, name, figure)
    row.name = in_words(row.name, "name", at_most=200)
    _refuse_if(_wrong_money(row.amount, row.currency) | _wrong_to_leave_out(row))
    if row.owner and "owner" in figures:
        row.team = row.owner.team or row.team
    if by:
        row._history_user = by  # type: ignore[attr-defined]
    row.save(update_fields=[*figures, "team", "updated_at"])
    opportunity.refresh_from_db()
    return opportunity


def _wrong_to_leave_out(row: Opportunity) -> dict[str, str]:
    """Name the figures without which the deal could not stand where it stands; imported history never had to."""
    if row.is_imported_history or row.stage not in (Stage.PROPOSAL, Stage.WON):
        return {}
    wrong = {} if row.amount is not None else {"amount": _("The stage asks for this.")}
    if row.stage == Stage.PROPOSAL and row.expected_close_on is None:
        wrong["expected_close_on"] = _("The stage asks for this.")
    return wrong


def _begun(opportunity: Opportunity, *, at: datetime, by: User | None) -> Opportunity:
    StageMove.objects.create(opportunity=opportunity, to_stage=opportunity.stage, moved_at=at, moved_by=by)
    events.tell(events.stage_moved, opportunity_id=opportunity.pk, from_stage="", to_stage=opportunity.stage)
    return opportunity


@transaction.atomic
def advance(
    opportunity: Opportunity, *, to: str, at: datetime, by: User | None = None, reason: str = "", closed_on: date | None = None
) -> Opportunity:
    """Move a deal one stage on, with the figures on record; a won deal needs the day on which it was.

    Raises BantGateClosed with what is missing, Invalid for a step that does not exist,
    Conflict when the deal changed since the caller read it. Nothing changes then.
    """
    reason = in_words(reason, "reason") if reason.strip() else ""
    row = _claim(opportunity)
    if NEXT_STAGE.get(row.stage) != to:
        _refuse_step(row, to)
    _refuse_close_day(row, closed_on, at)
    standing = standing_of([row])[row.pk]
    close_on = closed_on if to == Stage.WON else row.expected_close_on
    if lacking := _missing(row, to, standing, _deciders([row], to), close_on=close_on, at=at):
        raise errors.BantGateClosed(to, lacking)
    changes: dict[str, object] = {f"entry_{kind}": confirmation for kind, confirmation in standing.items()} if to != Stage.SQL else {}
    if to == Stage.WON:
        changes["closed_on"] = closed_on
    left = row.stage
    moved = _move(opportunity, row, to=to, at=at, by=by, reason=reason, changes=changes)
    webhooks.tell("opportunity.advanced", [webhooks.News(row.pk, _advance(row, left))], at=at)
    return moved


def _advance(row: Opportunity, left: str) -> dict[str, object]:
    amount = None if row.amount is None else str(row.amount)
    return {"account_id": row.account_id, "from_stage": left, "to_stage": row.stage, "amount": amount, "currency": row.currency}


def win(opportunity: Opportunity, *, at: datetime, by: User | None = None, reason: str = "", closed_on: date | None = None) -> Opportunity:
    """Win a deal that has a proposal out, today unless told otherwise; refusals are those of `advance`."""
    return advance(opportunity, to=Stage.WON, at=at, by=by, reason=reason, closed_on=closed_on or policy.day_of(at))


@transaction.atomic
def lose(opportunity: Opportunity, *, reason: str, at: datetime, by: User | None = None, closed_on: date | None = None) -> Opportunity:
    """Lose an open deal, with the reason, today unless told otherwise."""
    reason = in_words(reason, "reason")
    row = _claim(opportunity)
    if not row.is_open:
        _refuse_step(row, Stage.LOST)
    _refuse_close_day(row, closed_on, at)
    if row.account_id is None:
        raise errors.BantGateClosed(Stage.LOST, ["account"])
    changes = {"closed_on": closed_on or policy.day_of(at), "lost_reason": reason}
    return _move(opportunity, row, to=Stage.LOST, at=at, by=by, reason=reason, changes=changes)


@transaction.atomic
def reopen(opportunity: Opportunity, *, reason: str, at: datetime, by: User | None = None) -> Opportunity:
    """Take a won or lost deal back to SQL, with the reason; its confirmations stand, its way through the gate begins anew."""
    reason = in_words(reason, "reason")
    row = _claim(opportunity)
    if row.is_open:
        _refuse_step(row, Stage.SQL)
    return _move(opportunity, row, to=Stage.SQL, at=at, by=by, reason=reason, changes=NO_ENTRY | {"closed_on": None, "lost_reason": ""})


def missing_for(opportunity: Opportunity, stage: str, *, at: datetime) -> list[str]:
    """List what keeps a deal out of a stage, as keys of errors.MISSING_SENTENCES; a won deal is taken to close today."""
    return _missing_today(opportunity, stage, standing_of([opportunity])[opportunity.pk], _deciders([opportunity], stage), at)


def missing_for_next(opportunities: Collection[Opportunity], *, standing: Mapping[int, Standing], at: datetime) -> dict[int, list[str]]:
    """List what keeps each open deal out of its next stage, as `missing_for` does; one query, keyed by deal id.

    `standing` is what `standing_of` gives for these deals.
    """
    following = {deal.pk: NEXT_STAGE[deal.stage] for deal in opportunities if deal.stage in NEXT_STAGE}
    deciders = _deciders([deal for deal in opportunities if following.get(deal.pk) == Stage.WON], Stage.WON)
    return {
        deal.pk: _missing_today(deal, following[deal.pk], standing[deal.pk], deciders, at) for deal in opportunities if deal.pk in following
    }


def standing_of(opportunities: Collection[Opportunity]) -> dict[int, dict[str, Confirmation]]:
    """Map each deal to the confirmations that stand, by kind; one query."""
    standing: dict[int, dict[str, Confirmation]] = {deal.pk: {} for deal in opportunities}
    for given in Confirmation.objects.standing().filter(opportunity__in=standing):
        standing[given.opportunity_id][given.kind] = given
    return standing


@transaction.atomic
def name_account(opportunity: Opportunity, *, account: Account, at: datetime, by: User | None = None) -> Opportunity:
    """Say whose deal an imported one is that named no account; it stays in its stage and may move on from now."""
    row = _claim(opportunity)
    if row.account_id is not None:
        raise errors.Invalid(_("This deal has an account already."), detail={"account": _("This deal has an account already.")})
    row.account = account
    if by:
        row._history_user = by  # type: ignore[attr-defined]
    row.save(update_fields=["account", "updated_at"])
    opportunity.refresh_from_db()
    return opportunity


def _claim(opportunity: Opportunity) -> Opportunity:
    """Take the row for the rest of the transaction, if it is still as the caller read it, and give it afresh."""
    as_read = Opportunity.objects.filter(pk=opportunity.pk, stage=opportunity.stage, revision=opportunity.revision)
    if not as_read.update(revision=F("revision") + 1):
        raise errors.Conflict(_("Somebody else changed this deal in the meantime: look again."))
    return Opportunity.objects.get(pk=opportunity.pk)


def _deciders(opportunities: Collection[Opportunity], stage: str) -> dict[int, set[int]]:
    # Who decides is asked only where a gate asks for it: at the signature.
    return dmu.holders(DmuRole.DECIDER, opportunities=opportunities if stage == Stage.WON else ())


def _missing_today(row: Opportunity, stage: str, standing: Standing, deciders: Mapping[int, Collection[int]], at: datetime) -> list[str]:
    close_on = policy.day_of(at) if stage == Stage.WON else row.expected_close_on
    return _missing(row, stage, standing, deciders, close_on=close_on, at=at)


def _missing(
    row: Opportunity,
    stage: str,
    standing: Standing,
    deciders: Mapping[int, Collection[int]],
    *,
    close_on: date | None,
    at: datetime,
) -> list[str]:
    """Ask the gate; `deciders` maps deal to the contacts who hold the decider role for it."""
    held = {
        kind: bant.Held(given.confirmed_at, by_decider=given.contact_id in deciders.get(row.pk, ())) for kind, given in standing.items()
    }
    return bant.missing(
        stage,
        confirmations=held,
        amount=row.amount,
        close_on=close_on,
        has_account=row.account_id is not None,
        gate_broken=row.gate_broken_at is not None,
        at=at,
    )


def _refuse_step(row: Opportunity, to: str) -> None:
    names = dict(Stage.choices)
    sentence = _("There is no step from %(here)s to %(there)s.") % {"here": names[Stage(row.stage)], "there": names.get(to, to)}
    raise errors.Invalid(sentence, code="wrong_step", detail={"to": sentence})


def _refuse_close_day(row: Opportunity, closed_on: date | None, at: datetime) -> None:
    """Refuse a day that is still to come, or on which the deal had not begun."""
    if closed_on is None:
        return
    if closed_on > policy.day_of(at):
        raise errors.Invalid(_("The close date lies in the future."), detail={"closed_on": _("The close date lies in the future.")})
    begun_at = row.moves.aggregate(first=Min("moved_at"))["first"]
    if begun_at and closed_on < policy.day_of(begun_at):
        reason = _("The deal began later, on %(day)s.") % {"day": policy.day_of(begun_at)}
        raise errors.Invalid(reason, detail={"closed_on": reason})


def _move(
    opportunity: Opportunity, row: Opportunity, *, to: str, at: datetime, by: User | None, reason: str, changes: dict[str, object]
) -> Opportunity:
    """Write a move that was judged: the row with its history, the StageMove, the event; `row` was claimed before.

    A deal that moves is no imported history any more: the mark would let it back into that stage past the gate.
    """
    left = row.stage
    if row.gate_broken_at is not None:
        follow_ups.close_about(FollowUp.Reason.GATE_BROKEN, f"opportunity:{row.pk}", at=at, by=by)
    changes = {"stage": to, "stage_since": at, "imported_stage": "", "gate_broken_at": None} | changes
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=[*changes, "updated_at"])
    StageMove.objects.create(opportunity=row, from_stage=left, to_stage=to, moved_at=at, moved_by=by, reason=reason)
    events.tell(events.stage_moved, opportunity_id=row.pk, from_stage=left, to_stage=to)
    opportunity.refresh_from_db()
    return opportunity
