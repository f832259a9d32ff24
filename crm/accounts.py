"""Accounts: found by their web domain, and handed from one owner to the next."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from publicsuffixlist import PublicSuffixList

from crm import events, policy
from crm.errors import Invalid
from crm.models import Account, FollowUp, Opportunity, Team, User


@cache
def _suffixes() -> PublicSuffixList:
    # The list comes with the package; nothing is fetched. Private suffixes (blogspot.com) are other people's houses.
    return PublicSuffixList(only_icann=False)


def registrable_domain(text: str) -> str:
    """Give the part of an address, web site or host name that a company registers; '' when there is none.

    'https://www.shop.example.co.uk/nl?x=1' and 'jan@mail.example.co.uk' both give 'example.co.uk'.
    """
    text = text.strip().lower()
    if "@" in text and "//" not in text:
        text = text.rpartition("@")[2]
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
        host = host.rstrip(".").encode("idna").decode("ascii")
    except ValueError:
        return ""
    return _suffixes().privatesuffix(host) or ""


def match(text: str) -> Account | None:
    """Find the account of a web site or mail address; a free-mail address belongs to no company."""
    domain = registrable_domain(text)
    if not domain or domain in policy.MAIL.free_domains:
        return None
    return Account.objects.filter(domain=domain).first()


def open(*, at: datetime, by: User | None = None, **facts: object) -> Account:
    """Open an account; it belongs to whoever opens it and to that person's team unless said otherwise."""
    account = Account(**{"owner": by, "team": by.team if by else None} | facts)
    with transaction.atomic():
        _check(account)
        _write(account)
        events.tell(events.dmu_changed, account_ids=[account.pk])
    return account


@transaction.atomic
def change(account: Account, *, at: datetime, by: User | None = None, **facts: object) -> Account:
    """Change what is known of an account; only what is named here is written, so two people's changes both stay."""
    row = Account.objects.select_for_update(of=("self",), no_key=True).get(pk=account.pk)
    for name, value in facts.items():
        setattr(row, name, value)
    _check(row)
    if by:
        row._history_user = by  # type: ignore[attr-defined]
    _write(row, only=[*facts, "domain", "updated_at"])
    events.tell(events.dmu_changed, account_ids=[row.pk])
    account.refresh_from_db()
    return account


def _check(account: Account) -> None:
    """Refuse what an account cannot be, and bring its domain to the registrable part."""
    account.domain = _checked_domain(account)
    if not account.name.strip():
        raise Invalid(_("An account needs a name."), detail={"name": _("This may not be empty.")})
    _check_parents(account)


def _checked_domain(account: Account) -> str:
    """Give the registrable part of the domain; refuse one that is none, a free-mail one, or somebody else's."""
    if not account.domain.strip():
        return ""
    domain = registrable_domain(account.domain)
    if not domain:
        raise _wrong_domain(_("'%(text)s' is no web domain.") % {"text": account.domain})
    if domain in policy.MAIL.free_domains:
        raise _wrong_domain(_("%(domain)s gives mail to everybody; it is no company's own.") % {"domain": domain})
    _refuse_taken(account, domain)
    return domain


def _refuse_taken(account: Account, domain: str) -> None:
    if domain and Account.objects.filter(domain=domain).exclude(pk=account.pk).exists():
        raise _wrong_domain(_("%(domain)s belongs to another account already.") % {"domain": domain})


def _write(account: Account, *, only: Iterable[str] | None = None) -> None:
    """Save an account; when somebody took its domain since we looked, refuse as the look would have."""
    try:
        with transaction.atomic():
            account.save(update_fields=only)
    except IntegrityError:
        _refuse_taken(account, account.domain)
        raise


def _wrong_domain(sentence: str) -> Invalid:
    return Invalid(sentence, detail={"domain": sentence})


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
