"""Job-change signals: opened by evidence, decided by a person, and everything they did can be undone.

Whoever touches the signals of an account claims the account first: two reports at the same moment are judged one after
the other, each knowing the one before. Whoever claims several does so in the order of their ids, and a refresh does so
after its standings, which nobody else locks: so nobody waits in a circle.
"""

from collections.abc import Collection, Iterable
from datetime import date, datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import CharField, EmailField, Exists, F, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext as _

from abm import domain_incidents, signal_effects
from abm.errors import WrongStatus
from abm.models import AnnouncedLeaving, JobChangeSignal, SignalEvidence
from crm import activity_kinds, contacts, deliverability, follow_ups
from crm.errors import Conflict, Invalid
from crm.models import Account, Activity, Contact, Delivery, DeliveryReport, DmuMembership, DmuRole, FollowUp, User
from crm.models.deliverability import LASTING_OUTCOMES, Outcome
from crm.policy import FOLLOW_UPS, day_of

Kind, Status, Source = JobChangeSignal.Kind, JobChangeSignal.Status, SignalEvidence.Source
WAITING = (Status.OPEN, Status.HELD)


# --- evidence --------------------------------------------------------------------------------------


@transaction.atomic
def assess(report_id: int, *, at: datetime) -> JobChangeSignal | None:
    """Judge a lasting failure of a mail that we sent, or an automatic reply to one that says who left.

    Give the person's signal, else the account's, if there is one. A report twice counts once. An address that never worked is flagged as invalid instead; the mailbox of a function
    or at a free-mail provider says nothing of a person; an address since corrected says nothing at all.
    """
    reports = DeliveryReport.objects.verified().filter(Q(outcome__in=LASTING_OUTCOMES) | Q(says_left=True), pk=report_id)
    report = reports.select_related("delivery").first()
    if report is None or report.delivery is None:
        return None
    claim(report.delivery.account_id)
    contact = _fresh(report.delivery.contact_id)
    if contact.left_on is not None or contact.email.lower() != report.delivery.address.lower():
        return None
    judge = _hear if report.says_left else _judge
    return _known(contact, f"report:{report.pk}") or judge(report, report.delivery, contact, at=at)


def assess_missed(*, since: datetime, at: datetime, limit: int) -> int:
    """Judge the newest failures and replies since a moment that no signal counts yet: their event may be lost. Give their number.

    At most `limit` of them: called in a transaction, it keeps the accounts of all of them until that ends.
    """
    of_domain = Q(signal__kind=Kind.DOMAIN, signal__status=Status.CONFIRMED, signal__account=OuterRef("delivery__account"))
    counted = SignalEvidence.objects.filter(
        Q(signal__contact=OuterRef("delivery__contact")) | of_domain, key=Concat(Value("report:"), Cast(OuterRef("pk"), CharField()))
    )
    missed = DeliveryReport.objects.departures_since(since).filter(~Exists(counted)).order_by("-pk")
    in_order = sorted((account_id, pk) for pk, account_id in missed.values_list("pk", "delivery__account_id")[:limit])
    return len([assess(pk, at=at) for _account_id, pk in in_order])


def _judge(report: DeliveryReport, delivery: Delivery, contact: Contact, *, at: datetime) -> JobChangeSignal | None:
    is_free = deliverability.is_free_mail(delivery.address)
    incident = None if is_free else domain_incidents.notice(contact.account, report, address=delivery.address, at=at)
    if report.outcome == Outcome.DOMAIN_GONE:
        return incident
    if deliverability.worked_before(contact, before=delivery.sent_at):
        is_personal = not is_free and not deliverability.is_role_address(delivery.address)
        evidence = [domain_incidents.evidence_of(JobChangeSignal(), report)]
        return _gather(contact, evidence, is_held=incident is not None, at=at) if is_personal else incident
    if incident is None:
        _flag_address(contact, at=at)
    return incident


def _hear(report: DeliveryReport, delivery: Delivery, contact: Contact, *, at: datetime) -> JobChangeSignal | None:
    """Take an automatic reply as evidence; it shows that the address works, so no bounce has to. A function's mailbox names nobody."""
    if deliverability.is_free_mail(delivery.address) or deliverability.is_role_address(delivery.address):
        return None
    is_own = report.successor_email.lower() == contact.email.lower()
    return suspect(
        contact,
        source=Source.AUTO_REPLY,
        key=f"report:{report.pk}",
        text=report.evidence,
        at=at,
        successor_name="" if is_own else report.successor_name,
        successor_email="" if is_own else report.successor_email,
    )


