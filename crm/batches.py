"""Records that an integration sends by the thousand: made or brought up to date, one result a row, and no wrong row holds up another.

Matched as imports match: a contact by its id at the source, else by its address at the account; an account by its id at
the source, else by its web domain. What is new is written in a fixed number of statements, what is known through the rule for one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Lower
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import access, accounts, bulk, contacts, newcomers, policy
from crm.errors import CrmError, Invalid
from crm.models import Account, Contact, User
from crm.newcomers import NewContact

CREATED, UPDATED, UNCHANGED, FAILED, NOT_WRITTEN = "created", "updated", "unchanged", "failed", "not_written"
STATUSES = (CREATED, UPDATED, UNCHANGED, FAILED, NOT_WRITTEN)
# How often rows are looked at again when others write the same ones at the same moment.
TRIES = 3
_TAKEN = gettext_lazy("This is a record of another team.")
_MAY_NOT = gettext_lazy("You may not change this record.")
_TWICE = gettext_lazy("An earlier row of this call names the same record.")
Row = Mapping[str, Any]
Wrong = Mapping[str, object]


@dataclass(frozen=True)
class Result:
    """What became of one row."""

    index: int
    status: str
    id: int | None = None
    errors: Wrong = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """How rows of one kind are read, matched, added and changed; each takes and gives whole chunks."""

    texts: tuple[str, ...]
    others: tuple[str, ...]
    # The records that rows mean, by the place of the row.
    match: Callable[[Mapping[int, Row]], dict[int, Any]]
    # For each row its new record, or what is wrong with it.
    add: Callable[[Sequence[Row], User, datetime], list[tuple[int | None, Wrong]]]
    change: Callable[[Any, Row, User, datetime], bool]
    model: type[Account | Contact]

    @property
    def names(self) -> frozenset[str]:
        """Name what a row may hold."""
        return frozenset(self.texts + self.others)


def upsert(kind: Kind, rows: Sequence[object], *, at: datetime, by: User, atomic: bool = False, add_only: bool = False) -> list[Result]:
    """Make or change up to `policy.RECORDING.activities_per_call` records; results in the given order.

    `atomic`: all or nothing; of a call with a failed row the others are `not_written`. `add_only`: what is there already fails.
    """
    most = policy.RECORDING.activities_per_call
    if len(rows) > most:
        raise Invalid(_("At most %(bound)d rows in one call.") % {"bound": most})
    size = max(len(rows), 1) if atomic else policy.RECORDING.rows_per_statement
    results: list[Result] = []
    for start in range(0, len(rows), size):
        chunk = dict(enumerate(rows[start : start + size], start))
        results += _in_some_tries(partial(_chunk, kind, chunk, at=at, by=by, atomic=atomic, add_only=add_only))
    return sorted(results, key=lambda result: result.index)


def _in_some_tries(write: Callable[[], list[Result]]) -> list[Result]:
    """Write a chunk; look again at what is there when somebody else wrote one of its records since."""
    for _try in range(TRIES - 1):
        try:
            with transaction.atomic():
                return write()
        except IntegrityError:
            continue
    with transaction.atomic():
        return write()


def _chunk(kind: Kind, rows: Mapping[int, object], *, at: datetime, by: User, atomic: bool, add_only: bool) -> list[Result]:
    """Write one chunk in the caller's transaction."""
    results: list[Result] = []
    good: dict[int, Row] = {}
    for index, row in rows.items():
        if wrong := _unreadable(kind, row):
            results.append(Result(index, FAILED, errors=wrong))
        else:
            good[index] = _completed(kind, row)  # type: ignore[arg-type]
    there = kind.match(good)
    results += _change(kind, {index: (good[index], record) for index, record in there.items()}, at=at, by=by, add_only=add_only)
    fresh = {index: row for index, row in good.items() if index not in there}
    for index, (pk, wrong) in zip(fresh, kind.add(list(fresh.values()), by, at), strict=True):
        results.append(Result(index, CREATED, pk) if pk else Result(index, FAILED, errors=wrong))
    if atomic and any(result.status == FAILED for result in results):
        transaction.set_rollback(True)
        return [result if result.status == FAILED else Result(result.index, NOT_WRITTEN) for result in results]
    return results


def _unreadable(kind: Kind, row: object) -> Wrong:
    """Say what of a row is no value of its kind at all; whether it can be right is the rules' to say."""
    if not isinstance(row, Mapping):
        return {"row": _("A row is an object of names and values.")}
    wrong: dict[str, object] = {str(name)[:50]: _("This cannot be set here.") for name in row.keys() - kind.names}
    for name, value in row.items():
        if name in kind.texts and not isinstance(value, str | None):
            wrong[name] = _("This must be a text.")
        elif name in kind.others and not isinstance(value, str | int | float | None):
            wrong[name] = _("This must be a single value.")
    return wrong


def _completed(kind: Kind, row: Row) -> Row:
    """Give null the meaning of an empty text, and take off what stands around a text."""
    return {name: (value or "").strip() if name in kind.texts else value for name, value in row.items()}


