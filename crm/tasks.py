"""Celery doors of crm: each reads the clock and calls one rule; every one of them may run twice."""

import logging

from celery import Task, shared_task
from django.utils import timezone
from kombu.exceptions import ChannelError, OperationalError

from crm.models import Heartbeat

logger = logging.getLogger(__name__)
# A broker that is down; for the filesystem broker a disk that is full or not ours.
QUEUE_IS_DOWN = (OperationalError, ChannelError, OSError)


def enqueue(task: Task, *arguments: object) -> None:
    """Hand a task to the queue; when the queue is down, say so and go on, because beat's minute and the night repair it."""
    try:
        task.delay(*arguments)
    except QUEUE_IS_DOWN as error:
        logger.warning("%s was not enqueued: %s", task.name, error)


@shared_task
def heartbeat() -> None:
    """Leave beat's sign of life: this ran, so beat sends and a worker works."""
    Heartbeat.objects.update_or_create(name="beat", defaults={"beat_at": timezone.now()})
