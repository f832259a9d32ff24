"""Privacy: opt-outs, the register of what is held on a person, export, erasure that keeps totals, and retention."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat, Lower
from django.utils.translation import gettext_lazy as _
from phonenumber_field.phonenumber import PhoneNumber

from crm import contacts, errors, events, policy, webhooks
from crm.models import (
    Activity,
    Confirmation,
    Contact,
    Delivery,
    DeliveryReport,
    Departure,
    DetailsRequest,
    DmuMembership,
    FollowUp,
    KeptAnswer,
    MergedRecord,
    Person,
    Suppression,
    User,
)

# What stands where a text about a person stood that may not be empty.
ERASED = "(erased)"
_NOWHERE = Concat(Value("erased-"), Cast("pk", CharField()), Value("@invalid"))
# These outlive an erasure: without them the next import would mail the person again.
_SUPPRESSED_FOR_GOOD = (Suppression.Reason.OPTED_OUT, Suppression.Reason.COMPLAINED)


def opt_out(person: Person, *, at: datetime, by: User | None = None, because: str = "") -> Person:
    """Let a person get no mail of ours, at any employer, from this moment; opted out already, the first moment stays.

    `because` is what the history says of it, in English; who reads it sees it translated.
    """
    return _opt(person, Person.objects.filter(opted_out_at=None), at, at=at, by=by, because=because)


def opt_in(person: Person, *, at: datetime, by: User | None = None, because: str = "") -> Person:
    """Let a person get mail again, as far as the person goes; a suppression of an address stays until it is released."""
    return _opt(person, Person.objects.exclude(opted_out_at=None), None, at=at, by=by, because=because)


@transaction.atomic
def _opt(person: Person, others: QuerySet[Person], moment: datetime | None, *, at: datetime, by: User | None, because: str) -> Person:
    if Person.objects.filter(pk=person.pk).exclude(erased_at=None).exists():
        raise errors.Conflict(_("The data of this person were erased already."))
    if others.filter(pk=person.pk, erased_at=None).update(opted_out_at=moment):
        person.refresh_from_db()
        Person.history.bulk_history_create([person], update=True, default_user=by, default_change_reason=because or None)
        theirs = Contact.objects.filter(person=person)
        _tell_accounts_of(theirs)
        contacts.tell_updated(theirs.values_list("pk", flat=True), changed=["opted_out_at"], at=at)
    return person


def _tell_accounts_of(contacts: QuerySet[Contact]) -> None:
    if ids := sorted(set(contacts.order_by().values_list("account", flat=True))):
        events.tell(events.dmu_changed, account_ids=ids)


# Gives the rows held on these contacts.
Export = Callable[[Sequence[int]], list[dict[str, Any]]]


class Erase(Protocol):
    """Takes out of the rows held on these contacts what names or describes a person."""

    def __call__(self, contact_ids: Sequence[int], /, *, at: datetime) -> None:
        """Do it in a number of statements that does not grow with the contacts."""


_REGISTER: dict[str, tuple[Export, Erase]] = {}


def register(name: str, *, export: Export, erase: Erase) -> None:
    """Say what an app holds on people, always by their contacts (jobs); the same name again replaces the former.

    Erasure walks the register backwards: who registers after crm still finds names and addresses.
    """
    _REGISTER[name] = (export, erase)


def export_person(person: Person) -> dict[str, Any]:
    """Give everything held on a person, as JSON-ready values: the person, and a list of rows per registered name."""
    contacts = _contacts_of(person)
    held: dict[str, Any] = {
        "person": Person.objects.filter(pk=person.pk).values().get(),
        "person_history": list(Person.history.filter(id=person.pk).values()),
    }
    held |= {name: export(contacts) for name, (export, _erase) in _REGISTER.items()}
    exported: dict[str, Any] = json.loads(json.dumps(held, default=_plain))
    return exported


def _plain(value: object) -> object:
    """Write dates and amounts as Django does, and a phone number as it is dialled."""
    return str(value) if isinstance(value, PhoneNumber) else DjangoJSONEncoder().default(value)


def _contacts_of(person: Person) -> list[int]:
    """Give every contact of a person, also those deleted with their account: their histories still name the person."""
    now_of_another = Contact.objects.filter(pk=OuterRef("id")).exclude(person=person)
    ever = Contact.history.filter(~Exists(now_of_another), person_id=person.pk).order_by().values_list("id", flat=True)
    return with_merged({*Contact.objects.filter(person=person).values_list("pk", flat=True), *ever})


def with_merged(contact_ids: Iterable[int]) -> list[int]:
    """Add the contacts that were merged into these: their histories are still there, and they may come back."""
    found = set(contact_ids)
    merged = MergedRecord.objects.filter(model="crm.contact", merge__undone_at=None)
    while more := set(merged.filter(kept_id__in=found).values_list("folded_id", flat=True)) - found:
        found |= more
    return sorted(found)


@transaction.atomic
def erase(person: Person, *, at: datetime, by: User | None = None) -> Person:
    """Take a person out of every record, and keep the records: what was counted stays counted, nobody stays recognisable.

    Goes: names, addresses, phones, titles, subjects, evidence and notes, in the histories and the admin's log, too.
    Stays: activities, roles and confirmations of '(erased)', and the source ids of activities, which keep a batch
    that is sent again from counting twice. A suppression on an address of theirs stays only for somebody who opted out
    or complained (an opt-out of the person becomes one), so that the next import does not mail them again.
    Raise Conflict for somebody who was erased already.
    """
    _lock(Contact.objects.filter(person=person))
    if not Person.objects.filter(pk=person.pk, erased_at=None).update(erased_at=at):
        raise errors.Conflict(_("The data of this person were erased already."))
    _erase_contacts(_contacts_of(person), at=at)
    _erase_persons(Person.objects.filter(pk=person.pk), at=at, by=by)
    _tell_accounts_of(Contact.objects.filter(person=person))
    person.refresh_from_db()
    return person


def _lock(contacts: QuerySet[Contact]) -> None:
    """Keep everybody off these contacts: who waited to write one finds it erased. Contacts come before persons, in every rule."""
    list(contacts.select_for_update(of=("self",)).order_by("pk").values_list("pk"))


def _erase_contacts(contact_ids: Sequence[int], *, at: datetime) -> None:
    for _export, erase_held in reversed(list(_REGISTER.values())):
        erase_held(contact_ids, at=at)
    # Told last: what was to be told of them before is forgotten by now.
    erased = Contact.objects.filter(pk__in=contact_ids).order_by("pk").values_list("pk", "account_id", "person_id")
    news = (webhooks.News(pk, {"account_id": account_id, "person_id": person_id}) for pk, account_id, person_id in erased)
    webhooks.tell("contact.erased", news, at=at)


def _erase_persons(persons: QuerySet[Person], *, at: datetime, by: User | None = None) -> None:
    ids = list(persons.values_list("pk", flat=True))
    rows, nameless = Person.objects.filter(pk__in=ids), {"given_name": "", "family_name": ""}
    erase_log(rows)
    rows.update(**nameless, erased_at=at)
    Person.history.filter(id__in=ids).update(**nameless)
    Person.history.bulk_history_create(rows, update=True, default_user=by)


def erase_log(rows: QuerySet[Any]) -> None:
    """Blank how the admin's log names these rows."""
    log = apps.get_model("admin", "LogEntry").objects.filter(content_type=ContentType.objects.get_for_model(rows.model))
    log.filter(object_id__in=rows.order_by().values(logged_as=Cast("pk", TextField()))).update(object_repr=ERASED, change_message="")


