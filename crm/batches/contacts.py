"""Contacts by the thousand: known by their id at the source, else by their address at the account."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from crm import bulk, contacts, newcomers
from crm.batches.upserting import Kind, Row, Wrong, by_source_id, homeless
from crm.errors import Invalid
from crm.models import Account, Contact, User
from crm.newcomers import NewContact

_OF_PERSON = ("given_name", "family_name", "language")
_OF_JOB = ("email", "phone", "job_title", "function", "legal_basis")


def _match_contacts(rows: Mapping[int, Row]) -> dict[int, Contact]:
    """Find contacts by their id at the source, else by their address at the account."""
    emails = {row["email"].lower() for row in rows.values() if row.get("email")}
    people = Contact.objects.select_related("person").annotate(address=Lower("email"))
    by_id = by_source_id(people, rows)
    homes = {row.get("account") for row in rows.values() if type(row.get("account")) is int}
    by_email = {(one.account_id, one.email.lower()): one for one in people.filter(address__among=emails, account__in=homes)}
    found = {}
    for index, row in rows.items():
        one = by_id.get((row.get("source", ""), row.get("external_id") or ""))
        if one := one or by_email.get((row.get("account") or 0, row.get("email", "").lower())):
            found[index] = one
    return found


def _add_contacts(rows: Sequence[Row], by: User, at: datetime) -> list[tuple[int | None, Wrong]]:
    """Add people at accounts that the caller may see."""
    homes = [row["account"] for row in rows if type(row.get("account")) is int]
    seen = set(Account.objects.visible_to(by).filter(pk__in=homes).values_list("pk", flat=True))
    texts = ("source", "external_id", *_OF_PERSON, *_OF_JOB)
    placed = [row for row in rows if row.get("account") in seen]
    new = [NewContact(row["account"], **{name: row[name] for name in texts if row.get(name)}) for row in placed]
    made = iter(newcomers.add_many(new, at=at, by=by))
    return [_made(next(made)) if row.get("account") in seen else (None, homeless(row)) for row in rows]


def _made(made: newcomers.Made) -> tuple[int | None, Wrong]:
    return made.record_id, made.wrong


def _change_contact(contact: Contact, row: Row, by: User | None, at: datetime) -> bool:
    """Correct what a row says otherwise; another account is not a correction."""
    if row.get("account") not in (None, contact.account_id):
        sentence = _("This person is at another account here; record the departure there first.")
        raise Invalid(sentence, detail={"account": sentence})
    changes = {name: row[name] for name in _OF_PERSON if name in row and row[name] != getattr(contact.person, name)}
    for name in set(_OF_JOB) & row.keys():
        meant, wrong = bulk.cleaned(Contact, name, row[name])
        if wrong or str(meant) != str(getattr(contact, name) or ""):
            changes[name] = row[name]
    if changes:
        contacts.correct(contact, at=at, by=by, **changes)
    return bool(changes)


CONTACTS = Kind(
    texts=("source", "external_id", *_OF_PERSON, *_OF_JOB), others=("account",), match=_match_contacts, add=_add_contacts,
    change=_change_contact, model=Contact,
)  # fmt: skip
