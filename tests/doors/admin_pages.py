"""What the tests of the admin share: a row for every registered model, addresses of pages, and what a page says."""

from collections.abc import Callable
from datetime import date, timedelta
from itertools import count

from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpResponse
from django.urls import reverse
from django.utils.timezone import now
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from abm import models as abm
from crm import models as crm
from crm.models import Account
from tests.factories import crm as make
from tests.factories.abm import EngagementScoreFactory, PhaseChangeFactory, ScoreParametersFactory, StandingFactory

AT = make.AT
NUMBER = count(1)
Maker = Callable[[Account], Model]


def one_more(text: str) -> str:
    return f"{text} {next(NUMBER)}"


def signal_of(account: Account) -> abm.JobChangeSignal:
    return abm.JobChangeSignal.objects.create(account=account, contact=make.ContactFactory(account=account), opened_at=AT)


def list_of(account: Account) -> abm.TargetList:
    team = account.team or make.TeamFactory()
    return abm.TargetList.objects.create(name=one_more("Lijst"), team=team, starts_on=date(2026, 3, 1), ends_on=date(2026, 6, 1))


def experiment_of(account: Account) -> abm.Experiment:
    team = account.team or make.TeamFactory()
    return abm.Experiment.objects.create(name=one_more("Proef"), team=team, starts_on=date(2026, 3, 1), ends_on=date(2026, 3, 15))


def count_of(account: Account) -> abm.ExperimentCount:
    figures = {"n_a": 100, "successes_a": 10, "n_b": 100, "successes_b": 12}
    return abm.ExperimentCount.objects.create(experiment=experiment_of(account), counted_on=date(2026, 3, 2), recorded_at=AT, **figures)


def run_of(_account: object) -> abm.NightlyRun:
    return abm.NightlyRun.objects.create(day=date(2020, 1, 1) + timedelta(days=next(NUMBER)), started_at=AT)


def change_of(_account: object) -> abm.ScoreChange:
    before, after = (ScoreParametersFactory(version=f"v{next(NUMBER)}") for _ in range(2))
    return abm.ScoreChange.objects.create(number=1000 + next(NUMBER), parameters=after, replaces=before, note="Beter", made_at=AT)


def other_account(account: Account) -> Account:
    return make.AccountFactory(owner=account.owner, team=account.team)


def confirmation_of(account: Account) -> crm.Confirmation:
    return make.ConfirmationFactory(opportunity=make.OpportunityFactory(account=account, team=account.team))


def departure_of(account: Account) -> crm.Departure:
    return crm.Departure.objects.create(contact=make.ContactFactory(account=account), left_on=date(2026, 2, 1), recorded_at=AT)


def report_of(account: Account) -> crm.DeliveryReport:
    delivery = make.DeliveryFactory(contact__account=account)
    return crm.DeliveryReport.objects.create(
        source="test", external_id=one_more("r"), outcome="other", reported_at=AT, delivery=delivery, recipient=delivery.address
    )


def merge_of(account: Account) -> crm.Merge:
    names = {"kept_name": account.name, "folded_name": one_more("Weg")}
    return crm.Merge.objects.create(
        kind="account", account=account, kept_id=account.pk, folded_id=10**9 + next(NUMBER), merged_at=AT, **names
    )


def pair_of_accounts(account: Account) -> crm.AccountPair:
    return crm.AccountPair.objects.create(one=account, other=other_account(account), certainty=90, found_at=AT)


def pair_of_contacts(account: Account) -> crm.ContactPair:
    one, other = make.ContactFactory(account=account), make.ContactFactory(account=account)
    return crm.ContactPair.objects.create(one=one, other=other, certainty=90, found_at=AT)


