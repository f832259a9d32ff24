"""The nightly run: its steps in chunks, each one transaction, so that a kill, a restart or a second run costs nothing."""

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils.translation import gettext_lazy as _

from abm import engagement, experiments, job_changes, kept_reports, leavings, policy, refresh, score_numbers, states
from abm.models import NightlyChunk, NightlyRun, ScoreChange
from crm import pilots, privacy
from crm import policy as crm_policy
from crm.errors import Invalid
from crm.models import Account

ERROR_CHARACTERS = 500

logger = logging.getLogger(__name__)
Clock = Callable[[], datetime]


def run(day: date, *, clock: Clock, told: Callable[[NightlyChunk], None] | None = None) -> NightlyRun:
    """Do what is left of a day's run; `told` hears of each chunk that was tried. Refuse a day that has not come.

    Start it again after a crash, or twice at once: each chunk is done once. A chunk that fails is recorded, the
    others go on, and the next start tries it again. `clock` gives the time of each chunk.
    """
    if day > crm_policy.day_of(clock()):
        raise Invalid(_("A day that has not come cannot be scored."))
    return _work_off(_plan(day, at=clock()), clock=clock, told=told)


def rebuild(*, clock: Clock, told: Callable[[NightlyChunk], None] | None = None) -> NightlyRun | None:
    """Do what is left of scoring every account with the numbers in force; None while the settings' numbers hold.

    Chunks are done as those of a night are; each takes the numbers that hold when it begins.
    """
    change = score_numbers.current()
    if change is None:
        return None
    planned = NightlyRun.objects.filter(score_change=change).first() or _plan_rebuild(change, at=clock())
    return planned if planned.finished_at else _work_off(planned, clock=clock, told=told)


@transaction.atomic
def _plan_rebuild(change: ScoreChange, *, at: datetime) -> NightlyRun:
    """Make the run of a change, and end those of the changes before: one scoring of all accounts is enough."""
    planned, is_new = NightlyRun.objects.get_or_create(score_change=change, defaults={"day": crm_policy.day_of(at), "started_at": at})
    if is_new:
        overtaken = NightlyRun.objects.rebuilds().filter(finished_at=None).exclude(pk=planned.pk)
        NightlyChunk.objects.left().filter(run__in=overtaken).delete()
        overtaken.update(finished_at=at)
        chunks = (NightlyChunk(step="rebuild", first_account=first, last_account=last) for first, last in _ranges())
        _add_chunks(planned, chunks)
    return planned


def _work_off(planned: NightlyRun, *, clock: Clock, told: Callable[[NightlyChunk], None] | None) -> NightlyRun:
    """Do the chunks of a run that nobody has done."""
    number = -1
    while chunk := _work_on_next(planned, after=number, clock=clock):
        number = chunk.number
        if told:
            told(chunk)
    unfinished = NightlyRun.objects.filter(pk=planned.pk, finished_at=None)
    left = NightlyChunk.objects.left().filter(run=OuterRef("pk"))
    unfinished.exclude(Exists(left)).update(finished_at=clock())
    planned.refresh_from_db()
    return planned


def helpers_wanted(day: date, *, at: datetime) -> int:
    """Plan a day's run if it is not; give how many workers besides one could do a chunk of it now."""
    left = NightlyChunk.objects.left().filter(run=_plan(day, at=at)).count()
    return max(0, min(left, policy.NIGHTLY.most_workers) - 1)


def is_due(*, at: datetime) -> bool:
    """Say whether today's run should have finished: its hour has come, and it has not."""
    local = at.astimezone(crm_policy.ZONE)
    if local.hour * 60 + local.minute < policy.NIGHTLY.due_from_minutes:
        return False
    return not NightlyRun.objects.nights().filter(day=crm_policy.day_of(at), finished_at__isnull=False).exists()


@transaction.atomic
def _plan(day: date, *, at: datetime) -> NightlyRun:
    """Make the day's run with its chunks; who comes second gets the first one's."""
    planned, is_new = NightlyRun.objects.get_or_create(day=day, score_change=None, defaults={"started_at": at})
    if is_new:
        chunks = [NightlyChunk(step="accounts", first_account=first, last_account=last) for first, last in _ranges()]
        chunks += [NightlyChunk(step=step) for step in STEPS if step not in ("accounts", "verify", "rebuild")]
        if day.isoweekday() == policy.NIGHTLY.verify_on_weekday:
            chunks += [NightlyChunk(step="verify", first_account=first, last_account=last) for first, last in _ranges()]
        _add_chunks(planned, chunks)
    return planned


def _add_chunks(planned: NightlyRun, chunks: Iterable[NightlyChunk]) -> None:
    rows = list(chunks)
    for number, chunk in enumerate(rows):
        chunk.run, chunk.number = planned, number
    NightlyChunk.objects.bulk_create(rows)


