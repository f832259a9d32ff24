"""What crm's own lists hold, column by column."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Prefetch
from django.utils.translation import gettext_lazy as _

from crm.exports.lists import Column, Listing, picked, plain
from crm.models import Account, Activity, Contact, DmuMembership, FollowUp, Opportunity

_ROLES = Prefetch("memberships", queryset=DmuMembership.objects.current().order_by("role", "id"), to_attr="exported_roles")


def crm_lists() -> Iterator[Listing]:
    """Give each list with its columns, the usual ones first."""
    for model, columns in (
        (Account, _of_accounts()),
        (Contact, _of_contacts()),
        (Opportunity, _of_opportunities()),
        (Activity, _of_activities()),
        (FollowUp, _of_follow_ups()),
    ):
        yield Listing(model, {column.name: column for column in columns})


def _id(model: type[Any]) -> Column:
    return Column("id", _("number"), lambda record: record.pk, is_usual=False)


def _country(account: Account) -> object:
    return account.country.name if account.country else ""


def _roles(contact: Any) -> str:
    """Name the roles that a contact holds now; an assumed one with a question mark."""
    return ", ".join(f"{row.get_role_display()}{'?' if row.is_assumed else ''}" for row in contact.exported_roles)


def _of_accounts() -> list[Column]:
    return [
        *plain(Account, "name domain owner team status industry employees city"),
        Column("country", _("country"), _country),
        *plain(
            Account,
            "revenue revenue_currency founded_year parent contract_conflict opted_out_at source external_id created_at updated_at",
            is_usual=False,
        ),
        _id(Account),
    ]


def _of_contacts() -> list[Column]:
    return [
        picked("given_name", _("given name"), "person.given_name"),
        picked("family_name", _("family name"), "person.family_name"),
        *plain(Contact, "account job_title function"),
        Column("roles", _("DMU roles"), _roles, gathers=(_ROLES,)),
        *plain(Contact, "email phone"),
        picked("opted_out_at", _("opted out"), "person.opted_out_at"),
        *plain(Contact, "left_on"),
        picked("domain", _("web domain"), "account.domain", is_usual=False),
        picked("owner", _("owner of the account"), "account.owner", joins="account__owner", is_usual=False),
        picked("language", _("language"), "person.language", is_usual=False),
        *plain(
            Contact,
            "legal_basis source external_id departure_suspected_at address_invalid_at details_confirmed_at created_at updated_at",
            is_usual=False,
        ),
        _id(Contact),
    ]


def _of_opportunities() -> list[Column]:
    return [
        *plain(Opportunity, "name account product stage amount currency expected_close_on owner gate_broken_at"),
        *plain(Opportunity, "kind origin campaign stage_since team closed_on lost_reason source imported_stage", is_usual=False),
        _id(Opportunity),
    ]


def _of_activities() -> list[Column]:
    return [
        Column("kind", _("kind"), lambda row: row.get_kind_display()),
        *plain(Activity, "account"),
        Column("contact", _("contact"), lambda row: row.contact, joins=("contact__person",)),
        *plain(Activity, "subject occurred_at source"),
        *plain(Activity, "opportunity day", is_usual=False),
        Column("machine_reason", _("machine-made because"), lambda row: row.get_machine_reason_display(), is_usual=False),
        *plain(Activity, "message_id link external_id recorded_by recorded_at", is_usual=False),
        _id(Activity),
    ]


def _of_follow_ups() -> list[Column]:
    about = ("account", "contact__person", "opportunity")
    return [
        Column("title", _("task"), lambda row: row.title, joins=about),
        *plain(FollowUp, "account"),
        Column("contact", _("contact"), lambda row: row.contact, joins=("contact__person",)),
        *plain(FollowUp, "opportunity owner due_on reason"),
        *plain(FollowUp, "opened_at closed_at closed_by result", is_usual=False),
        _id(FollowUp),
    ]
