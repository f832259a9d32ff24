"""Which account a row means: by id at the source, web domain, name, or the domain of a mail address; made where there is none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from crm import access, accounts, policy
from crm.imports import WrongValue, shown
from crm.models import Account, Upload, User
from crm.uploads.parsing import Company


@dataclass
class Known:
    """Accounts by what names them; a name that several have is None."""

    ids: dict[str, int] = field(default_factory=dict)
    domains: dict[str, int] = field(default_factory=dict)
    names: dict[str, int | None] = field(default_factory=dict)

    def note(self, pk: int, *, external_id: str, domain: str, name: str) -> None:
        """Remember an account."""
        if external_id:
            self.ids[external_id] = pk
        if domain:
            self.domains[domain] = pk
        lower = name.lower()
        self.names[lower] = pk if self.names.get(lower, pk) == pk else None


class Companies:
    """The accounts that rows of one upload mean; a trial run makes none, but remembers which it would have made.

    Those have numbers below zero.
    """

    def __init__(self, upload: Upload, *, is_trial: bool) -> None:
        self.upload, self.user, self.is_trial = upload, upload.owner, is_trial
        self.imagined = Known()
        self.known = Known()
        self.made = 0
        self.fresh: list[tuple[int, int]] = []
        self._visible: set[int] = set()
        self._changeable: set[int] = set()

    def look_up(self, companies: Sequence[Company]) -> None:
        """Find the accounts of a chunk in three statements, and which of them the user may see and change."""
        self.known, self.fresh = Known(), []
        rows = Account.objects.order_by()
        named = {company.name.lower() for company in companies if company.name}
        domains = {one for company in companies for one in (company.domain, company.mail_domain) if one} - policy.MAIL.free_domains
        ids = {company.external_id for company in companies if company.external_id}
        found = [
            *rows.filter(source=self.upload.source, external_id__among=ids).values_list("pk", "external_id", "domain", "name"),
            *((pk, "", domain, name) for pk, domain, name in rows.filter(domain__among=domains).values_list("pk", "domain", "name")),
            *((pk, "", "", name) for pk, name in self._called(named)),
        ]
        for pk, external_id, domain, name in found:
            self.known.note(pk, external_id=external_id, domain=domain, name=name)
        pks = {pk for pk, *_names in found}
        self._visible = set(rows.filter(pk__among=pks).visible_to(self.user).values_list("pk", flat=True))
        self._changeable = set(rows.filter(access.changeable(self.user, Account), pk__among=self._visible).values_list("pk", flat=True))

    def _called(self, names: set[str]) -> Iterable[tuple[int, str]]:
        """Find accounts by name, in any case, among those that the user sees: others may have customers of the same name."""
        seen = Account.objects.visible_to(self.user).alias(lower=Lower("name")).filter(lower__among=names)
        return seen.order_by().values_list("pk", "name")

    def find(self, company: Company) -> int | None:
        """Give the account that a row means; None where there is none. Raise WrongValue for one that may not be seen."""
        for known in (self.known, self.imagined):
            if (pk := self._find(company, known)) is not None:
                if pk > 0 and pk not in self._visible:
                    column, what = self._named_by(company)
                    raise WrongValue(column, _("'%(what)s' is an account of another team.") % {"what": shown(what)})
                return pk
        return None

    def _find(self, company: Company, known: Known) -> int | None:
        if company.external_id in known.ids:
            return known.ids[company.external_id]
        if company.domain in known.domains:
            return known.domains[company.domain]
        name = company.name.lower()
        # A company with a domain of its own is not the one of another domain that bears the same name.
        if name and name in known.names and not company.domain:
            if known.names[name] is None:
                raise WrongValue(
                    "account_name", _("several accounts are called '%(name)s'; give the web domain") % {"name": shown(company.name)}
                )
            return known.names[name]
        return known.domains.get(company.mail_domain) if not company.domain else None

    def _named_by(self, company: Company) -> tuple[str, str]:
        if company.domain in self.known.domains:
            return "account_domain", company.domain
        return "account_name", company.name or company.mail_domain or company.external_id

    def may_change(self, pk: int) -> bool:
        """Say whether the user may change an account, not only see it."""
        return pk < 0 or pk in self._changeable

    def make(self, wanted: Iterable[tuple[int, Company]], *, at: datetime) -> dict[int, int | str]:
        """Make the accounts that rows (by number) name and nobody has yet; give per row the account, or why there is none."""
        answers: dict[int, int | str] = {}
        rows: list[dict[str, object]] = []
        makers: list[list[int]] = []
        planned = Known()
        for number, company in wanted:
            place = self._find(company, planned)
            if place is None:
                place = len(rows)
                domain = company.domain or ("" if company.mail_domain in policy.MAIL.free_domains else company.mail_domain)
                rows.append(self._facts(company, domain))
                makers.append([])
                planned.note(place, external_id=company.external_id, domain=domain, name=company.name or domain)
            makers[place].append(number)
        for place, (opened, wrong) in enumerate(self._open(rows, at=at)):
            answers |= dict.fromkeys(makers[place], opened if opened is not None else wrong)
            if opened is not None:
                self.fresh.append((opened, makers[place][0]))
        return answers

    def _facts(self, company: Company, domain: str) -> dict[str, object]:
        owner = self.owner(company.owner)
        return {
            "name": company.name or domain,
            "domain": domain,
            "source": self.upload.source if company.external_id else "",
            "external_id": company.external_id,
            "owner_id": owner.pk,
            "team_id": owner.team_id,
        }

    def _open(self, rows: list[dict[str, object]], *, at: datetime) -> list[tuple[int | None, str]]:
        if self.is_trial:
            return [self._imagine(row, wrong) for row, wrong in zip(rows, accounts.judge_many(rows), strict=True)]
        opened = accounts.open_many(rows, at=at, by=self.user, reason=reason_of(self.upload))
        return [(one.account_id, _sentence(one.wrong)) for one in opened]

    def _imagine(self, row: dict[str, object], wrong: dict[str, object]) -> tuple[int | None, str]:
        if wrong:
            return None, _sentence(wrong)
        self.made += 1
        self.imagined.note(-self.made, external_id=str(row["external_id"]), domain=str(row["domain"]), name=str(row["name"]))
        return -self.made, ""

    def owner(self, text: str) -> User:
        """Give the colleague who is named by user name, address or full name; the importer for anybody else."""
        return self._colleagues.get(text.casefold(), self.user)

    @cached_property
    def _colleagues(self) -> dict[str, User]:
        found: dict[str, User] = {}
        for user in access.colleagues(self.user):
            for name in (user.get_full_name(), user.email, user.username):
                if name:
                    found[name.casefold()] = user
        return found


def _sentence(wrong: Iterable[object] | dict[str, object]) -> str:
    return " ".join(map(str, wrong.values())) if hasattr(wrong, "values") else ""


def reason_of(upload: Upload) -> str:
    """Name an import in the history of what it made and changed."""
    return f"import {upload.pk}"
