"""What a worker does with an import: chunk after chunk, each with its position in one transaction."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import IntegrityError, OperationalError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from crm import bulk, policy
from crm.models import Account, Activity, Contact, DmuMembership, Person, Upload, UploadProblem
from crm.uploads import spool, writers
from crm.uploads.outcomes import Outcome
from crm.uploads.undoing import undo_chunk

# Somebody else wrote the same record in the same moment: with that record known, the chunk is tried again.
_ATTEMPTS = 3
# What an import fills, and what pages ask for right afterwards.
WRITTEN = (Account, Person, Contact, DmuMembership, Activity)


def work(upload_id: int, *, clock: Callable[[], datetime], seconds: float = 20) -> bool:
    """Go on with an import or its undo for so many seconds; say whether there is more to do.

    Each chunk commits with the position after it. A worker that is killed loses its chunk and nothing else; of two
    at once one does a chunk, the other finds it done.
    """
    until = clock() + timedelta(seconds=seconds)
    while (upload := Upload.objects.at_work().filter(pk=upload_id).first()) and clock() < until:
        if not _try(upload, at=clock()):
            break
        step = undo_chunk if upload.state == Upload.State.UNDOING else import_chunk
        step(upload, at=clock())
    return Upload.objects.at_work().filter(pk=upload_id).exists()


def _try(upload: Upload, *, at: datetime) -> bool:
    """Count an attempt at a chunk before it is made; give up on an import that no worker survives."""
    same = Upload.objects.filter(pk=upload.pk, state=upload.state, position=upload.position)
    if same.filter(tries__lt=policy.UPLOADS.tries_per_chunk).update(tries=F("tries") + 1, heartbeat_at=at):
        return True
    sentence = _("The work was broken off %(times)d times after row %(row)d.")
    error = sentence % {"times": upload.tries, "row": upload.rows_done}
    same.filter(tries__gte=policy.UPLOADS.tries_per_chunk).update(state=Upload.State.FAILED, error=error, finished_at=at)
    return Upload.objects.at_work().filter(pk=upload.pk).exists()


def import_chunk(upload: Upload, *, at: datetime) -> None:
    """Import the rows after an upload's position; nothing happens when somebody else did so meanwhile."""
    chunk = next(spool.chunks(upload, begin=upload.position), None)
    if chunk is None:
        running = Upload.objects.filter(pk=upload.pk, state=Upload.State.RUNNING, position=upload.position)
        if running.update(state=Upload.State.FINISHED, finished_at=at, tries=0):
            bulk.look_at(*(model._meta.db_table for model in WRITTEN))
        return
    for attempt in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                if _claimed(upload, chunk):
                    _count(upload, chunk, writers.write(upload, chunk.rows, at=at), at=at)
        except (IntegrityError, OperationalError):
            if attempt + 1 == _ATTEMPTS:
                raise
        else:
            return


def _claimed(upload: Upload, chunk: spool.Chunk) -> bool:
    """Take a chunk: until our transaction ends nobody else gets past this, and after it nobody finds it undone."""
    running = Upload.objects.filter(pk=upload.pk, state=Upload.State.RUNNING, position=upload.position)
    return bool(running.update(position=chunk.end))


def _count(upload: Upload, chunk: spool.Chunk, outcome: Outcome, *, at: datetime) -> None:
    UploadProblem.objects.bulk_create(
        UploadProblem(upload=upload, line=wrong.row.line, column=wrong.column[:200], reason=wrong.reason, values=wrong.row.cells)
        for wrong in outcome.failed
    )
    counts = {
        "created_count": outcome.created,
        "changed_count": outcome.changed,
        "unchanged_count": outcome.unchanged,
        "failed_count": len(outcome.failed),
        "rows_done": chunk.lines,
    }
    Upload.objects.filter(pk=upload.pk).update(tries=0, heartbeat_at=at, **{name: F(name) + count for name, count in counts.items()})


def stalled(*, at: datetime) -> list[int]:
    """List the imports at work of which nobody has heard for a while: their worker is gone."""
    silent = at - timedelta(seconds=policy.UPLOADS.stalled_seconds)
    return list(Upload.objects.at_work().filter(heartbeat_at__lt=silent).order_by("pk").values_list("pk", flat=True))
