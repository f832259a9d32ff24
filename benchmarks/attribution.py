"""Measure attribution: seconds per model over paths in memory, and over a database's deals beside the bare aggregate.

Run: python -m benchmarks.attribution [--paths 10000] [--channels 12] [--accounts 20000] [--touches 500000]; the second part needs
PostgreSQL (DATABASE_URL), writes its rows in one transaction, and takes them back.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import perf_counter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.db import connection, transaction  # noqa: E402

from abm import attribution  # noqa: E402
from abm.attribution import BY_CHANNEL, BY_ROLE, Path  # noqa: E402
from crm.models import Account, Opportunity  # noqa: E402

MONTHS = 24


def paths(count: int, channels: int, seed: int) -> list[Path]:
    """Draw paths of 1 to 20 touches, a third of them won."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        length = chance.randint(1, 20)
        found.append(
            Path(
                steps=tuple(f"channel {chance.randrange(channels)}" for _ in range(length)),
                is_won=chance.random() < 1 / 3,
                value=Decimal(chance.randrange(1_000, 90_000)),
                days_before=tuple(sorted((chance.uniform(0, 180) for _ in range(length)), reverse=True)),
                lead=chance.randrange(length),
                opportunity=chance.randrange(length),
            )
        )
    return found


def seconds(deed: Callable[[], object]) -> float:
    begun = perf_counter()
    deed()
    return round(perf_counter() - begun, 3)


def in_memory(count: int, channels: int) -> dict[str, float]:
    drawn = paths(count, channels, seed=1)
    return {model: seconds(lambda model=model: attribution.attribute(drawn, model=model)) for model in attribution.MODELS}


def fill(accounts: int, touches: int) -> None:
    """Write accounts with a closed deal each (a third won), its moves, and touches spread over them."""
    kinds = "(ARRAY['page_view','email_click','download','email_reply','call_answered','meeting','webinar_attended','event_visit'])"
    today = datetime.now(UTC).date()
    made = Account.objects.bulk_create((Account(name=f"A{n}", domain=f"bench{n}.example") for n in range(accounts)), batch_size=5_000)
    Opportunity.objects.bulk_create(
        (
            Opportunity(
                account=account, name="D", stage=stage, imported_stage=stage, amount=1_000 + number % 50_000,
                closed_on=today - timedelta(days=number % 600), source="bench", external_id=str(number),
            )
            for number, account in enumerate(made) for stage in [("won", "lost", "lost")[number % 3]]
        ),
        batch_size=5_000,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO crm_stagemove (opportunity_id, from_stage, to_stage, moved_at, reason, is_imported) "
            "SELECT o.id, '', m.stage, o.closed_on - m.days * interval '1 day', '', true FROM crm_opportunity AS o, "
            "LATERAL (VALUES ('mql', 120), ('sql', 90), ('opportunity', 60), ('proposal', 20), (o.stage, 0)) AS m (stage, days) WHERE o.source = 'bench'"
        )
        cursor.execute(
            "INSERT INTO crm_activity (account_id, kind, occurred_at, day, subject, machine_reason, source, external_id, recorded_at) "
            f"SELECT t.account_id, {kinds}[1 + floor(random() * 8)::int], t.at, t.at::date, '', '', 'bench', '', now() FROM "
            "(SELECT o.account_id, o.closed_on - random() * 240 * interval '1 day' AS at FROM crm_opportunity AS o, generate_series(1, %s) "
            "WHERE o.source = 'bench') AS t",
            [max(1, touches // accounts)],
        )
        for table in ("crm_account", "crm_opportunity", "crm_stagemove", "crm_activity"):
            cursor.execute(f"ANALYZE {table}")


def over_database(accounts: int, touches: int) -> dict[str, float]:
    """Time every model, and the bare count of touches by kind that any report must at least do; leave nothing behind."""
    found: dict[str, float] = {}
    deals = Opportunity.objects.all()
    with transaction.atomic():
        found["fill"] = seconds(lambda: fill(accounts, touches))
        bare = (
            "SELECT o.stage, a.kind, COUNT(*) FROM crm_opportunity AS o JOIN crm_activity AS a ON a.account_id = o.account_id "
            "WHERE o.stage IN ('won', 'lost') AND a.day <= o.closed_on GROUP BY 1, 2"
        )
        with connection.cursor() as cursor:
            found["bare aggregate"] = seconds(lambda: cursor.execute(bare))
        for by in (BY_CHANNEL, BY_ROLE):
            for model in attribution.MODELS:
                found[f"{model} by {by}"] = seconds(
                    lambda model=model, by=by: attribution.attribute(attribution.read(deals, model=model, by=by), model=model)
                )
        transaction.set_rollback(True)
    return found


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("paths", 10_000), ("channels", 12), ("accounts", 20_000), ("touches", 500_000)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    asked = parser.parse_args(arguments)
    answer = {"in memory": in_memory(asked.paths, asked.channels)}
    if connection.vendor == "postgresql":
        answer["over the database"] = over_database(asked.accounts, asked.touches)
    sys.stdout.write(json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