def claim(account_id: int) -> None:
    """Take an account for the rest of the transaction: who else wants its signals waits."""
    Account.objects.filter(pk=account_id).update(name=F("name"))


def _fresh(contact_id: int) -> Contact:
    return Contact.objects.select_related("account__owner", "person").get(pk=contact_id)


def _known(contact: Contact, key: str) -> JobChangeSignal | None:
    """Find the contact's signal, decided or not, that counted this evidence already, or the domain change that explains it.

    A domain signal that is open or was dismissed explains nothing: it may name a report that waited its turn.
    """
    counted = JobChangeSignal.objects.filter(evidence__key=key, account=contact.account_id)
    return counted.filter(contact=contact).first() or counted.of_domains().filter(status=Status.CONFIRMED).first()


def _flag_address(contact: Contact, *, at: datetime) -> None:
    """Flag an address that never worked and have it corrected."""
    if contacts.find_address_invalid(contact, at=at):
        follow_ups.open(
            reason=FollowUp.Reason.ADDRESS_INVALID,
            owner=contact.account.owner,
            due_on=follow_ups.due_after(at, FOLLOW_UPS.details_days),
            at=at,
            account=contact.account,
            contact=contact,
            about=f"contact:{contact.pk}",
        )


@transaction.atomic
def suspect(
    contact: Contact,
    *,
    source: str,
    key: str,
    text: str,
    at: datetime,
    by: User | None = None,
    successor_name: str = "",
    successor_email: str = "",
) -> JobChangeSignal:
    """Open a signal on somebody's word or a machine's, or add the evidence to the open one; the same key twice counts once.

    A named successor is a proposal: nobody is added before a person confirms. Raises WrongStatus for who left already,
    Invalid for a source that does not exist or a successor's address that is none.
    """
    _refuse_evidence(source, successor_email.strip())
    claim(contact.account_id)
    contact = _fresh(contact.pk)
    if contact.left_on is not None:
        raise WrongStatus(_("%(contact)s has left already.") % {"contact": contact})
    is_machine = source in (Source.BOUNCE, Source.AUTO_REPLY)
    if is_machine and (known := _known(contact, key)):
        return known
    evidence = SignalEvidence(source=source, key=key, text=text[:500], seen_at=at, given_by=by)
    is_held = source == Source.BOUNCE and JobChangeSignal.objects.open().of_domains().filter(account=contact.account_id).exists()
    signal = _gather(contact, [evidence], is_held=is_held, at=at)
    return _name_successor(signal, name=successor_name.strip(), email=successor_email.strip())


def _refuse_evidence(source: str, successor_email: str) -> None:
    wrong: dict[str, object] = {}
    if source not in Source.values:
        wrong["source"] = _("No such source.")
    try:
        EmailField(blank=True).clean(successor_email, None)
    except ValidationError:
        wrong["successor_email"] = _("This is no address.")
    if wrong:
        raise Invalid(" ".join(map(str, wrong.values())), detail=wrong)


def _gather(contact: Contact, evidence: list[SignalEvidence], *, is_held: bool, at: datetime) -> JobChangeSignal:
    """Add evidence to the one signal of a contact that waits, opening or holding a new one if there is none."""
    waiting = JobChangeSignal.objects.waiting().filter(contact=contact).first()
    signal = waiting or JobChangeSignal.objects.create(contact=contact, account=contact.account, status=Status.HELD, opened_at=at)
    for one in evidence:
        one.signal = signal
    SignalEvidence.objects.bulk_create(evidence, ignore_conflicts=True)
    if signal.status == Status.HELD and not is_held and (waiting is None or _has_a_word(signal)):
        signal_effects.turn(signal, Status.OPEN, at=at)
    return signal


def _has_a_word(signal: JobChangeSignal) -> bool:
    """Say whether more than bounced mail speaks for a signal: then it does not wait for the mail of the whole domain."""
    return signal.evidence.exclude(source=Source.BOUNCE).exists()


