"""Two transactions that really overlap: fixtures for the tests of races."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest
from django.db import connection, transaction

from crm import events


@pytest.fixture
def committed(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test commit without telling anybody; the tables are emptied afterwards."""
    monkeypatch.setattr(events, "tell", lambda *_event, **_ids: None)


@pytest.fixture
def two_at_once(committed: None) -> Iterator[Callable[..., list[BaseException | None]]]:
    """Give a function that does two deeds in overlapping transactions: the first commits only when the second waits for it."""
    with ThreadPoolExecutor(2) as pool:

        def both(first: Callable[[], object], second: Callable[[], object]) -> list[BaseException | None]:
            has_written = Event()
            futures = [pool.submit(in_own_transaction, first, then=lambda: has_written.set() or wait_until_waited_for())]
            assert has_written.wait(10)
            futures.append(pool.submit(in_own_transaction, second))
            return [outcome(future) for future in futures]

        yield both


def in_own_transaction(deed: Callable[[], object], then: Callable[[], object] = bool) -> None:
    """Do a deed on a connection of this thread, and something else before it is committed."""
    try:
        with transaction.atomic():
            deed()
            then()
    finally:
        connection.close()


def wait_until_waited_for() -> None:
    """Hold this transaction open until another one waits for what it wrote."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    for _try in range(200):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_sleep(0.02), pg_stat_clear_snapshot(), ({statement})")
            if cursor.fetchone()[2]:
                return
    raise AssertionError("nobody waited")


def outcome(future: Future[None]) -> BaseException | None:
    """Give what a deed raised, if anything."""
    return future.exception(timeout=20)
