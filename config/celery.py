"""The Celery application and the whole clock table."""

import os
from logging.config import dictConfig

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging
from django.conf import settings
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("quorum")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["crm", "abm"])
app.steps["worker"].add(DjangoStructLogInitStep)

# Beat copies this table into the database at its start, where the admin shows it.
# Hours are in the organisation's time zone.
app.conf.beat_schedule = {
    # every minute: accounts whose facts changed, also when their event was lost
    "refresh changed accounts": {"task": "abm.tasks.refresh_changed", "schedule": 60.0},
    # 02:30 every night, when the day that is scored has begun and nobody works
    "nightly run": {"task": "abm.tasks.nightly", "schedule": crontab(hour="2", minute="30")},
    # every 5 minutes: a night that beat or the worker slept through, or a run that died half way
    "nightly catch-up": {"task": "abm.tasks.nightly_catch_up", "schedule": 300.0},
    # every minute: what is left of scoring all accounts with new numbers, also when its message was lost or its worker died
    "rebuild scores": {"task": "abm.tasks.rebuild_scores", "schedule": 60.0},
    # every minute: exports and imports whose message was lost, or whose worker died
    "go on with files": {"task": "crm.tasks.go_on", "schedule": 60.0},
    # every minute: reports on our mail whose message was lost, or whose worker died
    "read delivery reports": {"task": "crm.tasks.read_reports", "schedule": 60.0},
    # every 5 minutes: mail that came back, if a mailbox is set
    "collect returned mail": {"task": "crm.tasks.collect_mailbox", "schedule": 300.0},
    # 03:40 every night: records that look like one, among those changed since
    "find duplicates": {"task": "crm.tasks.find_duplicates", "schedule": crontab(hour="3", minute="40")},
    # 04:40 every night, behind the nightly run: sessions that have run out
    "forget ended sessions": {"task": "crm.tasks.forget_ended_sessions", "schedule": crontab(hour="4", minute="40")},
    # every hour, at a quarter past: answers of the API that are kept for a day
    "forget kept answers": {"task": "crm.tasks.forget_kept_answers", "schedule": crontab(minute="15")},
    # 10:10 on working days, when people read their mail: ask those whose details are old, if ASK_FOR_DETAILS is on
    "ask for details": {"task": "crm.tasks.ask_for_details", "schedule": crontab(hour="10", minute="10", day_of_week="1-5")},
    # every 30 seconds: beat's sign of life, which its health check reads
    "beat heartbeat": {"task": "crm.tasks.heartbeat", "schedule": 30.0},
}


@setup_logging.connect
def use_django_logging(**_kwargs: object) -> None:
    """Keep Django's logging set-up: Celery would otherwise replace it."""
    dictConfig(settings.LOGGING)
