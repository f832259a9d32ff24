"""Merging two contacts: the job, and with it the two persons."""

from typing import Any

from django.utils.translation import gettext as _

from crm import duplicates
from crm.errors import Conflict
from crm.merges import choices as chosen
from crm.merges.folding import Doing, settle_with, take_over
from crm.models import Contact, Departure, Merge, Person


def fold(doing: Doing, kept_id: int, folded_id: int, *, choices: chosen.Choices) -> None:
    """Fold one contact into another, and the person into the other's person."""
    jobs = Contact.objects.select_related("person")
    kept, folded = jobs.get(pk=kept_id), jobs.get(pk=folded_id)
    values: dict[bool, dict[str, Any]] = {False: {}, True: {}}
    for fact, taken in chosen.chosen(Merge.Kind.CONTACT, kept, folded, choices):
        values[fact.of_person] |= taken
    _agree_on_work(doing, kept, folded)
    take_over(doing, Contact, kept.pk, folded.pk)
    doing.ledger.records.append(("crm.contact", folded.pk, kept.pk))
    _write(doing, Contact, kept.pk, values[False])
    if kept.person_id != folded.person_id:
        _fold_persons(doing, kept.person, folded.person, values[True])


def _agree_on_work(doing: Doing, kept: Contact, folded: Contact) -> None:
    """Let the one count by which the person still works there: a departure of the other record is taken back."""
    if kept.left_on is None or folded.left_on is None:
        if kept.left_on is not None:
            doing.ledger.change(Contact, kept.pk, left_on=None)
        for departure in Departure.objects.filter(contact__in=(kept, folded), undone_at=None).order_by("pk"):
            doing.ledger.settled["crm.departure"] += 1
            doing.ledger.change(Departure, departure.pk, undone_at=doing.at)


def _fold_persons(doing: Doing, kept: Person, folded: Person, values: dict[str, Any]) -> None:
    """Make two persons one; who opted out once, opted out."""
    mine = Contact.objects.active().filter(person=kept).values("account")
    if Contact.objects.active().filter(person=folded, account__in=mine).exists():
        raise Conflict(_("They work together at another account, too: merge those two contacts first."))
    take_over(doing, Person, kept.pk, folded.pk)
    doing.ledger.records.append(("crm.person", folded.pk, kept.pk))
    opted_out = [moment for moment in (kept.opted_out_at, folded.opted_out_at) if moment]
    _write(doing, Person, kept.pk, values | {"opted_out_at": min(opted_out, default=None)})


def _write(doing: Doing, model: type[Contact] | type[Person], pk: int, values: dict[str, Any]) -> None:
    """Write what was chosen, with a row of history when it changed anything."""
    steps = len(doing.ledger.steps)
    doing.ledger.change(model, pk, **values)
    if len(doing.ledger.steps) > steps:
        if model is Contact:
            doing.ledger.change(model, pk, updated_at=doing.at)
        remember(doing, model, pk)


def remember(doing: Doing, model: Any, pk: int) -> None:
    """Write a row of history that names no name: an erasure finds names by their columns."""
    rows = model.objects.filter(pk=pk)
    reason = _("merged with a duplicate")[:100]
    doing.ledger.add(model.history.bulk_history_create(rows, update=True, default_user=doing.by, default_change_reason=reason))


def settle(doing: Doing, kept_id: int, folded_id: int, /) -> None:
    """Settle two people who would have one address, or be one person twice, at the kept account.

    The same person, or the same address and nearly the same name, becomes one contact. Two people who share an
    address both stay; it remains with the kept account's.
    """
    jobs = Contact.objects.select_related("person")
    kept, folded = jobs.get(pk=kept_id), jobs.get(pk=folded_id)
    if kept.person_id == folded.person_id or duplicates.same_name(str(kept.person), str(folded.person)):
        doing.ledger.settled["crm.contact"] += 1
        fold(doing, kept.pk, folded.pk, choices={})
    else:
        doing.ledger.settled["shared_address"] += 1
        doing.ledger.change(Contact, folded.pk, email="", address_invalid_at=None)


settle_with("crm.contact", settle)
