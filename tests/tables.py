"""What every table holds, in one figure each: equal figures before and after mean that nothing is lost, changed or left over."""

import hashlib
from collections.abc import Iterator

from django.apps import apps
from django.db.models import Model

from crm.models import ActivityChange, Merge, MergedRecord, SerialEra, SightChange

# The record of the merge itself stays, and so does the word that accounts are to be counted anew.
# Nor do serials go back: a copy elsewhere must learn of it.
ABOUT_MERGES = (Merge, MergedRecord, ActivityChange, SerialEra, SightChange)


def checksums() -> dict[str, str]:
    """Give the digest of each table of crm and abm, histories included, by the model's label."""
    return {model._meta.label_lower: _digest(model) for model in _tables()}


def _tables() -> Iterator[type[Model]]:
    for app in ("crm", "abm"):
        yield from (model for model in apps.get_app_config(app).get_models() if model not in ABOUT_MERGES)


def _digest(model: type[Model]) -> str:
    columns = [field.attname for field in model._meta.concrete_fields if field.name != "change_serial"]
    rows = model._base_manager.order_by("pk").values_list(*columns)
    return hashlib.sha256("\n".join(map(repr, rows)).encode()).hexdigest()
