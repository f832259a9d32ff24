"""The files of a lead funnel between its trial and its import: one pair of each person, for a day at most."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from django.core.files import File
from django.core.files.storage import default_storage as storage
from django.utils.translation import gettext as _

from crm import policy
from crm.errors import Conflict
from crm.models import User

FOLDER = "lead-funnels"
LEADS, DEALS = "leads.csv", "deals.csv"


def keep(by: User, *, leads: IO[bytes], deals: IO[bytes] | None) -> None:
    """Keep a person's files, in place of those kept before."""
    drop(by)
    storage.save(_place(by, LEADS), File(leads))
    if deals:
        storage.save(_place(by, DEALS), File(deals))


@contextmanager
def opened(by: User) -> Iterator[tuple[Path, Path | None]]:
    """Give the files that a person tried; raises Conflict when they are no longer there."""
    if not storage.exists(_place(by, LEADS)):
        raise Conflict(_("The files are no longer there: choose them again."))
    with tempfile.TemporaryDirectory() as folder:
        found = [_fetch(by, name, Path(folder)) for name in (LEADS, DEALS) if storage.exists(_place(by, name))]
        yield found[0], found[1] if len(found) > 1 else None


def drop(by: User) -> None:
    """Delete what is kept of a person's."""
    for name in (LEADS, DEALS):
        storage.delete(_place(by, name))


def let_go(*, at: datetime) -> int:
    """Delete files that were tried so long ago, and never imported."""
    before = at - timedelta(days=policy.UPLOADS.tried_days)
    old = [name for name in _kept() if storage.get_modified_time(name) < before]
    for name in old:
        storage.delete(name)
    return len(old)


def _kept() -> list[str]:
    return [f"{FOLDER}/{name}" for name in storage.listdir(FOLDER)[1]] if storage.exists(FOLDER) else []


def _fetch(by: User, name: str, folder: Path) -> Path:
    with storage.open(_place(by, name), "rb") as kept, (folder / name).open("wb") as copy:
        shutil.copyfileobj(kept, copy)
    return folder / name


def _place(by: User, name: str) -> str:
    return f"{FOLDER}/{by.pk}-{name}"
