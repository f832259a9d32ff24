"""Activities: the only way to record, correct or delete one, so that every figure derived from them stays right."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from crm import activity_kinds, events, policy
from crm.errors import Conflict, Invalid
from crm.models import Account, Activity, ActivityChange, Contact, Opportunity, User

# A field and why it cannot be right.
Wrong = tuple[str, str]
# Clocks differ: a little ahead is accepted, tomorrow is not.
AHEAD = timedelta(minutes=10)


@dataclass(frozen=True)
class NewActivity:
    """One row of a bulk recording, by ids."""

    account_id: int
    kind: str
    occurred_at: datetime
    external_id: str = ""
    contact_id: int | None = None
    opportunity_id: int | None = None
    subject: str = ""
    machine_reason: str = ""


@dataclass(frozen=True)
class Recorded:
    """What became of one row: its activity, whether this call made it, or why not and by which field."""

    index: int
    activity_id: int | None
    created: bool
    error: str = ""
    field: str = ""


def record(
    *,
    account: Account,
    kind: str,
    occurred_at: datetime,
    source: str,
    at: datetime,
    external_id: str = "",
    contact: Contact | None = None,
    opportunity: Opportunity | None = None,
    subject: str = "",
    machine_reason: str = "",
    by: User | None = None,
) -> Activity:
    """Record one activity; the same source and external id gives the first one back and changes nothing."""
    row = NewActivity(
        account_id=account.pk,
        kind=kind,
        occurred_at=occurred_at,
        external_id=external_id,
        contact_id=contact.pk if contact else None,
        opportunity_id=opportunity.pk if opportunity else None,
        subject=subject,
        machine_reason=machine_reason,
    )
    (outcome,) = record_many([row], source=source, at=at, by=by)
    if outcome.activity_id is None:
        raise Invalid(outcome.error, detail={outcome.field: outcome.error})
    return Activity.objects.get(pk=outcome.activity_id)


def record_many(rows: Sequence[NewActivity], *, source: str, at: datetime, by: User | None = None) -> list[Recorded]:
    """Record up to `policy.RECORDING.activities_per_call` rows, one result per row in the given order.

    A row that cannot be right gets its reason and does not hold up the others. Rows are written in the order of
    their external id: two overlapping calls then take their locks in the same order and cannot deadlock.
    """
    if len(rows) > policy.RECORDING.activities_per_call:
        raise Invalid(_("At most %(bound)d activities in one call.") % {"bound": policy.RECORDING.activities_per_call})
    if not source.strip():
        raise Invalid(_("Name the source of these activities."), detail={"source": _("This may not be empty.")})
    ordered = sorted(enumerate(rows), key=lambda pair: (pair[1].external_id, pair[0]))
    with transaction.atomic():
        outcomes = [done for chunk in _chunks(ordered) for done in _record_chunk(chunk, source=source, at=at, by=by)]
        made = {rows[done.index].account_id for done in outcomes if done.created}
        _tell(made)
    return sorted(outcomes, key=lambda done: done.index)


def _chunks(rows: Iterable[tuple[int, NewActivity]]) -> Iterator[list[tuple[int, NewActivity]]]:
    stream = iter(rows)
    while chunk := list(islice(stream, policy.RECORDING.rows_per_statement)):
        yield chunk


def _record_chunk(rows: list[tuple[int, NewActivity]], *, source: str, at: datetime, by: User | None) -> Iterator[Recorded]:
    """Check, insert and queue one chunk in a fixed number of statements."""
    wrong = {index: found for (index, _row), found in zip(rows, judge_many([row for _index, row in rows], at=at), strict=True) if found}
    yield from (Recorded(index, None, created=False, error=error, field=field) for index, (field, error) in wrong.items())
    # The same external id twice in one call is one activity: the first row makes it.
    maker: dict[str, int] = {}
    makers = {index: maker.setdefault(row.external_id or f"#{index}", index) for index, row in rows if index not in wrong}
    new = {index: _activity(row, source=source, at=at, by=by) for index, row in rows if makers.get(index) == index}
    ids, made = _insert(new, source)
    yield from (Recorded(index, ids[first], created=index in made) for index, first in makers.items())


def _insert(new: dict[int, Activity], source: str) -> tuple[dict[int, int], set[int]]:
    """Insert the rows that are not there yet and queue their changes; give every row's id, and which were made now.

    When another writer commits one of them between the look-up and the insert, the unique key refuses the
    statement; it is tried again with that row known, at most once for each row that others wrote.
    """
    while True:
        known = _known(source, [row.external_id for row in new.values() if row.external_id])
        fresh = {index: row for index, row in new.items() if row.external_id not in known}
        try:
            with transaction.atomic():
                Activity.objects.bulk_create(fresh.values())
                _queue((row, 1) for row in fresh.values())
        except IntegrityError:
            if _known(source, [row.external_id for row in fresh.values() if row.external_id]):
                continue
            raise
        return {index: known.get(row.external_id) or row.pk for index, row in new.items()}, set(fresh)


def _known(source: str, external_ids: list[str]) -> dict[str, int]:
    return dict(Activity.objects.filter(source=source, external_id__in=external_ids).values_list("external_id", "id"))


def _activity(row: NewActivity, *, source: str, at: datetime, by: User | None) -> Activity:
    return Activity(
        account_id=row.account_id,
        contact_id=row.contact_id,
        opportunity_id=row.opportunity_id,
        kind=row.kind,
        occurred_at=row.occurred_at,
        day=policy.day_of(row.occurred_at),
        subject=row.subject[:300],
        machine_reason=row.machine_reason,
        source=source,
        external_id=row.external_id,
        recorded_by=by,
        recorded_at=at,
    )


def judge_many(rows: Sequence[NewActivity], *, at: datetime, is_new: bool = True) -> list[Wrong | None]:
    """Say for each row which field cannot be right and why, or nothing; three look-ups, however many rows."""
    accounts = set(Account.objects.filter(pk__in={row.account_id for row in rows}).values_list("pk", flat=True))
    named = Contact.objects.filter(pk__in={row.contact_id for row in rows if row.contact_id})
    # An erased contact is nowhere: None.
    contacts = {pk: None if erased_at else account for pk, account, erased_at in named.values_list("pk", "account_id", "erased_at")}
    deals = dict(
        Opportunity.objects.filter(pk__in={row.opportunity_id for row in rows if row.opportunity_id}).values_list("pk", "account_id")
    )
    oldest = policy.oldest_day_kept(at) if is_new else None
    return [
        _wrong_moment(row, at)
        or _too_old(row, oldest)
        or _wrong_text(row)
        or _wrong_kind(row)
        or _wrong_place(row, accounts, contacts, deals)
        for row in rows
    ]


def _wrong_moment(row: NewActivity, at: datetime) -> Wrong | None:
    if row.occurred_at.tzinfo is None:
        return "occurred_at", _("The moment has no time zone.")
    # Nothing that a score could count was recorded before; near the last year a local day cannot be told.
    if not 1990 <= row.occurred_at.year <= 9000:
        return "occurred_at", _("The moment lies too far in the past or the future.")
    return ("occurred_at", _("The moment lies in the future.")) if row.occurred_at > at + AHEAD else None


def _too_old(row: NewActivity, oldest: date | None) -> Wrong | None:
    """Refuse what the next night would delete; sent again after that, it would count a second time."""
    if oldest is None or policy.day_of(row.occurred_at) >= oldest:
        return None
    return "occurred_at", _("Activities older than %(days)d days are not kept.") % {"days": policy.RETENTION.activity_days}


def _wrong_text(row: NewActivity) -> Wrong | None:
    if len(row.external_id) > 100:
        return "external_id", _("The id at the source is longer than 100 characters.")
    if len(row.machine_reason) > 30:
        return "machine_reason", _("The reason is longer than 30 characters.")
    for field in ("external_id", "subject", "machine_reason"):
        if "\x00" in getattr(row, field):
            return field, _("The text holds a character that cannot be kept.")
    return None


def _wrong_kind(row: NewActivity) -> Wrong | None:
    if row.kind in activity_kinds.KINDS:
        return None
    return "kind", _("Unknown kind '%(kind)s'; known are %(known)s.") % {"kind": row.kind[:50], "known": ", ".join(activity_kinds.KINDS)}


def _wrong_place(row: NewActivity, accounts: set[int], contacts: Mapping[int, int | None], deals: Mapping[int, int | None]) -> Wrong | None:
    if row.account_id not in accounts:
        return "account", _("There is no account %(id)s.") % {"id": row.account_id}
    if row.contact_id is not None and contacts.get(row.contact_id, 0) is None:
        return "contact", _("This person was erased.")
    if row.contact_id is not None and contacts.get(row.contact_id) != row.account_id:
        return "contact", _("There is no contact %(id)s at this account.") % {"id": row.contact_id}
    if row.opportunity_id is not None and deals.get(row.opportunity_id) != row.account_id:
        return "opportunity", _("There is no opportunity %(id)s at this account.") % {"id": row.opportunity_id}
    return None


def _queue(changes: Iterable[tuple[Activity, int]]) -> None:
    """Queue what went up or down, in the activity's own transaction; a machine's doings count nowhere."""
    ActivityChange.objects.bulk_create(
        ActivityChange(account_id=row.account_id, contact_id=row.contact_id, kind=row.kind, day=row.day, delta=delta)
        for row, delta in changes
        if not row.machine_reason
    )


def count_anew(account_ids: Iterable[int]) -> None:
    """Have these accounts counted anew: their activities were moved, or lost their contact, by other ways than these rules.

    Queued in the caller's transaction, as a change of no kind.
    """
    rows = [ActivityChange(account_id=pk, kind=ActivityChange.COUNT_ANEW, day=date(1900, 1, 1), delta=1) for pk in sorted(set(account_ids))]
    ActivityChange.objects.bulk_create(rows)


def before_contact_goes(instance: Contact, **_signal: object) -> None:
    """Have an account counted anew when a contact is deleted whose activities become those of nobody."""
    if instance.activities.exists():
        count_anew([instance.account_id])


def _tell(account_ids: set[int]) -> None:
    if account_ids:
        events.tell(events.activity_recorded, account_ids=sorted(account_ids))


CORRECTABLE = frozenset({"kind", "occurred_at", "contact", "opportunity", "subject", "machine_reason"})


@transaction.atomic
def correct(activity: Activity, *, at: datetime, by: User | None = None, **changes: object) -> Activity:
    """Correct an activity: its kind, moment, contact, opportunity, subject, or whether a machine made it.

    An activity that somebody deleted meanwhile raises Conflict. One of an erased person gets no new subject.
    """
    if unknown := changes.keys() - CORRECTABLE:
        raise Invalid(_("This cannot be corrected: %(names)s.") % {"names": ", ".join(sorted(unknown))})
    before = _locked(activity)
    after = _locked(activity)
    for name, value in changes.items():
        setattr(after, name, value)
    after.day = policy.day_of(after.occurred_at)
    new = _as_new(after)
    if not changes.keys() & {"contact", "subject"}:
        # Whom it is of was judged when it was recorded, and may be erased by now.
        new = replace(new, contact_id=None)
    if found := judge_many([new], at=at, is_new="occurred_at" in changes)[0]:
        field, error = found
        raise Invalid(error, detail={field: error})
    after.recorded_by = by or after.recorded_by
    after.save()
    _queue([(before, -1), (after, 1)])
    _tell({after.account_id})
    return after


def _locked(activity: Activity) -> Activity:
    """Read the row as it is now and keep others off it, so that what the queue takes back is what was counted."""
    row = Activity.objects.select_for_update(of=("self",)).filter(pk=activity.pk).first()
    if row is None:
        raise Conflict(_("This activity was deleted meanwhile."))
    return row


def _as_new(row: Activity) -> NewActivity:
    return NewActivity(
        account_id=row.account_id,
        kind=row.kind,
        occurred_at=row.occurred_at,
        external_id=row.external_id,
        contact_id=row.contact_id,
        opportunity_id=row.opportunity_id,
        subject=row.subject,
        machine_reason=row.machine_reason,
    )


def judge(activity: Activity, *, machine_reason: str, at: datetime, by: User | None = None) -> Activity:
    """Mark an activity as made by a machine, with the reason; an empty reason takes the verdict back."""
    return correct(activity, at=at, by=by, machine_reason=machine_reason)


@transaction.atomic
def delete(activity: Activity, *, at: datetime, by: User | None = None) -> None:
    """Delete an activity that never happened; one already deleted raises Conflict."""
    row = _locked(activity)
    row.delete()
    _queue([(row, -1)])
    _tell({row.account_id})


@transaction.atomic
def delete_many(activity_ids: Sequence[int]) -> int:
    """Delete activities that never happened, as `delete` does; what is gone already is passed over. Give their number."""
    rows = list(Activity.objects.select_for_update(of=("self",)).filter(pk__in=activity_ids).order_by("pk"))
    Activity.objects.filter(pk__in=[row.pk for row in rows]).delete()
    _queue((row, -1) for row in rows)
    _tell({row.account_id for row in rows})
    return len(rows)
