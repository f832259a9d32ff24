"""Keeping a copy in step: every change and every disappearance since a place in the order of commits, nothing lost, whoever writes.

A row carries the number of the transaction that wrote it last. A page gives only what lies below the horizon: the oldest
transaction that is still at work. Whatever commits later has a number at or above it, so that nobody who goes on from the
horizon misses it; a moment, taken when a transaction begins, would be passed by before that transaction commits.
"""

import hashlib
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any, Self
from uuid import uuid4

import orjson
from django.db import connection, transaction
from django.db.models import F, Max, Q
from django.utils.translation import gettext_lazy as _

from crm import policy
from crm.errors import CrmError
from crm.models import Account, MergedRecord, SerialEra, SightChange, User
from crm.models.users import Sight, sight
from crm.sync import followed, triggers
from crm.sync.followed import Followed

# Serial, which of the streams, id: an order in which everything that can be told has one place.
Place = tuple[int, int, int]


class SyncExpired(CrmError):
    """A token from which no complete answer is possible any more: begin anew, with an empty one."""

    code = "sync_expired"


class NoToken(CrmError):
    """A text that is no token of ours."""

    code = "invalid"


@dataclass(frozen=True)
class Token:
    """Where somebody is: in which era, with which sight, at which place, and since when on the way there."""

    era: str
    sight: str
    place: Place
    begun: int

    def __str__(self) -> str:
        return urlsafe_b64encode(orjson.dumps([self.era, self.sight, *self.place, self.begun])).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a token as it was given out; raise NoToken for anything else."""
        try:
            era, seen, serial, stream, pk, begun = orjson.loads(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
            numbers = [int(number) for number in (serial, stream, pk, begun) if 0 <= number < 2**63]
            return cls(str(era), str(seen), (numbers[0], numbers[1], numbers[2]), numbers[3])
        except (ValueError, TypeError, IndexError) as error:
            raise NoToken(_("This is no token of this list.")) from error


@dataclass(frozen=True)
class Gone:
    """A record that is deleted, merged into another, or out of the caller's sight."""

    id: int
    merged_into: int | None


@dataclass(frozen=True)
class Page:
    """What changed, in order: ids of records to be written again, and what is gone; `is_last`: nothing is left for now."""

    ids: list[int]
    gone: list[Gone]
    token: Token
    is_last: bool


@dataclass(frozen=True)
class _Question:
    """What is asked for: up to `size` places after one and below the horizon, of what a user may be told."""

    one: Followed
    user: User
    after: Place
    horizon: int
    size: int

    def beyond(self, rank: int, serial: str, pk: str) -> Q:
        """Select what comes after the place, in the stream of a rank, and below the horizon."""
        number, stream, last = self.after
        below = Q(**{f"{serial}__lt": self.horizon})
        if rank < stream:
            return below & Q(**{f"{serial}__gt": number})
        # This bound alone lets the database enter its index there.
        below &= Q(**{f"{serial}__gte": number})
        return below & (Q(**{f"{serial}__gt": number}) | Q(**{f"{pk}__gt": last})) if rank == stream else below


def page(one: Followed, *, user: User, since: str, size: int, at: datetime) -> Page:
    """Give up to `size` records that changed, or went, after a token; from the very beginning with an empty one.

    In about eight statements, whatever the place. Raise SyncExpired for a token of another era or of another sight, or too old.
    """
    era, horizon = _now()
    token = Token.read(since) if since else Token(era, _sight_of(user), (0, 0, 0), int(at.timestamp()))
    _refuse_expired(token, era, user, at)
    asked = _Question(one, user, token.place, horizon, size + 1)
    places = list(islice(_one_place_each(merge(*_streams(asked))), size + 1))
    told, is_last = places[:size], len(places) <= size
    ids = list(dict.fromkeys(pk for _serial, _stream, pk in told))
    seen = _seen(one, user, ids)
    gone = list(_gone(one, user, [pk for pk in ids if pk not in seen]))
    there = replace(token, place=(horizon, 0, 0), begun=int(at.timestamp())) if is_last else replace(token, place=told[-1])
    return Page([pk for pk in ids if pk in seen], gone, there, is_last)


def _refuse_expired(token: Token, era: str, user: User, at: datetime) -> None:
    if token.era != era:
        raise SyncExpired(_("The database was restored since; begin anew, without a token."))
    if token.sight != _sight_of(user):
        raise SyncExpired(_("What this key may see has changed; begin anew, without a token."))
    if token.begun < (at - timedelta(days=policy.SYNC.kept_days)).timestamp():
        raise SyncExpired(_("This token is older than %(days)d days; begin anew, without a token.") % {"days": policy.SYNC.kept_days})


def _sight_of(user: User) -> str:
    """Digest how far somebody sees; who is moved to another team begins anew."""
    return hashlib.sha256(f"{user.pk}:{sight(user).name}:{user.team_id}".encode()).hexdigest()[:12]


def forget(*, at: datetime) -> int:
    """Let go of what nobody can ask for: a token as old is refused. A day more than that, for transactions that took long."""
    count, _models = SightChange.objects.filter(changed_at__lt=at - timedelta(days=policy.SYNC.kept_days + 1)).delete()
    return count


# --- what there is to tell -------------------------------------------------------------------------
def _streams(asked: _Question) -> Iterator[list[Place]]:
    """Give the streams of places, each in order; a place names its stream by its number here."""
    yield _records_gone(asked, 0)
    yield _handed_over(asked, 1)
    for rank, path in enumerate(("", *asked.one.shows), start=2):
        yield _changed(asked, rank, path)


