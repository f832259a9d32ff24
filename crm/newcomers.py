"""Contacts by the thousand: what `contacts.add` and `dmu.assign` do for one, in a fixed number of statements."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db import transaction
from django.db.models.functions import Lower
from django.utils import translation

from crm import bulk, contacts, dmu, events, policy
from crm.models import Contact, DmuMembership, Person, Stance, User

_PERSON = ("given_name", "family_name", "language")
_JOB = ("email", "phone", "job_title", "function", "legal_basis", "source", "external_id")
_COLUMNS = [(name, bulk.column(model, name)) for model, names in ((Person, _PERSON), (Contact, _JOB)) for name in names]
_DEFAULT_LANGUAGE = Person._meta.get_field("language").get_default()


# Not frozen: thousands are made, and each field of a frozen one is set through the object, at twice the time.
@dataclass(slots=True)
class NewContact:
    """One row: a new person, who works at an account (0 until an import has found it); nothing else changes."""

    account_id: int
    given_name: str = ""
    family_name: str = ""
    email: str = ""
    phone: str = ""
    job_title: str = ""
    function: str = ""
    language: str = ""
    legal_basis: str = Contact.LegalBasis.UNKNOWN
    source: str = ""
    external_id: str = ""
    opted_out: bool = False
    # What `_values` says of it: an import asks before it makes the account, and again when it adds the person.
    _judged: "Judged | None" = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class NewRole:
    """One row: a role that a contact holds for the account as a whole."""

    contact_id: int
    account_id: int
    role: str
    stance: str = Stance.NEUTRAL
    is_assumed: bool = False


@dataclass(frozen=True)
class Made:
    """What became of one row: the record, or why there is none, by field."""

    record_id: int | None
    wrong: Mapping[str, object] = field(default_factory=dict)


Judged = tuple[tuple[Any, ...], tuple[Any, ...], bulk.Reasons]


@transaction.atomic
def add_many(rows: Sequence[NewContact], *, at: datetime, by: User | None = None, reason: str | None = None) -> list[Made]:
    """Add people as `contacts.add` does; what it would refuse costs its own row alone.

    Written in the order of accounts and addresses, so that two calls at once wait for each other instead of locking
    each other out; IntegrityError when somebody else added one of them meanwhile.
    """
    judged = _judge(rows)
    fresh = [index for index, (_person, _job, wrong) in enumerate(judged) if not wrong]
    fresh.sort(key=lambda index: (rows[index].account_id, rows[index].email.lower(), index))
    person_ids, contact_ids = bulk.next_ids(Person, len(fresh)), bulk.next_ids(Contact, len(fresh))
    by_id = by.pk if by else None
    persons = [(pk, *judged[index][0], at if rows[index].opted_out else None) for pk, index in zip(person_ids, fresh, strict=True)]
    jobs = [
        (pk, person, rows[index].account_id, *judged[index][1]) for pk, person, index in zip(contact_ids, person_ids, fresh, strict=True)
    ]
    bulk.insert(Person, ("id", *_PERSON, "opted_out_at"), persons, at=at)
    bulk.insert(Contact, ("id", "person", "account", *_JOB), jobs, at=at)
    bulk.begin_history(Person, person_ids, at=at, reason=reason, by_id=by_id)
    bulk.begin_history(Contact, contact_ids, at=at, reason=reason, by_id=by_id)
    contacts.tell_updated(contact_ids, changed=["added"], at=at)
    made = dict(zip(fresh, contact_ids, strict=True))
    return [Made(made.get(index), wrong) for index, (_person, _job, wrong) in enumerate(judged)]


def judge_many(rows: Sequence[NewContact]) -> list[bulk.Reasons]:
    """Say for each row what `contacts.add` would refuse, by field; of two that exclude each other the first is right."""
    return [wrong for _person, _job, wrong in _judge(rows)]


def wrong_details(rows: Iterable[NewContact]) -> Iterator[bulk.Reasons]:
    """Say of each row what cannot be right whatever is on record."""
    language = translation.get_language()
    return (_values(row, language)[2] for row in rows)


def _judge(rows: Sequence[NewContact]) -> list[Judged]:
    language = translation.get_language()
    judged = [_values(row, language) for row in rows]
    addresses, ids = _taken(rows)
    for row, (_person, _job, wrong) in zip(rows, judged, strict=True):
        address, source_id = (row.account_id, row.email.strip().lower()), (row.source, row.external_id)
        if address[1] and address in addresses:
            wrong["email"] = contacts.ADDRESS_TAKEN
        if row.external_id and source_id in ids:
            wrong["external_id"] = contacts.ID_TAKEN
        if not wrong:
            addresses.add(address)
            ids.add(source_id)
    return judged


def _values(row: NewContact, language: str | None) -> Judged:
    """Give the values as the columns of person and contact take them, and what cannot be right."""
    if row._judged is None:
        row._judged = _cleaned(_said_by(row), language)
    person, job, wrong = row._judged
    return person, job, dict(wrong)


_said_by = attrgetter(*_PERSON, *_JOB)


def _cleaned(said: tuple[str, ...], language: str | None) -> Judged:
    wrong: bulk.Reasons = {}
    values = []
    for (name, column), text in zip(_COLUMNS, said, strict=True):
        value, reason = bulk.cleaned_text(column, text.strip() or (_DEFAULT_LANGUAGE if name == "language" else ""), language)
        values.append(value)
        if reason:
            wrong[name] = reason
    person, job = tuple(values[: len(_PERSON)]), tuple(values[len(_PERSON) :])
    if not person[0] and not person[1] and wrong.keys().isdisjoint(_PERSON):
        wrong["family_name"] = contacts.NO_NAME
    return person, job, wrong


def _taken(rows: Sequence[NewContact]) -> tuple[set[tuple[int, str]], set[tuple[str, str]]]:
    """Give what contacts have already: addresses at these accounts, and ids at these sources."""
    emails = {row.email.strip().lower() for row in rows if row.email}
    ids = {row.external_id for row in rows if row.external_id}
    there = Contact.objects.annotate(address=Lower("email")).filter(
        address__among=emails, account__id__among={row.account_id for row in rows}
    )
    known = Contact.objects.filter(external_id__among=ids, source__in={row.source for row in rows})
    return set(there.values_list("account_id", "address").order_by()), set(known.values_list("source", "external_id").order_by())


@transaction.atomic
def assign_many(
    rows: Sequence[NewRole], *, at: datetime, by: User | None = None, reason: str | None = None, just_added: bool = False
) -> list[Made]:
    """Give roles as `dmu.assign` does. A role that is held already goes through it, and is not among those made.

    `just_added`: all of these contacts were added in this transaction, where nobody else can reach them.
    """
    active, held = (None, set[tuple[int, str]]()) if just_added else _active_and_held(rows)
    made, written = list[Made](), list[tuple[object, ...]]()
    ids = iter(bulk.next_ids(DmuMembership, len(rows)))
    for row in rows:
        wrong = dmu.wrong_role(row.role, row.stance, is_active=active is None or row.contact_id in active)
        if wrong or (row.contact_id, row.role) in held:
            made.append(Made(None, wrong))
            if not wrong:
                contact = Contact.objects.get(pk=row.contact_id)
                dmu.assign(contact=contact, role=row.role, stance=row.stance, is_assumed=row.is_assumed, at=at, by=by)
            continue
        held.add((row.contact_id, row.role))
        made.append(Made(next(ids)))
        written.append((made[-1].record_id, row.contact_id, row.account_id, row.role, row.stance, row.is_assumed))
    by_id, names = by.pk if by else None, ("id", "contact", "account", "role", "stance", "is_assumed")
    bulk.insert(DmuMembership, names, written, at=at, said_by=by_id, since=policy.day_of(at))
    bulk.begin_history(DmuMembership, [one.record_id for one in made if one.record_id], at=at, reason=reason, by_id=by_id)
    if accounts := sorted({row.account_id for row, one in zip(rows, made, strict=True) if not one.wrong}):
        events.tell(events.dmu_changed, account_ids=accounts)
    return made


def _active_and_held(rows: Sequence[NewRole]) -> tuple[set[int], set[tuple[int, str]]]:
    """Keep others off these contacts; give those who work there, and the roles they hold."""
    people = Contact.objects.filter(pk__in={row.contact_id for row in rows})
    active = set(people.claimed().active().order_by("pk").values_list("pk", flat=True))
    current = DmuMembership.objects.current().standing().filter(contact__in=active).order_by()
    return active, set(current.values_list("contact_id", "role"))
