"""From the cells of a row to plain facts: words in Dutch, English and of other products, numbers, moments and ids."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from django_countries import countries

from crm.accounts import registrable_domain
from crm.activity_kinds import KINDS
from crm.imports import Line, WrongValue, shown
from crm.models import Account, Contact, DmuRole, Stance, Upload
from crm.newcomers import NewContact
from crm.uploads import layouts
from crm.uploads.fields import fields, key
from crm.uploads.reading import Row
from crm.uploads.words import FUNCTIONS, KIND_WORDS, LEGAL_BASES, NO, NO_KIND, ROLES, STANCES, STATUSES, YES

_SALESFORCE_ID = re.compile(r"[a-zA-Z0-9]{15}[A-Z0-9]{3}")
_MOMENT = re.compile(
    r"(?:(\d{4})-(\d\d?)-(\d\d?)|(\d\d?)([/.-])(\d\d?)[/.-](\d{4}))"
    r"(?:[T ,]+(\d\d?):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*([AaPp]\.?[Mm]\.?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?)?"
)
# Asking the enumerations makes their lists anew each time.
_STATUSES, _FUNCTIONS = frozenset(Account.Status.values), frozenset(Contact.Function.values)
_LEGAL_BASES, _ROLES, _STANCES = frozenset(Contact.LegalBasis.values), frozenset(DmuRole.values), frozenset(Stance.values)
_LARGEST_REVENUE, _MOST_EMPLOYEES, _LAST_YEAR = Decimal(10) ** 14, 2**31, 2101


# Not frozen, for there are thousands, and to freeze one takes as long as to make it; nobody changes them.
@dataclass(slots=True)
class Company:
    """How a row names a company; '' what it does not say. The mail domain is the last resort."""

    external_id: str = ""
    domain: str = ""
    name: str = ""
    mail_domain: str = ""
    owner: str = ""

    def __bool__(self) -> bool:
        return bool(self.external_id or self.domain or self.name or self.mail_domain)


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What a row says of an account, by field; what it does not say is left out."""

    row: Row
    company: Company
    facts: Mapping[str, Any]


@dataclass(slots=True)
class ContactFacts:
    """What a row says of a person: the fields of a contact, the roles, and the company."""

    row: Row
    company: Company
    person: NewContact
    roles: tuple[str, ...]
    stance: str


@dataclass(frozen=True, slots=True)
class ActivityFacts:
    """What a row says of something that happened."""

    row: Row
    company: Company
    kind: str
    occurred_at: datetime
    subject: str
    external_id: str
    contact_email: str
    contact_external_id: str
    machine_reason: str
    message_id: str
    link: str
    user_agent: str


