"""The nightly run as a sign of health."""

from abm.models import NightlyRun


def last_finished() -> dict[str, object]:
    """Tell of which day the last finished run is; null when none ever finished."""
    day = NightlyRun.objects.nights().exclude(finished_at=None).order_by("-day").values_list("day", flat=True).first()
    return {"last_nightly_run": day}
