"""The mailbox that returned mail comes to: collected from where we stopped, stored as it came, never deleted."""

import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from crm import incoming_reports, policy
from crm.models import Mailbox

Clock = Callable[[], datetime]
# How long a server may be silent, how long one collection goes on, and when a worker that collects is taken for dead.
SECONDS, AT_MOST, SILENCE = 30, timedelta(seconds=60), timedelta(minutes=10)
_UNREACHABLE = (IMAPClientError, OSError, ValueError, LookupError)
logger = logging.getLogger(__name__)


def name_of(place: Mapping[str, Any]) -> str:
    """Name a mailbox without its password: user@host/folder."""
    return f"{place['user']}@{place['host']}/{place['folder']}"[:250]


def connect(place: Mapping[str, Any]) -> IMAPClient:
    """Open a mailbox, always behind TLS; raise OSError or IMAPClientError when that cannot be."""
    trusted = ssl.create_default_context()
    client = IMAPClient(place["host"], place["port"], ssl=place["is_tls"], ssl_context=trusted, timeout=SECONDS)
    if not place["is_tls"]:
        client.starttls(trusted)
    client.login(place["user"], place["password"])
    return client


def collect(place: Mapping[str, Any], *, done_folder: str, clock: Clock, connect: Callable[[Mapping[str, Any]], Any] = connect) -> int:
    """Store the mails that came since the last time, and give how many were new; one that was stored before counts once.

    Once stored, a mail is moved to `done_folder`, or without one marked as read. A mailbox that cannot be reached gives 0,
    and its record says why. Of two at once one does it.
    """
    box = _claim(name_of(place), at=clock())
    if box is None:
        return 0
    try:
        with connect(place) as client:
            count = _read(client, box, place["folder"], done_folder, clock=clock)
    except _UNREACHABLE as error:
        said = str(error).replace(place["password"], "***").replace("\x00", "")
        logger.warning("The mailbox %s cannot be read: %s", box, said)
        _note(box, error=f"{type(error).__name__}: {said}"[:300], claimed_at=None)
        return 0
    _note(box, error="", reached_at=clock(), claimed_at=None)
    return count


def _claim(name: str, *, at: datetime) -> Mailbox | None:
    box, _is_new = Mailbox.objects.get_or_create(name=name)
    free = Mailbox.objects.filter(Q(claimed_at=None) | Q(claimed_at__lt=at - SILENCE), pk=box.pk)
    return box if free.update(claimed_at=at, tried_at=at) else None


def _note(box: Mailbox, **values: object) -> None:
    Mailbox.objects.filter(pk=box.pk).update(**values)


def _read(client: Any, box: Mailbox, folder: str, done_folder: str, *, clock: Clock) -> int:
    """Read on from the last message, a few at a time; where a worker was killed, the next one stores nothing twice."""
    validity = int(client.select_folder(folder)[b"UIDVALIDITY"])
    last = box.last_uid if box.uid_validity == validity else 0
    # 'n:*' always names the newest message, also when its number is smaller.
    uids = sorted(uid for uid in client.search(["UID", f"{last + 1}:*"]) if uid > last)
    if done_folder and uids and not client.folder_exists(done_folder):
        client.create_folder(done_folder)
    count, until, size = 0, clock() + AT_MOST, policy.MAIL.reports_per_chunk
    for start in range(0, len(uids), size):
        chunk = uids[start : start + size]
        count += _store(client, chunk, at=clock())
        _put_away(client, chunk, done_folder)
        _note(box, uid_validity=validity, last_uid=chunk[-1])
        if clock() >= until:
            break
    return count


def _store(client: Any, uids: Sequence[int], *, at: datetime) -> int:
    """Store of each mail as much as is read: what a report says stands at its beginning, what follows is our own mail."""
    size = min(policy.MAIL.read_bytes, incoming_reports.most_bytes())
    fetched = client.fetch(uids, [f"BODY.PEEK[]<0.{size}>"])
    bodies = [bytes(fetched[uid].get(b"BODY[]<0>") or b"") for uid in uids if uid in fetched]
    with transaction.atomic():
        return sum(incoming_reports.store(source=incoming_reports.MAIL, body=body, at=at) for body in bodies if body)


def _put_away(client: Any, uids: Sequence[int], done_folder: str) -> None:
    """Move what is stored, where the server can do so in one step; never by copying and deleting."""
    if done_folder and client.has_capability("MOVE"):
        client.move(uids, done_folder)
    else:
        client.add_flags(uids, [b"\\Seen"], silent=True)
