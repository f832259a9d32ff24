"""What every history knows besides the record: the key with which an integration made the change."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords


def key_at_work() -> str:
    """Name the key of the call that is being answered; empty for people, tasks and the shell."""
    request = getattr(HistoricalRecords.context, "request", None)
    key = getattr(request, "auth", None)
    return str(key) if key is not None else ""


class WithKey(models.Model):
    """A row of a history; the name of the key stays when the key is gone."""

    # The database's own default is for statements of SQL, which know no call.
    history_key = models.CharField(_("API key"), max_length=120, blank=True, default=key_at_work, db_default="")

    class Meta:
        abstract = True
