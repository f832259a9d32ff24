"""Imports of other people's files: the file with what was understood of it, the rows that failed, and what undo needs."""

import uuid
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.contacts import Contact
from crm.models.users import Sight, Team, User, sight


def random_name(_upload: "Upload", _file_name: str) -> str:
    """Name the stored file so that nobody guesses it, and nothing of what it was called stays."""
    return f"uploads/{uuid.uuid4().hex}"


class UploadQuerySet(models.QuerySet["Upload"]):
    """Imports as those who run them speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep the user's own; for a team's lead those of the team, for who sees every record all of them."""
        reach = sight(user)
        if reach is Sight.NOTHING:
            return self.none()
        if reach is Sight.ALL:
            return self
        own = Q(owner=user.pk)
        leads = reach is Sight.TEAM and user.has_perm("crm.assign_account")
        return self.filter(own | Q(team=user.team_id) if leads else own)  # type: ignore[union-attr]

    def at_work(self) -> Self:
        """Keep those that a worker goes on with."""
        return self.filter(state__in=Upload.AT_WORK)


class Upload(models.Model):
    """One import: a file that somebody uploaded, how its columns are read, and how far it has come."""

    class What(models.TextChoices):
        """What the rows are."""

        ACCOUNTS = "accounts", _("accounts")
        CONTACTS = "contacts", _("contacts")
        ACTIVITIES = "activities", _("activities")

    class State(models.TextChoices):
        """How far it has come."""

        RECEIVED = "received", _("received")
        CHECKED = "checked", _("checked")
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        FINISHED = "finished", _("finished")
        FAILED = "failed", _("failed")
        UNDOING = "undoing", _("being undone")
        UNDONE = "undone", _("undone")

    class Existing(models.TextChoices):
        """What becomes of a value that is there already; a blank cell never erases one."""

        LEAVE = "leave", _("leave what is there, fill in what is empty")
        OVERWRITE = "overwrite", _("overwrite it with the file's")

    AT_WORK = (State.RUNNING, State.UNDOING)

    owner = models.ForeignKey(User, verbose_name=_("imported by"), on_delete=models.PROTECT, related_name="uploads")
    team = models.ForeignKey(Team, verbose_name=_("team"), null=True, blank=True, on_delete=models.PROTECT, related_name="uploads")
    what = models.CharField(_("what"), max_length=10, choices=What)
    # Its rows as read, one JSON line each; what was uploaded itself is not kept.
    file = models.FileField(_("file"), upload_to=random_name, blank=True)
    file_name = models.CharField(_("file name"), max_length=200)
    size = models.BigIntegerField(_("size in bytes"))
    layout = models.CharField(_("layout"), max_length=50, blank=True)
    encoding = models.CharField(_("read as"), max_length=100)
    columns = models.JSONField(_("columns"), default=list)
    sample = models.JSONField(_("first rows"), default=list)
    mapping = models.JSONField(_("mapping"), default=dict)
    existing = models.CharField(_("records that are there"), max_length=10, choices=Existing, default=Existing.LEAVE)
    legal_basis = models.CharField(_("legal basis"), max_length=10, choices=Contact.LegalBasis, default=Contact.LegalBasis.UNKNOWN)
    source = models.CharField(_("source"), max_length=50)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.RECEIVED)
    rows_total = models.PositiveIntegerField(_("rows"), default=0)
    rows_done = models.PositiveIntegerField(_("rows done"), default=0)
    created_count = models.PositiveIntegerField(_("created"), default=0)
    changed_count = models.PositiveIntegerField(_("changed"), default=0)
    unchanged_count = models.PositiveIntegerField(_("unchanged"), default=0)
    failed_count = models.PositiveIntegerField(_("failed"), default=0)
    # Where the next chunk begins in the file, in bytes; and how often in a row a worker did not get past it.
    position = models.BigIntegerField(default=0, editable=False)
    tries = models.PositiveSmallIntegerField(default=0, editable=False)
    report = models.JSONField(_("report"), default=dict)
    error = models.TextField(_("what went wrong"), blank=True)
    created_at = models.DateTimeField(_("uploaded"))
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    heartbeat_at = models.DateTimeField(_("last sign of life"), null=True, blank=True)

    objects = UploadQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("import"), _("imports")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(rows_done=F("created_count") + F("changed_count") + F("unchanged_count") + F("failed_count")),
                name="upload_counts_add_up",
            ),
            models.CheckConstraint(condition=Q(rows_done__lte=F("rows_total")), name="upload_done_within_total"),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="upload_by_owner"),
            models.Index(fields=["team", "-created_at"], name="upload_by_team"),
            models.Index(fields=["state", "heartbeat_at"], name="upload_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.get_what_display()}: {self.file_name}"


class UploadProblemQuerySet(models.QuerySet["UploadProblem"]):
    """Rows that failed, as those ask who mend them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of imports that the user sees."""
        return self.filter(upload__in=Upload.objects.visible_to(user))


class UploadProblem(models.Model):
    """A row that failed, with its values and the reason."""

    upload = models.ForeignKey(Upload, verbose_name=_("import"), on_delete=models.CASCADE, related_name="problems")
    line = models.PositiveIntegerField(_("line"))
    column = models.CharField(_("column"), max_length=200, blank=True)
    reason = models.TextField(_("what is wrong"))
    values = models.JSONField(_("values"), default=list)

    objects = UploadProblemQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("failed row"), _("failed rows")
        ordering = ["upload", "line"]
        constraints = [models.UniqueConstraint(fields=["upload", "line"], name="upload_problem_once_per_line")]

    def __str__(self) -> str:
        return f"{self.line}: {self.reason}"


class UploadedRecord(models.Model):
    """That an import made or changed one record; undo deletes the row when it has put the record back."""

    class Kind(models.TextChoices):
        """Which record; in the order in which undo goes through them."""

        ACTIVITY = "activity", _("activity")
        MEMBERSHIP = "membership", _("DMU membership")
        CONTACT = "contact", _("contact")
        PERSON = "person", _("person")
        ACCOUNT = "account", _("account")

    upload = models.ForeignKey(Upload, verbose_name=_("import"), on_delete=models.CASCADE, related_name="records")
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    object_id = models.BigIntegerField()
    line = models.PositiveIntegerField(_("line"))
    # The values that were overwritten; null: the import made the record (a contact's person included).
    before = models.JSONField(null=True)
    # The last line of the record's history that is the import's own, where it changed one; a later one is somebody's.
    history_id = models.BigIntegerField(null=True)
    kept_because = models.CharField(_("kept because"), max_length=200, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("imported record"), _("imported records")
        ordering = ["upload", "kind", "id"]
        constraints = [models.UniqueConstraint(fields=["upload", "kind", "object_id"], name="uploaded_record_once")]
        indexes = [models.Index(fields=["kind", "object_id"], name="uploaded_record_of")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.object_id}"
