"""How far a job is, as its page shows it: a bar, a rate and the time it will still take; used by imports and exports."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

# Before that a rate is a guess.
SECONDS_MEASURED = 2
# The worker gives a sign of life with every chunk; longer silence is worth a word.
SILENT_SECONDS = 20


def progress_of(job: Any, *, is_live: bool, poll: str, at: datetime, total: int | None = None) -> dict[str, Any]:
    """Give what the bar needs of a row with rows_done, rows_total, started_at and heartbeat_at."""
    total = job.rows_total if total is None else total
    percent = min(100, round(100 * job.rows_done / total)) if total else 0
    seconds = (at - job.started_at).total_seconds() if job.started_at else 0.0
    rate = job.rows_done / seconds if is_live and seconds >= SECONDS_MEASURED else 0.0
    silence = (at - job.heartbeat_at).total_seconds() if job.heartbeat_at else seconds
    return {
        "percent": percent,
        "done": job.rows_done,
        "total": total,
        "rate": round(rate),
        "rest": in_words((total - job.rows_done) / rate) if rate else "",
        # Read out by a screen reader: in steps, so that it does not talk all the time.
        "said": _("%(percent)d %% done") % {"percent": percent - percent % 10},
        "is_live": is_live,
        "is_silent": is_live and silence > SILENT_SECONDS,
        "poll": poll,
        "state": job.state,
    }


def in_words(seconds: float) -> str:
    """Say how long something will take, no more exactly than one can know."""
    if seconds < 90:
        count = max(1, round(seconds))
        return ngettext("%(count)d second", "%(count)d seconds", count) % {"count": count}
    count = round(seconds / 60)
    return ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count}


def answer_poll(request: HttpRequest, job: Any, progress: dict[str, Any]) -> HttpResponse:
    """Give the bar anew; once the job is in another state than the page shows, have the whole page loaded again."""
    if request.GET.get("state") != job.state:
        return HttpResponse(headers={"HX-Refresh": "true"})
    return TemplateResponse(request, "crm/admin/parts/progress_bar.html", {"progress": progress, "is_poll": True})
