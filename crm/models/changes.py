"""What it takes to keep a copy in step: the serial of a record's last change, and who saw what went out of sight."""

from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.users import Sight, User, sight


def serial_field() -> "models.BigIntegerField[Any, Any]":
    """Give the column that says in which transaction a row was last written; database triggers fill it, whoever writes."""
    return models.BigIntegerField(default=0, db_default=0, editable=False)


class SightChangeQuerySet(models.QuerySet["SightChange"]):
    """Changes of sight, as those ask who follow the records."""

    def told_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of what a user saw, or was given to see: by owner or team, as these were."""
        reach = sight(user)
        if reach in (Sight.ALL, Sight.NOTHING):
            return self.all() if reach is Sight.ALL else self.none()
        own = Q(owner_id=user.pk)
        return self.filter(own | Q(team_id=user.team_id) if reach is Sight.TEAM else own)  # type: ignore[union-attr]

    def of_accounts(self) -> Self:
        """Keep those after which all that lies at an account is to be looked at again."""
        return self.filter(kind=SightChange.ACCOUNT_HANDED_OVER)


class SightChange(models.Model):
    """That a record is gone, or lies elsewhere now, or that an account changed hands; with who saw it, or sees it now.

    Written by database triggers alone, in the transaction of the change; without foreign keys, for it survives what it speaks of.
    """

    # The kind of a row that speaks of everything at an account, instead of one record.
    ACCOUNT_HANDED_OVER = "handed over"

    kind = models.CharField(max_length=40, help_text="As Django names the model, e.g. crm.contact.")
    record_id = models.BigIntegerField()
    change_serial = models.BigIntegerField()
    changed_at = models.DateTimeField()
    account_id = models.BigIntegerField(null=True)
    owner_id = models.BigIntegerField(null=True)
    team_id = models.BigIntegerField(null=True)
    # Of a contact: the person, who may be out of sight with it.
    person_id = models.BigIntegerField(null=True)

    objects = SightChangeQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("change of sight"), _("changes of sight")
        indexes = [
            models.Index(fields=["kind", "change_serial", "record_id"], name="sight_change_by_serial"),
            models.Index(fields=["account_id"], condition=Q(kind="handed over"), name="sight_change_of_account"),
            models.Index(fields=["changed_at"], name="sight_change_by_moment"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.record_id}"


class SerialEra(models.Model):
    """One row: since when serials are comparable. A restored database begins another era, and old tokens are refused."""

    name = models.CharField(max_length=32)
    # The database server's own identity: a backup that is restored elsewhere counts transactions anew.
    place = models.CharField(max_length=100)
    # What is added to a transaction's number, so that serials never go back.
    base = models.BigIntegerField(default=0, db_default=0)
    # SQLite has no numbers of transactions: the triggers count here.
    counter = models.BigIntegerField(default=0, db_default=0)

    objects = models.Manager["SerialEra"]()

    class Meta:
        verbose_name, verbose_name_plural = _("era of serials"), _("eras of serials")

    def __str__(self) -> str:
        return self.name