def _name_successor(signal: JobChangeSignal, *, name: str, email: str) -> JobChangeSignal:
    """Write down who was named; the last word counts."""
    if name or email:
        signal.successor_name, signal.successor_email = name[:200], email
        signal.save(update_fields=["successor_name", "successor_email"])
    return signal


# --- decisions -------------------------------------------------------------------------------------


@transaction.atomic
def confirm(
    signal: JobChangeSignal,
    *,
    at: datetime,
    by: User | None = None,
    left_on: date | None = None,
    new_account: Account | None = None,
    new_email: str = "",
    new_job_title: str = "",
    successor: Contact | None = None,
) -> JobChangeSignal:
    """Confirm that the person left, on the day they named or today unless told otherwise, or that the account's domain changed.

    A person: roles end, confirmations are withdrawn, a chosen or named successor gets the roles as assumed, and at a known
    new employer the person is a contact too. A domain: the held person signals are dismissed with it.
    Raises WrongStatus when it was decided already, Invalid for a day to come or the same employer.
    """
    if new_account is not None and new_account.pk == signal.account_id:
        raise Invalid(_("This is the account that the person left."), detail={"new_account": _("Choose another account.")})
    signal_effects.refuse_successor(signal, successor)
    row = _decide(signal, WAITING, Status.CONFIRMED, at=at, by=by)
    done = row.effects or signal_effects.opening(row, at=at)
    done += signal_effects.departing(
        row,
        left_on=left_on or _named_day(row) or day_of(at),
        at=at,
        by=by,
        new_account=new_account,
        new_email=new_email,
        new_job_title=new_job_title,
        successor=successor,
    )
    if row.kind == Kind.DOMAIN:
        done += signal_effects.sort_out_held(domain_incidents.held(row.account), Status.DISMISSED, at=at, by=by)
    return _write_down(signal, row, done, at=at)


def _named_day(signal: JobChangeSignal) -> date | None:
    """Give the day that the contact named when they announced it."""
    return AnnouncedLeaving.objects.filter(signal=signal, taken_back_at=None).values_list("leaves_on", flat=True).first()


def dismiss(signal: JobChangeSignal, *, at: datetime, by: User | None = None) -> JobChangeSignal:
    """Decide that nobody left, or that the domain had a mere outage: everything is put back, held signals open.

    Raises WrongStatus when it was decided already.
    """
    return _take_back(signal, Status.DISMISSED, at=at, by=by)


def withdraw(signal: JobChangeSignal, *, at: datetime) -> JobChangeSignal:
    """Let later mail, or the person, disprove a signal: everything is put back, as if dismissed. Raises WrongStatus as `dismiss` does."""
    return _take_back(signal, Status.WITHDRAWN, at=at, by=None)


@transaction.atomic
def _take_back(signal: JobChangeSignal, status: str, *, at: datetime, by: User | None) -> JobChangeSignal:
    row = _decide(signal, WAITING, status, at=at, by=by)
    signal_effects.undo(row.effects, at=at, by=by)
    is_domain = row.kind == Kind.DOMAIN
    released = signal_effects.sort_out_held(domain_incidents.held(row.account), Status.OPEN, at=at, by=by) if is_domain else []
    return _write_down(signal, row, released, at=at)


@transaction.atomic
def undo(signal: JobChangeSignal, *, at: datetime, by: User | None = None) -> JobChangeSignal:
    """Take back a confirmation or a dismissal: the signal is open again and has the effects of an open one.

    A contact that was added goes again unless somebody worked with it since; an assumed role ends, a confirmed one stays.
    Raises WrongStatus when it was not decided, Conflict when a newer signal waits or the person works there anew.
    """
    claim(signal.account_id)
    newer = JobChangeSignal.objects.waiting().filter(account=signal.account_id, contact=signal.contact_id).exclude(pk=signal.pk)
    if newer.exists():
        raise Conflict(_("A newer signal waits for a decision: decide that one."))
    row = _decide(signal, (Status.CONFIRMED, Status.DISMISSED), Status.OPEN, at=at, by=by)
    steps = {step: [effect for effect in row.effects if effect["step"] == step] for step in (signal_effects.OPENED, signal_effects.DECIDED)}
    signal_effects.undo(steps[signal_effects.DECIDED], at=at, by=by)
    row.refresh_from_db()
    return _write_down(signal, row, steps[signal_effects.OPENED] or signal_effects.opening(row, at=at), at=at)


