"""From facts to rows, in bulk: what is there already is compared and left alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from django.contrib.auth.models import Group
from django.db.models import Model
from django.utils.text import slugify
from django.utils.translation import gettext as _

from crm import access, bulk, policy
from crm.imports import FileReport
from crm.models import Account, Opportunity, Product, Stage, StageMove, Team, User
from crm.sales_history.sheets import CLOSED, AccountFacts, AgentFacts, DealFacts, ProductFacts, Sheets

SOURCE = "maven-crm"
CURRENCY = "USD"
CHANGE_REASON = f"import from {SOURCE}"


@dataclass(frozen=True)
class Known:
    """The records that deals hang on, by the names of the sheets."""

    sellers: Mapping[str, User]
    products: Mapping[str, Product]
    accounts: Mapping[str, Account]


def write_surroundings(found: Sheets, *, at: datetime) -> Known:
    """Write products, teams, people and accounts that are not there yet; give all of them."""
    products = _write_products(found.products, found.of_products)
    sellers = _write_people(found.agents, found.of_agents)
    return Known(sellers, products, _write_accounts(found, sellers, at=at))


def write_deals(deals: Sequence[DealFacts], *, known: Known, report: FileReport, at: datetime) -> None:
    """Write the deals that are not there yet, with their stage moves and a first line in their history."""
    rows = Opportunity.objects.filter(source=SOURCE, external_id__among=[deal.external_id for deal in deals])
    there = {row.external_id: row for row in rows}
    fresh = []
    for deal in deals:
        values = _values_of_deal(deal, known)
        if _is_new(there.get(deal.external_id), values, report):
            fresh.append(_opportunity(deal, values))
    Opportunity.objects.bulk_create(fresh)
    facts = {deal.external_id: deal for deal in deals}
    StageMove.objects.bulk_create(move for row in fresh for move in _moves(row, facts[row.external_id]))
    bulk.begin_history(Opportunity, [row.pk for row in fresh], at=at, reason=CHANGE_REASON)


def _is_new(there: Model | None, values: Mapping[str, object], report: FileReport) -> bool:
    """Say whether a row must be made, and count what became of the line."""
    if there is None:
        report.created += 1
    elif all(getattr(there, name) == value for name, value in values.items()):
        report.unchanged += 1
    else:
        report.differing += 1
    return there is None


def _write_products(products: Iterable[ProductFacts], report: FileReport) -> dict[str, Product]:
    there = Product.objects.in_bulk([each.name for each in products], field_name="name")
    fresh = []
    for each in products:
        if _is_new(there.get(each.name), {"series": each.series, "list_price": each.list_price}, report):
            fresh.append(Product(name=each.name, series=each.series, list_price=each.list_price))
    return there | {product.name: product for product in Product.objects.bulk_create(fresh)}


def username_of(name: str) -> str:
    """Give the name that a seller signs in with, e.g. 'darcel.schlecht'."""
    return ".".join(slugify(part, allow_unicode=True) for part in name.split())


def _write_people(agents: Sequence[AgentFacts], report: FileReport) -> dict[str, User]:
    """Write a team per lead and office, its lead, and the agents; none of them can sign in before somebody sets a password."""
    teams = _write_teams({agent.team: agent.office for agent in agents})
    usernames = {username_of(name) for agent in agents for name in (agent.name, agent.manager)}
    there = User.objects.in_bulk(usernames, field_name="username")
    fresh: dict[str, User] = {}
    roles: dict[str, set[str]] = defaultdict(set)
    for agent in agents:
        team = teams[agent.team]
        if _is_new(there.get(username_of(agent.name)), {"team_id": team.pk}, report):
            fresh[username_of(agent.name)] = _user(agent.name, team)
        roles[username_of(agent.name)].add(access.SALES_REP)
        roles[username_of(agent.manager)].add(access.TEAM_LEAD)
    for agent in agents:
        name = username_of(agent.manager)
        if name not in there and name not in fresh:
            fresh[name] = _user(agent.manager, teams[agent.team])
            report.remarks[_("team leads created")] += 1
    User.objects.bulk_create(fresh.values())
    _give_roles({user: roles[name] for name, user in fresh.items()})
    people = there | fresh
    return {agent.name: people[username_of(agent.name)] for agent in agents}


def _write_teams(offices: Mapping[str, str]) -> dict[str, Team]:
    """Write the teams that are not there yet, and the office of one that was written before teams had one."""
    Team.objects.bulk_create([Team(name=name, office=office) for name, office in sorted(offices.items())], ignore_conflicts=True)
    teams = Team.objects.in_bulk(offices, field_name="name")
    without = [team for team in teams.values() if not team.office and offices[team.name]]
    for team in without:
        team.office = offices[team.name]
    Team.objects.bulk_update(without, ["office"])
    return teams


def _user(name: str, team: Team) -> User:
    given, _space, family = name.partition(" ")
    user = User(username=username_of(name), first_name=given, last_name=family, team=team, is_staff=True)
    user.set_unusable_password()
    return user


def _give_roles(roles: Mapping[User, Iterable[str]]) -> None:
    groups = {group.name: group for group in Group.objects.filter(name__in=[access.SALES_REP, access.TEAM_LEAD])}
    membership = User.groups.through
    membership.objects.bulk_create(membership(user=user, group=groups[role]) for user, names in roles.items() for role in sorted(names))


def _write_accounts(found: Sheets, sellers: Mapping[str, User], *, at: datetime) -> dict[str, Account]:
    rows = Account.objects.filter(source=SOURCE, external_id__among=[facts.name for facts in found.accounts])
    there = {row.external_id: row for row in rows}
    owners, customers = _owners(found.deals), {deal.account for deal in found.deals if deal.stage == Stage.WON}
    fresh = [
        _account(facts, owner=sellers.get(owners.get(facts.name, "")), is_customer=facts.name in customers)
        for facts in found.accounts
        if facts.name not in there
    ]
    known = there | {row.external_id: row for row in Account.objects.bulk_create(fresh)}
    parents = {facts.name: known[facts.parent].pk if facts.parent else None for facts in found.accounts}
    for row in fresh:
        row.parent_id = parents[row.external_id]
    Account.objects.bulk_update([row for row in fresh if row.parent_id], ["parent"])
    bulk.begin_history(Account, [row.pk for row in fresh], at=at, reason=CHANGE_REASON)
    for facts in found.accounts:
        _is_new(there.get(facts.name), _values_of_account(facts) | {"parent_id": parents[facts.name]}, found.of_accounts)
    return known


def _owners(deals: Iterable[DealFacts]) -> dict[str, str]:
    """Name for each account the agent with most deals there; of equals the first by name."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for deal in deals:
        counts[deal.account][deal.agent] += 1
    return {account: min(agents, key=lambda agent: (-agents[agent], agent)) for account, agents in counts.items()}


