"""What a merge, or its undoing, tells other systems of contacts: read from the ledger, so that no way to change one is left out."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from crm import contacts
from crm.merges.ledger import Step
from crm.models import Merge

CONTACT, PERSON = "crm.contact", "crm.person"
# A contact's id, and the name of what changed; (model label, folded id, kept id).
Change = tuple[int, str]
Record = tuple[str, int, int]


def tell_merged(steps: Iterable[Step], records: Iterable[Record], *, at: datetime) -> None:
    """Tell of each contact that a merge changed, and of those that others were merged into; one that is gone has no news."""
    contacts.tell_changes(_changes(steps, records, kept="merged"), at=at)


def tell_unmerged(done: Merge, *, at: datetime) -> None:
    """Tell of the same contacts when a merge is undone, and of those that are back."""
    contacts.tell_changes(_unmerged(done), at=at)


def _unmerged(done: Merge) -> Iterator[Change]:
    records = done.records.order_by("pk").values_list("model", "folded_id", "kept_id")
    back = {folded for model, folded, _kept in records if model == CONTACT}
    yield from ((pk, "added") for pk in back)
    # Whoever is back is new to others: what it has is no change of it.
    yield from ((pk, name) for pk, name in _changes(done.steps, records, kept="unmerged") if pk not in back)


def _changes(steps: Iterable[Step], records: Iterable[Record], *, kept: str) -> Iterator[Change]:
    persons: dict[int, set[str]] = {}
    for step in steps:
        if step["model"] == CONTACT:
            yield from _of_contacts(step)
        elif step["model"] == PERSON and step["do"] == "changed":
            persons.setdefault(step["pk"], set()).update(step["before"])
    yield from contacts.of_persons(persons)
    yield from ((pk, kept) for model, _folded, pk in records if model == CONTACT)


def _of_contacts(step: Step) -> Iterator[Change]:
    if step["do"] == "moved":
        yield from ((pk, step["column"].removesuffix("_id")) for pk in step["ids"])
    elif step["do"] == "changed":
        yield from ((step["pk"], name) for name in step["before"])
