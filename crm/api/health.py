"""Health over HTTP: /healthz says that the process answers, /readyz that it can do its work."""

from collections.abc import Callable, Iterable
from functools import cache

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from crm import mailboxes
from crm.models import Heartbeat, Mailbox

Sign = Callable[[], dict[str, object]]


@never_cache
@require_safe
def alive(_request: HttpRequest) -> HttpResponse:
    """Answer; whoever gets this knows that the process does."""
    return HttpResponse("ok", content_type="text/plain")


@never_cache
@require_safe
def ready(_request: HttpRequest, *, more: Iterable[Sign] = ()) -> JsonResponse:
    """Tell how the installation is; 503 without a database, or with one that lacks migrations of this version."""
    try:
        lacking = sorted(_migrations_of_this_version() - _migrations_done())
        signs = {name: value for sign in [_beat, *more] for name, value in sign().items()} if not lacking else {}
    except DatabaseTrouble:
        return JsonResponse({"ready": False, "database": False}, status=503)
    body = {"ready": not lacking, "database": True, "migrations_missing": lacking, **signs}
    return JsonResponse(body, status=503 if lacking else 200)


@cache
def _migrations_of_this_version() -> frozenset[str]:
    """Read the files once in a process's life: they do not change under it."""
    return frozenset(f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations)


def _migrations_done() -> set[str]:
    return {f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations()}


def _beat() -> dict[str, object]:
    """Tell how many seconds ago the clock process showed that it is alive; null when it never did."""
    last = Heartbeat.objects.filter(pk="beat").values_list("beat_at", flat=True).first()
    return {"beat_seconds_ago": None if last is None else round((timezone.now() - last).total_seconds())}


def mailbox() -> dict[str, object]:
    """Tell how many seconds ago the mailbox of returned mail was reached, and whether the last try failed; nothing without one."""
    if settings.BOUNCE_MAILBOX is None:
        return {}
    # The reason may name a host or a user: it stands in the admin, not here.
    row = Mailbox.objects.filter(name=mailboxes.name_of(settings.BOUNCE_MAILBOX)).values_list("reached_at", "error").first()
    reached_at, error = row or (None, "")
    ago = None if reached_at is None else round((timezone.now() - reached_at).total_seconds())
    return {"mailbox_seconds_ago": ago, "mailbox_failing": bool(error)}
