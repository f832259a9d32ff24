"""What the database refuses beyond its CHECKs: borrowed confirmations, and deals that turn into history."""

import pytest
from django.db import IntegrityError, connection, transaction

from crm.models import Opportunity
from tests.crm.deals import PRICED, confirmed
from tests.factories.crm import AccountFactory, OpportunityFactory

pytestmark = pytest.mark.django_db


def refused(sql: str, *values: object) -> str:
    """Run a statement that must be refused; give what the database said."""
    with pytest.raises(IntegrityError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    return str(refusal.value)


def test_a_deal_cannot_enter_a_stage_on_the_confirmations_of_another_deal(at):
    theirs = confirmed(OpportunityFactory(), "budget", "timing", at=at)
    deal = OpportunityFactory()

    said = refused(
        "UPDATE crm_opportunity SET stage = 'opportunity', entry_budget_id = %s, entry_timing_id = %s WHERE id = %s",
        theirs["budget"].pk, theirs["timing"].pk, deal.pk,
    )  # fmt: skip

    assert "entry_rests_on_own" in said
    assert Opportunity.objects.get(pk=deal.pk).stage == "sql"


def test_a_deal_cannot_be_born_on_the_confirmations_of_another_deal(at):
    other = OpportunityFactory()
    theirs = confirmed(other, "budget", "timing", at=at)
    new = Opportunity(
        account=other.account, name="Nieuw", stage="opportunity", entry_budget=theirs["budget"], entry_timing=theirs["timing"]
    )

    with pytest.raises(IntegrityError, match="entry_rests_on_own"), transaction.atomic():
        Opportunity.objects.bulk_create([new])

    assert list(Opportunity.objects.all()) == [other]


@pytest.mark.parametrize(("column", "value"), [("opportunity_id", None), ("kind", "need")])
def test_a_confirmation_cannot_be_lent_to_another_deal_or_kind(at, column, value):
    given = confirmed(OpportunityFactory(), "budget", at=at)["budget"]

    said = refused(f"UPDATE crm_confirmation SET {column} = %s WHERE id = %s", value or OpportunityFactory().pk, given.pk)

    assert "confirmation_stays" in said


def test_the_need_cannot_stand_in_for_the_budget(at):
    deal = OpportunityFactory()
    own = confirmed(deal, "need", "timing", at=at)

    said = refused(
        "UPDATE crm_opportunity SET stage = 'opportunity', entry_budget_id = %s, entry_timing_id = %s WHERE id = %s",
        own["need"].pk, own["timing"].pk, deal.pk,
    )  # fmt: skip

    assert "entry_rests_on_own" in said


def test_a_deal_of_our_own_cannot_turn_into_imported_history():
    deal = OpportunityFactory()

    said = refused("UPDATE crm_opportunity SET stage = 'won', imported_stage = 'won', closed_on = '2026-03-01' WHERE id = %s", deal.pk)

    assert "history_only_from_birth" in said
    assert Opportunity.objects.get(pk=deal.pk).stage == "sql"


def test_imported_history_cannot_be_moved_to_another_stage_as_history():
    deal = OpportunityFactory(stage="mql", imported_stage="mql", **PRICED)

    assert "history_only_from_birth" in refused(
        "UPDATE crm_opportunity SET stage = 'won', imported_stage = 'won', closed_on = '2026-03-01' WHERE id = %s", deal.pk
    )


def test_imported_history_may_be_corrected_and_may_lose_its_mark():
    deal = OpportunityFactory(stage="mql", imported_stage="mql", account=None)

    Opportunity.objects.filter(pk=deal.pk).update(account=AccountFactory(), amount=5)
    assert Opportunity.objects.filter(pk=deal.pk).update(imported_stage="", stage="sql") == 1