def _decide(signal: JobChangeSignal, before: Collection[str], after: str, *, at: datetime, by: User | None) -> JobChangeSignal:
    """Move a signal on, if it still stands where the caller needs it, and give it afresh."""
    claim(signal.account_id)
    is_over = after not in WAITING
    decided = {"decided_at": at if is_over else None, "decided_by": by if is_over else None}
    if not JobChangeSignal.objects.filter(pk=signal.pk, status__in=before).update(status=after, **decided):
        raise WrongStatus(_("This signal was decided already.") if is_over else _("There is no decision to take back."))
    return JobChangeSignal.objects.select_related("account__owner", "contact__account__owner", "contact__person").get(pk=signal.pk)


def _write_down(signal: JobChangeSignal, row: JobChangeSignal, effects: list[signal_effects.Effect], *, at: datetime) -> JobChangeSignal:
    row.effects = effects
    row.save(update_fields=["effects"])
    signal.refresh_from_db()
    signal_effects.tell(signal, at=at)
    return signal


# --- what later facts settle -----------------------------------------------------------------------


@transaction.atomic(savepoint=False)
def settle(account_ids: Collection[int], *, at: datetime) -> int:
    """Withdraw what was disproved and close what was found at these accounts; give the number of both."""
    waiting = JobChangeSignal.objects.waiting().of_persons().filter(account=OuterRef("pk"))
    wanted = FollowUp.objects.open().filter(reason=FollowUp.Reason.FIND_SUCCESSOR, account=OuterRef("pk"))
    # Claimed before they are read: who decides one of these signals at this moment has done so, or waits for us.
    concerned = Account.objects.filter(Exists(waiting) | Exists(wanted), pk__in=account_ids).order_by("pk")
    claimed = list(concerned.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True))
    return withdraw_disproved(claimed, at=at) + close_found(claimed, at=at) if claimed else 0


def withdraw_disproved(account_ids: Collection[int], *, at: datetime) -> int:
    """Withdraw the signals that rest on bounced mail alone and whose person was reached since; give their number."""
    words = SignalEvidence.objects.filter(signal=OuterRef("pk")).exclude(source=Source.BOUNCE)
    arrived = Delivery.objects.proven().filter(contact=OuterRef("contact"), address__iexact=OuterRef("contact__email"), failed_at=None)
    reached = Activity.objects.filter(contact=OuterRef("contact"), kind__in=activity_kinds.PROOF_OF_ADDRESS, machine_reason="")
    disproved = (
        JobChangeSignal.objects.waiting()
        .of_persons()
        .filter(~Exists(words), account__in=account_ids)
        .filter(Exists(arrived.filter(sent_at__gt=OuterRef("opened_at"))) | Exists(reached.filter(occurred_at__gt=OuterRef("opened_at"))))
    )
    return len([withdraw(signal, at=at) for signal in disproved])


def close_found(account_ids: Collection[int], *, at: datetime) -> int:
    """Close 'find the successor' where everybody's roles have been given to somebody since; give the number."""
    wanted = FollowUp.objects.open().filter(reason=FollowUp.Reason.FIND_SUCCESSOR, account__in=account_ids, contact__left_on__isnull=False)
    if not wanted:
        return 0
    given = DmuMembership.objects.current().filter(account__in=account_ids, contact__left_on=None)
    since = list(given.values_list("account_id", "role", "since"))
    found = [follow_up for follow_up in wanted if _is_found(follow_up, since)]
    return len([follow_ups.close(follow_up, at=at, result=_("Every role has somebody again.")) for follow_up in found])


def _is_found(follow_up: FollowUp, given: Iterable[tuple[int, str, date]]) -> bool:
    """Say whether each of the roles was given to somebody at the account since the follow-up was opened."""
    asked = set(follow_up.facts.get("roles", ())) & set(DmuRole.values)
    opened_on = day_of(follow_up.opened_at)
    return bool(asked) and asked <= {role for account_id, role, since in given if account_id == follow_up.account_id and since >= opened_on}
