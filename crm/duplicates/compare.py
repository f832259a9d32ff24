"""How sure we are that two records are one, in percent, and why; pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.duplicates import names
from crm.duplicates.keys import domain_label

# Pairs below this are not shown; from the second bound on they are nearly sure.
SHOWN_FROM, NEARLY_SURE = 70, 90
# Names this alike are called nearly the same.
SIMILAR_FROM = 86

REASONS: dict[str, Promise] = {
    "same_name": _("the same name, apart from legal form and spelling"),
    "similar_name": _("nearly the same name"),
    "same_domain": _("the same web domain"),
    "same_domain_name": _("web domains that differ in their ending only"),
    "name_is_domain": _("the name of one is the web domain of the other"),
    "same_city": _("in the same city"),
    "same_country": _("in the same country"),
    "other_city": _("but in different cities"),
    "other_country": _("but in different countries"),
    "other_domain": _("but with web domains of their own"),
    "same_address": _("the same e-mail address"),
    "same_mailbox": _("the same name before the @"),
    "same_phone": _("the same phone number"),
    "same_title": _("the same job title"),
    "elsewhere": _("at two accounts: perhaps one of them was left"),
}


@dataclass(frozen=True)
class Company:
    """What is compared of an account."""

    name: str
    domain: str = ""
    city: str = ""
    country: str = ""


@dataclass(frozen=True)
class Human:
    """What is compared of a contact."""

    name: str
    email: str = ""
    phone: str = ""
    job_title: str = ""
    account_id: int | None = None


@dataclass(frozen=True)
class Likeness:
    """How sure, in percent, and the codes of REASONS."""

    certainty: int
    reasons: tuple[str, ...]


def companies(one: Company, other: Company) -> Likeness:
    """Compare two companies by name and domain; city and country speak for or against it."""
    name = names.likeness(one.name, other.name)
    labels = tuple(domain_label(company.domain) for company in (one, other))
    parts: dict[str, int] = {}
    if name == 100:
        parts["same_name"] = 90
    elif name >= SIMILAR_FROM:
        parts["similar_name"] = round(name) - 10
    if all(labels) and labels[0] == labels[1]:
        parts["same_domain_name"] = 84
    elif not all(labels) and any(labels) and _is_called(one, other, "".join(labels)):
        parts["name_is_domain"] = 80
    if not parts:
        return Likeness(0, ())
    # A second reason is worth something, but not as much as the first.
    certainty = max(parts.values()) + 5 * (len(parts) - 1)
    about = _place(one, other)
    if all(labels) and labels[0] != labels[1]:
        about["other_domain"] = -12
    return _limited(certainty + sum(about.values()), [*parts, *about])


def _is_called(one: Company, other: Company, label: str) -> bool:
    nameless = other if one.domain else one
    return len(label) > 3 and label.replace("-", "") in (names.squashed(nameless.name), "".join(names.telling(nameless.name)))


def _place(one: Company, other: Company) -> dict[str, int]:
    """Judge where two companies are, as far as it is known of both."""
    found: dict[str, int] = {}
    if one.country and other.country:
        found |= {"same_country": 1} if one.country == other.country else {"other_country": -16}
    if one.city and other.city:
        found |= {"same_city": 5} if names.plain(one.city) == names.plain(other.city) else {"other_city": -8}
    return found


def people(one: Human, other: Human) -> Likeness:
    """Compare two contacts: of one account, or (by address alone) of two."""
    name = names.person_likeness(one.name, other.name)
    mailboxes = [human.email.lower() for human in (one, other)]
    if one.account_id != other.account_id:
        same = bool(mailboxes[0]) and mailboxes[0] == mailboxes[1] and name >= SIMILAR_FROM
        return Likeness(72, ("same_address", "elsewhere")) if same else Likeness(0, ())
    parts: dict[str, int] = {}
    if name == 100:
        parts["same_name"] = 92
    elif name >= SIMILAR_FROM:
        parts["similar_name"] = round(name) - 10
    if not parts:
        return Likeness(0, ())
    about: dict[str, int] = {}
    if all(mailboxes) and mailboxes[0].partition("@")[0] == mailboxes[1].partition("@")[0]:
        about["same_mailbox"] = 5
    if one.phone and one.phone == other.phone:
        about["same_phone"] = 5
    if one.job_title and names.plain(one.job_title) == names.plain(other.job_title):
        about["same_title"] = 3
    return _limited(max(parts.values()) + sum(about.values()), [*parts, *about])


def _limited(certainty: int, reasons: list[str]) -> Likeness:
    return Likeness(max(0, min(99, certainty)), tuple(reasons))


def in_words(reasons: list[str], *, known: Mapping[str, Promise] = REASONS) -> str:
    """Say why two records look alike, in the reader's language."""
    return ", ".join(str(known[code]) for code in reasons if code in known)
