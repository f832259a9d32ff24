"""Rows of activities: of a contact by id or address, or of a company; recorded once per id at the source."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from crm import activities
from crm.imports import WrongValue, shown
from crm.models import Activity, Contact, Upload, UploadedRecord
from crm.new_activities import NewActivity, judge_many
from crm.uploads.companies import Companies
from crm.uploads.outcomes import Kind, Outcome
from crm.uploads.parsing import ActivityFacts


class ActivityWriter:
    """Writes chunks of activities, or says what would become of them."""

    def __init__(self, upload: Upload, headers: Mapping[str, str], *, is_trial: bool) -> None:
        self.upload, self.headers, self.is_trial = upload, headers, is_trial
        self.companies = Companies(upload, is_trial=is_trial)
        self.lines: dict[int, int] = {}

    def write(self, rows: Sequence[ActivityFacts], outcome: Outcome, *, at: datetime) -> None:
        """Write one chunk."""
        self.companies.look_up([facts.company for facts in rows])
        self._look_up_people(rows)
        known = self._known(rows)
        if not self.is_trial:
            self.lines = {}
        fresh: list[tuple[ActivityFacts, NewActivity]] = []
        for facts in rows:
            try:
                new = self._new(facts)
                self._refuse_repeated(facts, known)
            except WrongValue as wrong:
                outcome.fail(facts.row, self.headers.get(wrong.column, ""), wrong.reason)
                continue
            if facts.external_id in known:
                outcome.unchanged += 1
            else:
                self.lines[hash(facts.external_id)] = facts.row.line
                fresh.append((facts, new))
        self._record(fresh, outcome, at=at)

    def _look_up_people(self, rows: Sequence[ActivityFacts]) -> None:
        """Find the contacts that rows name, of those that the user may see; an address may be several people's."""
        seen = Contact.objects.visible_to(self.upload.owner).order_by("left_on", "pk")
        ids = {facts.contact_external_id for facts in rows if facts.contact_external_id}
        emails = {facts.contact_email for facts in rows if facts.contact_email}
        by_id = seen.filter(source=self.upload.source, external_id__among=ids)
        self._by_id = {name: (pk, account) for name, pk, account in by_id.values_list("external_id", "pk", "account_id")}
        self._by_email: dict[str, list[tuple[int, int]]] = {}
        by_email = seen.annotate(address=Lower("email")).filter(address__among=emails)
        for email, pk, account in by_email.values_list("address", "pk", "account_id"):
            self._by_email.setdefault(email, []).append((pk, account))

    def _known(self, rows: Sequence[ActivityFacts]) -> dict[str, int | None]:
        """Give the activities that are recorded already, with the line if it was this import that did."""
        ids = [facts.external_id for facts in rows]
        there = dict(Activity.objects.filter(source=self.upload.source, external_id__among=ids).values_list("external_id", "pk"))
        ours = UploadedRecord.objects.filter(upload=self.upload, kind=Kind.ACTIVITY, object_id__in=there.values())
        lines = dict(ours.values_list("object_id", "line"))
        return {external_id: lines.get(pk) for external_id, pk in there.items()}

    def _refuse_repeated(self, facts: ActivityFacts, known: Mapping[str, int | None]) -> None:
        line = known.get(facts.external_id) or self.lines.get(hash(facts.external_id))
        if line is not None:
            raise WrongValue("external_id", _("the same as line %(line)d") % {"line": line})

    def _new(self, facts: ActivityFacts) -> NewActivity:
        contact_id, account_id = self._place(facts)
        return NewActivity(
            account_id=account_id,
            kind=facts.kind,
            occurred_at=facts.occurred_at,
            external_id=facts.external_id,
            contact_id=contact_id,
            subject=facts.subject,
            machine_reason=facts.machine_reason,
            message_id=facts.message_id,
            link=facts.link,
            user_agent=facts.user_agent,
        )

    def _place(self, facts: ActivityFacts) -> tuple[int | None, int]:
        """Find who and where: the contact decides, the company chooses between several; without a contact the company alone."""
        account_id = self.companies.find(facts.company) if facts.company else None
        if facts.contact_external_id in self._by_id:
            return self._by_id[facts.contact_external_id]
        people = self._by_email.get(facts.contact_email, [])
        here = [(pk, account) for pk, account in people if account == account_id]
        if here or len(people) == 1:
            return (here or people)[0]
        if people:
            raise WrongValue(
                "contact_email", _("several contacts have the address %(email)s; give the company") % {"email": facts.contact_email}
            )
        if facts.contact_external_id or facts.contact_email:
            who = facts.contact_email or facts.contact_external_id
            column = "contact_email" if facts.contact_email else "contact_external_id"
            raise WrongValue(column, _("there is no contact '%(who)s' that you may see") % {"who": shown(who)})
        if account_id is None:
            raise WrongValue("account_name", _("there is no such account, and no contact is named"))
        return None, account_id

    def _record(self, fresh: Sequence[tuple[ActivityFacts, NewActivity]], outcome: Outcome, *, at: datetime) -> None:
        rows = [new for _facts, new in fresh]
        if self.is_trial:
            for (facts, _new), wrong in zip(fresh, judge_many(rows, at=at), strict=True):
                if wrong:
                    outcome.refuse(facts.row, {wrong[0]: wrong[1]}, self.headers)
                else:
                    outcome.created += 1
            return
        for (facts, new), done in zip(
            fresh, activities.record_many(rows, source=self.upload.source, at=at, by=self.upload.owner), strict=True
        ):
            if done.activity_id is None:
                outcome.refuse(facts.row, {done.field: done.error}, self.headers)
            elif done.created:
                outcome.created += 1
                outcome.made(Kind.ACTIVITY, done.activity_id, facts.row.line, fingerprint=fingerprint(new))
            else:
                outcome.unchanged += 1


def fingerprint(activity: NewActivity | Activity) -> int:
    """Digest what can be corrected of an activity: it has no history that would tell whether somebody did."""
    subject, reason = activity.subject[:300], activity.machine_reason
    if isinstance(activity, Activity) and activity.judged_by != Activity.JudgedBy.SOURCE:
        # What the rules found is no correction; what a person said is one.
        reason = activity.judged_by
    told = (activity.kind, activity.occurred_at.timestamp(), activity.contact_id, activity.opportunity_id, subject, reason)
    return int.from_bytes(hashlib.blake2b(repr(told).encode(), digest_size=7).digest())
