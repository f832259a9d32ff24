"""The roles' permissions on budgets, targets and kept reports."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from crm import access


def grant(apps: Apps, _schema: BaseDatabaseSchemaEditor) -> None:
    access.grant_roles(apps, "abm")


class Migration(migrations.Migration):
    dependencies = [("abm", "0016_reports")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
