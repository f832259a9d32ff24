"""Trigram indexes for search by any three letters, on PostgreSQL; where its extension may not be made, search reads the tables."""

from django.apps.registry import Apps
from django.db import DatabaseError, migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SEARCHED = {
    "crm_account": ["name", "domain"],
    "crm_person": ["given_name", "family_name"],
    "crm_contact": ["email"],
    "crm_opportunity": ["name"],
    "crm_followup": ["text"],
    "crm_delivery": ["address"],
    "crm_deliveryreport": ["recipient"],
    "crm_suppression": ["address"],
}
COLUMNS = [(table, column) for table, columns in SEARCHED.items() for column in columns]


def index(_apps: Apps, schema: BaseDatabaseSchemaEditor) -> None:
    if schema.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(using=schema.connection.alias):
            schema.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError as refusal:
        print(f"\n    pg_trgm could not be created ({str(refusal).splitlines()[0]}): search in the admin reads whole tables.")
        print("    Let a superuser run CREATE EXTENSION pg_trgm, then: manage.py migrate crm 0005 && manage.py migrate", end="")
        return
    for table, column in COLUMNS:
        # As Django writes icontains.
        schema.execute(f"CREATE INDEX IF NOT EXISTS {table}_{column}_letters ON {table} USING gin (upper({column}::text) gin_trgm_ops)")


def drop(_apps: Apps, schema: BaseDatabaseSchemaEditor) -> None:
    if schema.connection.vendor == "postgresql":
        for table, column in COLUMNS:
            schema.execute(f"DROP INDEX IF EXISTS {table}_{column}_letters")


class Migration(migrations.Migration):
    dependencies = [("crm", "0005_reps_day_roles")]

    operations = [migrations.RunPython(index, drop)]