# What a report about a person says in words.
_SAYING_NOTHING = {"evidence": "", "successor_name": "", "successor_email": ""}
_SILENT = Q(**_SAYING_NOTHING)


def retain(*, at: datetime) -> int:
    """Let go of what is older than policy.RETENTION allows, in batches; give the number of reports and contacts.

    A report about a mail of ours loses its evidence, an unverified one goes. A contact who left loses everything that
    `erase` takes, and so does the person with the last of the contacts.
    """
    old_reports = DeliveryReport.objects.filter(reported_at__lt=at - timedelta(days=policy.RETENTION.delivery_report_days))
    long_gone = policy.day_of(at) - timedelta(days=policy.RETENTION.ended_contact_days)
    return (
        in_batches(old_reports.filter(delivery=None), lambda ids: DeliveryReport.objects.filter(pk__in=ids).delete())
        + in_batches(old_reports.exclude(_SILENT), lambda ids: DeliveryReport.objects.filter(pk__in=ids).update(**_SAYING_NOTHING))
        + in_batches(Contact.objects.filter(left_on__lt=long_gone, erased_at=None), partial(_forget, at=at))
        + sum(let_go(at=at) for let_go in _LET_GO.values())
    )


class LetGo(Protocol):
    """Lets go of what a module of a higher floor has kept for long enough."""

    def __call__(self, *, at: datetime) -> int:
        """Do it, safe to repeat, and give how many."""


_LET_GO: dict[str, LetGo] = {}


def retain_also(name: str, let_go: LetGo) -> None:
    """Have retention do this, too; the same name again replaces the former."""
    _LET_GO[name] = let_go


def in_batches(rows: QuerySet[Any], act: Callable[[list[int]], object]) -> int:
    """Act on all rows, a bounded number per transaction, and count them; acting takes a row out of the selection."""
    count = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[: policy.RECORDING.rows_per_statement]):
        with transaction.atomic():
            act(ids)
        count += len(ids)
    return count


def _forget(contact_ids: Sequence[int], *, at: datetime) -> None:
    _lock(Contact.objects.filter(pk__in=contact_ids))
    _erase_contacts(with_merged(contact_ids), at=at)
    remembered = Contact.objects.filter(person=OuterRef("pk"), erased_at=None)
    _erase_persons(Person.objects.filter(contacts__in=contact_ids, erased_at=None).exclude(Exists(remembered)).distinct(), at=at)