def _one_place_each(places: Iterable[Place]) -> Iterator[Place]:
    """Leave out a place that is there twice: a record may have been seen by an owner and by a team."""
    last = None
    for place in places:
        if place != last:
            yield place
        last = place


def _records_gone(asked: _Question, rank: int) -> list[Place]:
    """Find what was deleted or lies elsewhere, of what the caller saw."""
    is_person = not asked.one.seen_by
    pk, kind = ("person_id", followed.of_person().kind) if is_person else ("record_id", asked.one.kind)
    rows = SightChange.objects.filter(asked.beyond(rank, "change_serial", pk), kind=kind)
    if sight(asked.user) is not Sight.ALL:
        told = SightChange.objects.told_to(asked.user)
        here = Account.objects.visible_to(asked.user).values("pk")
        accounts = Q(account_id__in=told.of_accounts().values("account_id")) | Q(account_id__in=here)
        rows = rows.filter(Q(pk__in=told.values("pk")) | accounts)
    return [(serial, rank, record) for serial, record in rows.order_by("change_serial", pk).values_list("change_serial", pk)[: asked.size]]


def _handed_over(asked: _Question, rank: int) -> list[Place]:
    """Find what lies at accounts that came into the caller's sight, or went out of it."""
    if not asked.one.lies_at or sight(asked.user) is Sight.ALL:
        return []
    number, stream, last = asked.after
    handed = SightChange.objects.told_to(asked.user).of_accounts().filter(change_serial__gte=number, change_serial__lt=asked.horizon)
    chosen, values = handed.order_by().values("account_id", "change_serial").query.sql_with_params()
    beyond = "s.change_serial >= %s AND (s.change_serial > %s OR k.id > %s)"
    # Of an earlier stream all of this serial was told, of a later one nothing.
    from_here = [number, number, last if rank == stream else 0 if rank > stream else sys.maxsize]
    statement = (
        f"SELECT DISTINCT s.change_serial, k.id FROM ({chosen}) AS s JOIN {asked.one.table} AS k ON {asked.one.lies_at}"  # noqa: S608
        f" WHERE {beyond} ORDER BY 1, 2 LIMIT %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, *from_here, asked.size])
        return [(serial, rank, pk) for serial, pk in cursor.fetchall()]


def _changed(asked: _Question, rank: int, by: str) -> list[Place]:
    """Find records in sight that were written, or (`by`) from whose relative they show a field that was."""
    serial = f"{by}__change_serial" if by else "change_serial"
    rows: Any = asked.one.model._default_manager.all()
    # One that was itself written later is told of there. One filter: it speaks of one relative, where there are several.
    later = {f"{serial}__gt": F("change_serial")} if by else {}
    rows = rows.visible_to(asked.user).filter(asked.beyond(rank, serial, "pk"), **later)
    return [(number, rank, pk) for number, pk in rows.order_by(serial, "pk").values_list(serial, "pk")[: asked.size]]


def _seen(one: Followed, user: User, ids: Sequence[int]) -> set[int]:
    records: Any = one.model._default_manager.all()
    return set(records.visible_to(user).filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()


def _gone(one: Followed, user: User, ids: Sequence[int]) -> Iterator[Gone]:
    """Say of each into which other it was merged, if the caller may see that one."""
    merged = MergedRecord.objects.filter(model=one.kind, folded_id__in=ids, merge__undone_at=None)
    into = dict(merged.order_by("pk").values_list("folded_id", "kept_id")) if ids else {}
    seen = _seen(one, user, list(into.values()))
    yield from (Gone(pk, kept if (kept := into.get(pk)) in seen else None) for pk in ids)


# --- where serials stand ---------------------------------------------------------------------------
_PLACE = (
    "(SELECT system_identifier FROM pg_control_system()) || ':' || (SELECT timeline_id FROM pg_control_checkpoint())"
    " || ':' || (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def _now() -> tuple[str, int]:
    """Give the era, and the serial below which every change is committed and in sight of the next statement."""
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.execute("SELECT name, counter + 1 FROM crm_serialera")
        else:
            horizon = "base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
            cursor.execute(f"SELECT name, {horizon} FROM crm_serialera WHERE place = {_PLACE}")  # noqa: S608  our own words
        row = cursor.fetchone()
    return row or begin_era()


def begin_era() -> tuple[str, int]:
    """Number on from the highest serial, and refuse all tokens of before: this database is a copy, or was set back.

    On PostgreSQL this happens by itself, as the server is another one; SQLite cannot know.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        tables = [*(one.table for one in followed.every()), SightChange._meta.db_table]
        if connection.vendor == "postgresql":
            # Who writes now still numbers as before, and must be done.
            cursor.execute(f"LOCK TABLE {', '.join(tables)}, crm_serialera IN SHARE ROW EXCLUSIVE MODE")
        highest = [one.model._default_manager.aggregate(last=Max("change_serial"))["last"] for one in followed.every()]
        highest.append(SightChange.objects.aggregate(last=Max("change_serial"))["last"])
        base = max(number or 0 for number in highest)
        if connection.vendor == "postgresql":
            cursor.execute(f"SELECT {_PLACE}")
            place = cursor.fetchone()[0]
            cursor.execute(triggers.number_from(base))
        else:
            place = ""
        facts = {"name": uuid4().hex, "place": place, "base": base, "counter": base}
        SerialEra.objects.update_or_create(pk=1, defaults=facts)
    return _now()


def after_migrations(*, plan: object = None, **_signal: object) -> None:
    """Put the triggers in place when migrations changed something; a flush, which has no plan, leaves them alone."""
    if plan and triggers.are_due():
        triggers.install()
        _now()
