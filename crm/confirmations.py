"""Confirmations of BANT: give and withdraw them, and break or mend the gate of the deal that rests on them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils.translation import gettext as _

from crm import bant, dmu, errors, follow_ups, policy, webhooks
from crm.models import Confirmation, ConfirmationKind, Contact, Departure, DmuRole, FollowUp, Opportunity, User

# Whoever types a year wrong is told; the gate itself asks for far fresher ones.
OLDEST = timedelta(days=5 * 365)


def in_words(text: str, field: str, *, at_most: int = 300) -> str:
    """Give a text without blanks around it; refuse an empty or too long one."""
    text = text.strip()
    if not text:
        raise errors.Invalid(_("Say it in words."), detail={field: _("This may not be empty.")})
    if len(text) > at_most:
        reason = _("At most %(count)d characters.") % {"count": at_most}
        raise errors.Invalid(reason, detail={field: reason})
    return text


@transaction.atomic
def confirm(
    opportunity: Opportunity,
    *,
    kind: str,
    contact: Contact,
    evidence: str,
    at: datetime,
    by: User | None = None,
    confirmed_at: datetime | None = None,
) -> Confirmation:
    """Record that somebody at the account confirmed a letter of BANT; one of the same kind that stood is withdrawn for it.

    Authority takes a contact who holds the decider role. Mends a broken gate when that is enough.
    """
    evidence = in_words(evidence, "evidence", at_most=10_000)
    confirmed_at = confirmed_at or at
    # The contact before the deal, as a departure takes them.
    list(Contact.objects.claimed().filter(pk=contact.pk))
    row = _touch([opportunity.pk])[0]
    older = Confirmation.objects.standing().filter(opportunity=row, kind=kind)
    _refuse_giver(row, kind, contact)
    _refuse_moment(confirmed_at, older.first(), at)
    older.update(withdrawn_at=at, withdrawn_by=by, withdrawn_because=_("confirmed anew"))
    given = Confirmation.objects.create(
        opportunity=opportunity, kind=kind, contact=contact, evidence=evidence, confirmed_at=confirmed_at, recorded_at=at, recorded_by=by
    )
    _mend_if_it_holds(row, at=at, by=by)
    opportunity.refresh_from_db()
    return given


def _refuse_giver(row: Opportunity, kind: str, contact: Contact) -> None:
    """Refuse a confirmation of nothing, of a closed deal, or by somebody who cannot give it."""
    if kind not in ConfirmationKind.values:
        raise _wrong("kind", _("Budget, authority, need and timing can be confirmed."))
    if not row.is_open:
        raise _wrong("opportunity", _("This deal is closed: reopen it first."))
    if contact.account_id != row.account_id:
        raise _wrong("contact", _("Only somebody at the account of the deal can confirm."))
    if not Contact.objects.active().filter(pk=contact.pk).exists():
        raise _wrong("contact", _("This person has left the account."))
    if kind == ConfirmationKind.AUTHORITY and not dmu.holds(contact, DmuRole.DECIDER, opportunity=row):
        raise _wrong("contact", _("Only a decider can confirm authority."))


def _refuse_moment(confirmed_at: datetime, older: Confirmation | None, at: datetime) -> None:
    if confirmed_at > at:
        raise _wrong("confirmed_at", _("The moment lies in the future."))
    if confirmed_at < at - OLDEST:
        raise _wrong("confirmed_at", _("What was said more than five years ago confirms nothing now."))
    if older and confirmed_at < older.confirmed_at:
        raise _wrong("confirmed_at", _("A later confirmation stands already."))


def _wrong(field: str, reason: str) -> errors.Invalid:
    return errors.Invalid(reason, detail={field: reason})


@transaction.atomic
def withdraw(confirmation: Confirmation, *, because: str, at: datetime, by: User | None = None) -> Confirmation:
    """Withdraw a confirmation, with the reason; breaks the gate of a deal that entered its stage with it.

    Raises Conflict when it was withdrawn already.
    """
    because = in_words(because, "because")
    rows = _touch([confirmation.opportunity_id])
    standing = Confirmation.objects.standing().filter(pk=confirmation.pk)
    if not standing.update(withdrawn_at=at, withdrawn_by=by, withdrawn_because=because):
        raise errors.Conflict(_("This confirmation was withdrawn already."))
    _break_without({confirmation.opportunity_id: [confirmation.kind]}, rows, at=at)
    confirmation.refresh_from_db()
    return confirmation


@transaction.atomic
def withdraw_because_left(departure: Departure, *, at: datetime) -> int:
    """Withdraw, in the system's name, what a contact who left had confirmed; give the number of confirmations."""
    theirs = Confirmation.objects.standing().filter(contact=departure.contact_id)
    rows = _touch(theirs.values_list("opportunity", flat=True))
    lost = defaultdict(list)
    for deal_id, kind in theirs.values_list("opportunity", "kind"):
        lost[deal_id].append(kind)
    count = theirs.update(withdrawn_at=at, withdrawn_by=None, withdrawn_because=_("left the company"), departure=departure)
    _break_without(lost, rows, at=at)
    return count


