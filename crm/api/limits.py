"""Calls counted per caller and minute, in a place that every web process shares: Redis where there is one, else a file."""

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
from django.conf import settings

logger = logging.getLogger(__name__)
_ROW = struct.Struct("<QQ")
_SECONDS = 60


class Spent(NamedTuple):
    """What of a minute's calls is left: below zero is one too many."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """Say it to the caller."""
        left = max(self.remaining, 0)
        return {"RateLimit-Limit": str(self.limit), "RateLimit-Remaining": str(left), "RateLimit-Reset": str(self.reset_seconds)}


def spend(caller: str, *, most: int, at: datetime) -> Spent:
    """Count one call of the minute that it is; a store that cannot be reached holds nobody up."""
    minute, second = divmod(int(at.timestamp()), _SECONDS)
    try:
        count = _in_redis(caller, minute) if settings.LIMITS_STORE.startswith("redis") else _in_file(caller, minute)
    except (OSError, redis.RedisError) as error:
        logger.warning("Calls are not counted: %s", error)
        count = 1
    return Spent(most, most - count, _SECONDS - second)


def _in_file(caller: str, minute: int) -> int:
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
        count = count + 1 if then == minute else 1
        os.pwrite(handle, _ROW.pack(minute, count), 0)
    finally:
        os.close(handle)
    return count


def _in_redis(caller: str, minute: int) -> int:
    name = f"quorum:calls:{caller}:{minute}"
    with _redis().pipeline() as pipe:
        pipe.incr(name)
        pipe.expire(name, 2 * _SECONDS)
        count, _expires = pipe.execute()
    return int(count)


@cache
def _redis() -> redis.Redis:
    # Half a second: a call that would wait longer for its count goes uncounted.
    return redis.Redis.from_url(settings.LIMITS_STORE, socket_timeout=0.5, socket_connect_timeout=0.5)
