"""Which value of two records stands after a merge: facts that belong together are chosen together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.errors import Invalid
from crm.models import Account, Contact, Merge, Person

KEPT, FOLDED = "kept", "folded"
Choices = Mapping[str, str]


@dataclass(frozen=True)
class Fact:
    """Columns that are chosen together; empty where the first of them says nothing."""

    key: str
    label: Promise | str
    names: tuple[str, ...]
    # Values that say nothing, beside the empty ones.
    nothing: tuple[object, ...] = ()
    # Which model has the columns, beside the merged one.
    of_person: bool = False

    def says(self, record: Model) -> bool:
        """Say whether a record knows anything of this."""
        return any(getattr(record, name) not in (None, "", *self.nothing) for name in self.names[:2])


def _fact(model: type[Model], *names: str, **facts: Any) -> Fact:
    label = facts.pop("label", None) or model._meta.get_field(names[0]).verbose_name  # type: ignore[union-attr]
    return Fact(names[0], label, names, of_person=model is Person, **facts)


FACTS: dict[str, tuple[Fact, ...]] = {
    Merge.Kind.ACCOUNT: (
        _fact(Account, "name"),
        _fact(Account, "domain"),
        _fact(Account, "status"),
        _fact(Account, "industry"),
        _fact(Account, "employees"),
        _fact(Account, "revenue", "revenue_currency", nothing=("EUR",)),
        _fact(Account, "founded_year"),
        _fact(Account, "city"),
        _fact(Account, "country"),
        _fact(Account, "parent_id", label=_("parent company")),
        _fact(Account, "owner_id", "team_id", label=_("owner and team")),
        _fact(Account, "external_id", "source", label=_("id at the source")),
    ),
    Merge.Kind.CONTACT: (
        _fact(Person, "family_name", "given_name", label=_("name")),
        _fact(Person, "language"),
        _fact(Contact, "email", "address_invalid_at"),
        _fact(Contact, "phone"),
        _fact(Contact, "job_title"),
        _fact(Contact, "function"),
        _fact(Contact, "legal_basis", nothing=(Contact.LegalBasis.UNKNOWN,)),
        _fact(Contact, "details_confirmed_at"),
        _fact(Contact, "departure_suspected_at"),
        _fact(Contact, "external_id", "source", label=_("id at the source")),
    ),
}


def default(fact: Fact, kept: Model, folded: Model) -> str:
    """Choose the kept record's value; the other's where it says nothing."""
    return FOLDED if not fact.says(kept) and fact.says(folded) else KEPT


def chosen(kind: str, kept: Model, folded: Model, choices: Choices) -> Iterator[tuple[Fact, dict[str, Any]]]:
    """Give the values that the kept record takes from the folded one."""
    for fact in FACTS[kind]:
        mine, theirs = (_holder(fact, record) for record in (kept, folded))
        if choices.get(fact.key, default(fact, mine, theirs)) == FOLDED:
            # As the database has them: a phone number or country of a record is more than its text.
            yield fact, type(theirs)._base_manager.filter(pk=theirs.pk).values(*fact.names).get()


def _holder(fact: Fact, record: Any) -> Any:
    return record.person if fact.of_person else record


def refuse_unknown(kind: str, choices: Choices) -> None:
    """Raise Invalid, naming the field, for a choice that there is not."""
    known = {fact.key for fact in FACTS[kind]}
    wrong: dict[str, object] = {
        key: _("This cannot be chosen.") for key, side in choices.items() if key not in known or side not in (KEPT, FOLDED)
    }
    if wrong:
        raise Invalid(_("This cannot be chosen."), detail=wrong)
