"""Verdicts on activities, kept right whatever the order in which they arrive: judged again, counts taken back or given back.

Whoever corrects or deletes holds the contacts first, then the activities, each in the order of their ids. Whoever records
shares the contacts, writes, and claims them only to judge: nobody waits while another writes, and of two halves of a burst
that arrive at once the one that is judged last is judged with the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from crm import activity_changes, bulk, machine_made, policy
from crm.machine_made import WATCHED, Arrival, Event
from crm.models import Account, Activity, ActivityVerdict, Contact, Delivery, User

JudgedBy = Activity.JudgedBy
# SQLite takes a thousand values in a statement, and three describe a window.
WINDOWS_PER_STATEMENT = {"sqlite": 200, "postgresql": 5_000}


@dataclass(frozen=True)
class Touched:
    """Something that was recorded, corrected or deleted: whose it is, and when it happened."""

    contact_id: int
    at: datetime


class _Window:
    """A stretch of one contact's time: what in it may be judged otherwise now, and as far around it as that depends on."""

    def __init__(self, contact_id: int, first: datetime, last: datetime, *, reach: timedelta) -> None:
        self.contact_id, self.first, self.last = contact_id, first - reach, last + reach
        self.around = (self.first - reach, self.last + reach)

    def has(self, at: datetime) -> bool:
        """Say whether a moment lies in the stretch itself."""
        return self.first <= at <= self.last


def touched(rows: Iterable[Activity]) -> set[Touched]:
    """Give what of these rows can change a verdict: on themselves, or on what is near them."""
    watched = (row for row in rows if row.kind in WATCHED)
    return {Touched(row.contact_id, row.occurred_at) for row in watched if row.contact_id is not None}


def hold(account_ids: Iterable[int], contact_ids: Iterable[int]) -> None:
    """Keep others from writing activities of these contacts until the transaction ends.

    On PostgreSQL the accounts are kept from being merged first: a merge takes accounts before contacts, too.
    """
    contacts = set(contact_ids)
    if contacts and connection.vendor == "postgresql":
        Account.objects.filter(pk__among=set(account_ids)).held()
    claim(contacts)


def share(account_ids: Iterable[int], contact_ids: Iterable[int]) -> None:
    """Keep these accounts and contacts as they are found until the transaction ends, while others write activities of theirs, too."""
    if connection.vendor == "postgresql":
        Account.objects.filter(pk__among=set(account_ids)).held()
        Contact.objects.filter(pk__among=set(contact_ids)).held()


def claim(contact_ids: Iterable[int]) -> None:
    """Have everybody else wait who writes activities of these contacts and wants to judge them, until the transaction ends."""
    for some in bulk.chunks(sorted(set(contact_ids)), WINDOWS_PER_STATEMENT[connection.vendor]):
        list(Contact.objects.filter(pk__among=some).claimed().order_by("pk").values_list("pk"))


def judge_again(what: Iterable[Touched]) -> set[int]:
    """Judge anew what depends on what was touched, in the caller's transaction; give the accounts where a verdict changed.

    A few statements for some hundred stretches of time, on PostgreSQL for some thousand. What a source or a person said stands.
    """
    return _judge(list(_windows(what)))


def judge_new(what: Iterable[Touched]) -> set[int]:
    """Judge what was recorded just now, and what depends on it, as `judge_again` does; most that is new is alone.

    A row that has no other near it, and no mail that reached the contact, was judged by its program when it was written.
    """
    windows = list(_windows(what))
    if connection.vendor == "postgresql":
        windows = [window for some in bulk.chunks(windows, WINDOWS_PER_STATEMENT["postgresql"]) for window in _in_company(some)]
    return _judge(windows)


def say(activity_ids: Sequence[int], *, machine_reason: str, at: datetime, by: User | None) -> list[int]:
    """Say of activities, held by the caller, that a machine made them, or with an empty reason that a person did.

    It stands whatever the rules find later. Give the ids in their order; what is gone meanwhile is passed over.
    """
    rows = list(Activity.objects.select_for_update(of=("self",)).filter(pk__in=activity_ids).order_by("pk"))
    ids = [row.pk for row in rows]
    Activity.objects.filter(pk__in=ids).update(machine_reason=machine_reason, judged_by=JudgedBy.PERSON)
    said = [ActivityVerdict(activity_id=pk, machine_reason=machine_reason, said_by=by, said_at=at) for pk in ids]
    ActivityVerdict.objects.bulk_create(said)
    changed = _count_otherwise(rows, dict.fromkeys(ids, machine_reason)) | judge_again(touched(rows))
    activity_changes.tell(changed)
    return ids


