"""Accounts: found by their web domain, and handed from one owner to the next."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from publicsuffixlist import PublicSuffixList

from crm import bulk, events, policy
from crm.errors import Conflict, Invalid
from crm.models import Account, FollowUp, Merge, Opportunity, Team, User

# What is said of an account in plain values.
FACTS = (
    "name", "status", "industry", "employees", "revenue", "revenue_currency", "founded_year", "country", "city", "source", "external_id",
)  # fmt: skip


@cache
def _suffixes() -> PublicSuffixList:
    # The list comes with the package; nothing is fetched. Private suffixes (blogspot.com) are other people's houses.
    return PublicSuffixList(only_icann=False)


def registrable_domain(text: str) -> str:
    """Give the part of an address, web site or host name that a company registers; '' when there is none.

    'https://www.shop.example.co.uk/nl?x=1' and 'jan@mail.example.co.uk' both give 'example.co.uk'.
    """
    text = text.strip().lower()
    return _registrable(text.rpartition("@")[2] if "@" in text and "//" not in text else text)


# Colleagues share what stands behind the "@".
@lru_cache(maxsize=20_000)
def _registrable(text: str) -> str:
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
        host = host.rstrip(".").encode("idna").decode("ascii")
    except ValueError:
        return ""
    return _suffixes().privatesuffix(host) or ""


def match(text: str) -> Account | None:
    """Find the account of a web site or mail address; a free-mail address belongs to no company.

    The domain of an account that was merged leads to the one that it was merged into.
    """
    domain = registrable_domain(text)
    if not domain or domain in policy.MAIL.free_domains:
        return None
    former = Account.objects.filter(merges__in=_former([domain]))
    return Account.objects.filter(domain=domain).first() or former.first()


def _former(domains: Iterable[str]) -> "QuerySet[Merge]":
    """Select the merges of accounts that had these domains: nobody else may have them while the merge stands."""
    return Merge.objects.standing().filter(folded_domain__among=domains)


def open(*, at: datetime, by: User | None = None, **facts: object) -> Account:
    """Open an account; it belongs to whoever opens it and to that person's team unless said otherwise."""
    account = Account(**{"owner": by, "team": by.team if by else None} | facts)
    with transaction.atomic():
        _check(account, facts)
        _write(account)
        events.tell(events.dmu_changed, account_ids=[account.pk])
    return account


@transaction.atomic
def change(account: Account, *, at: datetime, by: User | None = None, **facts: object) -> Account:
    """Change what is known of an account; only what is named here is written, so two people's changes both stay."""
    row = Account.objects.select_for_update(of=("self",), no_key=True).get(pk=account.pk)
    for name, value in facts.items():
        setattr(row, name, value)
    _check(row, facts)
    if by:
        row._history_user = by  # type: ignore[attr-defined]
    _write(row, only=[*facts, "domain", "updated_at"])
    events.tell(events.dmu_changed, account_ids=[row.pk])
    account.refresh_from_db()
    return account


@dataclass(frozen=True)
class Opened:
    """What became of one row of `open_many`: its account, or why there is none, by field."""

    account_id: int | None
    wrong: Mapping[str, object] = field(default_factory=dict)


@transaction.atomic
def open_many(rows: Sequence[Mapping[str, Any]], *, at: datetime, by: User | None = None, reason: str | None = None) -> list[Opened]:
    """Open accounts as `open` does, in a fixed number of statements; what `open` would refuse costs its own row alone.

    A row holds FACTS, `domain`, `owner_id` and `team_id`; without the latter two it falls to `by`. Rows are written in
    the order of their domains, so that two calls at once wait for each other instead of locking each other out;
    IntegrityError when somebody else took a domain or id meanwhile.
    """
    wrong = judge_many(rows)
    fresh = sorted((index for index, reasons in enumerate(wrong) if not reasons), key=lambda index: (_domain(rows[index]), index))
    ids = dict(zip(fresh, bulk.next_ids(Account, len(fresh)), strict=True))
    names = ("id", "domain", "owner_id", "team_id", *FACTS)
    belongs = {"owner_id": by.pk if by else None, "team_id": by.team_id if by else None}
    empty = {name: _default(name) for name in FACTS} | belongs
    values = ((ids[index], _domain(rows[index]), {**empty, **rows[index]}) for index in fresh)
    written = [(pk, domain, row["owner_id"], row["team_id"], *(row[name] for name in FACTS)) for pk, domain, row in values]
    bulk.insert(Account, [name.removesuffix("_id") if name != "external_id" else name for name in names], written, at=at)
    bulk.begin_history(Account, list(ids.values()), at=at, reason=reason, by_id=by.pk if by else None)
    if ids:
        events.tell(events.dmu_changed, account_ids=sorted(ids.values()))
    return [Opened(ids.get(index), reasons) for index, reasons in enumerate(wrong)]


