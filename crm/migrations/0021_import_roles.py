"""Integrations may start imports: over the API there is no other way to send a file."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from crm import access


def grant(apps: Apps, _schema: BaseDatabaseSchemaEditor) -> None:
    access.grant_roles(apps, "crm")


class Migration(migrations.Migration):
    dependencies = [("crm", "0020_delivery_serials")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
