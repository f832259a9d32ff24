"""Attribution over the database: the same figures as from files, of the deals that a user sees."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path as FilePath

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from abm import attribution, reports
from crm.models import Account, Activity, Opportunity, StageMove, User
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, MembershipFactory

FOLDER = FilePath(__file__).parent.parent / "data" / "attribution"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
WON_AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open() as file:
        return list(csv.DictReader(file))


def deal(account: Account, stage: str = "won", *, moves: dict[str, datetime] | None = None, **facts: object) -> Opportunity:
    """Make a closed deal of imported history, with the moments at which it moved."""
    facts = {"amount": Decimal(100), "closed_on": date(2026, 3, 2)} | facts
    row = Opportunity.objects.create(account=account, name="Kans", stage=stage, imported_stage=stage, **facts)
    every = {stage: WON_AT} if moves is None else moves
    StageMove.objects.bulk_create(StageMove(opportunity=row, to_stage=to, moved_at=at, is_imported=True) for to, at in every.items())
    return row


def touch(account: Account, kind: str = "meeting", *, hours: float = -1, **facts: object) -> Activity:
    """Record that somebody did something so many hours after the win."""
    row: Activity = ActivityFactory(account=account, kind=kind, occurred_at=WON_AT + timedelta(hours=hours), **facts)
    return row


def credited(user: User | None = None, *, model: str = "linear", by: str = attribution.BY_KIND, **period: date) -> dict[str, float]:
    deals = Opportunity.objects.visible_to(user) if user else Opportunity.objects.all()
    found = attribution.attribute(attribution.read(deals, model=model, by=by, **period), model=model)
    return {line.key: round(line.credit, 8) for line in found.lines}


def load() -> None:
    """Write the worked set as records: every role of an account is one person, an unknown role nobody we know."""
    accounts, people = {}, {}
    for row in rows("opportunities.csv"):
        accounts[row["opportunity_id"]] = account = AccountFactory()
        moves = {"mql": row["lead_created_at"], "opportunity": row["opportunity_created_at"], row["outcome"]: row["closed_at"]}
        moments = {stage: datetime.fromisoformat(at) for stage, at in moves.items()}
        deal(account, row["outcome"], moves=moments, amount=Decimal(row["value"]), closed_on=moments[row["outcome"]].date())
    for row in sorted(rows("touches.csv"), key=lambda row: (row["touch_at"], row["touch_id"])):
        account, role, at = accounts[row["opportunity_id"]], row["dmu_role"], datetime.fromisoformat(row["touch_at"])
        if role != "unknown" and (account.pk, role) not in people:
            people[account.pk, role] = contact = ContactFactory(account=account)
            MembershipFactory(contact=contact, role=role, since=date(2020, 1, 1))
        ActivityFactory(account=account, contact=people.get((account.pk, role)), kind=row["channel"], occurred_at=at)


@pytest.mark.django_db
def test_the_database_gives_the_worked_figures_of_every_model() -> None:
    load()
    names = {"time_decay_half_life_7d": "time_decay", "shapley_simplified": "shapley", "markov_order1_with_null": "markov"}

    for name, expected in EXPECTED["opportunities_credit"].items():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = credited(model=names.get(name, name))
        assert found == pytest.approx(expected, abs=1e-6), name
        assert len(queries) == 1

    paths = attribution.read(Opportunity.objects.all(), model="w_shaped", by=attribution.BY_ROLE)
    by_role = attribution.attribute(paths, model="w_shaped")
    assert {line.key: line.value for line in by_role.lines} == pytest.approx(EXPECTED["value_credit_by_dmu_role"]["w_shaped"], abs=1e-4)
    assert (by_role.won, by_role.lost, by_role.unattributed) == (15, 21, 2)
    assert sum(line.amount for line in by_role.lines) == by_role.attributed_value == Decimal("661629.31")


@pytest.mark.django_db
def test_what_counts_is_what_people_did_for_this_deal_until_it_was_closed() -> None:
    account = AccountFactory()
    won = deal(account)
    other = deal(account, "lost", moves={"lost": WON_AT - timedelta(days=9)}, closed_on=date(2026, 2, 21))
    touch(account, "webinar_attended", opportunity=won)
    touch(account, "download", hours=0)
    touch(account, "page_view", hours=0.1)
    touch(account, "email_sent")
    touch(account, "email_click", machine_reason="scanner")
    touch(account, "call_answered", opportunity=other, hours=-24 * 12)
    touch(AccountFactory(), "meeting")

    assert credited() == {"webinar_attended": 0.5, "download": 0.5, "call_answered": 0.0}
    assert credited(by=attribution.BY_CHANNEL) == {"event": 0.5, "web": 0.5, "phone": 0.0}


@pytest.mark.django_db
def test_without_a_moment_of_the_close_its_whole_day_counts() -> None:
    account = AccountFactory()
    deal(account, moves={})
    touch(account, "meeting", hours=6)
    touch(account, "download", hours=24)

    assert credited() == {"meeting": 1.0}


@pytest.mark.django_db
def test_the_weightiest_role_by_the_close_counts_and_a_mistaken_one_does_not() -> None:
    account = AccountFactory()
    deal(account)
    anna, ben, carl = (ContactFactory(account=account) for _ in range(3))
    MembershipFactory(contact=anna, role="user")
    MembershipFactory(contact=anna, role="decider", until=date(2026, 2, 1), end_reason="moved")
    MembershipFactory(contact=ben, role="buyer", until=date(2026, 2, 1), end_reason="mistaken")
    MembershipFactory(contact=carl, role="buyer", since=date(2026, 3, 3))
    for contact in (anna, ben, carl, None):
        touch(account, contact=contact)

    assert credited(by=attribution.BY_ROLE) == {"decider": 0.25, "unknown": 0.75}


@pytest.mark.django_db
def test_only_deals_of_the_period_the_currency_and_the_users_sight_count(rep: User, outsider: User, marketer: User) -> None:
    account = AccountFactory(owner=rep, team=rep.team)
    deal(account, owner=rep, team=rep.team)
    deal(account, owner=rep, team=rep.team, currency="USD")
    touch(account)

    assert credited(rep) == credited(marketer) == {"meeting": 1.0}
    assert credited(outsider) == {}
    assert credited(rep, first=date(2026, 3, 2), last=date(2026, 3, 2)) == {"meeting": 1.0}
    assert credited(rep, first=date(2026, 3, 3)) == credited(rep, last=date(2026, 3, 1)) == {}
    assert attribution.currencies(Opportunity.objects.visible_to(rep)) == ["EUR", "USD"]
    assert attribution.currencies(Opportunity.objects.visible_to(outsider)) == []


@pytest.mark.django_db
def test_the_report_tells_of_unattributed_wins_and_adds_up_to_the_cent(rep: User) -> None:
    for amount in ("100.00", "0.01"):
        account = AccountFactory(owner=rep, team=rep.team)
        deal(account, amount=Decimal(amount))
        touch(account)
        touch(account, "download")
        touch(account, "page_view")
    deal(AccountFactory(owner=rep, team=rep.team), amount=Decimal("50.00"))

    report = reports.find("attribution", rep)
    table = reports.ask(report, period=reports.Period(date(2026, 3, 10)), user=rep, given={"by": "kind", "model": "linear"})

    assert [(row["what"], row["deals"], row["wins"], row["amount"]) for row in table.rows] == [
        ("Download", 2, 0.666667, 33.34),
        ("Meeting", 2, 0.666667, 33.34),
        ("Page view", 2, 0.666667, 33.33),
        ("Unattributed", 1, 1.0, 50.0),
    ]
    assert "never spread" in table.notes[2]


@pytest.mark.django_db
def test_the_report_of_nothing_is_empty(rep: User) -> None:
    for model in attribution.MODELS:
        for by in ("channel", "kind", "role"):
            table = reports.ask(
                reports.find("attribution", rep), period=reports.Period(date(2026, 3, 10)), user=rep, given={"model": model, "by": by}
            )
            assert list(table.rows) == []
            assert table.chosen["currency"] == "EUR"
