"""Indexes that answer by themselves: a search by a person's name looked at 12,000 pages of contacts to find their ids.

Two indexes of contacts with which longer ones begin go, by hand: to Django a key without an index is another key.
"""

import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_COLUMNS = (["account_id"], ["person_id"])


def drop(apps: Apps, schema: BaseDatabaseSchemaEditor) -> None:
    table = apps.get_model("crm", "Contact")._meta.db_table
    with schema.connection.cursor() as cursor:
        found = schema.connection.introspection.get_constraints(cursor, table)
    for name, facts in found.items():
        if facts["index"] and not facts["unique"] and facts["columns"] in _COLUMNS:
            schema.execute(f"DROP INDEX {schema.quote_name(name)}")


class Migration(migrations.Migration):
    dependencies = [("crm", "0022_activity_indexes")]

    operations = [
        migrations.RemoveIndex(model_name="dmumembership", name="dmu_current_by_contact"),
        migrations.AddIndex("account", models.Index(fields=["id", "owner", "team"], name="account_within_sight")),
        migrations.AddIndex("contact", models.Index(fields=["person", "id", "account"], name="contact_by_person")),
        migrations.AddIndex(
            "dmumembership",
            models.Index(condition=models.Q(("until", None)), fields=["contact", "id", "account"], name="dmu_current_by_contact"),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(drop, migrations.RunPython.noop)],
            state_operations=[
                migrations.AlterField(
                    model_name="contact",
                    name="account",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="contacts",
                        to="crm.account",
                        verbose_name="account",
                    ),
                ),
                migrations.AlterField(
                    model_name="contact",
                    name="person",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="contacts",
                        to="crm.person",
                        verbose_name="person",
                    ),
                ),
            ],
        ),
    ]
