"""Pilots: start a proof of concept with criteria and an end, give its verdict, and ask for a verdict that is overdue."""

from datetime import date, datetime

from django.db import IntegrityError, transaction
from django.db.models import CharField, Exists, OuterRef, Value
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext as _

from crm import errors, follow_ups, policy
from crm.models import FollowUp, Opportunity, Pilot, User


@transaction.atomic
def start(
    *,
    opportunity: Opportunity,
    success_criteria: str,
    ends_on: date | None,
    at: datetime,
    starts_on: date | None = None,
    by: User | None = None,
) -> Pilot:
    """Start a pilot on an open deal, today unless told otherwise; Conflict when another one runs."""
    starts_on = starts_on or policy.day_of(at)
    # Read afresh and kept: a deal that was closed meanwhile starts no pilot, and who closes it now waits for this one.
    deal = Opportunity.objects.select_for_update(of=("self",), no_key=True).get(pk=opportunity.pk)
    pilot = Pilot(opportunity=deal, success_criteria=success_criteria.strip(), starts_on=starts_on)
    pilot.ends_on = _end(pilot, ends_on)
    return _save(pilot, by=by)


def _end(pilot: Pilot, ends_on: date | None) -> date:
    """Give the end of a new pilot; refuse a pilot that is nothing to judge."""
    wrong = {}
    if not pilot.opportunity.is_open:
        wrong["opportunity"] = _("This deal is closed: reopen it first.")
    if not pilot.success_criteria:
        wrong["success_criteria"] = _("Say what makes the pilot a success.")
    if ends_on is None:
        wrong["ends_on"] = _("Say when the pilot ends.")
    elif ends_on < pilot.starts_on:
        wrong["ends_on"] = _("The pilot ends before it starts.")
    if wrong or ends_on is None:
        raise errors.Invalid(" ".join(wrong.values()), detail={**wrong})
    return ends_on


def _save(pilot: Pilot, *, by: User | None) -> Pilot:
    if by:
        pilot._history_user = by  # type: ignore[attr-defined]
    try:
        with transaction.atomic():
            pilot.save()
    except IntegrityError:
        if not Pilot.objects.running().filter(opportunity=pilot.opportunity).exists():
            raise
        raise errors.Conflict(_("A pilot runs on this deal already.")) from None
    return pilot


@transaction.atomic
def judge(pilot: Pilot, *, verdict: str, at: datetime, note: str = "", by: User | None = None) -> Pilot:
    """Give the verdict of a running pilot, and close the follow-up that asked for it; Conflict when it has one."""
    if verdict not in Pilot.Verdict.values:
        raise errors.Invalid(_("A pilot passes, fails or is stopped."), detail={"verdict": _("A pilot passes, fails or is stopped.")})
    if not Pilot.objects.running().filter(pk=pilot.pk).update(verdict=verdict, verdict_on=policy.day_of(at)):
        raise errors.Conflict(_("This pilot has a verdict already."))
    pilot.refresh_from_db()
    pilot.verdict_note = note.strip()
    if by:
        pilot._history_user = by  # type: ignore[attr-defined]
    pilot.save(update_fields=["verdict_note"])
    follow_ups.close_about(FollowUp.Reason.PILOT_OVERDUE, f"pilot:{pilot.pk}", at=at, by=by, result=pilot.get_verdict_display())
    return pilot


def chase_overdue(*, at: datetime) -> int:
    """Open a follow-up for each pilot past its end without a verdict, unless one is open; give the number opened."""
    asked = FollowUp.objects.open().filter(
        reason=FollowUp.Reason.PILOT_OVERDUE, subject_key=Concat(Value("pilot:"), Cast(OuterRef("pk"), CharField()))
    )
    overdue = Pilot.objects.overdue(policy.day_of(at)).exclude(Exists(asked)).select_related("opportunity__account", "opportunity__owner")
    pilots = list(overdue)
    for pilot in pilots:
        _chase(pilot, at=at)
    return len(pilots)


def _chase(pilot: Pilot, *, at: datetime) -> None:
    follow_ups.open(
        reason=FollowUp.Reason.PILOT_OVERDUE,
        owner=pilot.opportunity.owner,
        due_on=follow_ups.due_after(at, policy.FOLLOW_UPS.pilot_verdict_days),
        at=at,
        account=pilot.opportunity.account,
        opportunity=pilot.opportunity,
        about=f"pilot:{pilot.pk}",
        facts={"ends_on": pilot.ends_on.isoformat()},
    )