OF_AN_ACCOUNT: dict[type[Model], Maker] = {
    crm.Account: other_account,
    crm.AccountPair: pair_of_accounts,
    crm.ContactPair: pair_of_contacts,
    crm.Merge: merge_of,
    crm.Activity: lambda account: make.ActivityFactory(account=account, contact=make.ContactFactory(account=account)),
    crm.Confirmation: confirmation_of,
    crm.Contact: lambda account: make.MembershipFactory(contact__account=account).contact,
    crm.Departure: departure_of,
    crm.Delivery: lambda account: make.DeliveryFactory(contact__account=account),
    crm.DeliveryReport: report_of,
    crm.DmuMembership: lambda account: make.MembershipFactory(contact__account=account),
    crm.FollowUp: lambda account: crm.FollowUp.objects.create(
        account=account, contact=make.ContactFactory(account=account), text="Bel", due_on=date(2026, 3, 9), opened_at=AT, owner=account.owner
    ),
    crm.Opportunity: lambda account: make.OpportunityFactory(account=account, team=account.team),
    crm.Person: lambda account: make.ContactFactory(account=account).person,
    crm.Pilot: lambda account: crm.Pilot.objects.create(
        opportunity=make.OpportunityFactory(account=account), success_criteria="Snel", starts_on=date(2026, 3, 1), ends_on=date(2026, 4, 1)
    ),
    crm.StageMove: lambda account: crm.StageMove.objects.create(
        opportunity=make.OpportunityFactory(account=account), to_stage="sql", moved_at=AT
    ),
    abm.AccountFit: lambda account: abm.AccountFit.objects.create(account=other_account(account), points=50, computed_at=AT),
    abm.AccountStanding: lambda account: StandingFactory(account=other_account(account)),
    abm.EngagementScore: lambda account: EngagementScoreFactory(account=other_account(account)),
    abm.PhaseChange: lambda account: PhaseChangeFactory(account=other_account(account)),
    abm.JobChangeSignal: signal_of,
    abm.SignalEvidence: lambda account: abm.SignalEvidence.objects.create(signal=signal_of(account), source="rep", key="1", seen_at=AT),
    abm.TargetList: list_of,
    abm.TargetAccount: lambda account: abm.TargetAccount.objects.create(target_list=list_of(account), slot=1, account=account, added_at=AT),
    abm.TargetRejection: lambda account: abm.TargetRejection.objects.create(target_list=list_of(account), account=account, rejected_at=AT),
    abm.Experiment: experiment_of,
    abm.ExperimentCount: count_of,
    abm.ComparisonAccount: lambda account: abm.ComparisonAccount.objects.create(
        target_list=list_of(account), account=account, resembles=account, distance=0.5, fit_at_start=1, score_at_start=1
    ),
}  # fmt: skip
# What belongs to nobody's team: who has the permission sees all of it.
OF_EVERYBODY: dict[type[Model], Maker] = {
    crm.IncomingReport: lambda _account: crm.IncomingReport.objects.create(
        source="mail", external_id=one_more("r"), body=b"\xffFrom: <b>x</b>", received_at=AT
    ),
    crm.Mailbox: lambda _account: crm.Mailbox.objects.create(name=one_more("bounces@q.example"), tried_at=AT, error="TimeoutError"),
    crm.Product: lambda _account: crm.Product.objects.create(name=one_more("Product")),
    crm.Suppression: lambda _account: crm.Suppression.objects.create(address=f"a{next(NUMBER)}@b.example", reason="by_hand", since=AT),
    crm.SignInEvent: lambda _account: crm.SignInEvent.objects.create(user=make.UserFactory(), kind="enrolled", happened_at=AT),
    crm.Webhook: lambda _account: make.WebhookFactory(),
    crm.WebhookDelivery: lambda _account: make.WebhookDeliveryFactory(),
    crm.Team: lambda _account: make.TeamFactory(),
    crm.User: lambda _account: make.UserFactory(team=make.TeamFactory()),
    crm.ApiKey: lambda _account: crm.ApiKey.objects.create(user=make.UserFactory(), name="sleutel")[0],
    abm.IdealCustomerProfile: lambda _account: abm.IdealCustomerProfile.objects.create(name=one_more("Profiel")),
    abm.BudgetLine: lambda _account: abm.BudgetLine.objects.create(channel=one_more("kanaal"), month=date(2026, 3, 1)),
    abm.SalesTarget: lambda _account: abm.SalesTarget.objects.create(quarter=date(2000 + next(NUMBER), 1, 1), amount=1000),
    abm.NightlyRun: run_of,
    abm.NightlyChunk: lambda account: abm.NightlyChunk.objects.create(run=run_of(account), number=1, step="accounts"),
    abm.ScoreChange: change_of,
    abm.ScoreParameters: lambda _account: ScoreParametersFactory(version=f"v{next(NUMBER)}"),
    Group: lambda _account: Group.objects.create(name=one_more("groep")),
    ClockedSchedule: lambda _account: ClockedSchedule.objects.create(clocked_time=now()),
    CrontabSchedule: lambda _account: CrontabSchedule.objects.create(minute=str(next(NUMBER) % 60)),
    IntervalSchedule: lambda _account: IntervalSchedule.objects.create(every=next(NUMBER), period="days"),
    PeriodicTask: lambda _account: PeriodicTask.objects.create(
        name=one_more("taak"), task="x", interval=IntervalSchedule.objects.create(every=next(NUMBER), period="days")
    ),
}
# What only its owner sees, whoever leads the team.
OF_ITS_OWNER: dict[type[Model], Maker] = {
    abm.ReportSnapshot: lambda account: abm.ReportSnapshot.objects.create(
        kind="monthly",
        user=account.owner,
        first_day=date(2020, 1, 1) + timedelta(days=next(NUMBER)),
        last_day=date(2099, 1, 31),
        content='{"cohorts": [], "currency": "EUR", "customers": []}',
        made_at=AT,
    ),
    crm.Export: lambda account: crm.Export.objects.create(
        owner=account.owner, what="crm.account", columns=["name"], format="csv", language="en", created_at=AT
    ),
    crm.Upload: lambda account: crm.Upload.objects.create(
        owner=account.owner,
        team=account.team,
        what="contacts",
        file_name="mensen.csv",
        size=10,
        encoding="UTF-8",
        source="import",
        created_at=AT,
    ),
}
MAKERS = OF_AN_ACCOUNT | OF_EVERYBODY | OF_ITS_OWNER


def link(record: Model | type[Model], page: str, *more: object) -> str:
    """Give the address of a model's page, or of a record's."""
    args = [record.pk, *more] if isinstance(record, Model) else []
    return reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_{page}", args=args)


def said(answer: HttpResponse) -> list[str]:
    """Give the latest of the messages that a page shows; those of redirects that nobody followed stand before it."""
    return [str(message) for message in answer.context["messages"]][-1:]
