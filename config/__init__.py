"""The project: settings, addresses, the queue and its clock."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
