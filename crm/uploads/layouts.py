"""Whose export a file is, told by its headers; what its columns mean, else guessed by header and by value."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from django.utils.translation import gettext_noop as _

from crm import policy
from crm.models import Upload
from crm.uploads.fields import key, synonyms

ACCOUNTS, CONTACTS, ACTIVITIES = Upload.What.ACCOUNTS, Upload.What.CONTACTS, Upload.What.ACTIVITIES
# A mapping says field by column number; a key that begins so says a value that holds for every row.
CONSTANT = "="


@dataclass(frozen=True)
class Layout:
    """One kind of export: the headers that prove it, what others mean, and how its source writes."""

    name: str
    what: str
    source: str
    proof: frozenset[str]
    columns: Mapping[str, str]
    constants: Mapping[str, str] = field(default_factory=dict)
    # A moment without a zone is one of this zone; None: the organisation's own.
    zone: tzinfo | None = None


def _layout(name: str, what: str, source: str, proof: str, columns: Mapping[str, str], **more: object) -> Layout:
    return Layout(name, what, source, frozenset(proof.split("|")), columns, **more)  # type: ignore[arg-type]


# Columns as `key` writes them. Sources: exports of both products and the seeds of dbt_hubspot_source and dbt_salesforce_source.
_HUBSPOT_PERSON = {
    "record id": "external_id", "first name": "given_name", "last name": "family_name", "email": "email", "phone number": "phone",
    "mobile phone number": "phone", "job title": "job_title", "buying role": "role", "preferred language": "language",
    "contact owner": "owner", "associated company": "account_name", "company name": "account_name", "website url": "account_domain",
    "associated company ids": "account_external_id", "unsubscribed from all email": "opted_out",
}  # fmt: skip
_HUBSPOT_COMPANY = {
    "record id": "external_id", "company name": "name", "company domain name": "domain", "website url": "domain", "company owner": "owner",
    "industry": "industry", "number of employees": "employees", "annual revenue": "revenue", "year founded": "founded_year", "city": "city",
    "country region": "country",
}  # fmt: skip
_HUBSPOT_API_PERSON = {
    "id": "external_id", "property email": "email", "property firstname": "given_name", "property lastname": "family_name",
    "property phone": "phone", "property jobtitle": "job_title", "property company": "account_name", "property website": "account_domain",
    "property hs language": "language", "property hs buying role": "role", "property associatedcompanyid": "account_external_id",
}  # fmt: skip
_HUBSPOT_API_COMPANY = {
    "id": "external_id", "property name": "name", "property domain": "domain", "property website": "domain", "property industry": "industry",
    "property city": "city", "property country": "country", "property annualrevenue": "revenue", "property numberofemployees": "employees",
    "property founded year": "founded_year",
}  # fmt: skip
_SALESFORCE_PERSON = {
    "id": "external_id", "contact id": "external_id", "lead id": "external_id", "first name": "given_name", "last name": "family_name",
    "email": "email", "phone": "phone", "mobile phone": "phone", "mobile": "phone", "title": "job_title", "department": "function",
    "has opted out of email": "opted_out", "email opt out": "opted_out", "account id": "account_external_id", "account name": "account_name",
    "company": "account_name", "company account": "account_name", "website": "account_domain", "engagio role c": "role",
    "account owner": "owner", "contact owner": "owner", "owner alias": "owner",
}  # fmt: skip
_SALESFORCE_COMPANY = {
    "id": "external_id", "account id": "external_id", "name": "name", "account name": "name", "website": "domain", "industry": "industry",
    "number of employees": "employees", "employees": "employees", "annual revenue": "revenue", "year started": "founded_year",
    "billing city": "city", "billing country": "country", "billing country code": "country", "account owner": "owner",
    "currency iso code": "revenue_currency", "account currency": "revenue_currency",
}  # fmt: skip
_SALESFORCE_DEED = {
    "id": "external_id", "activity id": "external_id", "subject": "subject", "activity date": "occurred_at", "date": "occurred_at",
    "due date": "occurred_at", "activity date time": "occurred_at", "start date time": "occurred_at", "start": "occurred_at",
    "task subtype": "kind", "event subtype": "kind", "type": "kind", "who id": "contact_external_id", "contact id": "contact_external_id",
    "email": "contact_email", "account id": "account_external_id", "company account": "account_name", "account name": "account_name",
}  # fmt: skip
LAYOUTS = (
    _layout(_("HubSpot email events"), ACTIVITIES, "hubspot", "id|type|recipient|email campaign id|filtered event", {
        "id": "external_id", "type": "kind", "created": "occurred_at", "recipient": "contact_email", "filtered event": "machine_reason"}, zone=UTC),
    _layout(_("HubSpot meetings"), ACTIVITIES, "hubspot", "engagement id|start time|meeting outcome", {
        "engagement id": "external_id", "start time": "occurred_at", "title": "subject", "contact id": "contact_external_id",
        "company id": "account_external_id"}, constants={"kind": "meeting"}, zone=UTC),
    _layout(_("HubSpot activities"), ACTIVITIES, "hubspot", "record id|activity type|activity date", {
        "record id": "external_id", "activity type": "kind", "activity date": "occurred_at", "title": "subject", "subject": "subject",
        "associated contact ids": "contact_external_id", "associated company ids": "account_external_id", "email": "contact_email"}),
    _layout(_("HubSpot contacts"), CONTACTS, "hubspot", "record id|first name|last name|email", _HUBSPOT_PERSON),
    _layout(_("HubSpot companies"), ACCOUNTS, "hubspot", "record id|company name", _HUBSPOT_COMPANY),
    _layout(_("HubSpot contacts (API)"), CONTACTS, "hubspot", "id|property email|property firstname|property lastname", _HUBSPOT_API_PERSON, zone=UTC),
    _layout(_("HubSpot companies (API)"), ACCOUNTS, "hubspot", "id|property name|property industry", _HUBSPOT_API_COMPANY, zone=UTC),
    _layout(_("Salesforce leads"), CONTACTS, "salesforce", "company|lead source|last name", _SALESFORCE_PERSON, zone=UTC),
    _layout(_("Salesforce contacts"), CONTACTS, "salesforce", "id|account id|last name|has opted out of email", _SALESFORCE_PERSON, zone=UTC),
    _layout(_("Salesforce contacts"), CONTACTS, "salesforce", "first name|last name|title|account name|email", _SALESFORCE_PERSON),
    _layout(_("Salesforce accounts"), ACCOUNTS, "salesforce", "id|name|billing city|number of employees", _SALESFORCE_COMPANY, zone=UTC),
    _layout(_("Salesforce accounts"), ACCOUNTS, "salesforce", "account name|account owner|billing city", _SALESFORCE_COMPANY),
    _layout(_("Salesforce tasks"), ACTIVITIES, "salesforce", "id|who id|activity date|subject", _SALESFORCE_DEED | {"type": ""}, zone=UTC),
    _layout(_("Salesforce events"), ACTIVITIES, "salesforce", "id|who id|start date time|subject", _SALESFORCE_DEED, constants={"kind": "meeting"}, zone=UTC),
    _layout(_("Salesforce activities"), ACTIVITIES, "salesforce", "subject|date|company account", _SALESFORCE_DEED),
)  # fmt: skip

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+?[\d()\s./-]{8,20}")
_SITE = re.compile(r"(https?://)?(www\.)?[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}(/\S*)?", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?[/-]\d\d?[/-]\d{4}( .*)?")


def recognise(columns: Sequence[str], *, what: str) -> Layout | None:
    """Give the layout of these headers that most of them prove; None for a file of nobody we know."""
    keys = {key(column) for column in columns}
    proven = [layout for layout in LAYOUTS if layout.what == what and layout.proof <= keys]
    return max(proven, key=lambda layout: len(layout.proof), default=None)


def named(upload: Upload) -> Layout | None:
    """Give the layout that an upload was recognised to have."""
    return recognise(upload.columns, what=upload.what) if upload.layout else None


def zone_of(upload: Upload) -> tzinfo:
    """Give the zone in which the file's moments are written."""
    layout = named(upload)
    return (layout and layout.zone) or policy.ZONE


