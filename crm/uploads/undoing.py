"""Undo of a whole import: what it made is deleted, what it changed is put back; what others touched since stays, and says why."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Model
from django.utils.translation import gettext as _

from crm import activities, contacts, events, policy
from crm.models import Account, AccountKey, AccountPair, Activity, Contact, ContactPair, DmuMembership, Person, Upload, UploadedRecord
from crm.uploads.activities import fingerprint

Kind = UploadedRecord.Kind
# In this order: nothing is deleted before what hangs on it.
_ORDER: tuple[tuple[str, Any], ...] = (
    (Kind.ACTIVITY, Activity),
    (Kind.MEMBERSHIP, DmuMembership),
    (Kind.CONTACT, Contact),
    (Kind.PERSON, Person),
    (Kind.ACCOUNT, Account),
)
# What is computed anew from the records, by tables that go with them.
_COMPUTED: set[type[Model]] = {AccountKey, AccountPair, ContactPair}


def is_computed(*models: type[Model]) -> None:
    """Say that rows of these models follow from others: they neither keep a record nor outlive it."""
    _COMPUTED.update(models)


def undo_chunk(upload: Upload, *, at: datetime) -> None:
    """Take back some records of one kind; when none is left, the import is undone."""
    for kind, model in _ORDER:
        with transaction.atomic():
            chosen = UploadedRecord.objects.select_for_update().filter(upload=upload, kind=kind, kept_because="")
            records = list(chosen.order_by("-pk")[: policy.RECORDING.rows_per_statement])
            if records:
                if model is Activity:
                    activities.hold([each.object_id for each in records])
                _undo(model, records, at=at)
                Upload.objects.filter(pk=upload.pk).update(tries=0, heartbeat_at=at)
                return
    kept = UploadedRecord.objects.filter(upload=upload).count()
    report = upload.report | {"kept": kept}
    Upload.objects.filter(pk=upload.pk, state=Upload.State.UNDOING).update(
        state=Upload.State.UNDONE, finished_at=at, tries=0, report=report
    )


def _undo(model: Any, records: Sequence[UploadedRecord], *, at: datetime) -> None:
    """Take back these records, but for those that somebody touched; what is gone already is passed over."""
    rows = {row.pk: row for row in model.objects.select_for_update(of=("self",)).filter(pk__in=[each.object_id for each in records])}
    touched = _touched(model, [each for each in records if each.object_id in rows], rows)
    made = [each for each in records if each.before is None and each.object_id in rows and each.pk not in touched]
    changed = [each for each in records if each.before is not None and each.object_id in rows and each.pk not in touched]
    places = _accounts(model, [rows[each.object_id] for each in (*made, *changed)])
    _restore(model, changed)
    _tell(model, changed, rows, at=at)
    _delete(model, [each.object_id for each in made])
    for record in records:
        record.kept_because = touched.get(record.pk, "")
    UploadedRecord.objects.bulk_update([each for each in records if each.kept_because], ["kept_because"])
    UploadedRecord.objects.filter(pk__in=[each.pk for each in records if not each.kept_because]).delete()
    if places and model is not Activity:
        events.tell(events.dmu_changed, account_ids=sorted(places))


def _accounts(model: Any, rows: Iterable[Any]) -> set[int]:
    if model is Person:
        return set(Contact.objects.filter(person__in=[row.pk for row in rows]).values_list("account_id", flat=True))
    return {row.pk if model is Account else row.account_id for row in rows}


def _touched(model: Any, records: Sequence[UploadedRecord], rows: dict[int, Any]) -> dict[int, str]:
    """Say which records somebody changed since, or made something hang on."""
    touched: dict[int, str] = {}
    if model is Activity:
        return {each.pk: _("changed since") for each in records if fingerprint(rows[each.object_id]) != each.history_id}
    lines = _histories(model, [each.object_id for each in records])
    persons = _histories(Person, [rows[each.object_id].person_id for each in records if each.before is None]) if model is Contact else {}
    for each in records:
        last, count = lines.get(each.object_id, (0, 0))
        is_same = (last == each.history_id) if each.history_id else count == 1
        if is_same and model is Contact and each.before is None:
            is_same = persons.get(rows[each.object_id].person_id, (0, 0))[1] == 1
        if not is_same:
            touched[each.pk] = _("changed since")
    made = [rows[each.object_id] for each in records if each.before is None and each.pk not in touched]
    used = _used(model, made)
    return touched | {each.pk: used[each.object_id] for each in records if each.object_id in used and each.pk not in touched}


def _histories(model: Any, pks: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Give the last line and the number of lines of each record's history."""
    lines = model.history.filter(id__in=pks).order_by().values("id").annotate(last=Max("history_id"), lines=Count("history_id"))
    return {row["id"]: (row["last"], row["lines"]) for row in lines}


