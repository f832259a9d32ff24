"""From the four files to plain facts: misspellings corrected, wrong lines reported, nothing written."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from django.utils import translation
from django.utils.translation import gettext as _
from django_countries import countries

from crm.imports import FileReport, ImportRefused, Line, WrongValue, keep, read_lines, shown, slashes_are_clear
from crm.models import Stage

ACCOUNTS = ("account", "sector", "year_established", "revenue", "employees", "office_location", "subsidiary_of")
PRODUCTS = ("product", "series", "sales_price")
AGENTS = ("sales_agent", "manager", "regional_office")
DEALS = ("opportunity_id", "sales_agent", "product", "account", "deal_stage", "engage_date", "close_date", "close_value")
STAGES = {"prospecting": Stage.MQL, "engaging": Stage.SQL, "won": Stage.WON, "lost": Stage.LOST}
CLOSED = (Stage.WON, Stage.LOST)
# What the source is known to misspell, or to leave unclear.
SPELLINGS = {"technolgy": "technology", "philipines": "Philippines", "korea": "South Korea"}
OTHER_COUNTRY_NAMES = {"united states": "US", "uk": "GB"}
# The source gives revenue in millions.
REVENUE_UNIT = 1_000_000
NAME, WORD, TEAM = 100, 50, 45
LARGEST_REVENUE, LARGEST_AMOUNT = Decimal(10) ** 8, Decimal(10) ** 12
MOST_EMPLOYEES, LAST_YEAR = 2**31, 2101
Value = TypeVar("Value")


@dataclass(frozen=True)
class AccountFacts:
    """One company; `revenue` in whole dollars, `parent` by name."""

    line: int
    name: str
    industry: str
    founded_year: int | None
    revenue: Decimal | None
    employees: int | None
    country: str
    parent: str


@dataclass(frozen=True)
class ProductFacts:
    """One product at its list price."""

    name: str
    series: str
    list_price: Decimal | None


@dataclass(frozen=True)
class AgentFacts:
    """One seller, and whom he or she sells with."""

    name: str
    manager: str
    office: str

    @property
    def team(self) -> str:
        """Name the team after its lead and office."""
        return f"{self.manager} ({self.office})" if self.office else self.manager


@dataclass(frozen=True)
class DealFacts:
    """One deal; agent, product and account by the names that the other sheets give them."""

    external_id: str
    agent: str
    product: str
    account: str
    stage: Stage
    engaged_on: date | None
    closed_on: date | None
    amount: Decimal | None


@dataclass(frozen=True)
class Sheets:
    """The facts of the four files, with a report on each."""

    accounts: list[AccountFacts]
    products: list[ProductFacts]
    agents: list[AgentFacts]
    deals: list[DealFacts]
    of_accounts: FileReport
    of_products: FileReport
    of_agents: FileReport
    of_deals: FileReport


def read(folder: Path) -> Sheets:
    """Read the four files of a folder; raises ImportRefused when one of them cannot be read at all."""
    if not folder.is_dir():
        raise ImportRefused(_("%(folder)s is not a folder.") % {"folder": folder})
    account_lines, of_accounts = read_lines(folder / "accounts.csv", columns=ACCOUNTS)
    product_lines, of_products = read_lines(folder / "products.csv", columns=PRODUCTS)
    agent_lines, of_agents = read_lines(folder / "sales_teams.csv", columns=AGENTS)
    deal_lines, of_deals = read_lines(folder / "sales_pipeline.csv", columns=DEALS)
    accounts, products, agents = (
        _accounts(account_lines, of_accounts),
        _products(product_lines, of_products),
        _agents(agent_lines, of_agents),
    )
    known = {
        "account": _spellings(each.name for each in accounts),
        "product": _spellings(each.name for each in products),
        "sales_agent": _spellings(each.name for each in agents),
    }
    deals = _deals(deal_lines, of_deals, known=known)
    return Sheets(accounts, products, agents, deals, of_accounts, of_products, of_agents, of_deals)


def _accounts(lines: list[Line], report: FileReport) -> list[AccountFacts]:
    codes, first_lines = _country_codes(), dict[str, int]()

    def account(line: Line) -> AccountFacts:
        return AccountFacts(
            line=line.number,
            name=_once(line, "account", first_lines),
            industry=_or(line, report, "", lambda: _usual(line, "sector", report).casefold()),
            founded_year=_or(line, report, None, lambda: line.whole("year_established", below=LAST_YEAR)),
            revenue=_or(line, report, None, lambda: _revenue(line)),
            employees=_or(line, report, None, lambda: line.whole("employees", below=MOST_EMPLOYEES)),
            country=_or(line, report, "", lambda: _country(line, codes, report)),
            parent=_or(line, report, "", lambda: line.text("subsidiary_of", most=NAME)),
        )

    found = list(keep(lines, report, account))
    known = _spellings(each.name for each in found)
    return [replace(each, parent=_parent(each, known, report)) for each in found]


def _products(lines: list[Line], report: FileReport) -> list[ProductFacts]:
    first_lines = dict[str, int]()

    def product(line: Line) -> ProductFacts:
        return ProductFacts(
            name=_once(line, "product", first_lines),
            series=_or(line, report, "", lambda: line.text("series", most=WORD)),
            list_price=_or(line, report, None, lambda: line.amount("sales_price", below=LARGEST_AMOUNT)),
        )

    return list(keep(lines, report, product))


def _agents(lines: list[Line], report: FileReport) -> list[AgentFacts]:
    first_lines = dict[str, int]()

    def agent(line: Line) -> AgentFacts:
        manager, office = line.text("manager", most=TEAM, required=True), line.text("regional_office", most=TEAM)
        return AgentFacts(name=_once(line, "sales_agent", first_lines), manager=manager, office=office)

    return list(keep(lines, report, agent))


def _deals(lines: list[Line], report: FileReport, *, known: Mapping[str, Mapping[str, str]]) -> list[DealFacts]:
    first_lines, clear = dict[str, int](), slashes_are_clear(lines, ("engage_date", "close_date"))

    def deal(line: Line) -> DealFacts:
        facts = DealFacts(
            external_id=_once(line, "opportunity_id", first_lines, most=WORD),
            stage=_stage(line),
            engaged_on=line.day("engage_date", slashes_are_clear=clear),
            closed_on=line.day("close_date", slashes_are_clear=clear),
            amount=line.amount("close_value", below=LARGEST_AMOUNT),
            agent=_meant(line, "sales_agent", known, report, required=True),
            account=_meant(line, "account", known, report),
            product=_meant(line, "product", known, report),
        )
        _refuse_contradiction(facts)
        if not facts.account:
            report.remarks[_("kept without account")] += 1
        return facts

    return list(keep(lines, report, deal))


def _refuse_contradiction(deal: DealFacts) -> None:
    """Refuse a deal whose dates, value and stage do not go together."""
    is_closed = deal.stage in CLOSED
    if is_closed and deal.closed_on is None:
        raise WrongValue("close_date", _("missing on a deal that is won or lost"))
    if deal.closed_on and not is_closed:
        raise WrongValue("close_date", _("a deal that is open has none"))
    if deal.closed_on and deal.engaged_on and deal.closed_on < deal.engaged_on:
        raise WrongValue("close_date", _("before engage_date"))
    if deal.stage == Stage.WON and deal.amount is None:
        raise WrongValue("close_value", _("missing on a deal that is won"))
    if is_closed and not deal.account:
        raise WrongValue("account", _("missing on a deal that is won or lost"))


def _once(line: Line, column: str, first_lines: dict[str, int], *, most: int = NAME) -> str:
    """Give what a line is known by, and refuse it the second time."""
    name = line.text(column, most=most, required=True)
    first = first_lines.setdefault(name.casefold(), line.number)
    if first != line.number:
        raise WrongValue(column, _("'%(value)s' is in line %(line)d already") % {"value": shown(name), "line": first})
    return name


def _or(line: Line, report: FileReport, nothing: Value, get: Callable[[], Value]) -> Value:
    """Give a value, or nothing where it is wrong: a detail of an account or product must not cost its deals."""
    try:
        return get()
    except WrongValue as wrong:
        reason = _("%(reason)s; left out, the line was kept") % {"reason": wrong.reason}
        report.wrong(line.number, wrong.column, reason, is_skipped=False)
        return nothing


def _usual(line: Line, column: str, report: FileReport) -> str:
    written = line.text(column, most=NAME)
    usual = SPELLINGS.get(written.casefold(), written)
    if usual != written:
        report.correct(column, written, usual)
    return usual


def _revenue(line: Line) -> Decimal | None:
    millions = line.amount("revenue", below=LARGEST_REVENUE, places=6)
    return None if millions is None else millions * REVENUE_UNIT


def _country_codes() -> dict[str, str]:
    with translation.override("en"):
        return {name.casefold(): code for code, name in countries} | OTHER_COUNTRY_NAMES


def _country(line: Line, codes: Mapping[str, str], report: FileReport) -> str:
    name = _usual(line, "office_location", report)
    code = codes.get(name.casefold()) or str(countries.alpha2(name))
    if name and not code:
        raise WrongValue("office_location", _("unknown: '%(value)s'") % {"value": shown(name)})
    return code


def _parent(account: AccountFacts, known: Mapping[str, str], report: FileReport) -> str:
    parent = _find(account.parent, known)
    if account.parent and parent in (None, account.name):
        reason = _("unknown: '%(value)s'; left out, the line was kept") % {"value": shown(account.parent)}
        report.wrong(account.line, "subsidiary_of", reason, is_skipped=False)
        return ""
    return parent or ""


def _stage(line: Line) -> Stage:
    written = line.text("deal_stage", most=WORD, required=True)
    stage = STAGES.get(written.casefold())
    if stage is None:
        raise WrongValue("deal_stage", _("unknown: '%(value)s'") % {"value": shown(written)})
    return stage


def _meant(line: Line, column: str, known: Mapping[str, Mapping[str, str]], report: FileReport, *, required: bool = False) -> str:
    """Give the name as the other sheet spells it; empty where the line has none."""
    written = line.text(column, most=NAME, required=required)
    meant = _find(written, known[column])
    if written and meant is None:
        raise WrongValue(column, _("unknown: '%(value)s'") % {"value": shown(written)})
    if meant and meant != written:
        report.correct(column, written, meant)
    return meant or ""


def _spellings(names: Iterable[str]) -> dict[str, str]:
    """Map each name in small letters, with and without spaces, to itself; a name as written goes before one without spaces."""
    names = list(names)
    return {name.casefold().replace(" ", ""): name for name in reversed(names)} | {name.casefold(): name for name in names}


def _find(written: str, spellings: Mapping[str, str]) -> str | None:
    return spellings.get(written.casefold()) or spellings.get(written.casefold().replace(" ", ""))
