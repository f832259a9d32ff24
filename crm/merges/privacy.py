"""What merges keep of people: folded contacts and persons in a merge's steps, for export and erasure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet

from crm import privacy
from crm.merges.ledger import Step
from crm.models import Contact, Merge, MergedRecord, Person

# What erasure makes of texts in rows that a merge keeps; those that it does not name are no person's.
_BLANK: dict[str, dict[str, Any]] = {
    "crm.contact": {"email": "", "phone": "", "job_title": "", "function": "", "external_id": ""},
    "crm.person": {"given_name": "", "family_name": ""},
    "crm.followup": {"text": privacy.ERASED, "facts": {}, "result": ""},
    "abm.jobchangesignal": {"successor_name": "", "successor_email": ""},
    "abm.signalevidence": {"text": privacy.ERASED},
    "crm.departure": {"reason": ""},
}
_PEOPLE = {"crm.contact": Contact, "crm.person": Person}


def register() -> None:
    """Tell crm.privacy what merges hold on people; called once at start."""
    privacy.register("merges", export=_export, erase=_erase)


def _about(contact_ids: Sequence[int]) -> QuerySet[Merge]:
    """Select the merges of these contacts, also within a merge of accounts."""
    either = Q(folded_id__in=contact_ids) | Q(kept_id__in=contact_ids)
    records = MergedRecord.objects.filter(either, model="crm.contact")
    return Merge.objects.filter(pk__in=records.values("merge")).order_by("pk")


def _ids(merge: Merge, contact_ids: Sequence[int]) -> dict[str, set[int]]:
    """Give the contacts and persons that a merge's steps hold on these contacts."""
    contacts, persons = set(contact_ids), set()
    for step in merge.steps:
        for row in step.get("rows", []) if step["model"] == "crm.contact" else []:
            if row["id"] in contacts:
                persons.add(row["person_id"])
    persons |= set(Contact.objects.filter(pk__in=contacts).values_list("person_id", flat=True))
    merged = merge.records.filter(model="crm.person", kept_id__in=persons).values_list("folded_id", flat=True)
    return {"crm.contact": contacts, "crm.person": persons | set(merged)}


def _held(step: Step, ids: dict[str, set[int]]) -> Iterator[dict[str, Any]]:
    """Give the parts of a step that are about these people, to be read or blanked."""
    about = ids.get(step["model"])
    for row in step.get("rows", []):
        if row.get("id") in about if about is not None else row.get("contact_id") in ids["crm.contact"]:
            yield row
    if "before" in step and (about is None or step["pk"] in about):
        yield from (step["before"], step["after"])


def _export(contact_ids: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"merged_at": merge.merged_at, "kept": merge.kept_name, "merged": merge.folded_name, "held": held}
        for merge in _about(contact_ids)
        if (held := [part for step in merge.steps if step["model"] in _BLANK for part in _held(step, _ids(merge, contact_ids))])
    ]


def _erase(contact_ids: Sequence[int], /, *, at: datetime) -> None:
    for merge in _about(contact_ids):
        ids = _ids(merge, contact_ids)
        for step in merge.steps:
            for part in _held(step, ids):
                _blank(step["model"], part, at=at)
        if merge.kind == Merge.Kind.CONTACT:
            merge.kept_name = merge.folded_name = privacy.ERASED
        merge.save(update_fields=["steps", "kept_name", "folded_name"])
        _forget_folded(merge, ids)
    privacy.erase_log(_about(contact_ids))


def _blank(model: str, part: dict[str, Any], *, at: datetime) -> None:
    """Blank what names somebody; a whole row of a person is marked as erased, so that it can stand without a name."""
    part |= {name: value for name, value in _BLANK.get(model, {}).items() if name in part}
    if model in _PEOPLE and "erased_at" in part:
        part["erased_at"] = at.isoformat()


def _forget_folded(merge: Merge, ids: dict[str, set[int]]) -> None:
    """Blank the histories of the folded persons, and how the admin's log names those who are gone."""
    for record in merge.records.filter(model__in=_PEOPLE):
        model = _PEOPLE[record.model]
        if record.folded_id in ids[record.model] or record.kept_id in ids[record.model]:
            if model is Person:
                Person.history.filter(id=record.folded_id).update(given_name="", family_name="")
            log = apps.get_model("admin", "LogEntry").objects.filter(content_type=ContentType.objects.get_for_model(model))
            log.filter(object_id=str(record.folded_id)).update(object_repr=privacy.ERASED, change_message="")
