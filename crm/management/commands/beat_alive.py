"""Tell the health check whether beat is alive: it sends, and a worker does what it sends."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from crm.models import Heartbeat

# Beat gives a sign of life every 30 seconds; three may be lost.
OLDEST_SECONDS = 120


class Command(BaseCommand):
    help = "Exit with 0 if beat gave a sign of life in the last two minutes, else with 1."

    def handle(self, **_options: Any) -> None:
        beat = Heartbeat.objects.filter(name="beat").first()
        if beat is None:
            raise CommandError("Beat has never given a sign of life.", returncode=1)
        seconds = (timezone.now() - beat.beat_at).total_seconds()
        if seconds >= OLDEST_SECONDS:
            raise CommandError(
                f"Beat gave its last sign of life {seconds:.0f} seconds ago, at {beat.beat_at:%Y-%m-%d %H:%M:%S} UTC.", returncode=1
            )
        self.stdout.write(f"Beat gave a sign of life {seconds:.0f} seconds ago.")
