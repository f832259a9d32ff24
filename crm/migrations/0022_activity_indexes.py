"""Drop two indexes of activities with which longer ones begin: of each row one write in seven was theirs.

Done by hand: to Django a key without an index is another key, checked anew, and on SQLite another table.
"""

import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_COLUMNS = (["account_id"], ["contact_id"])


def drop(apps: Apps, schema: BaseDatabaseSchemaEditor) -> None:
    table = apps.get_model("crm", "Activity")._meta.db_table
    with schema.connection.cursor() as cursor:
        found = schema.connection.introspection.get_constraints(cursor, table)
    for name, facts in found.items():
        if facts["index"] and not facts["unique"] and facts["columns"] in _COLUMNS:
            schema.execute(f"DROP INDEX {schema.quote_name(name)}")


class Migration(migrations.Migration):
    dependencies = [("crm", "0021_import_roles")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(drop, migrations.RunPython.noop)],
            state_operations=[
                migrations.AlterField(
                    model_name="activity",
                    name="account",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="activities",
                        to="crm.account",
                        verbose_name="account",
                    ),
                ),
                migrations.AlterField(
                    model_name="activity",
                    name="contact",
                    field=models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="Empty: an anonymous visitor of the company.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="activities",
                        to="crm.contact",
                        verbose_name="contact",
                    ),
                ),
            ],
        ),
    ]
