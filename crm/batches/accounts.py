"""Accounts by the thousand: known by their id at the source, else by their web domain."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from crm import accounts, bulk
from crm.batches.upserting import Kind, Row, Wrong, by_source_id
from crm.models import Account, User

_NUMBERS = ("employees", "revenue", "founded_year")
_TEXTS = (*(name for name in accounts.FACTS if name not in _NUMBERS), "domain")


def _match_accounts(rows: Mapping[int, Row]) -> dict[int, Account]:
    """Find accounts by their id at the source, else by their web domain."""
    domains = {index: accounts.registrable_domain(row.get("domain", "")) for index, row in rows.items()}
    by_id = by_source_id(Account.objects.all(), rows)
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
