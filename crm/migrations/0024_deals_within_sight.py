"""Indexes that answer who may see what hangs on a deal, and at whose accounts somebody works deals, without reading the deals."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("crm", "0023_covering_indexes")]

    operations = [
        migrations.AddIndex("opportunity", models.Index(fields=["id", "owner", "team", "account"], name="opportunity_within_sight")),
        migrations.RemoveIndex("opportunity", "opportunity_by_owner"),
        migrations.AddIndex("opportunity", models.Index(fields=["owner", "stage", "account"], name="opportunity_by_owner")),
    ]
