"""Merging two accounts or two contacts, and undoing it exactly."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from crm import activity_changes, events
from crm.errors import Conflict, CrmError, Invalid
from crm.merges import accounts, contacts, ledger, news
from crm.merges import choices as chosen
from crm.merges.folding import RENEWALS, Doing
from crm.merges.ledger import Ledger
from crm.models import Account, Contact, Merge, MergedRecord, Person, User

Record = Account | Contact
KEPT, FOLDED = chosen.KEPT, chosen.FOLDED
_LABELS: dict[str, type[models.Model]] = {"crm.account": Account, "crm.contact": Contact, "crm.person": Person}


@dataclass(frozen=True)
class Line:
    """One fact of the two records: what each says, and which of the two stands unless somebody chooses."""

    fact: chosen.Fact
    kept: Any
    folded: Any
    side: str
    differs: bool


@dataclass(frozen=True)
class Preview:
    """What a merge would do: how much moves per model, how often each rule settles a collision, or why it cannot be."""

    moved: dict[str, int] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    refusal: str = ""


class _TakenBack(Exception):
    """Ends the transaction of a merge that was only tried."""


def preview(kept: Record, folded: Record, *, by: User | None, at: datetime) -> Preview:
    """Try a merge and take it back: what is shown is what will happen; a few statements for each table."""
    tried = Ledger()
    try:
        with transaction.atomic():
            _fold(kept, folded, Doing(tried, at, by), {})
            raise _TakenBack
    except _TakenBack:
        return Preview(dict(tried.moved), dict(+tried.settled))
    except CrmError as refusal:
        return Preview(refusal=str(refusal))


def lines(kept: Record, folded: Record) -> Iterable[Line]:
    """Put the facts of two records side by side, for somebody to choose from."""
    for fact in chosen.FACTS[kind_of(kept)]:
        mine, theirs = (record.person if fact.of_person and isinstance(record, Contact) else record for record in (kept, folded))
        differs = any(getattr(mine, name) != getattr(theirs, name) for name in fact.names)
        yield Line(fact, mine, theirs, chosen.default(fact, mine, theirs), differs)


def kind_of(record: Record) -> str:
    """Say what kind of merge a record is for."""
    return Merge.Kind.ACCOUNT if isinstance(record, Account) else Merge.Kind.CONTACT


def merge(kept: Record, folded: Record, *, choices: chosen.Choices, by: User | None, at: datetime) -> Merge:
    """Fold one account or contact into another; `choices` maps a fact's key to 'kept' or 'folded'.

    Raise Invalid for two that cannot be one, Conflict when one of them was merged or deleted, or something was recorded
    there, at this moment.
    """
    chosen.refuse_unknown(kind_of(kept), choices)
    # Now: afterwards the folded person has no name any more.
    doing, named = Doing(Ledger(), at, by), (str(kept)[:210], str(folded)[:210])
    try:
        with transaction.atomic():
            crossing = _fold(kept, folded, doing, choices)
            made = _write_down(kept, folded, doing, crossing, named)
            activity_changes.count_anew([made.account_id])
            news.tell_merged(doing.ledger.steps, doing.ledger.records, at=at)
            events.tell(events.dmu_changed, account_ids=[made.account_id])
    except IntegrityError as error:
        raise Conflict(_("Something was recorded there at this moment; please try again.")) from error
    return made


def _fold(kept: Record, folded: Record, doing: Doing, choices: chosen.Choices) -> dict[str, list[int]]:
    """Fold one record into another as they are now; give the rows that crossed the two accounts before."""
    if type(kept) is not type(folded) or kept.pk == folded.pk:
        raise Invalid(_("A record cannot be merged with itself."))
    mine, theirs = _claimed(kept, folded)
    if isinstance(mine, Account) and isinstance(theirs, Account):
        crossing = accounts.crossing(mine.pk, theirs.pk)
        accounts.fold(doing, mine, theirs, choices=choices)
        return crossing
    _refuse_contacts(mine, theirs)
    contacts.fold(doing, mine.pk, theirs.pk, choices=choices)
    return {}


def _claimed(kept: Record, folded: Record) -> tuple[Any, Any]:
    """Take both rows until the transaction ends, in one order for everybody; raise Conflict if one of them is gone."""
    model = type(kept)
    rows = {row.pk: row for row in model._base_manager.select_for_update(of=("self",)).filter(pk__in=(kept.pk, folded.pk)).order_by("pk")}
    for record in (kept, folded):
        if record.pk not in rows:
            raise Conflict(_("%(name)s is not there any more: somebody merged or deleted it.") % {"name": record})
    return rows[kept.pk], rows[folded.pk]


def _refuse_contacts(kept: Contact, folded: Contact) -> None:
    if kept.account_id != folded.account_id:
        raise Invalid(_("They work at two accounts. Merge the accounts, or record that one of them left."))
    if kept.erased_at or folded.erased_at:
        raise Conflict(_("The data of one of them were erased: there is nothing to merge."))


def _write_down(kept: Record, folded: Record, doing: Doing, crossing: dict[str, list[int]], named: tuple[str, str]) -> Merge:
    made = Merge.objects.create(
        kind=kind_of(kept),
        account_id=kept.pk if isinstance(kept, Account) else kept.account_id,
        kept_id=kept.pk,
        folded_id=folded.pk,
        kept_name=named[0],
        folded_name=named[1],
        folded_domain=_former_domain(kept, folded),
        steps=doing.ledger.steps,
        figures={"moved": dict(doing.ledger.moved), "settled": dict(+doing.ledger.settled), "crossing": crossing},
        merged_at=doing.at,
        merged_by=doing.by,
    )
    gone = [MergedRecord(merge=made, model=label, folded_id=old, kept_id=new) for label, old, new in doing.ledger.records]
    MergedRecord.objects.bulk_create(gone)
    return made


def _former_domain(kept: Record, folded: Record) -> str:
    """Give the domain that was lost: the one of the two that was not chosen."""
    if not isinstance(kept, Account) or not isinstance(folded, Account):
        return ""
    now = Account.objects.values_list("domain", flat=True).get(pk=kept.pk)
    return next((domain for domain in (folded.domain, kept.domain) if domain and domain != now), "")


def unmerge(done: Merge, *, by: User | None, at: datetime) -> Merge:
    """Put both records back as they were, with everything that moved; what came since stays, or follows what it is about.

    Merges on top of this one are undone first. Raise Conflict for that, for one undone already, and when the kept record
    is gone or somebody else has an address or id by now that must be unique.
    """
    if later := on_top_of(done).first():
        day = date_format(later.merged_at, "SHORT_DATE_FORMAT")
        raise Conflict(_("Undo the later merge first: %(merge)s, %(day)s.") % {"merge": later, "day": day})
    try:
        with transaction.atomic():
            return _unmerge(done, by=by, at=at)
    except IntegrityError as error:
        raise Conflict(_("Another record has the same web domain, address or source id by now: change that first.")) from error


def _unmerge(done: Merge, *, by: User | None, at: datetime) -> Merge:
    if not Merge.objects.standing().filter(pk=done.pk).update(undone_at=at, undone_by=by):
        raise Conflict(_("This merge was undone already."))
    done.refresh_from_db()
    model = _LABELS[f"crm.{done.kind}"]
    if not model._base_manager.select_for_update(of=("self",)).filter(pk=done.kept_id).exists():
        raise Conflict(_("The record that was kept is not there any more."))
    stayed = {step["model"]: ledger.arrived(step) for step in done.steps if step["do"] == "moved"}
    changed = list(ledger.undo(done.steps))
    touched = [done.account_id]
    followed: dict[str, int] = {}
    if done.kind == Merge.Kind.ACCOUNT:
        touched = [done.kept_id, done.folded_id]
        followed = accounts.follow(*touched, before=done.figures.get("crossing", {}))
        for _renew, rebuild in RENEWALS:
            rebuild(touched, done.merged_at, at)
    _opt_both_out(done)
    left = {label: count - followed.get(label, 0) for label, count in stayed.items() if count > followed.get(label, 0)}
    done.figures |= {"stayed": left, "followed": followed, "changed": sorted(set(changed))}
    news.tell_unmerged(done, at=at)
    # Nothing is left to undo, and what was kept of people need not be kept any longer.
    done.steps = []
    done.save(update_fields=["figures", "steps"])
    activity_changes.count_anew(touched)
    events.tell(events.dmu_changed, account_ids=touched)
    return done


def _opt_both_out(done: Merge) -> None:
    """Let who opted out since the merge be opted out as both: the word was the one person's that both records were."""
    for record in done.records.filter(model__in=("crm.account", "crm.person")):
        rows = _LABELS[record.model]._base_manager
        since = rows.filter(pk=record.kept_id, opted_out_at__gt=done.merged_at).values_list("opted_out_at", flat=True).first()
        if since:
            rows.filter(pk=record.folded_id, opted_out_at=None).update(opted_out_at=since)


def on_top_of(done: Merge) -> "models.QuerySet[Merge]":
    """Give the merges that must be undone before this one, the latest first."""
    later = Merge.objects.standing().filter(pk__gt=done.pk)
    here = Q(account=done.account_id) if done.kind == Merge.Kind.ACCOUNT else Q(account=done.account_id, kind=Merge.Kind.ACCOUNT)
    same = Q(pk__in=[])
    for label in ("crm.contact", "crm.person"):
        ids = {pk for pair in done.records.filter(model=label).values_list("folded_id", "kept_id") for pk in pair}
        same |= Q(records__model=label) & (Q(records__folded_id__in=ids) | Q(records__kept_id__in=ids))
    return later.filter(here | same).distinct().order_by("-pk")


def taken_into(model: type[models.Model], pk: int) -> int | None:
    """Give the record in whose place a merged one stands now, over any number of merges; None if it was not merged."""
    found, seen = None, {pk}
    while step := MergedRecord.objects.filter(
        model=model._meta.label_lower, folded_id=pk if found is None else found, merge__undone_at=None
    ).first():
        if step.kept_id in seen:
            break
        found = step.kept_id
        seen.add(found)
    return found
