"""Lists and slots written past every rule; for the tests of what the database refuses."""

from datetime import date

from django.db import connection

from abm.models import TargetAccount, TargetList
from crm.models import Account, Team
from tests.conftest import AT


def a_list(team: Team, *, active: bool = False, name: str = "Twintig") -> TargetList:
    status = {"status": "active", "activated_at": AT} if active else {}
    return TargetList.objects.create(name=name, team=team, starts_on=date(2026, 3, 1), ends_on=date(2026, 6, 1), **status)


def put(target_list: TargetList, account: Account, slot: int = 1) -> None:
    """Put an account into a slot with plain SQL, past every rule."""
    statement = (
        "INSERT INTO abm_targetaccount (target_list_id, slot, account_id, is_pinned, reasons, added_at)"
        f" VALUES (%s, %s, %s, {'false' if connection.vendor == 'postgresql' else '0'}, '[]', %s)"
    )
    run(statement, target_list.pk, slot, account.pk, AT)


def run(statement: str, *values: object) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.rowcount


def start(target_list: TargetList) -> None:
    """Set a list to work with plain SQL, past every rule."""
    run("UPDATE abm_targetlist SET status = 'active', activated_at = %s WHERE id = %s", AT, target_list.pk)


def teams_of(target_list: TargetList) -> list[int | None]:
    return list(TargetAccount.objects.filter(target_list=target_list).order_by("slot").values_list("active_team", flat=True))
