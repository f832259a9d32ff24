"""Rows of contacts: matched by id at the source, address or name at the account; else made, with account, roles and all."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from crm import access, bulk, contacts, dmu, newcomers, policy, privacy
from crm.errors import CrmError
from crm.imports import WrongValue
from crm.models import Contact, DmuMembership, Stance, Upload, UploadedRecord
from crm.newcomers import NewContact, NewRole
from crm.uploads.companies import Companies, reason_of
from crm.uploads.outcomes import Kind, Outcome, last_history, snapshot
from crm.uploads.parsing import ContactFacts

_JOB = ("email", "phone", "job_title", "function", "legal_basis")
# What a contact or person always has: leaving what is there means not to touch it.
_NEVER_EMPTY = {"legal_basis": Contact.LegalBasis.UNKNOWN}
Key = tuple[object, ...]


class ContactWriter:
    """Writes chunks of contacts, or says what would become of them."""

    def __init__(self, upload: Upload, headers: Mapping[str, str], *, is_trial: bool) -> None:
        self.upload, self.headers, self.is_trial, self.user = upload, headers, is_trial, upload.owner
        self.companies = Companies(upload, is_trial=is_trial)
        self.overwrites = upload.existing == Upload.Existing.OVERWRITE
        # Lines of this import by what they made, across chunks in a trial: small numbers, for there are many.
        self.lines: dict[int, int] = {}

    def write(self, rows: Sequence[ContactFacts], outcome: Outcome, *, at: datetime) -> None:
        """Write one chunk."""
        self.companies.look_up([facts.company for facts in rows])
        placed = self._placed(rows, outcome, at=at)
        there = self._there(placed)
        fresh: list[tuple[ContactFacts, int]] = []
        known: list[tuple[ContactFacts, Contact]] = []
        for facts, account_id in placed:
            try:
                contact = self._match(facts, account_id, there)
                self._refuse_repeated(facts, account_id, contact)
            except WrongValue as wrong:
                outcome.fail(facts.row, self.headers.get(wrong.column, ""), wrong.reason)
                continue
            if contact is None:
                fresh.append((facts, account_id))
            else:
                known.append((facts, contact))
        self._add(fresh, outcome, at=at)
        self._correct(known, outcome, at=at)

    def _placed(self, rows: Sequence[ContactFacts], outcome: Outcome, *, at: datetime) -> list[tuple[ContactFacts, int]]:
        """Find each row's account, and make those that nobody has; 0 for a row that names a contact by other means."""
        found: dict[int, int] = {}
        homeless: list[tuple[int, Any]] = []
        elsewhere = self._named_without_account(rows)
        for number, facts in enumerate(rows):
            try:
                account_id = self.companies.find(facts.company)
            except WrongValue as wrong:
                outcome.fail(facts.row, self.headers.get(wrong.column, ""), wrong.reason)
                continue
            if account_id is not None:
                found[number] = account_id
            elif facts.person.external_id in elsewhere or (facts.person.email.lower() in elsewhere and not _names_company(facts)):
                found[number] = 0
            elif _names_company(facts):
                homeless.append((number, facts.company))
            else:
                outcome.fail(facts.row, *self._homeless(facts))
        for number, answer in self.companies.make(self._judged(rows, homeless, outcome), at=at).items():
            if isinstance(answer, int):
                found[number] = answer
            else:
                outcome.fail(rows[number].row, self.headers.get("account_name", ""), answer)
        for account_id, number in self.companies.fresh if not self.is_trial else ():
            outcome.made(Kind.ACCOUNT, account_id, rows[number].row.line)
        return [(rows[number], found[number]) for number in sorted(found)]

    def _homeless(self, facts: ContactFacts) -> tuple[str, str]:
        """Say why a row has no account: by the column that should name it."""
        if facts.company.external_id:
            sentence = _("there is no account with the id '%(id)s' of this source; import the accounts first")
            return self.headers.get("account_external_id", ""), sentence % {"id": facts.company.external_id}
        return "", _("no company is named, and the address is nobody's at a known one")

    def _judged(self, rows: Sequence[ContactFacts], homeless: list[tuple[int, Any]], outcome: Outcome) -> list[tuple[int, Any]]:
        """Leave out, before an account is made for them, people who cannot be added anyway."""
        kept = []
        details = newcomers.wrong_details(rows[number].person for number, _company in homeless)
        for (number, company), wrong in zip(homeless, details, strict=True):
            if wrong:
                outcome.refuse(rows[number].row, wrong, self.headers)
            else:
                kept.append((number, company))
        return kept

    def _named_without_account(self, rows: Sequence[ContactFacts]) -> set[str]:
        """Give the ids and addresses of rows by which a contact is known, whatever the account."""
        ids = {facts.person.external_id for facts in rows if facts.person.external_id}
        emails = {facts.person.email.lower() for facts in rows if facts.person.email and not _names_company(facts)}
        known = Contact.objects.filter(source=self.upload.source, external_id__among=ids).values_list("external_id", flat=True)
        return {*known, *self._alone(emails)}

    def _alone(self, emails: set[str]) -> dict[str, int]:
        """Find contacts by addresses that only one contact has of those that the user sees."""
        rows = Contact.objects.visible_to(self.user).annotate(address=Lower("email")).filter(address__among=emails) if emails else ()
        found: dict[str, list[int]] = {}
        for contact in rows:
            found.setdefault(contact.email.lower(), []).append(contact.pk)
        return {email: pks[0] for email, pks in found.items() if len(pks) == 1}

    def _there(self, placed: Sequence[tuple[ContactFacts, int]]) -> dict[Key, Contact]:
        """Look up the contacts that rows may mean, by each name that they have."""
        people = [facts.person for facts, _account in placed]
        new = {account for account, _number in self.companies.fresh}
        accounts = {account for _facts, account in placed if account > 0} - new
        by_id = Q(source=self.upload.source, external_id__among={one.external_id for one in people if one.external_id})
        # At an account that was made a moment ago there is nobody.
        emails = {facts.person.email.lower() for facts, account in placed if facts.person.email and account not in new}
        at_homes = Q(account__id__among=accounts)
        names = {one.family_name.lower() for one in people if not one.email and not one.external_id}
        rows = Contact.objects.select_related("person").annotate(address=Lower("email"), family=Lower("person__family_name")).order_by("pk")
        found: dict[Key, Contact] = {}
        for condition in (by_id, at_homes & Q(address__among=emails), at_homes & Q(family__in=names, erased_at=None)):
            for contact in rows.filter(condition):
                found |= dict.fromkeys(_keys(contact), contact)
        alone = self._alone({facts.person.email.lower() for facts, account in placed if account == 0 and facts.person.email})
        for contact in rows.filter(pk__in=alone.values()):
            found[0, contact.email.lower()] = contact
        pks = {contact.pk for contact in found.values()}
        mine = Contact.objects.visible_to(self.user).filter(pk__among=pks)
        self._visible = set(mine.values_list("pk", flat=True))
        self._changeable = set(mine.filter(access.changeable(self.user, Contact)).values_list("pk", flat=True))
        self._lines_of = dict(self._records_of(pks)) if not self.is_trial else {}
        return found

    def _records_of(self, pks: Iterable[int]) -> Iterable[tuple[int, int]]:
        """Say which line of this import made or changed these contacts."""
        ours = UploadedRecord.objects.filter(upload=self.upload, kind=Kind.CONTACT, object_id__in=pks)
        return ours.values_list("object_id", "line")

    def _match(self, facts: ContactFacts, account_id: int, there: Mapping[Key, Contact]) -> Contact | None:
        person = facts.person
        contact = there.get(("id", person.external_id)) if person.external_id else None
        if contact and account_id and contact.account_id != account_id:
            sentence = _("this person is at another account here; record the departure there first")
            raise WrongValue("account_name", sentence)
        if contact is None and person.email:
            contact = there.get((account_id, person.email.lower()))
        if contact is None and not person.email and not person.external_id:
            contact = there.get((account_id, person.given_name.lower(), person.family_name.lower()))
        if contact and contact.pk not in self._visible:
            raise WrongValue("external_id", _("this is a contact of another team"))
        return contact

    def _refuse_repeated(self, facts: ContactFacts, account_id: int, contact: Contact | None) -> None:
        """Refuse a row that says again what an earlier one of the same file said."""
        line = self._lines_of.get(contact.pk) if contact else None
        for key in _row_keys(facts.person, account_id):
            line = line or self.lines.get(hash(key))
        if line is not None:
            raise WrongValue("", _("the same as line %(line)d") % {"line": line})

    def _remember(self, facts: ContactFacts, account_id: int) -> None:
        self.lines |= {hash(key): facts.row.line for key in _row_keys(facts.person, account_id)}

    def _add(self, fresh: Sequence[tuple[ContactFacts, int]], outcome: Outcome, *, at: datetime) -> None:
        """Add the people nobody has, then their roles."""
        unique = []
        for facts, account_id in fresh:
            try:
                self._refuse_repeated(facts, account_id, None)
            except WrongValue as wrong:
                outcome.fail(facts.row, "", wrong.reason)
                continue
            self._remember(facts, account_id)
            facts.person.account_id = account_id
            unique.append(facts)
        people = [facts.person for facts in unique]
        if self.is_trial:
            judged = [newcomers.Made(None if wrong else 0, wrong) for wrong in newcomers.judge_many(people)]
        else:
            judged = newcomers.add_many(people, at=at, by=self.user, reason=reason_of(self.upload))
        roles = []
        for facts, made in zip(unique, judged, strict=True):
            account_id = facts.person.account_id
            if made.record_id is None:
                self._forget(facts, account_id)
                outcome.refuse(facts.row, made.wrong, self.headers)
                continue
            outcome.created += 1
            outcome.made(Kind.CONTACT, made.record_id, facts.row.line)
            roles += [NewRole(made.record_id, account_id, role, facts.stance, is_assumed=True) for role in facts.roles]
        if roles and not self.is_trial:
            newcomers.assign_many(roles, at=at, by=self.user, reason=reason_of(self.upload), just_added=True)

    def _forget(self, facts: ContactFacts, account_id: int) -> None:
        for key in _row_keys(facts.person, account_id):
            self.lines.pop(hash(key), None)

    def _correct(self, known: Sequence[tuple[ContactFacts, Contact]], outcome: Outcome, *, at: datetime) -> None:
        """Change contacts that are there, one by one; a trial takes all of it back."""
        held: dict[int, dict[str, DmuMembership]] = {}
        memberships = DmuMembership.objects.current().standing().filter(contact__in=[contact.pk for _facts, contact in known])
        for membership in memberships if any(facts.roles for facts, _contact in known) else ():
            held.setdefault(membership.contact_id, {})[membership.role] = membership
        with transaction.atomic():
            for facts, contact in known:
                changes = self._changes(facts.person, contact)
                roles = self._role_changes(facts, held.get(contact.pk, {}))
                opts_out = facts.person.opted_out and contact.person.opted_out_at is None
                if not changes and not roles and not opts_out:
                    outcome.unchanged += 1
                    continue
                if (changes or opts_out) and contact.pk not in self._changeable:
                    outcome.fail(facts.row, "", _("you may not change this contact"))
                    continue
                try:
                    with transaction.atomic():
                        self._apply(facts, contact, changes, roles, outcome, opts_out=opts_out, at=at)
                except CrmError as error:
                    outcome.refuse(facts.row, dict.fromkeys(list(error.detail)[:1], error) or {"": error}, self.headers)
                    continue
                outcome.changed += 1
                self._remember(facts, contact.account_id)
                self._lines_of[contact.pk] = facts.row.line
            if self.is_trial:
                transaction.set_rollback(True)

    def _changes(self, new: NewContact, contact: Contact) -> dict[str, str]:
        """Say what the row adds to a contact, or (if so chosen) says otherwise; a blank cell says nothing."""
        changes = {}
        for record, names in ((contact.person, contacts.NAMES), (contact, _JOB)):
            for name in names:
                said, there = getattr(new, name), getattr(record, name)
                is_empty = str(there or "") == _NEVER_EMPTY.get(name, "")
                if not said or said == _NEVER_EMPTY.get(name) or not (is_empty or self.overwrites):
                    continue
                meant, wrong = bulk.cleaned(type(record), name, said)
                if wrong or str(meant) != str(there or ""):
                    changes[name] = said
        return changes

    def _role_changes(self, facts: ContactFacts, held: Mapping[str, DmuMembership]) -> dict[str, DmuMembership | None]:
        """Give the roles to be given (None), and those held in which the stance changes."""
        roles: dict[str, DmuMembership | None] = {}
        for role in facts.roles:
            there = held.get(role)
            if there is None:
                roles[role] = None
            elif facts.stance not in (Stance.NEUTRAL, there.stance) and (self.overwrites or there.stance == Stance.NEUTRAL):
                roles[role] = there
        return roles

    def _apply(
        self,
        facts: ContactFacts,
        contact: Contact,
        changes: dict[str, str],
        roles: Mapping[str, DmuMembership | None],
        outcome: Outcome,
        *,
        opts_out: bool,
        at: datetime,
    ) -> None:
        """Change one contact by the rules for one, and note what undo needs."""
        noted, person, line = list[tuple[str, Any, dict[str, Any] | None]](), contact.person, facts.row.line
        of_person = [*(name for name in contacts.NAMES if name in changes), *(["opted_out_at"] if opts_out else [])]
        # Noted in any case: it is how a second row on the same person is known.
        noted.append((Kind.CONTACT, contact, snapshot(contact, [*_JOB, "address_invalid_at", "updated_at"] if changes else [])))
        if of_person:
            noted.append((Kind.PERSON, person, snapshot(person, of_person)))
        if changes:
            contacts.correct(contact, at=at, by=self.user, **changes)
        if opts_out:
            privacy.opt_out(person, at=at, by=self.user)
        for role, there in roles.items():
            if there is None:
                membership = dmu.assign(contact=contact, role=role, stance=facts.stance, is_assumed=True, at=at, by=self.user)
                noted.append((Kind.MEMBERSHIP, membership, None))
            else:
                noted.append((Kind.MEMBERSHIP, there, snapshot(there, ["stance"])))
                dmu.set_stance(there, stance=facts.stance, at=at, by=self.user)
        outcome.records += [(kind, record.pk, line, before, last_history(record)) for kind, record, before in noted]


def _names_company(facts: ContactFacts) -> bool:
    company = facts.company
    return bool(company.name or company.domain or (company.mail_domain and company.mail_domain not in policy.MAIL.free_domains))


def _keys(contact: Contact) -> Iterable[Key]:
    if contact.external_id:
        yield "id", contact.external_id
    if contact.email:
        yield contact.account_id, contact.email.lower()
    yield contact.account_id, contact.person.given_name.lower(), contact.person.family_name.lower()


def _row_keys(person: NewContact, account_id: int) -> list[Key]:
    """Give what a row must not say twice: the id, the address at the account, or without both the name there."""
    keys: list[Key] = [("id", person.external_id)] if person.external_id else []
    if person.email:
        keys.append((account_id, person.email.lower()))
    return keys or [(account_id, person.given_name.lower(), person.family_name.lower())]
