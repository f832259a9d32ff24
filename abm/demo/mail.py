"""The demo's mail of the last weeks, and what came back of it: full mailboxes, filters, and some who are gone."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from random import Random

from django.utils import timezone

from abm import job_changes
from abm.demo.people import SOURCE, Member, dice
from crm import deliverability, policy
from crm.models import Contact, Delivery, DeliveryReport
from crm.models.deliverability import Outcome

WEEKS, SENT_AT, SUBJECT = 4, time(9, 30), "News of this month"
# Of a hundred mails, how many come back so; the words are those of a mail server.
PASSING = {
    Outcome.MAILBOX_FULL: (1, "452 4.2.2 The e-mail account that you tried to reach is over quota."),
    Outcome.TEMPORARY: (3, "451 4.7.1 Greylisting in action, please come back later."),
    Outcome.BLOCKED_POLICY: (1, "550 5.7.1 Message rejected due to local policy."),
}
GONE = "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table"


def send_and_return(members: Sequence[Member], *, at: datetime) -> None:
    """Put a mailing a week on record, and have some of it come back through the rule; the newest to those who may be gone, too."""
    sent = Delivery.objects.bulk_create(_mailings(members, at=at), batch_size=500)
    suspected = set(Contact.objects.active().exclude(departure_suspected_at=None).values_list("pk", flat=True))
    last = max(delivery.sent_at for delivery in sent)
    for delivery in sent:
        if delivery.contact_id in suspected and delivery.sent_at == last:
            report = _return(delivery, Outcome.PERSON_GONE, GONE.format(address=delivery.address))
            job_changes.assess(report.pk, at=report.reported_at)
        elif outcome := _chance(dice(f"return of {delivery.message_id}")):
            _return(delivery, outcome, PASSING[outcome][1])


def _mailings(members: Iterable[Member], *, at: datetime) -> Iterator[Delivery]:
    for member in members:
        if member.seat.mark in ("!", "-") or not member.contact.email:
            continue
        for week in range(WEEKS):
            day = policy.day_of(at - timedelta(days=3 + 7 * week))
            moment = datetime.combine(day, SENT_AT, tzinfo=timezone.get_current_timezone())
            yield Delivery(
                account=member.account,
                contact=member.contact,
                address=member.contact.email,
                subject=SUBJECT,
                message_id=f"<demo-{week}-{member.contact.pk}@example.com>",
                sent_at=moment,
                delivered_at=moment + timedelta(seconds=20),
            )


def _chance(rolls: Random) -> Outcome | None:
    """Draw how a mail comes back; mostly it does not."""
    weights = [weight for weight, _words in PASSING.values()]
    return rolls.choices([None, *PASSING], weights=[100 - sum(weights), *weights])[0]


def _return(delivery: Delivery, outcome: str, words: str) -> DeliveryReport:
    Delivery.objects.filter(pk=delivery.pk).update(delivered_at=None)
    return deliverability.record_report(
        source=SOURCE,
        external_id=delivery.message_id,
        recipient=delivery.address,
        outcome=outcome,
        evidence=words,
        message_id=delivery.message_id,
        at=delivery.sent_at + timedelta(minutes=4),
    )