def _used(model: Any, rows: Sequence[Any]) -> dict[int, str]:
    """Say on which of these others made something hang: they would lose it."""
    used: dict[int, str] = {}
    for relation in _relations(model):
        other, name = relation.related_model, relation.field.attname
        if other in _COMPUTED or (model is Contact and other is DmuMembership):
            continue
        hanging = other._base_manager.filter(**{f"{relation.field.name}__in": rows}).order_by().values_list(name, flat=True).distinct()
        used |= dict.fromkeys(hanging, _("in use: %(what)s") % {"what": other._meta.verbose_name_plural})
    if model is Contact:
        used |= _roles_of_others(rows)
    return used


def _relations(model: Any) -> list[Any]:
    """List what points at records of a model; a history does not, it survives them."""
    found = [each for each in model._meta.get_fields(include_hidden=True) if each.one_to_many or each.one_to_one]
    return [each for each in found if each.auto_created and each.field.db_constraint]


def _roles_of_others(rows: Sequence[Contact]) -> dict[int, str]:
    """Say which contacts hold roles that were changed, or given by somebody since."""
    memberships = dict(DmuMembership.objects.filter(contact__in=rows).values_list("pk", "contact_id"))
    reasons = DmuMembership.history.filter(id__in=memberships).values_list("id", "history_change_reason")
    return {memberships[pk]: _("roles were changed since") for pk, reason in reasons if not (reason or "").startswith("import ")}


def _restore(model: Any, records: Sequence[UploadedRecord]) -> None:
    """Put back former values and take out the import's own line of history."""
    for each in records:
        values = {name: _value(model, name, text) for name, text in (each.before or {}).items()}
        if values:
            model.objects.filter(pk=each.object_id).update(**values)
            model.history.filter(id=each.object_id, history_id=each.history_id).delete()


def _tell(model: Any, records: Sequence[UploadedRecord], rows: dict[int, Any], *, at: datetime) -> None:
    """Tell other systems which contacts have other values again; `rows`: the records as they were until now."""
    names = {each.object_id: list(_differing(rows[each.object_id], each.before or {})) for each in records}
    if model is Contact:
        contacts.tell_changes(((pk, name) for pk, changed in names.items() for name in changed), at=at)
    elif model is Person:
        contacts.tell_changes(contacts.of_persons(names), at=at)


def _differing(row: Any, before: dict[str, str | None]) -> Iterator[str]:
    return (name for name, text in before.items() if _value(type(row), name, text) != getattr(row, name))


def _value(model: Any, name: str, text: str | None) -> Any:
    return None if text is None else model._meta.get_field(name).to_python(text)


def _delete(model: Any, pks: Sequence[int]) -> None:
    """Delete records with their histories and all that hangs on them; no line says that they were there."""
    if model is Activity:
        activities.delete_many(pks)
    elif model is Contact:
        persons = list(Contact.objects.filter(pk__in=pks).values_list("person_id", flat=True))
        memberships = list(DmuMembership.objects.filter(contact__in=pks).values_list("pk", flat=True))
        for each, ids in ((DmuMembership, memberships), (Contact, pks), (Person, persons)):
            _delete_rows(each, ids)
    else:
        _delete_rows(model, pks)


def _delete_rows(model: Any, pks: Sequence[int]) -> None:
    """Delete rows without a trace. The database refuses it, and the chunk with it, when something came to hang on them meanwhile."""
    for relation in _relations(model):
        if relation.related_model in _COMPUTED:
            relation.related_model._base_manager.filter(**{f"{relation.field.name}__in": pks}).delete()
    rows = model.objects.filter(pk__in=pks)
    rows._raw_delete(rows.db)
    model.history.filter(id__in=pks)._raw_delete(rows.db)
