"""Contacts: people at their jobs; added, corrected, suspected to have left, departed and carried over to a next employer."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Greatest
from django.utils.translation import gettext_lazy as _

from crm import bulk, dmu, errors, events, opportunities, policy, webhooks
from crm.models import Account, Contact, Departure, DmuMembership, Person, User
from crm.models.dmu import DmuMembershipQuerySet

NAMES = ("given_name", "family_name", "language")
DETAILS = ("email", "phone", "job_title", "function", "legal_basis", "source")
NO_NAME = _("Give a name.")
ADDRESS_TAKEN = _("Another contact of this account has this address.")
ID_TAKEN = _("There is a contact with this id of this source already.")


@transaction.atomic
def add(
    *,
    account: Account,
    at: datetime,
    given_name: str = "",
    family_name: str = "",
    person: Person | None = None,
    email: str = "",
    phone: str = "",
    job_title: str = "",
    function: str = "",
    legal_basis: str = Contact.LegalBasis.UNKNOWN,
    source: str = "",
    external_id: str = "",
    language: str = "",
    opted_out: bool = False,
    by: User | None = None,
) -> Contact:
    """Add somebody who works at an account: a new person by name, or the known one who is given.

    Raise Invalid, naming the fields, for a value that cannot be right, and for an address, source id or
    person that is taken; Conflict if somebody else adds the same at this moment, and for a person who was erased.
    """
    human = _not_erased(Person.objects.all(), person) if person else Person(given_name=given_name.strip(), family_name=family_name.strip())
    if person is None:
        human.language, human.opted_out_at = language or human.language, at if opted_out else None
    details = {"email": email.strip(), "phone": phone.strip(), "job_title": job_title.strip(), "function": function}
    new = Contact(account=account, person=human, legal_basis=legal_basis, source=source, external_id=external_id, **details)
    _refuse(_wrong_person(human) | _wrong(new, *DETAILS, "external_id") | _taken(new))
    if by is not None:
        human._history_user = new._history_user = by  # type: ignore[attr-defined]
    with _first_come():
        if human._state.adding:
            human.save()
        # Again, now that the person has a number.
        new.person = human
        new.save()
    tell_updated([new.pk], changed=["added"], at=at)
    return new


def tell_updated(contact_ids: Iterable[int], *, changed: Iterable[str], at: datetime) -> None:
    """Tell other systems which contacts changed, and the names of what changed: no value of it."""
    names = list(changed)
    tell_changes(((pk, name) for pk in contact_ids for name in names), at=at)


def tell_changes(changes: Iterable[tuple[int, str]], *, at: datetime) -> None:
    """Tell the same of contacts that changed each in another way, of each once; `changes`: a contact's id and a name."""
    webhooks.tell("contact.updated", _changed(changes), at=at)


def _changed(changes: Iterable[tuple[int, str]]) -> Iterator[webhooks.News]:
    names: dict[int, set[str]] = {}
    for pk, name in changes:
        names.setdefault(pk, set()).add(name)
    # The moment of a change is no news of its own.
    listed = sorted(pk for pk, told in names.items() if told - {"updated_at"})
    for some in bulk.chunks(listed, policy.RECORDING.rows_per_statement):
        for pk, account_id, person_id in Contact.objects.filter(pk__in=some).order_by("pk").values_list("pk", "account_id", "person_id"):
            told = sorted(names[pk] - {"updated_at"})
            yield webhooks.News(pk, {"account_id": account_id, "person_id": person_id, "changed": told}, contact_id=pk)


def of_persons(changes: Mapping[int, Iterable[str]]) -> Iterator[tuple[int, str]]:
    """Give what changed of persons as changes of their contacts."""
    for some in bulk.chunks(list(changes), policy.RECORDING.rows_per_statement):
        for pk, person_id in Contact.objects.filter(person__in=some).order_by("pk").values_list("pk", "person_id"):
            yield from ((pk, name) for name in changes[person_id])


