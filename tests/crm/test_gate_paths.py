"""The BANT gate on every path: the rule and the database agree on each combination of confirmations, stage and path.

A path is a function that tries to bring a deal into a gated stage with given confirmations, amount and close date.
Whoever opens a new way to write opportunities adds it to PATHS; a refusal is a BantGateClosed or an IntegrityError.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain, combinations, product

import pytest
from django.db import IntegrityError, connection, transaction

from crm import bant, errors, opportunities
from crm.models import Account, Confirmation, ConfirmationKind, Opportunity, StageMove
from tests.factories.crm import AccountFactory, ConfirmationFactory, ContactFactory, MembershipFactory, OpportunityFactory

AT = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
BEFORE = {"opportunity": "sql", "proposal": "opportunity", "won": "proposal"}


@dataclass(frozen=True)
class Attempt:
    """One combination: where to, with which confirmations, and whether amount and close date are known."""

    stage: str
    kinds: tuple[str, ...]
    has_amount: bool
    has_date: bool

    def __str__(self) -> str:
        figures = ["amount"] * self.has_amount + ["date"] * self.has_date
        return f"{self.stage}:{'+'.join((*self.kinds, *figures)) or 'nothing'}"

    @property
    def amount(self) -> Decimal | None:
        return Decimal("1000.00") if self.has_amount else None

    @property
    def day(self) -> date | None:
        return date(2026, 3, 1) if self.has_date else None

    @property
    def day_field(self) -> str:
        return "closed_on" if self.stage == "won" else "expected_close_on"

    def values(self, confirmations: dict[str, Confirmation]) -> dict[str, object]:
        """The columns as somebody would write them who goes around the rule."""
        entry = {f"entry_{kind}_id": confirmation.pk for kind, confirmation in confirmations.items()}
        return {"stage": self.stage, "imported_stage": "", "amount": self.amount, self.day_field: self.day} | entry

    def missing(self) -> list[str]:
        """What the rule says of it."""
        return bant.missing(
            self.stage,
            confirmations=dict.fromkeys(self.kinds, bant.Held(AT, by_decider=True)),
            amount=self.amount,
            close_on=self.day,
            has_account=True,
            gate_broken=False,
            at=AT,
        )


def attempts() -> list[Attempt]:
    """Every subset of the four kinds, into each gated stage, with and without each figure that the stage asks for."""
    subsets = list(chain.from_iterable(combinations(ConfirmationKind.values, size) for size in range(5)))
    each = list(product((False, True), repeat=2))
    figures = {"opportunity": [(False, False)], "proposal": each, "won": each}
    return [Attempt(stage, kinds, *known) for stage in figures for kinds in subsets for known in figures[stage]]


# --- the paths: each gets the deal in the stage before, and the confirmations that stand on it


def by_rule(deal: Opportunity, attempt: Attempt, confirmations: dict[str, Confirmation]) -> None:
    opportunities.advance(deal, to=attempt.stage, at=AT, closed_on=attempt.day if attempt.stage == "won" else None)


def by_save(deal: Opportunity, attempt: Attempt, confirmations: dict[str, Confirmation]) -> None:
    for name, value in attempt.values(confirmations).items():
        setattr(deal, name, value)
    deal.save()


def by_update(deal: Opportunity, attempt: Attempt, confirmations: dict[str, Confirmation]) -> None:
    Opportunity.objects.filter(pk=deal.pk).update(**attempt.values(confirmations))


def by_bulk_update(deal: Opportunity, attempt: Attempt, confirmations: dict[str, Confirmation]) -> None:
    values = attempt.values(confirmations)
    for name, value in values.items():
        setattr(deal, name, value)
    Opportunity.objects.bulk_update([deal], [name.removesuffix("_id") for name in values])


def by_bulk_create(deal: Opportunity, attempt: Attempt, confirmations: dict[str, Confirmation]) -> None:
    number, own = to_be_born_with(deal, confirmations)
    Opportunity.objects.bulk_create([Opportunity(pk=number, account=deal.account, name="Nieuw", **attempt.values(own))])


def to_be_born_with(deal: Opportunity, confirmations: dict[str, Confirmation]) -> tuple[int, dict[str, Confirmation]]:
    """Copy the confirmations for a deal that is not there yet: foreign keys wait until the end of the transaction."""
    number, own = deal.pk + 1, {}
    for kind, given in confirmations.items():
        facts = {"contact_id": given.contact_id, "evidence": given.evidence, "confirmed_at": AT, "recorded_at": AT}
        own[kind] = Confirmation.objects.create(opportunity_id=number, kind=kind, **facts)
    return number, own


def by_upsert(deal: Opportunity, attempt: Attempt, confirmations: dict[str, Confirmation]) -> None:
    values = attempt.values(confirmations)
    row = Opportunity(pk=deal.pk, account=deal.account, name=deal.name, **values)
    changed = [name.removesuffix("_id") for name in values]
    Opportunity.objects.bulk_create([row], update_conflicts=True, unique_fields=["id"], update_fields=changed)


def by_sql_update(deal: Opportunity, attempt: Attempt, confirmations: dict[str, Confirmation]) -> None:
    values = attempt.values(confirmations)
    columns = ", ".join(f"{column} = %s" for column in values)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE crm_opportunity SET {columns} WHERE id = %s", [*map(plain, values.values()), deal.pk])


def by_sql_insert(deal: Opportunity, attempt: Attempt, confirmations: dict[str, Confirmation]) -> None:
    required = {
        "account_id": deal.account_id, "name": "Nieuw", "currency": "EUR", "lost_reason": "", "source": "", "external_id": "",
        "revision": 0, "created_at": AT, "updated_at": AT,
    }  # fmt: skip
    number, own = to_be_born_with(deal, confirmations)
    values = required | {"id": number} | attempt.values(own)
    with connection.cursor() as cursor:
        places = ", ".join(["%s"] * len(values))
        cursor.execute(f"INSERT INTO crm_opportunity ({', '.join(values)}) VALUES ({places})", [*map(plain, values.values())])


def plain(value: object) -> object:
    """Write a value as text where SQLite would warn about its type."""
    return str(value) if isinstance(value, Decimal | datetime | date) else value


PATHS = {
    "rule": by_rule,
    "save": by_save,
    "update": by_update,
    "bulk_update": by_bulk_update,
    "bulk_create": by_bulk_create,
    "upsert": by_upsert,
    "sql_update": by_sql_update,
    "sql_insert": by_sql_insert,
}


@pytest.fixture
def account(db: None) -> Account:
    return AccountFactory()


def deal_before(attempt: Attempt, account: Account) -> tuple[Opportunity, dict[str, Confirmation]]:
    """Make a deal in the stage before, as imported history so that it may stand there with any confirmations."""
    figures = {"amount": attempt.amount} | ({"expected_close_on": attempt.day} if attempt.stage == "proposal" else {})
    deal = OpportunityFactory(account=account, stage=BEFORE[attempt.stage], imported_stage=BEFORE[attempt.stage], **figures)
    contact = ContactFactory(account=account)
    MembershipFactory(contact=contact, role="decider")
    return deal, {kind: ConfirmationFactory(opportunity=deal, contact=contact, kind=kind, confirmed_at=AT) for kind in attempt.kinds}


def everything() -> list[list[dict[str, object]]]:
    """All that a move may touch, to compare before and after a refusal."""
    return [list(model.objects.order_by("pk").values()) for model in (Opportunity, Confirmation, StageMove)] + [
        list(Opportunity.history.order_by("pk").values())
    ]


def refused(path: str, deal: Opportunity, attempt: Attempt, confirmations: dict[str, Confirmation]) -> Exception | None:
    """Try a path; give the refusal, if there is one."""
    try:
        with transaction.atomic():
            PATHS[path](deal, attempt, confirmations)
    except (errors.BantGateClosed, IntegrityError) as refusal:
        return refusal
    return None


@pytest.mark.parametrize("attempt", attempts(), ids=str)
def test_no_path_gets_around_the_gate(attempt, account):
    """Each path in a savepoint of its own, so that all of them begin with the same deal."""
    made, confirmations = deal_before(attempt, account)
    before = everything()
    for path in PATHS:
        with transaction.atomic():
            judge(path, Opportunity.objects.get(pk=made.pk), attempt, confirmations, before)
            transaction.set_rollback(True)


def judge(path: str, deal: Opportunity, attempt: Attempt, confirmations: dict[str, Confirmation], before: list[object]) -> None:
    refusal = refused(path, deal, attempt, confirmations)

    assert (refusal is None) is (attempt.missing() == []), path
    if isinstance(refusal, errors.BantGateClosed):
        assert refusal.missing == attempt.missing(), path
    if isinstance(refusal, IntegrityError):
        assert f"gate_of_{attempt.stage}" in str(refusal), f"{path}: refused for another reason"
    if refusal:
        assert everything() == before, path
    else:
        row = Opportunity.objects.get(stage=attempt.stage)
        entered_with = {kind for kind in ConfirmationKind.values if getattr(row, f"entry_{kind}_id")}
        assert (entered_with, row.imported_stage) == (set(attempt.kinds), ""), path


def test_the_combinations_are_all_there():
    assert len(attempts()) == 16 * (1 + 4 + 4)
    assert len(set(map(str, attempts()))) == len(attempts())
    open_gates = {stage: sum(attempt.stage == stage and not attempt.missing() for attempt in attempts()) for stage in BEFORE}
    assert open_gates == {"opportunity": 8, "proposal": 4, "won": 3}


@pytest.mark.django_db
def test_one_confirmation_does_not_stand_for_two_letters():
    only = ConfirmationFactory()

    with pytest.raises(IntegrityError), transaction.atomic():
        Opportunity.objects.filter(pk=only.opportunity_id).update(stage="opportunity", entry_budget=only, entry_timing=only)

    assert Opportunity.objects.get().stage == "sql"
