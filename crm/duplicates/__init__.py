"""Duplicates: records that look like one, found without comparing all with all."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from crm.accounts import registrable_domain
from crm.duplicates import compare, keys, names
from crm.duplicates.compare import NEARLY_SURE, REASONS, SHOWN_FROM, Company, Human, Likeness, in_words
from crm.duplicates.search import ACCOUNTS, CONTACTS, account_facts, human_facts, sweep
from crm.errors import Conflict
from crm.models import Account, AccountKey, AccountPair, Contact, ContactPair, User

__all__ = [
    "ACCOUNTS",
    "CONTACTS",
    "NEARLY_SURE",
    "REASONS",
    "SHOWN_FROM",
    "Company",
    "Human",
    "Likeness",
    "Match",
    "dismiss",
    "in_words",
    "like_account",
    "like_contact",
    "restore",
    "same_name",
    "sweep",
]
MOST_MATCHES = 5


@dataclass(frozen=True)
class Match:
    """A record on file that looks like one that somebody is about to add."""

    pk: int
    certainty: int
    reasons: tuple[str, ...]


def same_name(one: str, other: str) -> bool:
    """Say whether two people's names are one name: initials, order, diacritics and a slip aside."""
    return names.person_likeness(one, other) >= compare.SIMILAR_FROM


def like_account(*, name: str, domain: str = "", city: str = "", country: str = "") -> list[Match]:
    """Find accounts that look like one not yet on file, the surest first."""
    domain = registrable_domain(domain)
    new = Company(name, domain, city, country)
    sharing = AccountKey.objects.filter(key__in=keys.of_account(name, domain, city)).values_list("account_id", flat=True)
    ids = set(sharing[: 5 * keys.MOST_PER_KEY])
    # Those that no search has looked at yet are found by what they are exactly.
    ids |= set(Account.objects.filter(Q(domain=domain) & ~Q(domain="") | Q(name=name)).values_list("pk", flat=True)[:MOST_MATCHES])
    judged = {pk: _same_domain(new, one) or compare.companies(new, one) for pk, one in account_facts(ids).items()}
    return _best(judged)


def _same_domain(new: Company, other: Company) -> Likeness | None:
    return Likeness(99, ("same_domain",)) if new.domain and new.domain == other.domain else None


def like_contact(*, account_id: int | None, name: str, email: str = "", phone: str = "") -> list[Match]:
    """Find contacts that look like one not yet on file: at the account by name or address, elsewhere by address."""
    new = Human(name, email, phone, account_id=account_id)
    humans = human_facts(Contact.objects.filter(account=account_id)) if account_id else {}
    if email:
        same = Contact.objects.at_address(email).values_list("pk", flat=True)
        humans |= human_facts(Contact.objects.filter(pk__in=list(same[:20])))
    return _best({pk: _same_address(new, one) or compare.people(new, one) for pk, one in humans.items()})


def _same_address(new: Human, other: Human) -> Likeness | None:
    if not new.email or new.email.lower() != other.email.lower():
        return None
    is_here = new.account_id == other.account_id
    return Likeness(99, ("same_address",)) if is_here else Likeness(80, ("same_address", "elsewhere"))


def _best(judged: dict[int, Likeness]) -> list[Match]:
    found = [Match(pk, alike.certainty, alike.reasons) for pk, alike in judged.items() if alike.certainty >= SHOWN_FROM]
    return sorted(found, key=lambda match: (-match.certainty, match.pk))[:MOST_MATCHES]


def dismiss(pair: AccountPair | ContactPair, *, by: User | None, at: datetime) -> None:
    """Remember that two records are no duplicates; raise Conflict if somebody decided so already."""
    rows: Any = type(pair).objects
    if not rows.filter(pk=pair.pk, dismissed_at=None).update(dismissed_at=at, dismissed_by=by):
        raise Conflict(_("Somebody has decided on this pair already."))


def restore(pair: AccountPair | ContactPair) -> None:
    """Show a pair again that was said to be no duplicate."""
    type(pair).objects.filter(pk=pair.pk).update(dismissed_at=None, dismissed_by=None)
