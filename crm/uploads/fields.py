"""What a column of an import can be: the fields of accounts, contacts and activities, and the headers they go by."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.models import Upload

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Field:
    """One field: what it is called on screen, and in other people's files (Dutch and English, as `key` writes them)."""

    name: str
    label: Promise | str
    example: str
    required: bool = False
    headers: tuple[str, ...] = ()


def key(header: str) -> str:
    """Write a header in small letters and single spaces: 'FirstName', 'first_name' and 'First Name' are one."""
    return _NO_WORD.sub(" ", _HUMP.sub(" ", header)).casefold().strip()


# One line per field: adding one means reading it in parsing.py, too.
_COMPANY = (
    Field("account_external_id", _("account: id at the source"), "1234567", headers=("account id", "company id", "associated company ids", "associated company id", "bedrijfs id", "relatienummer", "klantnummer", "debiteurnummer")),
    Field("account_domain", _("account: web domain"), "example.nl", headers=("company domain name", "company domain", "website", "website url", "web site", "url", "domain", "domein", "webadres", "homepage")),
    Field("account_name", _("account: name"), "Voorbeeld BV", headers=("company", "company name", "account name", "account", "associated company", "organisation", "organization", "employer", "bedrijf", "bedrijfsnaam", "organisatie", "klant", "relatie", "werkgever", "firma")),
)  # fmt: skip
ACCOUNT_FIELDS = (
    Field("name", _("name"), "Voorbeeld BV", required=True, headers=("company name", "account name", "company", "name", "account", "organisation", "organization", "naam", "bedrijf", "bedrijfsnaam", "organisatie", "klant", "klantnaam", "firma", "handelsnaam")),
    Field("domain", _("web domain"), "example.nl", headers=("company domain name", "company domain", "domain", "website", "website url", "web site", "url", "domein", "webadres", "homepage")),
    Field("external_id", _("id at the source"), "1234567", headers=("record id", "account id", "company id", "id", "external id", "nummer", "klantnummer", "relatienummer", "debiteurnummer")),
    Field("status", _("status"), "prospect", headers=("status", "type", "soort", "relatietype")),
    Field("industry", _("industry"), "bouw", headers=("industry", "sector", "branche", "bedrijfstak")),
    Field("employees", _("employees"), "120", headers=("employees", "number of employees", "numberofemployees", "headcount", "company size", "medewerkers", "aantal medewerkers", "werknemers", "personeel", "fte")),
    Field("revenue", _("revenue per year"), "2500000", headers=("annual revenue", "annualrevenue", "revenue", "turnover", "omzet", "jaaromzet")),
    Field("revenue_currency", _("currency of revenue"), "EUR", headers=("currency", "currency iso code", "valuta", "munt")),
    Field("founded_year", _("founded in"), "1987", headers=("year founded", "founded", "founded year", "year started", "oprichtingsjaar", "opgericht")),
    Field("country", _("country"), "NL", headers=("country", "country region", "billing country", "billing country code", "land")),
    Field("city", _("city"), "Utrecht", headers=("city", "billing city", "town", "plaats", "stad", "vestigingsplaats", "woonplaats")),
    Field("owner", _("owner"), "m.devries", headers=("owner", "company owner", "account owner", "owner alias", "eigenaar", "accountmanager", "relatiebeheerder")),
)  # fmt: skip
CONTACT_FIELDS = (
    Field("given_name", _("given name"), "Jan", headers=("first name", "firstname", "given name", "forename", "voornaam", "roepnaam")),
    Field("family_name", _("family name"), "de Vries", headers=("last name", "lastname", "family name", "surname", "achternaam", "familienaam")),
    Field("full_name", _("full name"), "Jan de Vries", headers=("full name", "name", "contact name", "contact", "naam", "volledige naam", "contactpersoon")),
    Field("email", _("e-mail"), "jan@example.nl", headers=("email", "e mail", "email address", "e mail address", "mail", "emailadres", "e mailadres", "mailadres")),
    Field("phone", _("phone"), "+31 20 123 4567", headers=("phone", "phone number", "telephone", "mobile", "mobile phone", "mobile phone number", "telefoon", "telefoonnummer", "tel", "mobiel", "gsm")),
    Field("job_title", _("job title"), "hoofd inkoop", headers=("job title", "jobtitle", "title", "position", "functie", "functietitel", "functienaam")),
    Field("function", _("function"), "purchasing", headers=("function", "department", "afdeling", "functiegebied")),
    Field("language", _("language"), "nl", headers=("language", "preferred language", "taal", "voorkeurstaal")),
    Field("role", _("DMU role"), "buyer; decider", headers=("role", "dmu role", "buying role", "dmu rol", "rol", "beslisrol", "contact role")),
    Field("stance", _("stance"), "supporter", headers=("stance", "attitude", "houding")),
    Field("external_id", _("id at the source"), "1234567", headers=("record id", "contact id", "lead id", "id", "external id", "nummer", "contactnummer")),
    Field("legal_basis", _("legal basis"), "consent", headers=("legal basis", "legal basis for processing contact s data", "grondslag", "rechtsgrond")),
    Field("opted_out", _("opted out"), "yes", headers=("opted out", "email opt out", "unsubscribed from all email", "has opted out of email", "opt out", "uitgeschreven", "afgemeld")),
    *_COMPANY,
    Field("owner", _("owner of a new account"), "m.devries", headers=("account owner", "contact owner", "owner", "owner alias", "eigenaar", "accountmanager")),
)  # fmt: skip
ACTIVITY_FIELDS = (
    Field("kind", _("kind"), "meeting", required=True, headers=("kind", "type", "activity type", "task subtype", "soort", "activiteit", "activiteittype")),
    Field("occurred_at", _("occurred"), "2024-03-12 09:14", required=True, headers=("date", "activity date", "created", "occurred", "occurred at", "timestamp", "start time", "start date time", "start", "due date", "datum", "tijdstip", "moment", "begin")),
    Field("subject", _("subject"), "Kennismaking", headers=("subject", "title", "description", "onderwerp", "titel", "omschrijving")),
    Field("external_id", _("id at the source"), "1234567", headers=("record id", "activity id", "engagement id", "id", "external id", "nummer")),
    Field("contact_email", _("contact: e-mail"), "jan@example.nl", headers=("email", "e mail", "contact email", "recipient", "email address", "emailadres", "e mailadres")),
    Field("contact_external_id", _("contact: id at the source"), "1234567", headers=("contact id", "associated contact ids", "associated contact id", "who id", "name id", "lead id")),
    *_COMPANY,
    Field("machine_reason", _("machine-made because"), "scanner", headers=("machine reason", "filtered event")),
    Field("message_id", _("Message-ID"), "<1234@mail.example.nl>", headers=("message id", "smtp message id", "bericht id")),
    Field("link", _("link"), "https://www.example.nl/prijzen", headers=("link", "clicked url", "link url", "clicked link", "aangeklikte link")),
    Field("user_agent", _("program"), "Mozilla/5.0 (…)", headers=("user agent", "useragent", "browser user agent", "programma")),
)  # fmt: skip
FIELDS = {Upload.What.ACCOUNTS: ACCOUNT_FIELDS, Upload.What.CONTACTS: CONTACT_FIELDS, Upload.What.ACTIVITIES: ACTIVITY_FIELDS}


def fields(what: str) -> list[Field]:
    """List what the columns of an import of this can be."""
    return list(FIELDS[Upload.What(what)])


def synonyms(what: str) -> dict[str, list[str]]:
    """Map every header that is known to the fields it may mean, the most telling first."""
    found: dict[str, list[str]] = {}
    for field in fields(what):
        for header in _own_names(field):
            found.setdefault(header, []).append(field.name)
    return found


def _own_names(field: Field) -> Iterable[str]:
    return dict.fromkeys((key(field.name), *field.headers))
