"""Mail comes back, a contact turns out to have left, the deal loses its ground, and all of it can be taken back."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from abm import job_changes
from abm.models import JobChangeSignal
from crm import contacts, deliverability, dmu, errors, opportunities
from crm.models import Account, Contact, DeliveryReport, FollowUp, Opportunity, User
from tests.factories.crm import AccountFactory

DAY = timedelta(days=1)


@pytest.fixture
def account(rep: User) -> Account:
    return AccountFactory(name="Molen BV", employees=40, owner=rep, team=rep.team)


def member(account: Account, at: datetime, role: str, given_name: str) -> Contact:
    contact = contacts.add(
        account=account, given_name=given_name, family_name="Molenaar", email=f"{given_name}@molen.example".lower(), at=at
    )
    dmu.assign(contact=contact, role=role, stance="champion", at=at)
    return contact


@pytest.fixture
def anna(account: Account, at: datetime) -> Contact:
    """The decider, to whom a mail arrived a month ago."""
    anna = member(account, at - 30 * DAY, "decider", "Anna")
    sent = deliverability.record_sent(contact=anna, message_id="<eerste@quorum.example>", at=at - 30 * DAY)
    deliverability.record_delivered(sent, at=at - 30 * DAY)
    return anna


@pytest.fixture
def deal(account: Account, anna: Contact, rep: User, at: datetime) -> Opportunity:
    """A deal with a proposal out, resting on what Anna and a colleague said."""
    colleague = member(account, at - 30 * DAY, "buyer", "Bram")
    deal = opportunities.begin(account=account, name="Molenstenen", stage="sql", amount=Decimal(8000), owner=rep, at=at - 20 * DAY)
    for kind, contact in {"authority": anna, "budget": anna, "need": colleague}.items():
        opportunities.confirm(deal, kind=kind, contact=contact, evidence="Zei het aan tafel.", at=at - 10 * DAY, by=rep)
    opportunities.advance(deal, to="opportunity", at=at - 9 * DAY, by=rep)
    return deal


def comes_back(contact: Contact, at: datetime) -> DeliveryReport:
    """Send a mail and have it come back, as the mail provider tells it."""
    deliverability.record_sent(contact=contact, message_id="<tweede@quorum.example>", at=at - DAY)
    return deliverability.record_report(
        source="postmark",
        external_id="2211",
        recipient=contact.email,
        outcome="person_gone",
        evidence="550 5.1.1 The email account that you tried to reach does not exist",
        message_id="tweede@quorum.example",
        at=at,
    )


def role_of(account: Account, role: str, at: datetime) -> dmu.RoleCoverage:
    (found,) = [row for row in dmu.coverage([account], at=at)[account.pk].roles if row.role == role]
    return found


def tasks(account: Account) -> set[str]:
    return set(FollowUp.objects.open().filter(account=account).values_list("reason", flat=True))


def test_from_a_bounce_to_a_broken_gate_and_back(account: Account, anna: Contact, deal: Opportunity, rep: User, at: datetime) -> None:
    assert role_of(account, "decider", at).state == "reachable"
    assert list(Opportunity.objects.committed()) == [deal]

    # A mail comes back: Anna's role is at risk and a task is open, but nothing is decided.
    signal = job_changes.assess(comes_back(anna, at).pk, at=at)
    decider = role_of(account, "decider", at)
    assert (signal.status, decider.holders[0].at_risk, decider.state) == ("open", True, "known")
    assert not deliverability.may_mail(anna)
    assert (tasks(account), list(Opportunity.objects.committed())) == ({"find_successor"}, [deal])

    # The rep confirms: the role is lost, her confirmations are gone, and the forecast no longer counts on the deal.
    later = at + DAY
    job_changes.confirm(signal, at=later, by=rep, left_on=date(2026, 3, 9))
    deal.refresh_from_db()
    anna.refresh_from_db()
    assert (anna.left_on, role_of(account, "decider", later).state) == (date(2026, 3, 9), "lost")
    assert list(anna.memberships.values_list("until", "end_reason")) == [(date(2026, 3, 9), "left")]
    assert set(deal.confirmations.filter(withdrawn_at=later).values_list("kind", flat=True)) == {"authority", "budget"}
    assert (deal.stage, deal.gate_broken_at, Opportunity.objects.committed().count()) == ("opportunity", later, 0)
    assert tasks(account) == {"find_successor", "gate_broken"}
    with pytest.raises(errors.BantGateClosed):
        opportunities.advance(deal, to="proposal", at=later)

    # It was a mistake: the undo brings back the person, the role, the confirmations and the forecast.
    undone = later + DAY
    job_changes.undo(signal, at=undone, by=rep)
    deal.refresh_from_db()
    anna.refresh_from_db()
    assert (anna.left_on, deal.gate_broken_at, list(Opportunity.objects.committed())) == (None, None, [deal])
    assert set(deal.confirmations.filter(withdrawn_at=None).values_list("kind", flat=True)) == {"authority", "budget", "need"}
    assert (role_of(account, "decider", undone).holders[0].at_risk, tasks(account)) == (True, {"find_successor"})

    job_changes.dismiss(signal, at=undone, by=rep)
    assert (role_of(account, "decider", undone).state, tasks(account)) == ("reachable", set())
    assert deliverability.may_mail(Contact.objects.get(pk=anna.pk))


def test_a_successor_and_a_new_employer_come_out_of_one_decision(
    account: Account, anna: Contact, deal: Opportunity, rep: User, outsider: User, at: datetime
) -> None:
    signal = job_changes.suspect(
        anna,
        source="contact",
        key="details:1",
        text="Ik stop ermee.",
        successor_name="Cor Kaars",
        successor_email="cor@molen.example",
        at=at,
    )
    new = AccountFactory(name="Ketel BV", owner=outsider)
    job_changes.confirm(signal, at=at, by=rep, new_account=new, new_email="anna@ketel.example")

    decider = role_of(account, "decider", at)
    assert (decider.state, [(holder.name, holder.is_assumed) for holder in decider.holders]) == ("assumed", [("Cor Kaars", True)])
    assert (tasks(account), tasks(new)) == ({"gate_broken"}, {"champion_moved"})
    assert Contact.objects.get(account=new).person == anna.person

    # The successor confirms authority and budget anew, once a colleague has made sure that Cor decides: the deal stands again.
    cor = Contact.objects.get(email="cor@molen.example")
    dmu.confirm(cor.memberships.get(), by=rep, at=at)
    for kind in ("authority", "budget"):
        opportunities.confirm(deal, kind=kind, contact=cor, evidence="Cor nam het over.", at=at, by=rep)
    assert (Opportunity.objects.get().gate_broken_at, tasks(account)) == (None, set())


def test_an_outage_of_the_whole_domain_costs_nobody_a_role(account: Account, deal: Opportunity, at: datetime) -> None:
    everybody = [*Contact.objects.filter(account=account), member(account, at - 30 * DAY, "user", "Dirk")]
    for number, contact in enumerate(everybody):
        first = deliverability.record_sent(contact=contact, message_id=f"<a{number}@quorum.example>", at=at - 30 * DAY)
        deliverability.record_delivered(first, at=at - 30 * DAY)
        deliverability.record_sent(contact=contact, message_id=f"<b{number}@quorum.example>", at=at - DAY)
        report = deliverability.record_report(
            source="dsn", external_id=str(number), recipient=contact.email, outcome="person_gone", evidence="550", at=at,
            message_id=f"b{number}@quorum.example",
        )  # fmt: skip
        job_changes.assess(report.pk, at=at)
    assert not Contact.objects.exclude(departure_suspected_at=None).exists()
    assert (tasks(account), role_of(account, "decider", at).state) == ({"domain_changed"}, "reachable")
    assert list(JobChangeSignal.objects.of_persons().values_list("status", flat=True)) == ["held"] * 3


def test_a_forged_report_does_nothing(account: Account, anna: Contact, deal: Opportunity, at: datetime) -> None:
    report = deliverability.record_report(
        source="mailbox", external_id="x", recipient=anna.email, outcome="person_gone", evidence="5.1.1", message_id="verzonnen@x", at=at
    )
    assert job_changes.assess(report.pk, at=at) is None
    assert (role_of(account, "decider", at).state, tasks(account), JobChangeSignal.objects.count()) == ("reachable", set(), 0)
