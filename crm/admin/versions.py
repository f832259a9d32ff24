"""The values of a record's earlier versions, written as one reads them: words for codes, days and numbers as the reader's language has them."""

from typing import Any

from django.contrib.admin.utils import display_for_value
from django.utils.translation import gettext as _
from simple_history.template_utils import HistoricalRecordContextHelper

NOTHING = "–"


def shown(field: Any, value: Any) -> str:
    """Write what a field held; a link gives the record it led to."""
    if value in (None, ""):
        return NOTHING
    if isinstance(value, bool):  # which would be drawn as an icon
        return _("yes") if value else _("no")
    if field.choices:
        return str(dict(field.flatchoices).get(value, value))
    return str(display_for_value(value, NOTHING))


def because(reason: str | None) -> str:
    """Say why a version came about, in the reader's language where the reason is one of the product's own."""
    return _(reason) if reason else ""


class Words(HistoricalRecordContextHelper):
    """What changed between two versions, on the page of a record's history."""

    def prepare_delta_change_value(self, change: Any, value: Any) -> Any:
        field = self.model._meta.get_field(change.field)
        return super().prepare_delta_change_value(change, value) if field.many_to_many else shown(field, value)
