"""What was on record before the rules: a reason was said by its source and stands; and who may see what people said."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from crm import access


def keep_reasons(apps: Apps, _schema: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("crm", "Activity").objects.exclude(machine_reason="").update(judged_by="source")


def grant(apps: Apps, _schema: BaseDatabaseSchemaEditor) -> None:
    access.grant_roles(apps, "crm")


class Migration(migrations.Migration):
    dependencies = [("crm", "0007_machine_made")]

    operations = [
        migrations.RunPython(keep_reasons, migrations.RunPython.noop),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