def _change(kind: Kind, known: Mapping[int, tuple[Row, Any]], *, at: datetime, by: User, add_only: bool) -> Iterator[Result]:
    """Bring records that are there up to date, in the order of their ids, so that two calls at once wait for each other."""
    pks = {record.pk for _row, record in known.values()}
    seen = kind.model.objects.visible_to(by).filter(pk__in=pks)
    visible = set(seen.values_list("pk", flat=True))
    changeable = set(seen.filter(access.changeable(by, kind.model)).values_list("pk", flat=True))
    done: set[int] = set()
    for index, (row, record) in sorted(known.items(), key=lambda item: (item[1][1].pk, item[0])):
        if record.pk not in visible:
            yield Result(index, FAILED, errors={"external_id": _TAKEN})
        elif add_only:
            yield Result(index, FAILED, record.pk, {"external_id": _("There is such a record already.")})
        elif record.pk in done:
            yield Result(index, FAILED, record.pk, {"row": _TWICE})
        else:
            done.add(record.pk)
            yield _changed(kind, index, row, record, at=at, by=by, may=record.pk in changeable)


def _changed(kind: Kind, index: int, row: Row, record: Any, *, at: datetime, by: User, may: bool) -> Result:
    try:
        with transaction.atomic():
            if not kind.change(record, row, by if may else None, at):  # type: ignore[arg-type]
                return Result(index, UNCHANGED, record.pk)
            if not may:
                transaction.set_rollback(True)
                return Result(index, FAILED, record.pk, {"row": _MAY_NOT})
    except CrmError as error:
        return Result(index, FAILED, record.pk, error.detail or {"row": error})
    return Result(index, UPDATED, record.pk)


def _sources(rows: Mapping[int, Row]) -> set[str]:
    return {row.get("source", "") for row in rows.values()}


# --- contacts --------------------------------------------------------------------------------------
_OF_PERSON = ("given_name", "family_name", "language")
_OF_JOB = ("email", "phone", "job_title", "function", "legal_basis")


def _match_contacts(rows: Mapping[int, Row]) -> dict[int, Contact]:
    """Find contacts by their id at the source, else by their address at the account."""
    ids = {row["external_id"] for row in rows.values() if row.get("external_id")}
    emails = {row["email"].lower() for row in rows.values() if row.get("email")}
    people = Contact.objects.select_related("person").annotate(address=Lower("email"))
    by_id = {(one.source, one.external_id): one for one in people.filter(source__in=_sources(rows), external_id__among=ids)}
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
    return [_made(next(made)) if row.get("account") in seen else (None, _homeless(row)) for row in rows]


def _homeless(row: Row) -> Wrong:
    if row.get("account") is None:
        return {"account": _("This field is required.")}
    return {"account": _("There is no account %(id)s.") % {"id": str(row["account"])[:50]}}


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


# --- accounts --------------------------------------------------------------------------------------
_NUMBERS = ("employees", "revenue", "founded_year")
_TEXTS = (*(name for name in accounts.FACTS if name not in _NUMBERS), "domain")


def _match_accounts(rows: Mapping[int, Row]) -> dict[int, Account]:
    """Find accounts by their id at the source, else by their web domain."""
    ids = {row["external_id"] for row in rows.values() if row.get("external_id")}
    domains = {index: accounts.registrable_domain(row.get("domain", "")) for index, row in rows.items()}
    by_id = {(one.source, one.external_id): one for one in Account.objects.filter(source__in=_sources(rows), external_id__among=ids)}
    by_domain = {one.domain: one for one in Account.objects.filter(domain__among=set(domains.values()) - {""})}
    found = {}
    for index, row in rows.items():
        one = by_id.get((row.get("source", ""), row.get("external_id") or ""))
        if one := one or by_domain.get(domains[index]):
            found[index] = one
    return found


def _add_accounts(rows: Sequence[Row], by: User, at: datetime) -> list[tuple[int | None, Wrong]]:
    named = [{"name": ""} | {name: value for name, value in row.items() if value is not None} for row in rows]
    wrong = [bulk.wrong_values(Account, {name: row[name] for name in _NUMBERS if name in row}) for row in named]
    good = [row for row, reasons in zip(named, wrong, strict=True) if not reasons]
    made = iter(accounts.open_many([_prepared(row) for row in good], at=at, by=by))
    return [(None, reasons) if reasons else _opened(next(made)) for reasons in wrong]


def _opened(opened: accounts.Opened) -> tuple[int | None, Wrong]:
    return opened.account_id, opened.wrong


def _prepared(row: Row) -> dict[str, Any]:
    """Give numbers as their columns take them: JSON knows no decimals."""
    return {**row, **{name: bulk.cleaned(Account, name, row[name])[0] for name in _NUMBERS if name in row}}


def _change_account(account: Account, row: Row, by: User | None, at: datetime) -> bool:
    """Change what a row says otherwise; its id at the source is set once."""
    changes = {}
    for name in (*_TEXTS, *_NUMBERS):
        if name not in row or (name in ("source", "external_id") and account.external_id):
            continue
        meant = accounts.registrable_domain(row[name]) or row[name] if name == "domain" else row[name]
        meant, wrong = bulk.cleaned(Account, name, meant)
        if wrong or str(meant) != str(getattr(account, name)):
            changes[name] = row[name] if wrong or name == "domain" else meant
    if changes:
        accounts.change(account, at=at, by=by, **changes)
    return bool(changes)


ACCOUNTS = Kind(
    texts=_TEXTS, others=_NUMBERS, match=_match_accounts, add=_add_accounts, change=_change_account, model=Account,
)  # fmt: skip
