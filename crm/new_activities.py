"""What an activity must be like before it is recorded: of a known kind, at a moment that can be, of people of the account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils.translation import gettext as _

from crm import activity_kinds, policy
from crm.models import Account, Contact, Opportunity

# A field and why it cannot be right.
Wrong = tuple[str, str]
# Clocks differ: a little ahead is accepted, tomorrow is not.
AHEAD = timedelta(minutes=10)
_TWO_DAYS = timedelta(days=2)


# Not frozen: thousands are made, and to freeze one takes as long as to make it; nobody changes them.
@dataclass(slots=True)
class NewActivity:
    """One row of a bulk recording, by ids.

    `message_id`, `link` and `user_agent` say of which mail a click or open is, what was clicked, and the program that
    did it, '-' for one that sent no name; empty: not told. `machine_reason` is the source's own word, and stands.
    """

    account_id: int
    kind: str
    occurred_at: datetime
    external_id: str = ""
    contact_id: int | None = None
    opportunity_id: int | None = None
    subject: str = ""
    machine_reason: str = ""
    message_id: str = ""
    link: str = ""
    user_agent: str = ""


def judge_many(rows: Sequence[NewActivity], *, at: datetime, is_new: bool = True) -> list[Wrong | None]:
    """Say for each row which field cannot be right and why, or nothing; three look-ups, however many rows."""
    accounts = set(Account.objects.filter(pk__among={row.account_id for row in rows}).order_by().values_list("pk", flat=True))
    named = Contact.objects.order_by().filter(pk__among={row.contact_id for row in rows if row.contact_id})
    # An erased contact is nowhere: None.
    contacts = {pk: None if erased_at else account for pk, account, erased_at in named.values_list("pk", "account_id", "erased_at")}
    of = Opportunity.objects.order_by().filter(pk__among={row.opportunity_id for row in rows if row.opportunity_id})
    deals = dict(of.values_list("pk", "account_id"))
    oldest = policy.oldest_day_kept(at) if is_new else None
    return [
        _wrong_moment(row, at)
        or _too_old(row, oldest)
        or wrong_text(row)
        or _wrong_kind(row)
        or _wrong_place(row, accounts, contacts, deals)
        for row in rows
    ]


def _wrong_moment(row: NewActivity, at: datetime) -> Wrong | None:
    if row.occurred_at.tzinfo is None:
        return "occurred_at", _("The moment has no time zone.")
    # Nothing that a score could count was recorded before; near the last year a local day cannot be told.
    if not 1990 <= row.occurred_at.year <= 9000:
        return "occurred_at", _("The moment lies too far in the past or the future.")
    return ("occurred_at", _("The moment lies in the future.")) if row.occurred_at > at + AHEAD else None


def _too_old(row: NewActivity, oldest: date | None) -> Wrong | None:
    """Refuse what the next night would delete; sent again after that, it would count a second time."""
    # Two days on either side, no time zone makes it another day: which day it is takes longer to tell than all else here.
    if oldest is None or row.occurred_at.date() > oldest + _TWO_DAYS or policy.day_of(row.occurred_at) >= oldest:
        return None
    return "occurred_at", _("Activities older than %(days)d days are not kept.") % {"days": policy.RETENTION.activity_days}


def wrong_text(row: NewActivity) -> Wrong | None:
    """Say which text of a row cannot be kept, and why."""
    if len(row.external_id) > 100:
        return "external_id", _("The id at the source is longer than 100 characters.")
    if len(row.machine_reason) > 30:
        return "machine_reason", _("The reason is longer than 30 characters.")
    if len(row.message_id) > 250:
        return "message_id", _("The Message-ID is longer than 250 characters.")
    for field in ("external_id", "subject", "machine_reason", "message_id", "link", "user_agent"):
        if "\x00" in getattr(row, field):
            return field, _("The text holds a character that cannot be kept.")
    return None


def _wrong_kind(row: NewActivity) -> Wrong | None:
    if row.kind in activity_kinds.KINDS:
        return None
    return "kind", _("Unknown kind '%(kind)s'; known are %(known)s.") % {"kind": row.kind[:50], "known": ", ".join(activity_kinds.KINDS)}


def _wrong_place(row: NewActivity, accounts: set[int], contacts: Mapping[int, int | None], deals: Mapping[int, int | None]) -> Wrong | None:
    if row.account_id not in accounts:
        return "account", _("There is no account %(id)s.") % {"id": row.account_id}
    if row.contact_id is not None and contacts.get(row.contact_id, 0) is None:
        return "contact", _("This person was erased.")
    if row.contact_id is not None and contacts.get(row.contact_id) != row.account_id:
        return "contact", _("There is no contact %(id)s at this account.") % {"id": row.contact_id}
    if row.opportunity_id is not None and deals.get(row.opportunity_id) != row.account_id:
        return "opportunity", _("There is no opportunity %(id)s at this account.") % {"id": row.opportunity_id}
    return None
