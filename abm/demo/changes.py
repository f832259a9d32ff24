"""Invented departures, opt-outs and job-change signals, each made by the rule that makes the real ones."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from abm import job_changes
from abm.demo.deals import AT_RISK
from abm.demo.people import SOURCE, Member, dice
from abm.models import SignalEvidence
from crm import contacts, policy, privacy
from crm.models import Account, Confirmation, ConfirmationKind, User

AUTO_REPLY = "Automatic reply: I no longer work at this company. Your message is not forwarded. Please write to {successor}."


def depart_and_opt_out(members: Iterable[Member], *, at: datetime) -> None:
    """Let go whose mark says so, some weeks ago, and write down who wants no mail."""
    for member in members:
        days_ago = dice(f"change of {member.contact}").randint(20, 110)
        moment = at - timedelta(days=days_ago)
        if member.seat.mark == "!":
            contacts.depart(member.contact, left_on=policy.day_of(moment), at=moment, by=member.account.owner, reason=SOURCE)
        elif member.seat.mark == "-":
            privacy.opt_out(member.contact.person, at=moment)


def suspect(members: Sequence[Member], *, rep: User, at: datetime) -> None:
    """Open a signal where the mark says that somebody may be leaving; one more was a mistake, and one found a new employer."""
    successors = ("Robin Verhoeven", "Alex Lindgren", "Sam de Wit", "")
    leaving = [member for member in members if member.seat.mark == "^"]
    for number, member in enumerate(leaving):
        successor = successors[number % len(successors)]
        job_changes.suspect(
            member.contact,
            source=SignalEvidence.Source.AUTO_REPLY,
            key=f"demo-{number}",
            text=AUTO_REPLY.format(successor=successor or "our reception"),
            successor_name=successor,
            at=at - timedelta(days=2 + number),
        )
    _suspect_who_confirmed(at=at)
    at_reps = [member for member in members if member.account.owner_id == rep.pk]
    mistaken, *_others, moving = [member for member in at_reps if member.story == "cooling" and member.seat.mark == "+"]
    _dismiss(mistaken, at=at)
    _move(moving, next(member.account for member in at_reps if member.story == "silent"), at=at)


def _suspect_who_confirmed(*, at: datetime) -> None:
    """Open the newest signal about somebody whose word a live deal rests on, and whom nobody follows up."""
    budget = Confirmation.objects.standing().get(opportunity__source=SOURCE, opportunity__name=AT_RISK, kind=ConfirmationKind.BUDGET)
    job_changes.suspect(
        budget.contact,
        source=SignalEvidence.Source.AUTO_REPLY,
        key="demo-at-risk",
        text=AUTO_REPLY.format(successor="our reception"),
        at=at - timedelta(hours=20),
    )


def _dismiss(member: Member, *, at: datetime) -> None:
    said = "Somebody at the reception thought so."
    signal = job_changes.suspect(
        member.contact,
        source=SignalEvidence.Source.REP,
        key="demo-mistaken",
        text=said,
        at=at - timedelta(days=16),
        by=member.account.owner,
    )
    job_changes.dismiss(signal, at=at - timedelta(days=14), by=member.account.owner)


def _move(member: Member, there: Account, *, at: datetime) -> None:
    """Let somebody who knows us start at another account of the same rep."""
    moment, person = at - timedelta(days=6), member.contact.person
    signal = job_changes.suspect(
        member.contact,
        source=SignalEvidence.Source.CONTACT,
        key="demo-moved",
        text="Wrote from a private address: starting a new job on the first of the month.",
        at=moment,
    )
    job_changes.confirm(
        signal,
        left_on=policy.day_of(moment),
        new_account=there,
        new_email=f"{person.given_name}.{person.family_name}@{there.domain}".lower().replace(" ", "-"),
        new_job_title="Head of Digital Workplace",
        at=at - timedelta(days=5),
        by=member.account.owner,
    )