def _windows(what: Iterable[Touched]) -> Iterator[_Window]:
    """Put what was touched of one contact into stretches; those that would overlap are one."""
    moments: dict[int, list[datetime]] = defaultdict(list)
    for each in what:
        moments[each.contact_id].append(each.at)
    reach = timedelta(seconds=policy.MACHINE_MADE.reach_seconds)
    apart = 4 * reach
    for contact_id in sorted(moments):
        in_order = sorted(moments[contact_id])
        first = last = in_order[0]
        for at in in_order:
            if at - last > apart:
                yield _Window(contact_id, first, last, reach=reach)
                first = at
            last = at
        yield _Window(contact_id, first, last, reach=reach)


def _judge(windows: Sequence[_Window]) -> set[int]:
    """Judge what lies in these stretches, and give the accounts where a verdict changed."""
    changed: set[int] = set()
    for some in bulk.chunks(windows, WINDOWS_PER_STATEMENT[connection.vendor]):
        changed |= _write(_found(some))
    return changed


class _Near(NamedTuple):
    """What is read of an activity to judge it and its neighbours."""

    pk: int
    contact_id: int
    kind: str
    occurred_at: datetime
    message_id: str
    link: str
    user_agent: str
    machine_reason: str
    judged_by: str


def _found(windows: Sequence[_Window]) -> dict[int, str]:
    """Give the activities whose reason is another now, with it."""
    rows: dict[int, list[_Near]] = defaultdict(list)
    for row in map(_Near._make, _near(windows)):
        rows[row.contact_id].append(row)
    arrivals = _arrivals(windows, rows)
    found: dict[int, str] = {}
    for window in windows:
        within = [row for row in rows[window.contact_id] if window.around[0] <= row.occurred_at <= window.around[1]]
        verdicts = machine_made.judge(map(_event, within), arrivals[window.contact_id])
        found |= {row.pk: verdicts[row.pk] for row in within if window.has(row.occurred_at) and verdicts[row.pk] != row.machine_reason}
    return found


# PostgreSQL looks up thousands of stretches at once; as conditions of an "or" they take a hundred times as long to read as to find.
_STRETCHES = "unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) WITH ORDINALITY AS w (contact, first, last, place)"
_NEAR_BY = "t.contact_id = w.contact AND t.occurred_at BETWEEN w.first AND w.last AND t.kind = ANY(%s)"
_ARRIVED = (
    "t.contact_id = w.contact AND"
    " (t.delivered_at BETWEEN w.first AND w.last OR t.delivered_at IS NULL AND t.sent_at BETWEEN w.first AND w.last)"
)
_COMPANY = (
    f"SELECT w.place FROM {_STRETCHES}"  # noqa: S608  our own words
    f" WHERE EXISTS (SELECT FROM {Activity._meta.db_table} AS t WHERE {_NEAR_BY} OFFSET 1)"
    f" OR EXISTS (SELECT FROM {Delivery._meta.db_table} AS t WHERE {_ARRIVED}) ORDER BY w.place"
)


def _in_company(windows: Sequence[_Window]) -> Iterator[_Window]:
    """Keep the stretches with more than one thing to judge in or around them, or with a mail that arrived."""
    return (windows[place - 1] for (place,) in _looked_up(_COMPANY, windows, list(WATCHED)))


def _near(windows: Sequence[_Window]) -> Iterable[tuple[Any, ...]]:
    facts = _Near._fields
    if connection.vendor == "postgresql":
        columns = ", ".join(f"t.{name}" for name in ("id", *facts[1:]))
        statement = f"SELECT {columns} FROM {_STRETCHES} JOIN {Activity._meta.db_table} AS t ON {_NEAR_BY}"  # noqa: S608  our own words
        return _looked_up(statement, windows, list(WATCHED))
    condition = Q(pk__in=[])
    for window in windows:
        condition |= Q(contact=window.contact_id, occurred_at__range=window.around)
    return Activity.objects.filter(condition, kind__in=WATCHED).order_by().values_list(*facts)