@transaction.atomic
def correct(contact: Contact, *, at: datetime, by: User | None = None, because: str = "", **changes: str) -> Contact:
    """Correct the person's names and language, or details of the job; a changed address is no longer known to be invalid.

    `because` is what the history says of it, in English; who reads it sees it translated. Raise Invalid as `add` does, also for a field that cannot be corrected; Conflict for an erased contact.
    """
    row = _not_erased(Contact.objects.select_related("person"), contact)
    job = {name: changes[name].strip() for name in DETAILS if name in changes}
    names = {name: changes[name].strip() for name in NAMES if name in changes}
    old_email = row.email
    _set(row, job)
    _set(row.person, names)
    unknown: dict[str, object] = {name: _("This cannot be corrected.") for name in changes if name not in job and name not in names}
    _refuse(unknown | _wrong_person(row.person) | _wrong(row, *job) | _taken(row))
    values: dict[str, object] = {name: getattr(row, name) for name in job}
    if row.email.lower() != old_email.lower():
        values["address_invalid_at"] = None
    with _first_come():
        if names:
            _write_person(row.person, names, by=by, because=because)
        return _write(contact, values, at=at, by=by, because=because, told=names)


Written = TypeVar("Written", Contact, Person)


def _not_erased(rows: QuerySet[Written], record: Written) -> Written:
    """Read a record as it is now, and keep an erasure off it until this is written; raise Conflict if it came first."""
    row = rows.select_for_update(of=("self",)).get(pk=record.pk)
    if row.erased_at or (isinstance(row, Contact) and row.person.erased_at):
        raise _erased()
    return row


def _erased() -> errors.Conflict:
    return errors.Conflict(_("The data of this person were erased."))


def _set(record: Contact | Person, values: dict[str, str]) -> None:
    for name, value in values.items():
        setattr(record, name, value)


def _refuse(wrong: dict[str, object]) -> None:
    if wrong:
        raise errors.Invalid(" ".join(str(reason) for reason in wrong.values()), detail=wrong)


def _wrong(record: Contact | Person, *names: str) -> dict[str, object]:
    """Map each of these fields that cannot be right to the reason."""
    return bulk.wrong_values(type(record), {name: getattr(record, name) for name in names})


def _wrong_person(person: Person) -> dict[str, object]:
    if not person.given_name and not person.family_name:
        return {"family_name": NO_NAME}
    return _wrong(person, *NAMES)


def _taken(contact: Contact) -> dict[str, object]:
    """Map what another contact has already: the address at this account, the id at the source, this job of this person."""
    others, wrong = Contact.objects.exclude(pk=contact.pk), dict[str, object]()
    here = others.filter(account=contact.account_id)
    if contact.email and here.at_address(contact.email).exists():
        wrong["email"] = ADDRESS_TAKEN
    if contact.external_id and others.filter(source=contact.source, external_id=contact.external_id).exists():
        wrong["external_id"] = ID_TAKEN
    if contact.left_on is None and contact.person_id and here.active().filter(person=contact.person_id).exists():
        wrong["person"] = _("This person works at the account already.")
    return wrong


