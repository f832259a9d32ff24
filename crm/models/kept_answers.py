"""Answers of the API that are given again when the same call comes again."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.users import User


class KeptAnswer(models.Model):
    """What a call with an Idempotency-Key was answered: written with its effects, in one transaction, and kept for a day."""

    user = models.ForeignKey(User, verbose_name=_("user"), on_delete=models.CASCADE, related_name="+")
    key = models.CharField(_("key"), max_length=255)
    digest = models.CharField(max_length=64, help_text=_("Of method, address and body."))
    made_at = models.DateTimeField(_("made"), db_index=True)
    # 0 until the call is answered, which only its own transaction sees.
    status = models.PositiveSmallIntegerField(_("status"), default=0)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=bytes, help_text=_("Packed with zlib."))

    class Meta:
        verbose_name, verbose_name_plural = _("kept answer"), _("kept answers")
        constraints = [
            models.UniqueConstraint(F("user"), F("key"), name="kept_answer_once"),
            # An error of ours is not kept: the same call may go well the next time.
            models.CheckConstraint(condition=Q(status=0) | Q(status__range=(200, 499)), name="kept_answer_status"),
        ]

    def __str__(self) -> str:
        return self.key
