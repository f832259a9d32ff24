"""The search for duplicates: records changed since the last time are compared with those that share a key."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import combinations
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Lower

from crm import policy
from crm.duplicates import compare, keys
from crm.duplicates.compare import SHOWN_FROM, Company, Human, Likeness
from crm.models import Account, AccountKey, AccountPair, Contact, ContactPair, DuplicateSweep

ACCOUNTS, CONTACTS = "accounts", "contacts"
Pairs = dict[tuple[int, int], Likeness]


def sweep(what: str, *, at: datetime, limit: int = 2_000) -> int:
    """Look at the next records that changed, oldest change first, in a fixed number of statements; give their number.

    Call it until it gives 0. Safe to stop anywhere: what was looked at is written down with what was found.
    """
    with transaction.atomic():
        DuplicateSweep.objects.get_or_create(what=what)
        so_far = DuplicateSweep.objects.select_for_update().get(what=what)
        model = Account if what == ACCOUNTS else Contact
        rows: QuerySet[Any] = model._base_manager.order_by("updated_at", "pk")
        if so_far.seen_until is not None:
            later = Q(updated_at__gt=so_far.seen_until) | Q(updated_at=so_far.seen_until, pk__gt=so_far.seen_id)
            rows = rows.filter(later, updated_at__gte=so_far.seen_until)
        changed = list(rows.values_list("pk", "updated_at")[:limit])
        if changed:
            ids = [pk for pk, _moment in changed]
            (_look_at_accounts if what == ACCOUNTS else _look_at_contacts)(ids, at=at)
            so_far.seen_id, so_far.seen_until = changed[-1]
        so_far.swept_at = at
        so_far.save()
    return len(changed)


# --- accounts --------------------------------------------------------------------------------------


def _look_at_accounts(ids: Collection[int], *, at: datetime) -> None:
    facts = account_facts(ids)
    AccountKey.objects.filter(account__in=ids).delete()
    AccountKey.objects.bulk_create(
        AccountKey(account_id=pk, key=key) for pk, one in facts.items() for key in sorted(keys.of_account(one.name, one.domain, one.city))
    )
    found = _alike(_sharing(ids), account_facts, compare.companies)
    _store(AccountPair, Q(one__in=ids) | Q(other__in=ids), found, at=at)


def account_facts(ids: Iterable[int]) -> dict[int, Company]:
    """Give what is compared of accounts."""
    rows = Account.objects.filter(pk__in=ids).values_list("pk", "name", "domain", "city", "country")
    return {pk: Company(name, domain, city, str(country)) for pk, name, domain, city, country in rows}


def _sharing(ids: Collection[int]) -> set[tuple[int, int]]:
    """Give the pairs of these accounts and others that share a key; a key that many share tells nothing."""
    mine = AccountKey.objects.filter(account__in=ids).values("key")
    telling = AccountKey.objects.filter(key__in=mine).values("key").annotate(count=Count("pk"))
    telling = telling.filter(count__gt=1, count__lte=keys.MOST_PER_KEY)
    blocks: dict[str, list[int]] = defaultdict(list)
    for key, pk in AccountKey.objects.filter(key__in=telling.values("key")).values_list("key", "account_id"):
        blocks[key].append(pk)
    wanted = set(ids)
    return {pair for block in blocks.values() for pair in combinations(sorted(block), 2) if wanted & set(pair)}


def _alike(pairs: Collection[tuple[int, int]], facts_of: Any, judge: Any) -> Pairs:
    facts: Mapping[int, Any] = facts_of({pk for pair in pairs for pk in pair})
    judged = {pair: judge(*(facts[pk] for pk in pair)) for pair in pairs if all(pk in facts for pk in pair)}
    return {pair: likeness for pair, likeness in judged.items() if likeness.certainty >= SHOWN_FROM}


def _store(model: Any, about: Q, found: Pairs, *, at: datetime) -> None:
    """Write the pairs of these records again; 'no duplicate' stays said."""
    known = {(pair.one_id, pair.other_id): pair for pair in model.objects.filter(about)}
    gone = [pair.pk for ids, pair in known.items() if ids not in found and pair.dismissed_at is None]
    model.objects.filter(pk__in=gone).delete()
    rows = [
        model(one_id=one, other_id=other, certainty=alike.certainty, reasons=list(alike.reasons), found_at=at)
        for (one, other), alike in sorted(found.items())
    ]
    model.objects.bulk_create(rows, update_conflicts=True, unique_fields=["one", "other"], update_fields=["certainty", "reasons"])


# --- contacts --------------------------------------------------------------------------------------


def _look_at_contacts(ids: Collection[int], *, at: datetime) -> None:
    here = Contact.objects.filter(account__in=Contact.objects.filter(pk__in=ids).values("account"))
    facts = human_facts(here) | human_facts(_same_address_elsewhere(ids))
    found = {pair: likeness for pair, likeness in _judged(facts, set(ids)).items() if likeness.certainty >= SHOWN_FROM}
    _store(ContactPair, Q(one__in=ids) | Q(other__in=ids), found, at=at)


def human_facts(contacts: QuerySet[Contact]) -> dict[int, Human]:
    """Give what is compared of contacts; who was erased is nobody."""
    rows = contacts.filter(erased_at=None).order_by().values_list(
        "pk", "person__given_name", "person__family_name", "email", "phone", "job_title", "account_id"
    )  # fmt: skip
    return {
        pk: Human(f"{given} {family}".strip(), email, str(phone or ""), title, account)
        for pk, given, family, email, phone, title, account in rows
    }


def _same_address_elsewhere(ids: Collection[int]) -> QuerySet[Contact]:
    """Select who has the address of one of these at another account, but for the person's own other jobs."""
    mine = Contact.objects.filter(pk__in=ids).exclude(email="").annotate(address=Lower("email"))
    same = mine.filter(address=OuterRef("address")).exclude(account=OuterRef("account")).exclude(person=OuterRef("person"))
    return Contact.objects.annotate(address=Lower("email")).filter(Exists(same), address__in=mine.values("address"))


def _judged(facts: Mapping[int, Human], wanted: set[int]) -> Pairs:
    blocks: dict[tuple[int | None, str], list[int]] = defaultdict(list)
    for pk, human in facts.items():
        for key in keys.of_person(human.name, human.email, human.phone):
            blocks[human.account_id, key].append(pk)
        if human.email and human.email.lower().partition("@")[0] not in policy.MAIL.role_names:
            blocks[None, human.email.lower()].append(pk)
    few = (block for block in blocks.values() if 1 < len(block) <= keys.MOST_PER_KEY)
    pairs = {pair for block in few for pair in combinations(sorted(block), 2) if wanted & set(pair)}
    return {pair: compare.people(facts[pair[0]], facts[pair[1]]) for pair in pairs}