def _looked_up(statement: str, windows: Sequence[_Window], *more: Any) -> list[tuple[Any, ...]]:
    contacts = ",".join(str(window.contact_id) for window in windows)
    ends = (",".join(window.around[end].isoformat() for window in windows) for end in (0, 1))
    with connection.cursor() as cursor:
        # As text: the driver takes a list apart one by one.
        cursor.execute(statement, [*(f"{{{each}}}" for each in (contacts, *ends)), *more])
        return list(cursor.fetchall())


def _event(row: _Near) -> Event:
    return Event(
        id=row.pk,
        kind=row.kind,
        at=machine_made.moment(row.occurred_at),
        message_id=row.message_id,
        link=row.link,
        user_agent=row.user_agent,
        machine_reason=row.machine_reason,
        # What we did ourselves is no doing of theirs, machine or not.
        is_settled=bool(row.judged_by) or row.kind in machine_made.ARRIVALS,
    )


def _arrivals(windows: Sequence[_Window], rows: dict[int, list[_Near]]) -> dict[int, list[Arrival]]:
    """Collect when mail reached these contacts: what was recorded as sent or delivered, and the deliveries themselves."""
    found: dict[int, list[Arrival]] = defaultdict(list)
    for of_contact in rows.values():
        for row in of_contact:
            if row.kind in machine_made.ARRIVALS:
                found[row.contact_id].append(Arrival(machine_made.moment(row.occurred_at), _names(row.message_id)))
    for contact_id, message_id, provider_id, sent_at, delivered_at in _delivered(windows):
        names = _names(message_id.strip("<>"), provider_id)
        found[contact_id].append(Arrival(machine_made.moment(delivered_at or sent_at), names))
    return found


def _delivered(windows: Sequence[_Window]) -> Iterable[tuple[Any, ...]]:
    facts = ("contact_id", "message_id", "provider_id", "sent_at", "delivered_at")
    if connection.vendor == "postgresql":
        columns = ", ".join(f"t.{name}" for name in facts)
        statement = f"SELECT {columns} FROM {_STRETCHES} JOIN {Delivery._meta.db_table} AS t ON {_ARRIVED}"  # noqa: S608  our own words
        return _looked_up(statement, windows)
    condition = Q(pk__in=[])
    for window in windows:
        at = (Q(delivered_at=None) & Q(sent_at__range=window.around)) | Q(delivered_at__range=window.around)
        condition |= Q(contact=window.contact_id) & at
    return Delivery.objects.filter(condition).order_by().values_list(*facts)


def _names(*names: str) -> frozenset[str]:
    return frozenset(filter(None, names))


def _write(found: dict[int, str]) -> set[int]:
    """Write other reasons, and queue what counts no more or counts again; give the accounts."""
    if not found:
        return set()
    rows = [
        row
        for some in bulk.chunks(sorted(found), policy.RECORDING.rows_per_statement)
        for row in Activity.objects.select_for_update(of=("self",)).filter(pk__in=some, judged_by=JudgedBy.RULES).order_by("pk")
    ]
    ids: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        ids[found[row.pk]].append(row.pk)
    for reason in sorted(ids):
        for some in bulk.chunks(ids[reason], policy.RECORDING.rows_per_statement):
            Activity.objects.filter(pk__in=some).update(machine_reason=reason)
    return _count_otherwise(rows, found)


def _count_otherwise(rows: Iterable[Activity], reasons: Mapping[int, str]) -> set[int]:
    """Queue what counts no more, or counts again, as rows were before and are by these reasons; give their accounts."""
    flipped = [row for row in rows if bool(row.machine_reason) != bool(reasons[row.pk])]
    activity_changes.queue((row, -1) for row in flipped)
    for row in flipped:
        row.machine_reason = reasons[row.pk]
    activity_changes.queue((row, 1) for row in flipped)
    return {row.account_id for row in flipped}


def forget_agents(*, at: datetime) -> int:
    """Let go of which program made what, once nothing late can ask for it; the reasons that it gave stay."""
    old = Activity.objects.filter(recorded_at__lt=at - timedelta(days=policy.RETENTION.user_agent_days)).exclude(user_agent="")
    count = 0
    while ids := list(old.order_by("recorded_at").values_list("pk", flat=True)[: policy.RECORDING.rows_per_statement]):
        count += Activity.objects.filter(pk__in=ids).update(user_agent="")
    return count
