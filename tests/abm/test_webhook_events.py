"""What the rules tell other systems: each fact once, with ids and few facts, in one statement where the rule is set-based."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from abm import job_changes, policy, refresh, sales_alerts, targets
from abm.models import TargetList
from abm.states.scores import Crossed
from crm import activities, contacts, dmu, newcomers, opportunities, privacy, webhooks
from crm.models import Account, User, WebhookEvent
from crm.newcomers import NewContact
from tests.conftest import AT
from tests.crm.deals import PRICED, confirmed
from tests.factories.crm import AccountFactory, ContactFactory, MembershipFactory, OpportunityFactory, UserFactory


@pytest.fixture
def listening(db: None) -> User:
    """Somebody whose webhook wants every event."""
    owner = UserFactory(is_superuser=True)
    webhooks.add(name="All", address="https://hooks.example.com/", event_types=webhooks.KINDS, owner=owner, at=AT)
    return owner


@pytest.fixture
def account(listening: User) -> Account:
    return AccountFactory()


def told(*kinds: str) -> list[tuple[str, str, dict[str, object], int | None]]:
    rows = WebhookEvent.objects.filter(type__in=kinds) if kinds else WebhookEvent.objects
    return list(rows.order_by("pk").values_list("type", "subject", "data", "contact_id"))


def test_a_deal_that_moves_on_is_told_with_where_from_and_where_to(account, rep, at):
    deal = OpportunityFactory(account=account, stage="mql")

    opportunities.advance(deal, to="sql", at=at, by=rep)

    facts = {"account_id": account.pk, "from_stage": "mql", "to_stage": "sql", "amount": None, "currency": "EUR"}
    assert told() == [("opportunity.advanced", f"opportunity:{deal.pk}", facts, None)]


def test_a_departure_tells_of_lost_roles_the_broken_gate_and_the_contact(account, at):
    decider = MembershipFactory(contact__account=account, role="decider").contact
    MembershipFactory(contact=decider, role="buyer")
    MembershipFactory(contact__account=account, role="buyer")
    deal = OpportunityFactory(account=account, stage="sql", **PRICED)
    confirmed(deal, "budget", "authority", contact=decider, at=at)
    opportunities.advance(deal, to="opportunity", at=at)

    contacts.depart(decider, left_on=date(2026, 3, 9), at=at)

    assert told("role.lost") == [("role.lost", f"account:{account.pk}", {"role": "decider", "opportunity_id": None}, decider.pk)]
    ((_kind, subject, facts, _contact),) = told("opportunity.gate_broken")
    assert (subject, facts["stage"], set(facts["withdrawn"])) == (f"opportunity:{deal.pk}", "opportunity", {"budget", "authority"})
    ((_kind, subject, facts, _contact),) = told("contact.updated")
    assert (subject, facts["changed"]) == (f"contact:{decider.pk}", ["left_on"])


def test_a_role_that_was_a_mistake_or_passed_on_is_not_told_as_lost(account, rep, at):
    member = MembershipFactory(contact__account=account, role="user")
    dmu.move(member, role="buyer", by=rep, at=at)
    dmu.end(MembershipFactory(contact__account=account, role="decider"), reason="mistaken", by=rep, at=at)

    assert told("role.lost") == []


def test_what_changes_of_a_contact_is_told_by_name_and_never_by_value(account, at):
    contact = contacts.add(account=account, family_name="Jansen", at=at)
    contacts.correct(contact, at=at, email="geheim@bedrijf.example", family_name="Jansen-Smit")
    privacy.opt_out(contact.person, at=at)

    changed = [facts["changed"] for _kind, _subject, facts, _contact in told("contact.updated")]
    assert changed == [["added"], ["address_invalid_at", "email", "family_name"], ["opted_out_at"]]
    assert "geheim" not in str(told())
    assert "Jansen" not in str(told())


def test_many_new_contacts_are_told_in_as_many_statements_as_a_few(account, at, django_assert_max_num_queries):
    rows = [NewContact(account_id=account.pk, family_name=f"Nieuw {number}") for number in range(200)]

    with django_assert_max_num_queries(20):
        newcomers.add_many(rows, at=at)

    assert len(told("contact.updated")) == 200


def test_a_signal_is_told_when_it_opens_when_it_is_confirmed_and_when_that_is_undone(account, rep, at):
    contact = ContactFactory(account=account)
    signal = job_changes.suspect(contact, source="rep", key="rep:1", text="Geheim: hij is weg", at=at, by=rep)
    job_changes.confirm(signal, at=at, by=rep)
    job_changes.undo(signal, at=at + timedelta(minutes=1), by=rep)
    job_changes.dismiss(signal, at=at + timedelta(minutes=2), by=rep)

    about = told("job_change.opened", "job_change.confirmed")
    assert [kind for kind, *_rest in about] == ["job_change.opened", "job_change.confirmed", "job_change.opened"]
    facts = {"account_id": account.pk, "kind": "person", "status": "open"}
    assert about[0][1:] == (f"job_change:{signal.pk}", facts, contact.pk)
    assert "Geheim" not in str(told())


def test_a_list_that_is_put_to_work_is_told(account, rep, team, at):
    plan = TargetList.objects.create(name="Q2", team=team, starts_on=date(2026, 4, 1), ends_on=date(2026, 6, 30))
    targets.pick(plan, account=account, at=at, by=rep)

    targets.activate(plan, at=at, by=rep)

    facts = {"team_id": team.pk, "accounts": 1, "starts_on": "2026-04-01", "ends_on": "2026-06-30"}
    assert told("target_list.activated") == [("target_list.activated", f"target_list:{plan.pk}", facts, None)]


def test_an_account_that_becomes_warm_and_one_that_no_longer_is_are_told_once_each(account, at, monkeypatch):
    monkeypatch.setattr(policy, "ALERTS", policy.Alerts(warming_up_from_score=15.0))
    Account.objects.filter(pk=account.pk).update(employees=5)
    activities.record(account=account, contact=ContactFactory(account=account), kind="meeting", occurred_at=at, source="test", at=at)

    for _twice in range(2):
        refresh.account(account.pk, at=at)
    later = at + timedelta(days=10)
    refresh.night(1, None, day=later.date(), at=later)

    warm, cool = told("account.scored")
    assert (warm[1], warm[2]["is_warm"], float(warm[2]["score"]) > 15) == (f"account:{account.pk}", True, True)
    assert (cool[1], cool[2]["is_warm"], float(cool[2]["momentum"]) < 10) == (f"account:{account.pk}", False, True)


def test_accounts_that_cross_the_threshold_either_way_are_told_in_one_statement(listening, at, django_assert_max_num_queries):
    found = [Crossed(number, number % 2 == 0, Decimal("41.5"), Decimal("-3.0")) for number in range(1, 301)]

    with django_assert_max_num_queries(6):
        sales_alerts.crossed(found, at=at)

    about = told("account.scored")
    assert len(about) == 300
    assert about[0][1:3] == ("account:1", {"is_warm": False, "score": "41.5", "momentum": "-3.0"})
