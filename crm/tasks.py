"""Celery doors of crm: each reads the clock and calls one rule; every one of them may run twice."""

from celery import shared_task
from django.utils import timezone

from crm.models import Heartbeat


@shared_task
def heartbeat() -> None:
    """Leave beat's sign of life: this ran, so beat sends and a worker works."""
    Heartbeat.objects.update_or_create(name="beat", defaults={"beat_at": timezone.now()})
