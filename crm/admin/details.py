"""Asking people whether their details are right: one on the contact's page, many in the list, with a preview first."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from crm import details, tasks
from crm.admin.bulk import Deed, NothingMore
from crm.handovers import Judged
from crm.models import Contact, User


def judge(ids: Sequence[int], *, by: User) -> Judged:
    """Say who would be asked."""
    return details.judge_many(ids, at=now(), by=by)


def begin(ids: Sequence[int], *, at: datetime, by: User) -> Judged:
    """Have them asked in the background: a mail server takes its time."""
    judged = details.judge_many(ids, at=at, by=by)
    if judged.chosen:
        tasks.enqueue(tasks.ask_contacts, judged.chosen, by.pk)
    return judged


def may_be_mailed(contact: Contact) -> bool:
    """Say whether the page offers to ask a contact; the rule judges the rest."""
    return contact.left_on is None and contact.person.opted_out_at is None and bool(contact.email)


ASK = Deed(
    _("Ask them to check their details…"), _("Ask them"), NothingMore, judge, begin, details.REASONS,
    note=_("Each gets a mail with a link of their own. The mails go out one by one, within minutes."),
)  # fmt: skip