class Parser:
    """Reads the rows of one upload by its mapping."""

    def __init__(self, upload: Upload, *, day_first: bool | None) -> None:
        self.upload, self.day_first, self.zone = upload, day_first, layouts.zone_of(upload)
        self.headers = {name: upload.columns[int(index)] for index, name in upload.mapping.items() if index.isdigit() and name}
        self.places = [(name, int(index)) for index, name in upload.mapping.items() if index.isdigit() and name]
        self.constants = {name[1:]: value for name, value in upload.mapping.items() if name.startswith(layouts.CONSTANT)}
        names = {field.name for field in fields(upload.what)}
        self.empty = dict.fromkeys(names, "") | self.constants
        self._reads: dict[str, Callable[[Row, dict[str, str]], Any]] = {
            Upload.What.ACCOUNTS: self._account,
            Upload.What.CONTACTS: self._contact,
            Upload.What.ACTIVITIES: self._activity,
        }

    def read(self, row: Row) -> Any:
        """Give the facts of a row; raise WrongValue with the header of the column for what cannot be read."""
        if row.problem:
            raise WrongValue("", row.problem)
        cells = row.cells
        values = self.empty | {name: cells[index] for name, index in self.places if cells[index]}
        try:
            return self._reads[self.upload.what](row, values)
        except WrongValue as wrong:
            raise WrongValue(self.headers.get(wrong.column, ""), wrong.reason) from None

    def source_id(self, text: str) -> str:
        """Give the id at the source: the first of several, of Salesforce's 18 characters the 15 that count."""
        text = text.partition(";")[0].strip()
        if self.upload.source == "salesforce" and _SALESFORCE_ID.fullmatch(text):
            return text[:15]
        if len(text) > 100:
            raise WrongValue("external_id", _("longer than %(most)d characters") % {"most": 100})
        return text

    def _company(self, values: Mapping[str, str], email: str = "") -> Company:
        domain = registrable_domain(values["account_domain"]) if values["account_domain"] else ""
        if values["account_domain"] and not domain and not values["account_name"]:
            raise WrongValue("account_domain", _("'%(text)s' is no web domain.") % {"text": shown(values["account_domain"])})
        name, owner = values["account_name"], values.get("owner", "")
        return Company(self.source_id(values["account_external_id"]), domain, name, registrable_domain(email) if email else "", owner)

    def _account(self, row: Row, values: dict[str, str]) -> AccountFacts:
        line = Line(row.line, values)
        name = values["name"] or registrable_domain(values["domain"])
        if not name:
            raise WrongValue("name", _("missing"))
        currency = values["revenue_currency"].upper()
        found = {
            "name": name,
            "domain": values["domain"],
            "external_id": self.source_id(values["external_id"]),
            "status": _word(values, "status", STATUSES, _STATUSES, otherwise=""),
            "industry": values["industry"],
            "employees": line.whole("employees", below=_MOST_EMPLOYEES),
            "revenue": line.amount("revenue", below=_LARGEST_REVENUE),
            "revenue_currency": currency,
            "founded_year": line.whole("founded_year", below=_LAST_YEAR),
            "country": _country(values["country"]),
            "city": values["city"],
        }
        company = Company(found["external_id"], registrable_domain(values["domain"]), name, owner=values["owner"])  # type: ignore[arg-type]
        return AccountFacts(row, company, {name: value for name, value in found.items() if value not in ("", None)})

    def _contact(self, row: Row, values: dict[str, str]) -> ContactFacts:
        given, family = values["given_name"], values["family_name"]
        if not given and not family:
            given, _space, family = values["full_name"].partition(" ")
        roles, stance = _roles(values["role"])
        person = NewContact(
            account_id=0,
            given_name=given,
            family_name=family,
            email=values["email"],
            phone=values["phone"],
            job_title=values["job_title"],
            function=_word(values, "function", FUNCTIONS, _FUNCTIONS, otherwise=""),
            language=_language(values["language"]),
            legal_basis=_word(values, "legal_basis", LEGAL_BASES, _LEGAL_BASES) or self.upload.legal_basis,
            source=self.upload.source,
            external_id=self.source_id(values["external_id"]),
            opted_out=_truth(values, "opted_out"),
        )
        stance = _word(values, "stance", STANCES, _STANCES) or stance
        return ContactFacts(row, self._company(values, values["email"]), person, roles, stance)

    def _activity(self, row: Row, values: dict[str, str]) -> ActivityFacts:
        machine = values["machine_reason"]
        facts = ActivityFacts(
            row,
            self._company(values, values["contact_email"]),
            _kind(values["kind"]),
            self.moment("occurred_at", values["occurred_at"]),
            values["subject"],
            self.source_id(values["external_id"]),
            values["contact_email"].lower(),
            self.source_id(values["contact_external_id"]),
            "" if key(machine) in NO else "filtered" if key(machine) in YES else machine,
            values["message_id"],
            values["link"],
            values["user_agent"],
        )
        return facts if facts.external_id else _with_own_id(facts)

    def moment(self, name: str, text: str) -> datetime:
        """Read a moment as other products write them; without a zone it is the file's, without a time noon."""
        found = _MOMENT.fullmatch(text)
        if not text:
            raise WrongValue(name, _("missing"))
        if not found:
            raise WrongValue(name, _("not a date: '%(value)s'") % {"value": shown(text)})
        try:
            day = datetime(*self._day(name, text, found)).date()  # noqa: DTZ001  the zone comes with the time
            hour, minute, second = (int(found[part] or 0) for part in (8, 9, 10))
            clock = time(_hour(hour, found[11]), minute, second) if found[8] else time(12)
            return (
                datetime.combine(day, clock, tzinfo=None if found[12] else self.zone)
                if not found[12]
                else _zoned(datetime.combine(day, clock), found[12])
            )
        except ValueError as error:
            raise WrongValue(name, _("not a date: '%(value)s'") % {"value": shown(text)}) from error

    def _day(self, name: str, text: str, found: re.Match[str]) -> tuple[int, int, int]:
        if found[1]:
            return int(found[1]), int(found[2]), int(found[3])
        first, second, year = int(found[4]), int(found[6]), int(found[7])
        # With dashes or dots the day comes first, wherever such dates are written.
        day_first = True if found[5] != "/" else False if found[11] else self.day_first
        if day_first is None:
            raise WrongValue(name, _("month and day cannot be told apart in this file: '%(value)s'") % {"value": shown(text)})
        return (year, second, first) if day_first else (year, first, second)