def guess(columns: Sequence[str], sample: Sequence[Sequence[str]], *, what: str) -> dict[str, str]:
    """Guess the field of each column, by number, '' for none: by layout, else by header, else by the first values.

    A field is given once, to the first column that has values where several could be it.
    """
    layout = recognise(columns, what=what)
    known = {header: [name] for header, name in layout.columns.items()} if layout else {}
    meanings = synonyms(what)
    taken: set[str] = set()
    mapping = dict.fromkeys(map(str, range(len(columns))), "")
    filled = [any(len(row) > index and row[index] for row in sample) for index in range(len(columns))]
    for table in (known,) if layout else (meanings,):
        # A column that holds something goes before one that is empty.
        for index in sorted(range(len(columns)), key=lambda each: (not filled[each], each)):
            name = next((name for name in table.get(key(columns[index]), []) if name and name not in taken), "")
            if name:
                mapping[str(index)] = name
                taken.add(name)
    if not layout:
        _guess_by_values(mapping, taken, sample, what=what)
    return mapping | {f"{CONSTANT}{name}": value for name, value in (layout.constants.items() if layout else ()) if name not in taken}


def _guess_by_values(mapping: dict[str, str], taken: set[str], sample: Sequence[Sequence[str]], *, what: str) -> None:
    """Give columns whose header says nothing the field that most of their first values look like."""
    for index, name in list(mapping.items()):
        values = [row[int(index)] for row in sample if len(row) > int(index) and row[int(index)]]
        if name or not values:
            continue
        found = next((field for field, looks in _LOOKS[what] if field not in taken and _most(values, looks)), "")
        mapping[index] = found
        taken.add(found)


def _most(values: Sequence[str], looks: re.Pattern[str]) -> bool:
    return sum(bool(looks.fullmatch(value)) for value in values) * 10 >= len(values) * 6


_LOOKS: dict[str, tuple[tuple[str, re.Pattern[str]], ...]] = {
    ACCOUNTS: (("domain", _SITE),),
    CONTACTS: (("email", _ADDRESS), ("account_domain", _SITE), ("phone", _PHONE)),
    ACTIVITIES: (("contact_email", _ADDRESS), ("occurred_at", _MOMENT), ("account_domain", _SITE)),
}
