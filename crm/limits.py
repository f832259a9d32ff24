"""Calls counted per caller and minute, or hour, in a place that every web process shares: Redis where there is one, else files."""

import fcntl
import logging
import os
import struct
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import redis
from django.conf import settings  # noqa: TID251  where it is counted is a place, no number of a rule

logger = logging.getLogger(__name__)
_ROW = struct.Struct("<QQ")
MINUTE, HOUR = 60, 60 * 60


class Spent(NamedTuple):
    """What of the calls of a minute, or of an hour, is left: below zero is one too many."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """Say it to the caller."""
        left = max(self.remaining, 0)
        return {"RateLimit-Limit": str(self.limit), "RateLimit-Remaining": str(left), "RateLimit-Reset": str(self.reset_seconds)}


def spend(caller: str, *, most: int, at: datetime, every: int = MINUTE) -> Spent:
    """Count one call of the stretch of `every` seconds that it is; a store that cannot be reached holds nobody up."""
    stretch, second = divmod(int(at.timestamp()), every)
    try:
        is_redis = settings.LIMITS_STORE.startswith("redis")
        count = _in_redis(f"{caller}:{stretch}", every) if is_redis else _in_file(caller, stretch)
    except (OSError, redis.RedisError) as error:
        logger.warning("Calls are not counted: %s", error)
        count = 1
    return Spent(most, most - count, every - second)


def forget_old(*, at: datetime) -> int:
    """Delete the files of callers who have not called for two hours, give their number; Redis forgets by itself."""
    if settings.LIMITS_STORE.startswith("redis"):
        return 0
    count = 0
    for path in Path(settings.LIMITS_STORE).glob("*"):
        try:
            if path.stat().st_mtime < at.timestamp() - 2 * HOUR:
                path.unlink()
                count += 1
        except FileNotFoundError:
            continue  # another worker was first
    return count


def _in_file(caller: str, stretch: int) -> int:
    """Count in a file of sixteen bytes; the lock is the system's, and goes with the process that holds it."""
    path = Path(settings.LIMITS_STORE) / sha256(caller.encode()).hexdigest()[:32]
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        row = os.pread(handle, _ROW.size, 0)
        then, count = _ROW.unpack(row) if len(row) == _ROW.size else (0, 0)
        count = count + 1 if then == stretch else 1
        os.pwrite(handle, _ROW.pack(stretch, count), 0)
    finally:
        os.close(handle)
    return count


def _in_redis(name: str, every: int) -> int:
    with _redis().pipeline() as pipe:
        pipe.incr(f"quorum:calls:{name}")
        pipe.expire(f"quorum:calls:{name}", 2 * every)
        count, _expires = pipe.execute()
    return int(count)


@cache
def _redis() -> redis.Redis:
    # Half a second: a call that would wait longer for its count goes uncounted.
    return redis.Redis.from_url(settings.LIMITS_STORE, socket_timeout=0.5, socket_connect_timeout=0.5)
