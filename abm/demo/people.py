"""Invented people at the demo's accounts: persons, their jobs, and their roles in the DMU."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from django.utils.text import slugify
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from abm.demo import names, stories
from abm.demo.stories import Seat
from crm import policy
from crm.models import Account, Contact, DmuMembership, Person, Stance

SOURCE = "demo (invented)"
SEED = 20


@dataclass(frozen=True)
class Member:
    """One invented person at one account, and the part played there."""

    contact: Contact
    account: Account
    story: str
    seat: Seat


def dice(name: str) -> Random:
    """Give a source of chance that rolls the same for the same name."""
    return Random(f"{SEED}:{name}")  # noqa: S311 - nothing secret is drawn from it


def settle(accounts: Sequence[Account], *, at: datetime) -> list[Member]:
    """Give every account a web domain and a DMU of two to nine people, in a handful of statements."""
    told, fresh_names = stories.tell(accounts), _fresh_names()
    _settle_accounts(accounts, told, at=at)
    members = [member for account in accounts for member in _members(account, told[account.pk], fresh_names)]
    note = {"default_change_reason": SOURCE, "default_date": at}
    bulk_create_with_history([member.contact.person for member in members], Person, **note)
    for member in members:
        member.contact.person_id = member.contact.person.pk
    bulk_create_with_history([member.contact for member in members], Contact, **note)
    bulk_create_with_history([_membership(member, at=at) for member in members if member.seat.has_role], DmuMembership, **note)
    return members


def _settle_accounts(accounts: Sequence[Account], told: Mapping[int, str], *, at: datetime) -> None:
    """Give each account a domain, and call those that its story finds quiet no customers: the data set's sales are years old."""
    for account in accounts:
        account.domain, account.updated_at = f"{slugify(account.name)}.example", at
        account.status = stories.STATUSES.get(told[account.pk], account.status)
    bulk_update_with_history(accounts, Account, ["domain", "status", "updated_at"], default_change_reason=SOURCE, default_date=at)


def _fresh_names() -> Iterator[tuple[str, str]]:
    """Yield given and family names, no pair twice."""
    pairs = [(given, family) for given in names.GIVEN for family in names.FAMILY]
    dice("names").shuffle(pairs)
    return iter(pairs)


def _members(account: Account, story: str, fresh_names: Iterator[tuple[str, str]]) -> Iterator[Member]:
    rolls = dice(account.name)
    for seat in stories.cast(story, employees=account.employees, dice=rolls):
        yield Member(_contact(account, seat, next(fresh_names), rolls), account, story, seat)


def _contact(account: Account, seat: Seat, name: tuple[str, str], rolls: Random) -> Contact:
    given, family = name
    job_title, function = rolls.choice(names.JOBS[seat.role])
    is_known = seat.mark != "~"
    return Contact(
        person=Person(given_name=given, family_name=family, language=rolls.choice(("nl", "en"))),
        account=account,
        email=f"{slugify(given)}.{slugify(family)}@{account.domain}" if is_known else "",
        phone=_phone(rolls) if is_known and rolls.random() < 0.5 else "",
        job_title=job_title,
        function=function,
        legal_basis=Contact.LegalBasis.CUSTOMER if account.status == Account.Status.CUSTOMER else Contact.LegalBasis.INTEREST,
        source=SOURCE,
        external_id=f"{given} {family}",
    )


def _phone(rolls: Random) -> str:
    kind = rolls.randrange(len(names.PHONES))
    return names.PHONES[kind].format(rolls.randint(names.FIRST_OF_PHONES[kind], names.LAST_OF_PHONES[kind]))


def _membership(member: Member, *, at: datetime) -> DmuMembership:
    rolls = dice(f"{member.contact}, {member.account}")
    return DmuMembership(
        account=member.account,
        contact=member.contact,
        role=member.seat.role,
        stance=Stance.NEUTRAL if member.seat.is_assumed else _stance(member.seat, rolls),
        is_assumed=member.seat.is_assumed,
        said_by=member.account.owner,
        since=policy.day_of(at) - timedelta(days=rolls.randint(200, 900)),
    )


def _stance(seat: Seat, rolls: Random) -> str:
    likely: Mapping[str, int] = {
        Stance.CHAMPION: 3 if seat.is_active else 0,
        Stance.SUPPORTER: 4,
        Stance.NEUTRAL: 5,
        Stance.SCEPTIC: 2,
        Stance.BLOCKER: 1,
    }
    return rolls.choices(list(likely), weights=list(likely.values()))[0]
