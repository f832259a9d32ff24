"""The demo's channels, what each was to cost and cost, and what is to be sold: invented, and the same on every load."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zlib import crc32

from django.db.models import DateTimeField, Max, Min
from django.db.models.functions import TruncMonth

from abm.demo.deals import CURRENCY
from abm.demo.people import SOURCE
from abm.models import BudgetLine, SalesTarget
from crm import pipeline, policy, sales_history
from crm.models import Opportunity, Stage, StageMove, Team, User


@dataclass(frozen=True)
class Channel:
    """A channel: of 100 deals won and of 100 others so many came by it; what a month of it may cost, and costs of that in percent."""

    name: str
    purpose: str
    won: int
    others: int
    planned: int
    spent_percent: tuple[int, ...]


P = BudgetLine.Purpose
# 60 % for what is proven, 25 % for what is being scaled up, 15 % for experiments; more went to the experiments than was meant.
CHANNELS = (
    Channel("referral", P.PROVEN, 24, 10, 30_000, (92, 95, 90)),
    Channel("events", P.PROVEN, 30, 30, 42_000, (96, 101, 88)),
    Channel("organic_search", P.SCALING, 24, 20, 12_000, (104, 98, 107)),
    Channel("paid_search", P.SCALING, 16, 25, 18_000, (118, 109, 121)),
    Channel("social", P.EXPERIMENT, 6, 15, 18_000, (133, 140, 148)),
)
# So many months until today have budget lines beside those of the past deals, at a tenth: so many deals are invented.
MONTHS_NOW, NOW_PERCENT = 6, 10
OF_ALL, OF_A_TEAM = Decimal(180_000), Decimal(90_000)


def spend(*, at: datetime) -> None:
    """Say of every deal by which channel it came, and what each channel was to cost and cost in every month."""
    deals = list(Opportunity.objects.filter(source__in=(sales_history.SOURCE, SOURCE)).only("external_id", "stage", "origin"))
    for deal in deals:
        deal.origin = _channel_of(deal)
    Opportunity.objects.bulk_update(deals, ["origin"], batch_size=policy.RECORDING.rows_per_statement)
    BudgetLine.objects.bulk_create([*_lines_of_the_past(), *_lines_until(policy.day_of(at))])


def _channel_of(deal: Opportunity) -> str:
    """Draw a channel by the deal's own id, so that every load draws the same."""
    left = crc32(deal.external_id.encode()) % 100
    for channel in CHANNELS:
        left -= channel.won if deal.stage == Stage.WON else channel.others
        if left < 0:
            return channel.name
    raise ValueError(f"the shares of the channels add up to less than 100: {left}")


def _lines_of_the_past() -> Iterator[BudgetLine]:
    """Yield the lines of the months in which the past deals began and were closed."""
    months = TruncMonth("moved_at", output_field=DateTimeField(), tzinfo=policy.ZONE)
    moved = StageMove.objects.filter(opportunity__source=sales_history.SOURCE, moved_at__isnull=False)
    span = moved.aggregate(first=Min(months), last=Max(months))
    for month in _months(span["first"].date(), span["last"].date()):
        yield from _lines(month, percent=100)


def _lines_until(today: date) -> Iterator[BudgetLine]:
    """Yield the lines of the months until today; what this month costs nobody knows yet."""
    this = today.replace(day=1)
    back = this.year * 12 + this.month - 1 - (MONTHS_NOW - 1)
    for month in _months(date(back // 12, back % 12 + 1, 1), this):
        yield from _lines(month, percent=NOW_PERCENT, is_known=month < this)


def _months(first: date, last: date) -> Iterator[date]:
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        yield date(number // 12, number % 12 + 1, 1)


def _lines(month: date, *, percent: int, is_known: bool = True) -> Iterator[BudgetLine]:
    for channel in CHANNELS:
        planned = Decimal(channel.planned * percent // 100)
        spent = planned * channel.spent_percent[month.month % len(channel.spent_percent)] / 100
        facts = {"channel": channel.name, "purpose": channel.purpose, "month": month, "currency": CURRENCY}
        yield BudgetLine(**facts, planned=planned, actual=spent if is_known else None)


def aim(sellers: Sequence[User], *, at: datetime) -> None:
    """Set what the organisation and the sellers' teams are to sell in this quarter and the one before."""
    first, _following = pipeline.quarter_of(policy.day_of(at))
    before, _this = pipeline.quarter_of(first - timedelta(days=1))
    teams: dict[int | None, Team | None] = {None: None, **{seller.team_id: seller.team for seller in sellers if seller.team_id}}
    SalesTarget.objects.bulk_create(
        SalesTarget(team=team, quarter=quarter, amount=OF_A_TEAM if team else OF_ALL, currency=CURRENCY)
        for quarter in (before, first)
        for team in teams.values()
    )
