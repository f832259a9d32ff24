"""Activities: the only way to record, correct or delete one, so that every figure derived from them stays right."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from crm import activity_changes, bulk, machine_agents, machine_made, policy, verdicts
from crm.errors import Conflict, Invalid
from crm.models import Account, Activity, ActivityVerdict, Contact, Opportunity, User
from crm.new_activities import NewActivity, judge_many, wrong_text

JudgedBy = Activity.JudgedBy


@dataclass(slots=True)
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
    message_id: str = "",
    link: str = "",
    user_agent: str = "",
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
        message_id=message_id,
        link=link,
        user_agent=user_agent,
    )
    (outcome,) = record_many([row], source=source, at=at, by=by)
    if outcome.activity_id is None:
        raise Invalid(outcome.error, detail={outcome.field: outcome.error})
    return Activity.objects.get(pk=outcome.activity_id)


def record_many(rows: Sequence[NewActivity], *, source: str, at: datetime, by: User | None = None) -> list[Recorded]:
    """Record up to `policy.RECORDING.activities_per_call` rows, one result per row in the given order.

    A row that cannot be right gets its reason and does not hold up the others. Rows are written in the order of
    their external id: two overlapping calls then take their locks in the same order and cannot deadlock. What the
    new rows say of others near them, e.g. that they were part of a scanner's burst, is judged at once.
    """
    if len(rows) > policy.RECORDING.activities_per_call:
        raise Invalid(_("At most %(bound)d activities in one call.") % {"bound": policy.RECORDING.activities_per_call})
    if not source.strip():
        raise Invalid(_("Name the source of these activities."), detail={"source": _("This may not be empty.")})
    ordered = sorted(enumerate(rows), key=lambda pair: (pair[1].external_id, pair[0]))
    with transaction.atomic():
        watched = {index: row for index, row in enumerate(rows) if row.kind in machine_made.WATCHED and row.contact_id}
        people = {row.contact_id for row in watched.values() if row.contact_id}
        verdicts.share({row.account_id for row in watched.values()}, people)
        outcomes = [done for chunk in _chunks(ordered) for done in _record_chunk(chunk, source=source, at=at, by=by)]
        made = {done.index for done in outcomes if done.created}
        # Shared until here; from here on whoever recorded of them, too, waits, and then sees these rows.
        verdicts.claim(people)
        new = (verdicts.Touched(row.contact_id or 0, row.occurred_at) for index, row in watched.items() if index in made)
        activity_changes.tell(verdicts.judge_new(new) | {rows[index].account_id for index in made})
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
    new = {index: _Fresh(row) for index, row in rows if makers.get(index) == index}
    ids, made = _insert(new, source=source, at=at, by=by)
    yield from (Recorded(index, ids[first], created=index in made) for index, first in makers.items())


def _insert(new: dict[int, "_Fresh"], *, source: str, at: datetime, by: User | None) -> tuple[dict[int, int], set[int]]:
    """Insert the rows that are not there yet and queue their changes; give every row's id, and which were made now.

    When another writer commits one of them between the look-up and the insert, the unique key refuses the
    statement; it is tried again with that row known, at most once for each row that others wrote.
    """
    while True:
        known = _known(source, [row.external_id for row in new.values() if row.external_id])
        fresh = {index: row for index, row in new.items() if row.external_id not in known}
        try:
            with transaction.atomic():
                ids = dict(zip(fresh, bulk.next_ids(Activity, len(fresh)), strict=True))
                written = [(ids[index], *row.values()) for index, row in fresh.items()]
                bulk.insert(Activity, ("id", *_WRITTEN), written, at=at, source=source, recorded_by=by and by.pk, recorded_at=at)
                activity_changes.queue((row, 1) for row in fresh.values())
        except IntegrityError:
            if _known(source, [row.external_id for row in fresh.values() if row.external_id]):
                continue
            raise
        return {index: known.get(row.external_id) or ids[index] for index, row in new.items()}, set(fresh)


# One look into the index per id: as a list, the planner reads the table through until it has figures of it.
_KNOWN = """
    SELECT external_id, id FROM (
        SELECT asked.external_id, (SELECT there.id FROM crm_activity AS there WHERE there.source = %s
            AND there.external_id = asked.external_id AND there.external_id <> '') AS id
        FROM unnest(%s::text[]) AS asked (external_id)
    ) AS each WHERE id IS NOT NULL
"""


def _known(source: str, external_ids: list[str]) -> dict[str, int]:
    """Give the activities of a source that are there already, by their ids at the source."""
    if connection.vendor != "postgresql":
        return dict(Activity.objects.filter(source=source, external_id__among=external_ids).values_list("external_id", "id"))
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [source, external_ids])
        return dict(cursor.fetchall())


_WRITTEN = (
    "account", "contact", "opportunity", "kind", "occurred_at", "day", "subject", "machine_reason", "judged_by", "message_id", "link",
    "user_agent", "external_id",
)  # fmt: skip


class _Fresh:
    """A row as it is written: texts brought to length, the local day, and whether its program is a machine's."""

    __slots__ = ("account_id", "contact_id", "day", "external_id", "kind", "machine_reason", "row", "user_agent")

    def __init__(self, row: NewActivity) -> None:
        self.row, self.account_id, self.contact_id, self.kind, self.external_id = (
            row,
            row.account_id,
            row.contact_id,
            row.kind,
            row.external_id,
        )
        self.day, self.user_agent = policy.day_of(row.occurred_at), row.user_agent.strip()[:300]
        by_agent = machine_agents.reason(row.kind, self.user_agent) if row.kind in machine_made.BY_PROGRAM else ""
        self.machine_reason = row.machine_reason or by_agent

    def values(self) -> tuple[object, ...]:
        """Give what stands in the columns of `_WRITTEN`."""
        row, judged_by = self.row, JudgedBy.SOURCE if self.row.machine_reason else JudgedBy.RULES
        moment = connection.ops.adapt_datetimefield_value(row.occurred_at)
        texts = (
            row.subject[:300],
            self.machine_reason,
            judged_by.value,
            row.message_id.strip().strip("<>"),
            _fitted(row.link.strip(), 500),
        )
        place = (row.account_id, row.contact_id, row.opportunity_id)
        return (*place, row.kind, moment, self.day.isoformat(), *texts, self.user_agent, row.external_id)


