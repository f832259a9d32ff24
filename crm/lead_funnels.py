"""Leads and what became of them, taken over from another system as marked history: two CSV files whose columns may have any name."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from crm import bulk, errors, policy
from crm.imports import FileReport, ImportRefused, Line, Report, WrongValue, keep, read_lines, shown
from crm.models import Account, Opportunity, Stage, StageMove, User

# What a field is called in the marketing funnels that are published; others are mapped by hand.
LEADS = {"id": "mql_id", "first_contact": "first_contact_date", "origin": "origin", "campaign": "landing_page_id"}
DEALS = {"lead": "mql_id", "won": "won_date", "segment": "business_segment", "customer": "seller_id", "revenue": "declared_monthly_revenue"}
# Not in every export, and mapped by hand where it is: what the deal itself is worth.
AMOUNT = "amount"
# Without these no line says anything.
NEEDED = frozenset({"id", "first_contact", "lead", "won", "customer"})
# What whoever imports must be allowed to add.
NEEDS = ("crm.add_upload", "crm.add_account", "crm.add_opportunity")
ID, WORD, CAMPAIGN = 100, 50, 100
LARGEST = Decimal(10) ** 12
MONTHS = 12
_WITH_TIME = re.compile(r"(\d{4}-\d{1,2}-\d{1,2})[T ]\d{1,2}:\d{2}.*")


@dataclass(frozen=True)
class Win:
    """That a lead became a customer: when, in which segment, and what the deal is worth, if the file says it."""

    line: int
    lead: str
    won_on: date
    segment: str
    customer: str
    amount: Decimal | None
    revenue: Decimal | None


@dataclass(frozen=True)
class Lead:
    """One lead, and how it was won, if it was."""

    external_id: str
    first_contact_on: date | None
    origin: str
    campaign: str
    win: Win | None = None


@dataclass(frozen=True)
class Taken:
    """Under which name and currency the rows are taken over, when and by whom; a trial writes nothing."""

    source: str
    currency: str
    at: datetime
    by: User | None = None
    is_trial: bool = False


def load(
    leads: Path,
    deals: Path | None,
    *,
    source: str,
    at: datetime,
    columns: Mapping[str, str] | None = None,
    currency: str = "EUR",
    by: User | None = None,
    is_trial: bool = False,
    most: int | None = None,
) -> Report:
    """Read leads, and the deals they became, and write what is not there yet; `columns` maps a field to the name of its column.

    A lead is an MQL from its first contact; a won one names its customer, who becomes an account. Safe to repeat: what is there stays
    as it is. A win before the first contact is taken over too, for the reports to show. What `by` takes over belongs to his or her
    team. Raises ImportRefused for a file that cannot be read at all, has more than `most` lines, or a field that nobody knows;
    NotAllowed for who may not add such records. A trial says what would happen.
    """
    if by and not by.has_perms(NEEDS):
        raise errors.NotAllowed(_("You may not import this."))
    taken = Taken(source, currency, at, by, is_trial)
    names = _columns(columns or {})
    read, of_leads = _read(leads, names, LEADS)
    lines, of_deals = _read(deals, names, {**DEALS, AMOUNT: ""}) if deals else ([], FileReport("–"))
    if most is not None and len(read) + len(lines) > most:
        raise ImportRefused(_("More than %(most)d lines: import them with `manage.py import_leads`.") % {"most": most})
    known = _once(keep(read, of_leads, lambda line: _lead(line, names)), of_leads)
    wins = list(keep(lines, of_deals, lambda line: _win(line, names)))
    hidden = _hidden(wins, taken)
    for win in wins:
        _join(known, win, of_deals, names, hidden)
    step, rows = policy.RECORDING.rows_per_statement, list(known.values())
    try:
        for first in range(0, len(rows), step):
            with transaction.atomic():
                _take_over(rows[first : first + step], of_leads, of_deals, taken)
    except IntegrityError as error:
        raise errors.Conflict(_("Somebody else imports the same files right now; run it again afterwards.")) from error
    return Report([of_leads, of_deals] if deals else [of_leads])


def _columns(given: Mapping[str, str]) -> dict[str, str]:
    fields = LEADS | DEALS | {AMOUNT: ""}
    if unknown := sorted(given.keys() - fields.keys()):
        words = {"names": ", ".join(unknown), "known": ", ".join(fields)}
        raise ImportRefused(_("Unknown: %(names)s. A column can be: %(known)s.") % words)
    return fields | {field: "_".join(column.casefold().split()) for field, column in given.items()}


def _read(path: Path, names: Mapping[str, str], fields: Iterable[str]) -> tuple[list[Line], FileReport]:
    """Read a file that has the columns without which no line says anything; others may lack."""
    return read_lines(path, columns=[names[field] for field in fields if field in NEEDED])


def _value(line: Line, column: str, *, most: int, required: bool = False) -> str:
    return line.text(column, most=most, required=required) if required or column in line.values else ""


def _day(line: Line, column: str, *, required: bool = False) -> date | None:
    """Give a day, of a moment its day."""
    value = line.text(column, most=WORD, required=required)
    with_time = _WITH_TIME.fullmatch(value)
    return Line(line.number, {column: with_time[1]}).day(column) if with_time else line.day(column)


def _lead(line: Line, names: Mapping[str, str]) -> Lead:
    return Lead(
        external_id=_value(line, names["id"], most=ID, required=True),
        first_contact_on=_day(line, names["first_contact"]),
        origin=_value(line, names["origin"], most=WORD),
        campaign=_value(line, names["campaign"], most=CAMPAIGN),
    )


def _win(line: Line, names: Mapping[str, str]) -> Win:
    won_on = _day(line, names["won"], required=True)
    if won_on is None:
        raise WrongValue(names["won"], _("missing"))
    return Win(
        line=line.number,
        lead=_value(line, names["lead"], most=ID, required=True),
        won_on=won_on,
        segment=_value(line, names["segment"], most=CAMPAIGN),
        customer=_value(line, names["customer"], most=ID, required=True),
        amount=_amount(line, names[AMOUNT]),
        revenue=_amount(line, names["revenue"]),
    )


def _amount(line: Line, column: str) -> Decimal | None:
    return line.amount(column, below=LARGEST) if column in line.values else None


def _once(leads: Iterable[Lead], report: FileReport) -> dict[str, Lead]:
    """Keep each lead once; a second line about it is counted and left out."""
    known: dict[str, Lead] = {}
    for lead in leads:
        if lead.external_id in known:
            report.skipped += 1
            report.remarks[_("leads that stand there twice")] += 1
        known.setdefault(lead.external_id, lead)
    return known


def _hidden(wins: Sequence[Win], taken: Taken) -> set[str]:
    """Name the customers that are there already, and that whoever imports may not see."""
    if taken.by is None:
        return set()
    there = Account.objects.filter(source=taken.source, external_id__in={win.customer for win in wins})
    return set(there.exclude(pk__in=Account.objects.visible_to(taken.by)).values_list("external_id", flat=True))


def _join(known: dict[str, Lead], win: Win, report: FileReport, names: Mapping[str, str], hidden: Collection[str]) -> None:
    """Give a win to its lead; one of a lead that nobody knows is a problem, one before the first contact is told."""
    lead = known.get(win.lead)
    if lead is None or lead.win:
        reason = _("no lead has it: '%(value)s'") if lead is None else _("won already: '%(value)s'")
        report.wrong(win.line, names["lead"], reason % {"value": shown(win.lead)})
        return
    if win.customer in hidden:
        report.wrong(win.line, names["customer"], _("somebody else's account: '%(value)s'") % {"value": shown(win.customer)})
        return
    known[win.lead] = replace(lead, win=win)
    if lead.first_contact_on and win.won_on < lead.first_contact_on:
        report.remarks[_("won before the first contact")] += 1


def _take_over(leads: Sequence[Lead], of_leads: FileReport, of_deals: FileReport, taken: Taken) -> None:
    ids = [lead.external_id for lead in leads]
    there = dict(Opportunity.objects.filter(source=taken.source, external_id__among=ids).values_list("external_id", "stage"))
    fresh = [lead for lead in leads if lead.external_id not in there]
    of_leads.created += len(fresh)
    of_leads.unchanged += len(leads) - len(fresh)
    of_deals.created += sum(lead.win is not None for lead in fresh)
    for stage in (there[lead.external_id] for lead in leads if lead.win and lead.external_id in there):
        of_deals.unchanged += stage == Stage.WON
        of_deals.differing += stage != Stage.WON
    if not taken.is_trial:
        _write(fresh, taken)


def _write(leads: Sequence[Lead], taken: Taken) -> None:
    accounts = _accounts([lead.win for lead in leads if lead.win], taken)
    rows = Opportunity.objects.bulk_create(_opportunity(lead, accounts, taken) for lead in leads)
    facts = {lead.external_id: lead for lead in leads}
    StageMove.objects.bulk_create(move for row in rows for move in _moves(row, facts[row.external_id]))
    _begin_history(Opportunity, rows, taken)


def _begin_history(model: Any, rows: Iterable[Any], taken: Taken) -> None:
    by_id = taken.by.pk if taken.by else None
    bulk.begin_history(model, [row.pk for row in rows], at=taken.at, reason=f"import from {taken.source}", by_id=by_id)


def _accounts(wins: Sequence[Win], taken: Taken) -> dict[str, Account]:
    """Give each customer an account; the first deal says what it is."""
    wanted = {win.customer: win for win in reversed(wins)}
    there = {row.external_id: row for row in Account.objects.filter(source=taken.source, external_id__among=wanted)}
    fresh = Account.objects.bulk_create(_account(win, taken) for name, win in wanted.items() if name not in there)
    _begin_history(Account, fresh, taken)
    return there | {row.external_id: row for row in fresh}


def _account(win: Win, taken: Taken) -> Account:
    facts: dict[str, Any] = {"source": taken.source, "external_id": win.customer, "industry": win.segment}
    facts |= {"status": Account.Status.CUSTOMER, "team_id": taken.by.team_id if taken.by else None}
    # Nothing declared is written as 0.
    revenue = win.revenue * MONTHS if win.revenue else None
    return Account(name=f"{win.segment or _('customer')} {win.customer[:8]}", revenue=revenue, revenue_currency=taken.currency, **facts)


def _opportunity(lead: Lead, accounts: Mapping[str, Account], taken: Taken) -> Opportunity:
    stage, win = (Stage.WON, lead.win) if lead.win else (Stage.MQL, None)
    return Opportunity(
        account=accounts[win.customer] if win else None,
        name=f"Lead {lead.external_id[:8]}",
        stage=stage,
        imported_stage=stage,
        stage_since=_midnight(win.won_on if win else lead.first_contact_on),
        closed_on=win.won_on if win else None,
        amount=win.amount if win else None,
        currency=taken.currency,
        team_id=taken.by.team_id if taken.by else None,
        origin=lead.origin,
        campaign=lead.campaign,
        source=taken.source,
        external_id=lead.external_id,
    )


def _moves(row: Opportunity, lead: Lead) -> Iterator[StageMove]:
    """Give the steps that the dates tell of: the first contact, and the win."""
    yield StageMove(opportunity=row, to_stage=Stage.MQL, moved_at=_midnight(lead.first_contact_on), is_imported=True)
    if lead.win:
        won_at = _midnight(lead.win.won_on)
        yield StageMove(opportunity=row, from_stage=Stage.MQL, to_stage=Stage.WON, moved_at=won_at, is_imported=True)


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, tzinfo=policy.ZONE) if day else None
