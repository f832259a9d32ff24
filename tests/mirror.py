"""A client that keeps a copy of a resource in step by its changes, as docs/api-sync.md tells integrators to."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

# Gives the status and the JSON of an address.
Get = Callable[[str], tuple[int, dict[str, Any]]]


class Mirror:
    """A copy of one resource: rows by id, and the token from which to go on."""

    def __init__(self, get: Get, resource: str, *, page_size: int = 1_000) -> None:
        self.get, self.resource, self.page_size = get, resource, page_size
        self.rows: dict[int, dict[str, Any]] = {}
        self.token = ""
        self.merged: dict[int, int] = {}
        # While it begins anew: what has come so far.
        self.seen: set[int] | None = set()
        self.calls = self.restarts = 0

    def follow(self) -> int:
        """Take over everything that changed since the last time; give the number of records told of.

        Whatever interrupts it, the next call goes on behind the last page that came.
        """
        told = 0
        while True:
            status, page = self.get(f"/api/v1/{self.resource}/changes?{self._query()}")
            self.calls += 1
            if status == 410:
                self.token, self.seen = "", set()
                self.restarts += 1
                continue
            if status != 200:
                raise ConnectionError(f"{status}: {page}")
            told += self._take_over(page)
            self.token = page["sync_token"]
            if page["next"] is None:
                break
        if self.seen is not None:
            # After a beginning from nothing, what did not come is not there.
            self.rows = {pk: row for pk, row in self.rows.items() if pk in self.seen}
            self.seen = None
        return told

    def _query(self) -> str:
        asked = {"page_size": self.page_size} | ({"since": self.token} if self.token else {})
        return urlencode(asked)

    def _take_over(self, page: dict[str, Any]) -> int:
        for one in page["gone"]:
            self.rows.pop(one["id"], None)
            if one["merged_into"]:
                self.merged[one["id"]] = one["merged_into"]
        self.rows |= {row["id"]: row for row in page["results"]}
        if self.seen is not None:
            self.seen -= {one["id"] for one in page["gone"]}
            self.seen |= {row["id"] for row in page["results"]}
        return len(page["gone"]) + len(page["results"])

    def follow_until(self, is_in_step: Callable[[], bool], *, seconds: float = 60) -> bool:
        """Follow until the copy is right: on a busy server others' transactions hold back what is certain."""
        end = time.monotonic() + seconds
        self.follow()
        while not (done := is_in_step()) and time.monotonic() < end:
            time.sleep(0.05)
            self.follow()
        return done