def _ranges() -> Iterator[tuple[int, int | None]]:
    """Cut the accounts into ranges of ids, both ends included; the last one is open, for accounts made meanwhile."""
    first, size = 1, policy.NIGHTLY.accounts_per_chunk
    ids = Account.objects.order_by("pk").values_list("pk", flat=True)
    for position, pk in enumerate(ids.iterator(chunk_size=10_000)):
        if position and position % size == 0:
            yield first, pk - 1
            first = pk
    yield first, None


def _work_on_next(planned: NightlyRun, *, after: int, clock: Clock) -> NightlyChunk | None:
    """Do the next chunk that nobody works on, and mark it done, in one transaction; None when there is none."""
    begun_at = clock()
    with transaction.atomic():
        free = NightlyChunk.objects.left().select_for_update(skip_locked=True)
        chunk = free.filter(run=planned, number__gt=after).order_by("number").first()
        if chunk is None:
            return None
        try:
            with transaction.atomic():
                items = STEPS[chunk.step](chunk, planned.day, begun_at)
        # Whatever one chunk runs into, the others go on.
        except Exception as error:
            logger.exception("Chunk %s of the nightly run failed", chunk)
            _record_failure(chunk, error)
        else:
            ended_at = clock()
            outcome = {"items": items, "done_at": ended_at, "seconds": (ended_at - begun_at).total_seconds(), "error": ""}
            NightlyChunk.objects.left().filter(pk=chunk.pk).update(times_done=F("times_done") + 1, **outcome)
    chunk.refresh_from_db()
    return chunk


def _record_failure(chunk: NightlyChunk, error: Exception) -> None:
    sentence = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
    NightlyChunk.objects.filter(pk=chunk.pk).update(failures=F("failures") + 1, error=sentence)


# The steps in their order, the last but one on one night of the week, the last after a change of the numbers: each gets its chunk, the day, and the time, and returns the number of items.


def _refresh_accounts(chunk: NightlyChunk, day: date, at: datetime) -> int:
    first = chunk.first_account or 1
    if day >= crm_policy.day_of(at):
        return refresh.night(first, chunk.last_account, day=day, at=at)
    accounts = Account.objects.filter(pk__gte=first, pk__lte=chunk.last_account or states.ENDLESS).order_by("pk")
    return refresh.accounts(list(accounts.values_list("pk", flat=True)), at=at, day=day)


def _rebuild(chunk: NightlyChunk, _day: date, at: datetime) -> int:
    """Bring accounts to the numbers in force as of now, also when midnight has passed since the run began."""
    return _refresh_accounts(chunk, crm_policy.day_of(at), at)


def _judge_who_left(_chunk: NightlyChunk, _day: date, at: datetime) -> int:
    """Judge bounces whose event was lost, and act on leavings that people announced for a day that has come."""
    since, most = at - timedelta(days=policy.NIGHTLY.look_back_for_bounces_days), policy.NIGHTLY.bounces_per_night
    return job_changes.assess_missed(since=since, at=at, limit=most) + leavings.act(at=at, limit=most)


def _chase_pilots(_chunk: NightlyChunk, _day: date, at: datetime) -> int:
    return pilots.chase_overdue(at=at)


def _close_experiments(_chunk: NightlyChunk, _day: date, at: datetime) -> int:
    """Close the experiments whose period is over, before the reports tell of them."""
    return experiments.close_due(at=at, limit=policy.NIGHTLY.experiments_per_night)


def _retain(_chunk: NightlyChunk, _day: date, at: datetime) -> int:
    return privacy.retain(at=at)


def _thin_history(_chunk: NightlyChunk, _day: date, at: datetime) -> int:
    return engagement.thin(before=crm_policy.day_of(at) - timedelta(days=policy.NIGHTLY.daily_history_days))


def _keep_reports(_chunk: NightlyChunk, _day: date, at: datetime) -> int:
    """Make the reports of the last week and month, as far as they are lacking."""
    return kept_reports.make_due(at=at)


def _verify(chunk: NightlyChunk, _day: date, at: datetime) -> int:
    """Compare the kept sums with a count anew; a difference is an error of ours, and is shown as one."""
    if found := states.differing(chunk.first_account or 1, chunk.last_account, day=crm_policy.day_of(at), at=at):
        raise RuntimeError(f"{found} rows of the score's sums differ from a count anew; manage.py score_accounts --full makes them anew.")
    return 0


STEPS: dict[str, Callable[[NightlyChunk, date, datetime], int]] = {
    "accounts": _refresh_accounts,
    "bounces": _judge_who_left,
    "pilots": _chase_pilots,
    "experiments": _close_experiments,
    "retention": _retain,
    "history": _thin_history,
    "reports": _keep_reports,
    "verify": _verify,
    "rebuild": _rebuild,
}
