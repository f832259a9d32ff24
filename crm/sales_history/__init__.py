"""The sales history of another CRM, taken over as marked history: accounts, products, teams and deals from four CSV files."""

from datetime import datetime
from pathlib import Path

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from crm import errors, policy
from crm.imports import Report
from crm.sales_history import records, sheets
from crm.sales_history.records import SOURCE

__all__ = ["SOURCE", "load"]


def load(folder: Path, *, at: datetime) -> Report:
    """Read accounts.csv, products.csv, sales_teams.csv and sales_pipeline.csv, and write what is not there yet.

    Everything is read before anything is written. What is there stays as it is, so that a repeat changes nothing, and
    an import that was killed is completed by the next. Deals enter in the stage they had, marked as imported; days
    become midnights of the organisation's time zone. Raises ImportRefused for a file that cannot be read at all.
    """
    found = sheets.read(folder)
    step = policy.RECORDING.rows_per_statement
    try:
        with transaction.atomic():
            known = records.write_surroundings(found, at=at)
        for first in range(0, len(found.deals), step):
            with transaction.atomic():
                records.write_deals(found.deals[first : first + step], known=known, report=found.of_deals, at=at)
    except IntegrityError as error:
        raise errors.Conflict(_("Somebody else imports the same files right now; run it again afterwards.")) from error
    return Report([found.of_accounts, found.of_products, found.of_agents, found.of_deals])