@dataclass(frozen=True)
class Held:
    """Rows about contacts, to be registered by `hold`: how to find them, and what erasure makes of their columns."""

    find: Callable[[Sequence[int]], QuerySet[Any]]
    becomes: dict[str, Any] = field(default_factory=dict)
    # Columns that take the moment of erasure: always, or only where they are empty.
    erased_at: tuple[str, ...] = ()
    closed_at: tuple[str, ...] = ()

    def export(self, contact_ids: Sequence[int], /) -> list[dict[str, Any]]:
        """Give the rows with all their columns."""
        return list(self.find(contact_ids).values())

    def erase(self, contact_ids: Sequence[int], /, *, at: datetime) -> None:
        """Change the columns that name somebody, and the admin's log of the rows."""
        rows = self.find(contact_ids)
        erase_log(rows)
        moments = dict.fromkeys(self.erased_at, at) | {name: Coalesce(F(name), at) for name in self.closed_at}
        if changes := self.becomes | moments:
            rows.update(**changes)


def hold(name: str, held: Held) -> None:
    """Register plain rows, whose erasure is a change of columns."""
    register(name, export=held.export, erase=held.erase)


def addresses_of(contact_ids: Iterable[int]) -> set[str]:
    """Give every address, in lower case, that these contacts had, but for those that others share."""
    ids = list(contact_ids)
    emails = [
        *Contact.objects.filter(pk__in=ids).values_list("email", flat=True),
        *Contact.history.filter(id__in=ids).values_list("email", flat=True),
        *Delivery.objects.filter(contact__in=ids).values_list("address", flat=True),
    ]
    theirs = {email.lower() for email in emails if email}
    others = Contact.objects.exclude(pk__in=ids).annotate(address=Lower("email")).filter(address__in=theirs)
    return theirs - set(others.values_list("address", flat=True))


def _suppressions(contact_ids: Sequence[int]) -> QuerySet[Suppression]:
    return Suppression.objects.filter(address__in=addresses_of(contact_ids))


def _erase_suppressions(contact_ids: Sequence[int], /, *, at: datetime) -> None:
    """Keep what protects somebody who opted out or complained, without its note; the rest goes."""
    found = _suppressions(contact_ids)
    erase_log(found)
    for_good = Q(reason__in=_SUPPRESSED_FOR_GOOD, released_at=None)
    found.exclude(for_good).delete()
    found.update(note="")
    opted_out = Contact.objects.filter(pk__in=contact_ids).exclude(person__opted_out_at=None).values_list("pk", flat=True)
    new = [Suppression(address=address, reason=Suppression.Reason.OPTED_OUT, since=at) for address in sorted(addresses_of(opted_out))]
    Suppression.objects.bulk_create(new, ignore_conflicts=True)


_JOB = {"email": "", "phone": "", "job_title": "", "function": "", "external_id": ""}
_WORK = {"text": ERASED, "facts": {}, "result": ""}
# What names an address stands below contacts and deliveries: erasure walks backwards, and finds it by their addresses.
_HELD = {
    "contacts": Held(lambda ids: Contact.objects.filter(pk__in=ids), _JOB, erased_at=("erased_at", "updated_at")),
    "contact_history": Held(lambda ids: Contact.history.filter(id__in=ids), _JOB),
    "departures": Held(lambda ids: Departure.objects.filter(contact__in=ids), {"reason": ""}),
    "details_requests": Held(lambda ids: DetailsRequest.objects.filter(contact__in=ids)),
    "memberships": Held(lambda ids: DmuMembership.objects.filter(contact__in=ids)),
    "membership_history": Held(lambda ids: DmuMembership.history.filter(contact_id__in=ids)),
    "confirmations": Held(lambda ids: Confirmation.objects.filter(contact__in=ids), {"evidence": ERASED, "withdrawn_because": ""}),
    "activities": Held(
        lambda ids: Activity.objects.filter(contact__in=ids), {"subject": "", "message_id": "", "link": "", "user_agent": ""}
    ),
    "follow_ups": Held(lambda ids: FollowUp.objects.filter(contact__in=ids), _WORK, closed_at=("closed_at",)),
    "follow_up_history": Held(lambda ids: FollowUp.history.filter(contact_id__in=ids), _WORK),
    "deliveries": Held(
        lambda ids: Delivery.objects.filter(contact__in=ids),
        {"address": _NOWHERE, "subject": "", "message_id": "", "provider_id": "", "return_token": ""},
    ),
    "delivery_reports": Held(
        lambda ids: DeliveryReport.objects.filter(Q(delivery__contact__in=ids) | Q(recipient__in=addresses_of(ids))),
        {"recipient": _NOWHERE, **_SAYING_NOTHING},
    ),
}
for _name, _held in _HELD.items():
    hold(_name, _held)
register("suppressions", export=Held(_suppressions).export, erase=_erase_suppressions)


def _erase_kept_answers(_contact_ids: Sequence[int], /, *, at: datetime) -> None:
    """Empty the answers of the API that are kept for a day: nobody can tell whom one of them shows."""
    KeptAnswer.objects.exclude(body=b"").update(body=b"")


register("kept_answers", export=lambda _contact_ids, /: [], erase=_erase_kept_answers)
