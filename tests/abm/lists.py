"""Accounts that stand somewhere, and lists before and after a refusal; for the tests of target lists."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from abm.models import ComparisonAccount, TargetAccount, TargetList, TargetRejection
from crm.errors import CrmError
from crm.models import Account
from tests.factories.abm import StandingFactory
from tests.factories.crm import AccountFactory


def standing(fit: int = 0, score: float = 0, coverage: int = 0, **account: object) -> Account:
    """Make an account that stands somewhere."""
    return StandingFactory(account=AccountFactory(**account), fit=fit, score=Decimal(str(score)), coverage_percent=coverage).account


def stored() -> list[list[dict[str, object]]]:
    tables = [model.objects.order_by("pk").values() for model in (TargetList, TargetAccount, TargetRejection, ComparisonAccount)]
    # Serials go on, for those who keep a copy, also where a row is written as it was.
    return [[row | {"change_serial": None} for row in rows] for rows in tables]


def refused(error: type[CrmError], deed: Callable[[], object]) -> CrmError:
    """Check that a rule refuses with this error, and that nothing changed."""
    before = stored()
    with pytest.raises(error) as caught:
        deed()
    assert stored() == before
    return caught.value


def on(target_list: TargetList) -> dict[int, Account]:
    return {slot.slot: slot.account for slot in TargetAccount.objects.filter(target_list=target_list).select_related("account")}