def _default(name: str) -> Any:
    column: Any = Account._meta.get_field(name)
    return column.get_default()


def judge_many(rows: Sequence[Mapping[str, Any]]) -> list[bulk.Reasons]:
    """Say for each row what `open` would refuse, by field; nothing where it would not. Of equal rows the first is right."""
    domains = {domain for row in rows if (domain := _domain(row))}
    ids = {row["external_id"] for row in rows if row.get("external_id")}
    sources = {row.get("source", "") for row in rows}
    taken = set(Account.objects.filter(domain__among=domains).values_list("domain", flat=True))
    taken |= set(_former(domains).values_list("folded_domain", flat=True))
    known = set(Account.objects.filter(source__in=sources, external_id__among=ids).values_list("source", "external_id"))
    found = []
    for row in rows:
        wrong = _wrong_facts(row) | _wrong_domain(row.get("domain", ""))
        domain, source_id = _domain(row), (row.get("source", ""), row.get("external_id", ""))
        if domain in taken:
            wrong["domain"] = _taken(domain)
        if source_id[1] and source_id in known:
            wrong["external_id"] = _ID_TAKEN
        if not wrong:
            taken.add(domain or "-")
            known.add(source_id)
        found.append(wrong)
    return found


_ID_TAKEN = gettext_lazy("There is an account with this id of this source already.")


def _domain(row: Mapping[str, Any]) -> str:
    return registrable_domain(row.get("domain", ""))


def _wrong_facts(facts: Mapping[str, Any]) -> bulk.Reasons:
    wrong = bulk.wrong_values(Account, {name: facts[name] for name in FACTS if name in facts})
    return wrong if str(facts.get("name", "-")).strip() else wrong | {"name": _("An account needs a name.")}


def _wrong_domain(text: str) -> bulk.Reasons:
    """Say what is wrong with a domain in itself: none at all, or one that gives mail to everybody."""
    domain = registrable_domain(text)
    if text.strip() and not domain:
        return {"domain": _("'%(text)s' is no web domain.") % {"text": text}}
    if domain in policy.MAIL.free_domains:
        return {"domain": _("%(domain)s gives mail to everybody; it is no company's own.") % {"domain": domain}}
    return {}


def _taken(domain: str) -> str:
    return _("%(domain)s belongs to another account already.") % {"domain": domain}


def _check(account: Account, facts: Mapping[str, object]) -> None:
    """Refuse what an account cannot be, and bring its domain to the registrable part."""
    said = {name: str(facts[name]) if name == "country" else facts[name] for name in FACTS if name in facts}
    wrong = _wrong_facts({"name": account.name} | said) | _wrong_domain(account.domain)
    account.domain = registrable_domain(account.domain)
    others = Account.objects.exclude(pk=account.pk)
    if account.domain and "domain" not in wrong:
        former = _former([account.domain]).exclude(account=account.pk)
        if others.filter(domain=account.domain).exists() or former.exists():
            wrong["domain"] = _taken(account.domain)
    if wrong:
        raise Invalid(" ".join(map(str, wrong.values())), detail=wrong)
    if account.external_id and others.filter(source=account.source, external_id=account.external_id).exists():
        raise Conflict(_ID_TAKEN, detail={"external_id": _ID_TAKEN})
    _check_parents(account)


def _write(account: Account, *, only: Iterable[str] | None = None) -> None:
    """Save an account; when somebody took its domain since we looked, refuse as the look would have."""
    try:
        with transaction.atomic():
            account.save(update_fields=only)
    except IntegrityError:
        _check(account, {})
        raise


def _check_parents(account: Account) -> None:
    """Refuse a company that would be above itself."""
    above, seen = account.parent, {account.pk}
    while above is not None:
        if above.pk in seen:
            sentence = _("A company cannot belong to its own subsidiary.")
            raise Invalid(sentence, detail={"parent": sentence})
        seen.add(above.pk)
        above = above.parent


@transaction.atomic
def hand_over(account: Account, *, owner: User | None, team: Team | None, at: datetime, by: User | None = None) -> Account:
    """Give an account, its open deals of the old owner, and his open follow-ups there, to another owner and team."""
    before = account.owner_id
    account.owner, account.team = owner, team
    account.save(update_fields=["owner", "team", "updated_at"])
    if before is not None and owner is not None:
        for deal in Opportunity.objects.open().filter(account=account, owner=before):
            deal.owner, deal.team = owner, team
            deal.save(update_fields=["owner", "team", "updated_at"])
        for follow_up in FollowUp.objects.open().filter(account=account, owner=before):
            follow_up.owner = owner
            follow_up.save(update_fields=["owner"])
    return account