def _hour(hour: int, half: str | None) -> int:
    if not half:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError(hour)
    return hour % 12 + (12 if half[0] in "Pp" else 0)


def _zoned(moment: datetime, zone: str) -> datetime:
    if zone in ("Z", "UTC"):
        return moment.replace(tzinfo=UTC)
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return (moment - offset if zone[0] == "+" else moment + offset).replace(tzinfo=UTC)


def _with_own_id(facts: ActivityFacts) -> ActivityFacts:
    """Give an activity without an id one made of what it says, so that the same row twice is one activity."""
    told: tuple[object, ...] = (facts.kind, facts.occurred_at, facts.subject, facts.contact_email, facts.contact_external_id, facts.company)
    # Two links of one mail clicked in one second are two clicks; without these, the id is what it always was.
    told += tuple(filter(None, (facts.message_id, facts.link)))
    digest = hashlib.blake2b(repr(told).encode(), digest_size=16).hexdigest()
    return ActivityFacts(**{name: getattr(facts, name) for name in ActivityFacts.__slots__} | {"external_id": f"row:{digest}"})


def _word(values: Mapping[str, str], name: str, words: Mapping[str, str], codes: frozenset[str], *, otherwise: str | None = None) -> str:
    """Translate a word to our code; an unknown one is wrong, or (`otherwise`) as if it were not there."""
    text = values[name]
    if not text:
        return ""
    code = text if text in codes else words.get(key(text))
    if code is None and otherwise is None:
        raise WrongValue(name, _("unknown: '%(value)s'") % {"value": shown(text)})
    return otherwise or "" if code is None else code


def _truth(values: Mapping[str, str], name: str) -> bool:
    word = key(values[name])
    if word and word not in YES and word not in NO:
        raise WrongValue(name, _("neither yes nor no: '%(value)s'") % {"value": shown(values[name])})
    return word in YES


@lru_cache(maxsize=1_000)
def _roles(text: str) -> tuple[tuple[str, ...], str]:
    """Give the roles of one cell, and the stance that HubSpot calls a role."""
    roles, stance = list[str](), str(Stance.NEUTRAL)
    for part in re.split(r"[;,/|]", text):
        word = key(part)
        role = word if word in _ROLES else ROLES.get(word)
        if role in _STANCES:
            stance = role
        elif role:
            roles.append(role)
        elif word and role is None:
            raise WrongValue("role", _("unknown: '%(value)s'") % {"value": shown(part.strip())})
    return tuple(dict.fromkeys(roles)), stance


def _language(text: str) -> str:
    word = text.casefold().replace("_", "-").partition("-")[0]
    return {"english": "en", "engels": "en", "dutch": "nl", "nederlands": "nl", "german": "de", "deutsch": "de", "duits": "de"}.get(
        word, word
    )


def _kind(text: str) -> str:
    word = key(text)
    kind = text if text in KINDS else KIND_WORDS.get(word)
    if not word:
        raise WrongValue("kind", _("missing"))
    if word in NO_KIND:
        raise WrongValue("kind", _("'%(value)s' is nothing that a person or we did") % {"value": shown(text)})
    if kind is None:
        raise WrongValue("kind", _("unknown: '%(value)s'") % {"value": shown(text)})
    return kind


@lru_cache(maxsize=1_000)
def _country(text: str) -> str:
    if not text:
        return ""
    code = countries.alpha2(text.upper()) if len(text) <= 3 else ""
    code = code or _country_names().get(text.casefold(), "")
    if not code:
        raise WrongValue("country", _("unknown: '%(value)s'") % {"value": shown(text)})
    return str(code)


@lru_cache(maxsize=1)
def _country_names() -> dict[str, str]:
    names = {"united states": "US", "usa": "US", "uk": "GB", "holland": "NL", "the netherlands": "NL", "czech republic": "CZ"}
    for language in ("nl", "en"):
        with translation.override(language):
            names |= {str(name).casefold(): code for code, name in countries}
    return names
