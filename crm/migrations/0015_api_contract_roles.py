"""The five roles' permissions on kept answers: an administrator's."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from crm import access


def grant(apps: Apps, _schema: BaseDatabaseSchemaEditor) -> None:
    access.grant_roles(apps, "crm")


class Migration(migrations.Migration):
    dependencies = [("crm", "0014_api_contract")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
