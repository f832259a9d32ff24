"""Two accounts with everything that can hang on one, for the tests of merges."""

from datetime import date, timedelta
from typing import NamedTuple

from django.db.models import Model
from factory.random import randgen

from abm import refresh
from abm.models import ComparisonAccount, EngagementScore, JobChangeSignal, SignalEvidence, TargetAccount, TargetList, TargetRejection
from crm import activities, confirmations, contacts, dmu, follow_ups, opportunities
from crm.models import Account, ActivityChange, Contact, DeliveryReport, DmuRole, Opportunity, Team, User
from crm.new_activities import NewActivity
from tests.conftest import AT
from tests.factories import crm as make

KINDS = ("page_view", "email_open", "download", "meeting", "call_answered")
ROLES = DmuRole.values


class Two(NamedTuple):
    """The account that is kept and the one that is folded into it."""

    kept: Account
    folded: Account


def two_accounts(*, team: Team | None, owner: User | None = None, people: int = 50, happenings: int = 2_000, days: int = 30) -> Two:
    """Make two accounts with people, roles, three deals in gated stages, activities, scores, slots and signals."""
    kept = make.AccountFactory(name="Bakkerij Bos", domain="bos.example", city="Zwolle", team=team, owner=owner, employees=None)
    folded = make.AccountFactory(
        name="Bakkerij Bos B.V.", domain="bakkerijbos.example", industry="bakery", country="NL", employees=120, team=team, owner=owner,
        source="crm", external_id="A-17", revenue="1234567.89",
    )  # fmt: skip
    two = Two(kept, folded)
    for number in range(people):
        account = two[number % 2]
        contact = make.ContactFactory(
            account=account, email=f"mens{number}@{account.domain}", phone="+31201234567", source="crm", external_id=f"C-{number}"
        )
        dmu.assign(contact=contact, role=ROLES[number % 5], at=AT - timedelta(days=100), is_assumed=number % 3 == 0)
    _happen(two, happenings)
    for number, stage in enumerate(("opportunity", "proposal", "won")):
        _deal(two[number % 2], stage, team=team)
    _mail_and_doubt(two)
    _list(two, team=team)
    for account in two:
        follow_ups.open(reason="warming_up", owner=owner, due_on=date(2026, 3, 20), at=AT, account=account, about=f"account:{account.pk}")
    for ago in range(days, -1, -1):
        refresh.accounts([account.pk for account in two], at=AT, day=(AT - timedelta(days=ago)).date())
    ActivityChange.objects.filter(pk__in=ActivityChange.objects.order_by("pk").values("pk")[: happenings - 7]).delete()
    return two


def _happen(two: Two, happenings: int) -> None:
    people = {account.pk: [*account.contacts.order_by("pk").values_list("pk", flat=True), None] for account in two}
    rows = [
        NewActivity(
            account_id=account.pk,
            contact_id=randgen.choice(people[account.pk]),
            kind=KINDS[number % len(KINDS)],
            occurred_at=AT - timedelta(minutes=61 * number),
            external_id=f"{number}",
            subject=f"Onderwerp {number}",
        )
        for number in range(happenings)
        for account in [two[number % 2]]
    ]
    activities.record_many(rows, source="web", at=AT)


def _deal(account: Account, stage: str, *, team: Team | None) -> Opportunity:
    """Make a deal and lead it through its gates with real confirmations."""
    decider = contacts.add(account=account, given_name="Dirk", family_name=f"Decider {stage}", email=f"{stage}@{account.domain}", at=AT)
    dmu.assign(contact=decider, role="decider", at=AT)
    deal = make.OpportunityFactory(
        account=account, team=team, stage="sql", amount=50_000, expected_close_on=date(2026, 5, 1), name=f"Deal {stage}"
    )
    for kind in ("budget", "authority", "need", "timing"):
        confirmations.confirm(deal, kind=kind, contact=decider, evidence="Zei het.", at=AT, by=None)
    for to in ("opportunity", "proposal", "won"):
        closed_on = AT.date() if to == "won" else None
        opportunities.advance(Opportunity.objects.get(pk=deal.pk), to=to, at=AT, closed_on=closed_on)
        if to == stage:
            break
    return deal


def _mail_and_doubt(two: Two) -> None:
    for account in two:
        contact = account.contacts.order_by("pk")[0]
        delivery = make.DeliveryFactory(contact=contact, message_id=f"<{account.pk}@quorum.example>")
        DeliveryReport.objects.create(source="test", external_id=str(account.pk), outcome="temporary", reported_at=AT, delivery=delivery)
        doubted = account.contacts.order_by("pk")[1]
        signal = JobChangeSignal.objects.create(
            account=account, contact=doubted, opened_at=AT, effects=[{"effect": "suspected", "step": "opened", "id": doubted.pk}]
        )
        SignalEvidence.objects.create(signal=signal, source="rep", key="word", text="Hoorde het.", seen_at=AT)
        domain = JobChangeSignal.objects.create(account=account, kind="domain", opened_at=AT)
        SignalEvidence.objects.create(signal=domain, source="bounce", key="report:1", seen_at=AT)
        contacts.depart(account.contacts.order_by("pk")[2], left_on=date(2026, 2, 1), at=AT)


def _list(two: Two, *, team: Team | None) -> None:
    """Put both on one active list, one on a closed one, both in comparisons, and reject one."""
    team = team or make.TeamFactory()
    lists = [
        TargetList.objects.create(name=name, team=team, starts_on=date(2026, 3, 1), ends_on=date(2026, 6, 1)) for name in ("A", "B", "C")
    ]
    other = make.AccountFactory()
    for slot, account in enumerate(two, start=1):
        TargetAccount.objects.create(target_list=lists[0], slot=slot, account=account, added_at=AT, fit_at_start=3, score_at_start="4.5")
    TargetAccount.objects.create(target_list=lists[1], slot=1, account=two.folded, added_at=AT)
    TargetRejection.objects.create(target_list=lists[2], account=two.folded, rejected_at=AT)
    for account in two:
        facts = {"distance": 0.1 + 0.2, "fit_at_start": 1, "score_at_start": "1.5"}
        ComparisonAccount.objects.create(target_list=lists[2], account=account, resembles=other, **facts)
    TargetList.objects.filter(pk=lists[0].pk).update(status="active", activated_at=AT)


def rows_of(model: type[Model], account: Account) -> int:
    """Count what hangs on an account."""
    return model._base_manager.filter(account=account.pk).count()


def person_of(account: Account, name: str) -> Contact:
    """Give a contact of an account by family name."""
    return account.contacts.get(person__family_name=name)


def scores(account: Account) -> list[tuple[object, ...]]:
    """Give the kept scores of an account by day."""
    return list(EngagementScore.objects.filter(account=account.pk).order_by("day").values_list("day", "score"))