def _values_of_account(facts: AccountFacts) -> dict[str, object]:
    return {
        "name": facts.name,
        "industry": facts.industry,
        "employees": facts.employees,
        "revenue": facts.revenue,
        "founded_year": facts.founded_year,
        "country": facts.country,
    }


def _account(facts: AccountFacts, *, owner: User | None, is_customer: bool) -> Account:
    return Account(
        source=SOURCE,
        external_id=facts.name,
        revenue_currency=CURRENCY,
        status=Account.Status.CUSTOMER if is_customer else Account.Status.PROSPECT,
        owner=owner,
        team_id=owner.team_id if owner else None,
        **_values_of_account(facts),
    )


def _values_of_deal(deal: DealFacts, known: Known) -> dict[str, object]:
    seller, product = known.sellers[deal.agent], known.products.get(deal.product)
    return {
        "name": f"{deal.product} ({deal.external_id})" if deal.product else deal.external_id,
        "account_id": known.accounts[deal.account].pk if deal.account else None,
        "product_id": product.pk if product else None,
        "stage": deal.stage,
        "amount": deal.amount,
        "closed_on": deal.closed_on,
        "owner_id": seller.pk,
        "team_id": seller.team_id,
    }


def _opportunity(deal: DealFacts, values: Mapping[str, object]) -> Opportunity:
    since = _midnight(deal.closed_on if deal.stage in CLOSED else deal.engaged_on)
    return Opportunity(
        source=SOURCE, external_id=deal.external_id, imported_stage=deal.stage, stage_since=since, currency=CURRENCY, **values
    )


def _moves(row: Opportunity, deal: DealFacts) -> Iterator[StageMove]:
    """Give the steps that the dates tell of: when the deal began, and when it was won or lost."""
    first = Stage.MQL if deal.stage == Stage.MQL else Stage.SQL
    yield StageMove(opportunity=row, from_stage="", to_stage=first, moved_at=_midnight(deal.engaged_on), is_imported=True)
    if deal.stage in CLOSED:
        yield StageMove(opportunity=row, from_stage=first, to_stage=deal.stage, moved_at=_midnight(deal.closed_on), is_imported=True)


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, tzinfo=policy.ZONE) if day else None