@transaction.atomic
def restore_after(departure: Departure, *, at: datetime) -> int:
    """Let stand again what a departure withdrew, but for kinds confirmed anew since; give the number of confirmations."""
    withdrawn = Confirmation.objects.filter(departure=departure)
    rows = _touch(withdrawn.values_list("opportunity", flat=True))
    same_kind = Confirmation.objects.standing().filter(opportunity=OuterRef("opportunity"), kind=OuterRef("kind"))
    count = withdrawn.exclude(Exists(same_kind)).update(withdrawn_at=None, withdrawn_because="", departure=None)
    _mend_what_broke(departure.recorded_at, rows, at=at)
    return count


def _touch(opportunity_ids: Collection[int]) -> list[Opportunity]:
    """Raise the revision of deals, so that whoever judged their confirmations before loses; give the rows as they are now.

    Comes first: on PostgreSQL it also makes everybody else who touches these deals wait until the end of the transaction.
    """
    touched = Opportunity.objects.filter(pk__in=list(opportunity_ids))
    touched.update(revision=F("revision") + 1)
    return list(touched.select_related("account", "owner"))


def _break_without(lost: Mapping[int, Collection[str]], rows: Collection[Opportunity], *, at: datetime) -> None:
    """Break the gate of each deal that entered its stage with a kind it has just lost, or has too few left.

    Also when enough is left: who gave it may have been the reason to go on, so a person looks at it anew.
    """
    given = _given(rows)
    for row in rows:
        asked = () if row.is_imported_history else bant.ASKED.get(row.stage, ())
        entered_with = {kind for kind in asked if getattr(row, f"entry_{kind}_id")}
        if asked and (entered_with & set(lost[row.pk]) or not _holds(row, given)):
            _break(row, _withdrawn(row, given), at=at)


def _mend_if_it_holds(row: Opportunity, *, at: datetime, by: User | None) -> None:
    """Mend a broken gate that somebody has confirmed enough for, or say what is still to be confirmed."""
    given = _given([row])
    if _holds(row, given):
        _mend(row, at=at, by=by)
    elif row.gate_broken_at is not None:
        _break(row, _withdrawn(row, given), at=at)


def _mend_what_broke(moment: datetime, rows: Collection[Opportunity], *, at: datetime) -> None:
    """Mend the gates that broke at a moment, as if that had not been; one that was broken before stays so."""
    given = _given(rows)
    for row in rows:
        if _holds(row, given) and (row.gate_broken_at == moment or not _withdrawn(row, given)):
            _mend(row, at=at, by=None)
        elif row.gate_broken_at is not None:
            _break(row, _withdrawn(row, given), at=at)


def _given(rows: Collection[Opportunity]) -> dict[int, dict[str, bool]]:
    """Map each deal to the kinds ever given for it, and whether one stands now."""
    given: dict[int, dict[str, bool]] = defaultdict(dict)
    for deal_id, kind, withdrawn_at in Confirmation.objects.filter(opportunity__in=rows).values_list("opportunity", "kind", "withdrawn_at"):
        given[deal_id][kind] = given[deal_id].get(kind, False) or withdrawn_at is None
    return given


def _holds(row: Opportunity, given: Mapping[int, Mapping[str, bool]]) -> bool:
    return bant.stands(row.stage, [kind for kind, is_standing in given[row.pk].items() if is_standing])


def _withdrawn(row: Opportunity, given: Mapping[int, Mapping[str, bool]]) -> list[str]:
    return [kind for kind in bant.ASKED.get(row.stage, ()) if given[row.pk].get(kind) is False]


def _mend(row: Opportunity, *, at: datetime, by: User | None) -> None:
    if row.gate_broken_at is None:
        return
    row.gate_broken_at = None
    row.save(update_fields=["gate_broken_at", "updated_at"])
    follow_ups.close_about(FollowUp.Reason.GATE_BROKEN, f"opportunity:{row.pk}", at=at, by=by, result=_("confirmed anew"))


def _break(row: Opportunity, withdrawn: list[str], *, at: datetime) -> None:
    """Mark a deal whose gate no longer holds, and have its owner confirm anew what was withdrawn."""
    if row.gate_broken_at is None:
        row.gate_broken_at = at
        row.save(update_fields=["gate_broken_at", "updated_at"])
        facts = {"account_id": row.account_id, "stage": row.stage, "withdrawn": withdrawn}
        webhooks.tell("opportunity.gate_broken", [webhooks.News(row.pk, facts)], at=at)
    follow_up = follow_ups.open(
        reason=FollowUp.Reason.GATE_BROKEN,
        owner=row.owner,
        due_on=follow_ups.due_after(at, policy.FOLLOW_UPS.gate_broken_days),
        at=at,
        account=row.account,
        opportunity=row,
        about=f"opportunity:{row.pk}",
        facts={"roles": withdrawn},
    )
    if follow_up.facts != {"roles": withdrawn}:
        follow_up.facts = {"roles": withdrawn}
        follow_up.save(update_fields=["facts"])
