"""Celery doors of crm: each reads the clock and calls one rule; every one of them may run twice."""

import logging
from datetime import datetime

from celery import Task, shared_task
from django.conf import settings
from django.contrib.auth.forms import PasswordResetForm
from django.urls import reverse
from django.utils import timezone, translation
from kombu.exceptions import ChannelError, OperationalError

from crm import details, duplicates, exports, incoming_reports, kept_answers, limits, mailboxes, policy, sessions, uploads, webhooks
from crm.models import Heartbeat, Upload, User

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


@shared_task
def make_export(export_id: int) -> bool:
    """Write an export that waits."""
    return exports.work(export_id, clock=timezone.now)


@shared_task
def try_upload(upload_id: int) -> None:
    """Try the rows of an import, unless somebody did so meanwhile or threw it away."""
    for upload in Upload.objects.filter(pk=upload_id, state=Upload.State.RECEIVED):
        uploads.check(upload, at=timezone.now())


def try_now_or_soon(upload: Upload, *, at: datetime) -> None:
    """Try the rows of an import: few at once, many by a worker, so that nobody waits for them."""
    if upload.rows_total > policy.UPLOADS.at_once_rows:
        enqueue(try_upload, upload.pk)
    else:
        uploads.check(upload, at=at)


@shared_task
def work_upload(upload_id: int) -> None:
    """Go on with an import, or with its undoing, for a while; the rest is another task's, so that others get their turn."""
    if uploads.work(upload_id, clock=timezone.now):
        enqueue(work_upload, upload_id)


@shared_task
def go_on() -> None:
    """Hand over again what waits or stands still: its message may be lost, or its worker dead."""
    at = timezone.now()
    for export_id in exports.stalled(at=at):
        enqueue(make_export, export_id)
    for upload_id in uploads.stalled(at=at):
        enqueue(work_upload, upload_id)


@shared_task
def read_reports() -> None:
    """Work off reports on our mail for a while; the rest is another task's, so that others get their turn."""
    if incoming_reports.work(clock=timezone.now):
        enqueue(read_reports)


@shared_task
def collect_mailbox() -> int:
    """Collect returned mail, if there is a mailbox for it, and have it read."""
    if settings.BOUNCE_MAILBOX is None:
        return 0
    count = mailboxes.collect(settings.BOUNCE_MAILBOX, done_folder=settings.BOUNCE_MAILBOX_DONE_FOLDER, clock=timezone.now)
    if count:
        enqueue(read_reports)
    return count


@shared_task
def find_duplicates() -> None:
    """Look at the next records that changed, of each kind; the rest is another task's, so that others get their turn."""
    at = timezone.now()
    if sum(duplicates.sweep(what, at=at) for what in (duplicates.ACCOUNTS, duplicates.CONTACTS)):
        enqueue(find_duplicates)


@shared_task
def forget_ended_sessions() -> int:
    """Delete sessions that have run out."""
    return sessions.forget_ended(at=timezone.now())


@shared_task
def forget_kept_answers() -> int:
    """Delete answers of the API that were kept long enough for a call to come again, and who called how often."""
    limits.forget_old(at=timezone.now())
    return kept_answers.forget_old(at=timezone.now())


@shared_task
def mail_password_link(address: str, language: str, host: str, is_secure: bool) -> None:
    """Send a link for a new password to who signs in with this address; nobody learns whether there is anybody."""
    form = PasswordResetForm({"email": address})
    with translation.override(language):
        if form.is_valid():
            subject, mail = "crm/mail/password_subject.txt", "crm/mail/password.txt"
            form.save(domain_override=host, use_https=is_secure, subject_template_name=subject, email_template_name=mail)


def details_link(token: str) -> str:
    """Give the address of the page on which a contact answers."""
    return f"{settings.PUBLIC_URL}{reverse('details', args=[token])}"


@shared_task
def ask_for_details() -> int:
    """Ask people whose details are old whether they are still right, where the organisation wants that."""
    return details.campaign(link=details_link, at=timezone.now()) if settings.ASK_FOR_DETAILS else 0


@shared_task
def ask_contacts(contact_ids: list[int], user_id: int) -> int:
    """Ask contacts whom a user chose in a list; run twice, nobody is asked twice."""
    return details.ask_many(contact_ids, link=details_link, at=timezone.now(), by=User.objects.get(pk=user_id))


@shared_task
def deliver_webhooks() -> None:
    """Tell other systems what there is to tell, for a while; the rest is another task's, so that others get their turn."""
    if webhooks.work(clock=timezone.now):
        enqueue(deliver_webhooks)
