"""Compute scores as of any day, from the activities, and print them; only with --full anything is stored."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.base import ProgressBar
from django.utils import timezone

from abm import engagement, refresh, states
from abm.engagement import Scored
from crm.models import Account
from crm.policy import day_of

# What they did is held in memory while they are scored.
ACCOUNTS_AT_ONCE = 2_000


class Command(BaseCommand):
    help = "Compute engagement scores as of a day and print them, highest first; only with --full anything is stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--as-of", type=date.fromisoformat, metavar="YYYY-MM-DD", help="default: today")
        parser.add_argument("--account", type=int, metavar="ID", help="default: every account")
        parser.add_argument("--full", action="store_true", help="count everything anew from the activities, and keep it; for today only")
        parser.add_argument("--json", action="store_true", help="print one JSON list")

    def handle(self, *, as_of: date | None, account: int | None, full: bool, json: bool, **_options: Any) -> None:
        now = timezone.now()
        day = as_of or day_of(now)
        if full and day != day_of(now):
            raise CommandError("Only today's scores are kept; leave out --as-of or --full.")
        accounts = Account.objects.filter(pk=account) if account is not None else Account.objects.all()
        names = dict(accounts.order_by("pk").values_list("pk", "name"))
        if account is not None and not names:
            raise CommandError(f"There is no account {account}.")
        scored: dict[int, Scored] = {}
        bar = ProgressBar(sys.stderr if sys.stderr.isatty() else None, len(names))
        for ids in _chunks(list(names)):
            if full:
                states.forget(ids)
                refresh.accounts(ids, at=now)
            scored |= engagement.of_accounts(ids, as_of=day)
            bar.update(len(scored))
        ranked = sorted(scored.items(), key=lambda pair: (-pair[1].score, pair[0]))
        rows = [_row(pk, names[pk], one) for pk, one in ranked]
        self.stdout.write(_as_json(rows) if json else "\n".join(map(_as_line, rows)))


def _chunks(account_ids: list[int]) -> Iterator[list[int]]:
    return (account_ids[start : start + ACCOUNTS_AT_ONCE] for start in range(0, len(account_ids), ACCOUNTS_AT_ONCE))


def _row(account_id: int, name: str, scored: Scored) -> dict[str, Any]:
    return {
        "account": account_id,
        "name": name,
        "score": float(scored.score_1),
        "score_6": round(scored.score, 6),
        "sum_weighted": scored.weighted_points,
        "breadth_factor": scored.breadth,
        "x": scored.x,
        "active_roles": scored.active_roles,
        "required_roles": scored.required_roles,
    }


def _as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=1, ensure_ascii=False)


def _as_line(row: dict[str, Any]) -> str:
    roles = f"{len(row['active_roles'])} of {len(row['required_roles'])} roles active"
    return f"{row['score']:5.1f}  {row['sum_weighted']:8.2f} points  {roles}  {row['account']} {row['name']}"
