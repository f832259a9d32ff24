"""Rows of accounts: matched by id at the source, web domain or name; else opened."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm import accounts
from crm.errors import CrmError
from crm.imports import WrongValue
from crm.models import Account, Upload, UploadedRecord
from crm.uploads.companies import Companies, reason_of
from crm.uploads.outcomes import Kind, Outcome, last_history, snapshot
from crm.uploads.parsing import AccountFacts, Company


class AccountWriter:
    """Writes chunks of accounts, or says what would become of them."""

    def __init__(self, upload: Upload, headers: Mapping[str, str], *, is_trial: bool) -> None:
        self.upload, self.headers, self.is_trial, self.user = upload, headers, is_trial, upload.owner
        self.companies = Companies(upload, is_trial=is_trial)
        self.overwrites = upload.existing == Upload.Existing.OVERWRITE
        self.lines: dict[int, int] = {}

    def write(self, rows: Sequence[AccountFacts], outcome: Outcome, *, at: datetime) -> None:
        """Write one chunk."""
        self.companies.look_up([facts.company for facts in rows])
        if not self.is_trial:
            self.lines = {}
        fresh: list[AccountFacts] = []
        known: list[tuple[AccountFacts, int]] = []
        for facts in rows:
            try:
                pk = self.companies.find(facts.company)
            except WrongValue as wrong:
                outcome.fail(facts.row, self._header(wrong.column), wrong.reason)
                continue
            if pk is None:
                fresh.append(facts)
            else:
                known.append((facts, pk))
        self._open(fresh, outcome, at=at)
        self._change(known, outcome, at=at)

    def _header(self, column: str) -> str:
        return self.headers.get(column.removeprefix("account_"), "")

    def _open(self, fresh: Sequence[AccountFacts], outcome: Outcome, *, at: datetime) -> None:
        """Open the accounts nobody has."""
        unique = [facts for facts in fresh if not self._is_repeated(facts, outcome)]
        rows = [self._values(facts) for facts in unique]
        if self.is_trial:
            judged = [accounts.Opened(None if wrong else 0, wrong) for wrong in accounts.judge_many(rows)]
        else:
            judged = accounts.open_many(rows, at=at, by=self.user, reason=reason_of(self.upload))
        for facts, opened in zip(unique, judged, strict=True):
            if opened.account_id is None:
                for key in _keys(facts.company):
                    self.lines.pop(hash(key), None)
                outcome.refuse(facts.row, opened.wrong, self.headers)
            else:
                outcome.created += 1
                outcome.made(Kind.ACCOUNT, opened.account_id, facts.row.line)

    def _values(self, facts: AccountFacts) -> dict[str, Any]:
        owner = self.companies.owner(facts.company.owner)
        source = self.upload.source if facts.company.external_id else ""
        return {**facts.facts, "source": source, "owner_id": owner.pk, "team_id": owner.team_id}

    def _is_repeated(self, facts: AccountFacts, outcome: Outcome) -> bool:
        """Refuse a row that says again what an earlier one of the same file said; else remember it."""
        keys = [hash(key) for key in _keys(facts.company)]
        line = next((self.lines[key] for key in keys if key in self.lines), None)
        if line is not None:
            outcome.fail(facts.row, "", _("the same as line %(line)d") % {"line": line})
            return True
        self.lines |= dict.fromkeys(keys, facts.row.line)
        return False

    def _change(self, known: Sequence[tuple[AccountFacts, int]], outcome: Outcome, *, at: datetime) -> None:
        """Change accounts that are there, one by one; a trial takes all of it back."""
        records = Account.objects.in_bulk([pk for _facts, pk in known])
        ours = UploadedRecord.objects.filter(upload=self.upload, kind=Kind.ACCOUNT, object_id__in=records)
        lines = {} if self.is_trial else dict(ours.values_list("object_id", "line"))
        with transaction.atomic():
            for facts, pk in known:
                line = lines.get(pk) or self.lines.get(hash(("pk", pk)))
                if line is not None:
                    outcome.fail(facts.row, "", _("the same as line %(line)d") % {"line": line})
                elif not (changes := self._changes(facts, records[pk])):
                    outcome.unchanged += 1
                elif not self.companies.may_change(pk):
                    outcome.fail(facts.row, "", _("you may not change this account"))
                elif self._apply(facts, records[pk], changes, outcome, at=at):
                    self.lines[hash(("pk", pk))] = facts.row.line
            if self.is_trial:
                transaction.set_rollback(True)

    def _changes(self, facts: AccountFacts, account: Account) -> dict[str, Any]:
        """Say what the row adds to an account, or (if so chosen) says otherwise; a blank cell says nothing."""
        changes = {}
        for name, said in facts.facts.items():
            there = getattr(account, name)
            meant = accounts.registrable_domain(said) or said if name == "domain" else said
            if str(there) != str(meant) and there != meant and (there in ("", None) or not there or self.overwrites):
                changes[name] = said
        # An id belongs to its source, a currency to its amount.
        if changes.get("external_id") and account.external_id:
            del changes["external_id"]
        elif changes.get("external_id"):
            changes["source"] = self.upload.source
        if account.revenue is None and "revenue" in changes and "revenue_currency" in facts.facts:
            changes["revenue_currency"] = facts.facts["revenue_currency"]
        return changes

    def _apply(self, facts: AccountFacts, account: Account, changes: dict[str, Any], outcome: Outcome, *, at: datetime) -> bool:
        """Change one account by the rule for one, and note what undo needs; say whether the rule allowed it."""
        before = snapshot(account, [*changes, "updated_at"])
        try:
            with transaction.atomic():
                accounts.change(account, at=at, by=self.user, **changes)
        except CrmError as error:
            outcome.refuse(facts.row, error.detail or {"": error}, self.headers)
            return False
        outcome.changed += 1
        outcome.records.append((Kind.ACCOUNT, account.pk, facts.row.line, before, last_history(account)))
        return True


def _keys(company: Company) -> list[tuple[str, str]]:
    """Give what a row must not say twice: the id, the domain, or without both the name."""
    keys = [(kind, value) for kind, value in (("id", company.external_id), ("domain", company.domain)) if value]
    return keys or [("name", company.name.lower())]