@contextmanager
def _first_come() -> Iterator[None]:
    """Write in a transaction; raise Conflict if somebody else wrote the same contact a moment earlier."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise errors.Conflict(_("Somebody else added the same contact at this moment.")) from error


def _write_person(person: Person, values: dict[str, str], *, by: User | None, because: str = "") -> None:
    Person.objects.filter(pk=person.pk).update(**values)
    Person.history.bulk_history_create([person], update=True, default_user=by, default_change_reason=because or None)


@transaction.atomic
def _write(
    contact: Contact,
    values: dict[str, object],
    *,
    at: datetime,
    by: User | None = None,
    only: Q | None = None,
    because: str = "",
    told: Iterable[str] = (),
) -> Contact:
    """Write values with their history row, and tell, also of what was `told` to be written of the person; raise Conflict for an erased contact, or one no longer as `only` says."""
    if not Contact.objects.filter(only or Q(), pk=contact.pk, erased_at=None).update(**values, updated_at=at):
        if Contact.objects.filter(pk=contact.pk).exclude(erased_at=None).exists():
            raise _erased()
        raise errors.Conflict(_("This contact was changed by somebody else."))
    contact.refresh_from_db()
    Contact.history.bulk_history_create([contact], update=True, default_user=by, default_change_reason=because or None)
    events.tell(events.dmu_changed, account_ids=[contact.account_id])
    tell_updated([contact.pk], changed={*values, *told}, at=at)
    return contact


def confirm_details(contact: Contact, *, at: datetime, because: str = "") -> Contact:
    """Record that the details were confirmed to be right; `because` as `correct` has it."""
    return _write(contact, {"details_confirmed_at": at}, at=at, because=because)


def suspect(contact: Contact, *, at: datetime) -> bool:
    """Mark that somebody may have left: the roles show 'at risk'. Say whether the mark is new."""
    return _mark(contact, "departure_suspected_at", at, at=at)


def clear_suspicion(contact: Contact, *, at: datetime) -> bool:
    """Take the mark away again. Say whether there was one."""
    return _mark(contact, "departure_suspected_at", None, at=at)


def find_address_invalid(contact: Contact, *, at: datetime) -> bool:
    """Mark an address that never worked, until it is corrected. Say whether the mark is new."""
    return _mark(contact, "address_invalid_at", at, at=at)


def _mark(contact: Contact, name: str, moment: datetime | None, *, at: datetime) -> bool:
    """Set or (None) clear a mark that is not as wanted yet; a mark keeps its first moment, an erased contact its state."""
    if not Contact.objects.filter(pk=contact.pk, erased_at=None, **{f"{name}__isnull": moment is not None}).exists():
        return False
    _write(contact, {name: moment}, at=at)
    return True


@transaction.atomic
def depart(contact: Contact, *, left_on: date, at: datetime, by: User | None = None, reason: str = "") -> Departure:
    """Record that a contact left: every role ends, and what they confirmed is withdrawn; what it did hangs on the Departure.

    Raise Conflict for somebody who left already, Invalid for a day to come (until then the person counts) or before 1950.
    """
    if left_on.year < 1950:
        raise errors.Invalid(_("This day lies before 1950."), detail={"left_on": _("This day lies before 1950.")})
    if left_on > policy.day_of(at):
        raise errors.Invalid(_("This day has not come yet."), detail={"left_on": _("This day has not come yet.")})
    _write(contact, {"left_on": left_on}, at=at, by=by, only=Q(left_on=None))
    departure = Departure.objects.create(contact=contact, left_on=left_on, recorded_at=at, recorded_by=by, reason=reason[:200])
    ended = {"until": Greatest("since", left_on), "end_reason": DmuMembership.EndReason.LEFT, "departure": departure}
    _rewrite(DmuMembership.objects.current().filter(contact=contact), ended, by=by)
    dmu.tell_lost(DmuMembership.objects.filter(departure=departure), at=at)
    opportunities.withdraw_because_left(departure, at=at)
    events.tell(events.contact_departed, contact_id=contact.pk, account_id=contact.account_id)
    return departure


@transaction.atomic
def undo_departure(departure: Departure, *, at: datetime, by: User | None = None) -> Departure:
    """Put back exactly what a departure ended: the job, the roles, the confirmations.

    Raise Conflict if it was undone already, the person works there again as another contact, or was erased.
    """
    if not Departure.objects.filter(pk=departure.pk, undone_at=None).update(undone_at=at):
        raise errors.Conflict(_("This departure was undone already."))
    departure.refresh_from_db()
    contact = departure.contact
    if Contact.objects.active().filter(person=contact.person_id, account=contact.account_id).exists():
        raise errors.Conflict(_("This person works at the account already."))
    _write(contact, {"left_on": None}, at=at, by=by)
    _rewrite(DmuMembership.objects.filter(departure=departure), {"until": None, "end_reason": "", "departure": None}, by=by)
    opportunities.restore_after(departure, at=at)
    return departure


def _rewrite(memberships: DmuMembershipQuerySet, values: dict[str, object], *, by: User | None) -> None:
    """Write the same to several memberships, with a history row each."""
    ids = list(memberships.values_list("pk", flat=True))
    DmuMembership.objects.filter(pk__in=ids).update(**values)
    DmuMembership.history.bulk_history_create(DmuMembership.objects.filter(pk__in=ids), update=True, default_user=by)


@transaction.atomic
def carry_over(
    contact: Contact, *, to_account: Account, at: datetime, by: User | None = None, email: str = "", job_title: str = ""
) -> Contact:
    """Add the same person's job at the next employer; refusals are those of `add`.

    Neither address, function nor legal basis come along: they belonged to the former job. An opt-out is the person's and does.
    """
    _not_erased(Contact.objects.select_related("person"), contact)
    return add(account=to_account, person=contact.person, email=email, job_title=job_title, source="carried over", at=at, by=by)
