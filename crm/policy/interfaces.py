"""The numbers of what other systems do with us, and we with them: the API, copies kept in step, webhooks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sync:
    """Bounds for those who keep a copy in step. Source: judgement on the days; measured, 1,000 records are an answer of about half a MB."""

    # How long it is kept who saw what is gone, so how old a token may be.
    kept_days: int = 30
    records_per_page: int = 1_000


@dataclass(frozen=True)
class Webhooks:
    """How other systems are told of events, and how patiently.

    Source: the Standard Webhooks specification (signatures, two secrets while one is replaced, retries that back off over days);
    judgement for the bounds.
    """

    # Seconds from one attempt to the next: 5 s, 5 min, 30 min, 2, 5, 10, 14, 18 and 22 hours; after the tenth it is given up.
    pauses: tuple[int, ...] = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 64_800, 79_200)
    # Each pause is shortened by chance by up to this part, so that what failed together is not tried again together.
    jitter_share: float = 0.2
    # The longest that a receiver may ask us to wait (Retry-After).
    longest_wait_seconds: int = 86_400
    connect_seconds: int = 5
    whole_seconds: int = 15
    # Of an answer, what is read, and what is kept of it.
    answer_bytes: int = 4_096
    error_characters: int = 300
    # After this long a worker that had claimed a delivery is taken for dead.
    stalled_seconds: int = 60
    # Under way at once: in all, to one receiver, and to one that fails.
    at_once: int = 32
    at_once_per_webhook: int = 16
    at_once_failing: int = 2
    shared_at_once: int = 500
    # Of a backlog, how many of the oldest are looked at for what can go: measured, 2,000 take some 10 ms.
    looked_at_once: int = 1_000
    # A receiver to which nothing arrived for so long is told no more, until somebody switches it on again.
    failing_days: int = 5
    old_secret_hours: int = 24
    # How long an event can be told again.
    event_days: int = 30
    most_webhooks: int = 100

    def __post_init__(self) -> None:
        """Accept the pauses as an organisation writes them in JSON."""
        right = isinstance(self.pauses, list | tuple) and all(isinstance(one, int) and 1 <= one <= 604_800 for one in self.pauses)
        if not right or not self.pauses:
            raise ValueError(f"WEBHOOKS.pauses must be whole seconds, each from 1 to 604,800, not {self.pauses!r}.")
        object.__setattr__(self, "pauses", tuple(self.pauses))


@dataclass(frozen=True)
class Api:
    """What integrations may do. Source: our own; measured, one process answers some 100 calls a second."""

    # Calls of one key in one minute; further ones are refused until the next minute begins.
    calls_per_minute: int = 3_000
    # How long the same Idempotency-Key gets the same answer.
    answers_kept_hours: int = 24
    # How long a second call with the same Idempotency-Key waits for the first one to end.
    wait_for_twin_seconds: int = 10
    # How long the old secret of a key goes on working after it was renewed, unless somebody chooses.
    old_secret_hours: int = 24
    # How often, at most, a key's last use is written down.
    used_every_seconds: int = 60
