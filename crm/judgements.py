"""Saying of many activities at once who made them: each judged as if it were the only one, written in a few statements."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm import activities, handovers, verdicts
from crm.handovers import Judged
from crm.models import Activity, User

BY_MACHINE = "said_by_person"
REASONS: dict[str, Promise] = handovers.REASONS | {
    "by_person": _("they count as made by people already"),
    "by_machine": _("they count as made by a machine already"),
}


def judge_people_did(ids: Sequence[int], *, by: User) -> Judged:
    """Say which activities would count again."""
    return handovers.judged(Activity, ids, by, lambda row: "" if row["machine_reason"] else "by_person", "machine_reason")


@transaction.atomic
def people_did(ids: Sequence[int], *, at: datetime, by: User) -> Judged:
    """Say that people made these activities: they count again, and the rules do not judge them any more."""
    activities.hold(ids)
    judged = judge_people_did(ids, by=by)
    verdicts.say(judged.chosen, machine_reason="", at=at, by=by)
    return judged


def judge_machines_did(ids: Sequence[int], *, by: User) -> Judged:
    """Say which activities would count no more."""
    return handovers.judged(Activity, ids, by, lambda row: "by_machine" if row["machine_reason"] else "", "machine_reason")


@transaction.atomic
def machines_did(ids: Sequence[int], *, at: datetime, by: User) -> Judged:
    """Say that machines made these activities: they count no more, and the rules do not judge them any more."""
    activities.hold(ids)
    judged = judge_machines_did(ids, by=by)
    verdicts.say(judged.chosen, machine_reason=BY_MACHINE, at=at, by=by)
    return judged