def _fitted(text: str, length: int) -> str:
    """Fit a text into its column; a longer one ends with its digest, so that two never become one."""
    return text if len(text) <= length else f"{text[: length - 65]}#{hashlib.sha256(text.encode()).hexdigest()}"


def before_contact_goes(instance: Contact, **_signal: object) -> None:
    """Have an account counted anew when a contact is deleted whose activities become those of nobody.

    The contact is taken before the activities are: whoever records some for them does so in this order, too.
    """
    Account.objects.filter(pk=instance.account_id).held()
    list(Contact.objects.filter(pk=instance.pk).select_for_update(of=("self",)).values_list("pk"))
    if instance.activities.exists():
        activity_changes.count_anew([instance.account_id])


CORRECTABLE = frozenset({"kind", "occurred_at", "contact", "opportunity", "subject", "machine_reason"})


@transaction.atomic
def correct(activity: Activity, *, at: datetime, by: User | None = None, **changes: object) -> Activity:
    """Correct an activity: its kind, moment, contact, opportunity, subject, or whether a machine made it.

    An activity that somebody deleted meanwhile raises Conflict. One of an erased person gets no new subject.
    """
    if unknown := changes.keys() - CORRECTABLE:
        raise Invalid(_("This cannot be corrected: %(names)s.") % {"names": ", ".join(sorted(unknown))})
    hold([activity.pk], also=changes.get("contact"))
    before = _locked(activity)
    after = _locked(activity)
    for name, value in changes.items():
        setattr(after, name, value)
    after.day = policy.day_of(after.occurred_at)
    _refuse_wrong(after, changes.keys(), at)
    if "machine_reason" in changes:
        after.judged_by = JudgedBy.PERSON
        ActivityVerdict.objects.create(activity=after, machine_reason=after.machine_reason, said_by=by, said_at=at)
    after.recorded_by = by or after.recorded_by
    after.save()
    activity_changes.queue([(before, -1), (after, 1)])
    judged = verdicts.judge_again(verdicts.touched([before, after]))
    activity_changes.tell(judged | {after.account_id})
    after.refresh_from_db(fields=["machine_reason"])
    return after


def _refuse_wrong(after: Activity, changed: Iterable[str], at: datetime) -> None:
    new = _as_new(after)
    if not {"contact", "subject"} & set(changed):
        # Whom it is of was judged when it was recorded, and may be erased by now.
        new = replace(new, contact_id=None)
    if found := judge_many([new], at=at, is_new="occurred_at" in changed)[0]:
        field, error = found
        raise Invalid(error, detail={field: error})


def hold(activity_ids: Sequence[int], *, also: object = None) -> None:
    """Take the contacts of activities, as must be done before the activities themselves; also one that an activity will be of."""
    of = Activity.objects.filter(pk__in=activity_ids, kind__in=machine_made.WATCHED, contact__isnull=False)
    places = set(of.values_list("account_id", "contact_id"))
    contacts = {contact for _account, contact in places if contact} | ({also.pk} if isinstance(also, Contact) else set())
    verdicts.hold({account for account, _contact in places}, contacts)


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
        message_id=row.message_id,
        link=row.link,
        user_agent=row.user_agent,
    )


@transaction.atomic
def judge(activity: Activity, *, machine_reason: str, at: datetime, by: User | None = None) -> Activity:
    """Say that a machine made an activity, with the reason, or with an empty one that a person did.

    It stands whatever the rules find later, and who said it is kept. A deleted activity raises Conflict.
    """
    if found := wrong_text(replace(_as_new(activity), machine_reason=machine_reason)):
        raise Invalid(found[1], detail={found[0]: found[1]})
    hold([activity.pk])
    if not verdicts.say([activity.pk], machine_reason=machine_reason, at=at, by=by):
        raise Conflict(_("This activity was deleted meanwhile."))
    return Activity.objects.get(pk=activity.pk)


@transaction.atomic
def delete(activity: Activity, *, at: datetime, by: User | None = None) -> None:
    """Delete an activity that never happened; one already deleted raises Conflict."""
    hold([activity.pk])
    _take_out([_locked(activity)])


@transaction.atomic
def delete_many(activity_ids: Sequence[int]) -> int:
    """Delete activities that never happened, as `delete` does; what is gone already is passed over. Give their number."""
    hold(activity_ids)
    rows = list(Activity.objects.select_for_update(of=("self",)).filter(pk__in=activity_ids).order_by("pk"))
    _take_out(rows)
    return len(rows)


def _take_out(rows: Sequence[Activity]) -> None:
    """Delete rows, take their counts back, and judge anew what was judged by them."""
    Activity.objects.filter(pk__in=[row.pk for row in rows]).delete()
    activity_changes.queue((row, -1) for row in rows)
    judged = verdicts.judge_again(verdicts.touched(rows))
    activity_changes.tell(judged | {row.account_id for row in rows})
